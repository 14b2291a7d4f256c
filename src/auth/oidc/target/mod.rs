//! Where a login leads back to: the site that it began at, or one that the file lists.
//!
//! What a browser will make of a text decides, not the text: it is parsed by the WHATWG rules that
//! browsers go by, and what those rules repair (tabs, backslashes, blanks around it) is refused.

use crate::auth::oidc::settings::ReturnTargets;
use crate::auth::oidc::site::Site;
use url::{Host, Url};

/// Longest one, in bytes.
pub const TARGET_BYTES_MAX: usize = 2 * 1024;

/// Reads a target. None: it leads elsewhere, or says so in a way that not everybody reads alike.
pub(super) fn read(text: &str, site: &Site, listed: &ReturnTargets) -> Option<Url> {
    let repaired = |character: char| character.is_control() || " \\\u{feff}".contains(character);
    if text.is_empty() || text.len() > TARGET_BYTES_MAX || text.contains(repaired) {
        return None;
    }
    let own = site.url()?;
    let target = own.join(text).ok()?;
    let is_web = matches!(target.scheme(), "http" | "https");
    let names_somebody = !target.username().is_empty() || target.password().is_some();
    if !is_web || names_somebody || target.as_str().len() > TARGET_BYTES_MAX {
        return None;
    }
    let is_own = target.origin() == own.origin();
    (is_own || is_listed(&target, listed)).then_some(target)
}

fn is_listed(target: &Url, listed: &ReturnTargets) -> bool {
    if listed.origins.contains(&target.origin()) {
        return true;
    }
    let Some(Host::Domain(host)) = target.host() else {
        return false;
    };
    let below = |domain: &str| {
        let before = host.strip_suffix(domain);
        before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
    };
    target.scheme() == "https"
        && target.port().is_none()
        && listed.domains.iter().any(|domain| below(domain))
}

#[cfg(test)]
mod corpus;
#[cfg(test)]
mod tests;
