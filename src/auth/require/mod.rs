//! What a client has to be, beside being known: scopes, groups, e-mail addresses, and how it logged
//! in.

use super::jwt::challenge;
use super::policy::{Means, PolicySettings};
use super::{Denial, DenialAnswer, Identity, LoginOffer, Reason};
use http::HeaderValue;
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Duration;

/// What has to hold of a client. All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Require {
    /// Scopes of its token: all of them.
    pub scopes: Vec<Arc<str>>,
    /// Groups: one of them. Empty: whatever.
    pub groups: Vec<Arc<str>>,
    /// E-mail addresses: one of them. Empty: whatever.
    pub emails: Vec<EmailPattern>,
    /// `acr`: one of them. Empty: whatever.
    pub acr: Vec<Arc<str>>,
    /// `amr`: all of them.
    pub amr: Vec<Arc<str>>,
}

/// Which e-mail addresses are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EmailPattern {
    /// This one. Its domain is in lower case.
    Address(Box<str>),
    /// Every one of exactly this domain, in lower case.
    Domain(Box<str>),
}

/// What a client lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// A scope.
    Scope,
    /// A group.
    Group,
    /// A verified e-mail address of those.
    Email,
    /// A login of that strength.
    Acr,
    /// A login by those means.
    Amr,
}

impl Lack {
    /// `edgespan.auth.lacks`
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scope => "scope",
            Self::Group => "group",
            Self::Email => "email",
            Self::Acr => "acr",
            Self::Amr => "amr",
        }
    }
}

impl EmailPattern {
    /// Reads `ada@example.com`, or `@example.com` for all of a domain. None: it is neither.
    pub fn parse(text: &str) -> Option<Self> {
        let (local, domain) = text.split_once('@')?;
        let is_host = |domain: &str| {
            let mut labels = domain.split('.');
            let is_label = |label: &str| {
                let mut bytes = label.bytes();
                !label.is_empty() && bytes.all(|one| one.is_ascii_alphanumeric() || one == b'-')
            };
            labels.all(is_label)
        };
        let is_text = |local: &str| {
            let mut characters = local.chars();
            characters.all(|one| !one.is_control() && !one.is_whitespace())
        };
        if !is_host(domain) || !is_text(local) {
            return None;
        }
        let domain = domain.to_ascii_lowercase();
        Some(if local.is_empty() {
            Self::Domain(domain.into())
        } else {
            Self::Address(format!("{local}@{domain}").into())
        })
    }

    /// Whether it means this address. One with more than one `@` is none: readers differ in where
    /// its domain begins.
    fn means(&self, address: &str) -> bool {
        let Some((local, domain)) = address.split_once('@') else {
            return false;
        };
        if local.is_empty() || domain.contains('@') {
            return false;
        }
        match self {
            Self::Domain(own) => own.eq_ignore_ascii_case(domain),
            Self::Address(own) => own.split_once('@').is_some_and(|(own_local, own_domain)| {
                own_local == local && own_domain.eq_ignore_ascii_case(domain)
            }),
        }
    }
}

impl Require {
    /// Whether nothing is required.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// What a client lacks first; None: nothing. Somebody of whom nothing is known lacks all. What
    /// more rights would help with comes before what another login would.
    pub fn lacking(&self, identity: Option<&Identity>) -> Option<Lack> {
        let nothing = Map::new();
        let claims = identity.map_or(&nothing, |identity| &identity.claims);
        let groups = identity.map_or(&[][..], |identity| &identity.groups);
        let holds = [
            (Lack::Scope, self.has_scopes(claims)),
            (
                Lack::Group,
                self.groups.is_empty() || self.groups.iter().any(|one| groups.contains(one)),
            ),
            (Lack::Email, self.has_email(claims)),
            (Lack::Acr, self.has_acr(claims)),
            (Lack::Amr, self.has_amr(claims)),
        ];
        let mut lacking = holds.into_iter().filter(|(_, holds)| !holds);
        lacking.next().map(|(lack, _)| lack)
    }

    /// `scope` is a text (RFC 8693, section 4.2), `scp` by some a list.
    fn has_scopes(&self, claims: &Map<String, Value>) -> bool {
        let told = claims.get("scope").or_else(|| claims.get("scp"));
        self.scopes.iter().all(|wanted| match told {
            Some(Value::String(text)) => text.split(' ').any(|one| *one == **wanted),
            Some(Value::Array(all)) => all.iter().any(|one| one == &**wanted),
            _ => false,
        })
    }

    fn has_email(&self, claims: &Map<String, Value>) -> bool {
        if self.emails.is_empty() {
            return true;
        }
        let is_verified = claims.get("email_verified") == Some(&Value::Bool(true));
        let address = claims.get("email").and_then(Value::as_str);
        let address = address.filter(|_| is_verified);
        address.is_some_and(|address| self.emails.iter().any(|one| one.means(address)))
    }

    fn has_acr(&self, claims: &Map<String, Value>) -> bool {
        let told = claims.get("acr").and_then(Value::as_str);
        self.acr.is_empty() || self.acr.iter().any(|one| Some(&**one) == told)
    }

    fn has_amr(&self, claims: &Map<String, Value>) -> bool {
        let told = claims.get("amr").and_then(Value::as_array);
        let told = told.map_or(&[][..], Vec::as_slice);
        self.amr
            .iter()
            .all(|wanted| told.iter().any(|one| one == &**wanted))
    }

    /// How a client that lacks this is refused, by the means of who knew it: a token is told what
    /// is lacking (RFC 6750, section 3.1; RFC 9470), a browser may log in once more.
    pub(super) fn denial(&self, lack: Lack, settings: &PolicySettings) -> Box<Denial> {
        let is_of_login = matches!(lack, Lack::Acr | Lack::Amr);
        let (reason, answer) = match (&settings.means, is_of_login) {
            (Means::Jwt(_), true) => (
                Reason::StepUp,
                DenialAnswer::Own(vec![self.stronger(&settings.name)]),
            ),
            (Means::Jwt(_), false) => (
                Reason::Forbidden,
                DenialAnswer::Own(vec![self.insufficient(&settings.name)]),
            ),
            (Means::Oidc(_), true) => {
                let offer = LoginOffer {
                    policy: Arc::clone(&settings.name),
                    acr_values: self.acr.clone(),
                    // The same session would bring the same means again.
                    age_max: (lack == Lack::Amr).then_some(Duration::ZERO),
                };
                let answer = DenialAnswer::Login {
                    offers: vec![offer],
                    challenges: Vec::new(),
                };
                (Reason::StepUp, answer)
            }
            _ => (Reason::Forbidden, DenialAnswer::Own(Vec::new())),
        };
        Box::new(Denial::new(reason, answer))
    }

    /// Has a login that may begin ask for the strength that is required.
    pub(super) fn ask_at_once(&self, denial: &mut Denial) {
        if let DenialAnswer::Login { offers, .. } = &mut denial.answer
            && !self.acr.is_empty()
        {
            for offer in offers {
                offer.acr_values.clone_from(&self.acr);
            }
        }
    }

    fn insufficient(&self, policy: &str) -> HeaderValue {
        let scopes = self.scope_text();
        challenge::bearer(
            policy,
            &[
                ("error", "insufficient_scope"),
                ("error_description", "the token is not good for this"),
                ("scope", scopes.as_deref().unwrap_or_default()),
            ],
        )
    }

    fn stronger(&self, policy: &str) -> HeaderValue {
        challenge::bearer(
            policy,
            &[
                ("error", "insufficient_user_authentication"),
                ("error_description", "a stronger login is required"),
                ("acr_values", &self.acr.join(" ")),
            ],
        )
    }

    /// The scopes as a challenge names them; None: there are none.
    pub(super) fn scope_text(&self) -> Option<String> {
        (!self.scopes.is_empty()).then(|| self.scopes.join(" "))
    }
}

#[cfg(test)]
mod tests;
