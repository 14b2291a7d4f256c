//! Who a session is of.

use super::settings::OidcSettings;
use crate::auth::jose::Claims;
use crate::auth::session::Session;
use crate::auth::{Identity, Proof, claims};
use std::sync::Arc;

/// Longest name of an account, in characters.
const NAME_CHARS_MAX: usize = 100;
/// Claims that a person knows an account by, the best first.
const NAMES: [&str; 4] = ["email", "preferred_username", "name", "sub"];

/// The identity that a session proves; None if it does not say whose it is.
pub(super) fn identity(
    settings: &OidcSettings,
    session: &Session,
    policy: &Arc<str>,
) -> Option<Identity> {
    let subject = subject(settings, &session.claims)?;
    Some(Identity {
        subject: Some(subject),
        groups: groups(settings, &session.claims),
        claims: session.claims.clone(),
        proof: Proof::Oidc,
        policy: Arc::clone(policy),
    })
}

/// What the file says names a person.
pub(super) fn subject(settings: &OidcSettings, claims: &Claims) -> Option<Arc<str>> {
    claims::subject(claims, &settings.subject)
}

/// Groups of all claims that the file says hold some.
pub(super) fn groups(settings: &OidcSettings, claims: &Claims) -> Vec<Arc<str>> {
    claims::groups(claims, &settings.groups)
}

/// What a person knows an account by, for pages.
pub(super) fn account(claims: &Claims) -> Option<String> {
    let told = NAMES
        .iter()
        .filter_map(|claim| claims.get(*claim)?.as_str());
    let told = told.map(str::trim).find(|text| !text.is_empty())?;
    let shown = told.chars().filter(|one| !one.is_control());
    Some(shown.take(NAME_CHARS_MAX).collect())
}
