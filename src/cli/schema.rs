//! `edgespan schema`: the JSON Schema of the configuration or of an answer, or the reference made
//! from it.

use super::trace;
use crate::config;
use schemars::Schema;
use std::io::{self, Write};

/// What `schema` is asked for.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct SchemaArgs {
    /// Print the reference of all keys as Markdown
    #[arg(long, conflicts_with_all = ["errors", "answer"])]
    pub markdown: bool,
    /// Print the reference of all errors and warnings as Markdown
    #[arg(long, conflicts_with = "answer")]
    pub errors: bool,
    /// Print the schema of what a command answers with --json, or of a probe's file
    #[arg(long = "for", value_name = "WHAT")]
    pub answer: Option<Answer>,
}

/// What has a schema: answers of commands that know `--json`, and the file of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Answer {
    /// trace find: one array
    Find,
    /// trace show: one document
    Show,
    /// trace tail: an object a line
    Tail,
    /// check: one array
    Check,
    /// explain: one document
    Explain,
    /// verify: one document; with --every one a line
    Verify,
    /// probe: one document
    Probe,
    /// probe: its file
    ProbeFile,
}

impl Answer {
    /// JSON Schema of the answer, draft 2020-12.
    pub fn schema(self) -> Schema {
        match self {
            Self::Find => trace::json::find_schema(),
            Self::Show => trace::json::show_schema(),
            Self::Tail => trace::json::tail_schema(),
            Self::Check => config::report_schema(),
            Self::Explain => super::explain::schema(),
            Self::Verify => super::verify::schema(),
            Self::Probe => super::probe::schema(),
            Self::ProbeFile => config::probe_schema(),
        }
    }
}

/// Writes the schema, or the reference that was asked for.
///
/// # Errors
/// If `stdout` cannot be written to.
pub fn run(args: &SchemaArgs, stdout: &mut dyn Write) -> io::Result<()> {
    if args.markdown {
        stdout.write_all(config::reference_markdown().as_bytes())?;
    } else if args.errors {
        stdout.write_all(config::errors_markdown().as_bytes())?;
    } else if let Some(answer) = args.answer {
        writeln!(stdout, "{:#}", answer.schema().as_value())?;
    } else {
        writeln!(stdout, "{:#}", config::schema())?;
    }
    stdout.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::CommandLine;
    use clap::{Command, CommandFactory as _, ValueEnum as _};

    /// Names of the commands with `--json`, by their last word.
    fn answering(command: &Command) -> Vec<String> {
        let has_json = command
            .get_arguments()
            .any(|one| one.get_long() == Some("json"));
        let own = has_json.then(|| command.get_name().to_owned());
        let below = command.get_subcommands().flat_map(answering);
        own.into_iter().chain(below).collect()
    }

    #[test]
    fn every_answer_for_machines_has_a_schema() {
        let known: Vec<String> = Answer::value_variants()
            .iter()
            .filter_map(|one| Some(one.to_possible_value()?.get_name().to_owned()))
            .collect();
        let commands = answering(&CommandLine::command());
        assert!(commands.len() >= 7, "{commands:?}");
        for command in commands {
            assert!(known.contains(&command), "{command}");
        }
        for answer in Answer::value_variants() {
            let schema = answer.schema().to_value();
            assert!(schema["$schema"].is_string(), "{answer:?}");
        }
    }
}
