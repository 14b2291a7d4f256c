//! One line on the terminal while a run takes long.

use super::super::style::process_variable;
use super::super::{Console, say};
use super::VerifyArgs;
use crate::clock;
use crate::verify::report::Report;
use crate::verify::run::Run;
use std::time::Duration;

/// What is over sooner needs no line.
const QUIET_FOR: Duration = Duration::from_millis(400);
/// How often the line is written anew.
const STEP: Duration = Duration::from_millis(100);

/// Runs, with a line on stderr where a person watches it.
pub(super) async fn shown(run: &Run, args: &VerifyArgs, console: &Console) -> Report {
    let says = |name: &str| process_variable(name).is_some_and(|value| !value.is_empty());
    let is_dumb = process_variable("TERM").is_some_and(|value| value == "dumb");
    let watched = console.stderr.is_terminal && !args.json && !args.quiet;
    if !watched || is_dumb || says("CI") {
        return run.run().await;
    }
    let began = clock::instant();
    let host = run.sender.url.host_str().unwrap_or_default();
    let mut running = std::pin::pin!(run.run());
    let mut steps = tokio::time::interval(STEP);
    let mut width = 0;
    let report = loop {
        tokio::select! {
            report = &mut running => break report,
            _ = steps.tick() => {
                let past = began.elapsed();
                if past >= QUIET_FOR {
                    let line = format!("verifying {host} {:.1} s (Ctrl-C stops)", past.as_secs_f64());
                    let line = console.stderr.cut(&line, console.stderr.columns().saturating_sub(1));
                    width = width.max(line.chars().count());
                    say(&format!("\r{line}"));
                }
            }
        }
    };
    if width > 0 {
        say(&format!("\r{}\r", " ".repeat(width)));
    }
    report
}
