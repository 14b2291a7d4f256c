//! `edgespan completions`: a script for a shell, to be put where that shell looks for it; and the
//! words that such a script asks for.

use super::args::{Grammar, Shell};
use clap_complete::env::{EnvCompleter, Shells};
use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

/// Which shell asks for words. Set by the scripts.
const VARIABLE: &str = "EDGESPAN_COMPLETE";
const NAME: &str = "edgespan";

fn completer(shell: Shell) -> &'static dyn EnvCompleter {
    match shell {
        Shell::Bash => &clap_complete::env::Bash,
        Shell::Zsh => &clap_complete::env::Zsh,
        Shell::Fish => &clap_complete::env::Fish,
    }
}

/// The script. It calls the program by its name, as whoever presses the key would.
pub fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    // Into memory nothing fails.
    let made = completer(shell).write_registration(VARIABLE, NAME, NAME, NAME, &mut script);
    made.unwrap_or_default();
    String::from_utf8_lossy(&script).into_owned()
}

/// Answers a script that asks for words; None if none does. Says nothing else, whatever happens:
/// somebody is typing.
pub fn asked(arguments: &[OsString]) -> Option<ExitCode> {
    let shell = std::env::var(VARIABLE)
        .ok()
        .filter(|shell| !shell.is_empty())?;
    let shells = [Shell::Bash, Shell::Zsh, Shell::Fish].map(completer);
    let shells = Shells(&shells);
    let Some(completer) = shells.completer(&shell) else {
        return Some(ExitCode::FAILURE);
    };
    let words = arguments.iter().skip_while(|word| *word != "--").skip(1);
    let words: Vec<OsString> = words.cloned().collect();
    let mut command = Grammar::new(Some(&OsString::from(NAME)), 80).command();
    let folder = std::env::current_dir().ok();
    let mut found = Vec::new();
    let done = completer.write_complete(&mut command, words, folder.as_deref(), &mut found);
    if done.is_err() {
        return Some(ExitCode::FAILURE);
    }
    std::io::stdout()
        .lock()
        .write_all(&found)
        .unwrap_or_default();
    Some(ExitCode::SUCCESS)
}
