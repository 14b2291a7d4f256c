//! Where a request leaves its spans: bytes appended under a short lock.
//!
//! They are sorted in by a thread of the store when a few chunks are full, or when somebody asks for
//! something before that, so that what was accepted is found at once.

use std::collections::VecDeque;

/// Bytes of a chunk. A few of them go round, and should stay in the processor's nearer memory.
const CHUNK: usize = 64 << 10;

/// Most chunks kept for later. Memory that is freed and taken again has to be cleared every time.
const SPARE_MAX: usize = 16;

/// Least and most bytes that may wait; between them it is an eighth of the bound.
const WAITING: (usize, usize) = (1 << 20, 16 << 20);

/// Most full chunks that wait before the store's thread is woken. It takes the core of a request and
/// finds the nearer memory full of others' things, so it shall have something to do.
const FULL_MAX: usize = 8;

/// The part of what may wait at which it is woken, if that is less.
const FULL_SHARE: usize = 16;

/// Bytes before each accepted record: whose spans they are, how many, and their length.
const HEAD: usize = 12;

/// What became of accepted spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Accepted {
    /// They wait.
    Waiting,
    /// They wait, and so do several chunks: time to sort in.
    Full,
    /// Too much waits: they are not kept.
    Refused,
}

/// The inbox.
#[derive(Debug)]
pub(super) struct Inbox {
    full: VecDeque<Vec<u8>>,
    open: Vec<u8>,
    spare: Vec<Vec<u8>>,
    waiting: usize,
    waiting_max: usize,
    /// Spans that were not kept because too many waited.
    pub(super) refused_spans: u64,
}

impl Inbox {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            full: VecDeque::new(),
            open: Vec::new(),
            spare: Vec::new(),
            waiting: 0,
            waiting_max: waiting_max(bytes_max),
            refused_spans: 0,
        }
    }

    /// Another bound of the store.
    pub(super) fn resize(&mut self, bytes_max: usize) {
        self.waiting_max = waiting_max(bytes_max);
    }

    /// Takes `count` spans of the resource `own`.
    #[inline]
    pub(super) fn push(&mut self, own: u32, count: u32, records: &[u8]) -> Accepted {
        let need = HEAD + records.len();
        let Ok(length) = u32::try_from(records.len()) else {
            return self.refuse(count);
        };
        if self.waiting + need > self.waiting_max {
            return self.refuse(count);
        }
        let is_full = self.open.capacity() - self.open.len() < need;
        if is_full {
            self.next_chunk(need);
        }
        let [[a, b, c, d], [e, f, g, h], [i, j, k, l]] = [own, count, length].map(u32::to_le_bytes);
        self.open
            .extend_from_slice(&[a, b, c, d, e, f, g, h, i, j, k, l]);
        self.open.extend_from_slice(records);
        self.waiting += need;
        if is_full && self.full.len() >= self.full_max() {
            Accepted::Full
        } else {
            Accepted::Waiting
        }
    }

    /// How many full chunks are enough to wake the store's thread.
    fn full_max(&self) -> usize {
        (self.waiting_max / FULL_SHARE / CHUNK).clamp(1, FULL_MAX)
    }

    #[cold]
    fn refuse(&mut self, count: u32) -> Accepted {
        self.refused_spans += u64::from(count);
        Accepted::Refused
    }

    #[cold]
    fn next_chunk(&mut self, need: usize) {
        let spare = self.spare.pop().filter(|spare| spare.capacity() >= need);
        let next = spare.unwrap_or_else(|| Vec::with_capacity(need.max(CHUNK)));
        let full = std::mem::replace(&mut self.open, next);
        if !full.is_empty() {
            self.full.push_back(full);
        }
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// The chunk that came first; the last one may not be full.
    pub(super) fn pop(&mut self) -> Option<Vec<u8>> {
        let chunk = match self.full.pop_front() {
            Some(chunk) => chunk,
            None if self.open.is_empty() => return None,
            None => std::mem::replace(&mut self.open, self.spare.pop().unwrap_or_default()),
        };
        self.waiting -= chunk.len();
        Some(chunk)
    }

    /// Takes a chunk back that was read.
    pub(super) fn give_back(&mut self, mut chunk: Vec<u8>) {
        if self.spare.len() < SPARE_MAX && (CHUNK..=2 * CHUNK).contains(&chunk.capacity()) {
            chunk.clear();
            self.spare.push(chunk);
        }
    }
}

fn waiting_max(bytes_max: usize) -> usize {
    let (least, most) = WAITING;
    (bytes_max / 8).clamp(least, most)
}

/// The records of a chunk: whose spans, how many, and the spans.
pub(super) fn records(chunk: &[u8]) -> impl Iterator<Item = (u32, u32, &[u8])> {
    let mut rest = chunk;
    std::iter::from_fn(move || {
        let (head, tail) = rest.split_first_chunk::<HEAD>()?;
        let [a, b, c, d, e, f, g, h, i, j, k, l] = *head;
        let length = u32::from_le_bytes([i, j, k, l]) as usize;
        let (records, tail) = tail.split_at_checked(length)?;
        rest = tail;
        let own = u32::from_le_bytes([a, b, c, d]);
        Some((own, u32::from_le_bytes([e, f, g, h]), records))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_comes_out_in_the_order_in_which_it_came() {
        let mut inbox = Inbox::new(64 << 20);
        let mut full = 0;
        for number in 0..1000_u32 {
            let accepted = inbox.push(number, 1, &vec![number as u8; 1000]);
            full += u32::from(accepted == Accepted::Full);
        }

        let mut seen = Vec::new();
        while let Some(chunk) = inbox.pop() {
            for (own, count, bytes) in records(&chunk) {
                assert_eq!((count, bytes), (1, vec![own as u8; 1000].as_slice()));
                seen.push(own);
            }
            inbox.give_back(chunk);
        }

        assert_eq!(seen, (0..1000).collect::<Vec<_>>());
        assert_eq!((full, inbox.waiting), (15 - 7, 0));
    }

    #[test]
    fn a_small_store_sorts_in_when_a_small_part_of_what_may_wait_does() {
        for (bytes_max, chunks) in [(1 << 20, 1), (16 << 20, 2), (64 << 20, 8), (1 << 30, 8)] {
            let mut inbox = Inbox::new(bytes_max);
            let some = vec![0; CHUNK / 4 - HEAD];
            let pushed = (1..).find(|_| inbox.push(0, 1, &some) == Accepted::Full);
            assert_eq!(pushed, Some(4 * chunks + 1), "{bytes_max}");
        }
    }

    #[test]
    fn at_the_bound_spans_are_counted_and_not_kept() {
        let mut inbox = Inbox::new(0);
        let half = vec![0; (1 << 19) - HEAD];

        assert_ne!(inbox.push(0, 1, &half), Accepted::Refused);
        assert_ne!(
            inbox.push(0, 2, &half),
            Accepted::Refused,
            "exactly at the bound"
        );
        assert_eq!(inbox.push(0, 3, &[]), Accepted::Refused, "one over");
        assert_eq!(inbox.refused_spans, 3);
        inbox.pop();
        assert_ne!(
            inbox.push(0, 4, &half),
            Accepted::Refused,
            "there is room again"
        );
    }
}
