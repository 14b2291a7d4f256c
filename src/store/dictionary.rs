//! Byte strings that a segment holds once, however often they come.

use super::blocks::{Blocks, Column};
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::hash::BuildHasher as _;

/// Where a byte string lies in the segment's heap.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) at: u32,
    pub(super) length: u32,
}

/// Byte strings by number. The table by which they are found again exists only while the segment
/// is written.
#[derive(Debug)]
pub(super) struct Dictionary {
    places: Column<Place>,
    table: HashTable<u32>,
}

impl Dictionary {
    pub(super) fn new(blocks: &Blocks) -> Self {
        Self {
            places: Column::new(blocks),
            table: HashTable::new(),
        }
    }

    /// The number of `bytes`, and whether they are new. New ones are appended to `heap`.
    pub(super) fn intern(
        &mut self,
        bytes: &[u8],
        heap: &mut Column<u8>,
        blocks: &mut Blocks,
        hasher: &RandomState,
    ) -> (u32, bool) {
        let hash = hasher.hash_one(bytes);
        let places = &self.places;
        let same = |number: &u32| bytes_of(places, heap, *number) == bytes;
        if let Some(found) = self.table.find(hash, same) {
            return (*found, false);
        }
        let place = Place {
            at: heap.append(bytes, blocks),
            length: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
        };
        let number = self.places.push(place, blocks);
        let (places, heap) = (&self.places, &*heap);
        self.table.insert_unique(hash, number, |other| {
            hasher.hash_one(bytes_of(places, heap, *other))
        });
        (number, true)
    }

    /// The byte string of a number.
    #[inline]
    pub(super) fn bytes<'a>(&self, heap: &'a Column<u8>, number: u32) -> &'a [u8] {
        bytes_of(&self.places, heap, number)
    }

    /// Where the byte string of a number lies.
    pub(super) fn place(&self, number: u32) -> Option<Place> {
        self.places.get(number as usize).copied()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// The number of `bytes`, looked for one by one: works without the table, too.
    pub(super) fn find(&self, heap: &Column<u8>, bytes: &[u8]) -> Option<u32> {
        let fits = |place: &Place| place.length as usize == bytes.len();
        let mut all = self.places.iter().enumerate();
        let found =
            all.find(|(_, place)| fits(place) && heap.slice(place.at, place.length) == bytes);
        found.and_then(|(number, _)| u32::try_from(number).ok())
    }

    /// Nothing more will be added; the table goes to `next`, if it has not more than `room_max`
    /// bytes. So it grows once and not for each segment.
    pub(super) fn close(&mut self, next: &mut Self, room_max: usize) {
        let mut table = std::mem::take(&mut self.table);
        if table.allocation_size() <= room_max {
            table.clear();
            next.table = table;
        }
    }

    /// Bytes of its blocks.
    #[inline]
    pub(super) const fn bytes_in_blocks(&self) -> usize {
        self.places.bytes()
    }

    /// Bytes of memory beside blocks.
    pub(super) fn beside_blocks(&self) -> usize {
        self.table.allocation_size()
    }

    /// Gives its blocks back.
    pub(super) fn give_back(self, blocks: &mut Blocks) {
        self.places.give_back(blocks);
    }
}

#[inline]
fn bytes_of<'a>(places: &Column<Place>, heap: &'a Column<u8>, number: u32) -> &'a [u8] {
    let place = places.get(number as usize);
    place.map_or(&[], |place| heap.slice(place.at, place.length))
}
