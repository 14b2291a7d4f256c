//! Consistent hashing: members on a ring, each at many points, and a key belongs to the next point.
//!
//! A member that leaves hands its keys to those that stand behind its points, which are many
//! others; no other key moves. A member that is merely not available is stepped over in the same
//! way and gets the same keys back.

use super::hash::{hash, mix};

/// Points of a member of the least weight: at 160 the shares of equal members differ by some 8 %.
const POINTS: f64 = 160.0;
/// Most points of a ring (16 bytes each). Past it every member has fewer, at least one.
const POINTS_MAX: f64 = 131_072.0;

/// Members by the hashes of their points.
#[derive(Debug, Default)]
pub(super) struct Ring(Box<[(u64, u32)]>);

impl Ring {
    /// Of members by name and weight. Names decide the points, positions do not: every replica
    /// that knows the same members has the same ring.
    pub(super) fn new<'a>(members: impl Iterator<Item = (&'a str, f64)> + Clone) -> Self {
        let weights = || members.clone().map(|(_, weight)| weight);
        let least = weights()
            .filter(|weight| *weight > 0.0)
            .fold(f64::INFINITY, f64::min);
        let wanted: f64 = weights().map(|weight| weight / least * POINTS).sum();
        let scale = POINTS / least * (POINTS_MAX / wanted).min(1.0);
        let mut points: Vec<(u64, u32)> = Vec::new();
        for ((name, weight), member) in members.clone().zip(0_u32..) {
            let name = hash(name.as_bytes());
            let count = points_of(weight * scale);
            points.extend((1..=count).map(|point| (mix(name.wrapping_add(mix(point))), member)));
        }
        points.sort_unstable();
        Self(points.into_boxed_slice())
    }

    /// Members in the order in which this key prefers them; each may occur several times. Empty
    /// for a ring of nobody.
    pub(super) fn walk(&self, key: u64) -> impl Iterator<Item = u32> {
        let first = self.0.partition_point(|(point, _)| *point < key);
        let (before, from) = self.0.split_at_checked(first).unwrap_or_default();
        from.iter().chain(before).map(|(_, member)| *member)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "at most POINTS_MAX, and never negative"
)]
fn points_of(number: f64) -> u64 {
    number.round().max(1.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    const KEYS: u64 = 20_000;

    fn ring(names: &[&str]) -> Ring {
        Ring::new(names.iter().map(|name| (*name, 1.0)))
    }

    fn owners<'a>(ring: &Ring, names: &[&'a str]) -> Vec<&'a str> {
        (0..KEYS)
            .map(|key| names[ring.walk(mix(key)).next().unwrap() as usize])
            .collect()
    }

    #[test]
    fn only_the_keys_of_the_one_that_left_move_and_they_spread() {
        let all = ["a", "b", "c", "d", "e"];
        let left = ["a", "b", "d", "e"];

        let before = owners(&ring(&all), &all);
        let after = owners(&ring(&left), &left);

        let mut heirs: HashMap<&str, usize> = HashMap::new();
        for (was, is) in before.iter().zip(&after) {
            if *was == "c" {
                *heirs.entry(is).or_default() += 1;
            } else {
                assert_eq!(was, is, "a key of another moved");
            }
        }
        assert_eq!(heirs.len(), 4, "all inherit: {heirs:?}");
    }

    #[test]
    fn order_does_not_matter() {
        let (one, other) = (["a", "b", "c"], ["c", "a", "b"]);

        assert_eq!(owners(&ring(&one), &one), owners(&ring(&other), &other));
    }

    #[test]
    fn shares_follow_the_weights() {
        let names = ["light", "heavy"];
        let ring = Ring::new([("light", 1.0), ("heavy", 3.0)].into_iter());

        let owners = owners(&ring, &names);

        let light = owners.iter().filter(|owner| **owner == "light").count();
        let share = light as f64 / KEYS as f64;
        assert!((0.15..0.35).contains(&share), "{share}");
    }

    #[test]
    fn a_ring_has_a_bound_and_everybody_has_a_place() {
        let ring = Ring::new([("light", 1.0), ("heavy", 1_000_000.0)].into_iter());

        assert!(ring.0.len() <= 131_074, "{}", ring.0.len());
        assert!(ring.walk(7).any(|member| member == 0));
        assert_eq!(Ring::default().walk(7).next(), None);
    }
}
