//! A value and a comparison.

use crate::store::traceql::ast::{Compare, Literal, Op};
use crate::store::traceql::{KINDS, status_name};
use crate::store::wire::Raw;
use crate::view::{Kind, Status};
use std::cmp::Ordering;

/// Longest text that a pattern is tried on, in bytes. A longer one fits none, nor its opposite: the
/// largest pattern would take minutes for the largest value.
const PATTERN_TEXT_MAX: usize = 64 * 1024;

/// Whether an attribute's value fits. One of another type fits nothing, `!=` neither. Of a list
/// one element has to fit, and for `!=` and `!~` all of them.
pub(super) fn fits(compare: &Compare, value: &Raw<'_>) -> bool {
    let Raw::List(list) = value else {
        return one_fits(compare, value);
    };
    let mut elements = Raw::elements(list).peekable();
    if elements.peek().is_none() {
        return false;
    }
    if matches!(compare.op, Op::NotEqual | Op::MatchesNot) {
        elements.all(|one| one_fits(compare, &one))
    } else {
        elements.any(|one| one_fits(compare, &one))
    }
}

fn one_fits(compare: &Compare, value: &Raw<'_>) -> bool {
    match (value, &compare.with) {
        (Raw::Text(text), Literal::Text(_)) => text_fits(compare, text),
        (Raw::Int(number), _) => int_fits(compare, *number),
        (Raw::Float(number), with) => {
            let order = match with {
                Literal::Int(with) | Literal::Duration(with) => number.partial_cmp(&(*with as f64)),
                Literal::Float(with) => number.partial_cmp(with),
                Literal::Text(_)
                | Literal::Bool(_)
                | Literal::Status(_)
                | Literal::Kind(_)
                | Literal::Nil => None,
            };
            order.is_some_and(|order| compare.op.fits(order))
        }
        (Raw::Bool(truth), Literal::Bool(with)) => compare.op.fits(truth.cmp(with)),
        _ => false,
    }
}

/// Whether a text fits.
pub(super) fn text_fits(compare: &Compare, text: &str) -> bool {
    match (&compare.pattern, &compare.with) {
        (Some(_), _) if text.len() > PATTERN_TEXT_MAX => false,
        (Some(pattern), _) => pattern.is_match(text) == (compare.op == Op::Matches),
        (None, Literal::Text(with)) => compare.op.fits(text.cmp(with.as_str())),
        // Every span has one, if only an empty one.
        (None, Literal::Nil) => compare.op == Op::NotEqual,
        _ => false,
    }
}

/// Whether an integer, or a duration in nanoseconds, fits.
pub(super) fn int_fits(compare: &Compare, number: i64) -> bool {
    let order = match &compare.with {
        Literal::Int(with) | Literal::Duration(with) => Some(number.cmp(with)),
        Literal::Float(with) => (number as f64).partial_cmp(with),
        Literal::Text(_)
        | Literal::Bool(_)
        | Literal::Status(_)
        | Literal::Kind(_)
        | Literal::Nil => None,
    };
    order.is_some_and(|order| compare.op.fits(order))
}

/// Whether a status fits.
pub(super) fn status_fits(compare: &Compare, status: Status) -> bool {
    let Literal::Status(with) = &compare.with else {
        return false;
    };
    compare.op.fits(if *with == status {
        Ordering::Equal
    } else {
        Ordering::Less
    })
}

/// Whether a kind fits.
pub(super) fn kind_fits(compare: &Compare, kind: Kind) -> bool {
    let Literal::Kind(with) = &compare.with else {
        return false;
    };
    compare.op.fits(if *with == kind {
        Ordering::Equal
    } else {
        Ordering::Less
    })
}

/// Every status as TraceQL writes it.
pub(in crate::store) fn status_names() -> impl Iterator<Item = &'static str> {
    [Status::Error, Status::Ok, Status::Unset]
        .into_iter()
        .map(status_name)
}

/// Every kind as TraceQL writes it.
pub(in crate::store) fn kind_names() -> impl Iterator<Item = String> {
    KINDS.iter().map(|kind| kind.name().to_ascii_lowercase())
}
