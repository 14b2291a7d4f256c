//! The line to a provider: one question and its whole answer, bounded in time and size, under a
//! CLIENT span of the decision that needs it. Nothing of a body is ever told to a span or a log.

use super::ProviderError;
use super::settings::ProviderSettings;
use crate::auth::call::chain;
use crate::auth::recorder::{CallSpan, DecisionSpan};
use crate::client::{
    Answer, Client, ClientError, ClientTlsSettings, KeptClient, Manner, Speak, Target,
};
use crate::clock;
use crate::telemetry::metrics::{
    ExemplarIds, ProviderCall, ProviderCounts, ProviderObservation, ProviderOutcome,
};
use crate::trace::client_span::{ClientEnd, ClientStart};
use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tracing::{info, warn};
use url::Url;

/// Largest answer of a provider, in bytes.
pub(super) const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// How `User-Agent` names us; some providers refuse requests without one.
const AGENT: &str = concat!("edgespan/", env!("CARGO_PKG_VERSION"));

/// `error.type` of a call for which no connection could be made.
const UNCONNECTED: &str = "connect_error";
/// Pause before the one further try after that.
const RESEND_AFTER: Duration = Duration::from_millis(50);

/// What is asked.
#[derive(Clone)]
pub(super) struct Question {
    pub(super) call: ProviderCall,
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// What came back: never cut.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// What a CLIENT span is told of a call that has ended.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    status: Option<StatusCode>,
    version: Option<Version>,
    peer: Option<SocketAddr>,
    error_type: Option<&'static str>,
}

/// An answer that was looked at, or why there is none.
pub(super) struct Exchanged<T> {
    pub(super) outcome: Result<T, ProviderError>,
    pub(super) seen: Seen,
}

/// What asks one provider.
pub(super) struct Line {
    issuer: Arc<str>,
    /// `service.peer.name`: the issuer's host.
    peer: Box<str>,
    tls: ClientTlsSettings,
    timeout: Duration,
    /// Whether nobody is asked at all.
    is_rehearsed: bool,
    plain: Arc<KeptClient>,
    /// By what the certificates were when it was made; None: to be made.
    secured: ArcSwapOption<KeptClient>,
    pub(super) counts: Arc<ProviderCounts>,
    /// Calls of each kind that failed in a row: the first is logged, and the one that ends them.
    failing: [AtomicU64; ProviderCall::ALL.len()],
}

impl Question {
    /// A document that is fetched.
    pub(super) fn get(call: ProviderCall, url: Url) -> Self {
        Self {
            call,
            method: Method::GET,
            url,
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    /// A form that is sent (RFC 6749, appendix B).
    pub(super) fn form(call: ProviderCall, url: Url, headers: HeaderMap, form: String) -> Self {
        let mut question = Self {
            call,
            method: Method::POST,
            url,
            headers,
            body: Bytes::from(form),
        };
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        question.headers.insert(CONTENT_TYPE, kind);
        question
    }
}

impl Seen {
    /// What is told to the span at its end.
    pub(super) fn end(&self) -> ClientEnd<'_> {
        ClientEnd {
            status: self.status.map(|status| status.as_u16()),
            error_type: self.error_type,
            version: self.version,
            peer: self.peer,
            ..ClientEnd::default()
        }
    }
}

/// Counts a call, also one that was given up because whoever wanted it had left.
struct Counting<'a> {
    line: &'a Line,
    call: ProviderCall,
    began: tokio::time::Instant,
    outcome: ProviderOutcome,
    exemplar: Option<ExemplarIds>,
}

impl Drop for Counting<'_> {
    fn drop(&mut self) {
        self.line.counts.called(&ProviderObservation {
            call: self.call,
            outcome: self.outcome,
            duration: self.began.elapsed(),
            exemplar: self.exemplar,
        });
    }
}

impl Line {
    pub(super) fn new(settings: &ProviderSettings, counts: Arc<ProviderCounts>) -> Self {
        let host = settings.issuer.parse::<Url>();
        let host = host.ok().and_then(|url| url.host_str().map(Box::from));
        Self {
            issuer: Arc::clone(&settings.issuer),
            peer: host.unwrap_or_else(|| Box::from(&*settings.issuer)),
            tls: settings.tls.clone(),
            timeout: settings.timeout,
            is_rehearsed: settings.is_rehearsed,
            plain: Arc::new(KeptClient::new(Client::without_tls())),
            secured: ArcSwapOption::empty(),
            counts,
            failing: Default::default(),
        }
    }

    /// How long a call may take.
    pub(super) const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Asks, and reads the answer by `read`. Once more, if no connection could be made: then
    /// nothing has been said yet.
    pub(super) async fn ask<T>(
        &self,
        question: Question,
        mut span: Option<&mut DecisionSpan<'_, '_>>,
        read: fn(&Reply) -> Result<T, ProviderError>,
    ) -> Result<T, ProviderError> {
        let due = clock::instant() + self.timeout;
        let exemplar = span.as_ref().and_then(|span| span.exemplar());
        for resend in 0.. {
            let mut question = question.clone();
            let call = self.open(span.as_deref_mut(), resend, &mut question);
            let reading = |reply: Reply| read(&reply);
            let exchanged = self.exchange(question, exemplar, reading).await;
            if let Some(call) = call {
                call.end(&exchanged.seen.end());
            }
            let is_unsaid = exchanged.seen.error_type == Some(UNCONNECTED);
            if !is_unsaid || resend > 0 || clock::instant() + RESEND_AFTER >= due {
                return exchanged.outcome;
            }
            tokio::time::sleep(RESEND_AFTER).await;
        }
        Err(ProviderError::Unavailable("it was not asked".into()))
    }

    /// Opens the CLIENT span of a question, and writes its context into it.
    pub(super) fn open<'s, 'a>(
        &self,
        span: Option<&'s mut DecisionSpan<'_, 'a>>,
        resend_count: u32,
        question: &mut Question,
    ) -> Option<CallSpan<'s, 'a>> {
        let span = span?;
        let recorder = span.recorder();
        let url = &question.url;
        let start = ClientStart {
            method: &question.method,
            scheme: url.scheme(),
            server_address: url.host_str().unwrap_or_default(),
            server_port: url.port_or_known_default(),
            path: url.path(),
            query: url.query(),
            service: Some(&self.peer),
            resend_count,
            flow: recorder.flow,
            flags: recorder.flags,
            template: None,
            is_grpc: false,
            is_mirror: false,
        };
        let mut call = span.call(&start, &mut question.headers);
        if let Some(span) = call.span() {
            span.str("edgespan.provider.call", question.call.name());
        }
        Some(call)
    }

    /// Asks without a span.
    pub(super) async fn exchange<T>(
        &self,
        question: Question,
        exemplar: Option<ExemplarIds>,
        read: impl FnOnce(Reply) -> Result<T, ProviderError>,
    ) -> Exchanged<T> {
        let mut counting = Counting {
            line: self,
            call: question.call,
            began: clock::instant(),
            outcome: ProviderOutcome::Cancelled,
            exemplar,
        };
        let call = question.call;
        let mut seen = Seen::default();
        let outcome = match Box::pin(self.send(question)).await {
            Ok(answer) => {
                seen.status = Some(answer.status);
                seen.version = Some(answer.version);
                seen.peer = Some(answer.peer);
                whole(answer).and_then(read)
            }
            Err((kind, error)) => {
                seen.error_type = Some(kind);
                Err(error)
            }
        };
        counting.outcome = match &outcome {
            Ok(_) => ProviderOutcome::Ok,
            Err(ProviderError::Refused(_)) => ProviderOutcome::Refused,
            Err(ProviderError::BadAnswer(_)) => {
                seen.error_type = Some("invalid_response");
                ProviderOutcome::BadAnswer
            }
            Err(ProviderError::Unavailable(_) | ProviderError::NoEndpoint(_)) => {
                ProviderOutcome::Unavailable
            }
        };
        self.tell(call, outcome.as_ref().err());
        Exchanged { outcome, seen }
    }

    async fn send(&self, question: Question) -> Result<Answer, (&'static str, ProviderError)> {
        if self.is_rehearsed {
            let error = ProviderError::Unavailable("nobody is asked in a rehearsal".into());
            return Err(("rehearsal", error));
        }
        let Question {
            call,
            method,
            url,
            mut headers,
            body,
        } = question;
        let target = Target::of(&url).map_err(|error| {
            let text = format!("its address cannot be asked: {error}");
            ("invalid_response", ProviderError::BadAnswer(text.into()))
        })?;
        let client = self.client(target.tls).await?;
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        let kinds = HeaderValue::from_static("application/json");
        headers.entry(ACCEPT).or_insert(kinds);
        let manner = Manner {
            speak: Speak::Http1,
            timeout: self.timeout,
            body_bytes_max: ANSWER_BYTES_MAX,
        };
        let asked = client.ask(
            &target,
            (method, headers, body),
            manner,
            is_repeatable(call),
        );
        asked.await.map_err(|error| {
            let is_tls = matches!(error, ClientError::Tls { .. });
            if is_tls {
                // The certificates may be others by now.
                self.secured.store(None);
            }
            (kind_of(&error), unavailable(&error))
        })
    }

    /// A client by the certificates as they are when it is made.
    async fn client(&self, tls: bool) -> Result<Arc<KeptClient>, (&'static str, ProviderError)> {
        if !tls {
            return Ok(Arc::clone(&self.plain));
        }
        if let Some(client) = self.secured.load_full() {
            return Ok(client);
        }
        let settings = self.tls.clone();
        let made = tokio::task::spawn_blocking(move || Client::new(&settings)).await;
        let unusable = |error: &dyn std::error::Error| ("tls_error", unavailable(error));
        let client = made
            .map_err(|panicked| unusable(&panicked))?
            .map_err(|error| unusable(&error))?;
        let client = Arc::new(KeptClient::new(client));
        self.secured.store(Some(Arc::clone(&client)));
        Ok(client)
    }

    /// Certificates are renewed: the next call reads them again.
    pub(super) fn forget_certificates(&self) {
        self.secured.store(None);
    }

    /// Logs the first failure of each kind of call, and its end.
    pub(super) fn tell(&self, call: ProviderCall, error: Option<&ProviderError>) {
        let Some(failing) = self.failing.get(call as usize) else {
            return;
        };
        let (issuer, call) = (&*self.issuer, call.name());
        match error {
            // What it says of a code or a token is no fault of it, nor of ours.
            Some(ProviderError::Refused(word)) if !is_about_us(word) => {}
            Some(error) => {
                if failing.fetch_add(1, Ordering::Relaxed) == 0 {
                    warn!(
                        issuer,
                        call,
                        error = error as &dyn std::error::Error,
                        "provider is of no help"
                    );
                }
            }
            None => {
                let failures = failing.swap(0, Ordering::Relaxed);
                if failures > 0 {
                    info!(issuer, call, failures, "provider answers again");
                }
            }
        }
    }
}

/// Whether it does no harm twice. A code and a refresh token count once.
const fn is_repeatable(call: ProviderCall) -> bool {
    !matches!(
        call,
        ProviderCall::Token | ProviderCall::Refresh | ProviderCall::Par
    )
}

/// Whether the provider does not take us for the client that we say we are.
fn is_about_us(word: &str) -> bool {
    matches!(word, "invalid_client" | "unauthorized_client")
}

/// An answer as a reader wants it: whole, no redirect, and of a provider that is well.
fn whole(answer: Answer) -> Result<Reply, ProviderError> {
    let status = answer.status;
    if answer.body.is_cut {
        let text = format!("it is larger than {ANSWER_BYTES_MAX} bytes");
        return Err(ProviderError::BadAnswer(text.into()));
    }
    if status.is_redirection() {
        let text = format!(
            "it is a redirect ({}), which is not followed",
            status.as_u16()
        );
        return Err(ProviderError::BadAnswer(text.into()));
    }
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        let text = format!("it answers {}", status.as_u16());
        return Err(ProviderError::Unavailable(text.into()));
    }
    Ok(Reply {
        status,
        headers: answer.headers,
        body: answer.body.bytes,
    })
}

fn unavailable(error: &dyn std::error::Error) -> ProviderError {
    ProviderError::Unavailable(chain(error).into())
}

/// `error.type` of the CLIENT span.
const fn kind_of(error: &ClientError) -> &'static str {
    match error {
        ClientError::Connect { .. } => UNCONNECTED,
        ClientError::Tls { .. } | ClientError::NoHttp2 { .. } => "tls_error",
        ClientError::Exchange { .. } => "connection_reset",
        ClientError::Late { .. } => "timeout",
    }
}
