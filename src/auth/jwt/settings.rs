//! Which tokens are good for what, as the configuration says.

use crate::auth::jose::Algorithm;
use crate::auth::provider::{OidcClient, ProviderSettings};
use crate::auth::{Grant, HeaderChange};
use http::HeaderName;
use http::header::AUTHORIZATION;
use std::sync::Arc;
use std::time::Duration;

/// Which tokens prove something.
#[derive(Clone, Debug, PartialEq)]
pub struct JwtSettings {
    /// Whose, in the file's order. Never empty; `iss` tells which.
    pub issuers: Vec<JwtIssuer>,
    /// Where a request carries one. Two tokens in one request are refused. Never empty.
    pub from: Vec<TokenPlace>,
    /// `typ` that tokens may have, without `application/`, in lower case; empty: whatever.
    pub types: Vec<Arc<str>>,
    /// How far clocks may be apart.
    pub leeway: Duration,
    /// How old a token may be by `iat`; None: as old as it is valid.
    pub age_max: Option<Duration>,
    /// How many verified tokens are remembered.
    pub entries: usize,
    /// The claim that names the subject, by its path.
    pub subject: Box<[Box<str>]>,
    /// The claims that hold groups, by their paths.
    pub groups: Vec<Box<[Box<str>]>>,
    /// Whether the upstream gets the token, too.
    pub forward: bool,
}

impl JwtSettings {
    /// What takes the token out of a request that it let pass.
    pub(super) fn removals(&self) -> Grant {
        let mut grant = Grant::default();
        if !self.forward {
            self.empty(&mut grant, true);
        }
        grant
    }

    /// Has its places emptied where another policy allowed. `Authorization` is left alone: it may
    /// hold that one's credential.
    pub(in crate::auth) fn take_out(&self, grant: &mut Grant) {
        if !self.forward {
            self.empty(grant, false);
        }
    }

    fn empty(&self, grant: &mut Grant, with_authorization: bool) {
        for place in &self.from {
            match place {
                TokenPlace::Bearer if !with_authorization => {}
                TokenPlace::Bearer => take(grant, AUTHORIZATION),
                TokenPlace::Header(name) => take(grant, name.clone()),
                TokenPlace::Cookie(name) => add(&mut grant.cookies_remove, name),
                TokenPlace::Query(name) => add(&mut grant.query_remove, name),
            }
        }
    }
}

/// Before what others write there.
fn take(grant: &mut Grant, name: HeaderName) {
    let remove = HeaderChange::Remove(name);
    if !grant.request.contains(&remove) {
        grant.request.insert(0, remove);
    }
}

fn add(names: &mut Vec<Box<str>>, name: &str) {
    if !names.iter().any(|one| **one == *name) {
        names.push(name.into());
    }
}

/// One issuer whose tokens are taken.
#[derive(Clone, Debug, PartialEq)]
pub struct JwtIssuer {
    /// Who it is.
    pub provider: ProviderSettings,
    /// Whom tokens are for: one of these. Never empty.
    pub audiences: Vec<Arc<str>>,
    /// By which algorithms they may be signed. Never empty.
    pub algorithms: Vec<Algorithm>,
    /// How tokens that are no JWT are asked about; None: they prove nothing.
    pub introspection: Option<Introspection>,
}

/// How opaque tokens are asked about (RFC 7662).
#[derive(Clone, Debug, PartialEq)]
pub struct Introspection {
    /// Who asks.
    pub client: OidcClient,
    /// How long an answer counts at most, whatever it says.
    pub ttl: Duration,
    /// How long a refusal counts.
    pub negative_ttl: Duration,
    /// Whether a JWT is asked about as well, once it is verified, so that one that was revoked is
    /// refused.
    pub jwts_too: bool,
    /// Whether an answer has to say whom the token is for; else it may, and then it is checked.
    pub audience_required: bool,
}

/// Where a request carries a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenPlace {
    /// `Authorization: Bearer`.
    Bearer,
    /// A header that holds nothing else.
    Header(HeaderName),
    /// A cookie.
    Cookie(Box<str>),
    /// A query parameter.
    Query(Box<str>),
}
