//! A session ends: here, and at its provider (OpenID Connect RP-Initiated Logout 1.0).

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

/// Ends the sessions of this browser, or asks first: another site must not log anybody out.
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
    if !is_of_the_site(asking, is_post) && has_session(context, asking, &policies).await {
        return ask_first(context, asking, told("policy"), told("rd"));
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

/// Whether the request comes from a page of this site, or from nobody's.
fn is_of_the_site(asking: &Asking<'_>, is_post: bool) -> bool {
    if asking.headers.contains_key(SEC_FETCH_SITE) {
        let own = ["same-origin", "same-site", "none"];
        let mut told = asking.headers.get_all(SEC_FETCH_SITE).iter();
        return told.all(|site| own.iter().any(|one| site == one));
    }
    match asking.headers.get(ORIGIN) {
        Some(origin) => *origin == *asking.site.origin(),
        // Browsers that say neither send no form of another site, and no cookie of ours with
        // anything but a navigation: that one is asked about unless a page of ours led here.
        None if is_post => true,
        None => {
            let referer = asking.headers.get(REFERER);
            let referer = referer.and_then(|value| Url::parse(value.to_str().ok()?).ok());
            referer.is_none_or(|from| from.origin().ascii_serialization() == asking.site.origin())
        }
    }
}

async fn has_session(
    context: &RequestContext,
    asking: &Asking<'_>,
    policies: &[Arc<Oidc>],
) -> bool {
    let now = context.watch.now();
    for policy in policies {
        let secure = asking.site.is_secure();
        let sessions = &asking.logins.sessions;
        let found = sessions.find(asking.headers, &policy.name, secure, now);
        if !matches!(found.await, Found::Nothing { .. }) {
            return true;
        }
    }
    false
}

fn ask_first(
    context: &RequestContext,
    asking: &Asking<'_>,
    policy: Option<&str>,
    back_to: Option<&str>,
) -> Response<Body> {
    let given = [("policy", policy), ("rd", back_to)];
    let fields = given
        .into_iter()
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
        &["Another site has asked to log you out of this one."],
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
