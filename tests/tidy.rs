//! What a reviewer should not have to look for: sizes, the direction of imports, docs, names, and
//! examples that work.
//!
//! Each rule is one test, and a failure lists every place that breaks it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that cannot read the tree has failed, and says so best by panicking"
)]

#[path = "tidy/documents.rs"]
mod documents;
#[path = "tidy/scan.rs"]
mod scan;

use scan::{Function, blank, functions, imports};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Most lines of a Rust file, tests included.
const FILE_LINES_MAX: usize = 500;

/// Most lines of code in the body of a function; blank lines and comments do not count.
const FUNCTION_LINES_MAX: usize = 70;

/// The folders of `src`, lowest first. A folder may import from rows above its own, never from its
/// own row or from below. `ARCHITECTURE.md` says what follows from it.
const LAYERS: [&[&str]; 16] = [
    &["clock", "net", "secret"],
    &["telemetry"],
    &["message", "shared"],
    &["route", "ratelimit", "trace", "tls"],
    &["export", "client", "view"],
    &["backend", "verify"],
    &["probe"],
    &["listener"],
    &["server"],
    &["upstream"],
    &["auth"],
    &["proxy"],
    &["admin", "store", "ui", "idp"],
    &["config"],
    &["app"],
    &["cli"],
];

/// File names that say nothing of what is inside.
const EMPTY_NAMES: [&str; 7] = [
    "common", "helper", "helpers", "manager", "misc", "util", "utils",
];

#[test]
fn no_file_is_longer_than_one_sitting() {
    let mut broken = Vec::new();
    for file in rust_files() {
        let lines = file.text.lines().count();
        if lines > FILE_LINES_MAX {
            broken.push(format!("{}: {lines} lines", file.name));
        }
    }
    none(&broken, "split the subject: at most 500 lines a file");
}

#[test]
fn no_function_is_longer_than_a_screen() {
    let mut broken = Vec::new();
    for file in rust_files() {
        for function in functions(&blank(&file.text)) {
            if function.lines > FUNCTION_LINES_MAX {
                let Function { name, line, lines } = function;
                broken.push(format!("{}:{line}: `{name}` has {lines}", file.name));
            }
        }
    }
    none(&broken, "at most 70 lines a function");
}

#[test]
fn imports_go_one_way() {
    let mut broken = Vec::new();
    for file in rust_files() {
        let Some(own) = file.folder_of_src() else {
            continue;
        };
        let Some(own_layer) = layer(own) else {
            if !matches!(own, "lib" | "main") {
                broken.push(format!("{}: `{own}` has no place in LAYERS", file.name));
            }
            continue;
        };
        for import in imports(&blank(&file.text), file.depth()) {
            let allowed = import.folder == own
                || layer(&import.folder).is_none_or(|imported| imported < own_layer);
            if !allowed {
                broken.push(format!(
                    "{}:{}: `{own}` imports `{}`",
                    file.name, import.line, import.folder
                ));
            }
        }
    }
    none(&broken, "a folder imports only from lower ones");
}

#[test]
fn every_file_opens_with_where_it_stands() {
    let mut broken = Vec::new();
    for file in rust_files() {
        if !file.text.starts_with("//! ") {
            broken.push(file.name);
        }
    }
    none(&broken, "open the file with `//!` docs");
}

#[test]
fn every_module_is_declared_and_every_folder_has_its_mod_rs() {
    let mut broken = Vec::new();
    for file in rust_files() {
        let path = Path::new(&file.name);
        let (Ok(inside), Some(stem)) = (path.strip_prefix("src"), path.file_stem()) else {
            continue;
        };
        let parent = match (stem.to_str().unwrap(), inside.parent()) {
            ("lib" | "main", _) => continue,
            ("mod", Some(folder)) => {
                let flat = Path::new("src").join(folder).with_extension("rs");
                if root().join(&flat).exists() {
                    broken.push(format!("{}: stands beside {}", flat.display(), file.name));
                }
                module_file(folder.parent().unwrap())
            }
            (_, Some(folder)) => module_file(folder),
            (_, None) => continue,
        };
        let name = match stem.to_str().unwrap() {
            "mod" => inside.parent().unwrap().file_name().unwrap(),
            _ => stem,
        };
        let declaration = format!("mod {};", name.to_str().unwrap());
        match fs::read_to_string(root().join(&parent)) {
            Ok(text) if blank(&text).contains(&declaration) => {}
            Ok(_) => broken.push(format!("{}: not declared in {parent}", file.name)),
            Err(_) => broken.push(format!("{}: {parent} is missing", file.name)),
        }
    }
    none(
        &broken,
        "mod.rs everywhere, and no file that is not compiled",
    );
}

#[test]
fn names_say_what_is_inside() {
    let mut broken = Vec::new();
    for path in all_files() {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        if EMPTY_NAMES.contains(&stem.as_ref()) {
            broken.push(path.display().to_string());
        }
    }
    none(&broken, "name the file after its subject");
}

#[test]
fn nothing_is_empty() {
    let mut broken = Vec::new();
    for (path, text) in text_files() {
        if text.trim().is_empty() {
            broken.push(path);
        }
    }
    none(&broken, "a file is made when its turn comes");
}

#[test]
fn whoever_leaves_a_note_signs_it() {
    let mut broken = Vec::new();
    for (path, text) in text_files() {
        for (index, line) in text.lines().enumerate() {
            for mark in [
                concat!("TO", "DO"),
                concat!("FIX", "ME"),
                concat!("XX", "X:"),
            ] {
                let unsigned = line
                    .match_indices(mark)
                    .any(|(at, _)| !line[at + mark.len()..].starts_with('('));
                if unsigned {
                    broken.push(format!("{path}:{}: {}", index + 1, line.trim()));
                }
            }
        }
    }
    none(&broken, "write who will do it, in brackets, or do it now");
}

#[test]
fn the_tree_knows_no_machine() {
    // In two parts, or this file would be the first to break the rule.
    let foreign = [
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/"),
        concat!("/tmp/", "tgt"),
        concat!("../sha", "red"),
        concat!("proxy.gol", "ang.org"),
        concat!("pypi", ".org"),
        concat!("registry.npm", "js"),
        concat!("deb.deb", "ian.org"),
    ];
    let mut broken = Vec::new();
    for (path, text) in text_files() {
        for (index, line) in text.lines().enumerate() {
            if foreign.iter().any(|part| line.contains(part)) {
                broken.push(format!("{path}:{}: {}", index + 1, line.trim()));
            }
        }
    }
    none(&broken, "paths and hosts of one machine do not belong here");
}

#[test]
fn every_dependency_says_what_it_is_for() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let mut broken = Vec::new();
    let mut inside = false;
    let mut reason_above = false;
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]");
        } else if inside && line.contains('=') && !line.starts_with('#') {
            if !reason_above && !line.contains(" # ") {
                broken.push(line.to_owned());
            }
            reason_above = false;
        } else {
            reason_above = line.starts_with("# ") && !line.starts_with("# ---");
        }
    }
    none(&broken, "a dependency has its reason beside it");
}

#[test]
fn the_readme_starts_with_commands_that_exist() {
    let readme = fs::read_to_string(root().join("README.md")).expect("README.md");
    let makefile = fs::read_to_string(root().join("Makefile")).expect("Makefile");

    for command in ["demo", "test"] {
        assert!(
            readme.contains(&format!("make {command}")),
            "README.md does not name `make {command}`"
        );
        assert!(
            makefile.contains(&format!("\n{command}:")),
            "the Makefile has no `{command}`"
        );
    }
}

#[test]
fn every_example_is_a_configuration_that_would_start() {
    let mut examples = yaml_files("config");
    for of in [
        "caddy",
        "cloudflare",
        "envoy",
        "envoy-grpc",
        "haproxy",
        "login",
        "nginx",
        "traefik",
    ] {
        examples.push(root().join(format!("deploy/{of}/edgespan.yaml")));
    }
    assert!(examples.len() > 1, "no examples in config/");

    let mut broken = Vec::new();
    for example in examples {
        let folder = copy_with_certificates(&example);
        let copy = folder.path().join(example.file_name().unwrap());
        let checked = Command::new(env!("CARGO_BIN_EXE_edgespan"))
            .arg("check")
            .arg(&copy)
            .output()
            .expect("edgespan starts");
        if !checked.status.success() {
            broken.push(format!(
                "{}: {}\n{}{}",
                example.display(),
                checked.status,
                String::from_utf8_lossy(&checked.stdout),
                String::from_utf8_lossy(&checked.stderr),
            ));
        }
    }
    none(&broken, "an example is what people copy");
}

#[test]
fn the_scanner_sees_code_and_nothing_else() {
    let text =
        "fn a<'a>(x: &'a str) {\n  // {\n  let y = \"}\";\n  let z = r#\"}\"}\"#;\n\n  '}'\n}\n";

    let found = functions(&blank(text));

    assert_eq!(found.len(), 1);
    assert_eq!((found[0].name.as_str(), found[0].lines), ("a", 3));
}

#[test]
fn every_way_to_write_an_import_is_seen() {
    let text = "use crate::{net::Peer, proxy, trace::{flow, span}};\n\
                use super::super::config;\n\
                type A = crate::app::Run; // crate::cli\n";

    let found = imports(&blank(text), 2);

    let folders: Vec<&str> = found.iter().map(|import| import.folder.as_str()).collect();
    assert_eq!(folders, ["net", "proxy", "trace", "config", "app"]);
    assert_eq!(found[4].line, 3);
}

fn layer(folder: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&folder))
}

// --- The tree -------------------------------------------------------------------------------

/// One Rust file.
struct RustFile {
    /// Path from the root, with `/`.
    name: String,
    text: String,
}

impl RustFile {
    /// The folder right below `src`, or the file's own name if it stands in `src`.
    fn folder_of_src(&self) -> Option<&str> {
        let inside = self.name.strip_prefix("src/")?;
        let first = inside.split('/').next()?;
        Some(first.strip_suffix(".rs").unwrap_or(first))
    }

    /// How many `super` lead out of this module to the crate's root.
    fn depth(&self) -> usize {
        let folders = self.name.matches('/').count() - 1;
        folders + usize::from(!self.name.ends_with("/mod.rs"))
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file that could be committed, from the root.
fn all_files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name();
            let kind = entry.file_type().unwrap();
            let ignored = [".git", ".cache", "__pycache__", "results.json"];
            // Where things are built, and not a folder of that name further in.
            let is_built = folder.as_os_str().is_empty() && name == "target";
            if is_built || ignored.iter().any(|ignored| name == *ignored) {
                continue;
            }
            let path = folder.join(name);
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(!found.is_empty());
    found
}

/// Those that are text, less the lock file, which cargo writes.
fn text_files() -> Vec<(String, String)> {
    all_files()
        .into_iter()
        .filter(|path| path != Path::new("Cargo.lock"))
        .filter_map(|path| {
            let text = String::from_utf8(fs::read(root().join(&path)).unwrap()).ok()?;
            Some((path.display().to_string(), text))
        })
        .collect()
}

fn rust_files() -> Vec<RustFile> {
    text_files()
        .into_iter()
        .filter(|(path, _)| path.ends_with(".rs"))
        .map(|(name, text)| RustFile { name, text })
        .collect()
}

fn yaml_files(folder: &str) -> Vec<PathBuf> {
    all_files()
        .into_iter()
        .filter(|path| path.starts_with(folder) && path.extension().is_some_and(|e| e == "yaml"))
        .map(|path| root().join(path))
        .collect()
}

/// The file that declares the modules of a folder of `src`.
fn module_file(folder: &Path) -> String {
    match folder.to_str().unwrap() {
        "" => "src/lib.rs".to_owned(),
        folder => format!("src/{folder}/mod.rs"),
    }
}

/// A copy of an example beside made-up PEM files under the names that it mentions: keys are
/// nothing to ship, and a missing one is rightly an error.
fn copy_with_certificates(example: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["example.test".to_owned()]).unwrap();
    let written = fs::read_to_string(example).unwrap();
    let mut text = written.clone();
    let mut words = written
        .split(|c: char| c.is_whitespace() || "{}[],'\"".contains(c))
        .filter(|word| !word.is_empty());
    while let Some(mut word) = words.next() {
        let pem = match Path::new(word).extension().and_then(|e| e.to_str()) {
            Some("crt" | "pem") => made.cert.pem(),
            Some("key") => made.signing_key.serialize_pem(),
            _ if word == "file:" => {
                word = words.next().expect("a secret's file");
                "a secret".to_owned()
            }
            _ => continue,
        };
        // Also what is somewhere else on the machine that the example is for.
        let inside = word.trim_start_matches('/');
        text = text.replace(word, inside);
        let target = folder.path().join(inside);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::write(target, pem).unwrap();
    }
    fs::write(folder.path().join(example.file_name().unwrap()), text).unwrap();
    folder
}

#[track_caller]
fn none(broken: &[String], rule: &str) {
    assert!(broken.is_empty(), "{rule}:\n  {}", broken.join("\n  "));
}
