//! A few megabytes of spans that came one after the other.
//!
//! A span is a row of fixed size, a run of numbers for its attributes, and the few fields that are
//! kept as they came. An attribute, key and value together, is kept once in a segment: spans of one
//! edge repeat themselves so much that this takes a quarter of their encoded size. A search answers
//! a condition once for each attribute kept and then compares numbers. Rows are never changed, so
//! a segment leaves as a whole and its blocks serve the next one.
//!
//! Spans of one edge also repeat the order of their attributes. So what followed an attribute the
//! last time is looked at first, which spares a hash and a look into the table for nearly each.

use super::blocks::{Blocks, Column};
use super::dictionary::{Dictionary, Place};
pub(super) use super::row::{HAS_EVENTS, HAS_LINKS, Row, SpanRef};
use super::wire::{Content, Field, Fields, pair_key};
use foldhash::fast::RandomState;
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

/// Kinds of spans: by these it is known what their first attribute was.
const KINDS: usize = 16;

/// No attribute.
const NOTHING: u32 = u32::MAX;

/// Field 9 of a span, its length in one byte.
const ATTRIBUTE: u8 = 9 << 3 | 2;

/// An attribute and where it lies, so that it is compared without a look at what else there is.
#[derive(Clone, Copy, Debug)]
struct Follower {
    entry: u32,
    place: Place,
}

impl Follower {
    /// Equal to nothing: no attribute is as long.
    const NONE: Self = Self {
        entry: NOTHING,
        place: Place {
            at: 0,
            length: u32::MAX,
        },
    };
}

/// What a span's fields say, before it has a row.
#[derive(Debug, Default)]
pub(super) struct Draft {
    trace: [u8; 16],
    row: Option<Row>,
    attributes: Vec<u32>,
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

/// What writing needs beside the segment.
pub(super) struct Tools<'a> {
    pub(super) blocks: &'a mut Blocks,
    pub(super) hasher: &'a RandomState,
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
    attributes: Column<u32>,
    heap: Column<u8>,
    /// Attributes, each an encoded `KeyValue`.
    entries: Dictionary,
    /// The key of each entry, a text.
    keys: Column<u32>,
    texts: Dictionary,
    /// The attribute that came first in the last span of each kind; then, for each attribute, the
    /// one that followed it last. Only while the segment is written.
    followers: Vec<Follower>,
    /// The kept fields of the last span: a text.
    last_rest: u32,
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
            attributes: Column::new(blocks),
            heap: Column::new(blocks),
            entries: Dictionary::new(blocks),
            keys: Column::new(blocks),
            texts: Dictionary::new(blocks),
            followers: vec![Follower::NONE; KINDS],
            last_rest: NOTHING,
            sources: Vec::new(),
            source_table: HashTable::new(),
            resource_entries: Vec::new(),
            resource_entries_bytes: 0,
        }
    }

    /// The number of a source here.
    pub(super) fn source(&mut self, bytes: &SourceBytes<'_>, tools: &mut Tools<'_>) -> u16 {
        let mut text = |bytes: &[u8]| self.text_number(bytes, tools);
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
                entries.push(self.entry(pair, NOTHING, tools));
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

    fn text_number(&mut self, text: &[u8], tools: &mut Tools<'_>) -> u32 {
        let (heap, blocks) = (&mut self.heap, &mut *tools.blocks);
        self.texts.intern(text, heap, blocks, tools.hasher).0
    }

    /// The number of an attribute by its hash. What followed `guessed` follows a new one, too: it
    /// stands where that one stood.
    fn entry(&mut self, pair: &[u8], guessed: u32, tools: &mut Tools<'_>) -> u32 {
        let (heap, blocks) = (&mut self.heap, &mut *tools.blocks);
        let (number, is_new) = self.entries.intern(pair, heap, blocks, tools.hasher);
        if is_new {
            let key = self.text_number(pair_key(pair), tools);
            self.keys.push(key, tools.blocks);
            let follower = self.followers.get(after(guessed)).copied();
            self.followers.push(follower.unwrap_or(Follower::NONE));
        }
        number
    }

    /// The number of an attribute that stands behind another; `place` is where it is written down
    /// what stands there.
    #[inline]
    fn entry_at(&mut self, place: usize, pair: &[u8], tools: &mut Tools<'_>) -> u32 {
        let guess = self.followers.get(place).copied();
        let guess = guess.unwrap_or(Follower::NONE);
        let Place { at, length } = guess.place;
        if length as usize == pair.len() && self.heap.slice(at, length) == pair {
            return guess.entry;
        }
        let entry = self.entry(pair, guess.entry, tools);
        if let (Some(follower), Some(place)) =
            (self.followers.get_mut(place), self.entries.place(entry))
        {
            *follower = Follower { entry, place };
        }
        entry
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
        draft.rest.clear();
        draft.attributes.clear();
        draft.row = None;
        draft.trace = [0; 16];
        let mut row = Row::of_source(source);
        let mut end = 0;
        let mut name: &[u8] = &[];
        let mut place = None;
        let mut fields = Fields::of(span);
        loop {
            let pair = if let Some(pair) = fields.next_if_short(ATTRIBUTE) {
                pair
            } else {
                let Some(field) = fields.next() else { break };
                match (field.number, field.content) {
                    (9, Content::Bytes(pair)) => pair,
                    (5, Content::Bytes(bytes)) => {
                        name = bytes;
                        continue;
                    }
                    (8, Content::Fixed64(nanos)) => {
                        end = nanos;
                        continue;
                    }
                    _ => {
                        read_field(&field, &mut row, draft);
                        continue;
                    }
                }
            };
            let first = usize::from(row.kind_and_status & 0xf);
            let entry = self.entry_at(place.unwrap_or(first), pair, tools);
            place = Some(after(entry));
            draft.attributes.push(entry);
        }
        if fields.is_broken || draft.trace == [0; 16] || row.id == 0 {
            return false;
        }
        row.duration = end.saturating_sub(row.start);
        row.name = self.text_number(name, tools);
        draft.row = Some(row);
        true
    }

    /// Keeps what was drafted; the number of its row.
    pub(super) fn keep(
        &mut self,
        draft: &mut Draft,
        trace: u32,
        previous: SpanRef,
        tools: &mut Tools<'_>,
    ) -> u32 {
        let Some(mut row) = draft.row.take() else {
            return NOTHING;
        };
        let is_same = self.last_rest != NOTHING && self.text(self.last_rest) == draft.rest;
        if !is_same {
            self.last_rest = self.text_number(&draft.rest, tools);
        }
        row.rest = self.last_rest;
        row.trace = trace;
        row.previous = previous;
        row.attributes = self.attributes.append(&draft.attributes, tools.blocks);
        row.attributes_count = u32::try_from(draft.attributes.len()).unwrap_or(0);
        self.rows.push(row, tools.blocks)
    }

    /// Nothing more will be written. The tables that only writing needs go to `next`, each unless
    /// it is more than `room_max` bytes.
    pub(super) fn close(&mut self, next: &mut Self, room_max: usize) {
        self.entries.close(&mut next.entries, room_max);
        self.texts.close(&mut next.texts, room_max);
        let mut followers = std::mem::take(&mut self.followers);
        if followers.capacity() * size_of::<Follower>() <= room_max {
            followers.clear();
            followers.resize(KINDS, Follower::NONE);
            next.followers = followers;
        }
        self.sources.shrink_to_fit();
        self.source_table = HashTable::new();
        self.resource_entries.shrink_to_fit();
    }

    /// Whether the next span belongs into another one: it has `bytes_max`, or no room for sources.
    #[inline]
    pub(super) fn is_full(&self, bytes_max: usize) -> bool {
        let filled = self.rows.bytes()
            + self.attributes.bytes()
            + self.heap.bytes()
            + self.entries.bytes_in_blocks()
            + self.keys.bytes()
            + self.texts.bytes_in_blocks();
        filled >= bytes_max || self.sources.len() >= SOURCES_MAX
    }

    /// Bytes of memory beside blocks.
    pub(super) fn beside_blocks(&self) -> usize {
        size_of::<Self>()
            + self.entries.beside_blocks()
            + self.texts.beside_blocks()
            + self.followers.capacity() * size_of::<Follower>()
            + self.sources.capacity() * size_of::<Source>()
            + self.source_table.allocation_size()
            + self.resource_entries.capacity() * size_of::<Vec<u32>>()
            + self.resource_entries_bytes
    }

    /// Gives its blocks back.
    pub(super) fn give_back(self, blocks: &mut Blocks) {
        self.rows.give_back(blocks);
        self.attributes.give_back(blocks);
        self.heap.give_back(blocks);
        self.entries.give_back(blocks);
        self.keys.give_back(blocks);
        self.texts.give_back(blocks);
    }

    // --- Reading ---------------------------------------------------------------------------------

    pub(super) const fn rows(&self) -> &Column<Row> {
        &self.rows
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
        self.text(row.rest)
    }

    /// An attribute, an encoded `KeyValue`.
    pub(super) fn pair(&self, entry: u32) -> &[u8] {
        self.entries.bytes(&self.heap, entry)
    }

    /// The key of each attribute, a text.
    pub(super) const fn keys(&self) -> &Column<u32> {
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

/// Where it is written down what follows an attribute.
#[inline]
const fn after(entry: u32) -> usize {
    KINDS + entry as usize
}

/// A field of a span that is neither its name, nor its end, nor an attribute.
fn read_field(field: &Field<'_>, row: &mut Row, draft: &mut Draft) {
    match (field.number, field.content) {
        (1, Content::Bytes(id)) => draft.trace = id.try_into().unwrap_or_default(),
        (2, Content::Bytes(id)) => row.id = number(id),
        (4, Content::Bytes(id)) => row.parent = number(id),
        (6, Content::Varint(kind)) => {
            row.kind_and_status |= u8::try_from(kind).map_or(0, |kind| kind.min(15));
        }
        (7, Content::Fixed64(nanos)) => row.start = nanos,
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
