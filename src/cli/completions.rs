//! `edgespan completions`: a script for a shell, to be put where that shell looks for it.

use super::args::{Grammar, Shell};

/// The script.
pub fn script(shell: Shell, grammar: &Grammar) -> String {
    let mut command = grammar.command();
    let mut script = Vec::new();
    let generator = match shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    // Into memory: the generator takes a closed pipe for a mistake of ours.
    clap_complete::generate(generator, &mut command, "edgespan", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}
