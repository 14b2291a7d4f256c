//! The page where one of several providers is chosen.

use super::page::{self, Action};
use super::{Asking, Parameters, begin, now};
use crate::auth::LoginOffer;
use crate::auth::oidc::{Endpoint, Oidc};
use crate::proxy::answer;
use crate::proxy::body::Body;
use crate::proxy::context::RequestContext;
use http::{Response, StatusCode};
use std::sync::Arc;
use url::form_urlencoded;

/// Why somebody who came back from a provider is here again.
const OVER: &str = "That login is over: it took too long, was used before, or began in another \
                    browser.";

/// Shows it. The one that was chosen last comes first.
pub(super) async fn answer(
    context: &RequestContext,
    asking: &Asking<'_>,
    parameters: &Parameters<'_>,
) -> Response<Body> {
    let (logins, site) = (asking.logins, asking.site);
    let handle = parameters.one("flow").unwrap_or_default();
    let flow = logins.flow(handle, site.is_secure(), asking.headers).await;
    let flow = flow.filter(|flow| logins.is_in_time(flow, now(context)));
    let Some(flow) = flow else {
        let again = begin::start_url(logins, site, &[], &site.origin());
        let again = Action::link("Try again", again);
        return page::failed(context, &answer::LOGIN_EXPIRED, &[again]);
    };
    let named = |offer: &LoginOffer| logins.policy(&offer.policy);
    let mut policies: Vec<&Arc<Oidc>> = flow.offers.iter().filter_map(named).collect();
    let last = logins.last_choice(site, asking.headers);
    policies.sort_by_key(|policy| Some(&*policy.name) != last.as_deref());
    let start = logins.paths.of(Endpoint::Start);
    let actions: Vec<Action> = policies
        .into_iter()
        .map(|policy| {
            let mut query = form_urlencoded::Serializer::new(String::new());
            query.append_pair("flow", handle);
            query.append_pair("policy", &policy.name);
            let href = format!("{start}?{}", query.finish());
            Action::link(&*policy.settings.label, href)
        })
        .collect();
    let name = logins.settings.pages.site.as_deref();
    let title = format!("Log in to {}", name.unwrap_or_else(|| site.host()));
    let sentences: &[&str] = if flow.restarted {
        &[OVER, "Choose by whom."]
    } else {
        &["Choose by whom."]
    };
    page::said(context, StatusCode::OK, &title, sentences, &actions)
}
