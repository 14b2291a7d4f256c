//! What the provider keeps: who is logged in, and what was given out.

use super::ask::Parameters;
use super::shelf::Shelf;
use super::{Client, Settings};
use std::collections::BTreeMap;
use std::time::Duration;

const SESSION_LIFETIME: Duration = Duration::from_secs(12 * 3600);
const PENDING_LIFETIME: Duration = Duration::from_secs(600);
const PUSHED_LIFETIME: Duration = Duration::from_secs(60);
const CODE_LIFETIME: Duration = Duration::from_secs(60);
const REFRESH_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// Everything that is kept. Bounded: each shelf is.
#[derive(Debug)]
pub(super) struct State {
    pub(super) clients: BTreeMap<String, Client>,
    /// By what a browser's cookie says.
    pub(super) sessions: Shelf<Login>,
    /// Logins for which a browser looks at a page.
    pub(super) pending: Shelf<Pending>,
    /// Requests that were left beforehand, and by whom.
    pub(super) pushed: Shelf<(String, Parameters)>,
    pub(super) codes: Shelf<Code>,
    /// Codes that were redeemed, and what came of them.
    pub(super) used_codes: Shelf<String>,
    pub(super) access: Shelf<Grant>,
    pub(super) refresh: Shelf<Grant>,
    /// Refresh tokens that were used, and what came of them.
    pub(super) used_refresh: Shelf<String>,
    /// `jti` of tokens by which clients proved who they are.
    pub(super) used_proofs: Shelf<()>,
}

/// Somebody who is logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) subject: String,
    /// `sid`
    pub(super) sid: String,
    /// `auth_time`, in seconds.
    pub(super) at: u64,
    /// Whether a second factor was shown.
    pub(super) has_factor: bool,
    /// Clients that got something in it.
    pub(super) clients: Vec<String>,
}

/// A request for authorization that was found to be in order.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) client: String,
    pub(super) redirect: String,
    pub(super) state: Option<String>,
    pub(super) nonce: Option<String>,
    pub(super) scopes: Vec<String>,
    /// `code_challenge`, S256.
    pub(super) challenge: String,
    pub(super) wants_factor: bool,
    pub(super) prompt: Vec<String>,
    /// `max_age`, in seconds.
    pub(super) age_max: Option<u64>,
}

/// A login for which a browser looks at a page.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) request: Request,
    /// Who was chosen; the second factor is what is waited for.
    pub(super) person: Option<String>,
}

/// What a client may have of somebody.
#[derive(Clone, Debug)]
pub(super) struct Grant {
    /// Everything that came of one login at one client has the same.
    pub(super) family: String,
    pub(super) client: String,
    pub(super) login: Login,
    pub(super) scopes: Vec<String>,
    pub(super) nonce: Option<String>,
}

/// A code.
#[derive(Clone, Debug)]
pub(super) struct Code {
    pub(super) grant: Grant,
    pub(super) redirect: String,
    pub(super) challenge: String,
}

impl State {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            clients: BTreeMap::new(),
            sessions: Shelf::new(SESSION_LIFETIME),
            pending: Shelf::new(PENDING_LIFETIME),
            pushed: Shelf::new(PUSHED_LIFETIME),
            codes: Shelf::new(CODE_LIFETIME),
            used_codes: Shelf::new(REFRESH_LIFETIME),
            access: Shelf::new(settings.access_lifetime),
            refresh: Shelf::new(REFRESH_LIFETIME),
            used_refresh: Shelf::new(REFRESH_LIFETIME),
            used_proofs: Shelf::new(PENDING_LIFETIME),
        }
    }

    /// Takes back everything that came of one login at one client.
    pub(super) fn revoke(&mut self, family: &str) {
        self.access.drain(|grant| grant.family == family);
        self.refresh.drain(|grant| grant.family == family);
    }

    /// Takes back everything that came of a login.
    pub(super) fn revoke_login(&mut self, sid: &str) {
        self.codes.drain(|code| code.grant.login.sid == sid);
        self.access.drain(|grant| grant.login.sid == sid);
        self.refresh.drain(|grant| grant.login.sid == sid);
    }
}
