//! A line for who waits: `searching tempo … 2.1 s (Ctrl-C stops)`.
//!
//! Only on a terminal, only after a moment, and gone when what was waited for is there.

use crate::cli::say;
use crate::cli::style::{Surface, process_variable};
use crate::clock;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// A wait that is no longer than this is not mentioned.
const MENTIONED_AFTER: Duration = Duration::from_millis(400);
/// How often the line is written anew.
const STEP: Duration = Duration::from_millis(100);

/// Whether somebody watches who would want such a line.
pub fn is_watched(stderr: &Surface) -> bool {
    let says = |name: &str| process_variable(name).filter(|value| !value.is_empty());
    stderr.is_terminal && says("CI").is_none() && says("TERM").as_deref() != Some("dumb")
}

/// Waits for `work`; meanwhile `line` says what for, told how long it has been.
pub async fn told<T>(
    is_watched: bool,
    line: impl Fn(Duration) -> String,
    work: impl Future<Output = T>,
) -> T {
    if !is_watched {
        return work.await;
    }
    let began = clock::instant();
    let mut steps = interval(STEP);
    steps.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_shown = false;
    tokio::pin!(work);
    let done = loop {
        tokio::select! {
            done = &mut work => break done,
            _ = steps.tick() => {
                let elapsed = began.elapsed();
                if elapsed >= MENTIONED_AFTER {
                    is_shown = true;
                    say(&format!("\r\u{1b}[K{}", line(elapsed)));
                }
            }
        }
    };
    if is_shown {
        say("\r\u{1b}[K");
    }
    done
}
