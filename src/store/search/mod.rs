//! What is looked for in the store, and what was found.

mod answers;
mod compare;
mod hits;
mod patience;
mod plan;
mod set;
mod sets;

pub(super) use answers::{root_name, root_service, status_message};
pub(super) use compare::{kind_names, status_names};
pub(super) use hits::owned;

use super::index::{Index, TraceRow};
use super::traceql::Query;
use crate::backend;
use crate::clock::Timestamp;
use crate::view::Value;
use answers::{Answers, Braces};
use opentelemetry::trace::{SpanId, TraceId};
use patience::Patience;
use plan::{Pipe, Plan};
use sets::Family;
use std::ops::Range;
use std::time::Duration;

/// From so many spans on a second thread helps.
const SPANS_FOR_TWO: u64 = 50_000;
/// How long a search takes at most. Spans that come meanwhile wait, so it has to end.
const WITHIN: Duration = Duration::from_secs(5);

/// Which traces are wanted. All conditions hold together.
#[derive(Clone, Debug, PartialEq)]
pub struct Search {
    /// What the trace has to have; None: anything.
    pub query: Option<Query>,
    /// Least duration of the trace.
    pub min: Option<Duration>,
    /// Most duration of the trace.
    pub max: Option<Duration>,
    /// Traces that began at this moment or later.
    pub start: Option<Timestamp>,
    /// Traces that began before this moment.
    pub end: Option<Timestamp>,
    /// Most traces that are wanted; the newest count.
    pub limit: usize,
    /// Most spans told of each trace.
    pub spans_max: usize,
    /// How long it may take; then it ends without an answer.
    pub within: Duration,
}

impl Default for Search {
    fn default() -> Self {
        Self {
            query: None,
            min: None,
            max: None,
            start: None,
            end: None,
            limit: 20,
            spans_max: 3,
            within: WITHIN,
        }
    }
}

impl Search {
    /// As it is asked of any backend.
    ///
    /// # Errors
    /// The TraceQL in it is not understood.
    pub fn of(query: &backend::Query) -> Result<Self, super::traceql::QueryError> {
        Ok(Self {
            query: Query::of(query)?,
            min: query.min,
            max: query.max,
            start: Some(query.start),
            end: Some(query.end),
            limit: query.limit,
            ..Self::default()
        })
    }
}

/// What a search found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SearchAnswer {
    /// The newest first.
    pub hits: Vec<Hit>,
    /// Whether these are all; if not, older ones were left out because of the limit.
    pub is_complete: bool,
    /// Whether the time was up before all was looked at; then there are no hits.
    pub is_cut_off: bool,
    /// How many traces were looked at.
    pub inspected_traces: u64,
    /// How many bytes of the store were looked at.
    pub inspected_bytes: u64,
}

/// A trace that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// What a list tells of it.
    pub summary: backend::Summary,
    /// Service of the span that began first: what to call a trace whose root is not there.
    pub first_service: String,
    /// Name of the span that began first.
    pub first_name: String,
    /// How many of its spans fit the query.
    pub matched: u32,
    /// Some of these, by their start.
    pub spans: Vec<HitSpan>,
    /// Spans of each service, sorted by name.
    pub services: Vec<ServiceCount>,
}

/// How many spans of a trace are from a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceCount {
    /// `service.name`.
    pub service: String,
    /// Spans.
    pub spans: u32,
    /// Spans that are an error.
    pub errors: u32,
}

/// A span that fits the query.
#[derive(Clone, Debug, PartialEq)]
pub struct HitSpan {
    /// Which one.
    pub id: SpanId,
    /// Of its trace.
    pub trace: TraceId,
    /// Its name.
    pub name: String,
    /// Nanoseconds since 1970.
    pub start: u64,
    /// Nanoseconds.
    pub duration: u64,
    /// What the query asks about or selects, as far as the span has it.
    pub attributes: Vec<(String, Value)>,
}

/// Searches.
pub(super) fn run(index: &Index, search: &Search) -> SearchAnswer {
    let plan = Plan::of(search.query.as_ref());
    let patience = Patience::new(search.within);
    let of_traces = answers::of_traces(&plan, index, &patience);
    let (segments, traces) = (index.segments(), index.traces());
    let threads = if index.spans < SPANS_FOR_TWO { 1 } else { 2 };
    let braces: Vec<Braces> = in_parts(segments.len(), threads, |part| {
        let segments = segments.range(part);
        let braces =
            segments.map(|one| Answers::of(&plan, index, one, &patience).braces(&of_traces));
        braces.collect()
    });
    let somewhere = somewhere(index, &braces);
    let plan_is_plain = plan.root.as_ref().is_some_and(Pipe::is_plain);
    // Where no span fits anything, no trace has to be looked at.
    let may_fit = |root: &Pipe| root.may_hold(0) || braces.iter().any(Option::is_some);
    let count = if plan.root.as_ref().is_some_and(may_fit) {
        traces.len()
    } else {
        0
    };
    let mut found: Vec<(u64, usize)> = in_parts(count, threads, |part| {
        let mut family = Family::new(index);
        let traces = part.clone().zip(traces.range(part));
        let fitting = traces.filter(|(at, trace)| {
            let here = somewhere.get(*at).copied().unwrap_or(0);
            search.allows(trace)
                && (plan_is_plain || !patience.is_over())
                && plan.root.as_ref().is_some_and(|root| {
                    root.may_hold(here)
                        && (root.is_plain() || {
                            family.fill(trace, &braces, plan.relates);
                            !family.select(root).is_empty()
                        })
                })
        });
        fitting.map(|(at, trace)| (trace.start, at)).collect()
    });
    let is_complete = found.len() <= search.limit;
    let newest = |one: &(u64, usize)| std::cmp::Reverse(*one);
    if !is_complete && search.limit > 0 {
        found.select_nth_unstable_by_key(search.limit - 1, newest);
    }
    found.truncate(search.limit);
    found.sort_unstable_by_key(newest);
    let hits = found.iter().filter_map(|(_, at)| traces.get(*at));
    let hits = hits.take_while(|_| !patience.is_over());
    let hits: Vec<Hit> = hits
        .filter_map(|trace| hits::hit(index, trace, &plan, &braces, search.spans_max))
        .collect();
    let is_cut_off = patience.has_ended();
    SearchAnswer {
        hits: if is_cut_off { Vec::new() } else { hits },
        is_complete: is_complete && !is_cut_off,
        is_cut_off,
        inspected_traces: traces.len() as u64,
        inspected_bytes: index.memory() as u64,
    }
}

impl Search {
    /// Whether a trace lasted as long and began when it should.
    fn allows(&self, trace: &TraceRow) -> bool {
        let duration = Duration::from_nanos(trace.end.saturating_sub(trace.start));
        let start = Timestamp::from_unix_nanos(trace.start);
        self.min.is_none_or(|min| duration >= min)
            && self.max.is_none_or(|max| duration <= max)
            && self.start.is_none_or(|from| start >= from)
            && self.end.is_none_or(|until| start < until)
    }
}

/// For each trace, the braces that some span of it fits.
fn somewhere(index: &Index, braces: &[Braces]) -> Vec<u32> {
    let mut all = vec![0; index.traces().len()];
    for (segment, braces) in index.segments().iter().zip(braces) {
        let Some(braces) = braces else {
            continue;
        };
        for (row, fits) in segment.rows().iter().zip(braces) {
            if *fits != 0
                && let Some(place) = index.trace_of(segment, row.trace)
                && let Some(place) = all.get_mut(place)
            {
                *place |= fits;
            }
        }
    }
    all
}

/// The results of `work` on all of `0..count`, in order, by one thread or by two.
fn in_parts<T: Send>(
    count: usize,
    threads: usize,
    work: impl Fn(Range<usize>) -> Vec<T> + Sync,
) -> Vec<T> {
    if threads < 2 || count < 2 {
        return work(0..count);
    }
    let half = count / 2;
    std::thread::scope(|scope| {
        let helper = std::thread::Builder::new().name("edgespan-search".to_owned());
        let helper = helper.spawn_scoped(scope, || work(half..count));
        let mut all = work(0..half);
        match helper.map(|helper| helper.join()) {
            Ok(Ok(rest)) => all.extend(rest),
            // No thread is to be had: the work has to be done nevertheless.
            Ok(Err(_)) | Err(_) => all.extend(work(half..count)),
        }
        all
    })
}
