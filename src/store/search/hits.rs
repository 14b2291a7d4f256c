//! What is told of a trace that was found.

use super::answers::{Braces, root_name, root_service, service};
use super::plan::Plan;
use super::sets::{Family, Member, attribute};
use super::{Hit, HitSpan, ServiceCount};
use crate::backend::Summary;
use crate::store::index::{Index, TraceRow, trace_id};
use crate::store::segment::{Row, Segment};
use crate::store::traceql::ast::{AttributeScope, Field};
use crate::store::wire::Raw;
use crate::view::Value;
use opentelemetry::trace::SpanId;
use std::collections::BTreeMap;

/// Most services told of a trace.
const SERVICES_MAX: usize = 64;

pub(super) fn hit(
    index: &Index,
    trace: &TraceRow,
    plan: &Plan,
    braces: &[Braces],
    spans_max: usize,
) -> Option<Hit> {
    let family = Family::of(index, trace, braces, plan.relates);
    let selected = family.select(plan.root.as_ref()?);
    let mut spans: Vec<_> = family
        .members
        .iter()
        .filter_map(|one| place(index, one))
        .collect();
    let mut matched: Vec<_> = spans
        .iter()
        .zip(&selected)
        .filter(|(_, is_in)| **is_in)
        .map(|(span, _)| *span)
        .collect();
    matched.sort_by_key(|span| (span.row.start, span.row.id));
    spans.sort_by_key(|span| (span.row.start, span.row.id));
    let first = spans.first()?;
    let root = index.resolve(trace.root);
    let head = spans
        .iter()
        .find(|span| Some(span.at) == root)
        .unwrap_or(first);
    let status = ["http.response.status_code", "http.status_code"];
    let status = status.iter().find_map(|key| match head.attribute(key) {
        Some(Raw::Int(status)) => u16::try_from(status).ok(),
        _ => None,
    });
    let path = match head.attribute("url.path") {
        Some(Raw::Text(path)) => Some(path.to_owned()),
        _ => None,
    };
    let flow = spans.iter().find_map(|span| match span.attribute("flow") {
        Some(Raw::Text(flow)) => Some(flow.to_owned()),
        _ => None,
    });
    Some(Hit {
        summary: Summary {
            id: trace_id(trace),
            root_service: root_service(index, trace).unwrap_or_default(),
            root_name: root_name(index, trace).unwrap_or_default(),
            start: trace.start,
            duration: trace.end.saturating_sub(trace.start),
            spans: u32::try_from(spans.len()).ok(),
            is_error: Some(spans.iter().any(|span| span.row.is_error())),
            status,
            flow,
            path,
        },
        first_service: service(first.segment, first.row.source),
        first_name: first.name(),
        matched: u32::try_from(matched.len()).unwrap_or(u32::MAX),
        spans: matched
            .iter()
            .take(spans_max)
            .map(|span| span.told(trace, plan))
            .collect(),
        services: services(&spans),
    })
}

/// A span where it stands.
#[derive(Clone, Copy)]
struct Span<'a> {
    segment: &'a Segment,
    row: &'a Row,
    at: (usize, usize),
}

fn place<'a>(index: &'a Index, member: &Member) -> Option<Span<'a>> {
    let segment = index.segments().get(member.segment)?;
    Some(Span {
        segment,
        row: segment.rows().get(member.row)?,
        at: (member.segment, member.row),
    })
}

impl Span<'_> {
    fn attribute(&self, key: &str) -> Option<Raw<'_>> {
        attribute(self.segment, self.at.1, AttributeScope::Span, key)
    }

    fn name(&self) -> String {
        String::from_utf8_lossy(self.segment.text(self.row.name)).into_owned()
    }

    fn told(&self, trace: &TraceRow, plan: &Plan) -> HitSpan {
        let attributes = plan.told.iter().filter_map(|field| match field {
            Field::Attribute(scope, key) => {
                let value = attribute(self.segment, self.at.1, *scope, key)?;
                Some((key.clone(), owned(&value)))
            }
            Field::Intrinsic(_) => None,
        });
        HitSpan {
            id: SpanId::from_bytes(self.row.id.to_be_bytes()),
            trace: trace_id(trace),
            name: self.name(),
            start: self.row.start,
            duration: self.row.duration,
            attributes: attributes.collect(),
        }
    }
}

fn services(spans: &[Span<'_>]) -> Vec<ServiceCount> {
    let mut counts: BTreeMap<String, (u32, u32)> = BTreeMap::new();
    for span in spans {
        let service = service(span.segment, span.row.source);
        if counts.len() == SERVICES_MAX && !counts.contains_key(&service) {
            continue;
        }
        let (spans, errors) = counts.entry(service).or_default();
        *spans += 1;
        *errors += u32::from(span.row.is_error());
    }
    let counts = counts.into_iter();
    let counts = counts.map(|(service, (spans, errors))| ServiceCount {
        service,
        spans,
        errors,
    });
    counts.collect()
}

/// A value that outlives the store's lock.
pub(in crate::store) fn owned(value: &Raw<'_>) -> Value {
    match value {
        Raw::Text(text) => Value::Text((*text).to_owned()),
        Raw::Bool(truth) => Value::Bool(*truth),
        Raw::Int(number) => Value::Int(*number),
        Raw::Float(number) => Value::Double(*number),
        Raw::List(list) => Value::List(Raw::elements(list).map(|one| owned(&one)).collect()),
        Raw::Other => Value::Empty,
    }
}
