//! Completions, taken in by the shells they are for, where this machine has them; and the words that
//! only a running process knows.

use super::program::{BINARY, edgespan};
use crate::support::backends::{ID, ROUTE};
use crate::support::origin::{Origin, text};
use crate::support::unreachable;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A folder with the script and, under its own name, the program that it calls.
async fn script(shell: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let ended = edgespan(&["completions", shell]).ended().await;
    std::fs::write(folder.path().join("script"), ended.stdout).unwrap();
    std::os::unix::fs::symlink(BINARY, folder.path().join("edgespan")).unwrap();
    folder
}

/// What `shell` prints, asked on the command line. None without it.
fn ask(shell: &str, arguments: &[&str], folder: &Path, backend: SocketAddr) -> Option<String> {
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let output = Command::new(shell)
        .args(arguments)
        .current_dir(folder)
        .env("PATH", path)
        .env("EDGESPAN_URL", format!("http://{backend}"))
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success() && stderr.is_empty(),
        "{shell}: {stderr}"
    );
    Some(String::from_utf8(output.stdout).unwrap())
}

/// What bash offers for the last of these words, one after the other. None without bash.
fn bash(words: &str, folder: &Path, backend: SocketAddr) -> Option<Vec<String>> {
    let current = words.split(' ').count() - 1;
    let ask_for = format!(
        "source ./script; COMP_WORDS=({words}); [[ \"{words}\" == *' ' ]] && COMP_WORDS+=(''); \
         COMP_CWORD={current}; COMP_TYPE=9; \
         _clap_complete_edgespan edgespan \"${{COMP_WORDS[{current}]}}\" edgespan; \
         printf '%s\\n' \"${{COMPREPLY[@]}}\""
    );
    let found = ask("bash", &["--norc", "-c", &ask_for], folder, backend)?;
    let words = found.lines().map(|word| word.trim().to_owned());
    Some(words.filter(|word| !word.is_empty()).collect())
}

fn nobody() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

#[tokio::test]
async fn bash_completes_commands_and_flags() {
    let folder = script("bash").await;
    let complete = |words: &str| bash(words, folder.path(), nobody());

    let Some(commands) = complete("edgespan de") else {
        return; // no bash here
    };

    assert_eq!(commands, ["demo"]);
    assert_eq!(complete("edgespan demo --no").unwrap(), ["--no-traffic"]);
    assert_eq!(complete("edgespan completions f").unwrap(), ["fish"]);
    let of_trace = complete("edgespan trace ").unwrap();
    assert!(
        ["find", "show", "tail", "export"]
            .iter()
            .all(|word| of_trace.contains(&(*word).to_owned()))
    );
}

/// A Tempo with a trace and routes to offer.
async fn backend() -> Origin {
    Origin::answering(move |received| match received.uri.path() {
        "/api/echo" => text(200, "echo"),
        "/api/search" => {
            let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos();
            let found = serde_json::json!({"traces": [{"traceID": ID, "rootTraceName": "GET /",
                "rootServiceName": "edge", "startTimeUnixNano": now.to_string(), "durationMs": 3}]});
            text(200, &found.to_string())
        }
        "/api/v2/search/tag/span.http.route/values" => text(
            200,
            &serde_json::json!({"tagValues": [{"type": "string", "value": ROUTE},
                {"type": "string", "value": "/login"}]})
            .to_string(),
        ),
        _ => text(404, "404 page not found"),
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn bash_completes_what_a_running_process_knows() {
    let folder = script("bash").await;
    let backend = backend().await;
    let complete = |words: &str| bash(words, folder.path(), backend.address);

    let Some(ids) = complete("edgespan trace show 00f9") else {
        return; // no bash here
    };

    assert_eq!(ids, [&ID[..12]]);
    assert_eq!(
        complete("edgespan trace find --route /api").unwrap(),
        [ROUTE]
    );
    assert!(complete("edgespan trace show 4bf9").unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn with_nobody_there_completions_are_silent_and_quick() {
    let folder = script("bash").await;
    let (_held, silent) = unreachable();
    for backend in [nobody(), silent] {
        let began = Instant::now();
        let Some(found) = bash("edgespan trace show 00f9", folder.path(), backend) else {
            return; // no bash here
        };
        assert!(found.is_empty(), "{found:?}");
        // A tenth of a second, and a busy machine that starts a shell and an unoptimised program.
        assert!(
            began.elapsed() < Duration::from_secs(3),
            "{:?}",
            began.elapsed()
        );
    }
}

#[tokio::test]
async fn zsh_and_fish_can_read_their_scripts() {
    let zsh = script("zsh").await;
    let fish = script("fish").await;

    ask("zsh", &["-n", "script"], zsh.path(), nobody());
    let asked = ["-c", "source ./script; complete -C 'edgespan de'"];
    if let Some(found) = ask("fish", &asked, fish.path(), nobody()) {
        assert!(found.starts_with("demo"), "{found}");
    }
}

#[tokio::test]
async fn manual_pages_can_be_read_by_man() {
    let ended = edgespan(&["man", "--out", "pages"]).ended().await;
    assert_eq!(
        (ended.code, ended.stdout.as_str(), ended.stderr.as_str()),
        (Some(0), "", "")
    );
    assert_eq!(ended.files, ["pages"]);
    let whole = edgespan(&["man"]).ended().await;
    assert!(whole.stdout.contains(".TH edgespan 1"), "{whole:?}");

    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("edgespan.1");
    std::fs::write(&page, &whole.stdout).unwrap();
    let mut read = Command::new("man");
    read.arg("-l")
        .arg(&page)
        .env("MANPAGER", "cat")
        .env("LC_ALL", "C.UTF-8");
    let Ok(read) = read.output() else {
        return; // no man here
    };
    let text = String::from_utf8_lossy(&read.stdout);
    assert!(read.status.success(), "{read:?}");
    assert!(text.contains("NAME") && text.contains("trace"), "{text}");
}
