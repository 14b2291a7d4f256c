//! Memory in blocks of one size, so that what comes takes the place of what left.
//!
//! Vectors that grow, are copied and are freed leave holes, and pages that the kernel clears again
//! and again; and an allocator keeps what one thread freed of another's. Blocks are made until the
//! bound is reached, and from then on only change hands.

use super::dictionary::Place;
use super::index::TraceRow;
use super::segment::Row;
use std::collections::VecDeque;
use std::ops::Range;

/// Least and most bytes of a block: powers of two.
const BLOCK_BYTES: (usize, usize) = (1 << 10, 32 << 10);

/// How many blocks a segment should have at least: of each of its parts the last stands half empty.
const BLOCKS_IN_A_SEGMENT: usize = 64;

/// What stands in blocks. Its size is a power of two.
pub(super) trait InBlocks: Copy {
    /// Blocks of its kind that nobody uses.
    fn unused(blocks: &mut Blocks) -> &mut Vec<Vec<Self>>;
}

/// All blocks of a store: how many there are, and those that nobody uses.
#[derive(Debug)]
pub(super) struct Blocks {
    block_bytes: usize,
    made: usize,
    unused: usize,
    rows: Vec<Vec<Row>>,
    traces: Vec<Vec<TraceRow>>,
    places: Vec<Vec<Place>>,
    numbers: Vec<Vec<u32>>,
    bytes: Vec<Vec<u8>>,
}

impl Blocks {
    /// For segments of that many bytes.
    pub(super) fn for_segments_of(bytes: usize) -> Self {
        Self {
            block_bytes: block_bytes(bytes),
            made: 0,
            unused: 0,
            rows: Vec::new(),
            traces: Vec::new(),
            places: Vec::new(),
            numbers: Vec::new(),
            bytes: Vec::new(),
        }
    }

    /// From here on for segments of that many bytes. What is in use stays as it is.
    pub(super) fn resize(&mut self, segment_bytes: usize) {
        self.trim(0);
        self.block_bytes = block_bytes(segment_bytes);
    }

    /// Bytes of all blocks.
    pub(super) const fn made(&self) -> usize {
        self.made
    }

    /// Bytes of the blocks that are in use.
    #[inline]
    pub(super) const fn used(&self) -> usize {
        self.made - self.unused
    }

    /// Frees blocks that nobody uses, until all together have no more than `bytes`.
    pub(super) fn trim(&mut self, bytes: usize) {
        self.trim_of::<Row>(bytes);
        self.trim_of::<u8>(bytes);
        self.trim_of::<u32>(bytes);
        self.trim_of::<Place>(bytes);
        self.trim_of::<TraceRow>(bytes);
    }

    fn trim_of<T: InBlocks>(&mut self, bytes: usize) {
        while self.made > bytes
            && let Some(block) = T::unused(self).pop()
        {
            let size = size_of_block(&block);
            self.made -= size;
            self.unused -= size;
        }
    }

    /// Of how many a block has room, as a power of two.
    fn shift<T>(&self) -> u32 {
        (self.block_bytes / size_of::<T>()).max(1).ilog2()
    }

    /// An empty block with room for `least` or more.
    #[cold]
    fn take<T: InBlocks>(&mut self, least: usize) -> Vec<T> {
        let room = 1 << self.shift::<T>();
        if least <= room
            && let Some(block) = T::unused(self).pop()
        {
            self.unused -= size_of_block(&block);
            return block;
        }
        let block = Vec::with_capacity(least.max(room));
        self.made += size_of_block(&block);
        block
    }

    /// Takes back a block. One of another size, which a single large thing needed, is freed.
    fn give_back<T: InBlocks>(&mut self, mut block: Vec<T>) {
        let size = size_of_block(&block);
        if block.capacity() == 1 << self.shift::<T>() {
            block.clear();
            T::unused(self).push(block);
            self.unused += size;
        } else {
            self.made -= size;
        }
    }
}

fn block_bytes(segment_bytes: usize) -> usize {
    let (least, most) = BLOCK_BYTES;
    let share = (segment_bytes / BLOCKS_IN_A_SEGMENT).clamp(least, most);
    1 << share.ilog2()
}

/// With its place in the list of blocks.
fn size_of_block<T>(block: &Vec<T>) -> usize {
    block.capacity() * size_of::<T>() + size_of::<Vec<T>>()
}

impl InBlocks for Row {
    fn unused(blocks: &mut Blocks) -> &mut Vec<Vec<Self>> {
        &mut blocks.rows
    }
}

impl InBlocks for TraceRow {
    fn unused(blocks: &mut Blocks) -> &mut Vec<Vec<Self>> {
        &mut blocks.traces
    }
}

impl InBlocks for Place {
    fn unused(blocks: &mut Blocks) -> &mut Vec<Vec<Self>> {
        &mut blocks.places
    }
}

impl InBlocks for u32 {
    fn unused(blocks: &mut Blocks) -> &mut Vec<Vec<Self>> {
        &mut blocks.numbers
    }
}

impl InBlocks for u8 {
    fn unused(blocks: &mut Blocks) -> &mut Vec<Vec<Self>> {
        &mut blocks.bytes
    }
}

/// Things that are only ever added. What was added together stands in one block.
#[derive(Debug)]
pub(super) struct Column<T> {
    blocks: Vec<Vec<T>>,
    shift: u32,
    bytes: usize,
}

impl<T: InBlocks> Column<T> {
    pub(super) fn new(blocks: &Blocks) -> Self {
        Self {
            blocks: Vec::new(),
            shift: blocks.shift::<T>(),
            bytes: 0,
        }
    }

    /// Adds one, and tells its number. Numbers follow each other if nothing is added otherwise.
    #[inline]
    pub(super) fn push(&mut self, one: T, blocks: &mut Blocks) -> u32 {
        self.append(std::slice::from_ref(&one), blocks)
    }

    /// Adds some, and tells the number of the first of them.
    #[inline]
    pub(super) fn append(&mut self, some: &[T], blocks: &mut Blocks) -> u32 {
        let room = 1_usize << self.shift;
        let left = self.blocks.last().map(|last| room.checked_sub(last.len()));
        if left.flatten().is_none_or(|left| left < some.len()) {
            let block = blocks.take(some.len());
            self.bytes += size_of_block(&block);
            self.blocks.push(block);
        }
        let before = self.blocks.len() - 1;
        let Some(last) = self.blocks.last_mut() else {
            return u32::MAX;
        };
        let number = (before << self.shift) + last.len();
        last.extend_from_slice(some);
        u32::try_from(number).unwrap_or(u32::MAX)
    }

    /// The one of that number.
    #[inline]
    pub(super) fn get(&self, number: usize) -> Option<&T> {
        let block = self.blocks.get(number >> self.shift)?;
        block.get(number & ((1 << self.shift) - 1))
    }

    /// Some that were added together.
    #[inline]
    pub(super) fn slice(&self, from: u32, count: u32) -> &[T] {
        let from = from as usize;
        let at = from & ((1 << self.shift) - 1);
        let block = self.blocks.get(from >> self.shift);
        let found = block.and_then(|block| block.get(at..at + count as usize));
        found.unwrap_or_default()
    }

    /// How many there are, if they were added one by one.
    pub(super) fn len(&self) -> usize {
        let before = self.blocks.len().saturating_sub(1) << self.shift;
        before + self.blocks.last().map_or(0, Vec::len)
    }

    /// All, in order.
    #[inline]
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.blocks.iter().flatten()
    }

    /// All, in order, in pieces.
    pub(super) fn blocks(&self) -> impl Iterator<Item = &[T]> {
        self.blocks.iter().map(Vec::as_slice)
    }

    /// All from that number on, if they were added one by one.
    pub(super) fn iter_from(&self, first: usize) -> impl Iterator<Item = &T> {
        let blocks = self.blocks.iter().skip(first >> self.shift);
        blocks.flatten().skip(first & ((1 << self.shift) - 1))
    }

    /// Bytes of its blocks.
    #[inline]
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Gives its blocks back.
    pub(super) fn give_back(self, blocks: &mut Blocks) {
        for block in self.blocks {
            blocks.give_back(block);
        }
    }
}

/// Things that come at one end and leave at the other.
#[derive(Debug)]
pub(super) struct Queue<T> {
    blocks: VecDeque<Vec<T>>,
    shift: u32,
    /// How many of the first block have left.
    gone: usize,
    len: usize,
}

impl<T: InBlocks> Queue<T> {
    pub(super) fn new(blocks: &Blocks) -> Self {
        Self {
            blocks: VecDeque::new(),
            shift: blocks.shift::<T>(),
            gone: 0,
            len: 0,
        }
    }

    pub(super) fn push_back(&mut self, one: T, blocks: &mut Blocks) {
        let room = 1_usize << self.shift;
        if self.blocks.back().is_none_or(|last| last.len() >= room) {
            self.blocks.push_back(blocks.take(1));
        }
        if let Some(last) = self.blocks.back_mut() {
            last.push(one);
            self.len += 1;
        }
    }

    pub(super) fn pop_front(&mut self, blocks: &mut Blocks) -> Option<T> {
        let first = self.get(0).copied()?;
        self.gone += 1;
        self.len -= 1;
        if self.gone == 1 << self.shift || self.len == 0 {
            self.gone = 0;
            if let Some(block) = self.blocks.pop_front() {
                blocks.give_back(block);
            }
        }
        Some(first)
    }

    /// The one at that place, from the front.
    #[inline]
    pub(super) fn get(&self, at: usize) -> Option<&T> {
        let at = at.checked_add(self.gone)?;
        let block = self.blocks.get(at >> self.shift)?;
        block.get(at & ((1 << self.shift) - 1))
    }

    #[inline]
    pub(super) fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        let at = at.checked_add(self.gone)?;
        let block = self.blocks.get_mut(at >> self.shift)?;
        block.get_mut(at & ((1 << self.shift) - 1))
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// All, in order.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.range(0..self.len)
    }

    /// Those at these places, in order.
    pub(super) fn range(&self, part: Range<usize>) -> impl DoubleEndedIterator<Item = &T> {
        part.filter_map(|at| self.get(at))
    }

    /// The same in blocks of the size that is made now.
    pub(super) fn rebuilt(mut self, blocks: &mut Blocks) -> Self {
        let mut new = Self::new(blocks);
        while let Some(one) = self.pop_front(blocks) {
            new.push_back(one, blocks);
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Blocks of a kibibyte.
    fn blocks() -> Blocks {
        Blocks::for_segments_of(0)
    }

    #[test]
    fn what_left_makes_room_for_what_comes() {
        let mut blocks = blocks();
        let mut made = 0;
        for round in 0..3 {
            let mut column = Column::<u32>::new(&blocks);
            for number in 0..1000 {
                assert_eq!(column.push(number, &mut blocks), number);
            }
            assert_eq!(column.len(), 1000);
            assert_eq!(column.get(999), Some(&999));
            assert_eq!(column.bytes(), blocks.used());
            let rest: Vec<u32> = column.iter_from(300).copied().collect();
            assert_eq!(rest, (300..1000).collect::<Vec<_>>());
            if round == 0 {
                made = blocks.made();
            }
            assert_eq!(blocks.made(), made, "round {round}");
            column.give_back(&mut blocks);
            assert_eq!(blocks.used(), 0);
        }
        blocks.trim(made - 1);
        assert!(blocks.made() < made && blocks.made() > 0, "one is enough");
        blocks.trim(0);
        assert_eq!(blocks.made(), 0);
    }

    #[test]
    fn what_is_larger_than_a_block_has_one_of_its_own_that_is_freed_afterwards() {
        let mut blocks = blocks();
        let mut column = Column::<u8>::new(&blocks);
        for length in [1023, 1024, 1025, 0, 5000, 7] {
            let some = vec![length as u8; length];
            let at = column.append(&some, &mut blocks);
            assert_eq!(column.slice(at, length as u32), some, "{length}");
        }
        column.give_back(&mut blocks);
        blocks.trim(blocks.made());
        assert_eq!(blocks.made() % (1024 + size_of::<Vec<u8>>()), 0);
    }

    #[test]
    fn blocks_of_another_size_are_not_used_again() {
        let mut blocks = blocks();
        let mut column = Column::<u8>::new(&blocks);
        column.push(1, &mut blocks);
        blocks.resize(1 << 20);
        let mut larger = Column::<u8>::new(&blocks);
        larger.push(1, &mut blocks);

        column.give_back(&mut blocks);
        larger.give_back(&mut blocks);

        assert_eq!((blocks.used(), blocks.bytes.len()), (0, 1));
        assert_eq!(blocks.made(), (16 << 10) + size_of::<Vec<u8>>());
    }

    proptest! {
        #[test]
        fn a_column_keeps_what_was_added_together_together(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..1500), 0..30)
        ) {
            let mut blocks = blocks();
            let mut column = Column::new(&blocks);
            let at: Vec<u32> =
                pieces.iter().map(|piece| column.append(piece, &mut blocks)).collect();
            for (piece, at) in pieces.iter().zip(at) {
                prop_assert_eq!(column.slice(at, piece.len() as u32), piece.as_slice());
            }
            let all: Vec<u8> = column.iter().copied().collect();
            prop_assert_eq!(all, pieces.concat());
        }

        #[test]
        fn a_queue_is_a_queue(steps in prop::collection::vec(any::<Option<u32>>(), 0..2000)) {
            let mut blocks = blocks();
            let (mut queue, mut model) = (Queue::new(&blocks), VecDeque::new());
            for step in steps {
                if let Some(number) = step {
                    queue.push_back(number, &mut blocks);
                    model.push_back(number);
                } else {
                    prop_assert_eq!(queue.pop_front(&mut blocks), model.pop_front());
                }
                prop_assert_eq!(queue.len(), model.len());
                prop_assert_eq!(queue.get(0), model.front());
                prop_assert_eq!(queue.get(model.len()), None);
            }
            let all: Vec<u32> = queue.iter().rev().copied().collect();
            prop_assert_eq!(&all, &model.iter().rev().copied().collect::<Vec<_>>());
            blocks.resize(1 << 20);
            let rebuilt: Vec<u32> = queue.rebuilt(&mut blocks).iter().copied().collect();
            prop_assert_eq!(rebuilt, Vec::from(model));
        }
    }
}
