//! What a route requires: one of several sets of policies, all of a set.

use super::{Asked, BodyRule, Denial, Grant, Policy, Reason, Recorder, Verdict};
use std::sync::Arc;

/// What a route requires, by names of policies that exist in the plan.
#[derive(Clone, Debug, PartialEq)]
pub struct RequirementSettings {
    /// Sets in the order in which they are asked; one of them has to allow. All policies of a set
    /// have to allow. Neither is empty.
    pub any: Vec<Vec<Arc<str>>>,
    /// Whether CORS preflights, which carry no credentials, pass unasked.
    pub preflights_pass: bool,
}

/// What a route requires, at work.
pub struct Requirement {
    any: Vec<Vec<Arc<Policy>>>,
    preflights_pass: bool,
}

impl Requirement {
    /// Makes it of policies by name; None if one is missing.
    pub fn new(
        settings: &RequirementSettings,
        named: impl Fn(&str) -> Option<Arc<Policy>>,
    ) -> Option<Self> {
        let set = |names: &Vec<Arc<str>>| names.iter().map(|name| named(name)).collect();
        Some(Self {
            any: settings.any.iter().map(set).collect::<Option<_>>()?,
            preflights_pass: settings.preflights_pass,
        })
    }

    /// How much of a request's body its policies want to see on this route; None: nothing.
    pub fn body_wanted(&self, route: &str) -> Option<BodyRule> {
        let policies = self.any.iter().flatten();
        let wanted = policies.filter_map(|policy| policy.body_wanted(route));
        wanted.reduce(|one, other| BodyRule {
            bytes_max: one.bytes_max.max(other.bytes_max),
            refuses_larger: one.refuses_larger && other.refuses_larger,
        })
    }

    /// Whether CORS preflights pass unasked.
    pub const fn passes_preflights(&self) -> bool {
        self.preflights_pass
    }

    /// Asks set after set. A set that allows ends it, and so does one that refuses; one that does
    /// not know the request leaves it to the next. Nobody left: the first one's answer, which is
    /// the one the operator named first.
    ///
    /// # Errors
    /// The refusal.
    pub async fn check(
        &self,
        asked: &Asked<'_>,
        recorder: &mut Recorder<'_>,
    ) -> Result<Box<Grant>, Box<Denial>> {
        if asked.is_preflight && self.preflights_pass {
            return Ok(Box::default());
        }
        let mut refusal = None;
        for set in &self.any {
            match all(set, asked, recorder).await {
                Verdict::Allow(grant) => return Ok(grant),
                Verdict::Deny(denial) => return Err(denial),
                Verdict::Abstain(denial) => refusal = refusal.or(Some(denial)),
            }
        }
        Err(refusal.unwrap_or_else(|| Box::new(Denial::own(Reason::Forbidden))))
    }
}

/// Asks every policy of a set; the first that does not allow decides.
async fn all(set: &[Arc<Policy>], asked: &Asked<'_>, recorder: &mut Recorder<'_>) -> Verdict {
    let mut together = Box::<Grant>::default();
    for policy in set {
        let verdict = policy.check(asked, recorder).await;
        match verdict {
            // It only decides: nothing of what it says changes the request.
            Verdict::Allow(_) if policy.settings().shadow => {}
            Verdict::Allow(grant) => together.join(*grant),
            Verdict::Deny(_) | Verdict::Abstain(_) if policy.settings().shadow => {}
            Verdict::Deny(_) | Verdict::Abstain(_) => return verdict,
        }
    }
    Verdict::Allow(together)
}

impl Grant {
    /// Adds what another policy of the same set grants. The first identity stays; it gets the
    /// groups and claims of the others that it lacks.
    fn join(&mut self, other: Self) {
        self.identity = match (self.identity.take(), other.identity) {
            (Some(first), Some(second)) => {
                let mut joined = (*first).clone();
                joined.subject = joined.subject.or_else(|| second.subject.clone());
                for group in &second.groups {
                    if !joined.groups.contains(group) {
                        joined.groups.push(Arc::clone(group));
                    }
                }
                for (name, claim) in &second.claims {
                    if !joined.claims.contains_key(name) {
                        joined.claims.insert(name.clone(), claim.clone());
                    }
                }
                Some(Arc::new(joined))
            }
            (first, second) => first.or(second),
        };
        self.request.extend(other.request);
        self.query_set.extend(other.query_set);
        self.query_remove.extend(other.query_remove);
        self.cookies_remove.extend(other.cookies_remove);
        self.answer.extend(other.answer);
        self.answer_changes.extend(other.answer_changes);
    }
}
