//! Sets of spans of one trace: combined, related, counted.

use super::answers::Braces;
use super::plan::{Pipe, SetNode, StageNode};
use crate::store::index::{Index, TraceRow};
use crate::store::read::in_order;
use crate::store::segment::Segment;
use crate::store::traceql::ast::{
    AttributeScope, Field, Function, Intrinsic, Mode, Relation, SpansetOp,
};
use crate::store::wire::{Raw, pair_parts};
use std::collections::HashMap;

/// Up to so many spans a parent is looked for one by one.
const FEW: usize = 24;

/// A span of the trace.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    /// Where its segment stands.
    pub(super) segment: usize,
    /// Its row there.
    pub(super) row: usize,
    /// The braces it fits.
    braces: u32,
    id: u64,
    parent_id: u64,
    /// Which member is its parent.
    parent: Option<usize>,
}

/// The spans of a trace, and how they are related.
pub(super) struct Family<'a> {
    index: &'a Index,
    trace: &'a TraceRow,
    /// In the order in which they came.
    pub(super) members: Vec<Member>,
}

/// Which members are in it.
type Set = Vec<bool>;

impl<'a> Family<'a> {
    /// Parents are looked for only where the query `relates` spans.
    pub(super) fn of(
        index: &'a Index,
        trace: &'a TraceRow,
        braces: &[Braces],
        relates: bool,
    ) -> Self {
        let places = in_order(index, trace);
        let mut members = Vec::with_capacity(places.len());
        members.extend(places.into_iter().filter_map(|(segment, row)| {
            let found = index.segments().get(segment)?.rows().get(row)?;
            let braces = braces.get(segment).and_then(Option::as_ref);
            Some(Member {
                segment,
                row,
                braces: braces.and_then(|all| all.get(row)).copied().unwrap_or(0),
                id: found.id,
                parent_id: found.parent,
                parent: None,
            })
        }));
        if relates {
            set_parents(&mut members);
        }
        Self {
            index,
            trace,
            members,
        }
    }

    /// The spans that a query selects.
    pub(super) fn select(&self, pipe: &Pipe) -> Set {
        let mut set = self.set(&pipe.root);
        for stage in &pipe.stages {
            if !set.contains(&true) {
                break;
            }
            match stage {
                StageNode::Filter(number) => {
                    for (is_in, fits) in set.iter_mut().zip(self.filter(*number)) {
                        *is_in &= fits;
                    }
                }
                StageNode::Aggregate {
                    function,
                    of,
                    op,
                    with,
                } => {
                    let figure = self.figure(&set, *function, of.as_ref());
                    let order = figure.and_then(|figure| figure.partial_cmp(with));
                    if !order.is_some_and(|order| op.fits(order)) {
                        set.fill(false);
                    }
                }
            }
        }
        set
    }

    fn filter(&self, number: usize) -> Set {
        let fits = |member: &Member| member.braces >> number & 1 == 1;
        self.members.iter().map(fits).collect()
    }

    fn set(&self, node: &SetNode) -> Set {
        match node {
            SetNode::Filter(number) => self.filter(*number),
            SetNode::Piped(pipe) => self.select(pipe),
            SetNode::Combined(left, op, right) => {
                let (left, right) = (self.set(left), self.set(right));
                match op {
                    SpansetOp::And if left.contains(&true) && right.contains(&true) => {
                        either(left, &right)
                    }
                    SpansetOp::And => vec![false; left.len()],
                    SpansetOp::Or => either(left, &right),
                    SpansetOp::Related(relation, mode) => {
                        self.related(&left, *relation, *mode, &right)
                    }
                }
            }
        }
    }

    fn related(&self, left: &Set, relation: Relation, mode: Mode, right: &Set) -> Set {
        let has = self.those_with(left, relation);
        let pick = |wanted: bool| {
            let both = right.iter().zip(&has);
            both.map(|(is_in, has)| *is_in && *has == wanted).collect()
        };
        match mode {
            Mode::Right => pick(true),
            Mode::Without => pick(false),
            Mode::Both => {
                let back = self.those_with(right, relation.back());
                let found: Set = pick(true);
                let other = left.iter().zip(&back);
                let other: Set = other.map(|(is_in, has)| *is_in && *has).collect();
                either(found, &other)
            }
        }
    }

    /// Which members are, to a member of `set`, what the relation says.
    fn those_with(&self, set: &Set, relation: Relation) -> Set {
        let is_in = |member: Option<usize>| {
            member.is_some_and(|member| set.get(member).copied().unwrap_or(false))
        };
        match relation {
            Relation::Child => {
                let members = self.members.iter();
                members.map(|member| is_in(member.parent)).collect()
            }
            Relation::Parent => {
                let mut found = vec![false; self.members.len()];
                for (_, member) in self
                    .members
                    .iter()
                    .enumerate()
                    .filter(|(at, _)| is_in(Some(*at)))
                {
                    mark(&mut found, member.parent);
                }
                found
            }
            Relation::Ancestor => {
                let mut found = vec![false; self.members.len()];
                for at in (0..self.members.len()).filter(|at| is_in(Some(*at))) {
                    let mut next = self.parent(at);
                    // Where somebody went before, the rest of the way is marked.
                    while let Some(ancestor) = next
                        && mark(&mut found, next)
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
        let mut known: Vec<Option<bool>> = vec![None; self.members.len()];
        let mut way = Vec::new();
        for at in 0..self.members.len() {
            let mut here = at;
            let found = loop {
                let Some(place) = known.get_mut(here) else {
                    break false;
                };
                if let Some(known) = place {
                    break *known;
                }
                // Known as none until shown otherwise: a circle of parents ends here.
                *place = Some(false);
                way.push(here);
                match self.parent(here) {
                    None => break false,
                    Some(parent) if set.get(parent).copied().unwrap_or(false) => break true,
                    Some(parent) => here = parent,
                }
            };
            for passed in way.drain(..) {
                if let Some(place) = known.get_mut(passed) {
                    *place = Some(found);
                }
            }
        }
        known.into_iter().map(|known| known == Some(true)).collect()
    }

    fn siblings(&self, set: &Set) -> Set {
        let mut counts: HashMap<usize, usize> = HashMap::new();
        for (member, is_in) in self.members.iter().zip(set) {
            if let Some(parent) = member.parent.filter(|_| *is_in) {
                *counts.entry(parent).or_default() += 1;
            }
        }
        let members = self.members.iter().zip(set);
        let others = members.map(|(member, is_in)| {
            let all = member.parent.and_then(|parent| counts.get(&parent));
            all.is_some_and(|all| *all > usize::from(*is_in))
        });
        others.collect()
    }

    fn figure(&self, set: &Set, function: Function, of: Option<&Field>) -> Option<f64> {
        let chosen = self.members.iter().zip(set);
        let chosen = chosen
            .filter(|(_, is_in)| **is_in)
            .map(|(member, _)| member);
        let Some(field) = of else {
            return Some(chosen.count() as f64);
        };
        let values: Vec<f64> = chosen
            .filter_map(|member| self.number(member, field))
            .collect();
        let sum: f64 = values.iter().sum();
        match function {
            Function::Count => Some(values.len() as f64),
            Function::Sum => (!values.is_empty()).then_some(sum),
            Function::Avg => (!values.is_empty()).then(|| sum / values.len() as f64),
            Function::Min => values.into_iter().reduce(f64::min),
            Function::Max => values.into_iter().reduce(f64::max),
        }
    }

    fn number(&self, member: &Member, field: &Field) -> Option<f64> {
        let segment = self.index.segments().get(member.segment)?;
        match field {
            Field::Intrinsic(Intrinsic::Duration) => {
                Some(segment.rows().get(member.row)?.duration as f64)
            }
            Field::Intrinsic(_) => Some(self.trace.end.saturating_sub(self.trace.start) as f64),
            Field::Attribute(scope, key) => match attribute(segment, member.row, *scope, key)? {
                Raw::Int(number) => Some(number as f64),
                Raw::Float(number) => Some(number),
                Raw::Text(_) | Raw::Bool(_) | Raw::List(_) | Raw::Other => None,
            },
        }
    }
}

/// An attribute of a row, by its key.
pub(super) fn attribute<'a>(
    segment: &'a Segment,
    row: usize,
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
    let of_resource = || find(segment.resource_attributes(segment.rows().get(row)?.source));
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

/// Marks a member; false if it was marked.
fn mark(set: &mut Set, member: Option<usize>) -> bool {
    let place = member.and_then(|member| set.get_mut(member));
    place.is_some_and(|place| !std::mem::replace(place, true))
}

fn either(mut left: Set, right: &Set) -> Set {
    for (one, other) in left.iter_mut().zip(right) {
        *one |= *other;
    }
    left
}

fn set_parents(members: &mut [Member]) {
    let find: Vec<Option<usize>> = if members.len() <= FEW {
        let by_id = |id: u64| members.iter().position(|member| member.id == id);
        members
            .iter()
            .map(|member| by_id(member.parent_id))
            .collect()
    } else {
        let mut by_id = HashMap::with_capacity(members.len());
        for (at, member) in members.iter().enumerate() {
            by_id.entry(member.id).or_insert(at);
        }
        let ids = members.iter();
        ids.map(|member| by_id.get(&member.parent_id).copied())
            .collect()
    };
    for (at, (member, parent)) in members.iter_mut().zip(find).enumerate() {
        member.parent = parent.filter(|parent| *parent != at);
    }
}
