//! Weights as a round of turns: each member as often as its weight says, and never bunched.

/// Most turns of a round, unless there are more members. Weights that no round of this length
/// shows exactly are rounded to it.
const TURNS_MAX: usize = 1_024;
/// How often the smallest weight may occur in an exact round.
const REPEATS_MAX: u32 = 64;
/// Longest round that `u32` positions and memory make sensible.
const MEMBERS_MAX: usize = 1 << 20;
/// The fractional part of the golden ratio: multiples of it fill an interval evenly.
const GOLDEN: f64 = 0.618_033_988_749_895;

/// One round: positions of members in the order of their turns. Members of weight zero have none;
/// every other has at least one. Equal weights are one turn each, in order.
pub(super) fn turns(weights: &[f64]) -> Box<[u32]> {
    let members: Vec<(u32, f64)> = (0_u32..)
        .zip(weights.iter().copied().take(MEMBERS_MAX))
        .filter(|(_, weight)| *weight > 0.0)
        .collect();
    let Some((_, first)) = members.first() else {
        return Box::default();
    };
    let equal = |(_, weight): &(u32, f64)| (weight - first).abs() <= first * 1e-9;
    if members.iter().all(equal) {
        return members.iter().map(|(member, _)| *member).collect();
    }
    let counts = counts(&members);
    let mut placed: Vec<(f64, u32)> = Vec::with_capacity(counts.iter().map(|n| *n as usize).sum());
    let mut phase = 0.0_f64;
    for ((member, _), count) in members.iter().zip(&counts) {
        // Equally far from each other, and begun elsewhere than the others' turns.
        let step = 1.0 / f64::from(*count);
        placed.extend((0..*count).map(|turn| ((f64::from(turn) + phase) * step, *member)));
        phase = (phase + GOLDEN).fract();
    }
    placed.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)));
    placed.into_iter().map(|(_, member)| member).collect()
}

/// How many turns of a round each member gets.
fn counts(members: &[(u32, f64)]) -> Vec<u32> {
    let weights = || members.iter().map(|(_, weight)| *weight);
    let least = weights().fold(f64::INFINITY, f64::min);
    let sum: f64 = weights().sum();
    let room = TURNS_MAX.max(members.len());
    let exact = (1..=REPEATS_MAX)
        .map(|repeats| f64::from(repeats) / least)
        .take_while(|scale| sum * scale <= room as f64 + 0.5)
        .find(|scale| {
            weights().all(|weight| {
                let turns = weight * scale;
                (turns - turns.round()).abs() < 1e-6
            })
        });
    let scale = exact.unwrap_or(room as f64 / sum);
    weights()
        .map(|weight| whole(weight * scale).max(1))
        .collect()
}

/// The nearest whole number.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "weights are positive and a round is short"
)]
fn whole(number: f64) -> u32 {
    number.round() as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn occurrences(turns: &[u32], member: u32) -> usize {
        turns.iter().filter(|one| **one == member).count()
    }

    #[test]
    fn equal_weights_take_turns_in_order() {
        assert_eq!(*turns(&[1.0, 1.0, 1.0]), [0, 1, 2]);
        assert_eq!(*turns(&[7.0, 0.0, 7.0]), [0, 2]);
        assert!(turns(&[]).is_empty());
        assert!(turns(&[0.0]).is_empty());
    }

    #[test]
    fn a_round_shows_small_weights_exactly() {
        let round = turns(&[3.0, 2.0]);

        assert_eq!(round.len(), 5);
        assert_eq!((occurrences(&round, 0), occurrences(&round, 1)), (3, 2));
    }

    #[test]
    fn the_heavy_do_not_come_all_at_once() {
        let round = turns(&[5.0, 1.0, 1.0]);

        let twice: Vec<u32> = round.iter().chain(round.iter()).copied().collect();
        let bunched = twice.windows(5).any(|five| occurrences(five, 0) == 5);
        assert!(!bunched, "{round:?}");
    }

    #[test]
    fn the_lightest_has_a_turn_too() {
        let round = turns(&[1_000_000.0, 1.0]);

        assert_eq!(occurrences(&round, 1), 1);
        assert!(round.len() <= TURNS_MAX + 2);
    }

    proptest! {
        #[test]
        fn shares_are_as_the_weights_say(weights in proptest::collection::vec(1_u32..50, 1..12)) {
            let as_floats: Vec<f64> = weights.iter().copied().map(f64::from).collect();

            let round = turns(&as_floats);

            let sum: u32 = weights.iter().sum();
            for (member, weight) in (0..).zip(&weights) {
                let share = occurrences(&round, member) as f64 / round.len() as f64;
                let wanted = f64::from(*weight) / f64::from(sum);
                prop_assert!((share - wanted).abs() < 0.01, "{weights:?}: {share} {wanted}");
            }
        }

        #[test]
        fn no_part_of_a_round_strays_far(weights in proptest::collection::vec(1_u32..20, 2..6)) {
            let as_floats: Vec<f64> = weights.iter().copied().map(f64::from).collect();
            let round = turns(&as_floats);
            let sum: u32 = weights.iter().sum();

            for (member, weight) in (0..).zip(&weights) {
                let share = f64::from(*weight) / f64::from(sum);
                let mut had = 0.0;
                for (turn, one) in (1_u32..).zip(round.iter()) {
                    had += f64::from(u8::from(*one == member));
                    let wanted = f64::from(turn) * share;
                    prop_assert!((had - wanted).abs() <= 3.0, "{weights:?} {round:?}");
                }
            }
        }
    }
}
