//! Who a session is of.

use super::settings::OidcSettings;
use crate::auth::jose::Claims;
use crate::auth::session::Session;
use crate::auth::{Identity, Proof, claims};
use std::sync::Arc;

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
