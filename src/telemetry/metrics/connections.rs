//! Connections on both sides, and what went wrong before there was a request.

use super::exposition::{Exposition, Family, Kind};
use super::series::{SeriesTable, hash_labels};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// Listeners and upstreams come from the configuration; over reloads more of them may pass by
/// than it holds at a time.
const NAMES_MAX: usize = 1_024;

/// What is counted for each listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ListenerError {
    Accept,
    Tls,
    Parse,
}

/// Connections of all listeners and upstreams.
pub(super) struct ConnectionMetrics {
    listeners: SeriesTable<Arc<ListenerCounts>>,
    upstreams: SeriesTable<Arc<UpstreamCounts>>,
}

struct ListenerCounts {
    name: Arc<str>,
    open: AtomicI64,
    opened: AtomicU64,
    accept_errors: AtomicU64,
    tls_errors: AtomicU64,
    parse_errors: AtomicU64,
}

struct UpstreamCounts {
    name: Arc<str>,
    open: AtomicI64,
    opened: AtomicU64,
    reused: AtomicU64,
    failed: AtomicU64,
}

/// One open connection of a client. Dropping it counts it as closed.
#[must_use = "dropping it counts the connection as closed"]
pub struct ConnectionGuard(Option<Arc<ListenerCounts>>);

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        if let Some(counts) = &self.0 {
            counts.open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// One open connection to an upstream. Dropping it counts it as closed.
#[must_use = "dropping it counts the connection as closed"]
pub struct UpstreamConnectionGuard(Option<Arc<UpstreamCounts>>);

impl Drop for UpstreamConnectionGuard {
    fn drop(&mut self) {
        if let Some(counts) = &self.0 {
            counts.open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl ConnectionMetrics {
    pub(super) fn new() -> Self {
        Self {
            listeners: SeriesTable::new(NAMES_MAX),
            upstreams: SeriesTable::new(NAMES_MAX),
        }
    }

    pub(super) fn accepted(&self, listener: &Arc<str>) -> ConnectionGuard {
        let counts = self.listener(listener).map(Arc::clone);
        if let Some(counts) = &counts {
            counts.opened.fetch_add(1, Ordering::Relaxed);
            counts.open.fetch_add(1, Ordering::Relaxed);
        }
        ConnectionGuard(counts)
    }

    pub(super) fn listener_error(&self, listener: &Arc<str>, error: ListenerError) {
        if let Some(counts) = self.listener(listener) {
            counts.errors(error).fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn connected(&self, upstream: &Arc<str>) -> UpstreamConnectionGuard {
        let counts = self.upstream(upstream).map(Arc::clone);
        if let Some(counts) = &counts {
            counts.opened.fetch_add(1, Ordering::Relaxed);
            counts.open.fetch_add(1, Ordering::Relaxed);
        }
        UpstreamConnectionGuard(counts)
    }

    pub(super) fn reused(&self, upstream: &Arc<str>) {
        if let Some(counts) = self.upstream(upstream) {
            counts.reused.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn connect_failed(&self, upstream: &Arc<str>) {
        if let Some(counts) = self.upstream(upstream) {
            counts.failed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// None past the bound: a name that found no place is not counted.
    fn listener(&self, name: &Arc<str>) -> Option<&Arc<ListenerCounts>> {
        self.listeners.find_or_insert(
            hash_labels(&**name),
            |held| *held.name == **name,
            || Arc::new(ListenerCounts::of(name)),
        )
    }

    fn upstream(&self, name: &Arc<str>) -> Option<&Arc<UpstreamCounts>> {
        self.upstreams.find_or_insert(
            hash_labels(&**name),
            |held| *held.name == **name,
            || Arc::new(UpstreamCounts::of(name)),
        )
    }

    pub(super) fn render(&self, page: &mut Exposition) {
        page.family(Family {
            name: "edgespan_connections_open",
            kind: Kind::Gauge,
            help: "Connections of clients that are open.",
        });
        for counts in self.listeners.iter() {
            page.sample(
                &[("listener", &counts.name)],
                counts.open.load(Ordering::Relaxed),
            );
        }
        page.family(Family {
            name: "edgespan_connections_opened",
            kind: Kind::Counter,
            help: "Connections accepted from clients.",
        });
        for counts in self.listeners.iter() {
            page.sample(
                &[("listener", &counts.name)],
                counts.opened.load(Ordering::Relaxed),
            );
        }
        page.family(Family {
            name: "edgespan_connection_errors",
            kind: Kind::Counter,
            help: "What went wrong before there was a request: accept, TLS, or the HTTP parser.",
        });
        for counts in self.listeners.iter() {
            for error in [
                ListenerError::Accept,
                ListenerError::Tls,
                ListenerError::Parse,
            ] {
                let count = counts.errors(error).load(Ordering::Relaxed);
                page.sample(
                    &[("listener", &counts.name), ("error_type", error.name())],
                    count,
                );
            }
        }
        self.render_upstreams(page);
    }

    fn render_upstreams(&self, page: &mut Exposition) {
        page.family(Family {
            name: "edgespan_upstream_connections_open",
            kind: Kind::Gauge,
            help: "Connections to upstreams that are open.",
        });
        for counts in self.upstreams.iter() {
            page.sample(
                &[("upstream", &counts.name)],
                counts.open.load(Ordering::Relaxed),
            );
        }
        for (name, help, count) in UPSTREAM_COUNTERS {
            page.family(Family {
                name,
                kind: Kind::Counter,
                help,
            });
            for counts in self.upstreams.iter() {
                let count = count(counts).load(Ordering::Relaxed);
                page.sample(&[("upstream", &counts.name)], count);
            }
        }
    }
}

type UpstreamCounter = (
    &'static str,
    &'static str,
    fn(&UpstreamCounts) -> &AtomicU64,
);

const UPSTREAM_COUNTERS: [UpstreamCounter; 3] = [
    (
        "edgespan_upstream_connections_opened",
        "Connections made to upstreams.",
        |counts| &counts.opened,
    ),
    (
        "edgespan_upstream_connections_reused",
        "Attempts that found an open connection.",
        |counts| &counts.reused,
    ),
    (
        "edgespan_upstream_connections_failed",
        "Connections to upstreams that could not be made.",
        |counts| &counts.failed,
    ),
];

impl ListenerError {
    const fn name(self) -> &'static str {
        match self {
            Self::Accept => "accept_error",
            Self::Tls => "tls_error",
            Self::Parse => "parse_error",
        }
    }
}

impl ListenerCounts {
    fn of(name: &Arc<str>) -> Self {
        Self {
            name: Arc::clone(name),
            open: AtomicI64::new(0),
            opened: AtomicU64::new(0),
            accept_errors: AtomicU64::new(0),
            tls_errors: AtomicU64::new(0),
            parse_errors: AtomicU64::new(0),
        }
    }

    const fn errors(&self, error: ListenerError) -> &AtomicU64 {
        match error {
            ListenerError::Accept => &self.accept_errors,
            ListenerError::Tls => &self.tls_errors,
            ListenerError::Parse => &self.parse_errors,
        }
    }
}

impl UpstreamCounts {
    fn of(name: &Arc<str>) -> Self {
        Self {
            name: Arc::clone(name),
            open: AtomicI64::new(0),
            opened: AtomicU64::new(0),
            reused: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }
}
