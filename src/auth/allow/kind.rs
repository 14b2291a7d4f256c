//! What is known of a value before it is there.

use cel::common::ast::LiteralValue;

/// The kind of a value, as far as the text tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Only a request can tell.
    Any,
    Bool,
    Number,
    Text,
    List,
    Null,
}

impl Kind {
    /// As messages name it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Any => "a value",
            Self::Bool => "true or false",
            Self::Number => "a number",
            Self::Text => "a text",
            Self::List => "a list",
            Self::Null => "null",
        }
    }

    /// Whether it may be one of these.
    pub(super) fn may_be(self, wanted: &[Self]) -> bool {
        self == Self::Any || wanted.contains(&self)
    }

    /// Whether two values may be equal. A claim may be null, so null is compared with anything.
    pub(super) fn may_equal(self, other: Self) -> bool {
        self == other || [self, other].contains(&Self::Any)
    }

    /// What either of two branches is.
    pub(super) fn or(self, other: Self) -> Self {
        if self == other { self } else { Self::Any }
    }

    /// The kind of a literal; None: not for expressions here.
    pub(super) const fn of(literal: &LiteralValue) -> Option<Self> {
        match literal {
            LiteralValue::Boolean(_) => Some(Self::Bool),
            LiteralValue::Double(_) | LiteralValue::Int(_) | LiteralValue::UInt(_) => {
                Some(Self::Number)
            }
            LiteralValue::Null => Some(Self::Null),
            LiteralValue::String(_) => Some(Self::Text),
            LiteralValue::Bytes(_) => None,
        }
    }
}
