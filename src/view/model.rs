//! The spans of one trace, in a form that is easy to walk.

use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1 as otlp;
use std::sync::Arc;

/// A trace: every span of it that is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// Which one.
    pub id: TraceId,
    /// By start, then by id; each span once.
    pub spans: Vec<Span>,
}

/// A span.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// Which one.
    pub id: SpanId,
    /// Its parent; None for a root.
    pub parent: Option<SpanId>,
    /// `service.name` of its resource, or empty.
    pub service: Arc<str>,
    /// Attributes of its resource.
    pub resource: Arc<[(String, Value)]>,
    /// Name of the instrumentation that recorded it.
    pub scope: Arc<str>,
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: Kind,
    /// Nanoseconds since 1970.
    pub start: u64,
    /// Nanoseconds since 1970, never before `start`.
    pub end: u64,
    /// How it ended.
    pub status: Status,
    /// What the status says in words.
    pub message: String,
    /// The tracestate.
    pub state: String,
    /// The flags of OTLP, those of W3C in the lowest byte.
    pub flags: u32,
    /// In the order recorded.
    pub attributes: Vec<(String, Value)>,
    /// In the order recorded.
    pub events: Vec<Event>,
    /// In the order recorded.
    pub links: Vec<Link>,
}

/// What a span is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Not told.
    #[default]
    Unspecified,
    /// Within a service.
    Internal,
    /// A request received.
    Server,
    /// A request sent.
    Client,
    /// A message sent.
    Producer,
    /// A message received.
    Consumer,
}

/// How a span ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// Nothing was said.
    #[default]
    Unset,
    /// Well, as somebody said.
    Ok,
    /// Not well.
    Error,
}

/// A value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A truth.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A float.
    Double(f64),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A list.
    List(Vec<Value>),
    /// A map, in the order recorded.
    Map(Vec<(String, Value)>),
    /// Nothing.
    Empty,
}

/// Something that happened at a moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Its name.
    pub name: String,
    /// Nanoseconds since 1970.
    pub at: u64,
    /// In the order recorded.
    pub attributes: Vec<(String, Value)>,
}

/// A span elsewhere that belongs to this one.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// Its trace.
    pub trace: TraceId,
    /// The span.
    pub span: SpanId,
    /// In the order recorded.
    pub attributes: Vec<(String, Value)>,
}

impl Trace {
    /// Of everything that `groups` have of the trace `id`; spans of others are left out, and of a
    /// span that is told twice the first counts.
    pub fn of_resource_spans(id: TraceId, groups: &[otlp::ResourceSpans]) -> Self {
        let mut spans = Vec::new();
        for group in groups {
            let resource = group.resource.as_ref();
            let resource = resource.map(|resource| pairs(&resource.attributes));
            let resource: Arc<[(String, Value)]> = resource.unwrap_or_default().into();
            let service: Arc<str> = text(&resource, "service.name").unwrap_or_default().into();
            for scoped in &group.scope_spans {
                let scope = scoped.scope.as_ref().map(|scope| scope.name.as_str());
                let scope: Arc<str> = scope.unwrap_or_default().into();
                let here = scoped.spans.iter();
                let here = here.filter(|span| span.trace_id == id.to_bytes());
                spans.extend(here.filter_map(|span| {
                    Span::read(
                        span,
                        Arc::clone(&service),
                        Arc::clone(&resource),
                        Arc::clone(&scope),
                    )
                }));
            }
        }
        spans.sort_by_key(|span| (span.start, span.id.to_bytes()));
        let mut seen = std::collections::HashSet::new();
        spans.retain(|span| seen.insert(span.id));
        Self { id, spans }
    }

    /// A span by its id.
    pub fn span(&self, id: SpanId) -> Option<&Span> {
        self.spans.iter().find(|span| span.id == id)
    }
}

impl Span {
    fn read(
        span: &otlp::Span,
        service: Arc<str>,
        resource: Arc<[(String, Value)]>,
        scope: Arc<str>,
    ) -> Option<Self> {
        let status = span.status.as_ref();
        let events = span.events.iter().map(|event| Event {
            name: event.name.clone(),
            at: event.time_unix_nano,
            attributes: pairs(&event.attributes),
        });
        let links = span.links.iter().filter_map(|link| {
            Some(Link {
                trace: TraceId::from_bytes(link.trace_id.as_slice().try_into().ok()?),
                span: SpanId::from_bytes(link.span_id.as_slice().try_into().ok()?),
                attributes: pairs(&link.attributes),
            })
        });
        Some(Self {
            id: SpanId::from_bytes(span.span_id.as_slice().try_into().ok()?),
            parent: span
                .parent_span_id
                .as_slice()
                .try_into()
                .ok()
                .map(SpanId::from_bytes),
            service,
            resource,
            scope,
            name: span.name.clone(),
            kind: Kind::of(span.kind),
            start: span.start_time_unix_nano,
            end: span.end_time_unix_nano.max(span.start_time_unix_nano),
            status: status.map_or(Status::Unset, |status| Status::of(status.code)),
            message: status.map_or_else(String::new, |status| status.message.clone()),
            state: span.trace_state.clone(),
            flags: span.flags,
            attributes: pairs(&span.attributes),
            events: events.collect(),
            links: links.collect(),
        })
    }

    /// An attribute.
    pub fn attribute(&self, key: &str) -> Option<&Value> {
        find(&self.attributes, key)
    }

    /// An attribute that is a text.
    pub fn text(&self, key: &str) -> Option<&str> {
        text(&self.attributes, key)
    }

    /// How long it took, in nanoseconds.
    pub const fn duration(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }
}

impl Kind {
    /// By OTLP's number.
    pub const fn of(number: i32) -> Self {
        match number {
            1 => Self::Internal,
            2 => Self::Server,
            3 => Self::Client,
            4 => Self::Producer,
            5 => Self::Consumer,
            _ => Self::Unspecified,
        }
    }

    /// As people write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "UNSPECIFIED",
            Self::Internal => "INTERNAL",
            Self::Server => "SERVER",
            Self::Client => "CLIENT",
            Self::Producer => "PRODUCER",
            Self::Consumer => "CONSUMER",
        }
    }
}

impl Status {
    /// By OTLP's number.
    pub const fn of(number: i32) -> Self {
        match number {
            1 => Self::Ok,
            2 => Self::Error,
            _ => Self::Unset,
        }
    }
}

impl Value {
    fn of(value: Option<&AnyValue>) -> Self {
        use any_value::Value as Any;
        match value.and_then(|value| value.value.as_ref()) {
            Some(Any::StringValue(text)) => Self::Text(text.clone()),
            Some(Any::BoolValue(truth)) => Self::Bool(*truth),
            Some(Any::IntValue(number)) => Self::Int(*number),
            Some(Any::DoubleValue(number)) => Self::Double(*number),
            Some(Any::BytesValue(bytes)) => Self::Bytes(bytes.clone()),
            Some(Any::ArrayValue(list)) => {
                Self::List(list.values.iter().map(|one| Self::of(Some(one))).collect())
            }
            Some(Any::KvlistValue(map)) => Self::Map(pairs(&map.values)),
            _ => Self::Empty,
        }
    }
}

fn pairs(attributes: &[KeyValue]) -> Vec<(String, Value)> {
    let pair = |one: &KeyValue| (one.key.clone(), Value::of(one.value.as_ref()));
    attributes.iter().map(pair).collect()
}

fn find<'a>(attributes: &'a [(String, Value)], key: &str) -> Option<&'a Value> {
    let found = attributes.iter().find(|(name, _)| name == key);
    found.map(|(_, value)| value)
}

fn text<'a>(attributes: &'a [(String, Value)], key: &str) -> Option<&'a str> {
    match find(attributes, key) {
        Some(Value::Text(text)) => Some(text),
        _ => None,
    }
}
