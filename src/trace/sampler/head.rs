//! The decision at the start of a request: what is recorded, and what the outgoing flag says.
//!
//! A caller's flag always leaves as it came. Roots are decided by consistent probability
//! (OpenTelemetry's probability sampling in tracestate, OTEP 235): the last 56 bits of the trace
//! id are the randomness `R`, the ratio is a threshold `T`, and `R >= T` keeps. Every sampler on
//! the way that follows it agrees, and a reader learns from `ot=th` what a kept trace stands for.

use super::{SamplingRule, UnsampledParent};
use crate::trace::context::{Inbound, Parent, RANDOM, SAMPLED, TraceState};
use crate::trace::ids;
use crate::trace::propagate::Outgoing;
use http::HeaderValue;
use opentelemetry::trace::{SpanId, TraceId};

/// How many values the randomness of a trace can have.
const RANDOMNESS_VALUES: u64 = 1 << 56;

/// A decision, and what it makes leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The trace: the caller's, or a new one.
    pub trace_id: TraceId,
    /// The caller's span.
    pub parent_span_id: Option<SpanId>,
    /// The flags that leave.
    pub flags: u8,
    /// The tracestate that leaves.
    pub state: TraceState,
    /// B3's debug wish, to be handed on.
    pub debug: bool,
    /// Whether our own spans are exported.
    pub record: bool,
    /// Why: the span attribute `edgespan.sampling.reason`.
    pub reason: &'static str,
    /// Whether the trace starts here.
    pub is_root: bool,
}

impl Head {
    /// What a request that leaves under our span `span_id` carries.
    pub const fn outgoing(&self, span_id: SpanId) -> Outgoing<'_> {
        Outgoing {
            trace_id: self.trace_id,
            span_id,
            flags: self.flags,
            debug: self.debug,
            state: &self.state,
        }
    }
}

/// One [`SamplingRule`], made ready.
#[derive(Clone, Debug)]
pub struct HeadSampler {
    /// `T`; a trace is kept if its randomness reaches it. None keeps nothing.
    threshold: Option<u64>,
    /// The tracestate of a root that is kept.
    root_state: TraceState,
    parent_based: bool,
    unsampled_parent: UnsampledParent,
}

impl HeadSampler {
    /// Computes the threshold. A ratio outside `0.0..=1.0` counts as the nearer end, one that is
    /// no number as zero.
    pub fn new(rule: &SamplingRule) -> Self {
        let threshold = threshold(rule.ratio);
        Self {
            threshold,
            root_state: threshold.map(root_state).unwrap_or_default(),
            parent_based: rule.parent_based,
            unsampled_parent: rule.unsampled_parent,
        }
    }

    /// Decides for one request.
    pub fn decide(&self, inbound: Option<&Inbound>) -> Head {
        self.decide_rooted(inbound, None)
    }

    /// The same; a trace that begins here has the id `root`, if there is one.
    ///
    /// Such an id is not said to be random (W3C Trace Context level 2): it is a function of what
    /// somebody else chose, and two requests may have it. Its last 56 bits are as evenly spread as
    /// a digest's are, so samplers that go by them keep the share that they say.
    pub fn decide_rooted(&self, inbound: Option<&Inbound>, root: Option<TraceId>) -> Head {
        let mut head = match inbound {
            Some(Inbound::Parent(parent)) => return self.under(parent),
            Some(Inbound::Decision { sampled, debug }) => self.told(*sampled, *debug, root),
            None => self.root(root),
        };
        if root.is_some() {
            head.flags &= !RANDOM;
        }
        head
    }

    fn root(&self, root: Option<TraceId>) -> Head {
        let trace_id = root.unwrap_or_else(ids::trace_id);
        let kept = self.keeps(randomness(trace_id));
        Head {
            trace_id,
            parent_span_id: None,
            flags: if kept { RANDOM | SAMPLED } else { RANDOM },
            // A threshold says how many traces a *kept* one stands for, so others have none.
            state: if kept {
                self.root_state.clone()
            } else {
                TraceState::EMPTY
            },
            debug: false,
            record: kept,
            reason: "ratio",
            is_root: true,
        }
    }

    /// A new trace whose sampling the caller has decided, by a probability that nobody knows.
    fn told(&self, sampled: bool, debug: bool, root: Option<TraceId>) -> Head {
        let (record, reason) = self.follow(sampled, debug);
        let trace_id = root.unwrap_or_else(ids::trace_id);
        Head {
            trace_id,
            parent_span_id: None,
            flags: if sampled { RANDOM | SAMPLED } else { RANDOM },
            state: TraceState::EMPTY,
            debug,
            record: if self.parent_based {
                record
            } else {
                self.keeps(randomness(trace_id))
            },
            reason: if self.parent_based { reason } else { "ratio" },
            is_root: true,
        }
    }

    /// Goes on with the caller's trace. Its flags and its tracestate leave as they came; only a
    /// decision that the caller left to us is added.
    fn under(&self, parent: &Parent) -> Head {
        let sampled = parent.flags & SAMPLED != 0;
        let mut flags = parent.flags;
        let (record, reason) = if self.parent_based && !parent.deferred {
            self.follow(sampled, parent.debug)
        } else {
            let kept = self.keeps(parent_randomness(parent));
            if parent.deferred && kept {
                flags |= SAMPLED;
            }
            (kept, "ratio")
        };
        Head {
            trace_id: parent.trace_id,
            parent_span_id: Some(parent.span_id),
            flags,
            state: parent.state.clone(),
            debug: parent.debug,
            record,
            reason,
            is_root: false,
        }
    }

    /// Whether and why we record under a caller's decision.
    const fn follow(&self, sampled: bool, debug: bool) -> (bool, &'static str) {
        match (debug, sampled, self.unsampled_parent) {
            (true, _, _) => (true, "debug"),
            (false, true, _) => (true, "parent"),
            (false, false, UnsampledParent::Respect) => (false, "parent"),
            (false, false, UnsampledParent::Record) => (true, "unsampled_parent_record"),
        }
    }

    const fn keeps(&self, randomness: u64) -> bool {
        match self.threshold {
            Some(threshold) => randomness >= threshold,
            None => false,
        }
    }
}

/// `T = (1 - ratio) * 2^56`. Every ratio above zero keeps at least one value in 2^56.
fn threshold(ratio: f64) -> Option<u64> {
    if ratio.is_nan() || ratio <= 0.0 {
        return None;
    }
    let dropped = (1.0 - ratio.min(1.0)) * RANDOMNESS_VALUES as f64;
    // The float lies in 0..=2^56, so the cast is exact.
    Some((dropped.round() as u64).min(RANDOMNESS_VALUES - 1))
}

/// `ot=th:` and the threshold's 14 hex digits without zeros at the end, or a single zero.
fn root_state(threshold: u64) -> TraceState {
    let digits = format!("{threshold:014x}");
    let digits = match digits.trim_end_matches('0') {
        "" => "0",
        digits => digits,
    };
    HeaderValue::try_from(format!("ot=th:{digits}")).map_or(TraceState::EMPTY, TraceState::checked)
}

/// The last 56 bits of a trace id.
fn randomness(trace_id: TraceId) -> u64 {
    let low = u128::from_be_bytes(trace_id.to_bytes()) as u64;
    low & (RANDOMNESS_VALUES - 1)
}

/// The randomness a caller declared (`ot=rv:`, exactly 14 hex digits), or that of the trace id.
fn parent_randomness(parent: &Parent) -> u64 {
    let declared = parent.state.member("ot").and_then(|ot| {
        let digits = ot.split(';').find_map(|field| field.strip_prefix("rv:"))?;
        let valid = digits.len() == 14
            && digits
                .bytes()
                .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        u64::from_str_radix(digits, 16).ok().filter(|_| valid)
    });
    declared.unwrap_or_else(|| randomness(parent.trace_id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rule(ratio: f64) -> SamplingRule {
        SamplingRule {
            ratio,
            parent_based: true,
            unsampled_parent: UnsampledParent::Respect,
        }
    }

    fn sampler(ratio: f64) -> HeadSampler {
        HeadSampler::new(&rule(ratio))
    }

    fn parent(trace_id: u128, flags: u8, state: &'static str) -> Parent {
        Parent {
            trace_id: TraceId::from(trace_id),
            span_id: SpanId::from(7),
            flags,
            state: TraceState::checked(HeaderValue::from_static(state)),
            debug: false,
            deferred: false,
        }
    }

    fn under(sampler: &HeadSampler, parent: Parent) -> Head {
        sampler.decide(Some(&Inbound::Parent(parent)))
    }

    #[test]
    fn a_callers_flags_and_tracestate_leave_as_they_came_whatever_our_rule_is() {
        for (ratio, parent_based, unsampled_parent) in [
            (0.0, true, UnsampledParent::Respect),
            (1.0, true, UnsampledParent::Record),
            (0.0, false, UnsampledParent::Respect),
            (1.0, false, UnsampledParent::Record),
        ] {
            let sampler = HeadSampler::new(&SamplingRule {
                ratio,
                parent_based,
                unsampled_parent,
            });
            for flags in 0..4 {
                let given = parent(1, flags, "ot=th:8;rv:00000000000001,a=1");

                let head = under(&sampler, given.clone());

                assert_eq!((head.flags, &head.state), (flags, &given.state));
                assert_eq!(
                    (head.trace_id, head.parent_span_id),
                    (given.trace_id, Some(given.span_id))
                );
                assert!(!head.is_root);
            }
        }
    }

    #[test]
    fn a_parent_decides_what_is_recorded() {
        let decided = |sampler: &HeadSampler, flags| {
            let head = under(sampler, parent(u128::MAX, flags, ""));
            (head.record, head.reason)
        };

        assert_eq!(decided(&sampler(0.0), SAMPLED), (true, "parent"));
        assert_eq!(decided(&sampler(1.0), 0), (false, "parent"));
        let record = SamplingRule {
            unsampled_parent: UnsampledParent::Record,
            ..rule(0.0)
        };
        assert_eq!(
            decided(&HeadSampler::new(&record), 0),
            (true, "unsampled_parent_record")
        );
    }

    #[test]
    fn without_parents_the_ratio_alone_decides_by_the_declared_randomness() {
        let half = HeadSampler::new(&SamplingRule {
            parent_based: false,
            ..rule(0.5)
        });
        let recorded = |trace_id, state| under(&half, parent(trace_id, 0, state)).record;

        assert!(recorded(0x0080_0000_0000_0000, ""));
        assert!(!recorded(0xff7f_ffff_ffff_ffff, ""));
        assert!(!recorded(0x0080_0000_0000_0000, "ot=rv:00000000000000"));
        assert!(recorded(1, "a=1,ot=th:c;rv:80000000000000"));
        assert!(
            !recorded(1, "ot=rv:8000000000000"),
            "13 digits declare nothing"
        );
        assert!(!recorded(1, "ot=rv:+ffffffffffff0"), "a sign is no digit");
    }

    #[test]
    fn a_debug_trace_is_kept_and_stays_one() {
        let head = under(
            &sampler(0.0),
            Parent {
                debug: true,
                ..parent(1, SAMPLED, "")
            },
        );

        assert_eq!(
            (head.record, head.debug, head.reason),
            (true, true, "debug")
        );
        assert!(head.outgoing(SpanId::from(1)).debug);
    }

    #[test]
    fn a_decision_left_to_us_is_made_and_leaves() {
        let deferred = |ratio| {
            under(
                &sampler(ratio),
                Parent {
                    deferred: true,
                    ..parent(1, 0, "")
                },
            )
        };

        let (kept, dropped) = (deferred(1.0), deferred(0.0));

        assert_eq!(
            (kept.record, kept.flags, kept.reason),
            (true, SAMPLED, "ratio")
        );
        assert_eq!((dropped.record, dropped.flags), (false, 0));
        assert!(kept.state.is_empty());
    }

    #[test]
    fn a_decision_without_a_trace_holds_for_a_new_one() {
        let told =
            |sampled, debug| sampler(0.5).decide(Some(&Inbound::Decision { sampled, debug }));

        let (denied, accepted, debug) = (told(false, false), told(true, false), told(true, true));

        assert_eq!((denied.record, denied.flags), (false, RANDOM));
        assert_eq!(
            (accepted.record, accepted.flags, accepted.reason),
            (true, RANDOM | SAMPLED, "parent")
        );
        assert_eq!((debug.debug, debug.reason), (true, "debug"));
        assert!(accepted.is_root && accepted.state.is_empty());
    }

    #[track_caller]
    fn check_threshold(ratio: f64, expected: &str) {
        let head = HeadSampler {
            threshold: Some(0),
            ..sampler(ratio)
        }
        .decide(None);
        assert_eq!(head.state.as_str(), expected);
        assert_eq!((head.flags, head.record), (RANDOM | SAMPLED, true));
    }

    #[test]
    fn a_root_that_is_kept_says_what_it_stands_for() {
        check_threshold(1.0, "ot=th:0");
        check_threshold(7.0, "ot=th:0");
        check_threshold(0.5, "ot=th:8");
        check_threshold(0.25, "ot=th:c");
        check_threshold(0.01, "ot=th:fd70a3d70a3d7");
        check_threshold(1e-300, "ot=th:ffffffffffffff");
    }

    #[test]
    fn a_root_that_is_dropped_says_nothing_but_that_its_id_is_random() {
        for ratio in [0.0, -1.0, f64::NAN] {
            let head = sampler(ratio).decide(None);

            assert_eq!(
                (head.record, head.flags, head.reason),
                (false, RANDOM, "ratio")
            );
            assert!(head.state.is_empty() && head.is_root);
        }
    }

    #[test]
    fn a_hundred_thousand_roots_are_kept_at_the_ratio() {
        for ratio in [0.01, 0.1, 0.5, 0.9] {
            let sampler = sampler(ratio);
            let trials = 100_000_f64;

            let kept = (0..100_000).filter(|_| sampler.decide(None).record).count() as f64;

            let deviation = (trials * ratio * (1.0 - ratio)).sqrt();
            assert!(
                (kept - trials * ratio).abs() < 6.0 * deviation,
                "{kept} of {trials} at {ratio}"
            );
        }
    }

    proptest! {
        #[test]
        fn what_a_lower_ratio_keeps_a_higher_one_keeps_too(id: u128, low in 0.0..=1.0, more in 0.0..=1.0) {
            let high: f64 = low + (1.0 - low) * more;
            let kept = |ratio| sampler(ratio).keeps(randomness(TraceId::from(id)));

            prop_assert!(!kept(low) || kept(high.min(1.0)));
            prop_assert!(kept(1.0) && !kept(0.0));
        }

        #[test]
        fn a_root_is_kept_exactly_if_its_randomness_reaches_the_threshold_it_tells(ratio in 0.2..=1.0) {
            let sampler = sampler(ratio);
            let head = sampler.decide(None);
            let digits = sampler.root_state.as_str().strip_prefix("ot=th:").unwrap();

            let told = u64::from_str_radix(&format!("{digits:0<14}"), 16).unwrap();

            prop_assert!(digits == "0" || !digits.ends_with('0'));
            prop_assert_eq!(head.record, randomness(head.trace_id) >= told);
            prop_assert_eq!(head.flags & SAMPLED != 0, head.record);
        }
    }
}
