//! Which spans are recorded and what the outgoing flag says.

mod head;

pub use head::{Head, HeadSampler};

/// How sampling is decided for one route.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SamplingRule {
    /// Share of root traces that is kept, `0.0..=1.0`. Not asked when there is a parent.
    pub ratio: f64,
    /// Whether a sampled parent decides (`parentbased_*` and every rule of ours), or the ratio
    /// is asked alone (`OTEL_TRACES_SAMPLER=traceidratio|always_on|always_off`). Either way the
    /// caller's flag leaves as it came.
    pub parent_based: bool,
    /// What becomes of our spans when the caller did not sample.
    pub unsampled_parent: UnsampledParent,
}

/// What becomes of our own spans when the caller did not sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnsampledParent {
    /// They are not recorded.
    #[default]
    Respect,
    /// They are recorded and exported; the flag that leaves stays unset.
    Record,
}
