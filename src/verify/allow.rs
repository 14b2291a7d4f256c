//! Which changes are right: those that the specifications grant, and those that somebody allows.

use super::check::Check;
use super::compare::Kind;
use super::verdict::{Change, How, Verdict};
use std::str::FromStr;

/// One `--allow`: `baggage=4096`, `tracestate=reordered`, `b3=lost`, or `b3` for anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowance {
    header: String,
    what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    /// As long as this many bytes arrive.
    Bytes(usize),
    /// This verdict, by its word.
    Verdict(String),
    Anything,
}

/// Words that can be allowed.
const WORDS: [&str; 12] = [
    "changed",
    "duplicated",
    "extended",
    "joined",
    "lost",
    "merged",
    "refused",
    "reordered",
    "respaced",
    "restarted",
    "split",
    "unsampled",
];

/// Why a text allows nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAllowance {
    /// No header.
    #[error("there is no header: write `baggage=4096` or `b3=lost`")]
    Header,
    /// Neither a number of bytes nor a verdict.
    #[error("`{0}` is neither a number of bytes nor one of {words}", words = WORDS.join(", "))]
    What(String),
}

impl FromStr for Allowance {
    type Err = BadAllowance;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (header, what) = text.split_once('=').unwrap_or((text, ""));
        let header = header.trim().to_ascii_lowercase();
        if header.is_empty() {
            return Err(BadAllowance::Header);
        }
        let word = what.trim().to_ascii_lowercase();
        let what = if !text.contains('=') {
            What::Anything
        } else if let Ok(bytes) = word.parse() {
            What::Bytes(bytes)
        } else if WORDS.contains(&word.as_str()) {
            What::Verdict(word)
        } else {
            return Err(BadAllowance::What(what.trim().to_owned()));
        };
        Ok(Self { header, what })
    }
}

impl Allowance {
    /// Whether any check goes by its name.
    pub fn fits_one_of(&self, checks: &[Check]) -> bool {
        checks.iter().any(|check| check.is_named(&self.header))
    }

    /// What was written.
    pub fn header(&self) -> &str {
        &self.header
    }

    fn grants(&self, check: &Check, verdict: &Verdict) -> bool {
        if !check.is_named(&self.header) {
            return false;
        }
        match (&self.what, verdict) {
            (What::Anything, _) => true,
            (What::Verdict(word), verdict) => verdict.word() == word,
            // A hop that cuts between members stops a little earlier.
            (What::Bytes(bytes), Verdict::Changed(Change { how, .. })) => match how {
                How::Cut {
                    bytes: arrived,
                    in_member: true,
                } => arrived >= bytes,
                How::Cut {
                    bytes: arrived,
                    in_member: false,
                } => arrived.saturating_add(LONGEST_MEMBER) >= *bytes,
                How::LinesLost { .. }
                | How::MembersLost { .. }
                | How::Reencoded
                | How::Case
                | How::PropertiesLost
                | How::Shortened
                | How::Other => false,
            },
            (What::Bytes(_), _) => false,
        }
    }
}

/// Bytes of the longest member that is sent, with its comma.
const LONGEST_MEMBER: usize = 300;

/// Whether a header survives with this verdict: by its specification, or because it is allowed.
pub fn survives(check: &Check, verdict: &Verdict, allowed: &[Allowance]) -> bool {
    by_specification(check.kind, verdict) || allowed.iter().any(|one| one.grants(check, verdict))
}

/// What the specifications grant: a hop that takes part makes itself the parent and puts itself
/// in front of `tracestate` (W3C Trace Context section 3.4); lines of a list may be joined in
/// order (section 3.3.1, W3C Baggage section 3.3, RFC 9110 section 5.3).
const fn by_specification(kind: Kind, verdict: &Verdict) -> bool {
    match verdict {
        Verdict::Intact | Verdict::Untold | Verdict::Joined { .. } | Verdict::Extended(_) => true,
        Verdict::Merged | Verdict::Split | Verdict::Respaced => {
            matches!(kind, Kind::Tracestate | Kind::Baggage)
        }
        Verdict::Reordered
        | Verdict::Duplicated
        | Verdict::Unsampled
        | Verdict::Changed(_)
        | Verdict::Restarted
        | Verdict::Lost
        | Verdict::Refused(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    fn named(id: &str) -> Check {
        let checks = check::every(Vec::new());
        checks.into_iter().find(|check| check.id == id).unwrap()
    }

    fn cut(bytes: usize, in_member: bool) -> Verdict {
        Verdict::Changed(Change::between("a", "b", How::Cut { bytes, in_member }))
    }

    #[track_caller]
    fn check(allow: &str, id: &str, verdict: &Verdict, expected: bool) {
        let allowed: Allowance = allow.parse().unwrap();
        assert_eq!(
            survives(&named(id), verdict, &[allowed]),
            expected,
            "{allow}: {verdict:?}"
        );
    }

    #[test]
    fn bytes_allow_a_cut_from_there_on() {
        check("baggage=4096", "baggage-8k", &cut(4096, true), true);
        check("baggage=4096", "baggage-8k", &cut(4095, true), false);
        check("baggage=4096", "baggage-8k", &cut(4000, false), true);
        check("baggage=4096", "baggage-8k", &cut(3000, false), false);
        check("baggage=4096", "baggage-8k", &Verdict::Lost, false);
    }

    #[test]
    fn a_word_allows_one_verdict_and_no_word_allows_all() {
        check("b3=lost", "b3", &Verdict::Lost, true);
        check("b3=lost", "b3", &Verdict::Restarted, false);
        check("b3=lost", "traceparent", &Verdict::Lost, false);
        check("B3", "b3", &Verdict::Restarted, true);
        check(
            "tracestate-lines=reordered",
            "tracestate-lines",
            &Verdict::Reordered,
            true,
        );
        check(
            "tracestate-lines=reordered",
            "tracestate",
            &Verdict::Reordered,
            false,
        );
    }

    #[test]
    fn the_specifications_allow_lists_to_be_joined_and_hops_to_take_part() {
        let own = |id: &str, verdict: &Verdict| survives(&named(id), verdict, &[]);
        assert!(own("tracestate-lines", &Verdict::Merged));
        assert!(own("baggage-lines", &Verdict::Merged));
        assert!(own("traceparent", &Verdict::Joined { random_lost: true }));
        assert!(!own("traceparent", &Verdict::Unsampled));
        assert!(!own("tracestate-lines", &Verdict::Reordered));
    }

    #[test]
    fn what_cannot_be_allowed_is_told() {
        assert_eq!("".parse::<Allowance>(), Err(BadAllowance::Header));
        assert_eq!("=1".parse::<Allowance>(), Err(BadAllowance::Header));
        let bad = "b3=gone".parse::<Allowance>().unwrap_err().to_string();
        assert!(
            bad.starts_with("`gone` is neither a number of bytes nor one of changed, "),
            "{bad}"
        );
    }
}
