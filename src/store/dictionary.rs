//! Byte strings that a segment holds once, however often they come.

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::hash::BuildHasher as _;

/// Where a byte string lies in the segment's heap.
#[derive(Clone, Copy, Debug)]
struct Place {
    at: u32,
    length: u32,
}

/// Byte strings by number. The table by which they are found again exists only while the segment
/// is written.
#[derive(Debug, Default)]
pub(super) struct Dictionary {
    places: Vec<Place>,
    table: HashTable<u32>,
}

impl Dictionary {
    /// The number of `bytes`, and whether they are new. New ones are appended to `heap`.
    #[inline]
    pub(super) fn intern(
        &mut self,
        bytes: &[u8],
        heap: &mut Vec<u8>,
        hasher: &RandomState,
    ) -> (u32, bool) {
        let hash = hasher.hash_one(bytes);
        let places = &self.places;
        let same = |number: &u32| bytes_of(places, heap, *number) == bytes;
        if let Some(found) = self.table.find(hash, same) {
            return (*found, false);
        }
        let number = u32::try_from(self.places.len()).unwrap_or(u32::MAX);
        self.places.push(Place {
            at: u32::try_from(heap.len()).unwrap_or(u32::MAX),
            length: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
        });
        heap.extend_from_slice(bytes);
        let (places, heap) = (&self.places, &*heap);
        self.table.insert_unique(hash, number, |other| {
            hasher.hash_one(bytes_of(places, heap, *other))
        });
        (number, true)
    }

    /// The byte string of a number.
    #[inline]
    pub(super) fn bytes<'a>(&self, heap: &'a [u8], number: u32) -> &'a [u8] {
        bytes_of(&self.places, heap, number)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// The number of `bytes`, looked for one by one: works without the table, too.
    pub(super) fn find(&self, heap: &[u8], bytes: &[u8]) -> Option<u32> {
        let fits = |place: &Place| place.length as usize == bytes.len();
        let mut all = self.places.iter().enumerate();
        let found = all.find(|(_, place)| fits(place) && slice(heap, place) == bytes);
        found.and_then(|(number, _)| u32::try_from(number).ok())
    }

    /// Nothing more will be added; the room goes to `next`, as with [`hand_on`].
    pub(super) fn close(&mut self, next: &mut Self, room_max: usize) {
        hand_on(&mut self.places, &mut next.places, room_max);
        let mut table = std::mem::take(&mut self.table);
        if table.allocation_size() <= room_max {
            table.clear();
            next.table = table;
        }
    }

    /// Bytes of memory beside the heap.
    pub(super) fn memory(&self) -> usize {
        self.places.capacity() * size_of::<Place>() + self.table.allocation_size()
    }
}

/// Moves what `full` has into memory of just its size and gives `next` the room, if that is not
/// more than `room_max` bytes. Shrinking would free nothing: an allocator leaves a block where it is
/// that is more than half full.
pub(super) fn hand_on<T: Copy>(full: &mut Vec<T>, next: &mut Vec<T>, room_max: usize) {
    let exact = full.as_slice().to_vec();
    let mut room = std::mem::replace(full, exact);
    if room.capacity() * size_of::<T>() <= room_max {
        room.clear();
        *next = room;
    }
}

#[inline]
fn bytes_of<'a>(places: &[Place], heap: &'a [u8], number: u32) -> &'a [u8] {
    let place = places.get(number as usize);
    place.map_or(&[], |place| slice(heap, place))
}

#[inline]
fn slice<'a>(heap: &'a [u8], place: &Place) -> &'a [u8] {
    let at = place.at as usize;
    heap.get(at..at + place.length as usize).unwrap_or_default()
}
