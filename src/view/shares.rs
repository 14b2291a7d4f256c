//! Who had a trace's time: the parts of its critical path by service.

use super::path::{Path, Reason};
use super::tree::Tree;
use std::cmp::Reverse;
use std::collections::HashMap;

/// Who had a part of the time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Holder {
    /// A service, by name; it may be empty.
    Service(String),
    /// Nobody: another attempt was waited for.
    Waiting,
    /// Nobody that is known: between spans that hang on no other.
    Nobody,
}

/// Each holder's nanoseconds on the critical path, the most first. Their sum is the path's length.
pub fn shares(tree: &Tree<'_>, path: &Path) -> Vec<(Holder, u64)> {
    let mut shares: HashMap<Holder, u64> = HashMap::new();
    for segment in path.segments() {
        let span = segment.place.and_then(|at| tree.span(at));
        let holder = match (segment.reason, span) {
            (Some(Reason::Retry), _) => Holder::Waiting,
            (_, Some(span)) => Holder::Service(span.told_service().to_owned()),
            (_, None) => Holder::Nobody,
        };
        let share = shares.entry(holder).or_default();
        *share = share.saturating_add(segment.duration());
    }
    let mut shares: Vec<_> = shares.into_iter().collect();
    let name = |holder: &Holder| match holder {
        Holder::Service(name) => name.clone(),
        Holder::Waiting | Holder::Nobody => String::new(),
    };
    shares.sort_by_cached_key(|(holder, share)| (Reverse(*share), name(holder)));
    shares
}

/// Parts of a whole in percent that add up to a hundred: what rounding down loses goes to those
/// that lose most. All zero if the parts are.
pub fn percents(parts: &[u64]) -> Vec<u64> {
    let whole: u128 = parts.iter().map(|part| u128::from(*part)).sum();
    if whole == 0 {
        return vec![0; parts.len()];
    }
    let exact = |part: &u64| u128::from(*part) * 100;
    let mut percents: Vec<u64> = (parts.iter())
        .map(|part| u64::try_from(exact(part) / whole).unwrap_or(100))
        .collect();
    let missing = 100_u64.saturating_sub(percents.iter().sum());
    let mut by_loss: Vec<_> = parts
        .iter()
        .map(|part| exact(part) % whole)
        .enumerate()
        .collect();
    by_loss.sort_by_key(|(at, loss)| (Reverse(*loss), *at));
    for (at, _) in by_loss
        .into_iter()
        .take(usize::try_from(missing).unwrap_or(0))
    {
        if let Some(percent) = percents.get_mut(at) {
            *percent += 1;
        }
    }
    percents
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{any_trace, call, span, trace};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn waiting_is_nobodys_time() {
        let trace = trace(vec![
            span(1, 0, 0, 100),
            call(span(2, 1, 5, 30), "payout", 502, 0),
            call(span(3, 1, 50, 95), "payout", 502, 1),
        ]);
        let tree = Tree::of(&trace);
        let shares = shares(&tree, &Path::of(&tree));
        let service = |name: &str| Holder::Service(name.to_owned());
        assert_eq!(
            shares,
            [
                (service("payout"), 70),
                (Holder::Waiting, 20),
                (service("shop"), 10)
            ]
        );
    }

    #[test]
    fn percents_add_up_to_a_hundred() {
        assert_eq!(percents(&[3285, 800, 41]), [80, 19, 1]);
        assert_eq!(percents(&[1, 1, 1]), [34, 33, 33]);
        assert_eq!(percents(&[0, 0]), [0, 0]);
        assert_eq!(percents(&[u64::MAX, u64::MAX]), [50, 50]);
    }

    proptest! {
        #[test]
        fn all_of_the_path_is_somebodys(trace in any_trace()) {
            let tree = Tree::of(&trace);
            let path = Path::of(&tree);
            let parts: Vec<u64> = shares(&tree, &path).into_iter().map(|(_, part)| part).collect();
            prop_assert_eq!(parts.iter().sum::<u64>(), path.length());
            let percents: u64 = percents(&parts).iter().sum();
            prop_assert_eq!(percents, if path.length() > 0 { 100 } else { 0 });
        }
    }
}
