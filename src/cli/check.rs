//! `edgespan check`: every problem of a configuration file in one go.

use crate::config::{self, Code, Environment, Look, Overrides, Report, Severity};
use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::PathBuf;

/// Everything is right, or only warned of.
const EXIT_RIGHT: u8 = 0;
/// Wrong usage.
const EXIT_USAGE: u8 = 64;
/// The configuration is refused.
pub(super) const EXIT_REFUSED: u8 = 78;

/// What `check` is asked for.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct CheckArgs {
    /// Configuration file
    #[arg(value_name = "FILE", required_unless_present = "explain")]
    pub file: Option<PathBuf>,
    /// Print the problems as a JSON array
    #[arg(long)]
    pub json: bool,
    /// Show all problems instead of the first 20
    #[arg(long)]
    pub all: bool,
    /// Explain a problem by its id, such as E0101; without an id, explain those of FILE
    #[arg(long, value_name = "ID", num_args = 0..=1, default_missing_value = "")]
    pub explain: Option<String>,
}

/// Checks a file; the report is the answer and goes to `stdout`. Gives the exit code: 0, or 78 if
/// the file is refused, or 64 if an id does not exist.
///
/// # Errors
/// If a stream cannot be written to.
pub fn run(
    args: &CheckArgs,
    environment: &Environment,
    look: Look,
    stdout: &mut dyn Write,
    stderr: &mut dyn Write,
) -> io::Result<u8> {
    if let Some(id) = args.explain.as_deref().filter(|id| !id.is_empty()) {
        return explain(id, stdout, stderr);
    }
    let Some(file) = &args.file else {
        writeln!(stderr, "error: check needs a file, or `--explain ID`")?;
        return Ok(EXIT_USAGE);
    };
    let (report, code) = match config::load(file, environment, &Overrides::default()) {
        Ok(loaded) => (loaded.warnings, EXIT_RIGHT),
        Err(refused) => (refused.report, EXIT_REFUSED),
    };
    if args.json {
        writeln!(stdout, "{:#}", report.to_json())?;
        return Ok(code);
    }
    let look = Look {
        all: args.all,
        ..look
    };
    stdout.write_all(told(&report, look, code).as_bytes())?;
    if args.explain.is_some() {
        stdout.write_all(explanations(&report).as_bytes())?;
    }
    stdout.flush()?;
    Ok(code)
}

/// The problems and the last line.
pub(super) fn told(report: &Report, look: Look, code: u8) -> String {
    let mut out = report.render(look);
    if code == EXIT_REFUSED {
        out.push_str(&report.summary());
    } else {
        out.push_str(report.name());
        out.push_str(": ");
        out.push_str("no errors");
        if let Some(warnings) = report.counts() {
            out.push_str(&format!(", {warnings}"));
        }
    }
    out.push('\n');
    out
}

/// What each kind of problem in a report means, once.
fn explanations(report: &Report) -> String {
    let mut told: Vec<Code> = Vec::new();
    let mut out = String::new();
    for diagnostic in report.diagnostics() {
        if !told.contains(&diagnostic.code) {
            told.push(diagnostic.code);
            out.push('\n');
            out.push_str(&explanation(diagnostic.code));
        }
    }
    out
}

fn explain(id: &str, stdout: &mut dyn Write, stderr: &mut dyn Write) -> io::Result<u8> {
    let Some(code) = Code::by_id(id) else {
        let first = Code::ALL.first().map_or("", |code| code.id());
        let last = Code::ALL.last().map_or("", |code| code.id());
        writeln!(
            stderr,
            "error: there is no `{id}`; ids run from {first} to {last}"
        )?;
        return Ok(EXIT_USAGE);
    };
    stdout.write_all(explanation(code).as_bytes())?;
    stdout.flush()?;
    Ok(EXIT_RIGHT)
}

fn explanation(code: Code) -> String {
    let severity = match code.severity() {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let mut out = format!("{} ({severity}): {}\n", code.id(), code.title());
    let mut line = String::new();
    for word in code.explanation().split(' ') {
        if !line.is_empty() && line.chars().count() + word.chars().count() + 1 > 78 {
            // Writing to a string cannot fail.
            writeln!(out, "  {line}").unwrap_or_default();
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    writeln!(out, "  {line}").unwrap_or_default();
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::holds;
    use clap::Parser;
    use std::fs;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        check: CheckArgs,
    }

    /// Exit code, stdout and stderr of `check` with these arguments.
    fn checked(arguments: &[&str]) -> (u8, String, String) {
        let line = Line::try_parse_from(std::iter::once(&"check").chain(arguments)).unwrap();
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let environment = Environment::default();
        let code = run(
            &line.check,
            &environment,
            Look::default(),
            &mut stdout,
            &mut stderr,
        );
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (code.unwrap(), text(stdout), text(stderr))
    }

    fn file(text: &str) -> (tempfile::TempDir, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("edgespan.yaml");
        fs::write(&path, text).unwrap();
        let name = path.to_str().unwrap().to_owned();
        (folder, name)
    }

    #[test]
    fn a_right_file_exits_with_zero_and_says_so() {
        let (_folder, name) = file("listeners: {web: {address: \"127.0.0.1:0\"}}");

        let (code, stdout, stderr) = checked(&[&name]);

        assert_eq!((code, stderr.as_str()), (0, ""));
        assert_eq!(stdout, format!("{name}: no errors\n"));
    }

    #[test]
    fn a_wrong_file_exits_with_78_and_is_told_in_both_forms() {
        let (_folder, name) = file("listeners: {web: {adress: \"127.0.0.1:0\"}}");

        let (code, told, _) = checked(&[&name]);
        let (json_code, json, _) = checked(&["--json", &name]);

        assert_eq!((code, json_code), (78, 78));
        assert!(told.ends_with(&format!("{name}: 1 error; nothing was started (exit 78)\n")));
        let json = holds::check(&json, config::report_schema());
        assert_eq!(json[0]["id"], "E0101");
        assert_eq!(json[0]["replacement"], "address");
    }

    #[test]
    fn a_file_that_does_not_exist_is_one_error_in_words() {
        let (code, stdout, _) = checked(&["/nowhere/edgespan.yaml"]);

        assert_eq!(code, 78);
        assert_eq!(
            stdout,
            "error: cannot read /nowhere/edgespan.yaml: it does not exist\n\
             /nowhere/edgespan.yaml: 1 error; nothing was started (exit 78)\n"
        );
    }

    #[test]
    fn an_id_is_explained_with_and_without_a_file() {
        let (_folder, name) = file("listeners: {web: {adress: \"127.0.0.1:0\"}}");

        let (code, alone, _) = checked(&["--explain", "e0101"]);
        let (_, with_file, _) = checked(&[&name, "--explain"]);
        let (unknown, _, stderr) = checked(&["--explain", "E9999"]);

        assert_eq!(code, 0);
        assert!(alone.starts_with("E0101 (error): A key that does not exist.\n"));
        assert!(alone.lines().all(|line| line.chars().count() <= 80));
        assert!(with_file.ends_with(&alone), "{with_file}");
        assert_eq!(unknown, 64);
        assert!(stderr.starts_with("error: there is no `E9999`"), "{stderr}");
    }
}
