//! Takes whole messages: at most so many at a time, each read and kept off the workers that serve
//! requests.

use super::coding::Coding;
use super::weight;
use crate::store::StoreInForce;
use bytes::Bytes;
use http::HeaderMap;
use http_body::Body;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Longest message, packed or not.
pub(super) const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Messages that are taken at a time, from their first byte on: that bounds the memory of what has
/// arrived and of what it is unpacked to.
const MESSAGES_MAX: usize = 8;
/// Those of them that are read at a time, which takes many times their bytes; see [`weight`].
const READ_MAX: usize = 2;
/// How long one more waits for its turn before it is told to come again.
const TURN_MAX: Duration = Duration::from_secs(2);
/// How long a message may take to arrive.
const ARRIVAL_MAX: Duration = Duration::from_secs(10);

/// How a message is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    Protobuf,
    Json,
}

/// Why a message was not taken. Its text is for whoever configured the sender.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// It is too long.
    #[error("a message may have 4 MiB, unpacked as well, and 32 MiB in memory")]
    TooLarge,
    /// It is no OTLP.
    #[error("this is no OTLP: {0}")]
    Malformed(String),
    /// It did not arrive in time, or its sender left.
    #[error("the message did not arrive whole within 10 s")]
    CutOff,
    /// Too many are being taken.
    #[error("too many messages at a time; try again")]
    Busy,
    /// There is no store.
    #[error("traces are not kept: `store.memory` is off")]
    Off,
}

/// What was taken and refused so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IntakeReading {
    /// Spans that were kept.
    pub spans_taken: u64,
    /// Spans of messages that were read, but which are no spans: a bad id, say.
    pub spans_refused: u64,
    /// Messages that were refused whole.
    pub messages_refused: u64,
}

/// Takes messages for the store in force. Clones share bounds and counts.
#[derive(Clone)]
pub struct Intake {
    pub(in crate::store) store: StoreInForce,
    turns: Arc<Semaphore>,
    reading: Arc<Semaphore>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    spans_taken: AtomicU64,
    spans_refused: AtomicU64,
    messages_refused: AtomicU64,
}

impl Intake {
    /// For this store.
    pub fn new(store: StoreInForce) -> Self {
        Self {
            store,
            turns: Arc::new(Semaphore::new(MESSAGES_MAX)),
            reading: Arc::new(Semaphore::new(READ_MAX)),
            counts: Arc::default(),
        }
    }

    /// What came of everything so far.
    pub fn reading(&self) -> IntakeReading {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        IntakeReading {
            spans_taken: of(&self.counts.spans_taken),
            spans_refused: of(&self.counts.spans_refused),
            messages_refused: of(&self.counts.messages_refused),
        }
    }

    /// A place among those that are taken now.
    pub(super) async fn turn(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        let turn = Arc::clone(&self.turns).acquire_owned();
        let turn = tokio::time::timeout(TURN_MAX, turn).await;
        turn.ok().and_then(Result::ok).ok_or(Refusal::Busy)
    }

    /// Reads a message and keeps its spans. The answer tells of those that were refused.
    pub(super) async fn take(
        &self,
        packed: Bytes,
        coding: Coding,
        wire: Wire,
    ) -> Result<ExportTraceServiceResponse, Refusal> {
        let store = self.store.load().ok_or(Refusal::Off)?;
        let counts = Arc::clone(&self.counts);
        let reading = Arc::clone(&self.reading).acquire_owned().await;
        let reading = reading.map_err(|_closed| Refusal::Busy)?;
        // Megabytes take milliseconds, which requests on this thread would wait.
        let taken = tokio::task::spawn_blocking(move || {
            // Held until the work is done, even when its asker has left.
            let _reading = reading;
            let message = read(&coding.unpack(&packed)?, wire)?;
            let taken = store.take(message.resource_spans);
            let refused = taken.refused;
            counts.spans_taken.fetch_add(taken.taken, Ordering::Relaxed);
            counts.spans_refused.fetch_add(refused, Ordering::Relaxed);
            Ok(refused)
        });
        let refused = taken
            .await
            .unwrap_or_else(|_panicked| Err(Refusal::Malformed("it cannot be read".to_owned())))?;
        let partial = (refused > 0).then(|| ExportTracePartialSuccess {
            rejected_spans: i64::try_from(refused).unwrap_or(i64::MAX),
            error_message: "a span needs a trace id of 16 and a span id of 8 bytes, not all zero, \
                            and has to fit into the store"
                .to_owned(),
        });
        Ok(ExportTraceServiceResponse {
            partial_success: partial,
        })
    }

    /// Counts a message that was refused whole.
    pub(super) fn refused(&self) {
        self.counts.messages_refused.fetch_add(1, Ordering::Relaxed);
    }
}

fn read(message: &[u8], wire: Wire) -> Result<ExportTraceServiceRequest, Refusal> {
    weight::check(message, wire)?;
    match wire {
        Wire::Protobuf => ExportTraceServiceRequest::decode(message)
            .map_err(|error| Refusal::Malformed(error.to_string())),
        Wire::Json => {
            serde_json::from_slice(message).map_err(|error| Refusal::Malformed(error.to_string()))
        }
    }
}

/// The bytes of a body, up to `bytes_max` of them.
pub(super) async fn whole<B>(
    headers: &HeaderMap,
    body: B,
    bytes_max: usize,
) -> Result<Bytes, Refusal>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let told = headers.get(http::header::CONTENT_LENGTH);
    let told = told.and_then(|told| told.to_str().ok()?.parse::<usize>().ok());
    if told.is_some_and(|told| told > bytes_max) {
        return Err(Refusal::TooLarge);
    }
    let collected = Box::pin(Limited::new(body, bytes_max).collect());
    match tokio::time::timeout(ARRIVAL_MAX, collected).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refusal::TooLarge),
        Ok(Err(_)) | Err(_) => Err(Refusal::CutOff),
    }
}
