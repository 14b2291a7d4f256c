//! What a person sees: commands, start-up lines, trees of spans, failures.
//!
//! stdout is the answer, stderr all else. A closed pipe ends in silence.

pub mod addresses;
pub mod args;
pub mod banner;
pub mod bar;
pub mod branch;
pub mod check;
pub mod completions;
pub mod demo;
pub mod duration;
pub mod escape;
pub mod exec;
pub mod explain;
pub mod failure;
mod help;
pub mod http_url;
pub mod job;
pub mod junit;
pub mod layout;
pub mod man;
pub mod open_line;
pub mod probe;
pub mod reach;
mod reader;
mod reloads;
pub mod run;
pub mod runtime;
pub mod schema;
mod serve;
pub mod span;
pub mod style;
mod takeover;
pub mod terminal;
pub mod trace;
pub mod trust;
pub mod verify;

#[cfg(test)]
mod holds;
#[cfg(test)]
mod tests;

use crate::config::Environment;
use args::{Command, Grammar};
use failure::{ExitStatus, Failure};
use open_line::OpenLine;
use std::ffi::OsString;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;
use style::{ColourChoice, Surface, process_variable};

/// Where a command writes, and by which name it was called.
#[derive(Clone, Debug)]
pub struct Console {
    /// Standard output: the answer.
    pub stdout: Surface,
    /// Standard error: all else.
    pub stderr: Surface,
    /// The binary as it was started, for hints.
    pub program: String,
    /// Whether a line on the terminal waits for its end.
    pub open_line: OpenLine,
}

/// The whole program: parses, runs, tells what failed.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if let Some(code) = completions::asked(&arguments) {
        return code;
    }
    // Usage errors have colour, too, and they come before the flags have been read.
    let early = Surface::stdout(early_choice(&arguments), &process_variable);
    let grammar = Grammar::new(arguments.first(), early.columns());
    let parsed = match grammar.parse(&arguments) {
        Ok(parsed) => parsed,
        Err(error) => return told_by_clap(&error, early_choice(&arguments)),
    };
    let console = Console {
        stdout: Surface::stdout(parsed.color, &process_variable),
        stderr: Surface::stderr(parsed.color, &process_variable),
        program: grammar.program.clone(),
        open_line: OpenLine::default(),
    };
    match dispatch(parsed.command, &grammar, &console) {
        Ok(code) => code,
        Err(failure) => {
            say(&failure.render(&console.stderr));
            failure.exit_code()
        }
    }
}

/// The exit code, which is its own only with `exec`.
fn dispatch(
    command: Option<Command>,
    grammar: &Grammar,
    console: &Console,
) -> Result<ExitCode, Failure> {
    let done = match command {
        Some(Command::Exec(args)) => return exec::run(&args, console),
        Some(Command::Span(args)) => span::run(&args, console),
        None => answer(&grammar.overview()),
        Some(Command::Run(args)) => run::run(&args, console),
        Some(Command::Demo(args)) => run::demo(&args, console),
        Some(Command::Check(args)) => checked(&args, console),
        Some(Command::Explain(args)) => explained(&args, console),
        Some(Command::Verify(args)) => verify::run(&args, console),
        Some(Command::Probe(args)) => probe::run(&args, console),
        Some(Command::Schema(args)) => written(schema::run(&args, &mut io::stdout().lock())),
        Some(Command::Trace(args)) => trace::run(&args, console),
        Some(Command::Man(args)) => man::run(&args),
        Some(Command::Completions(args)) => answer(&completions::script(args.shell)),
    };
    done.map(|()| ExitCode::SUCCESS)
}

fn checked(args: &check::CheckArgs, console: &Console) -> Result<(), Failure> {
    let environment = Environment::of_process();
    let look = console.stdout.look();
    let (mut stdout, mut stderr) = (io::stdout().lock(), io::stderr().lock());
    match check::run(args, &environment, look, &mut stdout, &mut stderr) {
        Ok(code) => ExitStatus::of_code(code).map_or(Ok(()), |status| Err(Failure::told(status))),
        Err(error) => written(Err(error)),
    }
}

fn explained(args: &explain::ExplainArgs, console: &Console) -> Result<(), Failure> {
    let environment = Environment::of_process();
    let (mut stdin, mut stdout) = (io::stdin().lock(), io::stdout().lock());
    let mut stderr = io::stderr().lock();
    let surface = &console.stdout;
    explain::run(
        args,
        &environment,
        surface,
        &mut stdin,
        &mut stdout,
        &mut stderr,
    )
}

/// A reader that has gone is no failure: it has seen enough.
fn written(result: io::Result<()>) -> Result<(), Failure> {
    match result {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::new(ExitStatus::Failed, "cannot write to standard output").because(error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Writes an answer to stdout. A reader that has gone is no failure: it has seen enough.
///
/// # Errors
/// If stdout takes it for any other reason not.
pub fn answer(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    written(
        stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush()),
    )
}

/// Writes to stderr; if that cannot be done there is nobody left to tell.
pub fn say(text: &str) {
    io::stderr()
        .lock()
        .write_all(text.as_bytes())
        .unwrap_or_default();
}

/// Help and version are answers; everything else that clap tells is wrong usage.
fn told_by_clap(error: &clap::Error, choice: ColourChoice) -> ExitCode {
    let rendered = error.render();
    let text = |surface: Surface| {
        if surface.paint.is_on() {
            rendered.ansi().to_string()
        } else {
            rendered.to_string()
        }
    };
    if error.use_stderr() {
        say(&text(Surface::stderr(choice, &process_variable)));
        return ExitCode::from(ExitStatus::Usage.code());
    }
    match answer(&text(Surface::stdout(choice, &process_variable))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say(&failure.render(&Surface::stderr(choice, &process_variable)));
            failure.exit_code()
        }
    }
}

/// `--color` as far as it can be told before the command line has been understood.
fn early_choice(arguments: &[OsString]) -> ColourChoice {
    let words = || arguments.iter().filter_map(|word| word.to_str());
    let after_flag = words().skip_while(|word| *word != "--color").nth(1);
    let joined = words().find_map(|word| word.strip_prefix("--color="));
    let variable = process_variable("EDGESPAN_COLOR");
    match joined.or(after_flag).or(variable.as_deref()) {
        Some("always") => ColourChoice::Always,
        Some("never") => ColourChoice::Never,
        Some(_) | None => ColourChoice::Auto,
    }
}
