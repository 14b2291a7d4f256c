//! Fresh trace and span ids.
//!
//! They are no secrets, so a fast generator serves; but two processes must never walk the same
//! sequence. fastrand seeds itself from the clock and the thread's number, which pods that start
//! together share. So each thread has two generators of its own, seeded with 128 bits that the
//! operating system drew.

use fastrand::Rng;
use opentelemetry::trace::{SpanId, TraceId};
use std::cell::RefCell;
use std::hash::{BuildHasher as _, RandomState};

thread_local! {
    static GENERATORS: RefCell<[Rng; 2]> = RefCell::new(seeded());
}

/// Two generators with seeds from the operating system: the keys of [`RandomState`] are drawn
/// there once for each thread, and its hash of different inputs under them is unpredictable.
fn seeded() -> [Rng; 2] {
    let keys = RandomState::new();
    [
        Rng::with_seed(keys.hash_one(0_u8)),
        Rng::with_seed(keys.hash_one(1_u8)),
    ]
}

fn draw() -> [u64; 2] {
    GENERATORS.with_borrow_mut(|[high, low]| [high.u64(..), low.u64(..)])
}

/// A new trace id, random in all 128 bits (W3C Trace Context level 2 asks for the last 56, and
/// for the random flag beside it). Never zero.
pub fn trace_id() -> TraceId {
    loop {
        let [high, low] = draw();
        // An id whose last half is zero is valid, but B3 peers with 64-bit ids would lose it.
        if low != 0 {
            return TraceId::from((u128::from(high) << 64) | u128::from(low));
        }
    }
}

/// A new span id, random in all 64 bits. Never zero.
pub fn span_id() -> SpanId {
    loop {
        let [_, low] = draw();
        if low != 0 {
            return SpanId::from(low);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_are_valid_and_do_not_repeat_on_several_threads() {
        let on_one_thread = || {
            let traces: Vec<TraceId> = (0..5_000).map(|_| trace_id()).collect();
            let spans: Vec<SpanId> = (0..5_000).map(|_| span_id()).collect();
            (traces, spans)
        };

        let drawn: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(on_one_thread)).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });

        let traces: HashSet<TraceId> = drawn
            .iter()
            .flat_map(|(traces, _)| traces)
            .copied()
            .collect();
        let spans: HashSet<SpanId> = drawn.iter().flat_map(|(_, spans)| spans).copied().collect();
        assert_eq!((traces.len(), spans.len()), (20_000, 20_000));
        assert!(!traces.contains(&TraceId::INVALID) && !spans.contains(&SpanId::INVALID));
    }

    #[test]
    fn every_bit_of_a_trace_id_is_random() {
        let (ones, zeros) = (0..200)
            .map(|_| trace_id().to_bytes())
            .map(u128::from_be_bytes)
            .fold((0, 0), |(ones, zeros), id| (ones | id, zeros | !id));

        assert_eq!((ones, zeros), (u128::MAX, u128::MAX));
    }
}
