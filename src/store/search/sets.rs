//! Sets of spans of one trace: combined, related, counted.

use super::answers::Braces;
use super::plan::{Pipe, SetNode, StageNode};
use super::set::Set;
use crate::store::index::{Found, Index, TraceRow};
use crate::store::read::in_order;
use crate::store::segment::{Row, Segment};
use crate::store::traceql::ast::{
    AttributeScope, Field, Function, Intrinsic, Mode, Relation, SpansetOp,
};
use crate::store::wire::{Raw, pair_parts};
use std::collections::HashMap;

/// Up to so many spans a parent is looked for one by one.
const FEW: usize = 24;

/// A span of the trace.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member<'a> {
    /// Where it stands.
    pub(super) found: Found<'a>,
    /// The braces it fits.
    braces: u32,
    /// Which member is its parent.
    parent: Option<usize>,
}

/// The spans of a trace, and how they are related. Its room serves one trace after the other.
pub(super) struct Family<'a> {
    index: &'a Index,
    /// Nanoseconds.
    duration: u64,
    found: Vec<Found<'a>>,
    /// In the order in which they came.
    pub(super) members: Vec<Member<'a>>,
}

impl<'a> Family<'a> {
    pub(super) const fn new(index: &'a Index) -> Self {
        Self {
            index,
            duration: 0,
            found: Vec::new(),
            members: Vec::new(),
        }
    }

    /// From here on the spans of this trace. Parents are looked for only where the query `relates`
    /// spans.
    pub(super) fn fill(&mut self, trace: &TraceRow, braces: &[Braces], relates: bool) {
        self.duration = trace.end.saturating_sub(trace.start);
        in_order(self.index, trace, &mut self.found);
        self.members.clear();
        self.members.extend(self.found.iter().map(|found| {
            let braces = braces.get(found.segment).and_then(Option::as_ref);
            let braces = braces.and_then(|all| all.get(found.number));
            Member {
                found: *found,
                braces: braces.copied().unwrap_or(0),
                parent: None,
            }
        }));
        if relates {
            set_parents(&mut self.members);
        }
    }

    /// The spans that a query selects.
    pub(super) fn select(&self, pipe: &Pipe) -> Set {
        let mut set = self.set(&pipe.root);
        for stage in &pipe.stages {
            if set.is_empty() {
                break;
            }
            match stage {
                StageNode::Filter(number) => set = set.both(&self.filter(*number)),
                StageNode::Aggregate {
                    function,
                    of,
                    op,
                    with,
                } => {
                    let figure = self.figure(&set, *function, of.as_ref());
                    let order = figure.and_then(|figure| figure.partial_cmp(with));
                    if !order.is_some_and(|order| op.fits(order)) {
                        set = Set::default();
                    }
                }
            }
        }
        set
    }

    fn those(&self, fits: impl Fn(usize, &Member<'a>) -> bool) -> Set {
        let members = self.members.iter().enumerate();
        let fitting = members.filter(|(at, member)| fits(*at, member));
        fitting.map(|(at, _)| at).collect()
    }

    fn filter(&self, number: usize) -> Set {
        self.those(|_, member| member.braces >> number & 1 == 1)
    }

    fn set(&self, node: &SetNode) -> Set {
        match node {
            SetNode::Filter(number) => self.filter(*number),
            SetNode::Piped(pipe) => self.select(pipe),
            SetNode::Combined(left, op, right) => {
                let (left, right) = (self.set(left), self.set(right));
                match op {
                    SpansetOp::And if left.is_empty() || right.is_empty() => Set::default(),
                    SpansetOp::And | SpansetOp::Or => left.either(&right),
                    SpansetOp::Related(relation, mode) => {
                        self.related(left, *relation, *mode, right)
                    }
                }
            }
        }
    }

    fn related(&self, left: Set, relation: Relation, mode: Mode, right: Set) -> Set {
        let has = self.those_with(&left, relation);
        match mode {
            Mode::Right => right.both(&has),
            Mode::Without => right.without(&has),
            Mode::Both => {
                let back = self.those_with(&right, relation.back());
                right.both(&has).either(&left.both(&back))
            }
        }
    }

    /// Which members are, to a member of `set`, what the relation says.
    fn those_with(&self, set: &Set, relation: Relation) -> Set {
        match relation {
            Relation::Child => {
                self.those(|_, member| member.parent.is_some_and(|parent| set.has(parent)))
            }
            Relation::Parent => {
                let members = self.members.iter().enumerate();
                let chosen = members.filter(|(at, _)| set.has(*at));
                chosen.filter_map(|(_, member)| member.parent).collect()
            }
            Relation::Ancestor => {
                let mut found = Set::default();
                for at in (0..self.members.len()).filter(|at| set.has(*at)) {
                    let mut next = self.parent(at);
                    // Where somebody went before, the rest of the way is marked.
                    while let Some(ancestor) = next
                        && found.insert(ancestor)
                    {
                        next = self.parent(ancestor);
                    }
                }
                found
            }
            Relation::Descendant => self.descendants(set),
            Relation::Sibling => self.siblings(set),
        }
    }

    fn parent(&self, at: usize) -> Option<usize> {
        self.members.get(at)?.parent
    }

    fn descendants(&self, set: &Set) -> Set {
        let (mut seen, mut found) = (Set::default(), Set::default());
        for at in 0..self.members.len() {
            let mut here = at;
            let is_descendant = loop {
                // Seen is known as none until shown otherwise: a circle of parents ends here.
                if !seen.insert(here) {
                    break found.has(here);
                }
                match self.parent(here) {
                    None => break false,
                    Some(parent) if set.has(parent) => break true,
                    Some(parent) => here = parent,
                }
            };
            let mut next = Some(at).filter(|_| is_descendant);
            while let Some(here) = next
                && found.insert(here)
            {
                next = self.parent(here).filter(|parent| !set.has(*parent));
            }
        }
        found
    }

    fn siblings(&self, set: &Set) -> Set {
        let mut counts = vec![0_usize; self.members.len()];
        let members = self.members.iter().enumerate();
        for (_, member) in members.filter(|(at, _)| set.has(*at)) {
            if let Some(count) = member.parent.and_then(|parent| counts.get_mut(parent)) {
                *count += 1;
            }
        }
        self.those(|at, member| {
            let all = member.parent.and_then(|parent| counts.get(parent));
            all.is_some_and(|all| *all > usize::from(set.has(at)))
        })
    }

    fn figure(&self, set: &Set, function: Function, of: Option<&Field>) -> Option<f64> {
        let members = self.members.iter().enumerate();
        let chosen = members
            .filter(|(at, _)| set.has(*at))
            .map(|(_, member)| member);
        let Some(field) = of else {
            return Some(chosen.count() as f64);
        };
        let mut values = chosen.filter_map(|member| self.number(member, field));
        match function {
            Function::Count => Some(values.count() as f64),
            Function::Sum => values.reduce(|sum, one| sum + one),
            Function::Avg => {
                let first = values.next()?;
                let start = (first, 1_usize);
                let (sum, count) = values.fold(start, |(sum, count), one| (sum + one, count + 1));
                Some(sum / count as f64)
            }
            Function::Min => values.reduce(f64::min),
            Function::Max => values.reduce(f64::max),
        }
    }

    fn number(&self, member: &Member<'a>, field: &Field) -> Option<f64> {
        let row = member.found.row;
        match field {
            Field::Intrinsic(Intrinsic::Duration) => Some(row.duration as f64),
            Field::Intrinsic(_) => Some(self.duration as f64),
            Field::Attribute(scope, key) => {
                let segment = self.index.segments().get(member.found.segment)?;
                match attribute(segment, row, *scope, key)? {
                    Raw::Int(number) => Some(number as f64),
                    Raw::Float(number) => Some(number),
                    Raw::Text(_) | Raw::Bool(_) | Raw::List(_) | Raw::Other => None,
                }
            }
        }
    }
}

/// An attribute of a row, by its key.
pub(super) fn attribute<'a>(
    segment: &'a Segment,
    row: &Row,
    scope: AttributeScope,
    key: &str,
) -> Option<Raw<'a>> {
    let find = |entries: &[u32]| {
        entries.iter().find_map(|entry| {
            let (found, value) = pair_parts(segment.pair(*entry));
            (found == key.as_bytes()).then_some(value)
        })
    };
    let of_span = || find(segment.attributes(row));
    let of_resource = || find(segment.resource_attributes(row.source));
    match scope {
        AttributeScope::Any => of_span().or_else(of_resource),
        AttributeScope::Span => of_span(),
        AttributeScope::Resource => of_resource(),
        AttributeScope::Event | AttributeScope::Link => None,
    }
}

impl Relation {
    /// The relation seen from the other side.
    const fn back(self) -> Self {
        match self {
            Self::Child => Self::Parent,
            Self::Descendant => Self::Ancestor,
            Self::Parent => Self::Child,
            Self::Ancestor => Self::Descendant,
            Self::Sibling => Self::Sibling,
        }
    }
}

fn set_parents(members: &mut [Member<'_>]) {
    if members.len() <= FEW {
        for at in 0..members.len() {
            let wanted = members.get(at).map(|member| member.found.row.parent);
            let ids = || members.iter().map(|member| member.found.row.id);
            let parent = wanted.and_then(|wanted| ids().position(|id| id == wanted));
            set_parent(members, at, parent);
        }
        return;
    }
    let mut by_id = HashMap::with_capacity(members.len());
    for (at, member) in members.iter().enumerate() {
        by_id.entry(member.found.row.id).or_insert(at);
    }
    for at in 0..members.len() {
        let wanted = members.get(at).map(|member| member.found.row.parent);
        let parent = wanted.and_then(|wanted| by_id.get(&wanted).copied());
        set_parent(members, at, parent);
    }
}

/// Nobody is its own parent.
fn set_parent(members: &mut [Member<'_>], at: usize, parent: Option<usize>) {
    if let Some(member) = members.get_mut(at) {
        member.parent = parent.filter(|parent| *parent != at);
    }
}
