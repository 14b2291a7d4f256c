//! What each attribute that a segment keeps answers.
//!
//! A comparison is answered once for each attribute with its key. The answers of a span are those
//! of its attributes together, so each attribute has a few bits, and a span's are or-ed: this
//! stays in the processor's nearest memory, and asks nothing that could be guessed wrong.

use super::compare::fits;
use super::patience::Patience;
use super::plan::Plan;
use crate::store::segment::Segment;
use crate::store::traceql::ast::{Compare, Field, Literal, Op};
use crate::store::wire::Raw;

/// Up to so many comparisons the bits have all answers; with more they only say that there is one.
const NARROW: usize = 8;

/// Keys that are compared at once.
const KEYS_AT_ONCE: usize = 32;

/// Bytes of values between two looks at the clock. A pattern may need a microsecond for each.
const BYTES_A_LOOK: usize = 4 << 10;

/// Comparisons that hold, and those that found their attribute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) holds: u64,
    pub(super) found: u64,
}

impl Answer {
    fn add(&mut self, other: Self) {
        self.holds |= other.holds;
        self.found |= other.found;
    }

    /// Those among `asked`.
    pub(super) const fn of(self, asked: u64) -> Self {
        Self {
            holds: self.holds & asked,
            found: self.found & asked,
        }
    }
}

/// The answers of all attributes of a segment.
#[derive(Debug, Default)]
pub(super) struct Entries {
    /// For each attribute; empty if none answers anything.
    narrow: Vec<u16>,
    /// The same where [`NARROW`] bits are not enough.
    wide: Vec<Answer>,
    /// Of all attributes together.
    pub(super) all: Answer,
}

impl Entries {
    pub(super) fn of(plan: &Plan, segment: &Segment, patience: &Patience) -> Self {
        let mut entries = Self::default();
        let asked = plan.of_span | plan.of_resource;
        let compares = plan.compares.iter().enumerate();
        let asked: Vec<(u32, usize, &Compare)> = compares
            .filter(|(number, _)| asked >> number & 1 == 1)
            .filter_map(|(number, compare)| match &compare.field {
                Field::Attribute(_, key) => Some((segment.find_text(key)?, number, compare)),
                Field::Intrinsic(_) => None,
            })
            .collect();
        if asked.is_empty() {
            return entries;
        }
        let is_wide = plan.compares.len() > NARROW;
        let mut first = 0;
        let mut looked = 0;
        for keys in segment.keys().blocks() {
            for some in keys.chunks(KEYS_AT_ONCE) {
                let has = |key: &u32| some.iter().fold(false, |has, one| has | (one == key));
                if asked.iter().any(|(key, ..)| has(key)) {
                    for (at, key) in some.iter().enumerate() {
                        let pair = || segment.pair(u32::try_from(first + at).unwrap_or(u32::MAX));
                        let answer = answer(&asked, *key, pair, &mut looked);
                        if looked > BYTES_A_LOOK {
                            looked = 0;
                            if patience.is_over() {
                                return entries;
                            }
                        }
                        entries.put(first + at, answer, segment.keys().len(), is_wide);
                    }
                }
                first += some.len();
            }
        }
        entries
    }

    fn put(&mut self, entry: usize, answer: Answer, count: usize, is_wide: bool) {
        if answer == Answer::default() {
            return;
        }
        if self.narrow.is_empty() {
            self.narrow.resize(count, 0);
            self.wide
                .resize(if is_wide { count } else { 0 }, Answer::default());
        }
        let bits = if is_wide {
            1
        } else {
            (answer.found as u16) << NARROW | answer.holds as u16
        };
        if let Some(place) = self.narrow.get_mut(entry) {
            *place = bits;
        }
        if let Some(place) = self.wide.get_mut(entry) {
            *place = answer;
        }
        self.all.add(answer);
    }

    /// Of these attributes together.
    #[inline]
    pub(super) fn together(&self, entries: &[u32]) -> Answer {
        if self.narrow.is_empty() {
            return Answer::default();
        }
        let bits = entries.iter().fold(0, |bits, entry| {
            bits | self.narrow.get(*entry as usize).copied().unwrap_or(0)
        });
        if bits == 0 || self.wide.is_empty() {
            return Answer {
                holds: u64::from(bits & ((1 << NARROW) - 1)),
                found: u64::from(bits >> NARROW),
            };
        }
        let mut all = Answer::default();
        for entry in entries {
            all.add(self.wide.get(*entry as usize).copied().unwrap_or_default());
        }
        all
    }
}

/// What the attribute `pair` with that key answers; adds the bytes that patterns are tried on.
fn answer<'a>(
    asked: &[(u32, usize, &Compare)],
    key: u32,
    pair: impl Fn() -> &'a [u8],
    looked: &mut usize,
) -> Answer {
    let mut answer = Answer::default();
    for (_, number, compare) in asked.iter().filter(|(asked, ..)| *asked == key) {
        let holds = if compare.with == Literal::Nil {
            compare.op == Op::NotEqual
        } else {
            let pair = pair();
            *looked += compare.pattern.as_ref().map_or(0, |_| pair.len());
            fits(compare, &Raw::of_pair(pair))
        };
        answer.holds |= u64::from(holds) << number;
        answer.found |= 1 << number;
    }
    answer
}
