//! An explanation for machines: `edgespan.explain/1`. Keys stay, new ones may come.

use crate::app::explain::{
    AskedFact, AuthFact, Explanation, Fate, HeaderChange, Nearest, RouteFact, UpstreamFact,
};
use crate::config::Places;
use schemars::{JsonSchema, Schema, schema_for};
use serde::Serialize;
use std::collections::BTreeMap;

/// Names and their values.
type Pairs = BTreeMap<String, String>;

/// What would happen to a request. What does not apply is null; lines are those of the file.
#[derive(Serialize, JsonSchema)]
struct Explained {
    /// `edgespan.explain/1`. Within a version fields are only added.
    schema: &'static str,
    /// The listener that takes it.
    listener: ExplainedListener,
    /// As what it is read, or why it is not.
    normalised: Normalised,
    /// The route that takes it.
    route: Option<ExplainedRoute>,
    /// Routes that nearly take it, if none does.
    nearest: Vec<NearRoute>,
    /// Whether it is answered with an account of what arrived.
    tells_arrivals: bool,
    /// Whether edgespan itself answers at its path, since it belongs to logins.
    serves_login: bool,
    /// What becomes of its trace.
    trace: ExplainedTrace,
    /// Bounds that hold for it, by the key of the configuration.
    limits: Pairs,
    /// Who decides whether it may pass.
    auth: Option<ExplainedAuth>,
    /// Where it goes.
    upstream: Option<ExplainedUpstream>,
    /// What becomes of its headers.
    headers: Vec<ExplainedHeader>,
    /// What it is answered, if it goes nowhere.
    answer: Option<ExplainedAnswer>,
    /// The spans that come of it.
    spans: Vec<ExplainedSpan>,
    /// How many routes there are.
    routes: usize,
}

#[derive(Serialize, JsonSchema)]
struct ExplainedListener {
    name: String,
    line: Option<usize>,
    /// The name that the certificate is chosen by.
    tls_name: Option<String>,
}

/// Either `host` and `path`, or `refused`.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
enum Normalised {
    Read { host: String, path: String },
    Refused { refused: String },
}

#[derive(Serialize, JsonSchema)]
struct ExplainedRoute {
    name: String,
    line: Option<usize>,
    /// `http.route`.
    template: String,
    /// What the template's names stand for.
    captures: Pairs,
    /// What it does, in the word of the configuration.
    action: &'static str,
    /// Other routes that would take it.
    also: Vec<OtherRoute>,
}

#[derive(Serialize, JsonSchema)]
struct OtherRoute {
    name: String,
    template: String,
    line: Option<usize>,
}

#[derive(Serialize, JsonSchema)]
struct NearRoute {
    name: String,
    /// Why it does not.
    missed: String,
    line: Option<usize>,
}

#[derive(Serialize, JsonSchema)]
struct ExplainedTrace {
    /// Whether spans are recorded at all.
    recording: bool,
    /// The caller's, or the one that its id gives.
    trace_id: Option<String>,
    /// The header that a trace begins from, where none came.
    root_from: Option<String>,
    /// Whether the caller samples; null: it says nothing.
    caller_sampled: Option<bool>,
    /// Why it is sampled or not.
    reason: &'static str,
    /// The share that is kept, from 0 to 1.
    rate: f64,
    /// Whether it is kept; null: chance decides.
    kept: Option<bool>,
    /// The flow.
    flow: Option<String>,
    /// Feature flags that are recorded.
    feature_flags: Vec<String>,
}

#[derive(Serialize, JsonSchema)]
struct ExplainedAuth {
    /// `allow`, `deny`, or what a refusal comes to.
    decision: String,
    /// Why not.
    reason: Option<String>,
    /// The policy that decides.
    policy: Option<String>,
    /// The route's expression.
    allow: Option<String>,
    /// Every policy that is asked, in order.
    asked: Vec<AskedPolicy>,
}

#[derive(Serialize, JsonSchema)]
struct AskedPolicy {
    policy: String,
    line: Option<usize>,
    /// How it decides, in the word of the configuration.
    means: &'static str,
    /// What it says.
    decision: String,
    /// Whether that is assumed: an authorizer is not asked.
    assumed: bool,
    /// Why it does not allow.
    reason: Option<String>,
    /// Whether it refuses at all.
    enforced: bool,
    /// Method and path that an authorizer would be asked with.
    question: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct ExplainedUpstream {
    name: String,
    line: Option<usize>,
    service: String,
    endpoints: Vec<String>,
    /// How long the first byte of the answer may take, in milliseconds.
    first_byte_ms: u64,
    retries: u32,
    /// The target of the request that is sent.
    request: String,
}

#[derive(Serialize, JsonSchema)]
struct ExplainedHeader {
    name: String,
    /// `kept`, `added`, `changed` or `removed`.
    change: &'static str,
    /// What leaves; what is secret is hidden.
    value: String,
    reason: &'static str,
}

#[derive(Serialize, JsonSchema)]
struct ExplainedAnswer {
    status: u16,
    location: Option<String>,
    error_type: Option<String>,
    /// What else it tells the client.
    told: Pairs,
}

#[derive(Serialize, JsonSchema)]
struct ExplainedSpan {
    kind: &'static str,
    name: String,
    attributes: Pairs,
}

/// One object.
pub(super) fn render(told: &Explanation, places: &Places) -> serde_json::Value {
    // Texts and numbers alone: this does not fail.
    serde_json::to_value(explained(told, places)).unwrap_or_default()
}

/// JSON Schema of what [`render`] makes.
pub(in crate::cli) fn schema() -> Schema {
    schema_for!(Explained)
}

fn explained(told: &Explanation, places: &Places) -> Explained {
    Explained {
        schema: "edgespan.explain/1",
        listener: ExplainedListener {
            name: told.listener.to_string(),
            line: places.line("listeners", &told.listener),
            tls_name: told.tls_name.clone(),
        },
        normalised: match &told.read_as {
            Ok(read) => Normalised::Read {
                host: read.host.clone(),
                path: read.path.clone(),
            },
            Err(reason) => Normalised::Refused {
                refused: reason.clone(),
            },
        },
        route: told.route.as_ref().map(|one| route(one, places)),
        nearest: told.nearest.iter().map(|one| near(one, places)).collect(),
        tells_arrivals: told.tells_arrivals,
        serves_login: told.serves_login,
        trace: trace(told),
        limits: told
            .limits
            .iter()
            .map(|limit| (limit.key.clone(), limit.value.clone()))
            .collect(),
        auth: told.auth.as_ref().map(|one| auth(one, places)),
        upstream: told.upstream.as_ref().map(|one| upstream(one, places)),
        headers: told.headers.iter().map(header).collect(),
        answer: told.answer.as_ref().map(|answer| ExplainedAnswer {
            status: answer.status,
            location: answer.location.clone(),
            error_type: answer.error_type.clone(),
            told: pairs(&answer.told),
        }),
        spans: told
            .spans
            .iter()
            .map(|span| ExplainedSpan {
                kind: span.kind,
                name: span.name.clone(),
                attributes: pairs(&span.attributes),
            })
            .collect(),
        routes: told.routes,
    }
}

fn route(route: &RouteFact, places: &Places) -> ExplainedRoute {
    let also = route.also.iter().map(|(name, template)| OtherRoute {
        name: name.clone(),
        template: template.clone(),
        line: places.line("routes", name),
    });
    ExplainedRoute {
        name: route.name.clone(),
        line: places.line("routes", &route.name),
        template: route.template.clone(),
        captures: pairs(&route.captures),
        action: route.action,
        also: also.collect(),
    }
}

fn near(near: &Nearest, places: &Places) -> NearRoute {
    NearRoute {
        name: near.name.clone(),
        missed: near.missed.clone(),
        line: places.line("routes", &near.name),
    }
}

fn header(change: &HeaderChange) -> ExplainedHeader {
    ExplainedHeader {
        name: change.name.clone(),
        change: match change.fate {
            Fate::Kept => "kept",
            Fate::Added => "added",
            Fate::Changed => "changed",
            Fate::Removed => "removed",
        },
        value: change.value.clone(),
        reason: change.reason,
    }
}

fn upstream(upstream: &UpstreamFact, places: &Places) -> ExplainedUpstream {
    ExplainedUpstream {
        name: upstream.name.clone(),
        line: places.line("upstreams", &upstream.name),
        service: upstream.service.clone(),
        endpoints: upstream.endpoints.clone(),
        first_byte_ms: u64::try_from(upstream.first_byte.as_millis()).unwrap_or(u64::MAX),
        retries: upstream.retries,
        request: upstream.target.clone(),
    }
}

fn auth(auth: &AuthFact, places: &Places) -> ExplainedAuth {
    ExplainedAuth {
        decision: auth.decision.clone(),
        reason: auth.reason.clone(),
        policy: auth.policy.clone(),
        allow: auth.allow.clone(),
        asked: auth.asked.iter().map(|one| asked(one, places)).collect(),
    }
}

fn asked(asked: &AskedFact, places: &Places) -> AskedPolicy {
    AskedPolicy {
        policy: asked.policy.clone(),
        line: places.line("auth", &asked.policy),
        means: asked.means,
        decision: asked.decision.clone(),
        assumed: asked.question.is_some(),
        reason: asked.reason.clone(),
        enforced: asked.enforced,
        question: asked.question.clone(),
    }
}

fn trace(told: &Explanation) -> ExplainedTrace {
    let trace = &told.trace;
    let root = trace.root.as_ref();
    ExplainedTrace {
        recording: trace.recording,
        trace_id: trace.joins.clone().or(root.map(|(id, _)| id.clone())),
        root_from: root.map(|(_, name)| name.clone()),
        caller_sampled: trace.caller_sampled,
        reason: trace.reason,
        rate: trace.rate,
        kept: trace.kept,
        flow: trace.flow.clone(),
        feature_flags: trace.flags.clone(),
    }
}

fn pairs(pairs: &[(String, String)]) -> Pairs {
    pairs.iter().cloned().collect()
}
