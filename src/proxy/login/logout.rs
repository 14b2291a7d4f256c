//! A session ends: here, and at its provider (OpenID Connect RP-Initiated Logout 1.0).
//!
//! Whoever gets a browser to open an address must not log anybody out by that. So a request that a
//! page of this site has not visibly made is asked about; the page that asks holds a proof, and the
//! browser's own word is not needed where it comes back.

use super::page::{self, Action};
use super::told::{self, Whose};
use super::{Asking, Parameters};
use crate::auth::audit::{AuditResult, LogoutKind};
use crate::auth::oidc::{Endpoint, Oidc};
use crate::auth::provider::ProviderError;
use crate::auth::session::{Found, Session};
use crate::auth::{Reason, Verdict};
use crate::proxy::body::Body;
use crate::proxy::context::RequestContext;
use http::header::{ORIGIN, REFERER};
use http::{HeaderName, Response, StatusCode};
use std::sync::Arc;
use tracing::{info, warn};
use url::Url;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Ends the sessions of this browser, or asks first.
pub(super) async fn answer(
    context: &mut RequestContext,
    asking: &Asking<'_>,
    is_post: bool,
    query: Option<&str>,
    body: &[u8],
) -> Response<Body> {
    let in_query = Parameters::of(query);
    let in_body = Parameters::of_bytes(if is_post { body } else { &[] });
    let told = |name: &str| in_body.one(name).or_else(|| in_query.one(name));
    let logins = asking.logins;
    let policies: Vec<Arc<Oidc>> = match told("policy") {
        Some(name) => logins.policy(name).cloned().into_iter().collect(),
        None => logins.policies.clone(),
    };
    // What a provider leads back with after a logout there.
    let back_to = told("rd").or_else(|| told("state"));
    if !is_of_the_site(asking) {
        let brought = brought(context, asking, &policies).await;
        let now = context.watch.now();
        let proof = in_body.one("proof");
        let is_proved = proof.is_some_and(|proof| logins.proves_logout(proof, &brought.live, now));
        if brought.is_something && !is_proved {
            let proof = logins.logout_proof(&brought.live, now);
            return ask_first(context, asking, [told("policy"), told("rd"), Some(&proof)]);
        }
    }
    let (mut cookies, mut elsewhere, mut unreached) = (Vec::new(), None, None);
    for policy in &policies {
        let sessions = &logins.sessions;
        let secure = asking.site.is_secure();
        let (session, gone) = sessions.end(asking.headers, &policy.name, secure).await;
        cookies.extend(gone);
        if let Some(session) = session {
            info!(policy = &*policy.name, "somebody has logged out");
            let there = match leave(context, asking, policy, &session, told("rd")).await {
                Ok(there) => there,
                Err(Away) => {
                    unreached = Some(&*policy.settings.label);
                    None
                }
            };
            let kind = match &there {
                Some(_) => LogoutKind::RpInitiated,
                None => LogoutKind::Local,
            };
            let whose = Whose::Session(&session);
            told::logout(context, asking, kind, policy, whose, AuditResult::Success);
            elsewhere = elsewhere.or(there);
        }
    }
    let to = elsewhere.map(String::from);
    let to = to.or_else(|| leads_back(asking, back_to));
    let response = to.and_then(|to| page::redirect(&to, is_post));
    let response = response.unwrap_or_else(|| logged_out(context, asking, unreached));
    page::with_cookies(response, cookies)
}

/// Where the logout leads back to, if it was told.
fn leads_back(asking: &Asking<'_>, told: Option<&str>) -> Option<String> {
    let told = told?;
    asking
        .logins
        .target(Some(told), asking.site)
        .map(String::from)
}

/// Whether a page of this site has visibly made the request, or nobody's page has. Other hosts of
/// the same domain are of the site where they share its sessions.
fn is_of_the_site(asking: &Asking<'_>) -> bool {
    let headers = asking.headers;
    if headers.contains_key(SEC_FETCH_SITE) {
        let shares = asking.logins.settings.session.cookie.domain.is_some();
        let mut told = headers.get_all(SEC_FETCH_SITE).iter();
        return told.all(|site| match site.as_bytes() {
            b"same-origin" | b"none" => true,
            b"same-site" => shares,
            _ => false,
        });
    }
    if let Some(origin) = headers.get(ORIGIN) {
        return *origin == *asking.site.origin();
    }
    // Nothing at all is what an old browser says of a link whose page keeps its address to itself.
    let referer = headers.get(REFERER);
    let referer = referer.and_then(|value| Url::parse(value.to_str().ok()?).ok());
    referer.is_some_and(|from| from.origin().ascii_serialization() == asking.site.origin())
}

/// What a request brings of sessions.
struct Brought {
    live: Vec<Arc<Session>>,
    /// Whether there is one, or nobody can tell.
    is_something: bool,
}

async fn brought(context: &RequestContext, asking: &Asking<'_>, policies: &[Arc<Oidc>]) -> Brought {
    let (now, secure) = (context.watch.now(), asking.site.is_secure());
    let mut brought = Brought {
        live: Vec::new(),
        is_something: false,
    };
    for policy in policies {
        let sessions = &asking.logins.sessions;
        let found = sessions.find(asking.headers, &policy.name, secure, now);
        match found.await {
            Found::Live { session, .. } => brought.live.push(session),
            Found::Unavailable => {}
            Found::Nothing { .. } => continue,
        }
        brought.is_something = true;
    }
    brought
}

/// `given` is what comes back with the answer: `policy`, `rd` and the proof.
fn ask_first(
    context: &RequestContext,
    asking: &Asking<'_>,
    given: [Option<&str>; 3],
) -> Response<Body> {
    let names = ["policy", "rd", "proof"].into_iter();
    let fields = names
        .zip(given)
        .filter_map(|(name, value)| Some((name, value?.to_owned())));
    let action = Action::Post {
        label: "Log out".to_owned(),
        href: asking.logins.paths.of(Endpoint::Logout),
        fields: fields.collect(),
    };
    page::said(
        context,
        StatusCode::OK,
        "Log out?",
        &["You were not led here by a page of this site."],
        &[action, Action::link("Stay signed in", "/")],
    )
}

/// `unreached` is a provider that was not told.
fn logged_out(
    context: &RequestContext,
    asking: &Asking<'_>,
    unreached: Option<&str>,
) -> Response<Body> {
    let still = unreached
        .map(|provider| format!("{provider} cannot be reached: you may still be signed in there."));
    let sentences: Vec<&str> = std::iter::once("You are logged out here.")
        .chain(still.as_deref())
        .collect();
    let site = asking.logins.settings.pages.site.as_deref();
    let back = format!("Back to {}", site.unwrap_or_else(|| asking.site.host()));
    page::said(
        context,
        StatusCode::OK,
        "Logged out",
        &sentences,
        &[Action::link(back, "/")],
    )
}

/// A provider that does not answer. A browser that was sent there would see its own page of failure.
struct Away;

/// What is left to be done at the provider: tokens are given back, and the browser is sent there.
async fn leave(
    context: &mut RequestContext,
    asking: &Asking<'_>,
    policy: &Arc<Oidc>,
    session: &Session,
    back_to: Option<&str>,
) -> Result<Option<Url>, Away> {
    let rules = &policy.settings.logout;
    if !rules.at_provider && !rules.revoke {
        return Ok(None);
    }
    let mut recorder = asking.means.recorder(context);
    let mut span = recorder.decision(&policy.name);
    let metadata = policy.provider.metadata(Some(&mut span)).await;
    let metadata = match metadata {
        Ok(metadata) => metadata,
        Err(fault) => {
            warn!(policy = &*policy.name, fault = %fault, "a logout did not reach its provider");
            span.decide(&Verdict::deny(Reason::Unavailable));
            return Err(Away);
        }
    };
    let token = session.tokens.refresh.as_ref();
    let token = token.or(session.tokens.access.as_ref());
    if let Some(token) = token.filter(|_| rules.revoke && metadata.revocation.is_some()) {
        let client = &policy.settings.client;
        let revoked = policy.provider.revoke(client, token, Some(&mut span));
        if let Err(fault) = revoked.await {
            warn!(policy = &*policy.name, fault = %fault, "a token was not given back");
            if matches!(fault, ProviderError::Unavailable(_)) {
                span.decide(&Verdict::deny(Reason::Unavailable));
                return Err(Away);
            }
        }
    }
    span.decide(&Verdict::Allow(Box::default()));
    let end_session = metadata.end_session.clone();
    let Some(mut url) = end_session.filter(|_| rules.at_provider) else {
        return Ok(None);
    };
    let logout = asking.logins.paths.of(Endpoint::Logout);
    let mut query = url.query_pairs_mut();
    if let Some(id) = &session.tokens.id {
        query.append_pair("id_token_hint", id.expose());
    }
    query.append_pair("client_id", &policy.settings.client.id);
    let origin = asking.site.origin();
    query.append_pair("post_logout_redirect_uri", &format!("{origin}{logout}"));
    if let Some(target) = leads_back(asking, back_to) {
        query.append_pair("state", &target);
    }
    drop(query);
    Ok(Some(url))
}
