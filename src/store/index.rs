//! The segments and the traces in them, and who leaves at the bound.
//!
//! Traces are numbered in the order in which they began to arrive. A segment can hold spans only of
//! traces that began in it or before, so when the oldest segment leaves, with every trace that
//! began in it, nothing points to it any more.

use super::Taken;
use super::segment::{Draft, Segment, SourceBytes, SpanRef};
use super::wire::{Content, Fields};
use crate::trace::resource::{SCHEMA_URL, encode_scope};
use bytes::Bytes;
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use opentelemetry::trace::TraceId;
use std::collections::VecDeque;
use std::hash::BuildHasher as _;

/// Least and most bytes of a segment; between them it is a share of the bound.
const SEGMENT_BYTES: (usize, usize) = (32 << 10, 4 << 20);

/// How many segments the bound should hold at least.
const SEGMENTS_MIN: usize = 32;

/// Which share of the bound a trace may have.
const TRACE_SHARE: usize = 8;

/// What a span costs beside its own bytes, for the share of its trace.
const SPAN_OVERHEAD: usize = 64;

/// A trace.
#[derive(Clone, Debug)]
pub(super) struct TraceRow {
    pub(super) id: [u8; 16],
    /// Nanoseconds since 1970.
    pub(super) start: u64,
    /// Nanoseconds since 1970.
    pub(super) end: u64,
    /// The span that came last.
    pub(super) last: SpanRef,
    /// The span without a parent that began first, if there is one.
    pub(super) root: SpanRef,
    /// How many spans are kept.
    pub(super) spans: u32,
    /// How many are not, because the trace had its share.
    pub(super) cut: u32,
    bytes: u32,
    root_start: u64,
}

/// The index.
#[derive(Debug)]
pub(super) struct Index {
    bytes_max: usize,
    hasher: RandomState,
    segments: VecDeque<Segment>,
    first_segment: u64,
    traces: VecDeque<TraceRow>,
    first_trace: u64,
    /// Traces by their ids: the lower half of their numbers.
    table: HashTable<u32>,
    closed_bytes: usize,
    draft: Draft,
    own: Vec<Own>,
    own_scope: Vec<u8>,
    /// Spans kept since the start: the sequence number.
    pub(super) next_span: u64,
    /// Spans kept now.
    pub(super) spans: u64,
    /// Traces that left.
    pub(super) evicted_traces: u64,
    /// Spans that left.
    pub(super) evicted_spans: u64,
    /// Spans that were not kept.
    pub(super) refused_spans: u64,
}

/// A resource whose spans edgespan records itself, and its source in the segment of that number.
#[derive(Debug)]
struct Own {
    resource: Bytes,
    source: Option<(u64, u16)>,
}

impl Index {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            hasher: RandomState::default(),
            segments: VecDeque::from([Segment::new(0, 0, 0)]),
            first_segment: 0,
            traces: VecDeque::new(),
            first_trace: 0,
            table: HashTable::new(),
            closed_bytes: 0,
            draft: Draft::default(),
            own: Vec::new(),
            own_scope: encode_scope(),
            next_span: 0,
            spans: 0,
            evicted_traces: 0,
            evicted_spans: 0,
            refused_spans: 0,
        }
    }

    /// The number of a resource of our own. Equal ones, as after a reload, have the same.
    pub(super) fn own(&mut self, resource: Bytes) -> u32 {
        let known = self.own.iter().position(|own| own.resource == resource);
        let number = known.unwrap_or_else(|| {
            self.own.push(Own {
                resource,
                source: None,
            });
            self.own.len() - 1
        });
        u32::try_from(number).unwrap_or(u32::MAX)
    }

    /// Takes records of field 2 of `ScopeSpans`, of a resource of our own.
    pub(super) fn take_own(&mut self, own: u32, records: &[u8]) -> Taken {
        let Some(resource) = self.own.get(own as usize).map(|own| own.resource.clone()) else {
            return Taken::default();
        };
        let scope = std::mem::take(&mut self.own_scope);
        let bytes = SourceBytes {
            resource: &resource,
            resource_schema: SCHEMA_URL,
            scope: &scope,
            scope_schema: SCHEMA_URL,
        };
        let taken = self.take(&bytes, Some(own), records);
        self.own_scope = scope;
        taken
    }

    /// Takes records of field 2 of `ScopeSpans`.
    pub(super) fn take(
        &mut self,
        bytes: &SourceBytes<'_>,
        own: Option<u32>,
        records: &[u8],
    ) -> Taken {
        let mut taken = Taken::default();
        let mut source: Option<(u64, u16)> = own.and_then(|own| self.own.get(own as usize)?.source);
        for field in Fields::of(records) {
            let (2, Content::Bytes(span)) = (field.number, field.content) else {
                continue;
            };
            self.make_room();
            let here = self.open_segment();
            let number = match source {
                Some((segment, number)) if segment == here => number,
                _ => {
                    let Some(open) = self.segments.back_mut() else {
                        continue;
                    };
                    let number = open.source(bytes, &self.hasher);
                    source = Some((here, number));
                    number
                }
            };
            if self.take_span(span, number) {
                taken.taken += 1;
            } else {
                taken.refused += 1;
            }
        }
        if let Some(own) = own.and_then(|own| self.own.get_mut(own as usize)) {
            own.source = source;
        }
        self.refused_spans += taken.refused;
        taken
    }

    fn take_span(&mut self, span: &[u8], source: u16) -> bool {
        let here = self.open_segment();
        let mut draft = std::mem::take(&mut self.draft);
        let trace_max = self.bytes_max / TRACE_SHARE;
        let Some(open) = self.segments.back_mut() else {
            return false;
        };
        let is_valid = open.draft(span, source, &mut draft, &self.hasher);
        let (base, id) = (open.trace_base, draft.trace());
        let Some(row) = draft.row().filter(|_| is_valid) else {
            self.draft = draft;
            return false;
        };
        let (start, end) = (row.start, row.start.saturating_add(row.duration));
        let is_root = row.parent == 0;
        let cost = u32::try_from(span.len() + SPAN_OVERHEAD).unwrap_or(u32::MAX);
        // A trace that would begin with a span that is too large does not begin.
        let is_too_large = cost as usize > trace_max && self.find(id).is_none();
        let index = if is_too_large {
            usize::MAX
        } else {
            self.trace_index(id)
        };
        let Some(open) = self.segments.back_mut() else {
            return false;
        };
        let Some(trace) = self.traces.get_mut(index) else {
            open.give_up(&mut draft);
            self.draft = draft;
            return false;
        };
        let number = self.first_trace + index as u64;
        let bytes = trace.bytes.saturating_add(cost);
        if bytes as usize > trace_max {
            trace.cut = trace.cut.saturating_add(1);
            open.give_up(&mut draft);
            self.draft = draft;
            return false;
        }
        let relative = u32::try_from(number - base).unwrap_or(u32::MAX);
        let row = open.keep(&mut draft, relative, trace.last);
        self.draft = draft;
        trace.bytes = bytes;
        trace.spans += 1;
        trace.start = trace.start.min(start);
        trace.end = trace.end.max(end);
        trace.last = SpanRef {
            segment: here as u32,
            row,
        };
        if is_root && (trace.root == SpanRef::NONE || start < trace.root_start) {
            trace.root = trace.last;
            trace.root_start = start;
        }
        self.next_span += 1;
        self.spans += 1;
        true
    }

    /// Where the trace stands; a new one, if it is not there.
    fn trace_index(&mut self, id: [u8; 16]) -> usize {
        if let Some(index) = self.find(id) {
            return index;
        }
        if self.traces.len() == self.traces.capacity() {
            // A quarter more at a time: doubling would take from the spans what stands empty.
            self.traces.reserve_exact(self.traces.len() / 4 + 64);
        }
        let index = self.traces.len();
        self.traces.push_back(TraceRow {
            id,
            start: u64::MAX,
            end: 0,
            last: SpanRef::NONE,
            root: SpanRef::NONE,
            spans: 0,
            cut: 0,
            bytes: 0,
            root_start: u64::MAX,
        });
        let (traces, hasher, first) = (&self.traces, &self.hasher, self.first_trace as u32);
        let hash_of = |low: &u32| {
            let row = traces.get(low.wrapping_sub(first) as usize);
            hasher.hash_one(row.map_or([0; 16], |row| row.id))
        };
        let low = (self.first_trace as u32).wrapping_add(index as u32);
        self.table.insert_unique(hasher.hash_one(id), low, hash_of);
        index
    }

    /// Where a trace stands in [`Self::traces`].
    pub(super) fn find(&self, id: [u8; 16]) -> Option<usize> {
        let first = self.first_trace as u32;
        let same = |low: &u32| {
            let row = self.traces.get(low.wrapping_sub(first) as usize);
            row.is_some_and(|row| row.id == id)
        };
        let low = self.table.find(self.hasher.hash_one(id), same)?;
        Some(low.wrapping_sub(first) as usize)
    }

    /// The number of the segment that is written.
    fn open_segment(&self) -> u64 {
        self.first_segment + self.segments.len() as u64 - 1
    }

    /// Begins the next segment if the open one is full; sends the oldest away while the bound is
    /// reached.
    fn make_room(&mut self) {
        let segment_max = self.segment_max();
        if let Some(open) = self.segments.back_mut()
            && open.is_full(segment_max)
        {
            self.begin_segment();
        }
        while self.memory() > self.bytes_max && self.segments.len() > 1 {
            self.evict();
        }
    }

    /// Another bound. What is over it leaves at once.
    pub(super) fn resize(&mut self, bytes_max: usize) {
        self.bytes_max = bytes_max;
        if self.memory() > bytes_max {
            // Also what stands in the open segment has to be able to leave.
            self.begin_segment();
            self.make_room();
            self.traces.shrink_to_fit();
        }
    }

    /// The bound.
    pub(super) const fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// Bytes from which a segment is full.
    fn segment_max(&self) -> usize {
        let (least, most) = SEGMENT_BYTES;
        (self.bytes_max / SEGMENTS_MIN).clamp(least, most)
    }

    fn begin_segment(&mut self) {
        let next_trace = self.first_trace + self.traces.len() as u64;
        let mut next = Segment::new(self.next_span, next_trace, self.first_trace);
        // Rooms double, so each may be twice what it held.
        let room_max = 2 * self.segment_max();
        if let Some(open) = self.segments.back_mut() {
            open.close(&mut next, room_max);
            self.closed_bytes += open.memory();
        }
        self.segments.push_back(next);
    }

    /// The oldest segment and all traces that began in it.
    fn evict(&mut self) {
        let Some(gone) = self.segments.pop_front() else {
            return;
        };
        self.first_segment += 1;
        self.closed_bytes -= gone.memory();
        let until = self.segments.front().map_or(0, |next| next.first_trace);
        while self.first_trace < until {
            let Some(id) = self.traces.front().map(|trace| trace.id) else {
                break;
            };
            let first = self.first_trace as u32;
            let hash = self.hasher.hash_one(id);
            if let Ok(found) = self.table.find_entry(hash, |low| *low == first) {
                found.remove();
            }
            let spans = self.traces.pop_front().map_or(0, |trace| trace.spans);
            self.first_trace += 1;
            self.evicted_traces += 1;
            self.evicted_spans += u64::from(spans);
            self.spans -= u64::from(spans);
        }
    }

    /// Bytes of memory, all of it.
    pub(super) fn memory(&self) -> usize {
        self.closed_bytes
            + self.segments.back().map_or(0, Segment::memory)
            + self.segments.capacity() * size_of::<Segment>()
            + self.traces.capacity() * size_of::<TraceRow>()
            + self.table.allocation_size()
    }

    /// All traces, the oldest first.
    pub(super) const fn traces(&self) -> &VecDeque<TraceRow> {
        &self.traces
    }

    /// All segments, the oldest first.
    pub(super) const fn segments(&self) -> &VecDeque<Segment> {
        &self.segments
    }

    /// Where the trace of a row of `segment` stands in [`Self::traces`]; None: it has left.
    #[inline]
    pub(super) fn trace_of(&self, segment: &Segment, trace: u32) -> Option<usize> {
        let number = segment.trace_base + u64::from(trace);
        let index = number.checked_sub(self.first_trace)?;
        usize::try_from(index).ok()
    }

    /// Where a span stands: the index of its segment in [`Self::segments`], and of its row there.
    pub(super) fn resolve(&self, span: SpanRef) -> Option<(usize, usize)> {
        if span == SpanRef::NONE {
            return None;
        }
        let index = span.segment.wrapping_sub(self.first_segment as u32);
        Some((index as usize, span.row as usize))
    }

    /// Where the spans of a trace stand, the one that came last first.
    pub(super) fn spans_of(&self, trace: &TraceRow) -> impl Iterator<Item = (usize, usize)> {
        let mut next = trace.last;
        std::iter::from_fn(move || {
            let (segment, row) = self.resolve(next)?;
            next = self.segments.get(segment)?.rows().get(row)?.previous;
            Some((segment, row))
        })
    }
}

/// A trace's id.
pub(super) fn trace_id(trace: &TraceRow) -> TraceId {
    TraceId::from_bytes(trace.id)
}
