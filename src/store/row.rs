//! A span as a row of fixed size.

/// A span in a segment, wherever it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SpanRef {
    /// The lower half of the segment's number.
    pub(super) segment: u32,
    /// Which row.
    pub(super) row: u32,
}

impl SpanRef {
    /// No span.
    pub(super) const NONE: Self = Self {
        segment: u32::MAX,
        row: u32::MAX,
    };
}

/// A span.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    /// Its id, as a number in network order.
    pub(super) id: u64,
    /// Its parent's id; 0: none.
    pub(super) parent: u64,
    /// Nanoseconds since 1970.
    pub(super) start: u64,
    /// Nanoseconds.
    pub(super) duration: u64,
    /// Its trace's number, counted from the segment's `trace_base`.
    pub(super) trace: u32,
    /// Its name, a text of the segment.
    pub(super) name: u32,
    /// Where its attributes begin.
    pub(super) attributes: u32,
    /// How many it has.
    pub(super) attributes_count: u32,
    /// The fields that are kept as they came, a text of the segment.
    pub(super) rest: u32,
    /// Which source it is from.
    pub(super) source: u16,
    /// OTLP's number of its kind, and of its status in the upper half.
    pub(super) kind_and_status: u8,
    /// What the kept fields have: [`HAS_EVENTS`], [`HAS_LINKS`].
    pub(super) has: u8,
    /// The span of the same trace that came before.
    pub(super) previous: SpanRef,
}

/// Events among the kept fields.
pub(super) const HAS_EVENTS: u8 = 1;
/// Links among the kept fields.
pub(super) const HAS_LINKS: u8 = 2;

impl Default for Row {
    fn default() -> Self {
        Self::of_source(0)
    }
}

impl Row {
    /// A span of that source of which nothing is known yet.
    pub(super) const fn of_source(source: u16) -> Self {
        Self {
            id: 0,
            parent: 0,
            start: 0,
            duration: 0,
            trace: 0,
            name: 0,
            attributes: 0,
            attributes_count: 0,
            rest: 0,
            source,
            kind_and_status: 0,
            has: 0,
            previous: SpanRef::NONE,
        }
    }

    /// OTLP's number.
    pub(super) fn kind(&self) -> i32 {
        i32::from(self.kind_and_status & 0xf)
    }

    /// OTLP's number.
    pub(super) fn status(&self) -> i32 {
        i32::from(self.kind_and_status >> 4)
    }

    /// Whether it ended in an error.
    pub(super) fn is_error(&self) -> bool {
        self.status() == 2
    }

    /// Whether its kept fields have one of these.
    pub(super) fn has(&self, what: u8) -> bool {
        self.has & what != 0
    }
}
