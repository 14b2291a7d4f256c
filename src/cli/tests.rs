//! The command line as a whole: what is accepted, what is refused, and with which words.

use super::args::{Command, CommandLine, Grammar};
use super::completions;
use clap::CommandFactory as _;
use clap::error::ErrorKind;
use std::ffi::OsString;

fn grammar() -> Grammar {
    Grammar::new(Some(&OsString::from("target/release/edgespan")), 80)
}

fn parse(line: &str) -> Result<CommandLine, clap::Error> {
    let words = std::iter::once("edgespan").chain(line.split_whitespace());
    let words: Vec<OsString> = words.map(OsString::from).collect();
    grammar().parse(&words)
}

/// What a person reads after a wrong line.
fn refused(line: &str) -> String {
    parse(line).unwrap_err().render().to_string()
}

#[test]
fn without_a_command_there_are_twelve_lines() {
    let overview = grammar().overview();
    assert_eq!(overview.lines().count(), 12);
    insta::assert_snapshot!(overview);
    let short = Grammar::new(None, 80).overview();
    assert!(short.lines().all(|line| line.chars().count() <= 80));
}

/// Every command and command of a command, each with a space behind it; the first is none.
fn every_command(command: &clap::Command, path: &str) -> Vec<String> {
    let below = command.get_subcommands();
    let below = below.flat_map(|one| every_command(one, &format!("{path}{} ", one.get_name())));
    std::iter::once(path.to_owned()).chain(below).collect()
}

#[test]
fn short_help_fits_a_screen() {
    let commands = every_command(&CommandLine::command(), "");
    assert!(commands.iter().any(|one| one == "trace find "));
    for command in commands {
        let help = refused(&format!("{command}-h"));
        assert!(help.lines().count() <= 24, "{help}");
        assert!(
            help.lines().all(|line| line.chars().count() <= 80),
            "{help}"
        );
    }
    insta::assert_snapshot!(refused("-h") + "---\n" + &refused("run -h"));
}

#[test]
fn long_help_has_examples_defaults_and_variables() {
    let help = refused("run --help");
    for part in [
        "target/release/edgespan run --to",
        "[default: 127.0.0.1:8080]",
        "[env: EDGESPAN_CONFIG]",
        "Exit: ",
    ] {
        assert!(help.contains(part), "{part} in {help}");
    }
    insta::assert_snapshot!(help + "---\n" + &refused("demo --help"));
}

#[test]
fn a_mistyped_word_gets_the_nearest_one() {
    let texts = [
        "rum",
        "run --lisen 1",
        "demo --no-trafic",
        "run --to http://a --log jsn",
    ];
    insta::assert_snapshot!(texts.map(refused).join("---\n"));
}

#[test]
fn run_needs_to_know_where_requests_go() {
    let texts = [
        "run",
        "run --config a.yaml --to http://127.0.0.1:1",
        "run --config a.yaml --listen 127.0.0.1:1",
        "run --to 3000",
        "run --to http://127.0.0.1:1 --listen 8080",
    ];
    insta::assert_snapshot!(texts.map(refused).join("---\n"));
}

#[test]
fn what_is_not_built_is_refused_as_unknown() {
    assert_eq!(
        parse("help").unwrap_err().kind(),
        ErrorKind::InvalidSubcommand
    );
}

#[test]
fn what_was_typed_arrives() {
    let line = "run --to http://127.0.0.1:1 --listen 0.0.0.0:1 --admin off --service shop -q \
                --log json --log-level debug --color never";
    let Some(Command::Run(run)) = parse(line).unwrap().command else {
        panic!("another command");
    };
    assert_eq!(run.to.unwrap().as_str(), "http://127.0.0.1:1");
    assert!(run.output.quiet && !run.print_spans);
    assert!(parse("demo --no-traffic").is_ok());
    assert!(parse("run --config a.yaml --print-spans").is_ok());
    assert!(parse("run --config a.yaml --print-spans --quiet").is_err());
}

#[test]
fn spans_are_printed_where_somebody_reads_them() {
    let check = |line: &str, is_terminal, expected| {
        let Some(Command::Run(run)) = parse(line).unwrap().command else {
            panic!("another command");
        };
        assert_eq!(run.prints_spans(is_terminal), expected, "{line}");
    };
    check("run --to http://a", true, true);
    check("run --to http://a", false, true);
    check("run --to http://a --quiet", true, false);
    check("run --config a.yaml", true, true);
    check("run --config a.yaml", false, false);
    check("run --config a.yaml --print-spans", false, true);
}

#[test]
fn completions_ask_the_program_for_words() {
    use super::args::Shell::{Bash, Fish, Zsh};
    for (shell, name) in [(Bash, "bash"), (Zsh, "zsh"), (Fish, "fish")] {
        let script = completions::script(shell);
        assert!(
            script.contains("EDGESPAN_COMPLETE") && script.contains(name),
            "{script}"
        );
    }
}

#[test]
fn every_command_has_a_manual_page_with_its_examples() {
    let pages = super::man::pages();
    let names: Vec<_> = pages.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.first(), Some(&"edgespan.1"));
    for name in [
        "edgespan-run.1",
        "edgespan-trace.1",
        "edgespan-trace-find.1",
    ] {
        let page = pages.iter().find(|(other, _)| other == name);
        let (_, text) = page.unwrap_or_else(|| panic!("{name} in {names:?}"));
        assert!(
            text.contains("Examples:") && text.contains("Exit:"),
            "{text}"
        );
        // However this program was started.
        assert!(!text.contains("target/"), "{text}");
    }
}
