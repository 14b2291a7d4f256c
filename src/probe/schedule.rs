//! Probes that run again and again.

use super::outcome::Outcome;
use super::plan::Plan;
use super::runner::Runner;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval_at};

/// Before the first run: what is asked may have to start, too.
const FIRST_AFTER: Duration = Duration::from_secs(1);

/// A probe and how often it runs.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// The probe.
    pub plan: Arc<Plan>,
    /// From the beginning of one run to that of the next.
    pub every: Duration,
}

impl Schedule {
    /// Runs it again and again, and tells what came of each run. Never ends by itself; a run that
    /// takes longer than the time between two is waited for.
    pub async fn run(self, runner: Runner, tell: impl Fn(&Plan, &Outcome) + Send) {
        // Replicas that start together spread over the time between two runs, up to a second.
        let spread = self.every.min(Duration::from_secs(1));
        let first = FIRST_AFTER.min(self.every) + spread.mul_f64(fastrand::f64());
        let mut ticks = interval_at(crate::clock::instant() + first, self.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let outcome = runner.run(&self.plan, &mut |_| {}).await;
            tell(&self.plan, &outcome);
        }
    }
}
