//! What a rehearsal showed, put together: from the plan's rules, from what the upstream got, from
//! the spans and from the answer.

use super::Question;
use super::auth::{AuthFact, auth_fact};
use super::headers::{self, HeaderChange};
use super::trace::{TraceFact, trace_fact};
use crate::config::Plan;
use crate::listener::ListenerSettings;
use crate::message::normalize::{NormalizePolicy, Normalized, normalize};
use crate::proxy::plan::{RouteAction, RoutePlan};
use crate::proxy::{LiveRoute, Snapshot};
use crate::route::{RouteRequest, RouteSpec};
use crate::upstream::ClusterSettings;
use crate::verify::arrival::PATH;
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::ScopeSpans;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message as _;
use std::sync::Arc;
use std::time::Duration;

/// Most other routes that are told.
const ALSO_MAX: usize = 5;

/// Everything that is told of one request.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The listener it came in by.
    pub listener: Arc<str>,
    /// The name asked for by TLS, if the listener has TLS.
    pub tls_name: Option<String>,
    /// Whether its address has `https` and the listener no TLS.
    pub without_tls: bool,
    /// Host and path as everything after `normalize` reads them, or why it was refused.
    pub read_as: Result<ReadAs, String>,
    /// The route that took it.
    pub route: Option<RouteFact>,
    /// Without a route: the nearest, and the first condition that each missed.
    pub nearest: Vec<Nearest>,
    /// How it is traced.
    pub trace: TraceFact,
    /// Rate limits that were asked.
    pub limits: Vec<LimitFact>,
    /// Who may pass, where the route requires something.
    pub auth: Option<AuthFact>,
    /// Where it went.
    pub upstream: Option<UpstreamFact>,
    /// What became of its headers on the way; empty if it was answered here.
    pub headers: Vec<HeaderChange>,
    /// What edgespan answered by itself.
    pub answer: Option<Answered>,
    /// The spans it left.
    pub spans: Vec<SpanFact>,
    /// Whether edgespan itself answers at this path, for who signs with a secret of `arrival`.
    pub tells_arrivals: bool,
    /// Whether edgespan itself answers at this path, since it belongs to logins.
    pub serves_login: bool,
    /// How many routes there are.
    pub routes: usize,
    /// How long the rehearsal took.
    pub took: Duration,
}

/// One reading of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadAs {
    /// Host without port; empty if none was named.
    pub host: String,
    /// Path with its escapes.
    pub path: String,
}

/// The route that took a request.
#[derive(Clone, Debug)]
pub struct RouteFact {
    /// Its name.
    pub name: String,
    /// Its `http.route`.
    pub template: String,
    /// What its captures took.
    pub captures: Vec<(String, String)>,
    /// Others that would have taken it, by name and template.
    pub also: Vec<(String, String)>,
    /// How many more of those there are.
    pub also_more: usize,
    /// What the route does.
    pub action: &'static str,
}

/// A route that nearly took a request.
#[derive(Clone, Debug)]
pub struct Nearest {
    /// Its name.
    pub name: String,
    /// The first condition that does not hold.
    pub missed: String,
}

/// A rate limit that was asked.
#[derive(Clone, Debug)]
pub struct LimitFact {
    /// The span attribute.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// Where a request went.
#[derive(Clone, Debug)]
pub struct UpstreamFact {
    /// The upstream's name.
    pub name: String,
    /// Its `service.peer.name`.
    pub service: String,
    /// The endpoints it may go to.
    pub endpoints: Vec<String>,
    /// The deadline of an answer's head.
    pub first_byte: Duration,
    /// Attempts after the first that may be made.
    pub retries: u32,
    /// The method, path and host that leave.
    pub target: String,
}

/// What edgespan answered by itself.
#[derive(Clone, Debug)]
pub struct Answered {
    /// The status.
    pub status: u16,
    /// Where the client is sent.
    pub location: Option<String>,
    /// Why, as the SERVER span says it.
    pub error_type: Option<String>,
    /// Fields of a decision that a host takes over, in the answer's order.
    pub told: Vec<(String, String)>,
}

/// A span.
#[derive(Clone, Debug)]
pub struct SpanFact {
    /// `SERVER`, `CLIENT` ...
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// Its attributes.
    pub attributes: Vec<(String, String)>,
}

impl SpanFact {
    /// The value of an attribute.
    pub fn attribute(&self, key: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(name, _)| name == key)?;
        Some(&found.1)
    }
}

/// What there is to read.
pub(super) struct Evidence<'a> {
    pub(super) plan: &'a Plan,
    pub(super) live: &'a Snapshot,
    pub(super) question: &'a Question,
    pub(super) listener: &'a Arc<ListenerSettings>,
    /// What left, by the upstream that it went to: questions of policies, and the request.
    pub(super) received: Vec<(Arc<str>, Request<()>)>,
    pub(super) spans: Vec<u8>,
    pub(super) answer: Vec<u8>,
    pub(super) policy: NormalizePolicy,
}

/// Puts it together.
pub(super) fn gather(evidence: &Evidence<'_>, took: Duration) -> Explanation {
    let spans = read_spans(&evidence.spans);
    let server = spans.iter().find(|span| span.kind == "SERVER");
    let read = asked(evidence.question)
        .ok_or_else(|| "it is no HTTP request".to_owned())
        .and_then(|mut request| {
            let read = normalize(&mut request, &evidence.policy);
            let normalized = read.map_err(|refusal| refusal.to_string())?;
            Ok((request, normalized))
        });
    let tells_arrivals = evidence.live.arrival.is_some()
        && evidence.listener.decision.is_none()
        && read
            .as_ref()
            .is_ok_and(|(request, _)| request.uri().path() == PATH);
    let logins = evidence.live.logins.as_ref();
    let serves_login = evidence.question.host_proxy.is_none()
        && read.as_ref().is_ok_and(|(request, _)| {
            logins.is_some_and(|logins| logins.paths.find(request.uri().path()).is_some())
        });
    let name = server.and_then(|span| span.attribute("edgespan.route"));
    let plan = name.and_then(|name| route_plan(evidence.plan, name));
    let (route, nearest) = match &read {
        Ok(read) if !serves_login => routed(evidence, read, name),
        Ok(_) | Err(_) => (None, Vec::new()),
    };
    let left = left(evidence, server);
    let headers = left
        .map(|left| headers::changes(evidence.question, left.headers()))
        .unwrap_or_default();
    let trace = trace_fact(evidence, plan, server);
    let headers = headers::undecided(headers, &trace);
    Explanation {
        listener: Arc::clone(&evidence.listener.name),
        tls_name: evidence
            .listener
            .is_secure()
            .then(|| evidence.question.host().to_owned()),
        without_tls: evidence.question.secure
            && evidence.question.host_proxy.is_none()
            && !evidence.listener.is_secure(),
        read_as: read.map(|(request, normalized)| ReadAs {
            host: normalized.host().to_owned(),
            path: request.uri().path().to_owned(),
        }),
        route,
        nearest,
        trace,
        limits: server.map(limits).unwrap_or_default(),
        auth: auth_fact(evidence.plan, plan, &spans, &evidence.received),
        upstream: upstream_fact(evidence, plan, server, left),
        headers,
        answer: left.is_none().then(|| answered(evidence, server)).flatten(),
        tells_arrivals,
        serves_login,
        routes: evidence.live.routes.len(),
        spans,
        took,
    }
}

/// The request as a library type; None if no such type can hold it, which the parser refuses.
fn asked(question: &Question) -> Option<Request<()>> {
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(question.method.as_bytes()).ok()?;
    *request.uri_mut() = question.path.parse::<Uri>().ok()?;
    for (name, value) in question.fields() {
        let name = HeaderName::try_from(name).ok()?;
        let value = HeaderValue::try_from(value).ok()?;
        request.headers_mut().append(name, value);
    }
    Some(request)
}

fn route_plan<'a>(plan: &'a Plan, name: &str) -> Option<&'a RoutePlan> {
    let mut routes = plan.routes.iter();
    routes.find_map(|(spec, route)| (&*spec.name == name).then_some(route))
}

fn routed(
    evidence: &Evidence<'_>,
    (request, normalized): &(Request<()>, Normalized),
    name: Option<&str>,
) -> (Option<RouteFact>, Vec<Nearest>) {
    let wanted = RouteRequest {
        host: normalized.host(),
        path: request.uri().path(),
        query: request.uri().query(),
        method: request.method(),
        headers: request.headers(),
    };
    let routes = &evidence.live.routes;
    let Some(name) = name else {
        let nearest = routes.near(&wanted).into_iter().map(|near| Nearest {
            name: near.route.to_owned(),
            missed: near.missed.to_string(),
        });
        return (None, nearest.collect());
    };
    let found = routes
        .find(&wanted)
        .filter(|found| &*found.spec.name == name);
    let captures = found.as_ref().map(|found| {
        let pairs = found.captures.iter(wanted.path);
        pairs
            .map(|(key, text)| (key.to_owned(), text.to_owned()))
            .collect()
    });
    let live = routes.iter().find(|(spec, _)| &*spec.name == name);
    let others: Vec<&RouteSpec> = routes
        .taking(&wanted)
        .into_iter()
        .filter(|spec| &*spec.name != name)
        .collect();
    let fact = live.map(|(spec, live): (_, &Arc<LiveRoute>)| RouteFact {
        name: name.to_owned(),
        template: spec.path.name().to_owned(),
        captures: captures.unwrap_or_default(),
        also: others
            .iter()
            .take(ALSO_MAX)
            .map(|spec| (spec.name.to_string(), spec.path.name().to_owned()))
            .collect(),
        also_more: others.len().saturating_sub(ALSO_MAX),
        action: live.plan.action.word(),
    });
    (fact, Vec::new())
}

fn limits(server: &SpanFact) -> Vec<LimitFact> {
    let of_limits = |(key, _): &&(String, String)| key.starts_with("ratelimit.");
    let fact = |(key, value): &(String, String)| LimitFact {
        key: key.clone(),
        value: value.clone(),
    };
    server
        .attributes
        .iter()
        .filter(of_limits)
        .map(fact)
        .collect()
}

/// The request as it left for the route's upstream; what policies ask leaves before it.
fn left<'a>(evidence: &'a Evidence<'_>, server: Option<&SpanFact>) -> Option<&'a Request<()>> {
    let upstream = server?.attribute("edgespan.upstream")?;
    let mut sent = evidence.received.iter().rev();
    sent.find_map(|(to, request)| (**to == *upstream).then_some(request))
}

fn upstream_fact(
    evidence: &Evidence<'_>,
    route: Option<&RoutePlan>,
    server: Option<&SpanFact>,
    left: Option<&Request<()>>,
) -> Option<UpstreamFact> {
    let name = server?.attribute("edgespan.upstream")?;
    let upstream: &ClusterSettings = evidence
        .plan
        .upstreams
        .iter()
        .find(|upstream| &*upstream.name == name)?;
    let first_byte = route.and_then(|route| route.first_byte_timeout);
    let of_route = route.and_then(|route| route.retries.as_ref());
    let retries = of_route.or(upstream.retries.as_ref());
    Some(UpstreamFact {
        name: name.to_owned(),
        service: upstream.service.to_string(),
        endpoints: upstream
            .endpoints
            .iter()
            .map(|endpoint| endpoint.source.to_string())
            .collect(),
        first_byte: first_byte.unwrap_or(upstream.timeouts.first_byte),
        retries: retries.map_or(0, |policy| policy.attempts_max),
        target: left.map(target_text).unwrap_or_default(),
    })
}

pub(super) fn target_text(left: &Request<()>) -> String {
    let path = left
        .uri()
        .path_and_query()
        .map_or("/", http::uri::PathAndQuery::as_str);
    format!("{} {path}", left.method())
}

fn answered(evidence: &Evidence<'_>, server: Option<&SpanFact>) -> Option<Answered> {
    let answer = String::from_utf8_lossy(&evidence.answer);
    // What was read of its body is not told.
    let head = answer.split("\r\n\r\n").next().unwrap_or_default();
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let fields: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let location = fields.iter().find(|(name, _)| name == "location");
    let location = location.map(|(_, value)| value.clone());
    let is_decision = evidence.question.host_proxy.is_some();
    let told = fields
        .into_iter()
        .filter(|(name, _)| is_decision && is_told(name))
        .collect();
    Some(Answered {
        status,
        location,
        error_type: server
            .and_then(|span| span.attribute("error.type"))
            .map(str::to_owned),
        told,
    })
}

/// Whether a host reads this field of a decision: not what frames the answer, and no cookie.
fn is_told(name: &str) -> bool {
    let own = [
        "cache-control",
        "connection",
        "content-length",
        "content-type",
        "date",
        "location",
        "server-timing",
        "set-cookie",
        "transfer-encoding",
        "via",
        "x-trace-id",
    ];
    !own.contains(&name) && !name.starts_with("x-edgespan-set-cookie")
}

/// Spans in the order in which they began to matter: the SERVER span first.
fn read_spans(bytes: &[u8]) -> Vec<SpanFact> {
    let Ok(scope) = ScopeSpans::decode(bytes) else {
        return Vec::new();
    };
    let mut spans: Vec<SpanFact> = scope
        .spans
        .into_iter()
        .map(|span| SpanFact {
            kind: match span.kind() {
                SpanKind::Server => "SERVER",
                SpanKind::Client => "CLIENT",
                SpanKind::Producer => "PRODUCER",
                SpanKind::Consumer => "CONSUMER",
                SpanKind::Internal | SpanKind::Unspecified => "INTERNAL",
            },
            name: span.name,
            attributes: span
                .attributes
                .into_iter()
                .map(|one| (one.key, value_text(one.value.and_then(|any| any.value))))
                .collect(),
        })
        .collect();
    spans.sort_by_key(|span| span.kind != "SERVER");
    spans
}

fn value_text(value: Option<Value>) -> String {
    match value {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        Some(Value::BoolValue(flag)) => flag.to_string(),
        Some(Value::ArrayValue(array)) => {
            let texts = array.values.into_iter().map(|any| value_text(any.value));
            texts.collect::<Vec<_>>().join(", ")
        }
        Some(_) | None => String::new(),
    }
}

impl RouteAction {
    /// What it does, in a word.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Forward { .. } => "forward",
            Self::Split { .. } => "split",
            Self::Redirect(_) => "redirect",
            Self::Answer { .. } => "answer",
            Self::Nothing => "decide",
        }
    }
}
