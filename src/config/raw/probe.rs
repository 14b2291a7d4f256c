//! Probes, as they are written: in a file of their own, and on a schedule in a configuration.

use super::matcher::{CountText, Json, MatchText};
use super::scalar::{DurationText, Either, FileText, HeaderText, MethodText, OneOrMany};
use crate::config::decode::{Entries, Spanned};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::Deserializer;
use std::borrow::Cow;

/// A key flow that is asked through, step by step.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Probe", extend("required" = ["name", "steps"]))]
pub(in crate::config) struct Probe {
    /// What it is called, in reports and metrics. Letters, digits, `_`, `-` and `.`.
    pub(in crate::config) name: Option<Spanned<String>>,
    /// What the paths of requests are below: `http://127.0.0.1:8080`. `--base` takes its place.
    pub(in crate::config) base: Option<Spanned<String>>,
    /// Texts, secrets, or what is made anew for every run, by name. `{{name}}` stands for one of
    /// them wherever a text may stand; a text may name those before it.
    pub(in crate::config) variables: Entries<Spanned<Variable>>,
    /// How many traces a run makes.
    #[schemars(extend("default" = "step"))]
    pub(in crate::config) trace: Option<TraceWord>,
    /// Where the spans that came out are asked for.
    pub(in crate::config) spans: ProbeSpans,
    /// What is asked, one after the other. After a step that did not hold the rest is skipped.
    #[schemars(length(min = 1, max = 100))]
    pub(in crate::config) steps: Vec<Spanned<Step>>,
}

/// How many traces a run makes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(title = "extent of a trace")]
pub(in crate::config) enum TraceWord {
    /// One for each request
    #[default]
    Step,
    /// One for all of them
    Run,
}

/// Where spans are asked for.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct ProbeSpans {
    /// An edgespan's admin listener, a Tempo, Jaeger or Zipkin: `http://127.0.0.1:9901`,
    /// `jaeger+http://jaeger:16686`. Without it the edgespan of `EDGESPAN_URL`, or within `run`
    /// its own store.
    pub(in crate::config) from: Option<Spanned<String>>,
    /// How long they are waited for.
    #[schemars(extend("default" = "10s"))]
    pub(in crate::config) within: Option<Spanned<DurationText>>,
}

/// Where a variable's value is from. Exactly one of `file`, `env` and `generate`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct VariableSource {
    /// A file that holds a secret; one line break at its end is dropped.
    pub(in crate::config) file: Option<Spanned<FileText>>,
    /// A variable of the environment that holds a secret. What is none: `${NAME}`.
    pub(in crate::config) env: Option<Spanned<String>>,
    /// Made anew for every run.
    pub(in crate::config) generate: Option<Spanned<Generate>>,
    /// Letters and digits of `random`.
    #[schemars(extend("default" = 12), range(min = 1, max = 64))]
    pub(in crate::config) length: Option<Spanned<usize>>,
}

/// What is made anew for every run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(title = "kind of value")]
pub(in crate::config) enum Generate {
    /// A random UUID
    #[default]
    Uuid,
    /// Lower case letters and digits, `length` of them
    Random,
    /// The moment as RFC 3339 writes it
    Now,
    /// The moment in seconds since 1970
    Unix,
}

/// A text, or where a value is from.
#[derive(Clone, Debug)]
pub(in crate::config) enum Variable {
    Text(String),
    Elsewhere(VariableSource),
}

impl<'de> Deserialize<'de> for Variable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Either::deserialize(deserializer)? {
            Either::Text(text) => Self::Text(text),
            Either::Fields(source) => Self::Elsewhere(source),
        })
    }
}

impl JsonSchema for Variable {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Variable")
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let source = generator.subschema_for::<VariableSource>();
        json_schema!({
            "anyOf": [{"type": ["string", "integer", "number", "boolean"]}, source],
            "title": "text or source",
            "description": "A text, or where a value is from.",
        })
    }
}

/// A request, what is taken from its answer and what has to hold.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Step", extend("required" = ["name", "request"]))]
pub(in crate::config) struct Step {
    /// What it is called. Names are unique.
    pub(in crate::config) name: Option<Spanned<String>>,
    /// What is sent.
    pub(in crate::config) request: Option<Spanned<StepRequest>>,
    /// What is taken from the answer, by the name under which later steps use it.
    pub(in crate::config) capture: Entries<Spanned<StepCapture>>,
    /// What has to hold. Without a `status` any below 400.
    pub(in crate::config) expect: Expect,
    /// Tried again until it holds.
    pub(in crate::config) retry: Option<Spanned<StepRetry>>,
    /// Runs after a step that did not hold, too: to clean up.
    pub(in crate::config) always: bool,
}

/// What is sent. Exactly one of `path` and `url`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct StepRequest {
    /// The method.
    #[schemars(extend("default" = "GET"))]
    pub(in crate::config) method: Option<Spanned<MethodText>>,
    /// Path and perhaps query, below `base`. What fills a part of it is escaped.
    pub(in crate::config) path: Option<Spanned<String>>,
    /// A whole address, or one relative to `base`.
    pub(in crate::config) url: Option<Spanned<String>>,
    /// Header lines by name. `user-agent` is `edgespan-probe/VERSION` unless it stands here.
    pub(in crate::config) headers: Entries<OneOrMany<Spanned<HeaderText>>>,
    /// Parameters that are added to the query.
    pub(in crate::config) query: Entries<Spanned<String>>,
    /// The body as it is. At most one of `body`, `json` and `form`.
    pub(in crate::config) body: Option<Spanned<String>>,
    /// The body as JSON, with its content type.
    pub(in crate::config) json: Option<Spanned<Json>>,
    /// The fields of a form, with its content type.
    pub(in crate::config) form: Option<Entries<Spanned<String>>>,
    /// `1.1` or `2`; without it what TLS agrees on.
    pub(in crate::config) http: Option<Spanned<HttpText>>,
    /// From the first packet to the last byte, redirects included.
    #[schemars(extend("default" = "10s"))]
    pub(in crate::config) timeout: Option<Spanned<DurationText>>,
    /// Redirects that are followed.
    #[schemars(extend("default" = 0), range(min = 0, max = 10))]
    pub(in crate::config) follow: Option<Spanned<u64>>,
}

/// A version of HTTP.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub(in crate::config) struct HttpText(pub(in crate::config) String);

impl JsonSchema for HttpText {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("HttpText")
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": ["string", "number"], "title": "HTTP version", "examples": ["1.1"]})
    }
}

/// From where something is taken. Exactly one of `header`, `json`, `regex` and `cookie`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct StepCapture {
    /// The first line of this header.
    pub(in crate::config) header: Option<Spanned<String>>,
    /// A member of the body's JSON, by its pointer: `/order/id`.
    pub(in crate::config) json: Option<Spanned<String>>,
    /// What this finds first in the body.
    pub(in crate::config) regex: Option<Spanned<String>>,
    /// Which group of `regex`; 0 is all that was found.
    #[schemars(extend("default" = 1), range(min = 0, max = 99))]
    pub(in crate::config) group: Option<Spanned<usize>>,
    /// A cookie that there is after the answer. Never shown.
    pub(in crate::config) cookie: Option<Spanned<String>>,
    /// Masked wherever it would be shown.
    pub(in crate::config) secret: bool,
}

/// What has to hold of an answer and of the spans that came out.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Expect {
    /// One of these: `200`, `2xx`.
    pub(in crate::config) status: OneOrMany<Spanned<StatusText>>,
    /// Headers by name: a value or conditions. Any line of a header serves.
    pub(in crate::config) headers: Entries<Spanned<MatchText>>,
    /// Members of the body's JSON by their pointers (`/order/id`; RFC 6901): a value or
    /// conditions.
    pub(in crate::config) json: Entries<Spanned<MatchText>>,
    /// The body: a text, or conditions.
    pub(in crate::config) body: Option<Spanned<MatchText>>,
    /// The answer takes at most this: `500ms`.
    pub(in crate::config) time: Option<Spanned<DurationText>>,
    /// Spans that have to be in the request's trace.
    pub(in crate::config) spans: Vec<Spanned<ExpectSpan>>,
}

/// A status, or a hundred of them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub(in crate::config) struct StatusText(pub(in crate::config) String);

impl JsonSchema for StatusText {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("StatusText")
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": ["string", "integer"], "title": "status", "examples": ["2xx"]})
    }
}

/// Spans that have to be there, by all of what stands here.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "ExpectSpan")]
pub(in crate::config) struct ExpectSpan {
    /// Whose it is: `service.name`.
    pub(in crate::config) service: Option<Spanned<MatchText>>,
    /// Whom it asked: `service.peer.name`.
    pub(in crate::config) peer: Option<Spanned<MatchText>>,
    /// Its name.
    pub(in crate::config) name: Option<Spanned<MatchText>>,
    /// Its kind.
    pub(in crate::config) kind: Option<SpanKindWord>,
    /// Its status.
    pub(in crate::config) status: Option<SpanStatusWord>,
    /// Attributes of it or of its resource, by key: a value or conditions.
    pub(in crate::config) attributes: Entries<Spanned<MatchText>>,
    /// How many there are: a number, or bounds. Without it at least one.
    pub(in crate::config) count: Option<Spanned<CountText>>,
}

/// What a span is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(title = "span kind")]
pub(in crate::config) enum SpanKindWord {
    /// Within a service
    #[default]
    Internal,
    /// A request received
    Server,
    /// A request sent
    Client,
    /// A message sent
    Producer,
    /// A message received
    Consumer,
}

/// How a span ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(title = "span status", extend("x-plural" = "statuses"))]
pub(in crate::config) enum SpanStatusWord {
    /// Nothing was said
    #[default]
    Unset,
    /// Well
    Ok,
    /// Not well
    Error,
}

/// Tried again until everything holds.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["every", "for"]))]
pub(in crate::config) struct StepRetry {
    /// Between two tries.
    pub(in crate::config) every: Option<Spanned<DurationText>>,
    /// From the first try on, at most.
    #[serde(rename = "for")]
    pub(in crate::config) within: Option<Spanned<DurationText>>,
}

/// A probe that `run` runs again and again. Exactly one of `file` and `inline`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["every"]))]
pub(in crate::config) struct ScheduledProbe {
    /// From the beginning of one run to that of the next, at least `1s`. A run that takes longer
    /// is waited for.
    pub(in crate::config) every: Option<Spanned<DurationText>>,
    /// A file as `edgespan probe` takes it.
    pub(in crate::config) file: Option<Spanned<FileText>>,
    /// The same, written here.
    pub(in crate::config) inline: Option<Spanned<Probe>>,
}
