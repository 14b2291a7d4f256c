//! One trace as a document: every span with its own time, the critical path, what went wrong.

use crate::view::{
    Event, Gap, Hold, Holder, Link, Path, Reason, Span, Status, Trace, Tree, Value, causes,
    own_times, shares,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Map;
use std::collections::HashMap;
use std::sync::Arc;

/// Integers beyond it lose digits in JSON readers that know doubles alone (RFC 8259, section 6).
const SAFE_MAX: u64 = (1 << 53) - 1;

/// A trace. What is not known is null; 64-bit numbers are text.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ShownTrace {
    /// `edgespan.show/1`. Within a version fields are only added.
    schema: &'static str,
    /// 32 hex digits.
    #[serde(rename = "traceID")]
    trace_id: String,
    /// Of the root, or of the only span that hangs on no other here; else empty.
    root_service_name: String,
    /// Of the root, or of the only span that hangs on no other here; else empty.
    root_trace_name: String,
    /// Start of the root, or of the first span; nanoseconds since 1970.
    start_time_unix_nano: String,
    /// Whole milliseconds from the first start to the last end.
    duration_ms: u64,
    /// Nanoseconds from the first start to the last end.
    duration_nano: String,
    /// How many spans are known.
    span_count: usize,
    /// Whether a span of it is an error.
    error: bool,
    /// HTTP or gRPC status of the root.
    status_code: Option<String>,
    /// The flow.
    flow: Option<String>,
    /// Resources of the spans, each once.
    resources: Vec<ShownResource>,
    /// Parents before their children, siblings by start.
    spans: Vec<ShownSpan>,
    /// Parts of the root's time by the span whose own time it was, side by side.
    critical_path: Vec<ShownSegment>,
    /// Parts of the critical path of at least one twentieth in which nothing ran.
    gaps: Vec<ShownGap>,
    /// Who had the time of the critical path, the most first.
    time: Vec<ShownShare>,
    /// What went wrong, in words.
    causes: Vec<ShownCause>,
}

/// What a service says of itself.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ShownResource {
    service_name: String,
    /// Integers beyond 2^53 are text, bytes base64.
    attributes: Map<String, serde_json::Value>,
}

/// A span.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ShownSpan {
    /// 16 hex digits.
    #[serde(rename = "spanID")]
    span_id: String,
    /// 16 hex digits; null of a root.
    #[serde(rename = "parentSpanID")]
    parent_span_id: Option<String>,
    /// Whether its parent is none of these spans.
    parent_missing: bool,
    /// How many spans are above it here.
    depth: usize,
    /// `service.name` of its resource.
    service_name: String,
    /// Whom a call asked.
    peer: Option<String>,
    /// Which of `resources`.
    resource: usize,
    /// The instrumentation that recorded it.
    scope_name: String,
    name: String,
    /// `SERVER`, `CLIENT`, `INTERNAL`, `PRODUCER`, `CONSUMER` or `UNSPECIFIED`.
    kind: &'static str,
    /// Nanoseconds since 1970.
    start_time_unix_nano: String,
    /// Nanoseconds.
    duration_nano: String,
    /// Nanoseconds in which it ran and none of its children did.
    self_nano: String,
    /// Nanoseconds of the critical path that led through it or what hangs on it.
    critical_nano: String,
    /// `UNSET`, `OK` or `ERROR`.
    status: &'static str,
    status_message: String,
    trace_state: String,
    /// Flags as OTLP has them: those of W3C in the lowest byte.
    flags: u32,
    /// Integers beyond 2^53 are text, bytes base64.
    attributes: Map<String, serde_json::Value>,
    events: Vec<ShownEvent>,
    links: Vec<ShownLink>,
}

/// Something that happened at a moment.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ShownEvent {
    name: String,
    /// Nanoseconds since 1970.
    time_unix_nano: String,
    attributes: Map<String, serde_json::Value>,
}

/// A span elsewhere.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ShownLink {
    #[serde(rename = "traceID")]
    trace_id: String,
    #[serde(rename = "spanID")]
    span_id: String,
    attributes: Map<String, serde_json::Value>,
}

/// A part of the critical path.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ShownSegment {
    /// Whose own time it was; null between spans that hang on no other.
    #[serde(rename = "spanID")]
    span_id: Option<String>,
    /// Nanoseconds since 1970.
    start_time_unix_nano: String,
    /// Nanoseconds.
    duration_nano: String,
}

/// A gap in the critical path.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ShownGap {
    /// The span in which it lies; null between spans that hang on no other.
    #[serde(rename = "spanID")]
    span_id: Option<String>,
    /// `retry`: another attempt was waited for; `own`: no span inside; `nobody`: nothing recorded.
    reason: &'static str,
    /// Nanoseconds since 1970.
    start_time_unix_nano: String,
    /// Nanoseconds.
    duration_nano: String,
}

/// A part of the time.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ShownShare {
    /// `service`, `waiting` or `nobody`.
    holder: &'static str,
    /// Name of the service.
    service_name: Option<String>,
    /// Nanoseconds.
    duration_nano: String,
}

/// What went wrong.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ShownCause {
    /// For people; its wording may change.
    sentence: String,
    #[serde(rename = "spanID")]
    span_id: String,
}

impl ShownTrace {
    pub(super) fn of(trace: &Trace) -> Self {
        let tree = Tree::of(trace);
        let path = Path::of(&tree);
        let head = tree.head().and_then(|at| tree.span(at));
        let (from, to) = tree.extent().unwrap_or_default();
        let duration = to.saturating_sub(from);
        let flow = trace.spans.iter().filter_map(|span| span.text("flow"));
        let id_of = |place: Option<usize>| {
            let span = place.and_then(|at| tree.span(at));
            span.map(|span| span.id.to_string())
        };
        let segments = path.segments().iter().map(|segment| ShownSegment {
            span_id: id_of(segment.place),
            start_time_unix_nano: segment.from.to_string(),
            duration_nano: segment.duration().to_string(),
        });
        let gaps = path.gaps().iter().map(|gap| ShownGap {
            span_id: id_of(gap.place),
            ..ShownGap::of(gap)
        });
        let causes = causes(&tree).into_iter().map(|cause| ShownCause {
            sentence: cause.sentence,
            span_id: cause.span.to_string(),
        });
        let shares = shares(&tree, &path).into_iter().map(ShownShare::of);
        let (resources, spans) = spans(&tree, &path);
        Self {
            schema: "edgespan.show/1",
            trace_id: trace.id.to_string(),
            root_service_name: head
                .map(|span| span.service.to_string())
                .unwrap_or_default(),
            root_trace_name: head.map(|span| span.name.clone()).unwrap_or_default(),
            start_time_unix_nano: head.map_or(from, |span| span.start).to_string(),
            duration_ms: duration / 1_000_000,
            duration_nano: duration.to_string(),
            span_count: trace.spans.len(),
            error: trace.spans.iter().any(Span::is_error),
            status_code: head.and_then(|span| span.outcome().status),
            flow: flow.map(str::to_owned).next(),
            resources,
            spans,
            critical_path: segments.collect(),
            gaps: gaps.collect(),
            time: shares.collect(),
            causes: causes.collect(),
        }
    }
}

fn spans(tree: &Tree<'_>, path: &Path) -> (Vec<ShownResource>, Vec<ShownSpan>) {
    let mut resources = Vec::new();
    let mut known: HashMap<*const (String, Value), usize> = HashMap::new();
    let mut alike: HashMap<String, usize> = HashMap::new();
    let own = own_times(tree);
    let mut shown = Vec::with_capacity(tree.places().len());
    for (at, place) in tree.places().iter().enumerate() {
        let span = place.span;
        // Spans that came together share their resource; others may have one that is alike.
        let pointed = known.entry(Arc::as_ptr(&span.resource).cast());
        let resource = *pointed.or_insert_with(|| {
            let resource = ShownResource {
                service_name: span.service.to_string(),
                attributes: attributes(&span.resource),
            };
            let text = serde_json::to_string(&resource).unwrap_or_default();
            *alike.entry(text).or_insert_with(|| {
                resources.push(resource);
                resources.len() - 1
            })
        });
        let critical = path
            .range(at)
            .map_or(0, |(from, to)| to.saturating_sub(from));
        let own = own.get(at).copied().unwrap_or(0);
        shown.push(ShownSpan {
            parent_missing: matches!(place.hold, Hold::Missing(_)),
            depth: place.depth,
            resource,
            self_nano: own.to_string(),
            critical_nano: critical.to_string(),
            ..ShownSpan::of(span)
        });
    }
    (resources, shown)
}

impl ShownSpan {
    /// All but its place among the others.
    fn of(span: &Span) -> Self {
        Self {
            span_id: span.id.to_string(),
            parent_span_id: span.parent.map(|parent| parent.to_string()),
            parent_missing: false,
            depth: 0,
            service_name: span.service.to_string(),
            peer: span.asked().map(str::to_owned),
            resource: 0,
            scope_name: span.scope.to_string(),
            name: span.name.clone(),
            kind: span.kind.name(),
            start_time_unix_nano: span.start.to_string(),
            duration_nano: span.duration().to_string(),
            self_nano: String::new(),
            critical_nano: String::new(),
            status: match span.status {
                Status::Unset => "UNSET",
                Status::Ok => "OK",
                Status::Error => "ERROR",
            },
            status_message: span.message.clone(),
            trace_state: span.state.clone(),
            flags: span.flags,
            attributes: attributes(&span.attributes),
            events: span.events.iter().map(ShownEvent::of).collect(),
            links: span.links.iter().map(ShownLink::of).collect(),
        }
    }
}

impl ShownEvent {
    fn of(event: &Event) -> Self {
        Self {
            name: event.name.clone(),
            time_unix_nano: event.at.to_string(),
            attributes: attributes(&event.attributes),
        }
    }
}

impl ShownLink {
    fn of(link: &Link) -> Self {
        Self {
            trace_id: link.trace.to_string(),
            span_id: link.span.to_string(),
            attributes: attributes(&link.attributes),
        }
    }
}

impl ShownGap {
    /// All but the span.
    fn of(gap: &Gap) -> Self {
        Self {
            span_id: None,
            reason: match gap.reason {
                Reason::Retry => "retry",
                Reason::Own => "own",
                Reason::Nobody => "nobody",
            },
            start_time_unix_nano: gap.from.to_string(),
            duration_nano: gap.duration().to_string(),
        }
    }
}

impl ShownShare {
    fn of((holder, nanos): (Holder, u64)) -> Self {
        let (holder, service_name) = match holder {
            Holder::Service(name) => ("service", Some(name)),
            Holder::Waiting => ("waiting", None),
            Holder::Nobody => ("nobody", None),
        };
        Self {
            holder,
            service_name,
            duration_nano: nanos.to_string(),
        }
    }
}

/// Of a key that stands twice the first counts, as elsewhere.
fn attributes(pairs: &[(String, Value)]) -> Map<String, serde_json::Value> {
    let mut map = Map::new();
    for (key, told) in pairs {
        if !map.contains_key(key) {
            map.insert(key.clone(), value(told));
        }
    }
    map
}

fn value(told: &Value) -> serde_json::Value {
    use serde_json::Value as Json;
    match told {
        Value::Text(text) => Json::String(text.clone()),
        Value::Bool(truth) => Json::Bool(*truth),
        Value::Int(number) if number.unsigned_abs() <= SAFE_MAX => Json::from(*number),
        Value::Int(number) => Json::String(number.to_string()),
        Value::Double(number) if number.is_finite() => Json::from(*number),
        // As OTLP's JSON writes what JSON has no number for.
        Value::Double(number) if number.is_nan() => Json::String("NaN".to_owned()),
        Value::Double(number) if *number > 0.0 => Json::String("Infinity".to_owned()),
        Value::Double(_) => Json::String("-Infinity".to_owned()),
        Value::Bytes(bytes) => Json::String(STANDARD.encode(bytes)),
        Value::List(list) => Json::Array(list.iter().map(value).collect()),
        Value::Map(map) => Json::Object(attributes(map)),
        Value::Empty => Json::Null,
    }
}
