//! Which tokens are good for what, as the configuration says.

use crate::auth::jose::Algorithm;
use crate::auth::provider::{OidcClient, ProviderSettings};
use http::HeaderName;
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
