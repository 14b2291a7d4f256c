//! One line on the terminal while a run takes long: a bar, and which step it is at.

use super::{ProbeArgs, steps};
use crate::cli::style::{Surface, process_variable};
use crate::cli::{Console, escape, say};
use crate::clock;
use crate::probe::{Outcome, Plan, Progress, Runner};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// What is over sooner needs no line.
const QUIET_FOR: Duration = Duration::from_millis(400);
/// How often the line is written anew.
const STEP: Duration = Duration::from_millis(100);
/// Cells of the bar at most.
const CELLS_MAX: usize = 20;

/// Runs, with a line on stderr where a person watches it.
pub(super) async fn shown(
    runner: &Runner,
    plan: &Plan,
    args: &ProbeArgs,
    console: &Console,
) -> Outcome {
    let says = |name: &str| process_variable(name).filter(|value| !value.is_empty());
    let is_dumb = says("TERM").as_deref() == Some("dumb");
    let watched = console.stderr.is_terminal && !args.json && !args.quiet;
    if !watched || is_dumb || says("CI").is_some() {
        return runner.run(plan, &mut |_| {}).await;
    }
    let at = AtomicUsize::new(0);
    let mut tell = |progress: Progress<'_>| {
        if let Progress::Began(step) = progress {
            at.store(step, Ordering::Relaxed);
        }
    };
    let began = clock::instant();
    let mut ticks = interval(STEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_shown = false;
    let outcome = {
        let mut running = std::pin::pin!(runner.run(plan, &mut tell));
        loop {
            tokio::select! {
                outcome = &mut running => break outcome,
                _ = ticks.tick() => {
                    let past = began.elapsed();
                    if past >= QUIET_FOR {
                        is_shown = true;
                        let step = at.load(Ordering::Relaxed);
                        say(&format!("\r\u{1b}[K{}", line(plan, step, past, &console.stderr)));
                    }
                }
            }
        }
    };
    if is_shown {
        say("\r\u{1b}[K");
    }
    outcome
}

/// `checkout ████░░░░ 2 of 5 steps  log in  1.2 s (Ctrl-C stops)`.
pub(super) fn line(plan: &Plan, at: usize, past: Duration, surface: &Surface) -> String {
    let columns = surface.columns().saturating_sub(1);
    let total = plan.steps.len().max(1);
    let cells = CELLS_MAX.min(columns / 4);
    let full = cells * at / total;
    let [.., whole] = surface.glyphs.eighths;
    let bar = format!("{}{}", whole.repeat(full), ".".repeat(cells - full));
    let name = plan.steps.get(at).map_or("", |step| step.name.as_str());
    let text = format!(
        "{} {bar} {} of {}  {}  {:.1} s (Ctrl-C stops)",
        plan.name,
        at + 1,
        steps(total),
        escape::shown(name),
        past.as_secs_f64()
    );
    surface.cut(&text, columns)
}
