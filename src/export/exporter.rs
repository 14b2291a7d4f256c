//! One OTLP destination: a sink that never waits, and the lanes behind it.

use super::account::{Account, AccountSnapshot, DropReason};
use super::deliver::{Attempts, Delivery, LANES, Otlp, Wire};
use super::encode::Envelope;
use super::fault_log::FaultLog;
use super::otlp_grpc::OtlpGrpc;
use super::otlp_http::OtlpHttp;
use super::queue::SpanQueue;
use super::reply::FailureKind;
use super::retry::Backoff;
use super::settings::{BatchSettings, OtlpSettings, Protocol, Signal};
use crate::tls::TlsFileError;
use crate::trace::sink::{FinishedSpans, SpanSink};
use bytes::Bytes;
use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// Why an exporter cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The address cannot be exported to.
    #[error("cannot export to {endpoint}: {reason}")]
    Endpoint {
        /// The address, without credentials.
        endpoint: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// TLS cannot be set up.
    #[error("TLS towards the collector cannot be set up")]
    Tls(#[source] TlsFileError),
    /// Started outside a tokio runtime.
    #[error("there is no runtime to export on")]
    NoRuntime,
}

impl ExportError {
    pub(super) fn endpoint(endpoint: &url::Url, reason: &'static str) -> Self {
        Self::Endpoint {
            endpoint: printable(endpoint),
            reason,
        }
    }
}

/// An address without user, password and query: what a log may say.
fn printable(endpoint: &url::Url) -> String {
    let host = endpoint.host_str().unwrap_or_default();
    let port = endpoint
        .port()
        .map_or_else(String::new, |port| format!(":{port}"));
    format!("{}://{host}{port}{}", endpoint.scheme(), endpoint.path())
}

/// Sends spans to one collector. A cheap clone; the last one dropped lets what waits be sent.
#[derive(Clone)]
pub struct Exporter(Arc<Inner>);

struct Inner {
    queue: Arc<SpanQueue>,
    account: Arc<Account>,
    attempts: Arc<Attempts>,
    closing: CancellationToken,
    destination: String,
    noun: &'static str,
    overflow: FaultLog,
    /// Taken by the first shutdown.
    lanes: Mutex<JoinSet<()>>,
}

/// What metrics tell of an exporter beside its account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExporterStats {
    /// Requests begun.
    pub attempts: u64,
    /// Requests failed, by kind. Those that were tried again with success are among them.
    pub failures: Vec<(FailureKind, u64)>,
    /// Spans that wait or are on their way.
    pub queue_spans: u64,
    /// The most there may be.
    pub queue_spans_max: u64,
    /// Bytes of these spans.
    pub queue_bytes: usize,
    /// The most there may be.
    pub queue_bytes_max: usize,
}

impl Exporter {
    /// Starts to export to the collector of `settings`. `resource` is an encoded OTLP `Resource`,
    /// without tag and length. Certificates are read now; the collector need not be there yet.
    ///
    /// The lanes run on the tokio runtime this is called in.
    ///
    /// # Errors
    /// If the address, a certificate or a key cannot be used, or there is no runtime.
    pub fn start(settings: &OtlpSettings, resource: Bytes) -> Result<Self, ExportError> {
        Self::start_for(Signal::Traces, settings, &resource)
    }

    /// The same for any signal. What is pushed then has to be records of that signal.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_for(
        signal: Signal,
        settings: &OtlpSettings,
        resource: &[u8],
    ) -> Result<Self, ExportError> {
        Self::connect(signal, settings, resource, Backoff::default())
    }

    /// Spans, with another backoff.
    #[cfg(test)]
    pub(super) fn start_with(
        settings: &OtlpSettings,
        resource: &[u8],
        backoff: Backoff,
    ) -> Result<Self, ExportError> {
        Self::connect(Signal::Traces, settings, resource, backoff)
    }

    fn connect(
        signal: Signal,
        settings: &OtlpSettings,
        resource: &[u8],
        backoff: Backoff,
    ) -> Result<Self, ExportError> {
        Handle::try_current().map_err(|_| ExportError::NoRuntime)?;
        let envelope = Envelope::new(resource);
        let wire = match settings.protocol {
            Protocol::HttpProtobuf => Otlp::Http(OtlpHttp::new(settings, envelope)?),
            Protocol::Grpc => Otlp::Grpc(OtlpGrpc::new(signal, settings, envelope)?),
        };
        let destination = printable(&settings.endpoint);
        let noun = signal.noun();
        Ok(Self::sending(
            wire,
            &settings.batch,
            backoff,
            destination,
            noun,
        ))
    }

    /// Starts over any wire.
    #[cfg(test)]
    pub(super) fn over<W: Wire>(
        wire: W,
        batch: &BatchSettings,
        backoff: Backoff,
        destination: String,
    ) -> Self {
        Self::sending(wire, batch, backoff, destination, Signal::Traces.noun())
    }

    fn sending<W: Wire>(
        wire: W,
        batch: &BatchSettings,
        backoff: Backoff,
        destination: String,
        noun: &'static str,
    ) -> Self {
        let account = Arc::new(Account::new());
        let queue = Arc::new(SpanQueue::new(batch, Arc::clone(&account)));
        let destined = destination.clone();
        let delivery = Delivery::new(Arc::clone(&queue), wire, backoff, destined, noun);
        let delivery = Arc::new(delivery);
        let mut lanes = JoinSet::new();
        for _ in 0..LANES {
            lanes.spawn(Arc::clone(&delivery).run());
        }
        Self(Arc::new(Inner {
            queue,
            account,
            attempts: Arc::clone(&delivery.attempts),
            closing: delivery.closing.clone(),
            destination,
            noun,
            overflow: FaultLog::default(),
            lanes: Mutex::new(lanes),
        }))
    }

    /// Where every span is; the same account for the exporter's whole life.
    pub fn account(&self) -> &Arc<Account> {
        &self.0.account
    }

    /// Counters and fill levels, now.
    pub fn stats(&self) -> ExporterStats {
        let (queue_bytes, queue_bytes_max) = self.0.queue.bytes();
        ExporterStats {
            attempts: self.0.attempts.made.load(Ordering::Relaxed),
            failures: self.0.attempts.failed().collect(),
            queue_spans: self.0.account.snapshot().pending,
            queue_spans_max: self.0.queue.spans_max(),
            queue_bytes,
            queue_bytes_max,
        }
    }

    /// Sends what waits without waiting for more, until as many spans have left as had been
    /// accepted, for `limit` at most. Whether they have.
    pub async fn flush(&self, limit: Duration) -> bool {
        tokio::time::timeout(limit, self.0.queue.flush())
            .await
            .is_ok()
    }

    /// Ends the export: one last try for what is pending, within `limit`; what is left then is
    /// dropped and counted, as is every span that comes later. Afterwards nothing is pending.
    ///
    /// A second call returns the account as it stands.
    pub async fn shutdown(&self, limit: Duration) -> AccountSnapshot {
        self.0.queue.end();
        self.0.closing.cancel();
        let mut lanes = {
            let mut lanes = self.0.lanes.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *lanes)
        };
        if lanes.is_empty() {
            return self.0.account.snapshot();
        }
        let all_ended = async { while lanes.join_next().await.is_some() {} };
        if tokio::time::timeout(limit, all_ended).await.is_err() {
            // An aborted lane drops its batch, and a dropped batch settles itself.
            lanes.shutdown().await;
        }
        self.0.queue.discard();
        self.0.account.snapshot()
    }
}

impl SpanSink for Exporter {
    fn accept(&self, spans: &FinishedSpans) {
        if let Err(reason) = self.0.queue.push(spans) {
            self.0.tell_dropped(u64::from(spans.count), reason);
        }
    }
}

impl Exporter {
    /// Takes one record of the exporter's signal, encoded as field 2 of its scope's message, or
    /// counts it as dropped. Never waits.
    pub(super) fn push(&self, record: Vec<u8>) {
        let one = FinishedSpans {
            bytes: record,
            count: 1,
        };
        self.accept(&one);
    }
}

impl Inner {
    fn tell_dropped(&self, spans: u64, reason: DropReason) {
        if let Some(since) = self.overflow.note(spans) {
            warn!(
                destination = self.destination,
                reason = reason.name(),
                count = since.spans,
                times = since.times,
                "{} dropped before export",
                self.noun
            );
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Nobody can push any more. The lanes go on without us until the queue is empty.
        self.queue.end();
        self.closing.cancel();
        let lanes = self.lanes.get_mut().unwrap_or_else(PoisonError::into_inner);
        lanes.detach_all();
    }
}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exporter")
            .field("destination", &self.0.destination)
            .field("account", &self.0.account.snapshot())
            .finish_non_exhaustive()
    }
}
