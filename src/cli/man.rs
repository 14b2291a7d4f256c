//! `edgespan man`: manual pages, made of the same words as `--help`.

use super::answer;
use super::args::Grammar;
use super::failure::{ExitStatus, Failure};
use crate::telemetry::plain_io;
use clap_mangen::Man;
use std::path::{Path, PathBuf};

/// `edgespan man`.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ManArgs {
    /// Write the pages of all commands into this folder
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// Prints the page of the whole program, or writes all of them: `edgespan.1`,
/// `edgespan-trace-find.1` and so on. Pages of this very program that are there are replaced.
///
/// # Errors
/// If they cannot be written.
pub fn run(args: &ManArgs) -> Result<(), Failure> {
    let pages = pages();
    match &args.out {
        None => answer(pages.first().map_or("", |(_, text)| text)),
        Some(folder) => {
            let made = std::fs::create_dir_all(folder);
            made.map_err(|error| failed(folder, &error))?;
            for (name, text) in pages {
                let path = folder.join(name);
                std::fs::write(&path, text).map_err(|error| failed(&path, &error))?;
            }
            Ok(())
        }
    }
}

fn failed(path: &Path, error: &std::io::Error) -> Failure {
    let message = format!("cannot write {}: {}", path.display(), plain_io(error));
    Failure::new(ExitStatus::Failed, message)
}

/// Every page and the name of its file, that of the whole program first.
/// They call it by its name, however it was started.
pub fn pages() -> Vec<(String, String)> {
    let mut command = Grammar::new(None, 80).command();
    command.build();
    let mut pages = Vec::new();
    add(&command, "edgespan".to_owned(), &mut pages);
    pages
}

fn add(command: &clap::Command, name: String, pages: &mut Vec<(String, String)>) {
    for_each_below(command, &name, pages);
    let page = Man::new(command.clone());
    let mut text = Vec::new();
    // Into memory nothing fails.
    page.render(&mut text).unwrap_or_default();
    pages.insert(
        0,
        (
            format!("{name}.1"),
            String::from_utf8_lossy(&text).into_owned(),
        ),
    );
}

fn for_each_below(command: &clap::Command, name: &str, pages: &mut Vec<(String, String)>) {
    let below = command.get_subcommands().filter(|one| !one.is_hide_set());
    for one in below.filter(|one| one.get_name() != "help") {
        add(one, format!("{name}-{}", one.get_name()), pages);
    }
}
