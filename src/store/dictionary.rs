//! Byte strings that a segment holds once, however often they come: attributes and texts.

use super::blocks::{Blocks, Column};
use super::wire::pair_key;
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::hash::BuildHasher as _;

/// What writing needs beside the segment.
pub(super) struct Tools<'a> {
    pub(super) blocks: &'a mut Blocks,
    pub(super) hasher: &'a RandomState,
}

/// All byte strings of a segment.
#[derive(Debug)]
pub(super) struct Words {
    heap: Column<u8>,
    /// Attributes, each an encoded `KeyValue`.
    entries: Dictionary,
    /// The key of each entry, a text.
    keys: Column<u32>,
    texts: Dictionary,
}

impl Words {
    pub(super) fn new(blocks: &Blocks) -> Self {
        Self {
            heap: Column::new(blocks),
            entries: Dictionary::new(blocks),
            keys: Column::new(blocks),
            texts: Dictionary::new(blocks),
        }
    }

    /// The number of a text.
    pub(super) fn text_number(&mut self, text: &[u8], tools: &mut Tools<'_>) -> u32 {
        self.texts.intern(text, &mut self.heap, tools).0
    }

    /// The number of an attribute. It is faster with the number of one that has the same key.
    pub(super) fn entry(&mut self, pair: &[u8], alike: Option<u32>, tools: &mut Tools<'_>) -> u32 {
        let heap = &mut self.heap;
        let (number, is_new) = if ends_in_a_float(pair) {
            // Measured, so hardly ever the same again: it is not worth a place in the table.
            (self.entries.add(pair, heap, tools), true)
        } else {
            self.entries.intern(pair, heap, tools)
        };
        if is_new {
            let key = alike.and_then(|alike| self.keys.get(alike as usize).copied());
            let key = key.unwrap_or_else(|| self.text_number(pair_key(pair), tools));
            self.keys.push(key, tools.blocks);
        }
        number
    }

    /// Nothing more will be added. The tables that only writing needs go to `next`, each unless it
    /// is more than `room_max` bytes: so they grow once and not for each segment.
    pub(super) fn close(&mut self, next: &mut Self, room_max: usize) {
        self.entries.close(&mut next.entries, room_max);
        self.texts.close(&mut next.texts, room_max);
    }

    /// Bytes of its blocks.
    #[inline]
    pub(super) const fn bytes_in_blocks(&self) -> usize {
        self.heap.bytes()
            + self.entries.bytes_in_blocks()
            + self.keys.bytes()
            + self.texts.bytes_in_blocks()
    }

    /// Bytes of memory beside blocks.
    pub(super) fn beside_blocks(&self) -> usize {
        self.entries.beside_blocks() + self.texts.beside_blocks()
    }

    /// Gives its blocks back.
    pub(super) fn give_back(self, blocks: &mut Blocks) {
        self.heap.give_back(blocks);
        self.entries.give_back(blocks);
        self.keys.give_back(blocks);
        self.texts.give_back(blocks);
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
}

/// Whether an encoded `KeyValue` ends like one whose value is a float.
fn ends_in_a_float(pair: &[u8]) -> bool {
    matches!(pair, [.., 0x12, 0x09, 0x21, _, _, _, _, _, _, _, _])
}

/// Where a byte string lies in the segment's heap.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    at: u32,
    length: u32,
}

/// Byte strings by number. The table by which they are found again exists only while the segment
/// is written.
#[derive(Debug)]
struct Dictionary {
    places: Column<Place>,
    table: HashTable<u32>,
}

impl Dictionary {
    fn new(blocks: &Blocks) -> Self {
        Self {
            places: Column::new(blocks),
            table: HashTable::new(),
        }
    }

    /// The number of `bytes`, and whether they are new. New ones are appended to `heap`.
    fn intern(
        &mut self,
        bytes: &[u8],
        heap: &mut Column<u8>,
        tools: &mut Tools<'_>,
    ) -> (u32, bool) {
        let hasher = tools.hasher;
        let hash = hasher.hash_one(bytes);
        let places = &self.places;
        let same = |number: &u32| bytes_of(places, heap, *number) == bytes;
        if let Some(found) = self.table.find(hash, same) {
            return (*found, false);
        }
        let number = self.add(bytes, heap, tools);
        let (places, heap) = (&self.places, &*heap);
        self.table.insert_unique(hash, number, |other| {
            hasher.hash_one(bytes_of(places, heap, *other))
        });
        (number, true)
    }

    /// Appends `bytes` as new ones, which will not be found again.
    fn add(&mut self, bytes: &[u8], heap: &mut Column<u8>, tools: &mut Tools<'_>) -> u32 {
        let place = Place {
            at: heap.append(bytes, tools.blocks),
            length: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
        };
        self.places.push(place, tools.blocks)
    }

    /// The byte string of a number.
    #[inline]
    fn bytes<'a>(&self, heap: &'a Column<u8>, number: u32) -> &'a [u8] {
        bytes_of(&self.places, heap, number)
    }

    /// How many there are.
    fn len(&self) -> usize {
        self.places.len()
    }

    /// The number of `bytes`, looked for one by one: works without the table, too.
    fn find(&self, heap: &Column<u8>, bytes: &[u8]) -> Option<u32> {
        let fits = |place: &Place| place.length as usize == bytes.len();
        let mut all = self.places.iter().enumerate();
        let found =
            all.find(|(_, place)| fits(place) && heap.slice(place.at, place.length) == bytes);
        found.and_then(|(number, _)| u32::try_from(number).ok())
    }

    /// Nothing more will be added; the table goes to `next`, if it has not more than `room_max`
    /// bytes.
    fn close(&mut self, next: &mut Self, room_max: usize) {
        let mut table = std::mem::take(&mut self.table);
        if table.allocation_size() <= room_max {
            table.clear();
            next.table = table;
        }
    }

    /// Bytes of its blocks.
    #[inline]
    const fn bytes_in_blocks(&self) -> usize {
        self.places.bytes()
    }

    /// Bytes of memory beside blocks.
    fn beside_blocks(&self) -> usize {
        self.table.allocation_size()
    }

    /// Gives its blocks back.
    fn give_back(self, blocks: &mut Blocks) {
        self.places.give_back(blocks);
    }
}

#[inline]
fn bytes_of<'a>(places: &Column<Place>, heap: &'a Column<u8>, number: u32) -> &'a [u8] {
    let place = places.get(number as usize);
    place.map_or(&[], |place| heap.slice(place.at, place.length))
}
