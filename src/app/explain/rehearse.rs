//! Runs the request between a client and an upstream that are both in memory.

use super::facts::{self, Evidence, Explanation};
use super::{Question, hosted};
use crate::app::build::{self, StartError};
use crate::app::parts::{self, Clusters};
use crate::auth::Means;
use crate::auth::provider::{KeySource, ProviderSettings};
use crate::clock::Stopwatch;
use crate::config::Plan;
use crate::listener::{ConnInfo, Dialect, ListenerSettings, Place, TlsInfo};
use crate::net::Ends;
use crate::proxy::{Live, Pipeline, Snapshot, normalize_policy};
use crate::ratelimit::RateLimitStore;
use crate::server::{Drain, MemoryWatermark, serve};
use crate::telemetry::metrics::Metrics;
use crate::tls::Keeper;
use crate::trace::sampler::UnsampledParent;
use crate::trace::sink::{FinishedSpans, SpanSink};
use crate::upstream::{EndpointProtocol, Rehearsal};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::Semaphore;

/// Longest a rehearsal may take. Everything is in memory: longer, and something is stuck.
const REHEARSAL_MAX: Duration = Duration::from_secs(10);
/// Most of an answer's head that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// A `CheckResponse` whose `status` is there and empty, which is `OK`, behind its five bytes.
const GRPC_OK: &[u8] = &[0, 0, 0, 0, 2, 0x0a, 0];

/// Why there is no explanation.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// No listener has this name.
    #[error("no listener is called `{name}`; there are {known}")]
    NoListener {
        /// What was asked for.
        name: String,
        /// Those there are.
        known: String,
    },
    /// The plan cannot be run.
    #[error("the configuration cannot be run")]
    Start(#[source] StartError),
    /// The request did not end.
    #[error("the request did not come to an end within 10 s")]
    Stuck,
    /// A host proxy cannot ask about it.
    #[error("this host proxy cannot ask: {0}")]
    Host(&'static str),
    /// The listener takes no requests of clients.
    #[error("listener `{0}` decides for host proxies and forwards nothing")]
    Decides(Arc<str>),
    /// It cannot be written as a request at all.
    #[error("no request can be written: {0}")]
    Request(&'static str),
}

/// Runs a request through a plan.
///
/// # Errors
/// [`ExplainError`].
pub async fn explain(plan: &Plan, question: &Question) -> Result<Explanation, ExplainError> {
    let watch = Stopwatch::start();
    let listener = choose_listener(plan, question)?;
    let stage = Arc::new(Stage::default());
    let rehearsed = rehearsal_of(plan, &stage);
    let metrics = Metrics::new();
    let sinks = vec![Arc::clone(&stage) as Arc<dyn SpanSink>];
    let snapshot = snapshot(&rehearsed, &metrics, sinks).map_err(ExplainError::Start)?;
    let live = Arc::new(Live::new(snapshot));
    let told = match question.host_proxy {
        Some(dialect) => Some(hosted::outer(question, dialect, &listener)?),
        None if asks_nobody(plan, &listener, question) => {
            return Err(ExplainError::Decides(Arc::clone(&listener.name)));
        }
        None => None,
    };
    let asked = told.as_ref().unwrap_or(question);
    let sent = bytes_of(asked)?;
    let played = play(&listener, asked, &live, &metrics, &sent);
    let answer = tokio::time::timeout(REHEARSAL_MAX, played)
        .await
        .map_err(|_| ExplainError::Stuck)?;
    let live = live.load();
    let evidence = Evidence {
        plan,
        live: &live,
        question,
        listener: &listener,
        received: stage.received(),
        spans: stage.spans(),
        answer,
        policy: normalize_policy(&listener),
    };
    Ok(facts::gather(&evidence, watch.elapsed()))
}

/// Whether this is a client's request, and the listener takes those of host proxies alone; and
/// those for paths of a login, which host proxies hand on.
fn asks_nobody(plan: &Plan, listener: &ListenerSettings, question: &Question) -> bool {
    let of_login = plan.login.as_ref().is_some_and(|login| {
        let rest = question.path.strip_prefix(&*login.path);
        rest.is_some_and(|rest| rest.starts_with('/'))
    });
    if of_login {
        return false;
    }
    listener.decision.as_ref().is_some_and(|settings| {
        let mut endpoints = Dialect::ALL.into_iter();
        !endpoints.any(|one| {
            let endpoint = settings.path_of(one).map(ToString::to_string);
            endpoint.is_some_and(|path| question.path.starts_with(&path))
        })
    })
}

fn snapshot(
    plan: &Plan,
    metrics: &Arc<Metrics>,
    sinks: Vec<Arc<dyn SpanSink>>,
) -> Result<Snapshot, StartError> {
    let keeper = Keeper::new(Arc::clone(metrics));
    let clusters = parts::clusters(plan, &Clusters::new(), metrics, &keeper)?;
    build::snapshot(plan, &clusters, metrics, sinks, None, None)
}

/// By name; else one that fits the URL's scheme and port, else its scheme, else the first.
fn choose_listener(
    plan: &Plan,
    question: &Question,
) -> Result<Arc<ListenerSettings>, ExplainError> {
    let listeners = &plan.listeners;
    if let Some(name) = &question.listener {
        let found = listeners.iter().find(|one| *one.name == **name);
        let known = || {
            let names: Vec<String> = listeners
                .iter()
                .map(|one| format!("`{}`", one.name))
                .collect();
            names.join(", ")
        };
        return found
            .cloned()
            .map(Arc::new)
            .ok_or_else(|| ExplainError::NoListener {
                name: name.clone(),
                known: known(),
            });
    }
    if question.host_proxy.is_some() {
        let deciding = listeners.iter().find(|one| one.decision.is_some());
        return deciding
            .cloned()
            .map(Arc::new)
            .ok_or(ExplainError::Host("no listener is in mode: decision"));
    }
    let port = question
        .authority
        .rsplit_once(':')
        .and_then(|(_, port)| port.parse::<u16>().ok());
    let fits = |one: &&ListenerSettings| one.is_secure() == question.secure;
    let with_port = |one: &&ListenerSettings| port == Some(one.address.port());
    let chosen = listeners
        .iter()
        .find(|one| fits(one) && with_port(one))
        .or_else(|| listeners.iter().find(fits))
        .or_else(|| listeners.first());
    chosen
        .cloned()
        .map(Arc::new)
        .ok_or(ExplainError::Request("there is no listener"))
}

/// The same plan with nothing outside it: upstreams in memory, every span recorded, none exported.
fn rehearsal_of(plan: &Plan, stage: &Arc<Stage>) -> Plan {
    let mut plan = plan.clone();
    for upstream in &mut plan.upstreams {
        let (stage, name) = (Arc::clone(stage), Arc::clone(&upstream.name));
        upstream.rehearsal = Some(Rehearsal::new(move |address, stream| {
            let h2 = address.protocol == EndpointProtocol::H2c;
            let (stage, name) = (Arc::clone(&stage), Arc::clone(&name));
            tokio::spawn(answer_all(stage, name, stream, h2));
        }));
        upstream.health = None;
        upstream.outlier = None;
    }
    // What was decided is told from the rules themselves; what spans say, from spans.
    for (_, route) in &mut plan.routes {
        route.mirror = None;
        route.sampling.ratio = 1.0;
        route.sampling.unsampled_parent = UnsampledParent::Record;
    }
    plan.tracing.default_sampling.ratio = 1.0;
    plan.tracing.default_sampling.unsampled_parent = UnsampledParent::Record;
    plan.tracing.recording = true;
    plan.export.clear();
    plan.memory = MemoryWatermark::Off;
    for limit in &mut plan.rate_limits {
        limit.store = RateLimitStore::Local;
    }
    plan.redis = None;
    for policy in &mut plan.policies {
        ask_no_issuer(&mut policy.means);
    }
    if let Some(audit) = &mut plan.audit {
        audit.webhook = None;
    }
    plan
}

/// Keys in a file are read; nobody is asked for any others, nor about tokens, nor for anything that
/// a login needs. Where a browser would be sent is told as far as the file says it.
fn ask_no_issuer(means: &mut Means) {
    let issuers: Vec<&mut ProviderSettings> = match means {
        Means::Jwt(jwt) => {
            let issuers = jwt.issuers.iter_mut();
            issuers
                .map(|one| {
                    one.introspection = None;
                    &mut one.provider
                })
                .collect()
        }
        Means::Oidc(oidc) => {
            oidc.pushed = Some(false);
            vec![&mut oidc.provider]
        }
        Means::Ip(_)
        | Means::ApiKey(_)
        | Means::Basic(_)
        | Means::ClientCert(_)
        | Means::Forward(_) => Vec::new(),
    };
    for issuer in issuers {
        issuer.is_rehearsed = true;
        let authorization = &mut issuer.endpoints.authorization;
        *authorization = authorization.take().or_else(|| issuer.issuer.parse().ok());
        if !matches!(issuer.keys, KeySource::File(_)) {
            issuer.keys = KeySource::File(PathBuf::new());
        }
    }
}

/// What was seen behind the curtain.
#[derive(Default)]
struct Stage {
    received: Mutex<Vec<(Arc<str>, Request<()>)>>,
    spans: Mutex<Vec<u8>>,
}

impl Stage {
    fn received(&self) -> Vec<(Arc<str>, Request<()>)> {
        std::mem::take(&mut lock(&self.received))
    }

    fn spans(&self) -> Vec<u8> {
        std::mem::take(&mut lock(&self.spans))
    }
}

impl SpanSink for Stage {
    fn accept(&self, spans: &FinishedSpans) {
        lock(&self.spans).extend_from_slice(&spans.bytes);
    }
}

fn lock<T>(held: &Mutex<T>) -> MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An upstream that writes down what it is asked and says that all is well.
async fn answer_all(stage: Arc<Stage>, name: Arc<str>, stream: DuplexStream, h2: bool) {
    let answer = move |request: Request<Incoming>| {
        let (stage, name) = (Arc::clone(&stage), Arc::clone(&name));
        async move {
            let (parts, body) = request.into_parts();
            let answer = all_is_well(&parts.headers);
            lock(&stage.received).push((name, Request::from_parts(parts, ())));
            drop(body);
            Ok::<_, Infallible>(answer)
        }
    };
    let io = TokioIo::new(stream);
    // How it ends is seen from the other side.
    if h2 {
        let builder = http2::Builder::new(TokioExecutor::new());
        drop(builder.serve_connection(io, service_fn(answer)).await);
    } else {
        let builder = http1::Builder::new();
        drop(builder.serve_connection(io, service_fn(answer)).await);
    }
}

/// 200 without a body; in gRPC `OK` with a message that, of an authorizer, has the status `OK`.
fn all_is_well(asked: &HeaderMap) -> Response<Full<Bytes>> {
    let Some(kind) = asked.get(CONTENT_TYPE).filter(|kind| {
        let kind = kind.as_bytes();
        kind.starts_with(b"application/grpc")
    }) else {
        return Response::new(Full::default());
    };
    let mut answer = Response::new(Full::new(Bytes::from_static(GRPC_OK)));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, kind.clone());
    headers.insert("grpc-status", HeaderValue::from_static("0"));
    answer
}

/// The request as HTTP/1.1 writes it.
fn bytes_of(question: &Question) -> Result<Vec<u8>, ExplainError> {
    let whole = |text: &str| !text.bytes().any(|byte| matches!(byte, b'\r' | b'\n' | 0));
    let clean = whole(&question.path)
        && whole(&question.authority)
        && question
            .headers
            .iter()
            .all(|(name, value)| whole(name) && whole(value));
    if !clean {
        return Err(ExplainError::Request("it has a line break in it"));
    }
    let mut bytes = format!("{} {} HTTP/1.1\r\n", question.method, question.path);
    for (name, value) in question.fields() {
        bytes.push_str(&format!("{name}: {value}\r\n"));
    }
    bytes.push_str("\r\n");
    Ok(bytes.into_bytes())
}

/// Sends the request over a connection in memory; gives the answer's head.
async fn play(
    listener: &Arc<ListenerSettings>,
    question: &Question,
    live: &Arc<Live>,
    metrics: &Arc<Metrics>,
    sent: &[u8],
) -> Vec<u8> {
    let (mut client, server) = tokio::io::duplex(ANSWER_BYTES_MAX);
    let drain = Drain::new();
    let pipeline = Pipeline::new(Arc::clone(live), drain.clone());
    let Some(conn) = connection(listener, question, metrics) else {
        return Vec::new();
    };
    let served = tokio::spawn({
        let drain = drain.clone();
        async move { serve(server, conn, pipeline, &drain).await }
    });
    let mut answer = Vec::new();
    if client.write_all(sent).await.is_ok() {
        read_head(&mut client, &mut answer).await;
    }
    drop(client);
    // The last request ends before its spans are read.
    drop(served.await);
    drain.begin();
    drain.finished(Duration::from_secs(1)).await;
    answer
}

async fn read_head(client: &mut DuplexStream, answer: &mut Vec<u8>) {
    let mut chunk = [0; 4096];
    while answer.len() < ANSWER_BYTES_MAX {
        match client.read(&mut chunk).await {
            Ok(read @ 1..) => answer.extend(chunk.iter().take(read)),
            Ok(_) | Err(_) => return,
        }
        if answer.windows(4).any(|four| four == b"\r\n\r\n") {
            return;
        }
    }
}

fn connection(
    listener: &Arc<ListenerSettings>,
    question: &Question,
    metrics: &Arc<Metrics>,
) -> Option<Arc<ConnInfo>> {
    let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().ok()?;
    let place = Place {
        permit,
        open: metrics.connection(&listener.name),
    };
    let ends = Ends {
        peer: question.peer,
        local: listener.address,
    };
    let tls = listener.is_secure().then(|| TlsInfo {
        sni: Some(question.host().into()),
        alpn_h2: false,
        alpn: None,
        version: None,
        client: None,
        shown: None,
    });
    Some(Arc::new(ConnInfo::new(
        Arc::clone(listener),
        ends,
        ends.peer,
        tls,
        place,
    )))
}
