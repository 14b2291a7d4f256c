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
    let returned = Returns::read(told("state"));
    let returns = Returns {
        alone: told("policy").or(returned.alone),
        back_to: told("rd").or(returned.back_to),
    };
    let is_meant = |policy: &Arc<Oidc>| returns.alone.is_none_or(|name| *policy.name == *name);
    let all = logins.policies.iter().cloned();
    let (policies, others): (Vec<Arc<Oidc>>, Vec<Arc<Oidc>>) = all.partition(is_meant);
    if !is_of_the_site(asking) {
        let brought = brought(context, asking, &policies).await;
        let now = context.watch.now();
        let proof = in_body.one("proof");
        let is_proved = proof.is_some_and(|proof| logins.proves_logout(proof, &brought.live, now));
        if brought.is_something && !is_proved {
            let proof = logins.logout_proof(&brought.live, now);
            return ask_first(
                context,
                asking,
                [returns.alone, returns.back_to, Some(&proof)],
            );
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
            let there = match leave(context, asking, policy, &session, returns).await {
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
    let to = to.or_else(|| leads_back(asking, returns.back_to));
    let response = to.and_then(|to| page::redirect(&to, is_post));
    let response = match response {
        Some(response) => response,
        None => {
            let goes_on = brought(context, asking, &others).await.of;
            logged_out(context, asking, unreached, &goes_on)
        }
    };
    page::with_cookies(response, cookies)
}

/// What a logout at a provider comes back with, in `state`. Without `alone` the way back of one
/// session's end would be a request to end the others.
#[derive(Clone, Copy)]
struct Returns<'a> {
    /// The policy whose session alone ended.
    alone: Option<&'a str>,
    /// Where it leads on to.
    back_to: Option<&'a str>,
}

impl<'a> Returns<'a> {
    /// No address has a space in it.
    fn read(state: Option<&'a str>) -> Self {
        let (alone, back_to) = match state.and_then(|state| state.rsplit_once(' ')) {
            Some((alone, back_to)) => (Some(alone), Some(back_to)),
            None => (None, state),
        };
        Self {
            alone,
            back_to: back_to.filter(|back_to| !back_to.is_empty()),
        }
    }

    fn state(self, asking: &Asking<'_>) -> Option<String> {
        let target = leads_back(asking, self.back_to);
        match self.alone {
            Some(alone) => Some(format!("{alone} {}", target.unwrap_or_default())),
            None => target,
        }
    }
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
    /// Their providers.
    of: Vec<Arc<str>>,
    /// Whether there is one, or nobody can tell.
    is_something: bool,
}

async fn brought(context: &RequestContext, asking: &Asking<'_>, policies: &[Arc<Oidc>]) -> Brought {
    let (now, secure) = (context.watch.now(), asking.site.is_secure());
    let mut brought = Brought {
        live: Vec::new(),
        of: Vec::new(),
        is_something: false,
    };
    for policy in policies {
        let sessions = &asking.logins.sessions;
        let found = sessions.find(asking.headers, &policy.name, secure, now);
        match found.await {
            Found::Live { session, .. } => {
                brought.live.push(session);
                brought.of.push(Arc::clone(&policy.settings.label));
            }
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
        &[action, Action::link("Stay logged in", "/")],
    )
}

/// `unreached` is a provider that was not told, `goes_on` those whose sessions were not to end.
fn logged_out(
    context: &RequestContext,
    asking: &Asking<'_>,
    unreached: Option<&str>,
    goes_on: &[Arc<str>],
) -> Response<Body> {
    let still = unreached
        .map(|provider| format!("{provider} cannot be reached: you may still be logged in there."));
    let others = goes_on
        .iter()
        .map(|provider| format!("Your login at {provider} goes on."));
    let further: Vec<String> = still.into_iter().chain(others).collect();
    let sentences: Vec<&str> = std::iter::once("You are logged out here.")
        .chain(further.iter().map(String::as_str))
        .collect();
    let site = asking.logins.settings.pages.site.as_deref();
    let back = format!("Back to {}", site.unwrap_or_else(|| asking.site.host()));
    let mut actions = vec![Action::link(back, "/")];
    if !goes_on.is_empty() {
        let all = asking.logins.paths.of(Endpoint::Logout);
        actions.push(Action::link("Log out there, too", all));
    }
    page::said(context, StatusCode::OK, "Logged out", &sentences, &actions)
}

/// A provider that does not answer. A browser that was sent there would see its own page of failure.
struct Away;

/// What is left to be done at the provider: tokens are given back, and the browser is sent there.
async fn leave(
    context: &mut RequestContext,
    asking: &Asking<'_>,
    policy: &Arc<Oidc>,
    session: &Session,
    returns: Returns<'_>,
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
    if let Some(state) = returns.state(asking) {
        query.append_pair("state", &state);
    }
    drop(query);
    Ok(Some(url))
}
