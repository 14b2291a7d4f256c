//! Recent traces, in memory, so that they can be seen without a backend.
//!
//! The bound is in bytes. At the bound the traces that came first leave, each as a whole, and are
//! counted; a trace still receiving spans is nothing special.

mod api;
mod handle;
mod intake;
mod naive;
mod search;
pub mod traceql;

pub use api::{Api, routes};
pub use handle::StoreInForce;
pub use intake::{BoundDoor, Intake, IntakeReading, OtlpDoor};
pub use search::{Hit, HitSpan, Search, SearchAnswer, ServiceCount};

use crate::clock::Timestamp;
use crate::trace::sink::SpanSink;
use crate::view::Value;
use bytes::Bytes;
use naive::Naive;
use opentelemetry::trace::TraceId;
use opentelemetry_proto::tonic::trace::v1 as otlp;
use std::sync::Arc;

/// How large the store may become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreSettings {
    /// Most bytes of memory, records, index and overhead together. The process needs up to an
    /// eighth more while spans wait to be sorted in, at most 16 MiB.
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
pub struct TraceStore(Arc<Naive>);

impl TraceStore {
    /// An empty store.
    pub fn new(settings: &StoreSettings) -> Self {
        Self(Arc::new(Naive::new(settings.bytes_max)))
    }

    /// Another bound. What is over it leaves at once, the oldest first.
    pub fn resize(&self, settings: &StoreSettings) {
        self.0.resize(settings.bytes_max);
    }

    /// Takes edgespan's own spans; `resource` is an encoded `Resource` without tag and length.
    pub fn sink(&self, resource: Bytes) -> Arc<dyn SpanSink> {
        Naive::sink(&self.0, resource)
    }

    /// Takes spans of other services.
    pub fn take(&self, groups: Vec<otlp::ResourceSpans>) -> Taken {
        self.0.take(groups)
    }

    /// All spans of a trace, by resource and scope.
    pub fn trace(&self, id: TraceId) -> Option<Vec<otlp::ResourceSpans>> {
        self.kept(id).map(|kept| kept.groups)
    }

    /// A trace, and whether all of it was kept.
    pub fn kept(&self, id: TraceId) -> Option<Kept> {
        self.0.kept(id)
    }

    /// Ids that begin with `prefix`, hexadecimal in lower case; the newest first, at most `limit`.
    pub fn ids_with_prefix(&self, prefix: &str, limit: usize) -> Vec<TraceId> {
        self.0.ids_with_prefix(prefix, limit)
    }

    /// Looks for traces. Work of up to 100 ms for the processor: call it where nothing waits.
    pub fn search(&self, search: &Search) -> SearchAnswer {
        self.0.search(search)
    }

    /// Names of attributes of `scope`, at most `limit`.
    pub fn tag_names(&self, scope: Scope, limit: usize) -> Listed<String> {
        self.0.tag_names(scope, limit)
    }

    /// Values of the attribute `name`, at most `limit`. Without a scope: of spans and resources.
    /// Texts of intrinsics (`name`, `status`, ...) are texts.
    pub fn tag_values(&self, scope: Option<Scope>, name: &str, limit: usize) -> Listed<Value> {
        self.0.tag_values(scope, name, limit)
    }

    /// Figures.
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
        self.0.since(sequence, limit)
    }
}
