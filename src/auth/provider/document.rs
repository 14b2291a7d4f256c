//! Something that a provider publishes: kept while it is away, and fetched by one for all who
//! wait.
//!
//! Whoever needs it anew *joins*: either a fetch is under way and is shared, or the joiner leads
//! one, or it was tried a moment ago and is not again. A fetch runs in a task of its own, so that
//! it goes on for the others when the client that needed it first has left.

use super::ProviderError;
use super::line::{Exchanged, Seen};
use crate::auth::cache::Origin;
use crate::clock;
use arc_swap::ArcSwapOption;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// How long nobody who waits asks again after a failure while nothing is known: a provider that
/// comes back is found within that.
const REST_WITHOUT: Duration = Duration::from_secs(1);
/// The same while something older is known.
const REST_WITH: Duration = Duration::from_secs(5);

/// Nothing is planned further ahead.
const LONG: Duration = Duration::from_hours(24 * 365);

/// Something that a provider publishes.
pub(super) struct Document<T> {
    known: ArcSwapOption<Known<T>>,
    flights: Mutex<Flights<T>>,
}

/// As it was fetched last.
pub(super) struct Known<T> {
    /// What it says.
    pub(super) value: Arc<T>,
    /// When it is time to fetch it anew: ahead of the end of its life, and not at the same moment
    /// as every other replica.
    pub(super) due: Instant,
}

/// What a fetch gives: what the document says, and how long that counts.
pub(super) type Fetched<T> = (T, Duration);

struct Flights<T> {
    now: Option<Flight<T>>,
    /// Of flights begun so far; tells a flight from the next.
    count: u64,
    /// Until when nobody who waits asks again.
    rest_until: Option<Instant>,
    failed: Option<ProviderError>,
}

/// A fetch that is under way.
pub(super) struct Flight<T> {
    number: u64,
    landing: watch::Receiver<Option<Landed<T>>>,
    /// The CLIENT span that it is told by, once that has begun.
    pub(super) origin: Arc<OnceLock<Origin>>,
}

/// A fetch that has ended.
pub(super) struct Landed<T> {
    pub(super) outcome: Result<Arc<T>, ProviderError>,
    pub(super) seen: Seen,
}

/// What somebody gets who needs it anew.
pub(super) enum Joined<T> {
    /// The right and duty to fetch it, and what is waited for then.
    Lead(Lead<T>, Flight<T>),
    /// A fetch that is under way.
    Share(Flight<T>),
    /// It was tried a moment ago; why that failed, if it did.
    Rest(Option<ProviderError>),
}

/// Whoever fetches. Dropped without having landed, all who wait learn that nothing came.
pub(super) struct Lead<T> {
    document: Arc<Document<T>>,
    number: u64,
    landing: watch::Sender<Option<Landed<T>>>,
}

/// Why something is needed anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// It is time; who asks keeps to a schedule.
    Schedule,
    /// A request needs it. It is not asked for on behalf of another request within this time.
    Request(Duration),
}

impl<T> Clone for Landed<T> {
    fn clone(&self) -> Self {
        Self {
            outcome: self.outcome.clone(),
            seen: self.seen,
        }
    }
}

impl<T> Clone for Flight<T> {
    fn clone(&self) -> Self {
        Self {
            number: self.number,
            landing: self.landing.clone(),
            origin: Arc::clone(&self.origin),
        }
    }
}

impl<T> Known<T> {
    /// Something that came now, and is as good as new for this long.
    pub(super) fn now(value: Arc<T>, fresh_for: Duration) -> Arc<Self> {
        let share = fastrand::f64().mul_add(0.2, 0.75);
        let due = clock::instant() + fresh_for.min(LONG).mul_f64(share);
        Arc::new(Self { value, due })
    }
}

impl<T> Document<T> {
    pub(super) fn new(known: Option<Arc<Known<T>>>) -> Arc<Self> {
        Arc::new(Self {
            known: ArcSwapOption::new(known),
            flights: Mutex::new(Flights {
                now: None,
                count: 0,
                rest_until: None,
                failed: None,
            }),
        })
    }

    /// As it was fetched last; None: it never was.
    pub(super) fn known(&self) -> Option<Arc<Known<T>>> {
        self.known.load_full()
    }

    /// What it says, without its age: what a request asks for.
    pub(super) fn value(&self) -> Option<Arc<T>> {
        self.known
            .load()
            .as_ref()
            .map(|known| Arc::clone(&known.value))
    }

    fn flights(&self) -> MutexGuard<'_, Flights<T>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody needs it anew.
    pub(super) fn join(self: &Arc<Self>, need: Need) -> Joined<T> {
        let now = clock::instant();
        let mut flights = self.flights();
        if let Some(flight) = &flights.now {
            return Joined::Share(flight.clone());
        }
        if let Need::Request(cooldown) = need {
            if flights.rest_until.is_some_and(|until| now < until) {
                return Joined::Rest(flights.failed.clone());
            }
            flights.rest_until = Some(now + cooldown);
        }
        flights.count += 1;
        let number = flights.count;
        let (landing, receiver) = watch::channel(None);
        let flight = Flight {
            number,
            landing: receiver,
            origin: Arc::default(),
        };
        flights.now = Some(flight.clone());
        drop(flights);
        let lead = Lead {
            document: Arc::clone(self),
            number,
            landing,
        };
        Joined::Lead(lead, flight)
    }

    fn land(&self, number: u64, failed: Option<ProviderError>) {
        let rest = if self.known.load().is_some() {
            REST_WITH
        } else {
            REST_WITHOUT
        };
        let mut flights = self.flights();
        if flights.now.as_ref().is_some_and(|now| now.number == number) {
            flights.now = None;
        }
        if failed.is_some() {
            flights.rest_until = Some(clock::instant() + rest);
        }
        flights.failed = failed;
    }
}

impl<T> Lead<T> {
    /// Tells everybody.
    pub(super) fn land(self, exchanged: Exchanged<Fetched<T>>) {
        let Exchanged { outcome, seen } = exchanged;
        let outcome = outcome.map(|(value, fresh_for)| {
            let value = Arc::new(value);
            let known = Known::now(Arc::clone(&value), fresh_for);
            self.document.known.store(Some(known));
            value
        });
        // Before all who wait go on: what they find then is at rest.
        self.document
            .land(self.number, outcome.as_ref().err().cloned());
        self.landing.send_replace(Some(Landed { outcome, seen }));
    }
}

impl<T> Drop for Lead<T> {
    fn drop(&mut self) {
        let flights = self.document.flights();
        let is_open = flights
            .now
            .as_ref()
            .is_some_and(|now| now.number == self.number);
        drop(flights);
        if is_open {
            self.document.land(self.number, Some(given_up()));
        }
    }
}

impl<T> Flight<T> {
    /// Its end, for which it is waited no longer than `patience`.
    pub(super) async fn landed(&self, patience: Duration) -> Landed<T> {
        let mut landing = self.landing.clone();
        let waited = async {
            let landed = landing.wait_for(Option::is_some).await.ok()?;
            landed.clone()
        };
        let landed = tokio::time::timeout(patience, waited).await;
        landed.ok().flatten().unwrap_or_else(|| Landed {
            outcome: Err(given_up()),
            seen: Seen::default(),
        })
    }
}

fn given_up() -> ProviderError {
    ProviderError::Unavailable("the fetch was given up".into())
}
