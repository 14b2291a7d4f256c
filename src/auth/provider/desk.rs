//! What requests and the keeper of a provider share: what is known of it, and how it is fetched.

use super::ProviderError;
use super::document::{Document, Fetched, Joined, Known, Need};
use super::line::{Exchanged, Line, Question, Reply, Seen};
use super::metadata::{self, Metadata};
use super::settings::{KeySource, ProviderSettings};
use crate::auth::cache::{CacheSettings, Keep, Origin};
use crate::auth::jose::KeySet;
use crate::auth::recorder::DecisionSpan;
use crate::clock;
use crate::telemetry::metrics::{KeyMiss, ProviderCall, ProviderCounts};
use crate::trace::context::TraceState;
use http::{HeaderMap, StatusCode};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::spawn_blocking;
use url::Url;

/// Keys that say that they last shorter are used this long all the same.
const FRESH_MIN: Duration = Duration::from_mins(1);
/// How much longer than a call may take its end is waited for.
const GRACE: Duration = Duration::from_millis(500);

/// What is known of a provider.
pub(super) struct Desk {
    pub(super) settings: ProviderSettings,
    pub(super) line: Line,
    pub(super) metadata: Arc<Document<Metadata>>,
    pub(super) keys: Arc<Document<KeySet>>,
    /// Whether its metadata is at the address of RFC 8414, because it was not at the other one.
    elsewhere: AtomicBool,
    /// Whether somebody asked for metadata that the keys do not need.
    pub(super) was_asked_for: AtomicBool,
}

/// What is fetched.
enum Source {
    Web(Box<Question>),
    File(PathBuf),
}

/// Who did the work, and what came.
struct Fetch<T> {
    miss: KeyMiss,
    outcome: Result<Arc<T>, ProviderError>,
}

impl Desk {
    /// What `before` knows of the same issuer at the same places goes on.
    pub(super) fn new(
        settings: ProviderSettings,
        counts: Arc<ProviderCounts>,
        before: Option<&Self>,
    ) -> Self {
        let before = before.filter(|before| before.is_asked_like(&settings));
        let told = settings.tells_all().then(|| {
            let metadata = Arc::new(Metadata::of(&settings));
            Known::now(metadata, Duration::MAX)
        });
        let metadata = before.and_then(|before| before.metadata.known()).or(told);
        let keys = before.and_then(|before| before.keys.known());
        Self {
            line: Line::new(&settings, counts),
            metadata: Document::new(metadata),
            keys: Document::new(keys),
            elsewhere: AtomicBool::new(false),
            was_asked_for: AtomicBool::new(false),
            settings,
        }
    }

    /// Whether what it knows is what these settings would have fetched.
    fn is_asked_like(&self, other: &ProviderSettings) -> bool {
        let own = &self.settings;
        (&own.issuer, &own.keys, &own.endpoints, &own.tls)
            == (&other.issuer, &other.keys, &other.endpoints, &other.tls)
    }

    /// Whether its metadata is kept fresh.
    pub(super) fn discovers(&self) -> bool {
        self.settings.keys == KeySource::Discovery || self.was_asked_for.load(Ordering::Relaxed)
    }

    /// What it says of itself, by whoever needs it.
    pub(super) async fn fetch_metadata(
        self: &Arc<Self>,
        need: Need,
        mut span: Option<&mut DecisionSpan<'_, '_>>,
    ) -> Result<Arc<Metadata>, ProviderError> {
        let Some(places) = metadata::well_known(&self.settings.issuer) else {
            let text = "its issuer is no address at which it could tell of itself";
            return Err(ProviderError::BadAnswer(text.into()));
        };
        let place = self.elsewhere.load(Ordering::Relaxed);
        let first = self
            .fetch_metadata_at(&places, place, need, span.as_deref_mut())
            .await;
        if first.is_ok() || self.elsewhere.load(Ordering::Relaxed) == place {
            return first;
        }
        // There is nothing at one place, so it is asked for at the other, at once.
        self.fetch_metadata_at(&places, !place, Need::Schedule, span)
            .await
    }

    async fn fetch_metadata_at(
        self: &Arc<Self>,
        places: &[Url; 2],
        elsewhere: bool,
        need: Need,
        span: Option<&mut DecisionSpan<'_, '_>>,
    ) -> Result<Arc<Metadata>, ProviderError> {
        let [usual, other] = places;
        let url = if elsewhere { other } else { usual };
        let question = Question::get(ProviderCall::Discovery, url.clone());
        let (desk, place) = (Arc::clone(self), url.to_string());
        let read = move |reply: Reply| {
            if reply.status.is_client_error() {
                desk.elsewhere.store(!elsewhere, Ordering::Relaxed);
            }
            let body = found(&reply, &place)?;
            let metadata = Metadata::parse(&desk.settings.issuer, body)?;
            let metadata = metadata.overridden(&desk.settings.endpoints);
            Ok((metadata, desk.settings.refresh))
        };
        let source = Source::Web(Box::new(question));
        let fetch = self.fetch(&self.metadata, need, source, read, span);
        Box::pin(fetch).await.outcome
    }

    /// Its keys, by whoever needs them, and who did the work.
    pub(super) async fn fetch_keys(
        self: &Arc<Self>,
        need: Need,
        mut span: Option<&mut DecisionSpan<'_, '_>>,
    ) -> Result<Arc<KeySet>, ProviderError> {
        let source = match &self.settings.keys {
            KeySource::File(path) => Source::File(path.clone()),
            KeySource::Url(url) => {
                Source::Web(Box::new(Question::get(ProviderCall::Jwks, url.clone())))
            }
            KeySource::Discovery => {
                let metadata = match self.metadata.value() {
                    Some(metadata) => metadata,
                    None => self.fetch_metadata(need, span.as_deref_mut()).await?,
                };
                let url = metadata.jwks.clone();
                let url = url.ok_or(ProviderError::NoEndpoint("place for its keys"))?;
                Source::Web(Box::new(Question::get(ProviderCall::Jwks, url)))
            }
        };
        let desk = Arc::clone(self);
        let read = move |reply: Reply| {
            let fresh_for = lifetime(&reply.headers, desk.settings.refresh);
            let keys = found(&reply, "the address of its keys")?;
            let keys = KeySet::parse(keys)
                .map_err(|error| ProviderError::BadAnswer(error.to_string().into()))?;
            desk.line.counts.keys_came(keys.len(), clock::wall());
            Ok((keys, fresh_for))
        };
        let is_miss = self.keys.value().is_some() && matches!(need, Need::Request(_));
        let fetch = self.fetch(&self.keys, need, source, read, span);
        let fetch = Box::pin(fetch).await;
        if is_miss {
            self.line.counts.missed(fetch.miss);
        }
        fetch.outcome
    }

    /// Leads a fetch, or shares the one that is under way.
    async fn fetch<T: Send + Sync + 'static>(
        self: &Arc<Self>,
        document: &Arc<Document<T>>,
        need: Need,
        source: Source,
        read: impl FnOnce(Reply) -> Result<Fetched<T>, ProviderError> + Send + 'static,
        mut span: Option<&mut DecisionSpan<'_, '_>>,
    ) -> Fetch<T> {
        let patience = self.line.timeout() + GRACE;
        let (lead, flight) = match document.join(need) {
            Joined::Rest(failed) => {
                let resting = || ProviderError::Unavailable("it was asked a moment ago".into());
                return Fetch {
                    miss: KeyMiss::Resting,
                    outcome: Err(failed.unwrap_or_else(resting)),
                };
            }
            Joined::Share(flight) => {
                let landed = flight.landed(patience).await;
                let origin = flight.origin.get();
                let span = span.as_mut().and_then(|span| span.span());
                if let (Some(span), Some(Origin { trace_id, span_id })) = (span, origin) {
                    span.link(*trace_id, *span_id, &TraceState::EMPTY, 0);
                }
                return Fetch {
                    miss: KeyMiss::Shared,
                    outcome: landed.outcome,
                };
            }
            Joined::Lead(lead, flight) => (lead, flight),
        };
        let exemplar = span.as_ref().and_then(|span| span.exemplar());
        let desk = Arc::clone(self);
        let mut call = None;
        match source {
            Source::Web(mut question) => {
                call = self.line.open(span, 0, &mut question);
                let ids = call
                    .as_mut()
                    .and_then(|call| call.span())
                    .map(|span| span.ids());
                if let Some(ids) = ids {
                    let (trace_id, span_id) = (ids.trace_id, ids.span_id);
                    // It is set once: there is one leader.
                    let _begun = flight.origin.set(Origin { trace_id, span_id });
                }
                tokio::spawn(async move {
                    lead.land(desk.line.exchange(*question, exemplar, read).await);
                });
            }
            Source::File(path) => {
                tokio::spawn(async move {
                    let outcome = from_file(path).await.and_then(read);
                    desk.line.tell(ProviderCall::Jwks, outcome.as_ref().err());
                    let seen = Seen::default();
                    lead.land(Exchanged { outcome, seen });
                });
            }
        }
        let landed = flight.landed(patience).await;
        if let Some(call) = call {
            call.end(&landed.seen.end());
        }
        Fetch {
            miss: KeyMiss::Fetched,
            outcome: landed.outcome,
        }
    }
}

/// The body of a document that is there.
fn found<'a>(reply: &'a Reply, place: &str) -> Result<&'a [u8], ProviderError> {
    if reply.status == StatusCode::OK {
        return Ok(&reply.body);
    }
    let text = format!("{place} answers {}", reply.status.as_u16());
    Err(ProviderError::BadAnswer(text.into()))
}

/// How long keys are as good as new: as `Cache-Control` says, within bounds.
fn lifetime(headers: &HeaderMap, refresh: Duration) -> Duration {
    let said = match Keep::by_answer(headers, &CacheSettings::default()) {
        Keep::Own | Keep::Shared => Duration::ZERO,
        Keep::Stored { at_most } => at_most.unwrap_or(refresh),
    };
    said.max(FRESH_MIN).min(refresh)
}

/// A file of keys, as if it had been fetched. What it may not be is told without its content.
async fn from_file(path: PathBuf) -> Result<Reply, ProviderError> {
    let read = spawn_blocking(move || {
        let size = std::fs::metadata(&path)?.len();
        let most = KeySource::FILE_BYTES_MAX;
        if size > most {
            let text = format!("it is larger than {most} bytes");
            return Err(std::io::Error::other(text));
        }
        std::fs::read(&path)
    });
    let unreadable = |error: &dyn std::error::Error| {
        let text = format!("its file of keys cannot be read: {error}");
        ProviderError::Unavailable(text.into())
    };
    let body = read
        .await
        .map_err(|panicked| unreadable(&panicked))?
        .map_err(|error| unreadable(&error))?;
    Ok(Reply {
        status: StatusCode::OK,
        headers: HeaderMap::new(),
        body: body.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use http::header::CACHE_CONTROL;

    #[track_caller]
    fn check(control: Option<&'static str>, refresh_secs: u64, expected_secs: u64) {
        let mut headers = HeaderMap::new();
        if let Some(control) = control {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static(control));
        }
        let lifetime = lifetime(&headers, Duration::from_secs(refresh_secs));
        assert_eq!(lifetime.as_secs(), expected_secs, "{control:?}");
    }

    #[test]
    fn keys_are_used_as_long_as_they_say_within_a_minute_and_the_setting() {
        check(None, 3_600, 3_600);
        check(Some("public, max-age=600"), 3_600, 600);
        check(Some("max-age=86400"), 3_600, 3_600);
        check(Some("max-age=60"), 3_600, 60);
        check(Some("max-age=59"), 3_600, 60);
        check(Some("max-age=0"), 3_600, 60);
        check(Some("no-store"), 3_600, 60);
        check(Some("max-age=x"), 3_600, 60);
        check(Some("max-age=600"), 30, 30);
    }
}
