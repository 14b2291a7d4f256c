//! Events on their way to a webhook: a queue with a bound, a few at a time, each tried again with
//! growing pauses for a minute at most.
//!
//! A request never waits: an event that finds the queue full is counted and left out. Whether an
//! event that got no answer was taken nobody knows, so it is sent again, and its `id` tells.

use super::WebhookSettings;
use super::signature::{self, EDGESPAN_SIGNATURE};
use crate::client::{Client, ClientTlsSettings, Manner, Target};
use crate::clock;
use crate::telemetry::metrics::{AuditCounts, WebhookOutcome};
use aws_lc_rs::hmac;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinHandle, JoinSet};
use tracing::warn;

/// Events that are on their way at once. Their order is that of `time`, not of arrival.
const AT_ONCE_MAX: usize = 4;
/// How long an event is tried, from its first attempt.
const TRY_FOR: Duration = Duration::from_mins(1);
/// The pause after the first failure; each one after it is twice as long.
const PAUSE_MIN: Duration = Duration::from_millis(250);
/// Where that ends.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// Bytes of an answer that are read: nothing in it is looked at but its status.
const ANSWER_BYTES_MAX: usize = 4_096;

/// The queue, and whoever empties it.
pub(super) struct Post {
    counts: Arc<AuditCounts>,
    /// None once it is closed.
    queue: Mutex<Option<mpsc::Sender<Bytes>>>,
    /// Until it is waited for.
    worker: Mutex<Option<JoinHandle<()>>>,
}

/// Where events go, and how.
struct Receiver {
    client: Client,
    target: Target,
    key: hmac::Key,
    timeout: Duration,
    counts: Arc<AuditCounts>,
}

/// What came of one attempt.
enum Attempt {
    Delivered,
    /// Trying again would not help.
    Refused(StatusCode),
    Failed(String),
}

impl Post {
    /// Has to run inside the runtime.
    pub(super) fn start(settings: &WebhookSettings, counts: Arc<AuditCounts>) -> Self {
        let (sender, events) = mpsc::channel(settings.events_max.max(1));
        let worker = Receiver::new(settings, &counts).map(|receiver| {
            let receiver = Arc::new(receiver);
            tokio::spawn(deliver_all(receiver, events))
        });
        Self {
            counts,
            // Without a receiver everything is counted as dropped.
            queue: Mutex::new(worker.is_some().then_some(sender)),
            worker: Mutex::new(worker),
        }
    }

    /// Never waits.
    pub(super) fn put(&self, event: Vec<u8>) {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = queue
            .as_ref()
            .is_some_and(|queue| queue.try_send(Bytes::from(event)).is_ok());
        if sent {
            self.counts.waits(1);
        } else {
            self.counts.webhook(WebhookOutcome::Dropped);
        }
    }

    /// Takes nothing more and sends what is there, at most for `limit`. What is left then is
    /// counted as dropped.
    pub(super) async fn close(&self, limit: Duration) {
        let take = |queue: &Mutex<Option<mpsc::Sender<Bytes>>>| {
            let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
            queue.take()
        };
        drop(take(&self.queue));
        let worker = {
            let mut worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
            worker.take()
        };
        let Some(mut worker) = worker else { return };
        if tokio::time::timeout(limit, &mut worker).await.is_err() {
            worker.abort();
            let left = self.counts.all_gone();
            if left > 0 {
                warn!(
                    left,
                    "audit events did not reach the webhook before the end"
                );
            }
        }
    }
}

impl Receiver {
    /// None, said in the log, if it can never be asked.
    fn new(settings: &WebhookSettings, counts: &Arc<AuditCounts>) -> Option<Self> {
        let target = match Target::of(&settings.url) {
            Ok(target) => target,
            Err(error) => {
                warn!(%error, "the webhook for audit events cannot be asked");
                return None;
            }
        };
        let client = if target.tls {
            match Client::new(&ClientTlsSettings::default()) {
                Ok(client) => client,
                Err(error) => {
                    warn!(%error, "the webhook for audit events cannot be asked");
                    return None;
                }
            }
        } else {
            Client::without_tls()
        };
        Some(Self {
            client,
            target,
            key: hmac::Key::new(hmac::HMAC_SHA256, settings.secret.expose().as_bytes()),
            timeout: settings.timeout,
            counts: Arc::clone(counts),
        })
    }

    /// One event, until it is delivered, refused or given up.
    async fn deliver(&self, event: Bytes) -> WebhookOutcome {
        let give_up = clock::instant() + TRY_FOR;
        let mut pause = PAUSE_MIN;
        loop {
            let why = match self.attempt(&event).await {
                Attempt::Delivered => return WebhookOutcome::Delivered,
                Attempt::Refused(status) => {
                    warn!(%status, "the webhook refuses audit events");
                    return WebhookOutcome::Refused;
                }
                Attempt::Failed(why) => why,
            };
            // Between half of it and the whole, so that replicas do not come at once.
            let wait = pause.mul_f64(fastrand::f64().mul_add(0.5, 0.5));
            if clock::instant() + wait >= give_up {
                warn!(why, "an audit event did not reach the webhook");
                return WebhookOutcome::Failed;
            }
            tokio::time::sleep(wait).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    async fn attempt(&self, event: &Bytes) -> Attempt {
        let mut headers = HeaderMap::new();
        let json = HeaderValue::from_static("application/json");
        headers.insert(CONTENT_TYPE, json);
        let agent = HeaderValue::from_static(concat!("edgespan/", env!("CARGO_PKG_VERSION")));
        headers.insert(USER_AGENT, agent);
        // Signed anew each time: a receiver may refuse what is old.
        let Some(signature) = signature::of(&self.key, clock::wall(), event) else {
            return Attempt::Failed("no signature".to_owned());
        };
        headers.insert(EDGESPAN_SIGNATURE, signature);
        let manner = Manner {
            timeout: self.timeout,
            body_bytes_max: ANSWER_BYTES_MAX,
            ..Manner::default()
        };
        let asked = self
            .client
            .ask(&self.target, Method::POST, headers, event.clone(), manner);
        match asked.await {
            Ok(answer) if answer.status.is_success() => Attempt::Delivered,
            Ok(answer) if is_final(answer.status) => Attempt::Refused(answer.status),
            Ok(answer) => Attempt::Failed(answer.status.to_string()),
            Err(error) => Attempt::Failed(error.to_string()),
        }
    }
}

/// Whether a status means that the same would be refused again: all but 5xx and those that speak
/// of time. A redirect is not followed: its target is nobody's that the file names.
fn is_final(status: StatusCode) -> bool {
    let passes = [
        StatusCode::REQUEST_TIMEOUT,
        StatusCode::TOO_EARLY,
        StatusCode::TOO_MANY_REQUESTS,
    ];
    !status.is_server_error() && !passes.contains(&status)
}

/// Until the queue is closed and empty.
async fn deliver_all(receiver: Arc<Receiver>, mut events: mpsc::Receiver<Bytes>) {
    let places = Arc::new(Semaphore::new(AT_ONCE_MAX));
    let mut on_their_way = JoinSet::new();
    while let Some(event) = events.recv().await {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            break;
        };
        while on_their_way.try_join_next().is_some() {}
        let receiver = Arc::clone(&receiver);
        on_their_way.spawn(async move {
            let outcome = receiver.deliver(event).await;
            receiver.counts.gone(outcome);
            drop(place);
        });
    }
    on_their_way.join_all().await;
}
