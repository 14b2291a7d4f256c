//! Who is logged in, for pages of the site itself: never a token, and nothing for other sites.

use super::{Asking, Parameters, begin, page};
use crate::auth::oidc::Oidc;
use crate::auth::session::{Found, Session};
use crate::proxy::answer;
use crate::proxy::body::Body;
use crate::proxy::context::RequestContext;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, SET_COOKIE, VARY};
use http::{HeaderName, HeaderValue, Response};
use serde_json::{Map, Value, json};
use std::sync::Arc;

const CORP: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
/// Largest answer, in bytes; larger claims are left out.
const BYTES_MAX: usize = 64 * 1024;

/// Tells of the session of the policy that is asked for, or of the first one that has one.
pub(super) async fn answer(
    context: &mut RequestContext,
    asking: &Asking<'_>,
    parameters: &Parameters<'_>,
) -> Response<Body> {
    let logins = asking.logins;
    let policies: Vec<Arc<Oidc>> = match parameters.one("policy") {
        Some(name) => logins.policy(name).cloned().into_iter().collect(),
        None => logins.policies.clone(),
    };
    let (now, secure) = (context.watch.now(), asking.site.is_secure());
    let mut of_no_use = Vec::new();
    for policy in &policies {
        let found = logins
            .sessions
            .find(asking.headers, &policy.name, secure, now);
        match found.await {
            Found::Live { session, renew } => {
                let mut response = told(policy, &session);
                for cookie in renew {
                    response.headers_mut().append(SET_COOKIE, cookie);
                }
                return response;
            }
            Found::Nothing { clear } => of_no_use.extend(clear),
            Found::Unavailable => return page::failed(context, &answer::AUTH_UNAVAILABLE, &[]),
        }
    }
    let offers = policies
        .iter()
        .map(|policy| crate::auth::LoginOffer::of(Arc::clone(&policy.name)));
    let offers: Vec<_> = offers.collect();
    let start = begin::start_url(logins, asking.site, &offers, &asking.site.origin());
    let asked = begin::asked_to_log_in(context, Some(&start), Vec::new());
    page::with_cookies(asked, of_no_use)
}

fn told(policy: &Oidc, session: &Session) -> Response<Body> {
    let (subject, groups) = policy
        .person(session)
        .unwrap_or_else(|| (Arc::clone(&session.subject), Vec::new()));
    let groups: Vec<&str> = groups.iter().map(|group| &**group).collect();
    let said = json!({
        "subject": &*subject,
        "policy": &*policy.name,
        "issuer": &*session.issuer,
        "email": session.claims.get("email"),
        "groups": groups,
        "since": session.began,
        "claims": bounded(&session.claims),
    });
    let mut text = said.to_string();
    text.push('\n');
    let mut response = Response::new(Body::from(Bytes::from(text)));
    let headers = response.headers_mut();
    page::guard(headers);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(VARY, HeaderValue::from_static("cookie"));
    headers.insert(CORP, HeaderValue::from_static("same-origin"));
    response
}

/// Claims in their order, as long as there is room.
fn bounded(claims: &Map<String, Value>) -> Map<String, Value> {
    let mut room = BYTES_MAX;
    let mut kept = Map::new();
    for (name, value) in claims {
        let bytes = name.len() + value.to_string().len();
        if let Some(left) = room.checked_sub(bytes) {
            room = left;
            kept.insert(name.clone(), value.clone());
        }
    }
    kept
}
