//! What a policy says of a request.

use super::Identity;
use bytes::Bytes;
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use std::sync::Arc;
use std::time::Duration;

/// What a policy says of a request.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// It may pass.
    Allow(Box<Grant>),
    /// It may not.
    Deny(Box<Denial>),
    /// It carries nothing that this policy knows, so that another one may be asked. If nobody
    /// is left, this is the answer.
    Abstain(Box<Denial>),
}

/// What comes with a permission.
#[derive(Clone, Debug, Default)]
pub struct Grant {
    /// Who the client is, if that was proved.
    pub identity: Option<Arc<Identity>>,
    /// Changes to the request on its way to the upstream, in order.
    pub request: Vec<HeaderChange>,
    /// Query parameters to set, replacing those of the same name; not yet percent-encoded.
    pub query_set: Vec<(Box<str>, Box<str>)>,
    /// Query parameters to remove.
    pub query_remove: Vec<Box<str>>,
    /// Cookies to remove from the request.
    pub cookies_remove: Vec<Box<str>>,
    /// Fields that are added to the answer, such as `Set-Cookie`.
    pub answer: Vec<(HeaderName, HeaderValue)>,
    /// Further changes to the answer's fields, in order and before `answer`.
    pub answer_changes: Vec<AnswerChange>,
    /// Why nobody could decide, where it passes all the same.
    pub undecided: Option<Reason>,
    /// Whether it is good only for whoever shows a key that the identity's `cnf` names.
    pub is_bound: bool,
}

/// A change to an answer's header fields by what is there when the answer comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnswerChange {
    /// Replaces every field of the name, or adds one.
    Set(HeaderName, HeaderValue),
    /// Replaces every field of the name; nothing if there is none.
    SetIfPresent(HeaderName, HeaderValue),
    /// Adds a field unless there is one of the name.
    AddIfAbsent(HeaderName, HeaderValue),
}

impl AnswerChange {
    /// The field that it may write, and what.
    pub const fn field(&self) -> (&HeaderName, &HeaderValue) {
        match self {
            Self::Set(name, value)
            | Self::SetIfPresent(name, value)
            | Self::AddIfAbsent(name, value) => (name, value),
        }
    }

    /// Makes it.
    pub fn apply(&self, headers: &mut HeaderMap) {
        match self {
            Self::Set(name, value) => {
                headers.insert(name, value.clone());
            }
            Self::SetIfPresent(name, value) if headers.contains_key(name) => {
                headers.insert(name, value.clone());
            }
            Self::AddIfAbsent(name, value) if !headers.contains_key(name) => {
                headers.insert(name, value.clone());
            }
            Self::SetIfPresent(..) | Self::AddIfAbsent(..) => {}
        }
    }
}

/// A change to a request's header fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderChange {
    /// Replaces the field, under every spelling that some server folds together.
    Set(HeaderName, HeaderValue),
    /// Adds another field of the name.
    Append(HeaderName, HeaderValue),
    /// Adds a field unless there is one of the name by then.
    AddIfAbsent(HeaderName, HeaderValue),
    /// Replaces the field as [`Self::Set`] does; nothing if there is none by then.
    SetIfPresent(HeaderName, HeaderValue),
    /// Removes the field, under every spelling.
    Remove(HeaderName),
}

/// What comes with a refusal.
#[derive(Clone, Debug)]
pub struct Denial {
    /// Why.
    pub reason: Reason,
    /// What the client gets.
    pub answer: DenialAnswer,
    /// What went wrong where nobody decided, for the log.
    pub fault: Option<Arc<str>>,
    /// Whom it refuses, if that was proved.
    pub whose: Option<Arc<Identity>>,
    /// `Set-Cookie` values that go with it: what is of no use is taken from the browser, what was
    /// renewed is given.
    pub cookies: Vec<HeaderValue>,
}

/// What a refused client gets.
#[derive(Clone, Debug)]
pub enum DenialAnswer {
    /// An answer of ours, by the reason, with these challenges as `WWW-Authenticate`.
    Own(Vec<HeaderValue>),
    /// An answer of ours with this status, whatever the reason.
    OwnWith(StatusCode),
    /// What an authorizer answered, as it is.
    Theirs(Response<Bytes>),
    /// A login by one of these policies, where the request is a browser's navigation; else an
    /// answer of ours that says where one begins, with these challenges of other policies.
    Login {
        /// Never empty; in the order of the route.
        offers: Vec<LoginOffer>,
        /// What else would serve, as `WWW-Authenticate`.
        challenges: Vec<HeaderValue>,
    },
}

/// A login that may begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginOffer {
    /// By which policy.
    pub policy: Arc<str>,
    /// `acr_values` in place of the policy's own, where a route requires more of a login than
    /// there was (step-up); empty: the policy's own.
    pub acr_values: Vec<Arc<str>>,
    /// `max_age` in place of the policy's own.
    pub age_max: Option<Duration>,
}

impl LoginOffer {
    /// A login as the policy has it.
    pub const fn of(policy: Arc<str>) -> Self {
        Self {
            policy,
            acr_values: Vec::new(),
            age_max: None,
        }
    }
}

/// Why a request is refused: `edgespan.auth.reason` of its spans, a word of low cardinality.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It carries nothing that proves anything.
    NoCredential,
    /// What it carries proves nothing: wrong, unknown, malformed or expired.
    BadCredential,
    /// It is known who it is, and that one may not.
    Forbidden,
    /// It is known who it is, and that has to be proved in a stronger way (`acr`, `amr`).
    StepUp,
    /// The authorizer refused it.
    Refused,
    /// The authorizer could not be asked.
    Unavailable,
    /// The authorizer did not answer in time.
    Timeout,
    /// The authorizer's answer makes no sense.
    BadAnswer,
    /// The expression of `allow` is false.
    NotAllowed,
    /// The expression of `allow` could not be evaluated, or is no boolean.
    AllowFailed,
    /// The body is larger than the authorizer may get.
    BodyTooLarge,
}

impl Reason {
    /// As spans, metrics and logs have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoCredential => "no_credential",
            Self::BadCredential => "bad_credential",
            Self::Forbidden => "forbidden",
            Self::StepUp => "step_up",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::BadAnswer => "bad_answer",
            Self::NotAllowed => "not_allowed",
            Self::AllowFailed => "allow_failed",
            Self::BodyTooLarge => "body_too_large",
        }
    }
}

impl Verdict {
    /// Allows, with this identity.
    pub fn allow(identity: Identity) -> Self {
        Self::Allow(Box::new(Grant {
            identity: Some(Arc::new(identity)),
            ..Grant::default()
        }))
    }

    /// Refuses with an answer of ours.
    pub fn deny(reason: Reason) -> Self {
        Self::Deny(Box::new(Denial::own(reason)))
    }

    /// Leaves it to others.
    pub fn abstain(reason: Reason) -> Self {
        Self::Abstain(Box::new(Denial::own(reason)))
    }

    /// As spans and metrics have it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Allow(_) => "allow",
            Self::Deny(denial) => denial.name(),
            Self::Abstain(_) => "abstain",
        }
    }

    /// Why it does not allow; or, where it allows since nobody could decide, why nobody could.
    pub const fn reason(&self) -> Option<Reason> {
        match self {
            Self::Allow(grant) => grant.undecided,
            Self::Deny(denial) | Self::Abstain(denial) => Some(denial.reason),
        }
    }
}

impl Denial {
    /// As spans and metrics have it: `deny`, `redirect` where the client is sent elsewhere, and
    /// `timeout` or `error` where nobody decided.
    pub fn name(&self) -> &'static str {
        match (self.reason, &self.answer) {
            (Reason::Timeout, _) => "timeout",
            (Reason::Unavailable | Reason::BadAnswer, _) => "error",
            (_, DenialAnswer::Theirs(answer)) if answer.status().is_redirection() => "redirect",
            _ => "deny",
        }
    }

    /// With an answer of ours and no challenge.
    pub const fn own(reason: Reason) -> Self {
        Self::new(reason, DenialAnswer::Own(Vec::new()))
    }

    /// With this answer, and nothing beside.
    pub const fn new(reason: Reason, answer: DenialAnswer) -> Self {
        Self {
            reason,
            answer,
            fault: None,
            whose: None,
            cookies: Vec::new(),
        }
    }

    /// The same where a permission came to nothing: of whom it was granted to, and with its cookies.
    /// A session's tokens were renewed whatever is decided then, the old ones are of no use any
    /// more, and the browser has to learn of it.
    #[must_use]
    pub fn after(mut self, grant: &Grant) -> Self {
        self.whose = self.whose.or_else(|| grant.identity.clone());
        let fields = grant.answer.iter();
        let set = fields.filter(|(name, _)| *name == SET_COOKIE);
        self.cookies.extend(set.map(|(_, cookie)| cookie.clone()));
        self
    }
}
