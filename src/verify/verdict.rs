//! The verdicts, and what a change looks like.

use std::fmt;

/// Characters shown of each value in all.
const SHOWN_MAX: usize = 56;

/// What became of a header on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every line arrived as it was sent.
    Intact,
    /// It arrived, and is a credential by its name, so its value was not told.
    Untold,
    /// Trace context: the same trace, another parent. A hop opened a span, as W3C wants it of one
    /// that takes part. True: it also cleared the random flag, as level 1 asks.
    Joined {
        /// Whether the random flag went.
        random_lost: bool,
    },
    /// `tracestate`: a hop put these members in front.
    Extended(String),
    /// Several lines became fewer, members and order unchanged.
    Merged,
    /// Lines became more, members and order unchanged.
    Split,
    /// Only space around commas, or empty members, changed.
    Respaced,
    /// The same members in another order.
    Reordered,
    /// Something arrived more often than it was sent.
    Duplicated,
    /// Trace context: the same trace, and a hop took the sampled flag away.
    Unsampled,
    /// Something else arrived.
    Changed(Change),
    /// Trace context: another trace. A hop began one of its own.
    Restarted,
    /// Nothing arrived.
    Lost,
    /// The request was refused with this status, or its connection closed, and without the header
    /// it is not.
    Refused(Option<u16>),
}

/// How a value was changed, by its most telling sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// The end is missing.
    Cut {
        /// Bytes that arrived, lines joined by commas.
        bytes: usize,
        /// Whether the last member is half a member.
        in_member: bool,
    },
    /// Some of several lines did not arrive.
    LinesLost {
        /// How many did.
        arrived: usize,
        /// How many were sent.
        sent: usize,
    },
    /// Some members did not arrive.
    MembersLost {
        /// How many did.
        arrived: usize,
        /// How many were sent.
        sent: usize,
    },
    /// Percent-encoding was taken away, added, or written otherwise.
    Reencoded,
    /// Upper and lower case changed.
    Case,
    /// The members' properties changed, their keys and values did not.
    PropertiesLost,
    /// A trace id lost its first half.
    Shortened,
    /// Anything else.
    Other,
}

/// A change, with the place where it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which kind of change.
    pub how: How,
    /// Bytes that are alike before the values part.
    pub at: usize,
    /// What was sent around that place, `…` where something is left out.
    pub sent: String,
    /// What arrived there.
    pub arrived: String,
}

impl Change {
    /// The change from `sent` to `arrived`.
    pub(super) fn between(sent: &str, arrived: &str, how: How) -> Self {
        let alike = sent.chars().zip(arrived.chars());
        let at = alike.take_while(|(one, other)| one == other).count();
        Self {
            how,
            at,
            sent: around(sent, at),
            arrived: around(arrived, at),
        }
    }

    /// The same without the values.
    pub(super) fn untold(self) -> Self {
        Self {
            sent: "***".to_owned(),
            arrived: "***".to_owned(),
            ..self
        }
    }
}

/// The text around character `at`, from a member's begin on if one begins near.
fn around(text: &str, at: usize) -> String {
    let before: String = text.chars().take(at).collect();
    // A second comma further back shows a whole member before the place.
    let member = before.rfind(',').and_then(|comma| before.get(..comma));
    let member = member.map_or(0, |head| {
        let begin = head.rfind(',').and_then(|comma| head.get(..comma));
        begin.map_or(0, |begin| begin.chars().count())
    });
    let start = member.max(at.saturating_sub(SHOWN_MAX / 2));
    let shown: String = text.chars().skip(start).take(SHOWN_MAX).collect();
    let head = if start > 0 { "…" } else { "" };
    let tail = if text.chars().count() > start + SHOWN_MAX {
        "…"
    } else {
        ""
    };
    format!("{head}{shown}{tail}")
}

impl Verdict {
    /// How bad it is: whoever sums up shows the worst.
    pub const fn severity(&self) -> u8 {
        match self {
            Self::Intact => 0,
            Self::Untold => 1,
            Self::Joined { .. } => 2,
            Self::Extended(_) => 3,
            Self::Respaced => 4,
            Self::Merged => 5,
            Self::Split => 6,
            Self::Reordered => 7,
            Self::Duplicated => 8,
            Self::Unsampled => 9,
            Self::Changed(_) => 10,
            Self::Restarted => 11,
            Self::Lost => 12,
            Self::Refused(_) => 13,
        }
    }

    /// One lower-case word, for machines and for `--allow`.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Intact => "intact",
            Self::Untold => "untold",
            Self::Joined { .. } => "joined",
            Self::Extended(_) => "extended",
            Self::Merged => "merged",
            Self::Split => "split",
            Self::Respaced => "respaced",
            Self::Reordered => "reordered",
            Self::Duplicated => "duplicated",
            Self::Unsampled => "unsampled",
            Self::Changed(_) => "changed",
            Self::Restarted => "restarted",
            Self::Lost => "lost",
            Self::Refused(_) => "refused",
        }
    }
}

/// What happened, as a sentence goes on after the header's name and a colon.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Intact => f.write_str("arrived as it was sent"),
            Self::Untold => {
                f.write_str("arrived; its name is that of a credential, so the value is not told")
            }
            Self::Joined { random_lost: false } => {
                f.write_str("joined: a hop opened a span in the same trace")
            }
            Self::Joined { random_lost: true } => f.write_str(
                "joined: a hop opened a span in the same trace, and cleared the random flag",
            ),
            Self::Extended(front) => write!(f, "a hop put `{front}` in front"),
            Self::Merged => f.write_str("several lines became one, in order"),
            Self::Split => f.write_str("one line became several, in order"),
            Self::Respaced => f.write_str("only space between members changed"),
            Self::Reordered => f.write_str("the members arrived in another order"),
            Self::Duplicated => f.write_str("arrived more than once"),
            Self::Unsampled => f.write_str("the same trace, but a hop took the sampled flag away"),
            Self::Changed(change) => change.how.fmt(f),
            Self::Restarted => f.write_str("restarted: a hop began a trace of its own"),
            Self::Lost => f.write_str("did not arrive"),
            Self::Refused(Some(status)) => write!(f, "a request with it is refused with {status}"),
            Self::Refused(None) => f.write_str("a request with it ends without an answer"),
        }
    }
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut {
                bytes,
                in_member: false,
            } => write!(f, "cut after {bytes} bytes"),
            Self::Cut {
                bytes,
                in_member: true,
            } => {
                write!(
                    f,
                    "cut after {bytes} bytes, the last member is half a member"
                )
            }
            Self::LinesLost { arrived, sent } => {
                write!(f, "{arrived} of {sent} header lines arrived")
            }
            Self::MembersLost { arrived, sent } => write!(f, "{arrived} of {sent} members arrived"),
            Self::Reencoded => f.write_str("percent-encoded in another way"),
            Self::Case => f.write_str("upper and lower case changed"),
            Self::PropertiesLost => f.write_str("the members' properties changed"),
            Self::Shortened => f.write_str("the trace id lost its first half"),
            Self::Other => f.write_str("another value arrived"),
        }
    }
}
