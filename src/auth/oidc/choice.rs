//! The provider that a browser chose last: the first one next time.

use super::Logins;
use super::cookies;
use super::site::Site;
use crate::auth::seal::Purpose;
use http::{HeaderMap, HeaderValue};
use std::time::Duration;

/// The cookie's name, and what its value is bound to.
const COOKIE: &str = "choice";
/// How long a choice is remembered.
const REMEMBERED: Duration = Duration::from_hours(365 * 24);

impl Logins {
    /// The policy that this browser logged in by last.
    pub fn last_choice(&self, site: &Site, headers: &HeaderMap) -> Option<String> {
        let settings = &self.settings.session.cookie;
        let sealed = cookies::value(headers, settings, site.is_secure(), COOKIE)?;
        let plain = self
            .sealer
            .open(Purpose::Choice, COOKIE, sealed.as_bytes())?;
        String::from_utf8(plain).ok()
    }

    /// `Set-Cookie` that remembers a choice, where there is one.
    pub fn remember_choice(&self, policy: &str, site: &Site) -> Option<HeaderValue> {
        if self.policies.len() < 2 {
            return None;
        }
        let sealed = self.sealer.seal(Purpose::Choice, COOKIE, policy.as_bytes());
        let settings = &self.settings.session.cookie;
        cookies::set(settings, site.is_secure(), COOKIE, &sealed, REMEMBERED)
    }
}
