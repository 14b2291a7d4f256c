//! The edge: connections that were cut short, and certificates in use.

use super::exposition::{Exposition, Family, Kind};
use super::series::{SeriesTable, hash_labels};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Listeners times reasons; both are few.
const CUTS_MAX: usize = 4_096;

/// What becomes of a question for what arrived.
const ARRIVALS: [&str; 5] = ["answered", "stale", "replayed", "limited", "failed"];

/// Until when the certificates of a file are valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateExpiry {
    /// Who uses it: `listener web`, `upstream content`.
    pub owner: Arc<str>,
    /// Its path.
    pub file: Arc<str>,
    /// When the first of them ends, in seconds since 1970.
    pub unix_seconds: i64,
}

/// Numbers of the edge.
pub(super) struct EdgeMetrics {
    cuts: SeriesTable<Cut>,
    expiries: Mutex<Arc<[CertificateExpiry]>>,
    renewed: AtomicU64,
    refused: AtomicU64,
    /// One for each of [`ARRIVALS`].
    arrivals: [AtomicU64; ARRIVALS.len()],
}

struct Cut {
    listener: Arc<str>,
    reason: &'static str,
    count: AtomicU64,
}

impl EdgeMetrics {
    pub(super) fn new() -> Self {
        Self {
            cuts: SeriesTable::new(CUTS_MAX),
            expiries: Mutex::new(Arc::from([])),
            renewed: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            arrivals: Default::default(),
        }
    }

    pub(super) fn cut(&self, listener: &Arc<str>, reason: &'static str) {
        let series = self.cuts.find_or_insert(
            hash_labels((&**listener, reason)),
            |held| *held.listener == **listener && held.reason == reason,
            || Cut {
                listener: Arc::clone(listener),
                reason,
                count: AtomicU64::new(0),
            },
        );
        if let Some(series) = series {
            series.count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn certificates(&self, expiries: Vec<CertificateExpiry>) {
        *self.expiries.lock().unwrap_or_else(PoisonError::into_inner) = expiries.into();
    }

    pub(super) fn renewed(&self, taken: bool) {
        let count = if taken { &self.renewed } else { &self.refused };
        count.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn arrival(&self, result: &str) {
        let mut counts = ARRIVALS.iter().zip(&self.arrivals);
        if let Some((_, count)) = counts.find(|(name, _)| **name == result) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn render(&self, page: &mut Exposition) {
        page.family(Family {
            name: "edgespan_listener_connections_cut",
            kind: Kind::Counter,
            help: "Connections of clients that edgespan closed for what they did, by reason.",
        });
        for cut in self.cuts.iter() {
            page.sample(
                &[("listener", &cut.listener), ("reason", cut.reason)],
                cut.count.load(Ordering::Relaxed),
            );
        }
        page.family(Family {
            name: "edgespan_certificate_expiry_seconds",
            kind: Kind::Gauge,
            help: "When the first certificate of a file ends, in seconds since 1970.",
        });
        let expiries = Arc::clone(&self.expiries.lock().unwrap_or_else(PoisonError::into_inner));
        for expiry in expiries.iter() {
            page.sample(
                &[("owner", &expiry.owner), ("file", &expiry.file)],
                expiry.unix_seconds,
            );
        }
        page.family(Family {
            name: "edgespan_certificate_reloads",
            kind: Kind::Counter,
            help: "Changed certificates, keys and authorities that were taken, or refused.",
        });
        for (result, count) in [("taken", &self.renewed), ("refused", &self.refused)] {
            page.sample(&[("result", result)], count.load(Ordering::Relaxed));
        }
        page.family(Family {
            name: "edgespan_arrival_questions",
            kind: Kind::Counter,
            help: "Questions for an account of what arrived that were signed with a secret.",
        });
        for (result, count) in ARRIVALS.iter().zip(&self.arrivals) {
            page.sample(&[("result", result)], count.load(Ordering::Relaxed));
        }
    }
}
