//! The segments and the traces in them, and who leaves at the bound.
//!
//! Traces are numbered in the order in which they began to arrive. A segment can hold spans only of
//! traces that began in it or before, so when the oldest segment leaves, with every trace that
//! began in it, nothing points to it any more.

use super::Taken;
use super::blocks::{Blocks, Queue};
use super::dictionary::Tools;
use super::segment::{Draft, Row, Segment, SourceBytes, SpanRef};
use super::wire::Fields;
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
#[derive(Clone, Copy, Debug)]
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
}

/// The index.
#[derive(Debug)]
pub(super) struct Index {
    bytes_max: usize,
    hasher: RandomState,
    segments: VecDeque<Segment>,
    first_segment: u64,
    traces: Queue<TraceRow>,
    first_trace: u64,
    /// The number of the trace that got a span last.
    last_trace: u64,
    /// Traces by their ids: the lower half of their numbers.
    table: HashTable<u32>,
    blocks: Blocks,
    /// Of all segments but the open one, beside blocks.
    closed_bytes: usize,
    /// Bytes of blocks in use when it was last looked whether the bound holds.
    checked: usize,
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
        let blocks = Blocks::for_segments_of(segment_max(bytes_max));
        Self {
            bytes_max,
            hasher: RandomState::default(),
            segments: VecDeque::from([Segment::new(0, 0, 0, &blocks)]),
            first_segment: 0,
            traces: Queue::new(&blocks),
            first_trace: 0,
            last_trace: 0,
            table: HashTable::new(),
            blocks,
            closed_bytes: 0,
            checked: 0,
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
        let place = own as usize;
        self.take_each(records, |index| {
            let here = index.open_segment();
            let known = index.own.get(place)?;
            if let Some((segment, number)) = known.source
                && segment == here
            {
                return Some(number);
            }
            let resource = known.resource.clone();
            let scope = std::mem::take(&mut index.own_scope);
            let number = index.source(&SourceBytes {
                resource: &resource,
                resource_schema: SCHEMA_URL,
                scope: &scope,
                scope_schema: SCHEMA_URL,
            });
            index.own_scope = scope;
            index.own.get_mut(place)?.source = Some((here, number?));
            number
        })
    }

    /// Takes records of field 2 of `ScopeSpans`.
    pub(super) fn take(&mut self, bytes: &SourceBytes<'_>, records: &[u8]) -> Taken {
        let mut known: Option<(u64, u16)> = None;
        self.take_each(records, |index| {
            let here = index.open_segment();
            if known.is_none_or(|(segment, _)| segment != here) {
                known = Some((here, index.source(bytes)?));
            }
            known.map(|(_, number)| number)
        })
    }

    /// Takes records of field 2 of `ScopeSpans`; `source` gives the number of their source in the
    /// segment that is open.
    #[inline]
    fn take_each(
        &mut self,
        records: &[u8],
        mut source: impl FnMut(&mut Self) -> Option<u16>,
    ) -> Taken {
        let mut taken = Taken::default();
        for span in Fields::of(records).messages(2) {
            self.make_room();
            if source(self).is_some_and(|source| self.take_span(span, source)) {
                taken.taken += 1;
            } else {
                taken.refused += 1;
            }
        }
        self.refused_spans += taken.refused;
        taken
    }

    /// The number of a source in the segment that is open.
    fn source(&mut self, bytes: &SourceBytes<'_>) -> Option<u16> {
        let mut tools = Tools {
            blocks: &mut self.blocks,
            hasher: &self.hasher,
        };
        let open = self.segments.back_mut()?;
        Some(open.source(bytes, &mut tools))
    }

    fn take_span(&mut self, span: &[u8], source: u16) -> bool {
        let trace_max = self.bytes_max / TRACE_SHARE;
        let mut tools = Tools {
            blocks: &mut self.blocks,
            hasher: &self.hasher,
        };
        let draft = &mut self.draft;
        let open = self.segments.back_mut();
        if !open.is_some_and(|open| open.draft(span, source, draft, &mut tools)) {
            return false;
        }
        let (id, row) = (draft.trace(), draft.row());
        let (start, end) = (row.start, row.start.saturating_add(row.duration));
        let is_root = row.parent == 0;
        let cost = u32::try_from(span.len() + SPAN_OVERHEAD).unwrap_or(u32::MAX);
        // A trace that would begin with a span that is too large does not begin.
        if cost as usize > trace_max && self.find(id).is_none() {
            return false;
        }
        let index = self.trace_index(id);
        let Some(last) = self.keep(index, cost, trace_max) else {
            return false;
        };
        let root = self.traces.get(index).map(|trace| trace.root);
        let root = root.filter(|_| is_root).and_then(|root| self.row(root));
        let is_first_root = is_root && root.is_none_or(|root| start < root.start);
        if let Some(trace) = self.traces.get_mut(index) {
            trace.start = trace.start.min(start);
            trace.end = trace.end.max(end);
            trace.last = last;
            if is_first_root {
                trace.root = last;
            }
        }
        self.next_span += 1;
        self.spans += 1;
        true
    }

    /// Keeps what was drafted, if its trace has room for it; where.
    fn keep(&mut self, index: usize, cost: u32, trace_max: usize) -> Option<SpanRef> {
        let here = self.open_segment();
        let open = self.segments.back_mut()?;
        let trace = self.traces.get_mut(index)?;
        let bytes = trace.bytes.saturating_add(cost);
        if bytes as usize > trace_max {
            trace.cut = trace.cut.saturating_add(1);
            return None;
        }
        trace.bytes = bytes;
        trace.spans += 1;
        let mut tools = Tools {
            blocks: &mut self.blocks,
            hasher: &self.hasher,
        };
        let number = self.first_trace + index as u64;
        let relative = u32::try_from(number.saturating_sub(open.trace_base)).unwrap_or(u32::MAX);
        Some(SpanRef {
            segment: here as u32,
            row: open.keep(&self.draft, relative, trace.last, &mut tools),
        })
    }

    /// Where the trace stands; a new one, if it is not there.
    #[inline]
    fn trace_index(&mut self, id: [u8; 16]) -> usize {
        // Most spans are of the trace of the span before.
        let index = self.last_trace.wrapping_sub(self.first_trace) as usize;
        if self.traces.get(index).is_some_and(|trace| trace.id == id) {
            return index;
        }
        let hash = hash_of_id(&self.hasher, id);
        let index = match self.find_hashed(id, hash) {
            Some(index) => index,
            None => self.begin_trace(id, hash),
        };
        self.last_trace = self.first_trace + index as u64;
        index
    }

    fn begin_trace(&mut self, id: [u8; 16], hash: u64) -> usize {
        let index = self.traces.len();
        let new = TraceRow {
            id,
            start: u64::MAX,
            end: 0,
            last: SpanRef::NONE,
            root: SpanRef::NONE,
            spans: 0,
            cut: 0,
            bytes: 0,
        };
        self.traces.push_back(new, &mut self.blocks);
        let (traces, hasher, first) = (&self.traces, &self.hasher, self.first_trace as u32);
        let hash_of = |low: &u32| {
            let row = traces.get(low.wrapping_sub(first) as usize);
            hash_of_id(hasher, row.map_or([0; 16], |row| row.id))
        };
        let low = first.wrapping_add(index as u32);
        self.table.insert_unique(hash, low, hash_of);
        index
    }

    /// Where a trace stands in [`Self::traces`].
    pub(super) fn find(&self, id: [u8; 16]) -> Option<usize> {
        self.find_hashed(id, hash_of_id(&self.hasher, id))
    }

    fn find_hashed(&self, id: [u8; 16], hash: u64) -> Option<usize> {
        let first = self.first_trace as u32;
        let same = |low: &u32| {
            let row = self.traces.get(low.wrapping_sub(first) as usize);
            row.is_some_and(|row| row.id == id)
        };
        let low = self.table.find(hash, same)?;
        Some(low.wrapping_sub(first) as usize)
    }

    /// The number of the segment that is written.
    fn open_segment(&self) -> u64 {
        self.first_segment + self.segments.len() as u64 - 1
    }

    /// Begins the next segment if the open one is full; sends the oldest away while the bound is
    /// reached.
    #[inline]
    fn make_room(&mut self) {
        // Between two blocks that are taken nothing changes.
        if self.checked != self.blocks.used() {
            self.make_room_now();
        }
    }

    #[cold]
    fn make_room_now(&mut self) {
        let segment_max = segment_max(self.bytes_max);
        if let Some(open) = self.segments.back_mut()
            && open.is_full(segment_max)
        {
            self.begin_segment();
        }
        while self.blocks.used() + self.beside_blocks() > self.bytes_max && self.segments.len() > 1
        {
            self.evict();
        }
        // Those that are left over may be for other things than those that are wanted.
        let room = self.bytes_max.saturating_sub(self.beside_blocks());
        self.blocks.trim(room);
        self.checked = self.blocks.used();
    }

    /// Another bound. What is over it leaves at once.
    pub(super) fn resize(&mut self, bytes_max: usize) {
        if bytes_max == self.bytes_max {
            return;
        }
        self.bytes_max = bytes_max;
        self.blocks.resize(segment_max(bytes_max));
        let traces = std::mem::replace(&mut self.traces, Queue::new(&self.blocks));
        self.traces = traces.rebuilt(&mut self.blocks);
        // Also what stands in the open segment has to be able to leave.
        self.begin_segment();
        self.make_room_now();
    }

    /// The bound.
    pub(super) const fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    fn begin_segment(&mut self) {
        let next_trace = self.first_trace + self.traces.len() as u64;
        let mut next = Segment::new(self.next_span, next_trace, self.first_trace, &self.blocks);
        if let Some(open) = self.segments.back_mut() {
            open.close(&mut next, segment_max(self.bytes_max));
            self.closed_bytes += open.beside_blocks();
        }
        self.segments.push_back(next);
    }

    /// The oldest segment and all traces that began in it.
    fn evict(&mut self) {
        let Some(gone) = self.segments.pop_front() else {
            return;
        };
        self.first_segment += 1;
        self.closed_bytes -= gone.beside_blocks();
        gone.give_back(&mut self.blocks);
        let until = self.segments.front().map_or(0, |next| next.first_trace);
        while self.first_trace < until {
            let Some(id) = self.traces.get(0).map(|trace| trace.id) else {
                break;
            };
            let first = self.first_trace as u32;
            let hash = hash_of_id(&self.hasher, id);
            if let Ok(found) = self.table.find_entry(hash, |low| *low == first) {
                found.remove();
            }
            let gone = self.traces.pop_front(&mut self.blocks);
            let spans = gone.map_or(0, |trace| trace.spans);
            self.first_trace += 1;
            self.evicted_traces += 1;
            self.evicted_spans += u64::from(spans);
            self.spans -= u64::from(spans);
        }
    }

    /// Bytes of memory, all of it.
    pub(super) fn memory(&self) -> usize {
        self.blocks.made() + self.beside_blocks()
    }

    fn beside_blocks(&self) -> usize {
        self.closed_bytes
            + self.segments.back().map_or(0, Segment::beside_blocks)
            + self.segments.capacity() * size_of::<Segment>()
            + self.table.allocation_size()
    }

    /// All traces, the oldest first.
    pub(super) const fn traces(&self) -> &Queue<TraceRow> {
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

    /// A span's row.
    fn row(&self, span: SpanRef) -> Option<&Row> {
        let (segment, row) = self.resolve(span)?;
        self.segments.get(segment)?.rows().get(row)
    }

    /// The spans of a trace and where they stand, the one that came last first.
    pub(super) fn spans_of(&self, trace: &TraceRow) -> impl Iterator<Item = Found<'_>> {
        let mut next = trace.last;
        std::iter::from_fn(move || {
            let (segment, number) = self.resolve(next)?;
            let row = self.segments.get(segment)?.rows().get(number)?;
            next = row.previous;
            Some(Found {
                segment,
                number,
                row,
            })
        })
    }
}

/// A span where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found<'a> {
    /// The place of its segment in [`Index::segments`].
    pub(super) segment: usize,
    /// The number of its row there.
    pub(super) number: usize,
    /// The row.
    pub(super) row: &'a Row,
}

/// Bytes from which a segment is full.
fn segment_max(bytes_max: usize) -> usize {
    let (least, most) = SEGMENT_BYTES;
    (bytes_max / SEGMENTS_MIN).clamp(least, most)
}

#[inline]
fn hash_of_id(hasher: &RandomState, id: [u8; 16]) -> u64 {
    hasher.hash_one(u128::from_ne_bytes(id))
}

/// A trace's id.
pub(super) fn trace_id(trace: &TraceRow) -> TraceId {
    TraceId::from_bytes(trace.id)
}
