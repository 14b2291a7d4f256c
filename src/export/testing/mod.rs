//! What the tests of this folder export, and to whom.

pub(super) mod collector;
pub(super) mod script;

use super::retry::Backoff;
use super::settings::{BatchSettings, Compression, OtlpSettings, Protocol, TlsSettings};
use crate::trace::sink::FinishedSpans;
use opentelemetry_proto::tonic::trace::v1::{ScopeSpans, Span};
use prost::Message as _;
use std::ops::Range;
use std::time::Duration;

/// Retries fast enough for real time.
pub(super) const FAST: Backoff = Backoff {
    first: Duration::from_millis(5),
    most: Duration::from_millis(20),
};

/// One request's spans, named `s0`, `s1` and so on.
pub(super) fn finished(numbers: Range<u32>) -> FinishedSpans {
    finished_of(numbers, 0)
}

/// The same, each padded by so many bytes.
pub(super) fn finished_of(numbers: Range<u32>, padding: usize) -> FinishedSpans {
    let spans: Vec<Span> = numbers
        .map(|number| Span {
            name: format!("s{number}"),
            trace_state: "x".repeat(padding),
            ..Span::default()
        })
        .collect();
    FinishedSpans {
        count: u32::try_from(spans.len()).unwrap(),
        bytes: ScopeSpans {
            spans,
            ..ScopeSpans::default()
        }
        .encode_to_vec(),
    }
}

/// The names of these spans.
pub(super) fn names(numbers: Range<u32>) -> Vec<String> {
    let mut names: Vec<_> = numbers.map(|number| format!("s{number}")).collect();
    names.sort();
    names
}

/// Small batches, sent soon.
pub(super) const BATCH: BatchSettings = BatchSettings {
    queue_spans_max: 64,
    batch_spans_max: 8,
    delay: Duration::from_millis(5),
};

/// Settings for a collector at `endpoint`.
pub(super) fn settings(endpoint: &str, protocol: Protocol) -> OtlpSettings {
    OtlpSettings {
        endpoint: endpoint.parse().unwrap(),
        protocol,
        compression: Compression::None,
        headers: Vec::new(),
        timeout: Duration::from_secs(5),
        tls: TlsSettings::default(),
        batch: BATCH,
    }
}
