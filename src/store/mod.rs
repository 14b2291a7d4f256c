//! Recent traces, in memory, so that they can be seen without a backend.
//!
//! The bound is in bytes. At the bound the traces that came first leave, each as a whole, and are
//! counted; a trace still receiving spans is nothing special.

mod api;
mod blocks;
mod dictionary;
mod handle;
mod inbox;
mod index;
mod intake;
mod read;
mod row;
mod search;
mod segment;
mod shared;
mod tags;
mod template;
#[cfg(test)]
mod tests;
pub mod traceql;
mod wire;

pub use api::{Api, routes};
pub use handle::StoreInForce;
pub use intake::{BoundDoor, Intake, IntakeReading, OtlpDoor};
pub use search::{Hit, HitSpan, Search, SearchAnswer, ServiceCount};

use crate::clock::Timestamp;
use crate::trace::sink::SpanSink;
use crate::view::Value;
use bytes::Bytes;
use opentelemetry::trace::TraceId;
use opentelemetry_proto::tonic::trace::v1 as otlp;
use shared::Shared;
use std::sync::Arc;

/// How large the store may become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreSettings {
    /// Most bytes of memory, records, index and overhead together, also what stands empty in
    /// blocks. Beside it the process needs room for spans that wait to be sorted in (up to a MiB;
    /// during a search up to an eighth of the bound, from 1 to 16 MiB), and what a running search
    /// holds (about 15 bytes for each span kept).
    pub bytes_max: usize,
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self {
            bytes_max: 64 << 20,
        }
    }
}

/// What became of spans that were handed in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Spans that are kept.
    pub taken: u64,
    /// Spans that are not: no valid ids, or their trace is as large as a trace may be.
    pub refused: u64,
}

/// Figures of the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Traces kept.
    pub traces: u64,
    /// Spans kept.
    pub spans: u64,
    /// Bytes of memory in use.
    pub bytes: u64,
    /// The bound of `bytes`.
    pub bytes_max: u64,
    /// Traces that left because of the bound, since the start.
    pub evicted_traces: u64,
    /// Spans that left because of the bound, since the start.
    pub evicted_spans: u64,
    /// Spans that were not kept, since the start: no valid ids, trace too large, too many waiting.
    pub refused_spans: u64,
    /// Start of the oldest trace kept.
    pub began: Option<Timestamp>,
}

/// A trace as it is kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kept {
    /// Its spans, by resource and scope.
    pub groups: Vec<otlp::ResourceSpans>,
    /// How many of its spans were not kept because a trace may only have a share of the store.
    pub cut_spans: u64,
}

/// What changed since a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Ask for what comes after this the next time.
    pub sequence: u64,
    /// Traces that got spans, in the order in which they first got one; each once.
    pub traces: Vec<TraceId>,
    /// There were more than were asked for, or some have left the store again.
    pub missed: bool,
}

/// Where an attribute stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// On the resource.
    Resource,
    /// On the span.
    Span,
    /// Part of every span, like its name.
    Intrinsic,
    /// On an event of the span.
    Event,
    /// On a link of the span.
    Link,
}

/// Names or values, of which there may be more than were asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed<T> {
    /// Sorted, each once.
    pub items: Vec<T>,
    /// Whether that is all.
    pub is_complete: bool,
}

/// The store. Clones are the same store.
#[derive(Clone, Debug)]
pub struct TraceStore(Arc<Shared>);

impl TraceStore {
    /// An empty store. It has a thread of its own, which ends with it.
    pub fn new(settings: &StoreSettings) -> Self {
        Self(Shared::start(settings.bytes_max))
    }

    /// Another bound. What is over it leaves at once, the oldest first.
    pub fn resize(&self, settings: &StoreSettings) {
        self.0.resize(settings.bytes_max);
    }

    /// Takes edgespan's own spans; `resource` is an encoded `Resource` without tag and length.
    pub fn sink(&self, resource: Bytes) -> Arc<dyn SpanSink> {
        Shared::sink(&self.0, resource)
    }

    /// Takes spans of other services. May wait for a search, up to 100 ms: call it where nothing
    /// else waits.
    pub fn take(&self, groups: Vec<otlp::ResourceSpans>) -> Taken {
        self.0.take(groups)
    }

    /// All spans of a trace, by resource and scope.
    pub fn trace(&self, id: TraceId) -> Option<Vec<otlp::ResourceSpans>> {
        self.kept(id).map(|kept| kept.groups)
    }

    /// A trace, and whether all of it was kept.
    pub fn kept(&self, id: TraceId) -> Option<Kept> {
        self.0.read(|index| read::kept(index, id))
    }

    /// Ids that begin with `prefix`, in hexadecimal; the newest first, at most `limit`.
    pub fn ids_with_prefix(&self, prefix: &str, limit: usize) -> Vec<TraceId> {
        let prefix = prefix.to_ascii_lowercase();
        self.0.read(|index| {
            let ids = index.traces().iter().rev().map(index::trace_id);
            let fitting = ids.filter(|id| id.to_string().starts_with(&prefix));
            fitting.take(limit).collect()
        })
    }

    /// Looks for traces. Work of up to 100 ms for the processor: call it where nothing waits.
    pub fn search(&self, search: &Search) -> SearchAnswer {
        self.0.read(|index| search::run(index, search))
    }

    /// Names of attributes of `scope`, at most `limit`. Work for the processor, like a search.
    pub fn tag_names(&self, scope: Scope, limit: usize) -> Listed<String> {
        self.0.read(|index| tags::names(index, scope, limit))
    }

    /// Values of the attribute `name`, at most `limit`. Without a scope: of spans and resources.
    /// Those of intrinsics (`name`, `status`, ...) are texts. Work for the processor, like a search.
    pub fn tag_values(&self, scope: Option<Scope>, name: &str, limit: usize) -> Listed<Value> {
        self.0.read(|index| tags::values(index, scope, name, limit))
    }

    /// Figures. While a search runs they may lack what came since it began.
    pub fn stats(&self) -> StoreStats {
        self.0.stats()
    }

    /// Waits until there are spans later than `after`, a sequence number (0: from the start), and
    /// gives the newest sequence number. On a busy edge it returns at once, again and again:
    /// callers pace themselves.
    pub async fn changed(&self, after: u64) -> u64 {
        self.0.changed(after).await
    }

    /// Which traces got spans after `sequence`; the newest `limit` of them.
    pub fn since(&self, sequence: u64, limit: usize) -> Changes {
        self.0.read(|index| shared::since(index, sequence, limit))
    }
}
