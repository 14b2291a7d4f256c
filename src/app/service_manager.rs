//! What systemd is told: ready, reloading, stopping, and that the loop still turns (sd_notify(3)).
//!
//! Where no service manager listens (`NOTIFY_SOCKET`), all of it is nothing.

use sd_notify::{NotifyState, notify};
use std::time::Duration;
use tracing::{debug, warn};

/// Requests are taken. `is_new`: this process took over from another one.
pub fn ready(is_new: bool, status: &str) {
    let state = [NotifyState::Ready, NotifyState::Status(status)];
    if is_new {
        tell(&[NotifyState::MainPid(std::process::id())]);
    }
    tell(&state);
}

/// The configuration is read anew. Has to be followed by [`ready`], whatever comes of it.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => debug!(%error, "the service manager cannot be told"),
    }
}

/// The end has begun.
pub fn stopping(status: &str) {
    tell(&[NotifyState::Stopping, NotifyState::Status(status)]);
}

/// Tells the watchdog, if there is one, twice in each of its periods that tasks still get their
/// turn: each time by a task that is made for it.
pub async fn watchdog() {
    let Some(period) = sd_notify::watchdog_enabled() else {
        return;
    };
    let mut turn = tokio::time::interval(half(period));
    loop {
        turn.tick().await;
        if tokio::spawn(async {}).await.is_ok() {
            tell(&[NotifyState::Watchdog]);
        }
    }
}

fn half(period: Duration) -> Duration {
    (period / 2).max(Duration::from_millis(1))
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = notify(state) {
        warn!(%error, "the service manager cannot be told");
    }
}
