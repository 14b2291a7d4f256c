//! The meaning of a query, written down a second time: on decoded spans, one by one.

use crate::store::traceql::Query;
use crate::store::traceql::ast::{
    AttributeScope, Compare, Condition, Field, Function, Intrinsic, Literal, Mode, Op, Relation,
    Spanset, SpansetOp, Stage,
};
use crate::view::{Span, Trace, Value};

/// The indices of the spans a query selects.
pub(super) fn select(query: &Query, trace: &Trace) -> Vec<usize> {
    let mut set = spanset(&query.root, trace);
    for stage in &query.stages {
        if set.is_empty() {
            break;
        }
        match stage {
            Stage::Filter(condition) => set.retain(|at| filter(condition.as_ref(), trace, *at)),
            Stage::Aggregate {
                function,
                of,
                op,
                with,
            } => {
                let numbers = |at: &usize| match of {
                    None => Some(0.0),
                    Some(field) => values(field, trace, *at).iter().find_map(figure),
                };
                let numbers: Vec<f64> = set.iter().filter_map(numbers).collect();
                let sum: f64 = numbers.iter().sum();
                let result = match function {
                    Function::Count => Some(numbers.len() as f64),
                    _ if numbers.is_empty() => None,
                    Function::Sum => Some(sum),
                    Function::Avg => Some(sum / numbers.len() as f64),
                    Function::Min => numbers.iter().copied().reduce(f64::min),
                    Function::Max => numbers.iter().copied().reduce(f64::max),
                };
                let with = figure(&literal(with).unwrap()).unwrap();
                if !result.is_some_and(|result| op.fits(result.total_cmp(&with))) {
                    set.clear();
                }
            }
            Stage::Select(_) => {}
        }
    }
    set
}

fn spanset(set: &Spanset, trace: &Trace) -> Vec<usize> {
    let all = 0..trace.spans.len();
    match set {
        Spanset::Filter(condition) => all
            .filter(|at| filter(condition.as_ref(), trace, *at))
            .collect(),
        Spanset::Piped(query) => select(query, trace),
        Spanset::Combined(left, op, right) => {
            let (left, right) = (spanset(left, trace), spanset(right, trace));
            let union = || {
                all.clone()
                    .filter(|at| left.contains(at) || right.contains(at))
            };
            match op {
                SpansetOp::And if left.is_empty() || right.is_empty() => Vec::new(),
                SpansetOp::And | SpansetOp::Or => union().collect(),
                SpansetOp::Related(relation, mode) => {
                    let has = |at: &usize| left.iter().any(|of| is(trace, *at, *relation, *of));
                    let back = |at: &usize| right.iter().any(|of| is(trace, *of, *relation, *at));
                    match mode {
                        Mode::Right => right.into_iter().filter(has).collect(),
                        Mode::Without => right.into_iter().filter(|at| !has(at)).collect(),
                        Mode::Both => union()
                            .filter(|at| {
                                (right.contains(at) && has(at)) || (left.contains(at) && back(at))
                            })
                            .collect(),
                    }
                }
            }
        }
    }
}

/// Whether span `at` is the child, descendant, ... of span `of`.
fn is(trace: &Trace, at: usize, relation: Relation, of: usize) -> bool {
    let parent = |at: usize| {
        let parent = trace.spans[at].parent?;
        trace
            .spans
            .iter()
            .position(|span| span.id == parent)
            .filter(|found| *found != at)
    };
    let is_above = |above: usize, below: usize| {
        let mut next = parent(below);
        for _ in 0..trace.spans.len() {
            match next {
                Some(here) if here == above => return true,
                Some(here) => next = parent(here),
                None => return false,
            }
        }
        false
    };
    match relation {
        Relation::Child => parent(at) == Some(of),
        Relation::Parent => parent(of) == Some(at),
        Relation::Descendant => is_above(of, at),
        Relation::Ancestor => is_above(at, of),
        Relation::Sibling => at != of && parent(at).is_some() && parent(at) == parent(of),
    }
}

fn filter(condition: Option<&Condition>, trace: &Trace, at: usize) -> bool {
    condition.is_none_or(|condition| holds(condition, trace, at))
}

fn holds(condition: &Condition, trace: &Trace, at: usize) -> bool {
    match condition {
        Condition::Always(truth) => *truth,
        Condition::Not(inner) => !holds(inner, trace, at),
        Condition::And(left, right) => holds(left, trace, at) && holds(right, trace, at),
        Condition::Or(left, right) => holds(left, trace, at) || holds(right, trace, at),
        Condition::Compare(compare) => compares(compare, &values(&compare.field, trace, at)),
    }
}

fn compares(compare: &Compare, values: &[Value]) -> bool {
    if compare.with == Literal::Nil {
        return values.is_empty() == (compare.op == Op::Equal);
    }
    values.iter().any(|value| match value {
        Value::List(list) if matches!(compare.op, Op::NotEqual | Op::MatchesNot) => {
            !list.is_empty() && list.iter().all(|one| fits(compare, one))
        }
        Value::List(list) => list.iter().any(|one| fits(compare, one)),
        one @ (Value::Text(_)
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Double(_)
        | Value::Bytes(_)
        | Value::Map(_)
        | Value::Empty) => fits(compare, one),
    })
}

fn fits(compare: &Compare, value: &Value) -> bool {
    let with = literal(&compare.with).unwrap();
    match (value, &with) {
        (Value::Text(value), Value::Text(with)) => {
            if !matches!(compare.op, Op::Matches | Op::MatchesNot) {
                return compare.op.fits(value.cmp(with));
            }
            let pattern = regex::Regex::new(&format!(r"\A(?:{with})\z")).unwrap();
            pattern.is_match(value) == (compare.op == Op::Matches)
        }
        (Value::Bool(value), Value::Bool(with)) => compare.op.fits(value.cmp(with)),
        _ => match (figure(value), figure(&with)) {
            (Some(value), Some(with)) => compare.op.fits(value.total_cmp(&with)),
            _ => false,
        },
    }
}

fn figure(value: &Value) -> Option<f64> {
    match value {
        Value::Int(number) => Some(*number as f64),
        Value::Double(number) => Some(*number),
        Value::Text(_)
        | Value::Bool(_)
        | Value::Bytes(_)
        | Value::List(_)
        | Value::Map(_)
        | Value::Empty => None,
    }
}

fn literal(literal: &Literal) -> Option<Value> {
    Some(match literal {
        Literal::Text(text) => Value::Text(text.clone()),
        Literal::Int(number) | Literal::Duration(number) => Value::Int(*number),
        Literal::Float(number) => Value::Double(*number),
        Literal::Bool(truth) => Value::Bool(*truth),
        Literal::Status(status) => Value::Text(format!("{status:?}")),
        Literal::Kind(kind) => Value::Text(format!("{kind:?}")),
        Literal::Nil => return None,
    })
}

/// All values of a field; none if it is not there.
fn values(field: &Field, trace: &Trace, at: usize) -> Vec<Value> {
    let span = &trace.spans[at];
    let find = |pairs: &[(String, Value)], key: &str| -> Vec<Value> {
        let pairs = pairs.iter().filter(|(found, _)| found == key);
        pairs.map(|(_, value)| value.clone()).collect()
    };
    match field {
        Field::Intrinsic(intrinsic) => intrinsics(*intrinsic, trace, span),
        Field::Attribute(scope, key) => match scope {
            AttributeScope::Span => find(&span.attributes, key),
            AttributeScope::Resource => find(&span.resource, key),
            AttributeScope::Any => {
                let own = find(&span.attributes, key);
                if own.is_empty() {
                    find(&span.resource, key)
                } else {
                    own
                }
            }
            AttributeScope::Event => {
                let events = span.events.iter();
                events
                    .flat_map(|event| find(&event.attributes, key))
                    .collect()
            }
            AttributeScope::Link => {
                let links = span.links.iter();
                links.flat_map(|link| find(&link.attributes, key)).collect()
            }
        },
    }
}

fn intrinsics(intrinsic: Intrinsic, trace: &Trace, span: &Span) -> Vec<Value> {
    let text = |text: String| vec![Value::Text(text)];
    let nanos = |nanos: u64| vec![Value::Int(i64::try_from(nanos).unwrap())];
    let roots = trace.spans.iter().filter(|span| span.parent.is_none());
    let root = roots.min_by_key(|span| span.start);
    match intrinsic {
        Intrinsic::Name => text(span.name.clone()),
        Intrinsic::Status => text(format!("{:?}", span.status)),
        Intrinsic::StatusMessage => text(span.message.clone()),
        Intrinsic::Kind => text(format!("{:?}", span.kind)),
        Intrinsic::Duration => nanos(span.duration()),
        Intrinsic::SpanId => text(span.id.to_string()),
        Intrinsic::ParentId => span.parent.map_or_else(Vec::new, |id| text(id.to_string())),
        Intrinsic::TraceId => text(trace.id.to_string()),
        Intrinsic::TraceDuration => {
            let start = trace.spans.iter().map(|span| span.start).min().unwrap();
            nanos(trace.spans.iter().map(|span| span.end).max().unwrap() - start)
        }
        Intrinsic::RootName => root.map_or_else(Vec::new, |root| text(root.name.clone())),
        Intrinsic::RootService => root.map_or_else(Vec::new, |root| text(root.service.to_string())),
        Intrinsic::EventName => {
            let names = span
                .events
                .iter()
                .map(|event| Value::Text(event.name.clone()));
            names.collect()
        }
        Intrinsic::LinkTraceId => {
            let links = span
                .links
                .iter()
                .map(|link| Value::Text(link.trace.to_string()));
            links.collect()
        }
        Intrinsic::LinkSpanId => {
            let links = span
                .links
                .iter()
                .map(|link| Value::Text(link.span.to_string()));
            links.collect()
        }
    }
}
