//! A query as a tree.

use crate::view::{Kind, Status};
use std::sync::Arc;

/// A query that was understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    pub(in crate::store) root: Spanset,
    pub(in crate::store) stages: Vec<Stage>,
}

/// Spans of a trace that are selected.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::store) enum Spanset {
    /// `{ … }`; None: every span.
    Filter(Option<Condition>),
    /// Two sets, combined.
    Combined(Box<Self>, SpansetOp, Box<Self>),
    /// A pipeline in parentheses.
    Piped(Box<Query>),
}

/// How two sets of spans are combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum SpansetOp {
    /// Both have spans: all of them.
    And,
    /// One has spans: all of them.
    Or,
    /// By kinship.
    Related(Relation, Mode),
}

/// What the right side is to the left side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Relation {
    /// `>`
    Child,
    /// `>>`
    Descendant,
    /// `<`
    Parent,
    /// `<<`
    Ancestor,
    /// `~`
    Sibling,
}

/// Which spans a relation selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Mode {
    /// Those of the right side that have it.
    Right,
    /// Those of the right side that do not have it (`!`).
    Without,
    /// Those of both sides that have it (`&`).
    Both,
}

/// What follows a `|`.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::store) enum Stage {
    /// Of the spans selected, those that also fit; None: all.
    Filter(Option<Condition>),
    /// A figure of all spans selected.
    Aggregate {
        /// Which figure.
        function: Function,
        /// Of what; None for `count()`.
        of: Option<Field>,
        /// Compared how.
        op: Op,
        /// Compared with what.
        with: Literal,
    },
    /// Attributes that are to be told.
    Select(Vec<Field>),
}

/// Figures of a set of spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Function {
    /// How many.
    Count,
    /// The mean.
    Avg,
    /// The least.
    Min,
    /// The greatest.
    Max,
    /// The sum.
    Sum,
}

/// What has to hold of a span.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::store) enum Condition {
    /// `true` or `false`.
    Always(bool),
    /// A field and a literal.
    Compare(Compare),
    /// The opposite.
    Not(Box<Self>),
    /// Both.
    And(Box<Self>, Box<Self>),
    /// One or both.
    Or(Box<Self>, Box<Self>),
}

/// A field, compared with a literal.
#[derive(Clone, Debug)]
pub(in crate::store) struct Compare {
    /// Which field.
    pub(in crate::store) field: Field,
    /// How.
    pub(in crate::store) op: Op,
    /// With what.
    pub(in crate::store) with: Literal,
    /// The pattern, of a text compared by `=~` or `!~`; it has to fit as a whole.
    pub(in crate::store) pattern: Option<Arc<regex::Regex>>,
}

impl PartialEq for Compare {
    fn eq(&self, other: &Self) -> bool {
        // The pattern follows from the literal.
        (&self.field, self.op, &self.with) == (&other.field, other.op, &other.with)
    }
}

/// What can be asked of a span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) enum Field {
    /// An attribute.
    Attribute(AttributeScope, String),
    /// What every span has.
    Intrinsic(Intrinsic),
}

/// Where an attribute is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum AttributeScope {
    /// On the span, and if it has none, on its resource.
    Any,
    /// On the resource.
    Resource,
    /// On the span.
    Span,
    /// On its events.
    Event,
    /// On its links.
    Link,
}

/// What every span has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Intrinsic {
    Name,
    Status,
    StatusMessage,
    Kind,
    Duration,
    SpanId,
    ParentId,
    TraceId,
    TraceDuration,
    RootName,
    RootService,
    EventName,
    LinkTraceId,
    LinkSpanId,
}

/// How a field and a literal are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Op {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Matches,
    MatchesNot,
}

/// A value in a query.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::store) enum Literal {
    Text(String),
    Int(i64),
    Float(f64),
    /// Nanoseconds.
    Duration(i64),
    Bool(bool),
    Status(Status),
    Kind(Kind),
    Nil,
}

impl Intrinsic {
    /// Every spelling; the first of each is the one that is printed.
    pub(in crate::store) const SPELLINGS: [(&'static str, Self); 24] = [
        ("name", Self::Name),
        ("span:name", Self::Name),
        ("status", Self::Status),
        ("span:status", Self::Status),
        ("statusMessage", Self::StatusMessage),
        ("span:statusMessage", Self::StatusMessage),
        ("kind", Self::Kind),
        ("span:kind", Self::Kind),
        ("duration", Self::Duration),
        ("span:duration", Self::Duration),
        ("span:id", Self::SpanId),
        ("span:parentID", Self::ParentId),
        ("trace:id", Self::TraceId),
        ("traceDuration", Self::TraceDuration),
        ("trace:duration", Self::TraceDuration),
        ("rootName", Self::RootName),
        ("trace:rootName", Self::RootName),
        ("rootServiceName", Self::RootService),
        ("rootService", Self::RootService),
        ("trace:rootService", Self::RootService),
        ("trace:rootServiceName", Self::RootService),
        ("event:name", Self::EventName),
        ("link:traceID", Self::LinkTraceId),
        ("link:spanID", Self::LinkSpanId),
    ];

    /// By any of its spellings.
    pub(in crate::store) fn named(name: &str) -> Option<Self> {
        let found = Self::SPELLINGS.iter().find(|(known, _)| *known == name);
        found.map(|(_, intrinsic)| *intrinsic)
    }

    /// As it is printed.
    pub(in crate::store) fn name(self) -> &'static str {
        let found = Self::SPELLINGS.iter().find(|(_, known)| *known == self);
        found.map_or("", |(name, _)| *name)
    }

    /// Whether it is one value for all spans of a trace.
    pub(in crate::store) const fn is_of_trace(self) -> bool {
        matches!(
            self,
            Self::TraceId | Self::TraceDuration | Self::RootName | Self::RootService
        )
    }
}

impl Op {
    /// As it is written.
    pub(in crate::store) const fn sign(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
            Self::Matches => "=~",
            Self::MatchesNot => "!~",
        }
    }

    /// By its sign.
    pub(in crate::store) fn of(sign: &str) -> Option<Self> {
        let all = [
            Self::Equal,
            Self::NotEqual,
            Self::Less,
            Self::LessEqual,
            Self::Greater,
            Self::GreaterEqual,
            Self::Matches,
            Self::MatchesNot,
        ];
        all.into_iter().find(|op| op.sign() == sign)
    }

    /// With the sides exchanged.
    pub(in crate::store) const fn turned(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessEqual => Self::GreaterEqual,
            Self::Greater => Self::Less,
            Self::GreaterEqual => Self::LessEqual,
            Self::Equal | Self::NotEqual | Self::Matches | Self::MatchesNot => self,
        }
    }

    /// Whether an order of both sides fits.
    pub(in crate::store) const fn fits(self, order: std::cmp::Ordering) -> bool {
        match self {
            Self::Equal | Self::Matches => order.is_eq(),
            Self::NotEqual | Self::MatchesNot => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::LessEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterEqual => order.is_ge(),
        }
    }
}

impl SpansetOp {
    /// Every operator by its sign.
    pub(in crate::store) const SIGNS: [(&'static str, Self); 17] = [
        ("&&", Self::And),
        ("||", Self::Or),
        (">", Self::Related(Relation::Child, Mode::Right)),
        (">>", Self::Related(Relation::Descendant, Mode::Right)),
        ("<", Self::Related(Relation::Parent, Mode::Right)),
        ("<<", Self::Related(Relation::Ancestor, Mode::Right)),
        ("~", Self::Related(Relation::Sibling, Mode::Right)),
        ("!>", Self::Related(Relation::Child, Mode::Without)),
        ("!>>", Self::Related(Relation::Descendant, Mode::Without)),
        ("!<", Self::Related(Relation::Parent, Mode::Without)),
        ("!<<", Self::Related(Relation::Ancestor, Mode::Without)),
        ("!~", Self::Related(Relation::Sibling, Mode::Without)),
        ("&>", Self::Related(Relation::Child, Mode::Both)),
        ("&>>", Self::Related(Relation::Descendant, Mode::Both)),
        ("&<", Self::Related(Relation::Parent, Mode::Both)),
        ("&<<", Self::Related(Relation::Ancestor, Mode::Both)),
        ("&~", Self::Related(Relation::Sibling, Mode::Both)),
    ];
}

impl Function {
    /// Every function by its name.
    pub(in crate::store) const NAMES: [(&'static str, Self); 5] = [
        ("count", Self::Count),
        ("avg", Self::Avg),
        ("min", Self::Min),
        ("max", Self::Max),
        ("sum", Self::Sum),
    ];
}
