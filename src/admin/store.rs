//! The store of recent traces as metrics.

use crate::telemetry::metrics::{Exposition, Family, Kind};

/// What the store holds and what became of the rest, at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreReading {
    /// Traces kept.
    pub traces: u64,
    /// Spans kept.
    pub spans: u64,
    /// Memory in use.
    pub bytes: u64,
    /// The bound of that.
    pub bytes_max: u64,
    /// Traces that left for newer ones.
    pub evicted_traces: u64,
    /// Spans that left with them.
    pub evicted_spans: u64,
    /// Spans that were not kept.
    pub refused_spans: u64,
    /// Spans that came in as OTLP.
    pub received_spans: u64,
    /// Messages of OTLP that were refused whole.
    pub refused_messages: u64,
}

type Column = fn(&StoreReading) -> u64;

/// Names, kind, help, and which number.
const FAMILIES: [(&str, Kind, &str, Column); 9] = [
    (
        "edgespan_store_traces",
        Kind::Gauge,
        "Traces kept in memory.",
        |store| store.traces,
    ),
    (
        "edgespan_store_spans",
        Kind::Gauge,
        "Spans kept in memory.",
        |store| store.spans,
    ),
    (
        "edgespan_store_bytes",
        Kind::Gauge,
        "Memory that kept traces take.",
        |store| store.bytes,
    ),
    (
        "edgespan_store_bytes_max",
        Kind::Gauge,
        "Memory that kept traces may take.",
        |store| store.bytes_max,
    ),
    (
        "edgespan_store_evicted_traces",
        Kind::Counter,
        "Traces that left memory for newer ones.",
        |store| store.evicted_traces,
    ),
    (
        "edgespan_store_evicted_spans",
        Kind::Counter,
        "Spans that left memory with their traces.",
        |store| store.evicted_spans,
    ),
    (
        "edgespan_store_refused_spans",
        Kind::Counter,
        "Spans that were not kept: no valid ids, or their trace is too large.",
        |store| store.refused_spans,
    ),
    (
        "edgespan_store_received_spans",
        Kind::Counter,
        "Spans of other services that came in as OTLP and were kept.",
        |store| store.received_spans,
    ),
    (
        "edgespan_store_refused_messages",
        Kind::Counter,
        "Messages of OTLP that were refused whole.",
        |store| store.refused_messages,
    ),
];

/// Writes the families, unless the store is off.
pub(super) fn render(store: Option<StoreReading>, page: &mut Exposition) {
    let Some(store) = store else { return };
    for (name, kind, help, column) in FAMILIES {
        page.family(Family { name, kind, help });
        page.sample(&[], column(&store));
    }
}
