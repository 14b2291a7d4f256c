//! What a row of checks means. Holds no clock and no socket, so that it is tested without either.

use crate::upstream::Health;

/// One endpoint's checks so far.
#[derive(Debug)]
pub(super) struct Verdict {
    health: Health,
    /// Checks in a row that speak against the verdict.
    against: u32,
    healthy_after: u32,
    unhealthy_after: u32,
}

impl Verdict {
    /// Nothing is known yet.
    pub(super) const fn new(healthy_after: u32, unhealthy_after: u32) -> Self {
        Self {
            health: Health::Unchecked,
            against: 0,
            healthy_after,
            unhealthy_after,
        }
    }

    /// Takes in a check. The new verdict, if this check changed it. The first one decides alone:
    /// there is nothing that it could be weighed against.
    pub(super) fn take(&mut self, passed: bool) -> Option<Health> {
        let says = if passed {
            Health::Healthy
        } else {
            Health::Unhealthy
        };
        if says == self.health {
            self.against = 0;
            return None;
        }
        self.against += 1;
        let needed = match self.health {
            Health::Unchecked => 1,
            Health::Healthy => self.unhealthy_after,
            Health::Unhealthy => self.healthy_after,
        };
        if self.against < needed {
            return None;
        }
        self.health = says;
        self.against = 0;
        Some(says)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `+` passes, `-` fails; gives the verdict after each.
    #[track_caller]
    fn check(checks: &str, expected: &str) {
        let mut verdict = Verdict::new(2, 3);
        let seen: String = checks
            .chars()
            .map(|one| {
                verdict.take(one == '+');
                match verdict.health {
                    Health::Unchecked => '?',
                    Health::Healthy => 'h',
                    Health::Unhealthy => 'u',
                }
            })
            .collect();
        assert_eq!(seen, expected, "{checks}");
    }

    #[test]
    fn the_first_check_decides_alone() {
        check("+", "h");
        check("-", "u");
    }

    #[test]
    fn a_healthy_endpoint_is_unhealthy_at_the_third_failure_in_a_row_and_not_before() {
        check("+--", "hhh");
        check("+---", "hhhu");
        check("+--+--+---", "hhhhhhhhhu");
    }

    #[test]
    fn an_unhealthy_endpoint_is_healthy_at_the_second_pass_in_a_row_and_not_before() {
        check("-+", "uu");
        check("-++", "uuh");
        check("-+-+-++", "uuuuuuh");
    }

    #[test]
    fn only_a_change_is_told() {
        let mut verdict = Verdict::new(1, 1);
        assert_eq!(verdict.take(true), Some(Health::Healthy));
        assert_eq!(verdict.take(true), None);
        assert_eq!(verdict.take(false), Some(Health::Unhealthy));
        assert_eq!(verdict.take(false), None);
    }
}
