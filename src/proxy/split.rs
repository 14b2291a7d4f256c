//! Which branch of a split a request takes: by a header, else by chance in the ratio of weights.
//!
//! Chance may be tied to something of the request, so that a caller or a trace stays on its
//! branch. The tie is a hash of that and of the flag's name, the same in every process: replicas
//! agree, and two splits do not send the same callers to the same side.

use super::context::RequestContext;
use super::plan::{SplitPlan, Sticky};
use crate::message::cookie;
use crate::route::HeaderRule;
use crate::trace::flags::FeatureFlags;
use crate::upstream::Cluster;
use http::HeaderMap;
use opentelemetry::trace::TraceId;
use std::net::IpAddr;
use std::sync::Arc;

/// A split at work.
pub struct LiveSplit {
    flag: Arc<str>,
    sticky: Option<Sticky>,
    branches: Box<[Arc<LiveBranch>]>,
    /// The sum of weights.
    total: u64,
}

/// One branch at work.
pub struct LiveBranch {
    /// Where its requests go.
    pub cluster: Arc<Cluster>,
    /// What their spans say of feature flags, the branch among them.
    pub flags: FeatureFlags,
    weight: u32,
    headers: Vec<HeaderRule>,
}

/// What a choice may go by.
struct Caller<'a> {
    headers: &'a HeaderMap,
    address: IpAddr,
    trace_id: Option<TraceId>,
}

impl LiveSplit {
    /// The plan with its upstreams and flags, branch by branch in its order.
    pub fn new(plan: &SplitPlan, live: Vec<(Arc<Cluster>, FeatureFlags)>) -> Self {
        let branches = plan.branches.iter().zip(live);
        let branches = branches.map(|(plan, (cluster, flags))| {
            Arc::new(LiveBranch {
                cluster,
                flags,
                weight: plan.weight,
                headers: plan.headers.clone(),
            })
        });
        Self {
            flag: Arc::clone(&plan.flag),
            sticky: plan.sticky.clone(),
            branches: branches.collect(),
            total: plan
                .branches
                .iter()
                .map(|branch| u64::from(branch.weight))
                .sum(),
        }
    }

    /// The branch of a request.
    pub(super) fn branch_of(
        &self,
        context: &RequestContext,
        headers: &HeaderMap,
    ) -> Option<Arc<LiveBranch>> {
        let caller = Caller {
            headers,
            address: context.client,
            trace_id: context.head.as_ref().map(|head| head.trace_id),
        };
        let asked = |branch: &&Arc<LiveBranch>| asks_for(&branch.headers, headers);
        let named = self.branches.iter().find(asked);
        named
            .or_else(|| {
                let drawn = key(self.sticky.as_ref(), &self.flag, &caller);
                let drawn = drawn.unwrap_or_else(|| fastrand::u64(..));
                let weights = self.branches.iter().map(|branch| branch.weight);
                self.branches.get(position(drawn, self.total, weights)?)
            })
            .cloned()
    }
}

/// Whether a request's headers name this branch. One without conditions is not named.
fn asks_for(rules: &[HeaderRule], headers: &HeaderMap) -> bool {
    !rules.is_empty() && rules.iter().all(|rule| rule.holds(headers))
}

/// Which weight `drawn` falls to, of all numbers of 64 bits in their ratio.
fn position(drawn: u64, total: u64, weights: impl Iterator<Item = u32>) -> Option<usize> {
    let place = (u128::from(drawn) * u128::from(total)) >> 64;
    let mut passed = 0;
    for (position, weight) in weights.enumerate() {
        passed += u128::from(weight);
        if place < passed {
            return Some(position);
        }
    }
    None
}

/// What ties a request to a branch. None where it has nothing of the kind.
fn key(sticky: Option<&Sticky>, flag: &str, caller: &Caller<'_>) -> Option<u64> {
    let flag = flag.as_bytes();
    match sticky? {
        Sticky::Trace => Some(hash(flag, &caller.trace_id?.to_bytes())),
        Sticky::Address => Some(match caller.address.to_canonical() {
            IpAddr::V4(address) => hash(flag, &address.octets()),
            IpAddr::V6(address) => hash(flag, &address.octets()),
        }),
        Sticky::Header(name) => Some(hash(flag, caller.headers.get(name)?.as_bytes())),
        Sticky::Cookie(name) => Some(hash(flag, cookie::values(caller.headers, name).next()?)),
    }
}

/// FNV-1a of 64 bits over both, its bits then mixed (the finaliser of MurmurHash3): cheap, spread
/// evenly, and the same in every process for ever. It guards nothing.
fn hash(flag: &[u8], key: &[u8]) -> u64 {
    let bytes = flag.iter().chain(&[0]).chain(key);
    let mut hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    fn key_of(sticky: &Sticky, fields: &[(&'static str, &'static str)]) -> Option<u64> {
        let headers = headers(fields);
        let caller = Caller {
            headers: &headers,
            address: "203.0.113.9".parse().unwrap(),
            trace_id: None,
        };
        key(Some(sticky), "checkout", &caller)
    }

    #[test]
    fn a_weight_of_zero_is_never_drawn_and_the_ends_belong_to_somebody() {
        let at = |drawn| position(drawn, 4, [0, 1, 0, 3, 0].into_iter());

        assert_eq!(at(0), Some(1));
        assert_eq!(at(u64::MAX / 4), Some(1));
        assert_eq!(at(u64::MAX / 4 + 1), Some(3));
        assert_eq!(at(u64::MAX), Some(3));
        assert_eq!(position(7, 0, [0, 0].into_iter()), None);
    }

    #[test]
    fn the_hash_never_changes_or_callers_would_change_sides() {
        assert_eq!(hash(b"checkout", b"alice"), 0x897c_eb5f_4bae_c7a9);
        assert_ne!(hash(b"checkout", b"alice"), hash(b"checkout", b"bob"));
        assert_ne!(hash(b"checkout", b"alice"), hash(b"search", b"alice"));
    }

    #[test]
    fn who_has_nothing_to_be_known_by_is_not_tied() {
        let by_cookie = Sticky::Cookie("sid".into());
        let by_header = Sticky::Header(HeaderName::from_static("x-user"));

        assert_eq!(key_of(&by_cookie, &[]), None);
        assert_eq!(key_of(&by_header, &[]), None);
        assert_eq!(key_of(&Sticky::Trace, &[]), None);
        assert!(key_of(&Sticky::Address, &[]).is_some());
        assert_eq!(
            key_of(&by_cookie, &[("cookie", "sid=a")]),
            key_of(&by_header, &[("x-user", "a")])
        );
    }

    proptest! {
        #[test]
        fn callers_spread_in_the_ratio_of_weights(
            heavy in 1_u32..100,
            seed in any::<u64>(),
        ) {
            let weights = [heavy, 100 - heavy];
            let drawn = (0..4_000_u64)
                .map(|caller| hash(b"flag", &(seed ^ caller).to_be_bytes()))
                .filter(|&drawn| position(drawn, 100, weights.into_iter()) == Some(0))
                .count();

            let share = u32::try_from(drawn).unwrap() / 40;
            prop_assert!(share.abs_diff(heavy) <= 5, "{share} % instead of {heavy} %");
        }

        #[test]
        fn every_draw_falls_to_a_branch_with_weight(
            drawn in any::<u64>(),
            weights in proptest::collection::vec(0_u32..1000, 1..8),
        ) {
            let total = weights.iter().map(|&weight| u64::from(weight)).sum();
            let found = position(drawn, total, weights.iter().copied());

            prop_assert_eq!(found.is_none(), total == 0);
            prop_assert!(found.is_none_or(|position| weights[position] > 0));
        }
    }
}
