//! Logins, as the configuration says.

use crate::auth::jose::Algorithm;
use crate::auth::provider::{OidcClient, ProviderSettings};
use crate::auth::seal::SealKey;
use crate::auth::session::{RefreshRules, SessionSettings};
use http::HeaderName;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// One policy of login.
#[derive(Clone, Debug, PartialEq)]
pub struct OidcSettings {
    /// Who logs in.
    pub provider: ProviderSettings,
    /// Who we are to it.
    pub client: OidcClient,
    /// What its button says, where several providers may be chosen.
    pub label: Arc<str>,
    /// `scope`, `openid` among them.
    pub scopes: Vec<Arc<str>>,
    /// By which algorithms ID tokens may be signed. Never empty.
    pub algorithms: Vec<Algorithm>,
    /// `acr_values` of every login.
    pub acr_values: Vec<Arc<str>>,
    /// `prompt` of every login.
    pub prompt: Option<Arc<str>>,
    /// `max_age` of every login; older ones are asked anew.
    pub login_age_max: Option<Duration>,
    /// Further parameters of the authorization request.
    pub parameters: Vec<(Arc<str>, Arc<str>)>,
    /// Whether requests are left at the provider beforehand: None: where it offers it.
    pub pushed: Option<bool>,
    /// Whether userinfo is asked.
    pub userinfo: bool,
    /// The claim that names the subject, by its path.
    pub subject: Box<[Box<str>]>,
    /// The claims that hold groups, by their paths.
    pub groups: Vec<Box<[Box<str>]>>,
    /// How far clocks may be apart.
    pub leeway: Duration,
    /// When tokens are renewed; None: never.
    pub refresh: Option<RefreshRules>,
    /// Which tokens of a session the origin gets.
    pub pass: Vec<PassToken>,
    /// How a logout goes.
    pub logout: LogoutRules,
    /// Whether its provider leads back to an address of its own.
    pub own_callback: bool,
}

/// A token of a session that the origin gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassToken {
    /// Whether it is the ID token; else the access token.
    pub is_id_token: bool,
    /// Where: `Authorization: Bearer`, or a header that holds it alone. What a client says there
    /// itself is removed first.
    pub header: HeaderName,
}

/// How a logout goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutRules {
    /// Whether the provider's own session ends, too (RP-Initiated Logout 1.0).
    pub at_provider: bool,
    /// Whether tokens are given back (RFC 7009).
    pub revoke: bool,
}

/// What the logins of a file share.
#[derive(Clone, Debug, PartialEq)]
pub struct LoginSettings {
    /// Where edgespan's own paths begin: `/oauth2`.
    pub path: Arc<str>,
    /// The origin that providers lead back to, for applications on several hosts; None: that of
    /// the request.
    pub callback_origin: Option<Url>,
    /// Keys that seal, the newest first; empty: one that is made at the start.
    pub keys: Vec<SealKey>,
    /// How sessions are kept.
    pub session: SessionSettings,
    /// Where a login may lead back to, beside its own origin.
    pub return_to: ReturnTargets,
    /// Logins that a browser may have begun at a time.
    pub flows_max: usize,
    /// How long a login may take.
    pub flow_ttl: Duration,
    /// How often in a row a login may be begun without a session coming of it.
    pub attempts_max: u32,
    /// The pages.
    pub pages: PageSettings,
}

/// Where a login may lead back to, beside the origin that it began at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReturnTargets {
    /// Origins, exactly.
    pub origins: Vec<url::Origin>,
    /// Every host of a domain, by `https`: without the dot in front.
    pub domains: Vec<Box<str>>,
}

/// How pages look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageSettings {
    /// A whole page with `{{title}}` and `{{content}}` in it; None: ours.
    pub template: Option<Arc<str>>,
    /// Whose site it is, as pages name it; None: its host.
    pub site: Option<Arc<str>>,
}
