//! Login by OpenID Connect: authorization code with PKCE, against any provider.
//!
//! [`Oidc`] is one policy: it knows a session, or offers a login. [`Logins`] is what all policies
//! of a file share: the paths, the cookies, the logins that have begun.

mod attempts;
mod check;
mod choice;
mod complete;
pub mod cookies;
mod flow;
mod flows;
mod logout_proof;
mod logout_token;
mod paths;
mod person;
mod refreshes;
mod request;
mod settings;
mod site;
mod target;
#[cfg(test)]
mod testing;
pub mod ticket;
mod tickets;
mod used;

pub use complete::{LoginError, Unfinished};
pub use flow::{Flow, OFFERS_MAX, is_restarted};
pub use logout_token::{LoggedOut, LogoutTokenError};
pub use paths::{Endpoint, Paths};
pub use refreshes::Refreshes;
pub use request::{PROMPT_ACCOUNT, PROMPT_LOGIN};
pub use settings::{
    LoginSettings, LogoutRules, OidcSettings, PageSettings, PassToken, ReturnTargets,
};
pub use site::{Insecure, Site};
pub use target::TARGET_BYTES_MAX;
pub use tickets::{Redeemed, Unusable};

use super::audit::Audit;
use super::jose::Claims;
use super::provider::Provider;
use super::seal::Sealer;
use super::session::{Session, Sessions};
use http::HeaderMap;
use std::sync::Arc;
use tickets::TicketSearch;
use url::Url;
use used::Used;

/// One policy of login, at work.
pub struct Oidc {
    /// What it was made of.
    pub settings: OidcSettings,
    /// Who logs in.
    pub provider: Arc<Provider>,
    /// The policy's name.
    pub name: Arc<str>,
    /// Who is told of it.
    pub audit: Arc<Audit>,
    /// Where its sessions were renewed.
    pub refreshes: Refreshes,
}

/// What the logins of a file share, at work.
pub struct Logins {
    /// What the file says.
    pub settings: LoginSettings,
    /// What seals.
    pub sealer: Arc<Sealer>,
    /// Who is logged in.
    pub sessions: Arc<Sessions>,
    /// The policies, in the file's order.
    pub policies: Vec<Arc<Oidc>>,
    /// Our own paths.
    pub paths: Paths,
    /// Who is told of logins.
    pub audit: Arc<Audit>,
    used: Arc<Used>,
    tickets: TicketSearch,
}

impl Logins {
    /// Makes it. What was used once before a reload has been after it, too.
    pub fn new(
        settings: LoginSettings,
        sessions: Arc<Sessions>,
        policies: Vec<Arc<Oidc>>,
        audit: Arc<Audit>,
        before: Option<&Self>,
    ) -> Self {
        let own = policies.iter().filter(|one| one.settings.own_callback);
        let paths = Paths::new(&settings.path, own.map(|one| Arc::clone(&one.name)));
        Self {
            sealer: Arc::clone(sessions.sealer()),
            paths,
            tickets: TicketSearch::new(&settings.session.cookie.name),
            used: before.map_or_else(
                || Arc::new(Used::new(sessions.counts())),
                |before| Arc::clone(&before.used),
            ),
            settings,
            sessions,
            policies,
            audit,
        }
    }

    /// A policy by its name.
    pub fn policy(&self, name: &str) -> Option<&Arc<Oidc>> {
        self.policies.iter().find(|policy| *policy.name == *name)
    }

    /// Where a login may lead back to: what was asked for, if it stays on the site or is listed;
    /// else the front page. Our own paths lead nowhere.
    pub fn target(&self, asked: Option<&str>, site: &Site) -> Option<Url> {
        let asked = asked.and_then(|text| target::read(text, site, &self.settings.return_to));
        let leads_on = |target: &Url| self.paths.find(target.path()).is_none();
        asked.filter(leads_on).or_else(|| site.url())
    }

    /// Takes our cookies out of a request that goes on to somebody else.
    pub fn take_out(&self, headers: &mut HeaderMap) {
        cookies::take_out(headers, &self.settings.session.cookie);
    }
}

impl Oidc {
    /// Who a session of this policy is of, and the groups of that one.
    pub fn person(&self, session: &Session) -> Option<(Arc<str>, Vec<Arc<str>>)> {
        let subject = person::subject(&self.settings, &session.claims)?;
        Some((subject, person::groups(&self.settings, &session.claims)))
    }

    /// What a person knows the account of these claims by, for pages.
    pub fn account(&self, claims: &Claims) -> Option<String> {
        person::account(claims)
    }
}
