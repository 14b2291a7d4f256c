//! What is looked for in the store, and what was found.

mod answers;
mod compare;
mod entries;
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
use plan::Plan;
use sets::Family;
use std::ops::Range;
use std::sync::LazyLock;
use std::time::Duration;

/// From so many spans on a second thread helps.
const SPANS_FOR_TWO: u64 = 50_000;
/// Traces whose spans are combined between two looks at the clock.
const TRACES_A_LOOK: usize = 64;
/// How long a search takes at most. Spans that come meanwhile wait, so it has to end.
const WITHIN: Duration = Duration::from_secs(5);

/// Cores that this process may use: on one, a second thread only takes time.
static CORES: LazyLock<usize> =
    LazyLock::new(|| std::thread::available_parallelism().map_or(1, usize::from));

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
    let threads = threads(index);
    let braces: Vec<Braces> = in_parts(segments.len(), threads, |part| {
        let segments = segments.range(part);
        let braces =
            segments.map(|one| Answers::of(&plan, index, one, &patience).braces(&of_traces));
        braces.collect()
    });
    let somewhere = somewhere(index, &braces);
    let mut found: Vec<(u64, usize)> = plan.root.as_ref().map_or_else(Vec::new, |root| {
        // The braces alone are told in so short a time that no second thread is worth it.
        let threads = if root.is_plain() { 1 } else { threads };
        in_parts(somewhere.len(), threads, |part| {
            let mut family = Family::new(index);
            let mut fits = |trace: &TraceRow| {
                family.fill(trace, &braces, plan.relates);
                !family.select(root).is_empty()
            };
            let here = somewhere.get(part.clone()).unwrap_or_default();
            let may_fit = part.zip(here).filter(|(_, here)| root.may_hold(**here));
            let traces = may_fit.filter_map(|(at, _)| Some((at, traces.get(at)?)));
            let fitting = traces.enumerate().filter(|(number, (_, trace))| {
                let looks = number.is_multiple_of(TRACES_A_LOOK);
                search.allows(trace)
                    && (root.is_plain()
                        || !(patience.has_ended() || looks && patience.is_over()) && fits(trace))
            });
            fitting.map(|(_, (at, trace))| (trace.start, at)).collect()
        })
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

/// How many threads a search has.
fn threads(index: &Index) -> usize {
    if index.spans < SPANS_FOR_TWO {
        1
    } else {
        (*CORES).min(2)
    }
}

/// For each trace, the braces that some span of it fits; empty if no span fits any.
fn somewhere(index: &Index, braces: &[Braces]) -> Vec<u32> {
    if braces.iter().all(Option::is_none) {
        return Vec::new();
    }
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
