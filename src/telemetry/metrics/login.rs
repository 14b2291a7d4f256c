//! What is remembered of logins, and how often a bound of it was reached: what gave way then.

use super::exposition::{Exposition, Family, Kind};
use super::tally::Tally;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What is bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginBound {
    /// Logins that a browser has begun.
    Flow,
    /// Tickets in cookies of a browser.
    Ticket,
    /// What may be used once and has been.
    Used,
    /// Sessions in cookies that ended before their time.
    Ended,
    /// Sessions that were opened a moment ago.
    Opened,
    /// Renewals of tokens that run or are remembered.
    Refresh,
}

const BOUNDS: [(LoginBound, &str); 6] = [
    (LoginBound::Flow, "flow"),
    (LoginBound::Ticket, "ticket"),
    (LoginBound::Used, "used"),
    (LoginBound::Ended, "ended"),
    (LoginBound::Opened, "opened"),
    (LoginBound::Refresh, "refresh"),
];

/// Those that this process holds as a whole; how many others there are, only browsers know.
const HELD: [LoginBound; 3] = [LoginBound::Used, LoginBound::Ended, LoginBound::Refresh];

/// The numbers of what is remembered.
#[derive(Debug, Default)]
pub struct LoginCounts {
    is_in_use: AtomicBool,
    held: [AtomicU64; BOUNDS.len()],
    reached: Tally<{ BOUNDS.len() }>,
}

impl LoginCounts {
    /// There are logins to tell of.
    pub(super) fn used(&self) {
        self.is_in_use.store(true, Ordering::Relaxed);
    }

    /// So many are held now.
    pub fn holds(&self, bound: LoginBound, count: usize) {
        if let Some(held) = self.held.get(bound as usize) {
            held.store(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }

    /// So many gave way before their time, or were turned away.
    pub fn reached(&self, bound: LoginBound, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.reached.add(bound as usize, count);
    }

    /// How many gave way so far.
    pub fn all_reached(&self, bound: LoginBound) -> u64 {
        self.reached.of(bound as usize)
    }

    pub(super) fn render(&self, page: &mut Exposition) {
        if !self.is_in_use.load(Ordering::Relaxed) {
            return;
        }
        page.family(Family {
            name: "edgespan_login_remembered",
            kind: Kind::Gauge,
            help: "What this process remembers of logins.",
        });
        for (bound, name) in BOUNDS {
            if let Some(held) = self.held.get(bound as usize)
                && HELD.contains(&bound)
            {
                page.sample(&[("what", name)], held.load(Ordering::Relaxed));
            }
        }
        page.family(Family {
            name: "edgespan_login_bound_reached",
            kind: Kind::Counter,
            help: "What gave way before its time, or was turned away, for want of room.",
        });
        for (bound, name) in BOUNDS {
            page.sample(&[("what", name)], self.all_reached(bound));
        }
    }
}
