//! A few megabytes of spans that came one after the other.
//!
//! A span is a row of fixed size, a run of numbers for its attributes, and the few fields that are
//! kept as they came. An attribute, key and value together, is kept once in a segment: spans of one
//! edge repeat themselves so much that this takes a quarter of their encoded size. A search answers
//! a condition once for each attribute kept and then compares numbers. Rows are never changed, so
//! a segment leaves as a whole and its memory with it.

use super::dictionary::{Dictionary, hand_on};
use super::wire::{Content, Fields, pair_key};
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::hash::BuildHasher as _;

/// A span in a segment, wherever it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SpanRef {
    /// The lower half of the segment's number.
    pub(super) segment: u32,
    /// Which row.
    pub(super) row: u32,
}

impl SpanRef {
    /// No span.
    pub(super) const NONE: Self = Self {
        segment: u32::MAX,
        row: u32::MAX,
    };
}

/// A span.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    /// Its id, as a number in network order.
    pub(super) id: u64,
    /// Its parent's id; 0: none.
    pub(super) parent: u64,
    /// Nanoseconds since 1970.
    pub(super) start: u64,
    /// Nanoseconds.
    pub(super) duration: u64,
    /// Its trace's number, counted from [`Segment::trace_base`].
    pub(super) trace: u32,
    /// Its name, a text of the segment.
    pub(super) name: u32,
    /// Where its attributes begin; they end where those of the next row begin.
    attributes: u32,
    /// Where the fields begin that are kept as they came; see there.
    rest: u32,
    /// How long these are.
    rest_length: u32,
    /// The span of the same trace that came before.
    pub(super) previous: SpanRef,
    /// Which source it is from.
    pub(super) source: u16,
    /// OTLP's number of its kind, and of its status in the upper half.
    kind_and_status: u8,
    /// What the kept fields have: [`HAS_EVENTS`], [`HAS_LINKS`].
    has: u8,
}

/// Events among the kept fields.
pub(super) const HAS_EVENTS: u8 = 1;
/// Links among the kept fields.
pub(super) const HAS_LINKS: u8 = 2;

impl Row {
    /// OTLP's number.
    pub(super) fn kind(&self) -> i32 {
        i32::from(self.kind_and_status & 0xf)
    }

    /// OTLP's number.
    pub(super) fn status(&self) -> i32 {
        i32::from(self.kind_and_status >> 4)
    }

    /// Whether it ended in an error.
    pub(super) fn is_error(&self) -> bool {
        self.status() == 2
    }

    /// Whether its kept fields have one of these.
    pub(super) fn has(&self, what: u8) -> bool {
        self.has & what != 0
    }
}

/// Who recorded spans: a resource and a scope. All texts of the segment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Source {
    /// The encoded `Resource`.
    pub(super) resource: u32,
    /// The schema of the resource.
    pub(super) resource_schema: u32,
    /// The encoded `InstrumentationScope`.
    pub(super) scope: u32,
    /// The schema of the scope.
    pub(super) scope_schema: u32,
}

/// Who recorded spans, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct SourceBytes<'a> {
    /// The encoded `Resource`.
    pub(super) resource: &'a [u8],
    /// The schema of the resource.
    pub(super) resource_schema: &'a str,
    /// The encoded `InstrumentationScope`.
    pub(super) scope: &'a [u8],
    /// The schema of the scope.
    pub(super) scope_schema: &'a str,
}

/// Most sources of a segment; then the next begins.
const SOURCES_MAX: usize = 60_000;

/// What a span's fields say, before it has a row.
#[derive(Debug, Default)]
pub(super) struct Draft {
    trace: [u8; 16],
    row: Option<Row>,
    attributes_from: usize,
    rest: Vec<u8>,
}

impl Draft {
    /// Its trace.
    pub(super) const fn trace(&self) -> [u8; 16] {
        self.trace
    }

    /// Its row, as far as it is known.
    pub(super) const fn row(&self) -> Option<&Row> {
        self.row.as_ref()
    }
}

/// The segment.
#[derive(Debug)]
pub(super) struct Segment {
    /// The number of its first span since the store began.
    pub(super) first_span: u64,
    /// The number of the first trace that began in it.
    pub(super) first_trace: u64,
    /// The oldest trace there was when it began: rows count from it.
    pub(super) trace_base: u64,
    rows: Vec<Row>,
    attributes: Vec<u32>,
    heap: Vec<u8>,
    /// Attributes, each an encoded `KeyValue`.
    entries: Dictionary,
    /// The key of each entry, a text.
    keys: Vec<u32>,
    texts: Dictionary,
    sources: Vec<Source>,
    source_table: HashTable<u16>,
    /// Attributes of each source's resource.
    resource_entries: Vec<Vec<u32>>,
    resource_entries_bytes: usize,
}

impl Segment {
    pub(super) fn new(first_span: u64, first_trace: u64, trace_base: u64) -> Self {
        Self {
            first_span,
            first_trace,
            trace_base,
            rows: Vec::new(),
            attributes: Vec::new(),
            heap: Vec::new(),
            entries: Dictionary::default(),
            keys: Vec::new(),
            texts: Dictionary::default(),
            sources: Vec::new(),
            source_table: HashTable::new(),
            resource_entries: Vec::new(),
            resource_entries_bytes: 0,
        }
    }

    /// The number of a source here.
    pub(super) fn source(&mut self, bytes: &SourceBytes<'_>, hasher: &RandomState) -> u16 {
        let mut text = |bytes: &[u8]| self.texts.intern(bytes, &mut self.heap, hasher).0;
        let source = Source {
            resource: text(bytes.resource),
            resource_schema: text(bytes.resource_schema.as_bytes()),
            scope: text(bytes.scope),
            scope_schema: text(bytes.scope_schema.as_bytes()),
        };
        let hash = hasher.hash_one(&source);
        let sources = &self.sources;
        let same = |number: &u16| sources.get(usize::from(*number)) == Some(&source);
        if let Some(found) = self.source_table.find(hash, same) {
            return *found;
        }
        let number = u16::try_from(self.sources.len()).unwrap_or(u16::MAX);
        let mut entries = Vec::new();
        for field in Fields::of(bytes.resource) {
            if let (1, Content::Bytes(pair)) = (field.number, field.content) {
                entries.push(self.entry(pair, hasher));
            }
        }
        entries.shrink_to_fit();
        self.resource_entries_bytes += entries.capacity() * size_of::<u32>();
        self.sources.push(source);
        self.resource_entries.push(entries);
        let sources = &self.sources;
        self.source_table.insert_unique(hash, number, |other| {
            hasher.hash_one(sources.get(usize::from(*other)))
        });
        number
    }

    #[inline]
    fn entry(&mut self, pair: &[u8], hasher: &RandomState) -> u32 {
        let (number, is_new) = self.entries.intern(pair, &mut self.heap, hasher);
        if is_new {
            let key = self.texts.intern(pair_key(pair), &mut self.heap, hasher).0;
            self.keys.push(key);
        }
        number
    }

    /// Reads an encoded `Span`; false if it has no valid ids. Its attributes are taken at once, so
    /// the next thing is [`Self::keep`] or [`Self::give_up`].
    pub(super) fn draft(
        &mut self,
        span: &[u8],
        source: u16,
        draft: &mut Draft,
        hasher: &RandomState,
    ) -> bool {
        draft.rest.clear();
        draft.row = None;
        draft.trace = [0; 16];
        draft.attributes_from = self.attributes.len();
        let mut row = Row {
            id: 0,
            parent: 0,
            start: 0,
            duration: 0,
            trace: 0,
            name: 0,
            attributes: u32::try_from(self.attributes.len()).unwrap_or(u32::MAX),
            rest: 0,
            rest_length: 0,
            previous: SpanRef::NONE,
            source,
            kind_and_status: 0,
            has: 0,
        };
        let mut end = 0;
        let mut name: &[u8] = &[];
        let mut fields = Fields::of(span);
        for field in fields.by_ref() {
            match (field.number, field.content) {
                (9, Content::Bytes(pair)) => {
                    let entry = self.entry(pair, hasher);
                    self.attributes.push(entry);
                }
                (1, Content::Bytes(id)) => draft.trace = id.try_into().unwrap_or_default(),
                (2, Content::Bytes(id)) => row.id = number(id),
                (4, Content::Bytes(id)) => row.parent = number(id),
                (5, Content::Bytes(bytes)) => name = bytes,
                (6, Content::Varint(kind)) => {
                    row.kind_and_status |= u8::try_from(kind).map_or(0, |kind| kind.min(15));
                }
                (7, Content::Fixed64(nanos)) => row.start = nanos,
                (8, Content::Fixed64(nanos)) => end = nanos,
                (other, content) => {
                    match other {
                        11 => row.has |= HAS_EVENTS,
                        13 => row.has |= HAS_LINKS,
                        15 => row.kind_and_status |= status_code(content) << 4,
                        _ => {}
                    }
                    draft.rest.extend_from_slice(field.raw);
                }
            }
        }
        if fields.is_broken || draft.trace == [0; 16] || row.id == 0 {
            self.give_up(draft);
            return false;
        }
        row.duration = end.saturating_sub(row.start);
        row.name = self.texts.intern(name, &mut self.heap, hasher).0;
        draft.row = Some(row);
        true
    }

    /// Takes back what was drafted.
    pub(super) fn give_up(&mut self, draft: &mut Draft) {
        self.attributes.truncate(draft.attributes_from);
        draft.row = None;
    }

    /// Keeps what was drafted; the number of its row.
    pub(super) fn keep(&mut self, draft: &mut Draft, trace: u32, previous: SpanRef) -> u32 {
        let number = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        if let Some(mut row) = draft.row.take() {
            row.trace = trace;
            row.previous = previous;
            row.rest = u32::try_from(self.heap.len()).unwrap_or(u32::MAX);
            row.rest_length = u32::try_from(draft.rest.len()).unwrap_or(0);
            self.heap.extend_from_slice(&draft.rest);
            self.rows.push(row);
        }
        number
    }

    /// No room is kept for more: it goes to `next`, each part unless it is more than `room_max`
    /// bytes. So rooms grow once and not for each segment.
    pub(super) fn close(&mut self, next: &mut Self, room_max: usize) {
        hand_on(&mut self.rows, &mut next.rows, room_max);
        hand_on(&mut self.attributes, &mut next.attributes, room_max);
        hand_on(&mut self.heap, &mut next.heap, room_max);
        self.entries.close(&mut next.entries, room_max);
        hand_on(&mut self.keys, &mut next.keys, room_max);
        self.texts.close(&mut next.texts, room_max);
        self.sources.shrink_to_fit();
        self.source_table = HashTable::new();
        self.resource_entries.shrink_to_fit();
    }

    /// Whether the next span belongs into another one: it has `bytes_max`, or no room for sources.
    pub(super) fn is_full(&self, bytes_max: usize) -> bool {
        let filled = self.heap.len()
            + self.rows.len() * size_of::<Row>()
            + self.attributes.len() * size_of::<u32>()
            + self.entries.len() * 3 * size_of::<u32>();
        filled >= bytes_max || self.sources.len() >= SOURCES_MAX
    }

    /// Bytes of memory.
    pub(super) fn memory(&self) -> usize {
        size_of::<Self>()
            + self.rows.capacity() * size_of::<Row>()
            + self.attributes.capacity() * size_of::<u32>()
            + self.heap.capacity()
            + self.entries.memory()
            + self.keys.capacity() * size_of::<u32>()
            + self.texts.memory()
            + self.sources.capacity() * size_of::<Source>()
            + self.source_table.allocation_size()
            + self.resource_entries.capacity() * size_of::<Vec<u32>>()
            + self.resource_entries_bytes
    }

    // --- Reading ---------------------------------------------------------------------------------

    pub(super) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The attributes of a row, by number.
    #[inline]
    pub(super) fn attributes(&self, row: usize) -> &[u32] {
        let begin = self.rows.get(row).map_or(0, |row| row.attributes as usize);
        let end = self.rows.get(row + 1).map(|next| next.attributes as usize);
        let end = end.unwrap_or(self.attributes.len());
        self.attributes.get(begin..end).unwrap_or_default()
    }

    /// The attributes of all rows, by number.
    pub(super) fn all_attributes(&self) -> &[u32] {
        &self.attributes
    }

    /// The fields of a span that are kept as they came: all that [`Row`] has not.
    pub(super) fn rest(&self, row: &Row) -> &[u8] {
        let at = row.rest as usize;
        let rest = self.heap.get(at..at + row.rest_length as usize);
        rest.unwrap_or_default()
    }

    /// An attribute, an encoded `KeyValue`.
    pub(super) fn pair(&self, entry: u32) -> &[u8] {
        self.entries.bytes(&self.heap, entry)
    }

    /// The key of each attribute, a text.
    pub(super) fn keys(&self) -> &[u32] {
        &self.keys
    }

    /// A text.
    pub(super) fn text(&self, number: u32) -> &[u8] {
        self.texts.bytes(&self.heap, number)
    }

    /// How many texts there are.
    pub(super) fn texts(&self) -> usize {
        self.texts.len()
    }

    /// The number of a text.
    pub(super) fn find_text(&self, text: &str) -> Option<u32> {
        self.texts.find(&self.heap, text.as_bytes())
    }

    /// Everyone who recorded spans here.
    pub(super) fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// The attributes of a source's resource, by number.
    pub(super) fn resource_attributes(&self, source: u16) -> &[u32] {
        let found = self.resource_entries.get(usize::from(source));
        found.map_or(&[], Vec::as_slice)
    }
}

/// An id of eight bytes as a number; 0: it is none.
fn number(id: &[u8]) -> u64 {
    id.try_into().map_or(0, u64::from_be_bytes)
}

/// The code in a field that holds a `Status`.
fn status_code(content: Content<'_>) -> u8 {
    let Content::Bytes(status) = content else {
        return 0;
    };
    let code = Fields::of(status).find_map(|field| match (field.number, field.content) {
        (3, Content::Varint(code)) => u8::try_from(code).ok(),
        _ => None,
    });
    code.filter(|code| *code <= 2).unwrap_or(0)
}
