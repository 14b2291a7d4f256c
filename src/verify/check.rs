//! What is sent: each check is one row of the report, and makes its header lines anew for every
//! request, with ids that nobody has seen.

use super::compare::{Kind, Line};
use crate::trace::ids;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::fmt::Write as _;

/// Bytes of the large `baggage`: what W3C Baggage section 3.3.1.2 wants propagated at least.
pub const BAGGAGE_BYTES: usize = 8192;
/// Characters of the long `tracestate`: W3C Trace Context section 3.3.1.5.
pub const TRACESTATE_BYTES: usize = 512;
/// Members of the `tracestate` with many: W3C Trace Context section 3.3.1.1.
pub const TRACESTATE_MEMBERS: usize = 32;

/// One thing that is sent and looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What machines call it, and `--only`.
    pub id: String,
    /// What the report calls it.
    pub label: String,
    /// The header by which it goes, in lower case; for several headers, their prefix.
    pub header: String,
    /// What its changes mean.
    pub kind: Kind,
    recipe: Recipe,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Recipe {
    Traceparent,
    Tracestate,
    TracestateLines,
    TracestateLong,
    TracestateMembers,
    Baggage,
    BaggageLines,
    BaggageLarge,
    B3,
    B3Multi,
    Given(Vec<(HeaderName, HeaderValue)>),
}

/// The context that one request carries.
#[derive(Clone, Debug)]
pub struct Fresh {
    trace: String,
    span: String,
}

impl Fresh {
    /// Ids that nobody has seen.
    pub fn new() -> Self {
        Self {
            trace: ids::trace_id().to_string(),
            span: ids::span_id().to_string(),
        }
    }

    /// The trace id, in hex.
    pub fn trace_id(&self) -> &str {
        &self.trace
    }

    /// Digits that differ from request to request, so that no cached value passes for this one.
    fn mark(&self) -> &str {
        self.span.get(..8).unwrap_or_default()
    }
}

impl Default for Fresh {
    fn default() -> Self {
        Self::new()
    }
}

impl Check {
    fn built_in(id: &str, label: &str, header: &str, kind: Kind, recipe: Recipe) -> Self {
        Self {
            id: id.to_owned(),
            label: label.to_owned(),
            header: header.to_owned(),
            kind,
            recipe,
        }
    }

    /// The check of header lines that somebody gave, all of one name.
    pub fn given(name: &HeaderName, values: Vec<HeaderValue>) -> Self {
        let lines = values.len();
        let label = if lines > 1 {
            format!("{name} ×{lines}")
        } else {
            name.to_string()
        };
        let lines = values.into_iter().map(|value| (name.clone(), value));
        Self {
            id: name.to_string(),
            label,
            header: name.to_string(),
            kind: Kind::Plain,
            recipe: Recipe::Given(lines.collect()),
        }
    }

    /// Whether `word` of `--only` means it: its id, or its header.
    pub fn is_named(&self, word: &str) -> bool {
        self.id.eq_ignore_ascii_case(word) || self.header.eq_ignore_ascii_case(word)
    }

    /// The lines of one request.
    pub fn lines(&self, fresh: &Fresh) -> Vec<(HeaderName, HeaderValue)> {
        let Fresh { trace, span } = fresh;
        let mark = fresh.mark();
        let one = |name, value: String| vec![line(name, value)];
        match &self.recipe {
            Recipe::Traceparent => one("traceparent", format!("00-{trace}-{span}-03")),
            Recipe::Tracestate => one("tracestate", format!("edgespan=v:{mark},other@vendor=1")),
            Recipe::TracestateLines => {
                let values = [format!("edgespan=v:{mark}"), "b=2,c=3".into(), "d=4".into()];
                values.map(|value| line("tracestate", value)).into()
            }
            Recipe::TracestateLong => one("tracestate", long_tracestate(mark)),
            Recipe::TracestateMembers => {
                let members = (1..TRACESTATE_MEMBERS).map(|number| format!(",m{number}={number}"));
                let members: String = members.collect();
                one("tracestate", format!("m0={mark}{members}"))
            }
            Recipe::Baggage => one(
                "baggage",
                // Order, properties with and without a value, and what only percent-encoding says.
                format!(
                    "zeta={mark},user.id=4711;internal;ttl=60,name=Gr%C3%BC%C3%9Fe%2C%20Welt,alpha=1"
                ),
            ),
            Recipe::BaggageLines => {
                let values = [format!("run={mark}"), "b=2;p,a=1".into(), "c=3".into()];
                values.map(|value| line("baggage", value)).into()
            }
            Recipe::BaggageLarge => one("baggage", large_baggage(mark)),
            Recipe::B3 => one("b3", format!("{trace}-{span}-1")),
            Recipe::B3Multi => vec![
                line("x-b3-traceid", trace.clone()),
                line("x-b3-spanid", span.clone()),
                line("x-b3-sampled", "1".to_owned()),
            ],
            Recipe::Given(lines) => lines.clone(),
        }
    }
}

/// Every value that is made here is visible ASCII.
fn line(name: &'static str, value: String) -> (HeaderName, HeaderValue) {
    let value = HeaderValue::try_from(value).unwrap_or(HeaderValue::from_static(""));
    (HeaderName::from_static(name), value)
}

/// Two members in exactly [`TRACESTATE_BYTES`]: the longest value has 256 characters.
fn long_tracestate(mark: &str) -> String {
    let mut value = format!("long={mark}");
    value.push_str(&"x".repeat(256_usize.saturating_sub(mark.len())));
    value.push_str(",rest=");
    let missing = TRACESTATE_BYTES.saturating_sub(value.len());
    value.push_str(&"y".repeat(missing));
    value
}

/// Numbered members in exactly [`BAGGAGE_BYTES`], at most 64 of them (W3C Baggage asks for no
/// more). The number fills the value, too, so that the place of a cut can be read.
fn large_baggage(mark: &str) -> String {
    let mut value = format!("k00={mark}");
    for number in 1..64_usize {
        // Members of 128 bytes with their commas; the last one fills up. Writing to a string
        // cannot fail.
        write!(value, ",k{number:02}=").unwrap_or_default();
        let end = if number == 63 {
            BAGGAGE_BYTES
        } else {
            number * 128
        };
        let filler = format!("{number:02}.");
        let missing = end.saturating_sub(value.len());
        value.extend(filler.chars().cycle().take(missing));
    }
    value
}

/// Checks that travel together in one request.
pub type Set = Vec<Check>;

/// Every check, in the report's order, and given ones after them.
pub fn every(given: Vec<Check>) -> Vec<Check> {
    let mut checks = vec![Check::built_in(
        "traceparent",
        "traceparent",
        "traceparent",
        Kind::Traceparent,
        Recipe::Traceparent,
    )];
    let tracestate = [
        ("tracestate", "tracestate", Recipe::Tracestate),
        ("tracestate-lines", "tracestate ×3", Recipe::TracestateLines),
        ("tracestate-512", "tracestate 512", Recipe::TracestateLong),
        (
            "tracestate-32",
            "tracestate 32 members",
            Recipe::TracestateMembers,
        ),
    ];
    let baggage = [
        ("baggage", "baggage", Recipe::Baggage),
        ("baggage-lines", "baggage ×3", Recipe::BaggageLines),
        ("baggage-8k", "baggage 8 KiB", Recipe::BaggageLarge),
    ];
    checks.extend(tracestate.map(|(id, label, recipe)| {
        Check::built_in(id, label, "tracestate", Kind::Tracestate, recipe)
    }));
    checks.extend(
        baggage.map(|(id, label, recipe)| {
            Check::built_in(id, label, "baggage", Kind::Baggage, recipe)
        }),
    );
    checks.push(Check::built_in("b3", "b3", "b3", Kind::B3, Recipe::B3));
    checks.push(Check::built_in(
        "x-b3",
        "x-b3-*",
        "x-b3",
        Kind::B3Multi,
        Recipe::B3Multi,
    ));
    checks.extend(given);
    checks
}

/// As few requests as can carry all: no header name twice in one, and what is large alone with a
/// `traceparent`, since a hop that refuses it refuses the request.
pub fn sets(checks: &[Check]) -> Vec<Set> {
    let mut sets: Vec<Set> = Vec::new();
    for check in checks {
        let is_large = check.recipe == Recipe::BaggageLarge;
        let fits = |set: &&mut Set| {
            set.iter().all(|other| {
                other.header != check.header && other.recipe != Recipe::BaggageLarge && !is_large
            })
        };
        match sets.iter_mut().find(fits) {
            Some(set) => set.push(check.clone()),
            None => sets.push(vec![check.clone()]),
        }
    }
    let context = checks
        .iter()
        .find(|check| check.recipe == Recipe::Traceparent);
    for set in sets.iter_mut().skip(1) {
        set.extend(context.cloned());
    }
    sets
}

/// The header lines of a set, and what was sent as it is compared.
pub fn made(set: &[Check], fresh: &Fresh) -> (HeaderMap, Vec<Vec<Line>>) {
    let mut headers = HeaderMap::new();
    let mut sent = Vec::with_capacity(set.len());
    for check in set {
        let lines = check.lines(fresh);
        let told = |(name, value): &(HeaderName, HeaderValue)| {
            (
                name.to_string(),
                value.as_bytes().iter().copied().map(char::from).collect(),
            )
        };
        sent.push(lines.iter().map(told).collect());
        for (name, value) in lines {
            headers.append(name, value);
        }
    }
    (headers, sent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(id: &str) -> String {
        let fresh = Fresh::new();
        let checks = every(Vec::new());
        let check = checks.iter().find(|check| check.id == id).unwrap();
        let lines = check.lines(&fresh);
        assert_eq!(lines.len(), 1, "{id}");
        lines[0].1.to_str().unwrap().to_owned()
    }

    #[test]
    fn what_is_sent_is_as_long_as_it_says() {
        let (long, many, large) = (
            value("tracestate-512"),
            value("tracestate-32"),
            value("baggage-8k"),
        );

        assert_eq!(long.len(), TRACESTATE_BYTES);
        assert_eq!(many.split(',').count(), TRACESTATE_MEMBERS);
        assert_eq!(large.len(), BAGGAGE_BYTES);
        assert_eq!(large.split(',').count(), 64);
        assert!(
            long.split(',')
                .all(|member| member.split('=').nth(1).unwrap().len() <= 256)
        );
    }

    #[test]
    fn everything_is_sent_in_five_requests_and_no_name_is_mixed() {
        let checks = every(Vec::new());

        let sets = sets(&checks);

        assert_eq!(sets.len(), 5);
        for set in &sets {
            let mut headers: Vec<&str> = set.iter().map(|check| check.header.as_str()).collect();
            let all = headers.len();
            headers.sort_unstable();
            headers.dedup();
            assert_eq!(headers.len(), all);
        }
        let sent: usize = sets.iter().map(Vec::len).sum();
        assert_eq!(sent, checks.len() + 4, "a traceparent in every set");
    }

    #[test]
    fn one_check_alone_is_one_request() {
        let checks = every(Vec::new());

        assert_eq!(sets(&checks[..1]).len(), 1);
        assert_eq!(sets(&checks[7..8]), [vec![checks[7].clone()]]);
    }

    #[test]
    fn no_two_requests_carry_the_same() {
        let (one, other) = (Fresh::new(), Fresh::new());
        for check in every(Vec::new()) {
            assert_ne!(check.lines(&one), check.lines(&other), "{}", check.id);
        }
    }
}
