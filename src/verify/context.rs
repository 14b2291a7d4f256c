//! Trace context as it is compared: a hop that takes part in the trace may change the span id,
//! and nothing else.

use super::compare::{Kind, Line};
use super::verdict::{Change, How, Verdict};

/// The sampled bit of W3C's flags.
const SAMPLED: u8 = 0x01;
/// The random bit of W3C's flags (level 2).
const RANDOM: u8 = 0x02;

/// A context as it was written.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Ids<'a> {
    trace: &'a str,
    span: &'a str,
    flags: u8,
}

/// What became of a header that holds one context, `traceparent` or `b3`.
pub(super) fn ids(kind: Kind, sent: &[&str], arrived: &[&str]) -> Verdict {
    if sent == arrived {
        return Verdict::Intact;
    }
    let (&[sent], Some((&first, rest))) = (sent, arrived.split_first()) else {
        return Verdict::Duplicated;
    };
    if !rest.is_empty() {
        return Verdict::Duplicated;
    }
    let read = if kind == Kind::B3 { b3 } else { traceparent };
    match (read(sent), read(first)) {
        (Some(own), Some(theirs)) => judged(own, theirs, sent, first),
        (Some(_), None) | (None, _) => other(sent, first),
    }
}

/// What became of B3's several headers.
pub(super) fn b3_multi(sent: &[Line], arrived: &[&Line]) -> Verdict {
    let is_same =
        |(one, other): (&Line, &&Line)| one.0.eq_ignore_ascii_case(&other.0) && one.1 == other.1;
    let all_of = |lines: &[Line]| {
        let values: Vec<&str> = lines.iter().map(|(_, value)| value.as_str()).collect();
        values.join(" ")
    };
    // HTTP/2 keeps no order between names, so lines are looked up by theirs.
    let mut in_order: Vec<&Line> = Vec::with_capacity(sent.len());
    for (name, _) in sent {
        let mut own = arrived
            .iter()
            .filter(|(other, _)| other.eq_ignore_ascii_case(name));
        match (own.next(), own.next()) {
            (Some(line), None) => in_order.push(line),
            (Some(_), Some(_)) => return Verdict::Duplicated,
            (None, _) => {}
        }
    }
    let got: Vec<Line> = in_order.iter().map(|&line| line.clone()).collect();
    if in_order.len() < sent.len() {
        let how = How::LinesLost {
            arrived: in_order.len(),
            sent: sent.len(),
        };
        return Verdict::Changed(Change::between(&all_of(sent), &all_of(&got), how));
    }
    if sent.iter().zip(&in_order).all(is_same) {
        return Verdict::Intact;
    }
    match (multi(sent), multi(&got)) {
        (Some(own), Some(theirs)) => judged(own, theirs, &all_of(sent), &all_of(&got)),
        (Some(_), None) | (None, _) => other(&all_of(sent), &all_of(&got)),
    }
}

fn judged(own: Ids<'_>, theirs: Ids<'_>, sent: &str, arrived: &str) -> Verdict {
    if own.trace != theirs.trace {
        if own.trace.len() > theirs.trace.len() && own.trace.ends_with(theirs.trace) {
            return Verdict::Changed(Change::between(sent, arrived, How::Shortened));
        }
        return Verdict::Restarted;
    }
    let lost = own.flags & !theirs.flags;
    if lost & SAMPLED != 0 {
        return Verdict::Unsampled;
    }
    if own.span == theirs.span {
        return other(sent, arrived);
    }
    Verdict::Joined {
        random_lost: lost & RANDOM != 0,
    }
}

fn other(sent: &str, arrived: &str) -> Verdict {
    let how = if sent.eq_ignore_ascii_case(arrived) {
        How::Case
    } else if !arrived.is_empty() && sent.starts_with(arrived) {
        How::Cut {
            bytes: arrived.len(),
            in_member: false,
        }
    } else {
        How::Other
    };
    Verdict::Changed(Change::between(sent, arrived, how))
}

fn is_hex(text: &str, lengths: &[usize]) -> bool {
    let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    lengths.contains(&text.len())
        && text.bytes().all(digit)
        && text.bytes().any(|byte| byte != b'0')
}

/// `00-<trace>-<span>-<flags>`. What is not exactly that is no context here, since it was sent so.
fn traceparent(text: &str) -> Option<Ids<'_>> {
    let mut fields = text.split('-');
    let (version, trace, span, flags) = (
        fields.next()?,
        fields.next()?,
        fields.next()?,
        fields.next()?,
    );
    let whole = version == "00" && fields.next().is_none() && flags.len() == 2;
    let flags = u8::from_str_radix(flags, 16).ok()?;
    (whole && is_hex(trace, &[32]) && is_hex(span, &[16])).then_some(Ids { trace, span, flags })
}

/// `<trace>-<span>-<sampled>`, and a parent's id that may follow.
fn b3(text: &str) -> Option<Ids<'_>> {
    let mut fields = text.split('-');
    let (trace, span, sampled) = (fields.next()?, fields.next()?, fields.next()?);
    let fits = is_hex(trace, &[16, 32]) && is_hex(span, &[16]);
    fits.then_some(Ids {
        trace,
        span,
        flags: u8::from(matches!(sampled, "1" | "d" | "true")),
    })
}

fn multi(lines: &[Line]) -> Option<Ids<'_>> {
    let value = |wanted: &str| {
        let mut lines = lines.iter();
        let found = lines.find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.map(|(_, value)| value.as_str())
    };
    let (trace, span) = (value("x-b3-traceid")?, value("x-b3-spanid")?);
    let fits = is_hex(trace, &[16, 32]) && is_hex(span, &[16]);
    fits.then_some(Ids {
        trace,
        span,
        flags: u8::from(matches!(value("x-b3-sampled"), Some("1" | "true"))),
    })
}
