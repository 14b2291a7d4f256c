//! What became of one header: what was sent against what arrived. Pure, and total: any two lists
//! of lines have exactly one verdict, and equal ones are intact.

use super::context;
use super::verdict::{Change, How, Verdict};
use crate::message::credential::may_be_credential;

/// What a header means, as far as it decides which changes are right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `traceparent` (W3C Trace Context level 2).
    Traceparent,
    /// `tracestate`: a list whose order counts; a hop that takes part puts itself in front.
    Tracestate,
    /// `baggage` (W3C Baggage): a list.
    Baggage,
    /// `b3`, the single header.
    B3,
    /// `x-b3-traceid`, `x-b3-spanid`, `x-b3-sampled`.
    B3Multi,
    /// Any other.
    Plain,
}

/// Name and value of a header line, as text of one character a byte.
pub type Line = (String, String);

/// What became of `sent`. `arrived` are all lines that arrived, `removed` the names of those
/// whose values are not told. Of what may be a credential no value is told: reports are kept.
pub fn compare(kind: Kind, sent: &[Line], arrived: &[Line], removed: &[String]) -> Verdict {
    let verdict = told(kind, sent, arrived, removed);
    let is_secret = || sent.iter().any(|(name, _)| may_be_credential(name));
    if let Verdict::Changed(change) = verdict {
        return Verdict::Changed(if is_secret() { change.untold() } else { change });
    }
    verdict
}

fn told(kind: Kind, sent: &[Line], arrived: &[Line], removed: &[String]) -> Verdict {
    let is_sent = |name: &str| sent.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
    let of_ours: Vec<&Line> = arrived.iter().filter(|(name, _)| is_sent(name)).collect();
    if of_ours.is_empty() {
        let untold = removed.iter().any(|name| is_sent(name));
        return match (sent.is_empty(), untold) {
            (true, _) => Verdict::Intact,
            (false, true) => Verdict::Untold,
            (false, false) => Verdict::Lost,
        };
    }
    match kind {
        Kind::B3Multi => context::b3_multi(sent, &of_ours),
        Kind::Traceparent | Kind::B3 => {
            let (sent, arrived) = (values(sent.iter()), values(of_ours.into_iter()));
            context::ids(kind, &sent, &arrived)
        }
        Kind::Tracestate | Kind::Baggage | Kind::Plain => {
            let (sent, arrived) = (values(sent.iter()), values(of_ours.into_iter()));
            list(kind, &sent, &arrived)
        }
    }
}

fn values<'a>(lines: impl Iterator<Item = &'a Line>) -> Vec<&'a str> {
    lines.map(|(_, value)| value.as_str()).collect()
}

/// A header whose value is a list (RFC 9110 section 5.6.1), or is compared like one.
fn list(kind: Kind, sent: &[&str], arrived: &[&str]) -> Verdict {
    if sent == arrived {
        return Verdict::Intact;
    }
    let (of_sent, of_arrived) = (members(sent), members(arrived));
    if of_sent == of_arrived {
        return match arrived.len().cmp(&sent.len()) {
            std::cmp::Ordering::Less => Verdict::Merged,
            std::cmp::Ordering::Greater => Verdict::Split,
            std::cmp::Ordering::Equal => Verdict::Respaced,
        };
    }
    if of_arrived.is_empty() {
        return Verdict::Lost;
    }
    if is_repeated(&of_sent, &of_arrived) {
        return Verdict::Duplicated;
    }
    if is_permuted(&of_sent, &of_arrived) {
        return Verdict::Reordered;
    }
    if kind == Kind::Tracestate
        && let Some(front) = of_arrived.strip_suffix(of_sent.as_slice())
    {
        return Verdict::Extended(front.join(","));
    }
    let how = how(sent, arrived, &of_sent, &of_arrived);
    Verdict::Changed(Change::between(
        &of_sent.join(","),
        &of_arrived.join(","),
        how,
    ))
}

/// The members of all lines, in order, without the space around them and without empty ones.
fn members<'a>(lines: &[&'a str]) -> Vec<&'a str> {
    let members = lines.iter().flat_map(|line| line.split(','));
    let trimmed = members.map(|member| member.trim_matches([' ', '\t']));
    trimmed.filter(|member| !member.is_empty()).collect()
}

fn is_repeated(sent: &[&str], arrived: &[&str]) -> bool {
    arrived.len() > sent.len()
        && sent.iter().all(|member| arrived.contains(member))
        && arrived.iter().all(|member| sent.contains(member))
}

fn is_permuted(sent: &[&str], arrived: &[&str]) -> bool {
    let sorted = |members: &[&str]| {
        let mut members: Vec<String> = members.iter().map(|&member| member.to_owned()).collect();
        members.sort_unstable();
        members
    };
    sent.len() == arrived.len() && sorted(sent) == sorted(arrived)
}

/// What kind of change it is, by the first sign that fits.
fn how(sent: &[&str], arrived: &[&str], of_sent: &[&str], of_arrived: &[&str]) -> How {
    let (whole, got) = (of_sent.join(","), of_arrived.join(","));
    if arrived.len() < sent.len() && arrived.iter().all(|line| sent.contains(line)) {
        return How::LinesLost {
            arrived: arrived.len(),
            sent: sent.len(),
        };
    }
    if let Some(rest) = whole.strip_prefix(&got) {
        return How::Cut {
            bytes: got.len(),
            in_member: !rest.starts_with(','),
        };
    }
    if is_subsequence(of_arrived, of_sent) {
        return How::MembersLost {
            arrived: of_arrived.len(),
            sent: of_sent.len(),
        };
    }
    if whole.eq_ignore_ascii_case(&got) {
        return How::Case;
    }
    if decoded(&whole) == decoded(&got) {
        return How::Reencoded;
    }
    let bare = |members: &[&str]| {
        let keys = members.iter().map(|member| member.split(';').next());
        keys.map(|key| key.unwrap_or_default().trim_end().to_owned())
            .collect::<Vec<String>>()
    };
    if bare(of_sent) == bare(of_arrived) {
        return How::PropertiesLost;
    }
    How::Other
}

fn is_subsequence(part: &[&str], whole: &[&str]) -> bool {
    let mut rest = whole.iter();
    part.iter().all(|member| rest.any(|other| other == member))
}

/// Bytes with every `%XX` decoded.
fn decoded(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let escape = match (byte, after) {
            (b'%', [high, low, after @ ..]) => digit(*high)
                .zip(digit(*low))
                .map(|(high, low)| ((high << 4) | low, after)),
            _ => None,
        };
        let (byte, after) = escape.unwrap_or((byte, after));
        out.push(byte);
        rest = after;
    }
    out
}

fn digit(byte: u8) -> Option<u8> {
    let digit = char::from(byte).to_digit(16)?;
    u8::try_from(digit).ok()
}
