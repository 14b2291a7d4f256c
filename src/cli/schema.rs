//! `edgespan schema`: the JSON Schema of the configuration, or the reference made from it.

use crate::config;
use std::io::{self, Write};

/// What `schema` is asked for.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct SchemaArgs {
    /// Print the reference of all keys as Markdown
    #[arg(long, conflicts_with = "errors")]
    pub markdown: bool,
    /// Print the reference of all errors and warnings as Markdown
    #[arg(long)]
    pub errors: bool,
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
    } else {
        writeln!(stdout, "{:#}", config::schema())?;
    }
    stdout.flush()
}
