//! From a file to a plan, or to every reason why there is none.

use super::compile::{Compiler, Overrides, compile};
use super::decode::decode;
use super::diagnostic::{Code, Diagnostic, Findings, Mask, Report};
use super::env::Environment;
use super::plan::Plan;
use super::watch::ReadFiles;
use super::{schema, shape, substitute, tree};
use crate::config::compile::files::reason;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// Largest file.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// A plan, and what there is to warn of.
#[derive(Clone)]
pub struct Loaded {
    /// What was asked for.
    pub plan: Plan,
    /// Warnings; often empty.
    pub warnings: Report,
    /// What the plan was made from: the document, if it is a file, and the files that it names.
    pub files: ReadFiles,
}

/// Why there is no plan: every error and warning at once.
#[derive(Clone, Debug)]
pub struct Refused {
    /// What was found; at least one error.
    pub report: Report,
    /// What was read: a change of one of them may mend it.
    pub files: ReadFiles,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.report.summary())
    }
}

impl std::error::Error for Refused {}

/// Reads and compiles a file. Relative paths in it start at its folder.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load(
    path: &Path,
    environment: &Environment,
    overrides: &Overrides,
) -> Result<Loaded, Refused> {
    let name = path.display().to_string();
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut files = ReadFiles::default();
    files.push(path.to_owned());
    match read(path) {
        Ok(text) => compile_in(&name, &text, folder, environment, overrides, files),
        Err(reason) => {
            let message = format!("cannot read {name}: {reason}");
            let diagnostics = vec![Diagnostic::new(Code::Unreadable, message)];
            let report = Report::new(&name, "", &Mask::default(), diagnostics);
            Err(Refused { report, files })
        }
    }
}

/// Compiles a text that is no file. Relative paths in it start at the working folder.
///
/// # Errors
/// Everything that is wrong with it.
pub fn compile_text(
    name: &str,
    text: &str,
    environment: &Environment,
    overrides: &Overrides,
) -> Result<Loaded, Refused> {
    let files = ReadFiles::default();
    compile_in(name, text, Path::new(""), environment, overrides, files)
}

fn compile_in(
    name: &str,
    text: &str,
    folder: &Path,
    environment: &Environment,
    overrides: &Overrides,
    mut files: ReadFiles,
) -> Result<Loaded, Refused> {
    let mut findings = Findings::default();
    let mut mask = Mask::default();
    let mut compiler = Compiler {
        findings: &mut findings,
        environment,
        document: text,
        folder,
        files: &mut files,
    };
    let mut plan = passes(text, overrides, &mut compiler, &mut mask);
    mask.hide_comments(text);
    let harmless = findings.are_harmless();
    let report = Report::new(name, text, &mask, findings.in_line_order());
    if let Some(plan) = &mut plan {
        plan.text = Arc::from(mask.apply(text));
    }
    match plan {
        Some(plan) if harmless => Ok(Loaded {
            plan,
            warnings: report,
            files,
        }),
        Some(_) | None => Err(Refused { report, files }),
    }
}

/// Syntax, substitution, shape, meaning. Only a text without a tree ends them early.
fn passes(
    text: &str,
    overrides: &Overrides,
    compiler: &mut Compiler<'_>,
    mask: &mut Mask,
) -> Option<Plan> {
    let Some(mut tree) = tree::parse(text, compiler.findings) else {
        mask.hide_lookalikes(text);
        return None;
    };
    substitute::substitute(&mut tree, compiler.environment, compiler.findings);
    let repaired = shape::check(&tree, schema::root(), compiler.findings, mask);
    match decode(&repaired) {
        Ok(config) => Some(compile(&config, overrides, compiler)),
        Err(error) => {
            let message = format!("the document cannot be read: {error}");
            let diagnostic = Diagnostic::new(Code::Internal, message);
            compiler.findings.push(diagnostic);
            None
        }
    }
}

/// The text of a file, or why there is none, in words.
pub(super) fn read(path: &Path) -> Result<String, String> {
    let because = |error: std::io::Error| reason(error.kind()).to_owned();
    if std::fs::metadata(path).map_err(because)?.is_dir() {
        return Err("it is a folder".to_owned());
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(because)?;
    file.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(because)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > FILE_BYTES_MAX {
        return Err("it is larger than 16 MiB".to_owned());
    }
    let text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    // A byte order mark is no part of the document, and would move every position.
    Ok(text
        .strip_prefix('\u{feff}')
        .map_or_else(|| text.clone(), str::to_owned))
}
