//! Which braces of a query each span of a segment fits.
//!
//! A comparison is answered once for each attribute that the segment keeps, and once for each name;
//! a span's answers are put together from these by number. What few spans have, events and links,
//! is read where it stands.

use super::compare::{fits, int_fits, kind_fits, status_fits, text_fits};
use super::entries::{Answer, Entries};
use super::patience::Patience;
use super::plan::Plan;
use crate::store::index::{Index, TraceRow};
use crate::store::segment::{HAS_EVENTS, HAS_LINKS, Row, Segment};
use crate::store::traceql::ast::{AttributeScope, Compare, Field, Intrinsic, Literal, Op};
use crate::store::wire::{Content, Fields, Raw, pair_parts};
use crate::trace::hex;
use crate::view::{Kind, Status};

/// Rows between two looks at the clock.
const ROWS_A_LOOK: usize = 1024;
/// The same where events and links are read.
const SLOW_ROWS_A_LOOK: usize = 16;

/// The braces that each row fits; None if no row fits any.
pub(super) type Braces = Option<Vec<u32>>;

/// Answers for one segment.
pub(super) struct Answers<'a> {
    plan: &'a Plan,
    index: &'a Index,
    segment: &'a Segment,
    patience: &'a Patience,
    /// Of each attribute kept.
    entries: Entries,
    /// For each source, of its resource's attributes.
    sources: Vec<Answer>,
    /// For each text, by its number: comparisons of names that hold. Answered when needed.
    names: Vec<Option<u64>>,
    of_name: u64,
}

/// What the attributes of a row answered. Spans that follow each other often share their list.
#[derive(Clone, Copy, Default)]
struct Last {
    /// Where its attributes are, how many, and of whom.
    of: Option<(u32, u32, u16)>,
    holds: u64,
}

impl<'a> Answers<'a> {
    pub(super) fn of(
        plan: &'a Plan,
        index: &'a Index,
        segment: &'a Segment,
        patience: &'a Patience,
    ) -> Self {
        let entries = Entries::of(plan, segment, patience);
        let sources = (0..segment.sources().len()).map(|source| {
            let source = u16::try_from(source).unwrap_or(u16::MAX);
            let attributes = segment.resource_attributes(source);
            entries.together(attributes).of(plan.of_resource)
        });
        let of_name = plan.of_row.iter().filter(|number| {
            let compare = plan.compares.get(**number);
            compare.is_some_and(|one| one.field == Field::Intrinsic(Intrinsic::Name))
        });
        let of_name = of_name.fold(0, |bits, number| bits | 1 << number);
        Self {
            plan,
            index,
            segment,
            patience,
            sources: sources.collect(),
            names: if of_name == 0 {
                Vec::new()
            } else {
                vec![None; segment.texts()]
            },
            of_name,
            entries,
        }
    }

    /// The comparisons that some span of the segment may fit; the others none does.
    fn possible(&self) -> u64 {
        let plan = self.plan;
        let of_attributes = plan.of_span | plan.of_resource;
        let mut possible = !of_attributes | self.entries.all.holds | plan.equal_nil;
        for number in &plan.of_row {
            let Some(compare) = plan.compares.get(*number) else {
                continue;
            };
            let may = match (&compare.field, compare.op) {
                (Field::Intrinsic(Intrinsic::Status), _) => {
                    let mut all = self.segment.statuses();
                    all.any(|status| status_fits(compare, Status::of(status)))
                }
                (Field::Intrinsic(Intrinsic::Duration), Op::Greater | Op::GreaterEqual) => {
                    let longest = i64::try_from(self.segment.longest()).unwrap_or(i64::MAX);
                    int_fits(compare, longest)
                }
                _ => true,
            };
            if !may {
                possible &= !(1 << number);
            }
        }
        possible
    }

    /// The braces that each row fits. `of_traces` has the answers that all spans of a trace share.
    pub(super) fn braces(mut self, of_traces: &[u64]) -> Braces {
        if self.plan.braces_that_may_hold(self.possible()) == 0 {
            return None;
        }
        let rows = self.segment.rows();
        // The two ends of a call take turns.
        let (mut even, mut odd) = (Last::default(), Last::default());
        // Where nothing was found, no span's attributes have to be looked at.
        let looks = self.entries.all.found & self.plan.of_span != 0;
        let rows_a_look = if self.plan.of_rest.is_empty() {
            ROWS_A_LOOK
        } else {
            SLOW_ROWS_A_LOOK
        };
        let mut all = Vec::new();
        for (number, row) in rows.blocks().flatten().enumerate() {
            if number.is_multiple_of(rows_a_look) && self.patience.is_over() {
                return None;
            }
            let last = if row.kind() % 2 == 0 {
                &mut even
            } else {
                &mut odd
            };
            let of = Some((row.attributes, row.attributes_count, row.source));
            if last.of != of {
                let holds = self.of_attributes(row, looks);
                *last = Last { of, holds };
            }
            let mut holds = last.holds;
            if !of_traces.is_empty() {
                let trace = self.index.trace_of(self.segment, row.trace);
                holds |= trace.and_then(|at| of_traces.get(at)).unwrap_or(&0);
            }
            holds |= self.of_row(row);
            holds |= self.of_rest(row);
            let braces = self.plan.braces_that_hold(holds);
            if braces != 0 {
                if all.is_empty() {
                    all = vec![0; rows.len()];
                }
                if let Some(place) = all.get_mut(number) {
                    *place = braces;
                }
            }
        }
        (!all.is_empty()).then_some(all)
    }

    #[inline]
    fn of_attributes(&self, row: &Row, looks: bool) -> u64 {
        let mut span = Answer::default();
        if looks {
            let attributes = self.segment.attributes(row);
            span = self.entries.together(attributes).of(self.plan.of_span);
        }
        let source = self.sources.get(usize::from(row.source));
        let source = source.copied().unwrap_or_default();
        // The span's own attribute hides that of its resource.
        let holds = span.holds | (source.holds & !span.found);
        let missing = !(span.found | source.found);
        // Where nothing is, `= nil` holds; `!= nil` held where something is.
        holds | (missing & self.plan.equal_nil)
    }

    #[inline]
    fn of_row(&mut self, row: &Row) -> u64 {
        let plan = self.plan;
        if plan.of_row.is_empty() {
            return 0;
        }
        let mut holds = if self.of_name == 0 {
            0
        } else {
            self.of_name(row.name)
        };
        for number in &plan.of_row {
            let Some(compare) = plan.compares.get(*number) else {
                continue;
            };
            let Field::Intrinsic(intrinsic) = &compare.field else {
                continue;
            };
            let fits = match intrinsic {
                Intrinsic::Status => status_fits(compare, Status::of(row.status())),
                Intrinsic::Kind => kind_fits(compare, Kind::of(row.kind())),
                Intrinsic::Duration => {
                    int_fits(compare, i64::try_from(row.duration).unwrap_or(i64::MAX))
                }
                Intrinsic::SpanId => text_fits(compare, &hex::text(&row.id.to_be_bytes())),
                Intrinsic::ParentId => maybe_fits(
                    compare,
                    (row.parent != 0).then(|| hex::text(&row.parent.to_be_bytes())),
                ),
                // Names are answered above, and the others are not of the row.
                Intrinsic::Name
                | Intrinsic::StatusMessage
                | Intrinsic::TraceId
                | Intrinsic::TraceDuration
                | Intrinsic::RootName
                | Intrinsic::RootService
                | Intrinsic::EventName
                | Intrinsic::LinkTraceId
                | Intrinsic::LinkSpanId => continue,
            };
            holds |= u64::from(fits) << number;
        }
        holds
    }

    fn of_name(&mut self, name: u32) -> u64 {
        let Some(known) = self.names.get_mut(name as usize) else {
            return 0;
        };
        if let Some(known) = known {
            return *known;
        }
        let text = std::str::from_utf8(self.segment.text(name)).unwrap_or_default();
        let mut holds = 0;
        for (number, compare) in self.plan.compares.iter().enumerate() {
            if self.of_name >> number & 1 == 1 && !self.patience.is_over() {
                holds |= u64::from(text_fits(compare, text)) << number;
            }
        }
        *known = Some(holds);
        holds
    }

    #[inline]
    fn of_rest(&self, row: &Row) -> u64 {
        let mut holds = 0;
        for number in &self.plan.of_rest {
            if let Some(compare) = self.plan.compares.get(*number) {
                let fits = rest_fits(compare, self.segment, row);
                holds |= u64::from(fits) << number;
            }
        }
        holds
    }
}

/// Whether a text that need not be there fits.
fn maybe_fits(compare: &Compare, text: Option<String>) -> bool {
    match text {
        Some(text) => text_fits(compare, &text),
        None => compare.with == Literal::Nil && compare.op == Op::Equal,
    }
}

/// Whether something among the fields kept as they came fits: an event, a link, the status's
/// message. Of several one has to.
fn rest_fits(compare: &Compare, segment: &Segment, row: &Row) -> bool {
    let (message, has) = match &compare.field {
        Field::Attribute(AttributeScope::Event, _) | Field::Intrinsic(Intrinsic::EventName) => {
            (11, HAS_EVENTS)
        }
        Field::Intrinsic(Intrinsic::StatusMessage) => {
            let message = status_message(segment.rest(row));
            return text_fits(compare, message);
        }
        Field::Attribute(..) | Field::Intrinsic(_) => (13, HAS_LINKS),
    };
    let mut was_there = false;
    if row.has(has) {
        let mut one = |value: Raw<'_>| {
            was_there = true;
            if compare.with == Literal::Nil {
                compare.op == Op::NotEqual
            } else {
                fits(compare, &value)
            }
        };
        for field in Fields::of(segment.rest(row)) {
            if let Content::Bytes(bytes) = field.content
                && field.number == message
                && part_fits(compare, bytes, &mut one)
            {
                return true;
            }
        }
    }
    !was_there && compare.with == Literal::Nil && compare.op == Op::Equal
}

/// Whether an event or a link fits.
fn part_fits(compare: &Compare, part: &[u8], one: &mut impl FnMut(Raw<'_>) -> bool) -> bool {
    let (name, attributes) = match &compare.field {
        Field::Attribute(AttributeScope::Event, _) => (0, 3),
        Field::Attribute(..) => (0, 4),
        Field::Intrinsic(Intrinsic::EventName | Intrinsic::LinkSpanId) => (2, 0),
        Field::Intrinsic(_) => (1, 0),
    };
    Fields::of(part).any(|field| match (&compare.field, field.content) {
        (Field::Attribute(_, key), Content::Bytes(pair)) if field.number == attributes => {
            let (found, value) = pair_parts(pair);
            found == key.as_bytes() && one(value)
        }
        (Field::Intrinsic(intrinsic), Content::Bytes(bytes)) if field.number == name => {
            if *intrinsic == Intrinsic::EventName {
                std::str::from_utf8(bytes).is_ok_and(|text| one(Raw::Text(text)))
            } else {
                one(Raw::Text(&hex::text(bytes)))
            }
        }
        _ => false,
    })
}

/// The message of the status among the fields kept as they came.
pub(in crate::store) fn status_message(rest: &[u8]) -> &str {
    let status = Fields::of(rest).find_map(|field| match (field.number, field.content) {
        (15, Content::Bytes(status)) => Some(status),
        _ => None,
    });
    let mut fields = Fields::of(status.unwrap_or_default());
    let message = fields.find_map(|field| match (field.number, field.content) {
        (2, Content::Bytes(message)) => std::str::from_utf8(message).ok(),
        _ => None,
    });
    message.unwrap_or_default()
}

/// The answers that all spans of a trace share, for each trace.
pub(super) fn of_traces(plan: &Plan, index: &Index, patience: &Patience) -> Vec<u64> {
    if plan.of_trace.is_empty() {
        return Vec::new();
    }
    let mut compares = plan
        .of_trace
        .iter()
        .filter_map(|number| plan.compares.get(*number));
    // A pattern may take long for a single name.
    let traces_a_look = if compares.any(|one| one.pattern.is_some()) {
        1
    } else {
        ROWS_A_LOOK
    };
    let traces = index.traces().iter().enumerate();
    let traces =
        traces.take_while(|(at, _)| !at.is_multiple_of(traces_a_look) || !patience.is_over());
    traces
        .map(|(_, trace)| of_trace(plan, index, trace))
        .collect()
}

fn of_trace(plan: &Plan, index: &Index, trace: &TraceRow) -> u64 {
    let mut holds = 0;
    for number in &plan.of_trace {
        let Some(compare) = plan.compares.get(*number) else {
            continue;
        };
        let Field::Intrinsic(intrinsic) = &compare.field else {
            continue;
        };
        let fits = match intrinsic {
            Intrinsic::TraceDuration => {
                let duration = trace.end.saturating_sub(trace.start);
                int_fits(compare, i64::try_from(duration).unwrap_or(i64::MAX))
            }
            Intrinsic::TraceId => text_fits(compare, &hex::text(&trace.id)),
            Intrinsic::RootName => maybe_fits(compare, root_name(index, trace)),
            Intrinsic::RootService => maybe_fits(compare, root_service(index, trace)),
            // Not of the trace: answered span by span.
            Intrinsic::Name
            | Intrinsic::Status
            | Intrinsic::StatusMessage
            | Intrinsic::Kind
            | Intrinsic::Duration
            | Intrinsic::SpanId
            | Intrinsic::ParentId
            | Intrinsic::EventName
            | Intrinsic::LinkTraceId
            | Intrinsic::LinkSpanId => false,
        };
        holds |= u64::from(fits) << number;
    }
    holds
}

/// The root's name, if the root is there.
pub(in crate::store) fn root_name(index: &Index, trace: &TraceRow) -> Option<String> {
    let (segment, row) = index.resolve(trace.root)?;
    let segment = index.segments().get(segment)?;
    let name = segment.text(segment.rows().get(row)?.name);
    Some(String::from_utf8_lossy(name).into_owned())
}

/// The root's `service.name`, if the root is there.
pub(in crate::store) fn root_service(index: &Index, trace: &TraceRow) -> Option<String> {
    let (segment, row) = index.resolve(trace.root)?;
    let segment = index.segments().get(segment)?;
    Some(service(segment, segment.rows().get(row)?.source))
}

/// The `service.name` of a source, or nothing.
pub(in crate::store) fn service(segment: &Segment, source: u16) -> String {
    let entries = segment.resource_attributes(source).iter();
    let mut found = entries.filter_map(|entry| match pair_parts(segment.pair(*entry)) {
        (b"service.name", Raw::Text(text)) => Some(text.to_owned()),
        _ => None,
    });
    found.next().unwrap_or_default()
}
