//! Spans taken from the queue, on their way to a collector.
//!
//! A batch is a claim on the account: its spans are pending until it is settled, and settling
//! happens exactly once. A batch that is merely dropped, because its task was aborted, settles
//! itself as lost to the shutdown.

use super::account::DropReason;
use super::queue::SpanQueue;
use bytes::Bytes;
use std::sync::Arc;

/// The tag of `ScopeSpans.spans`: field 2, length-delimited.
const SPAN_TAG: u8 = 0x12;

/// Spans that have to be settled.
pub(super) struct Batch {
    records: Bytes,
    /// Zero once settled.
    spans: u32,
    queue: Arc<SpanQueue>,
}

impl Batch {
    /// Spans that `queue` holds and whose `records` it gave away.
    pub(super) const fn claim(records: Bytes, spans: u32, queue: Arc<SpanQueue>) -> Self {
        Self {
            records,
            spans,
            queue,
        }
    }

    /// Concatenated field-2 records of `ScopeSpans`.
    pub(super) const fn records(&self) -> &Bytes {
        &self.records
    }

    /// How many spans it holds.
    pub(super) const fn spans(&self) -> u32 {
        self.spans
    }

    /// The collector answered: all but `rejected` spans have arrived.
    pub(super) fn answered(mut self, rejected: u64) {
        let spans = self.leave();
        self.queue.account().settle_answered(spans, rejected);
    }

    /// Gives the spans up.
    pub(super) fn give_up(mut self, reason: DropReason) {
        let spans = self.leave();
        self.queue.account().settle_dropped(spans, reason);
    }

    /// Two batches of half the spans each.
    ///
    /// # Errors
    /// The batch itself, if it is one span or its records cannot be told apart.
    pub(super) fn halves(mut self) -> Result<(Self, Self), Self> {
        let first_spans = self.spans / 2;
        let Some(middle) = offset_after(&self.records, first_spans) else {
            return Err(self);
        };
        if first_spans == 0 || middle >= self.records.len() {
            return Err(self);
        }
        // What `self` claimed, the halves claim: nothing is settled here.
        let spans = std::mem::take(&mut self.spans);
        let mut rest = std::mem::take(&mut self.records);
        let first = rest.split_to(middle);
        Ok((
            Self::claim(first, first_spans, Arc::clone(&self.queue)),
            Self::claim(rest, spans - first_spans, Arc::clone(&self.queue)),
        ))
    }

    /// Takes the spans out of the claim, which leaves `Drop` nothing to settle.
    fn leave(&mut self) -> u64 {
        u64::from(std::mem::take(&mut self.spans))
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        let unsettled = self.leave();
        if unsettled > 0 {
            self.queue
                .account()
                .settle_dropped(unsettled, DropReason::Shutdown);
        }
        // The spans' room is known from the account; their bytes only from here.
        self.queue.give_back(std::mem::take(&mut self.records));
    }
}

/// The records of concatenated spans, one after the other. Ends early at bytes that are no record.
pub(super) fn records(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (record, rest) = bytes.split_at_checked(record_len(bytes)?)?;
        bytes = rest;
        Some(record)
    })
}

/// Where the record after the first `count` begins.
fn offset_after(bytes: &[u8], count: u32) -> Option<usize> {
    let mut offset = 0_usize;
    for _ in 0..count {
        offset = offset.checked_add(record_len(bytes.get(offset..)?)?)?;
    }
    (offset <= bytes.len()).then_some(offset)
}

/// The length of the record that `bytes` begin with, tag and length included.
fn record_len(bytes: &[u8]) -> Option<usize> {
    let (&tag, mut rest) = bytes.split_first()?;
    if tag != SPAN_TAG {
        return None;
    }
    let body = prost::decode_length_delimiter(&mut rest).ok()?;
    let header = bytes.len() - rest.len();
    header.checked_add(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(body: &[u8]) -> Vec<u8> {
        let mut record = vec![SPAN_TAG];
        prost::encode_length_delimiter(body.len(), &mut record).unwrap();
        record.extend_from_slice(body);
        record
    }

    proptest! {
        #[test]
        fn records_come_back_as_they_were_put_together(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..20),
        ) {
            let written: Vec<Vec<u8>> = bodies.iter().map(|body| record(body)).collect();
            let bytes = written.concat();

            let read: Vec<&[u8]> = records(&bytes).collect();

            prop_assert_eq!(&read, &written);
            for count in 0..=written.len() {
                let expected = written[..count].concat().len();
                prop_assert_eq!(offset_after(&bytes, count as u32), Some(expected));
            }
            prop_assert_eq!(offset_after(&bytes, written.len() as u32 + 1), None);
        }

        #[test]
        fn bytes_that_are_no_records_end_the_walk_and_nothing_else(
            bytes in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            let walked: usize = records(&bytes).map(<[u8]>::len).sum();

            prop_assert!(walked <= bytes.len());
            prop_assert!(records(&bytes).all(|record| !record.is_empty()));
        }
    }

    #[test]
    fn a_length_beyond_every_address_ends_the_walk() {
        let bytes = [
            0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01,
        ];

        assert_eq!(records(&bytes).count(), 0);
    }
}
