//! The places of a tree that a request fills.

use super::pattern::Pattern;
use http::HeaderName;

/// A variable of an expression: a name like `claims.org.id`, resolved to what it is.
#[derive(Clone, Debug)]
pub(super) enum Slot {
    /// Its value.
    Value(Variable),
    /// Whether it is there.
    Has(Variable),
    /// A pattern.
    Pattern(Pattern),
    /// Whether it is so that nothing was proved of the client.
    Anonymous(bool),
    /// Whether the budget does for a round of a comprehension, which takes this much.
    Round(i64),
}

impl Slot {
    /// Whether it is filled with the same.
    pub(super) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Value(one), Self::Value(other)) | (Self::Has(one), Self::Has(other)) => {
                one == other
            }
            (Self::Anonymous(one), Self::Anonymous(other)) => one == other,
            _ => false,
        }
    }
}

/// What can be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Variable {
    Method,
    Path,
    Host,
    Scheme,
    Protocol,
    ClientIp,
    Header(HeaderName),
    Query(Box<str>),
    /// A claim, and the way into it.
    Claim(Vec<Box<str>>),
    Subject,
    Groups,
    Proof,
    Policy,
    RouteName,
    Flow,
}

/// The name of a slot in the tree. No text can spell it.
pub(super) fn name(index: usize) -> String {
    format!("@{index}")
}

/// The index in such a name.
pub(super) fn index(name: &str) -> Option<usize> {
    name.strip_prefix('@')?.parse().ok()
}
