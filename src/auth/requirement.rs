//! What a route requires: one of several sets of policies, all of a set.
//!
//! Sets are asked in the file's order. One that allows ends it, and so does one that refuses: a
//! wrong credential is refused, whatever others would say. One that the request carries nothing
//! for leaves it to the next; and so does one that a token is not for, which then has to be known
//! to somebody else: a client's address does not make up for it. A policy in shadow decides and records, and changes nothing: neither
//! does it refuse, nor does its permission let anybody pass or tell who a client is.

use super::{
    Asked, BodyRule, Denial, DenialAnswer, Grant, Identity, LoginOffer, Means, Policy, Reason,
    Recorder, Require, Verdict,
};
use http::header::SET_COOKIE;
use http::{HeaderName, HeaderValue};
use std::sync::Arc;

/// What a route requires, by names of policies that exist in the plan.
#[derive(Clone, Debug, PartialEq)]
pub struct RequirementSettings {
    /// Sets in the order in which they are asked; one of them has to allow. All policies of a set
    /// have to allow. Neither is empty.
    pub any: Vec<Vec<PolicyUse>>,
    /// Whether CORS preflights, which carry no credentials, pass unasked.
    pub preflights_pass: bool,
}

/// A policy that a route names.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyUse {
    /// Its name.
    pub policy: Arc<str>,
    /// What has to hold of a client on this route, beside what the policy itself requires.
    pub require: Option<Arc<Require>>,
}

/// The same at work.
struct Used {
    policy: Arc<Policy>,
    require: Option<Arc<Require>>,
}

/// What a route requires, at work.
pub struct Requirement {
    any: Vec<Vec<Used>>,
    preflights_pass: bool,
    waits: bool,
}

/// What came of asking.
#[derive(Debug)]
pub struct Ruling {
    /// What comes with the permission, or with the refusal.
    pub outcome: Result<Box<Grant>, Box<Denial>>,
    /// The policy that decided; None if none had to.
    pub policy: Option<Arc<str>>,
}

impl Requirement {
    /// Makes it of policies by name; None if one is missing.
    pub fn new(
        settings: &RequirementSettings,
        named: impl Fn(&str) -> Option<Arc<Policy>>,
    ) -> Option<Self> {
        let used = |one: &PolicyUse| {
            Some(Used {
                policy: named(&one.policy)?,
                require: one.require.clone(),
            })
        };
        let set = |uses: &Vec<PolicyUse>| uses.iter().map(used).collect();
        let any: Vec<Vec<Used>> = settings.any.iter().map(set).collect::<Option<Vec<_>>>()?;
        Some(Self {
            waits: any.iter().flatten().any(|one| one.policy.waits()),
            any,
            preflights_pass: settings.preflights_pass,
        })
    }

    /// Whether others may be waited for while it is checked.
    pub const fn waits(&self) -> bool {
        self.waits
    }

    /// How much of a request's body its policies want to see on this route; None: nothing.
    pub fn body_wanted(&self, route: &str) -> Option<BodyRule> {
        let used = self.any.iter().flatten();
        let wanted = used.filter_map(|one| one.policy.body_wanted(route));
        wanted.reduce(|one, other| BodyRule {
            bytes_max: one.bytes_max.max(other.bytes_max),
            refuses_larger: one.refuses_larger && other.refuses_larger,
        })
    }

    /// Whether CORS preflights pass unasked.
    pub const fn passes_preflights(&self) -> bool {
        self.preflights_pass
    }

    /// A key that nobody had to look at is a key, too: it goes no further than one that proved.
    fn without_keys(&self, mut grant: Box<Grant>) -> Box<Grant> {
        for one in self.any.iter().flatten() {
            one.policy.take_key_out(&mut grant);
        }
        grant
    }

    /// How a policy knows clients, if that is by logins or by tokens.
    pub fn knows_by(&self, policy: &str) -> Option<&'static str> {
        let mut used = self.any.iter().flatten();
        let used = used.find(|one| *one.policy.settings().name == *policy)?;
        let means = &used.policy.settings().means;
        matches!(means, Means::Oidc(_) | Means::Jwt(_)).then(|| means.word())
    }

    /// Asks set after set.
    pub async fn check(&self, asked: &Asked<'_>, recorder: &mut Recorder<'_>) -> Ruling {
        if asked.is_preflight && self.preflights_pass {
            return Ruling::unasked();
        }
        let mut unknown = Unknown::default();
        let mut is_enforced = false;
        for set in &self.any {
            let enforced = set.iter().any(|one| !one.policy.settings().shadow);
            is_enforced |= enforced;
            let (verdict, policy) = all(set, asked, recorder).await;
            if !enforced {
                continue;
            }
            let outcome = match verdict {
                // Where somebody is says nothing of a credential that nobody knows.
                Verdict::Allow(_) if unknown.has_credential() && !knows_clients(set) => continue,
                Verdict::Allow(mut grant) => {
                    grant.answer.extend(unknown.cookies());
                    Ok(self.without_keys(grant))
                }
                Verdict::Deny(denial) => Err(unknown.beside(denial)),
                Verdict::Abstain(denial) => {
                    unknown.add(denial, policy);
                    continue;
                }
            };
            return Ruling { outcome, policy };
        }
        if is_enforced {
            unknown.refuse()
        } else {
            Ruling::unasked()
        }
    }
}

impl Ruling {
    /// Nobody had to be asked.
    pub fn unasked() -> Self {
        Self {
            outcome: Ok(Box::default()),
            policy: None,
        }
    }
}

fn knows_clients(set: &[Used]) -> bool {
    let mut enforced = set.iter().filter(|one| !one.policy.settings().shadow);
    enforced.any(|one| one.policy.knows_clients())
}

/// Asks every policy of a set; the first that does not allow decides. Tells who decided.
async fn all(
    set: &[Used],
    asked: &Asked<'_>,
    recorder: &mut Recorder<'_>,
) -> (Verdict, Option<Arc<str>>) {
    let mut together: Option<Box<Grant>> = None;
    let mut last = None;
    for Used { policy, require } in set {
        let verdict = policy.check(asked, require.as_deref(), recorder).await;
        let settings = policy.settings();
        if settings.shadow {
            continue;
        }
        last = Some(Arc::clone(&settings.name));
        match verdict {
            Verdict::Allow(grant) => match &mut together {
                Some(together) => together.join(*grant),
                None => together = Some(grant),
            },
            Verdict::Deny(denial) => {
                return (Verdict::Deny(after(denial, together.as_deref())), last);
            }
            Verdict::Abstain(denial) => {
                return (Verdict::Abstain(after(denial, together.as_deref())), last);
            }
        }
    }
    let together = together.unwrap_or_default();
    let proved_by = together.identity.as_ref();
    let policy = proved_by.map(|identity| Arc::clone(&identity.policy));
    (Verdict::Allow(together), policy.or(last))
}

/// A refusal where others of the set had allowed.
fn after(denial: Box<Denial>, together: Option<&Grant>) -> Box<Denial> {
    match together {
        Some(together) => Box::new(denial.after(together)),
        None => denial,
    }
}

/// Refusals of those that the request carries nothing for.
#[derive(Default)]
struct Unknown {
    refusals: Vec<(Box<Denial>, Option<Arc<str>>)>,
}

impl Unknown {
    /// Whether the request carries a credential that somebody looked at and did not know.
    fn has_credential(&self) -> bool {
        let mut refusals = self.refusals.iter();
        refusals.any(|(denial, _)| denial.reason == Reason::BadCredential)
    }

    fn add(&mut self, denial: Box<Denial>, policy: Option<Arc<str>>) {
        self.refusals.push((denial, policy));
    }

    /// Their cookies, each once: they matter whoever it is that decides.
    fn cookies(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let mut all = Vec::new();
        for (denial, _) in &self.refusals {
            add(&mut all, &denial.cookies);
        }
        all.into_iter().map(|cookie| (SET_COOKIE, cookie))
    }

    /// The answer if nobody knows the request: that its credential is nobody's, if it carries one;
    /// else what an authorizer answered or a login, since that may help; else one that asks for a credential, since that would help; else the first one's,
    /// whom the operator named first.
    fn refuse(mut self) -> Ruling {
        let rank = |denial: &Denial| match (&denial.answer, denial.reason) {
            (DenialAnswer::Own(_), Reason::BadCredential) => 0,
            (DenialAnswer::Theirs(_) | DenialAnswer::Login { .. }, _) => 1,
            (DenialAnswer::Own(_), Reason::NoCredential) => 2,
            (DenialAnswer::Own(_) | DenialAnswer::OwnWith(_), _) => 3,
        };
        let places = self.refusals.iter().enumerate();
        let best = places.min_by_key(|(_, (denial, _))| rank(denial));
        let Some(place) = best.map(|(place, _)| place) else {
            let nobody = Box::new(Denial::own(Reason::Forbidden));
            return Ruling {
                outcome: Err(nobody),
                policy: None,
            };
        };
        let (denial, policy) = self.refusals.remove(place);
        Ruling {
            outcome: Err(self.beside(denial)),
            policy,
        }
    }

    /// A refusal that asks for a credential names every one that would serve (RFC 9110 section
    /// 11.6.1), each challenge once; and one that offers a login offers all of them. Cookies that
    /// are of no use go whoever it is that refuses.
    fn beside(&self, mut denial: Box<Denial>) -> Box<Denial> {
        for (other, _) in &self.refusals {
            add(&mut denial.cookies, &other.cookies);
        }
        let asks = matches!(denial.reason, Reason::NoCredential | Reason::BadCredential);
        for (other, _) in self.refusals.iter().filter(|_| asks) {
            let (offers, challenges): (&[LoginOffer], &[HeaderValue]) = match &other.answer {
                DenialAnswer::Own(challenges) => (&[], challenges),
                DenialAnswer::Login { offers, challenges } => (offers, challenges),
                DenialAnswer::OwnWith(_) | DenialAnswer::Theirs(_) => continue,
            };
            match &mut denial.answer {
                DenialAnswer::Own(own) => add(own, challenges),
                DenialAnswer::Login {
                    offers: logins,
                    challenges: own,
                } => {
                    add(logins, offers);
                    add(own, challenges);
                }
                DenialAnswer::OwnWith(_) | DenialAnswer::Theirs(_) => {}
            }
        }
        denial
    }
}

/// Adds what is not there yet.
fn add<T: Clone + PartialEq>(own: &mut Vec<T>, more: &[T]) {
    for one in more {
        if !own.contains(one) {
            own.push(one.clone());
        }
    }
}

impl Grant {
    /// Adds what another policy of the same set grants. The first identity with a name leads; it
    /// gets the groups and claims of the other that it lacks.
    fn join(&mut self, other: Self) {
        self.identity = match (self.identity.take(), other.identity) {
            (Some(first), Some(second)) => {
                let leads = first.subject.is_some() || second.subject.is_none();
                Some(if leads {
                    joined(first, &second)
                } else {
                    joined(second, &first)
                })
            }
            (first, second) => first.or(second),
        };
        self.request.extend(other.request);
        self.query_set.extend(other.query_set);
        self.query_remove.extend(other.query_remove);
        self.cookies_remove.extend(other.cookies_remove);
        self.answer.extend(other.answer);
        self.answer_changes.extend(other.answer_changes);
        self.undecided = self.undecided.or(other.undecided);
        self.is_bound |= other.is_bound;
    }
}

fn joined(mut leader: Arc<Identity>, other: &Identity) -> Arc<Identity> {
    let own = Arc::make_mut(&mut leader);
    for group in &other.groups {
        if !own.groups.contains(group) {
            own.groups.push(Arc::clone(group));
        }
    }
    for (name, claim) in &other.claims {
        if !own.claims.contains_key(name) {
            own.claims.insert(name.clone(), claim.clone());
        }
    }
    leader
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Proof;
    use http::{Response, StatusCode};
    use serde_json::{Map, json};

    fn denial(reason: Reason, challenges: &[&'static str]) -> Box<Denial> {
        let challenges = challenges.iter().map(|text| HeaderValue::from_static(text));
        let answer = DenialAnswer::Own(challenges.collect());
        Box::new(Denial::new(reason, answer))
    }

    fn unknown(denials: Vec<(&str, Box<Denial>)>) -> Unknown {
        let mut unknown = Unknown::default();
        for (policy, denial) in denials {
            unknown.add(denial, Some(Arc::from(policy)));
        }
        unknown
    }

    fn challenges(denial: &Denial) -> Vec<&str> {
        let DenialAnswer::Own(challenges) = &denial.answer else {
            panic!("an answer of ours");
        };
        challenges.iter().map(|one| one.to_str().unwrap()).collect()
    }

    #[test]
    fn a_401_wins_over_a_403_and_names_every_credential_that_would_serve_once() {
        let unknown = unknown(vec![
            ("office", denial(Reason::Forbidden, &[])),
            ("keys", denial(Reason::NoCredential, &["ApiKey"])),
            ("ops", denial(Reason::NoCredential, &["Basic", "ApiKey"])),
        ]);

        let ruling = unknown.refuse();

        let denial = ruling.outcome.unwrap_err();
        assert_eq!(denial.reason, Reason::NoCredential);
        assert_eq!(challenges(&denial), ["ApiKey", "Basic"]);
        assert_eq!(ruling.policy.as_deref(), Some("keys"));
    }

    #[test]
    fn a_wrong_credential_is_told_of_the_others_and_a_403_of_none() {
        let unknown = unknown(vec![("keys", denial(Reason::NoCredential, &["ApiKey"]))]);

        let wrong = unknown.beside(denial(Reason::BadCredential, &["Basic"]));
        let forbidden = unknown.beside(denial(Reason::Forbidden, &[]));

        assert_eq!(challenges(&wrong), ["Basic", "ApiKey"]);
        assert!(challenges(&forbidden).is_empty());
    }

    #[test]
    fn what_an_authorizer_answered_goes_before_answers_of_ours() {
        let mut login = Response::new(bytes::Bytes::new());
        *login.status_mut() = StatusCode::FOUND;
        let answer = DenialAnswer::Theirs(login);
        let theirs = Box::new(Denial::new(Reason::NoCredential, answer));
        let unknown = unknown(vec![
            ("keys", denial(Reason::NoCredential, &["ApiKey"])),
            ("portal", theirs),
        ]);

        let denial = unknown.refuse().outcome.unwrap_err();

        assert!(matches!(denial.answer, DenialAnswer::Theirs(_)));
        assert!(
            Unknown::default().refuse().outcome.is_err(),
            "nobody said a word"
        );
    }

    #[test]
    fn the_identity_with_a_name_leads_and_gets_what_it_lacks() {
        let identity = |subject: Option<&str>, groups: &[&str], claims, proof, policy: &str| {
            let Some(claims) = serde_json::Value::as_object(&claims).cloned() else {
                panic!("claims are an object");
            };
            Grant {
                identity: Some(Arc::new(Identity {
                    subject: subject.map(Arc::from),
                    groups: groups.iter().map(|group| Arc::from(*group)).collect(),
                    claims,
                    proof,
                    policy: Arc::from(policy),
                })),
                ..Grant::default()
            }
        };
        let mut together = Grant::default();
        together.join(identity(
            None,
            &["inside"],
            json!({"a": 1}),
            Proof::Ip,
            "office",
        ));
        together.join(identity(
            Some("ada"),
            &["ops"],
            json!({"a": 2}),
            Proof::Basic,
            "ops",
        ));
        together.join(identity(
            Some("eve"),
            &["ops"],
            json!({"b": 3}),
            Proof::Forward,
            "x",
        ));

        let found = together.identity.unwrap();

        let groups: Vec<&str> = found.groups.iter().map(|group| &**group).collect();
        assert_eq!(found.subject.as_deref(), Some("ada"));
        assert_eq!((found.proof, &*found.policy), (Proof::Basic, "ops"));
        assert_eq!(groups, ["ops", "inside"]);
        let claims: Map<_, _> = found.claims.clone();
        assert_eq!(serde_json::Value::Object(claims), json!({"a": 2, "b": 3}));
    }
}
