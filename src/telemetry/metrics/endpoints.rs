//! How many endpoints upstreams have, in which condition, and what became of their names.

use super::exposition::{Exposition, Family, Kind};
use super::series::{SeriesTable, hash_labels};
use super::tally::Tally;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Upstreams come from the configuration; over reloads more of them may pass by than it holds at a
/// time.
const NAMES_MAX: usize = 1_024;

/// The condition of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointCondition {
    /// It gets requests.
    Available,
    /// Active checks say that it is ill.
    Unhealthy,
    /// Outlier detection keeps requests away.
    Ejected,
    /// A name without any address.
    Unresolved,
}

/// What became of a question for a name's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookupResult {
    /// Addresses.
    Answer,
    /// The name has none.
    Negative,
    /// No answer, or none that helps.
    Error,
}

impl EndpointCondition {
    /// Every condition, in the order of [`EndpointGauges::set`].
    pub const ALL: [Self; 4] = [
        Self::Available,
        Self::Unhealthy,
        Self::Ejected,
        Self::Unresolved,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Unhealthy => "unhealthy",
            Self::Ejected => "ejected",
            Self::Unresolved => "unresolved",
        }
    }
}

impl LookupResult {
    const ALL: [Self; 3] = [Self::Answer, Self::Negative, Self::Error];

    const fn name(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Negative => "negative",
            Self::Error => "error",
        }
    }
}

/// Endpoints of all upstreams.
pub(super) struct EndpointMetrics {
    upstreams: SeriesTable<Arc<EndpointCounts>>,
}

struct EndpointCounts {
    name: Arc<str>,
    /// Who tells; numbers of an upstream that was replaced come late and do not count.
    owner: AtomicU64,
    conditions: [AtomicU64; 4],
    panic: AtomicU64,
    picked_in_panic: AtomicU64,
    lookups: Tally<{ LookupResult::ALL.len() }>,
}

/// Where one upstream at work tells of its endpoints, once it is the one in force. Dropping it
/// takes its numbers away.
pub struct EndpointGauges {
    counts: Arc<EndpointCounts>,
    /// Zero until it is in force.
    owner: AtomicU64,
}

impl EndpointGauges {
    /// From here on this tells, and nobody before it. A reload that fails has made upstreams, too,
    /// which never come that far.
    pub fn claim(&self) {
        let owner = self.counts.owner.fetch_add(1, Ordering::Relaxed) + 1;
        self.owner.store(owner, Ordering::Relaxed);
    }

    /// How many there are in each condition, and whether all are used because too few are well.
    pub fn set(&self, conditions: [usize; 4], panic: bool) {
        let owner = self.owner.load(Ordering::Relaxed);
        if owner == 0 || owner != self.counts.owner.load(Ordering::Relaxed) {
            return;
        }
        for (place, count) in self.counts.conditions.iter().zip(conditions) {
            place.store(count as u64, Ordering::Relaxed);
        }
        self.counts.panic.store(panic.into(), Ordering::Relaxed);
    }

    /// An endpoint was chosen without regard to whether it is available.
    pub fn picked_in_panic(&self) {
        self.counts.picked_in_panic.fetch_add(1, Ordering::Relaxed);
    }

    /// A name was asked for.
    pub fn looked_up(&self, result: LookupResult) {
        self.counts.lookups.count(result as usize);
    }
}

impl Drop for EndpointGauges {
    fn drop(&mut self) {
        self.set([0; 4], false);
    }
}

impl EndpointMetrics {
    pub(super) fn new() -> Self {
        Self {
            upstreams: SeriesTable::new(NAMES_MAX),
        }
    }

    pub(super) fn of(&self, upstream: &Arc<str>) -> Option<EndpointGauges> {
        let made = || {
            Arc::new(EndpointCounts {
                name: Arc::clone(upstream),
                owner: AtomicU64::new(0),
                conditions: Default::default(),
                panic: AtomicU64::new(0),
                picked_in_panic: AtomicU64::new(0),
                lookups: Tally::default(),
            })
        };
        let is = |held: &Arc<EndpointCounts>| *held.name == **upstream;
        let counts = self
            .upstreams
            .find_or_insert(hash_labels(&**upstream), is, made)?;
        Some(EndpointGauges {
            counts: Arc::clone(counts),
            owner: AtomicU64::new(0),
        })
    }

    pub(super) fn render(&self, page: &mut Exposition) {
        page.family(Family {
            name: "edgespan_upstream_endpoints",
            kind: Kind::Gauge,
            help: "Endpoints of upstreams by condition.",
        });
        for counts in self.upstreams.iter() {
            for (condition, count) in EndpointCondition::ALL.iter().zip(&counts.conditions) {
                page.sample(
                    &[("upstream", &counts.name), ("state", condition.name())],
                    count.load(Ordering::Relaxed),
                );
            }
        }
        page.family(Family {
            name: "edgespan_upstream_panic",
            kind: Kind::Gauge,
            help: "1 while all endpoints are used because too few are available.",
        });
        for counts in self.upstreams.iter() {
            page.sample(
                &[("upstream", &counts.name)],
                counts.panic.load(Ordering::Relaxed),
            );
        }
        page.family(Family {
            name: "edgespan_upstream_panic_picks",
            kind: Kind::Counter,
            help: "Endpoints chosen without regard to whether they are available.",
        });
        for counts in self.upstreams.iter() {
            page.sample(
                &[("upstream", &counts.name)],
                counts.picked_in_panic.load(Ordering::Relaxed),
            );
        }
        page.family(Family {
            name: "edgespan_upstream_lookups",
            kind: Kind::Counter,
            help: "Questions for the addresses of names, by what came of them.",
        });
        for counts in self.upstreams.iter() {
            for result in LookupResult::ALL {
                let labels = [("upstream", &*counts.name), ("result", result.name())];
                page.sample(&labels, counts.lookups.of(result as usize));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_that_was_replaced_does_not_speak_for_the_new_one() {
        let metrics = EndpointMetrics::new();
        let name: Arc<str> = Arc::from("content");
        let old = metrics.of(&name).unwrap();
        old.claim();
        old.set([3, 0, 0, 0], false);
        let new = metrics.of(&name).unwrap();
        new.claim();
        new.set([2, 0, 0, 0], false);

        old.set([3, 0, 0, 0], true);
        drop(old);

        assert_eq!(new.counts.conditions[0].load(Ordering::Relaxed), 2);
        assert_eq!(new.counts.panic.load(Ordering::Relaxed), 0);
        let counts = Arc::clone(&new.counts);
        drop(new);
        assert_eq!(counts.conditions[0].load(Ordering::Relaxed), 0);
    }

    #[test]
    fn an_upstream_that_never_came_into_force_takes_no_numbers_away() {
        let metrics = EndpointMetrics::new();
        let name: Arc<str> = Arc::from("content");
        let never_used = metrics.of(&name).unwrap();
        never_used.set([9, 0, 0, 0], true);
        let in_force = metrics.of(&name).unwrap();
        assert_eq!(in_force.counts.conditions[0].load(Ordering::Relaxed), 0);
        in_force.claim();
        in_force.set([3, 0, 0, 0], false);

        never_used.set([9, 0, 0, 0], true);
        drop(never_used);

        assert_eq!(in_force.counts.conditions[0].load(Ordering::Relaxed), 3);
        in_force.set([2, 1, 0, 0], false);
        assert_eq!(in_force.counts.conditions[0].load(Ordering::Relaxed), 2);
    }
}
