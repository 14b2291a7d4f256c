//! Completions, taken in by the shells they are for, where this machine has them.

use super::program::edgespan;
use std::path::Path;
use std::process::{Command, Stdio};

/// A script that `shell` is given on its standard input, and what it prints. None without it.
fn ask(shell: &str, arguments: &[&str], folder: &Path) -> Option<String> {
    let output = Command::new(shell)
        .args(arguments)
        .current_dir(folder)
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

async fn script(shell: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let ended = edgespan(&["completions", shell]).ended().await;
    std::fs::write(folder.path().join("script"), ended.stdout).unwrap();
    folder
}

#[tokio::test]
async fn bash_completes_commands_and_flags() {
    let folder = script("bash").await;
    let complete = |words: &str, current: usize| {
        let ask_for = format!(
            "source ./script; COMP_WORDS=({words}); COMP_CWORD={current}; \
             _edgespan edgespan \"${{COMP_WORDS[{current}]}}\" edgespan; echo \"${{COMPREPLY[*]}}\""
        );
        ask("bash", &["--norc", "-c", &ask_for], folder.path())
    };

    let Some(commands) = complete("edgespan de", 1) else {
        return; // no bash here
    };

    assert_eq!(commands, "demo\n");
    assert_eq!(complete("edgespan demo --no", 2).unwrap(), "--no-traffic\n");
    assert_eq!(complete("edgespan completions f", 2).unwrap(), "fish\n");
}

#[tokio::test]
async fn zsh_and_fish_can_read_their_scripts() {
    let zsh = script("zsh").await;
    let fish = script("fish").await;

    ask("zsh", &["-n", "script"], zsh.path());
    let asked = ["-c", "source ./script; complete -C 'edgespan de'"];
    if let Some(found) = ask("fish", &asked, fish.path()) {
        assert!(found.starts_with("demo"), "{found}");
    }
}
