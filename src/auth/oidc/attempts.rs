//! Logins in a row without a session coming of them: a loop ends with a page.
//!
//! A login that is complete leaves its number with the browser for a while. One that begins within
//! that time found no session that it could use, so it is the next in the row. Tabs that begin
//! side by side are each the first.

use super::Logins;
use super::cookies;
use super::site::Site;
use crate::auth::seal::Purpose;
use http::{HeaderMap, HeaderValue};
use std::time::Duration;

/// The cookie's name, and what its value is bound to.
const COOKIE: &str = "tries";
/// How long after a login another one counts as the next in a row. People need longer.
const IN_A_ROW: Duration = Duration::from_mins(1);

impl Logins {
    /// The how manieth in a row a login is that begins now. None: one more than there may be.
    pub fn attempt(&self, site: &Site, headers: &HeaderMap, now: u64) -> Option<u32> {
        let attempt = self.last(site, headers, now).map_or(1, |last| last + 1);
        (attempt <= self.settings.attempts_max.max(1)).then_some(attempt)
    }

    fn last(&self, site: &Site, headers: &HeaderMap, now: u64) -> Option<u32> {
        let settings = &self.settings.session.cookie;
        let sealed = cookies::value(headers, settings, site.is_secure(), COOKIE)?;
        let plain = self.sealer.open(Purpose::Flow, COOKIE, sealed.as_bytes())?;
        let text = String::from_utf8(plain).ok()?;
        let (attempt, at) = text.split_once(' ')?;
        let (attempt, at): (u32, u64) = (attempt.parse().ok()?, at.parse().ok()?);
        let is_fresh = now.saturating_sub(at) <= IN_A_ROW.as_secs();
        is_fresh.then_some(attempt.min(u32::MAX - 1))
    }

    /// `Set-Cookie` that leaves the number of a login that is complete.
    pub fn count(&self, attempt: u32, site: &Site, now: u64) -> Option<HeaderValue> {
        let plain = format!("{attempt} {now}");
        let sealed = self.sealer.seal(Purpose::Flow, COOKIE, plain.as_bytes());
        let settings = &self.settings.session.cookie;
        cookies::set(settings, site.is_secure(), COOKIE, &sealed, IN_A_ROW)
    }

    /// `Set-Cookie` that begins the row anew.
    pub fn begin_row(&self, site: &Site) -> Option<HeaderValue> {
        let settings = &self.settings.session.cookie;
        cookies::clear(settings, site.is_secure(), COOKIE)
    }
}
