//! A few megabytes of spans that came one after the other.
//!
//! A span is a row of fixed size, a run of numbers for its attributes, and the few fields that are
//! kept as they came. An attribute, key and value together, is kept once in a segment: spans of one
//! edge repeat themselves so much that this takes a quarter of their encoded size. A search answers
//! a condition once for each attribute kept and then compares numbers. Rows are never changed, so
//! a segment leaves as a whole and its blocks serve the next one.
//!
//! Spans of one edge also repeat the order of their attributes. So a span is compared with the last
//! one of its kind ([`super::template`]), which spares a hash and a look into the table for nearly
//! each attribute, and where all are the same the two share their run of numbers.

use super::blocks::{Blocks, Column};
use super::dictionary::{Tools, Words};
pub(super) use super::row::{HAS_EVENTS, HAS_LINKS, Row, SpanRef};
use super::template::{ATTRIBUTE, NOTHING, Progress, Templates};
use super::wire::{Content, Field, Fields};
use hashbrown::HashTable;
use std::hash::BuildHasher as _;

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
    row: Row,
    end: u64,
    rest: Vec<u8>,
    /// Where its template is.
    slot: usize,
}

impl Draft {
    /// Its trace.
    pub(super) const fn trace(&self) -> [u8; 16] {
        self.trace
    }

    /// Its row, as far as it is known.
    pub(super) const fn row(&self) -> &Row {
        &self.row
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
    rows: Column<Row>,
    /// Nanoseconds.
    longest: u64,
    /// A bit for each status that a row has.
    statuses: u16,
    attributes: Column<u32>,
    words: Words,
    /// Only while the segment is written.
    templates: Templates,
    sources: Vec<Source>,
    source_table: HashTable<u16>,
    /// Attributes of each source's resource.
    resource_entries: Vec<Vec<u32>>,
    resource_entries_bytes: usize,
}

impl Segment {
    pub(super) fn new(first_span: u64, first_trace: u64, trace_base: u64, blocks: &Blocks) -> Self {
        Self {
            first_span,
            first_trace,
            trace_base,
            rows: Column::new(blocks),
            longest: 0,
            statuses: 0,
            attributes: Column::new(blocks),
            words: Words::new(blocks),
            templates: Templates::default(),
            sources: Vec::new(),
            source_table: HashTable::new(),
            resource_entries: Vec::new(),
            resource_entries_bytes: 0,
        }
    }

    /// The number of a source here.
    pub(super) fn source(&mut self, bytes: &SourceBytes<'_>, tools: &mut Tools<'_>) -> u16 {
        let mut text = |bytes: &[u8]| self.words.text_number(bytes, tools);
        let source = Source {
            resource: text(bytes.resource),
            resource_schema: text(bytes.resource_schema.as_bytes()),
            scope: text(bytes.scope),
            scope_schema: text(bytes.scope_schema.as_bytes()),
        };
        let hasher = tools.hasher;
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
                entries.push(self.words.entry(pair, None, tools));
            }
        }
        entries.shrink_to_fit();
        self.resource_entries_bytes += entries.capacity() * size_of::<u32>();
        self.sources.push(source);
        self.resource_entries.push(entries);
        let sources = &self.sources;
        self.source_table.insert_unique(hash, number, |other| {
            let other = sources.get(usize::from(*other));
            other.map_or(0, |other| hasher.hash_one(other))
        });
        number
    }

    /// Reads an encoded `Span`; false if it has no valid ids. Then the next thing is
    /// [`Self::keep`], or nothing.
    pub(super) fn draft(
        &mut self,
        span: &[u8],
        source: u16,
        draft: &mut Draft,
        tools: &mut Tools<'_>,
    ) -> bool {
        self.templates.shorten(draft.slot);
        draft.rest.clear();
        draft.row = Row::of_source(source);
        draft.trace = [0; 16];
        draft.end = 0;
        let mut name: &[u8] = &[];
        let mut slot = None;
        let mut progress = Progress::default();
        let mut fields = Fields::of(span);
        while let Some(first) = fields.first() {
            if read_usual(first, &mut fields, draft, &mut name) {
                continue;
            }
            let mut odd = None;
            if first != ATTRIBUTE {
                let Some(field) = fields.next() else {
                    break;
                };
                let (9, Content::Bytes(_)) = (field.number, field.content) else {
                    read_field(&field, draft, &mut name);
                    continue;
                };
                odd = Some(field);
            }
            let kind = draft.row.kind_and_status;
            let slot = *slot.get_or_insert_with(|| Templates::slot(kind, name));
            let Some(template) = self.templates.at(slot) else {
                return false;
            };
            let words = &mut self.words;
            let mut number = |pair: &[u8], alike| words.entry(pair, alike, tools);
            match odd {
                None => template.read(&mut fields, &mut progress, &mut number),
                // An attribute, but its tag is written as nobody writes it.
                Some(field) => template.differs(&field, false, &mut progress, &mut number),
            }
        }
        let row = &mut draft.row;
        draft.slot = slot.unwrap_or_else(|| Templates::slot(row.kind_and_status, name));
        let Some(template) = self.templates.at(draft.slot) else {
            return false;
        };
        template.end(&progress);
        if fields.is_broken || draft.trace == [0; 16] || row.id == 0 {
            return false;
        }
        row.duration = draft.end.saturating_sub(row.start);
        let words = &mut self.words;
        let ask = |name: &[u8]| words.text_number(name, tools);
        row.name = template.name.number(name, ask);
        true
    }

    /// Keeps what was drafted; the number of its row.
    pub(super) fn keep(
        &mut self,
        draft: &Draft,
        trace: u32,
        previous: SpanRef,
        tools: &mut Tools<'_>,
    ) -> u32 {
        let Some(template) = self.templates.at(draft.slot) else {
            return NOTHING;
        };
        let words = &mut self.words;
        let ask = |rest: &[u8]| words.text_number(rest, tools);
        let rest = template.rest.number(&draft.rest, ask);
        if template.at == NOTHING {
            template.at = self.attributes.append(template.entries(), tools.blocks);
        }
        let row = Row {
            rest,
            trace,
            previous,
            attributes: template.at,
            attributes_count: u32::try_from(template.entries().len()).unwrap_or(0),
            ..draft.row
        };
        self.longest = self.longest.max(row.duration);
        self.statuses |= 1 << (row.kind_and_status >> 4);
        self.rows.push(row, tools.blocks)
    }

    /// Nothing more will be written. The tables that only writing needs go to `next`, each unless
    /// it is more than `room_max` bytes.
    pub(super) fn close(&mut self, next: &mut Self, room_max: usize) {
        self.words.close(&mut next.words, room_max);
        let templates = std::mem::take(&mut self.templates);
        if templates.memory() <= room_max {
            next.templates = templates.emptied();
        }
        self.sources.shrink_to_fit();
        self.source_table = HashTable::new();
        self.resource_entries.shrink_to_fit();
    }

    /// Whether the next span belongs into another one: it has `bytes_max`, or no room for sources.
    #[inline]
    pub(super) fn is_full(&self, bytes_max: usize) -> bool {
        let filled = self.rows.bytes() + self.attributes.bytes() + self.words.bytes_in_blocks();
        filled >= bytes_max || self.sources.len() >= SOURCES_MAX
    }

    /// Bytes of memory beside blocks.
    pub(super) fn beside_blocks(&self) -> usize {
        size_of::<Self>()
            + self.words.beside_blocks()
            + self.templates.memory()
            + self.sources.capacity() * size_of::<Source>()
            + self.source_table.allocation_size()
            + self.resource_entries.capacity() * size_of::<Vec<u32>>()
            + self.resource_entries_bytes
    }

    /// Gives its blocks back.
    pub(super) fn give_back(self, blocks: &mut Blocks) {
        self.rows.give_back(blocks);
        self.attributes.give_back(blocks);
        self.words.give_back(blocks);
    }

    // --- Reading ---------------------------------------------------------------------------------

    pub(super) const fn rows(&self) -> &Column<Row> {
        &self.rows
    }

    /// The longest duration of a row, in nanoseconds.
    pub(super) const fn longest(&self) -> u64 {
        self.longest
    }

    /// The statuses that rows have, as OTLP's numbers.
    pub(super) fn statuses(&self) -> impl Iterator<Item = i32> {
        (0..16).filter(|status| self.statuses >> status & 1 == 1)
    }

    /// The attributes of a row, by number.
    #[inline]
    pub(super) fn attributes(&self, row: &Row) -> &[u32] {
        self.attributes.slice(row.attributes, row.attributes_count)
    }

    /// The attributes of all rows, by number.
    pub(super) fn all_attributes(&self) -> impl Iterator<Item = &u32> {
        self.attributes.iter()
    }

    /// The fields of a span that are kept as they came: all that [`Row`] has not.
    pub(super) fn rest(&self, row: &Row) -> &[u8] {
        self.words.text(row.rest)
    }

    /// An attribute, an encoded `KeyValue`.
    pub(super) fn pair(&self, entry: u32) -> &[u8] {
        self.words.pair(entry)
    }

    /// The key of each attribute, a text.
    pub(super) const fn keys(&self) -> &Column<u32> {
        self.words.keys()
    }

    /// A text.
    pub(super) fn text(&self, number: u32) -> &[u8] {
        self.words.text(number)
    }

    /// How many texts there are.
    pub(super) fn texts(&self) -> usize {
        self.words.texts()
    }

    /// The number of a text.
    pub(super) fn find_text(&self, text: &str) -> Option<u32> {
        self.words.find_text(text)
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

/// Reads a field as nearly every sender writes it; false if it is another one, or written
/// otherwise.
#[inline]
fn read_usual<'a>(
    first: u8,
    fields: &mut Fields<'a>,
    draft: &mut Draft,
    name: &mut &'a [u8],
) -> bool {
    let row = &mut draft.row;
    let read = match first {
        field::TRACE => fields.next_array().map(|id| draft.trace = id),
        field::ID => fields
            .next_array()
            .map(|id| row.id = u64::from_be_bytes(id)),
        field::PARENT => fields
            .next_array()
            .map(|id| row.parent = u64::from_be_bytes(id)),
        field::NAME => fields.next_bytes().map(|text| *name = text),
        field::KIND => fields
            .next_small()
            .map(|kind| row.kind_and_status |= kind.min(15)),
        field::START => fields.next_fixed64().map(|nanos| row.start = nanos),
        field::END => fields.next_fixed64().map(|nanos| draft.end = nanos),
        field::FLAGS => {
            let raw = fields.next_raw::<6>([field::FLAGS, 1]);
            raw.map(|raw| draft.rest.extend_from_slice(raw))
        }
        _ => None,
    };
    read.is_some()
}

/// First bytes of a span's fields.
mod field {
    pub(super) const TRACE: u8 = 1 << 3 | 2;
    pub(super) const ID: u8 = 2 << 3 | 2;
    pub(super) const PARENT: u8 = 4 << 3 | 2;
    pub(super) const NAME: u8 = 5 << 3 | 2;
    pub(super) const KIND: u8 = 6 << 3;
    pub(super) const START: u8 = 7 << 3 | 1;
    pub(super) const END: u8 = 8 << 3 | 1;
    /// 16 in two bytes, of which the second is 1.
    pub(super) const FLAGS: u8 = 5 | 0x80;
}

/// A field of a span, however it is written.
fn read_field<'a>(field: &Field<'a>, draft: &mut Draft, name: &mut &'a [u8]) {
    let row = &mut draft.row;
    match (field.number, field.content) {
        (1, Content::Bytes(id)) => draft.trace = id.try_into().unwrap_or_default(),
        (2, Content::Bytes(id)) => row.id = number(id),
        (4, Content::Bytes(id)) => row.parent = number(id),
        (5, Content::Bytes(text)) => *name = text,
        (6, Content::Varint(kind)) => {
            row.kind_and_status |= u8::try_from(kind).map_or(0, |kind| kind.min(15));
        }
        (7, Content::Fixed64(nanos)) => row.start = nanos,
        (8, Content::Fixed64(nanos)) => draft.end = nanos,
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
