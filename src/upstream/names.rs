//! An upstream hears of the addresses of its names.

use super::balance::Membership;
use super::cluster::Cluster;
use super::resolve::{self, Listen, LookupError, Lookups, Question, Target};
use crate::telemetry::metrics::LookupResult;
use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, Weak};
use tracing::{info, warn};

impl Cluster {
    /// Begins to ask for names.
    pub(super) fn resolve(self: &Arc<Self>, questions: Vec<(usize, Question)>) {
        let lookups = Arc::new(Lookups::new(self.settings.dns.clone()));
        for (place, question) in questions {
            let listener = Listener {
                cluster: Arc::downgrade(self),
                place,
                name: Arc::clone(question.name()),
                failing: AtomicBool::new(false),
            };
            let over = self.over.clone();
            resolve::spawn(Arc::clone(&lookups), question, listener, over);
        }
    }

    /// Takes in what became of a question for the name at `place`. Gives the number of endpoints
    /// of that name that there are now.
    fn answered(&self, place: usize, answer: Result<Vec<Target>, LookupError>) -> usize {
        if let Some(counts) = &self.counts {
            counts.looked_up(match &answer {
                Ok(_) => LookupResult::Answer,
                Err(error) if error.is_negative() => LookupResult::Negative,
                Err(_) => LookupResult::Error,
            });
        }
        let mut roster = self.roster.lock().unwrap_or_else(PoisonError::into_inner);
        let there = match answer {
            Ok(targets) => {
                if roster.resolved(place, &targets, &self.maker) {
                    let membership = Membership::new(roster.members(), &self.settings.balance);
                    let generation = self.changes.fetch_add(1, Ordering::AcqRel) + 1;
                    self.put(Arc::new(membership), generation);
                }
                targets.len()
            }
            Err(error) => roster.unresolved(place, error),
        };
        drop(roster);
        self.answers.notify_waiters();
        there
    }
}

/// Hears of one name's answers.
struct Listener {
    cluster: Weak<Cluster>,
    place: usize,
    name: Arc<str>,
    failing: AtomicBool,
}

impl Listen for Listener {
    fn answered(&self, answer: Result<Vec<Target>, LookupError>) -> bool {
        let Some(cluster) = self.cluster.upgrade() else {
            return false;
        };
        let failed = answer.as_ref().err().map(told);
        let there = cluster.answered(self.place, answer);
        let (upstream, name) = (&*cluster.settings.name, &*self.name);
        let before = self.failing.swap(failed.is_some(), Ordering::Relaxed);
        match failed {
            // Once, and not at every repetition.
            Some(error) if !before => warn!(
                upstream,
                name,
                error,
                endpoints_kept = there,
                "a name cannot be resolved"
            ),
            None if before => info!(
                upstream,
                name,
                endpoints = there,
                "a name is resolved again"
            ),
            Some(_) | None => {}
        }
        true
    }
}

/// An error with its cause, in one line.
fn told(error: &LookupError) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
