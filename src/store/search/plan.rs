//! A query, prepared: every comparison and every pair of braces has a number, so that a span's
//! answers are the bits of two numbers.

use crate::store::traceql::Query;
use crate::store::traceql::ast::{
    AttributeScope, Compare, Condition, Field, Function, Intrinsic, Literal, Op, Spanset,
    SpansetOp, Stage,
};

/// Up to so many comparisons all answers of the braces are written down beforehand.
const TABLE_MAX: usize = 8;

/// A prepared query.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// The comparisons.
    pub(super) compares: Vec<Compare>,
    /// The braces.
    pub(super) filters: Vec<Node>,
    /// What the trace has to have.
    pub(super) root: Option<Pipe>,
    /// Comparisons that look at the span's attributes.
    pub(super) of_span: u64,
    /// Comparisons that look at the resource's attributes.
    pub(super) of_resource: u64,
    /// Comparisons that hold where there is no value, or that there is one.
    pub(super) of_absence: u64,
    /// Comparisons with a field of the span itself.
    pub(super) of_row: Vec<usize>,
    /// Comparisons with what all spans of a trace share.
    pub(super) of_trace: Vec<usize>,
    /// Comparisons that look into events or links.
    pub(super) of_rest: Vec<usize>,
    /// Comparisons that hold where there is no value.
    pub(super) equal_nil: u64,
    /// Whether it matters which span is whose parent.
    pub(super) relates: bool,
    /// Attributes to tell of the spans found.
    pub(super) told: Vec<Field>,
    /// The braces that hold, by what comparisons hold; empty if there are many.
    table: Vec<u32>,
}

/// A condition, by the numbers of its comparisons.
#[derive(Debug)]
pub(super) enum Node {
    Always(bool),
    Compare(usize),
    Not(Box<Self>),
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
}

/// A set of spans, by the numbers of its braces.
#[derive(Debug)]
pub(super) enum SetNode {
    Filter(usize),
    Combined(Box<Self>, SpansetOp, Box<Self>),
    Piped(Box<Pipe>),
}

/// A set of spans and what follows.
#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) root: SetNode,
    pub(super) stages: Vec<StageNode>,
}

/// What follows a set of spans.
#[derive(Debug)]
pub(super) enum StageNode {
    Filter(usize),
    Aggregate {
        function: Function,
        of: Option<Field>,
        op: Op,
        with: f64,
    },
}

impl Plan {
    pub(super) fn of(query: Option<&Query>) -> Self {
        let mut plan = Self::default();
        let root = match query {
            Some(query) => plan.pipe(query),
            None => Pipe {
                root: plan.filter(None),
                stages: Vec::new(),
            },
        };
        plan.root = Some(root);
        for (number, compare) in plan.compares.iter().enumerate() {
            let bit = 1 << number;
            match &compare.field {
                Field::Attribute(scope, _) => {
                    let (span, resource) = match scope {
                        AttributeScope::Any => (bit, bit),
                        AttributeScope::Span => (bit, 0),
                        AttributeScope::Resource => (0, bit),
                        AttributeScope::Event | AttributeScope::Link => {
                            plan.of_rest.push(number);
                            continue;
                        }
                    };
                    plan.of_span |= span;
                    plan.of_resource |= resource;
                    if compare.with == Literal::Nil {
                        plan.of_absence |= bit;
                        if compare.op == Op::Equal {
                            plan.equal_nil |= bit;
                        }
                    }
                }
                Field::Intrinsic(intrinsic) if intrinsic.is_of_trace() => {
                    plan.of_trace.push(number);
                }
                Field::Intrinsic(
                    Intrinsic::EventName
                    | Intrinsic::LinkTraceId
                    | Intrinsic::LinkSpanId
                    | Intrinsic::StatusMessage,
                ) => plan.of_rest.push(number),
                Field::Intrinsic(_) => plan.of_row.push(number),
            }
        }
        let asked = plan.compares.iter().map(|compare| compare.field.clone());
        for field in asked.collect::<Vec<_>>() {
            plan.tell(&field);
        }
        if plan.compares.len() <= TABLE_MAX {
            let all = 0..1 << plan.compares.len();
            plan.table = all.map(|holds| plan.evaluate(holds)).collect();
        }
        plan
    }

    fn tell(&mut self, field: &Field) {
        if matches!(field, Field::Attribute(..)) && !self.told.contains(field) {
            self.told.push(field.clone());
        }
    }

    fn pipe(&mut self, query: &Query) -> Pipe {
        let root = self.set(&query.root);
        let mut stages = Vec::new();
        for stage in &query.stages {
            match stage {
                Stage::Filter(condition) => {
                    let number = self.braces(condition.as_ref());
                    stages.push(StageNode::Filter(number));
                }
                Stage::Aggregate {
                    function,
                    of,
                    op,
                    with,
                } => stages.push(StageNode::Aggregate {
                    function: *function,
                    of: of.clone(),
                    op: *op,
                    with: number(with),
                }),
                Stage::Select(fields) => fields.iter().for_each(|field| self.tell(field)),
            }
        }
        Pipe { root, stages }
    }

    fn set(&mut self, set: &Spanset) -> SetNode {
        match set {
            Spanset::Filter(condition) => self.filter(condition.as_ref()),
            Spanset::Combined(left, op, right) => {
                self.relates |= matches!(op, SpansetOp::Related(..));
                let left = Box::new(self.set(left));
                SetNode::Combined(left, *op, Box::new(self.set(right)))
            }
            Spanset::Piped(query) => SetNode::Piped(Box::new(self.pipe(query))),
        }
    }

    fn filter(&mut self, condition: Option<&Condition>) -> SetNode {
        SetNode::Filter(self.braces(condition))
    }

    fn braces(&mut self, condition: Option<&Condition>) -> usize {
        let node = condition.map_or(Node::Always(true), |condition| self.node(condition));
        self.filters.push(node);
        self.filters.len() - 1
    }

    fn node(&mut self, condition: &Condition) -> Node {
        match condition {
            Condition::Always(truth) => Node::Always(*truth),
            Condition::Compare(compare) => {
                self.compares.push(compare.clone());
                Node::Compare(self.compares.len() - 1)
            }
            Condition::Not(inner) => Node::Not(Box::new(self.node(inner))),
            Condition::And(left, right) => {
                let left = Box::new(self.node(left));
                Node::And(left, Box::new(self.node(right)))
            }
            Condition::Or(left, right) => {
                let left = Box::new(self.node(left));
                Node::Or(left, Box::new(self.node(right)))
            }
        }
    }

    /// The braces that hold, by what comparisons hold.
    #[inline]
    pub(super) fn braces_that_hold(&self, compares: u64) -> u32 {
        let known = usize::try_from(compares).ok();
        let known = known.and_then(|compares| self.table.get(compares));
        known.copied().unwrap_or_else(|| self.evaluate(compares))
    }

    /// The braces that may hold where no other comparisons than these can.
    pub(super) fn braces_that_may_hold(&self, possible: u64) -> u32 {
        let filters = self.filters.iter().enumerate();
        let may = filters.filter(|(_, node)| node.may_hold(possible).0);
        may.fold(0, |bits, (number, _)| bits | 1 << number)
    }

    fn evaluate(&self, compares: u64) -> u32 {
        let mut bits = 0;
        for (number, node) in self.filters.iter().enumerate() {
            bits |= u32::from(node.holds(compares)) << number;
        }
        bits
    }
}

impl Node {
    fn holds(&self, compares: u64) -> bool {
        match self {
            Self::Always(truth) => *truth,
            Self::Compare(number) => compares >> number & 1 == 1,
            Self::Not(inner) => !inner.holds(compares),
            Self::And(left, right) => left.holds(compares) && right.holds(compares),
            Self::Or(left, right) => left.holds(compares) || right.holds(compares),
        }
    }

    /// Whether it can hold, and whether it can fail to, where no other comparisons than these can
    /// hold; each of these can fail.
    fn may_hold(&self, possible: u64) -> (bool, bool) {
        match self {
            Self::Always(truth) => (*truth, !*truth),
            Self::Compare(number) => (possible >> number & 1 == 1, true),
            Self::Not(inner) => {
                let (holds, fails) = inner.may_hold(possible);
                (fails, holds)
            }
            Self::And(left, right) => {
                let (left, right) = (left.may_hold(possible), right.may_hold(possible));
                (left.0 && right.0, left.1 || right.1)
            }
            Self::Or(left, right) => {
                let (left, right) = (left.may_hold(possible), right.may_hold(possible));
                (left.0 || right.0, left.1 && right.1)
            }
        }
    }
}

impl Pipe {
    /// Whether a trace can fit whose spans together fit these braces.
    pub(super) fn may_hold(&self, braces: u32) -> bool {
        self.root.may_hold(braces)
    }

    /// Whether it is enough to know which braces fit somewhere in the trace.
    pub(super) fn is_plain(&self) -> bool {
        self.stages.is_empty() && self.root.is_plain()
    }
}

impl SetNode {
    fn may_hold(&self, braces: u32) -> bool {
        match self {
            Self::Filter(number) => braces >> number & 1 == 1,
            Self::Combined(left, SpansetOp::And, right) => {
                left.may_hold(braces) && right.may_hold(braces)
            }
            Self::Combined(left, SpansetOp::Or, right) => {
                left.may_hold(braces) || right.may_hold(braces)
            }
            // Of a relation that must not be, the right side is all that is needed.
            Self::Combined(left, SpansetOp::Related(_, mode), right) => {
                right.may_hold(braces)
                    && (*mode == crate::store::traceql::ast::Mode::Without || left.may_hold(braces))
            }
            Self::Piped(pipe) => pipe.may_hold(braces),
        }
    }

    fn is_plain(&self) -> bool {
        match self {
            Self::Filter(_) => true,
            Self::Combined(left, SpansetOp::And | SpansetOp::Or, right) => {
                left.is_plain() && right.is_plain()
            }
            Self::Combined(..) => false,
            Self::Piped(pipe) => pipe.is_plain(),
        }
    }
}

/// A literal as a figure; durations in nanoseconds.
fn number(literal: &Literal) -> f64 {
    match literal {
        Literal::Int(number) | Literal::Duration(number) => *number as f64,
        Literal::Float(number) => *number,
        Literal::Text(_)
        | Literal::Bool(_)
        | Literal::Status(_)
        | Literal::Kind(_)
        | Literal::Nil => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn braces_that_hold_were_among_those_that_may(
            query in prop::sample::select(vec![
                "{ }",
                "{ .a = 1 }",
                "{ !(.a = 1) }",
                "{ .a = 1 && !(.b = 2 || status = error) }",
                "{ !(.a = 1 && .b = 2) || .c = 3 } || { .d = 4 && .e = 5 }",
                "{ .a = 1 } >> { !(!(.b = 2) && .c = 3) } | { .d = 4 }",
            ]),
            possible: u64,
            holds: u64,
        ) {
            let plan = Plan::of(Some(&Query::parse(query).unwrap()));

            let may = plan.braces_that_may_hold(possible);

            prop_assert_eq!(plan.evaluate(holds & possible) & !may, 0);
            prop_assert_eq!(plan.braces_that_may_hold(u64::MAX), (1 << plan.filters.len()) - 1);
        }
    }

    #[test]
    fn braces_that_cannot_hold_are_known() {
        let plan = Plan::of(Some(
            &Query::parse("{ .a = 1 && .b = 2 } || { .c = 3 }").unwrap(),
        ));

        assert_eq!(plan.braces_that_may_hold(0b001), 0);
        assert_eq!(plan.braces_that_may_hold(0b011), 0b01);
        assert_eq!(plan.braces_that_may_hold(0b101), 0b10);
    }
}
