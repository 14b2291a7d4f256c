//! A login begins: because a request was refused, or because somebody asks for one.

use super::asker::Asker;
use super::page::{self, Action};
use super::{Asking, Means, Parameters, carry, now, told};
use crate::auth::audit::AuditResult;
use crate::auth::oidc::{Endpoint, Flow, Logins, OFFERS_MAX, PROMPT_ACCOUNT, PROMPT_LOGIN, Site};
use crate::auth::provider::ProviderError;
use crate::auth::{Denial, DenialAnswer, LoginOffer, Reason, Verdict};
use crate::proxy::answer;
use crate::proxy::body::Body;
use crate::proxy::context::RequestContext;
use http::header::WWW_AUTHENTICATE;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use std::sync::Arc;
use tracing::{error, warn};
use url::form_urlencoded;

/// Where a login begins, for whoever cannot be sent there.
const EDGESPAN_LOGIN: HeaderName = HeaderName::from_static("edgespan-login");
/// `WWW-Authenticate` of a refusal that a login would mend. No browser knows the scheme, so none
/// asks for a password.
const CHALLENGE: HeaderValue = HeaderValue::from_static("Cookie realm=\"login\"");
/// Longest list of `acr_values` that a link may ask for, in bytes.
const ACR_BYTES_MAX: usize = 512;

/// What a refused request gets, where a login would help.
pub(in crate::proxy) async fn refused(
    context: &mut RequestContext,
    parts: &Parts,
    upgrades: bool,
    offers: Vec<LoginOffer>,
    challenges: Vec<HeaderValue>,
) -> Response<Body> {
    let Some(logins) = context.live.logins.clone() else {
        return page::failed(context, &answer::AUTH_UNAVAILABLE, &[]);
    };
    let asker = Asker::of(parts, upgrades);
    let Ok(site) = Site::new(context.scheme, &context.host, context.server_port) else {
        warn!(
            host = &*context.host,
            "no login can begin by http: if a proxy in front ends TLS, `trusted_proxies` names it"
        );
        return match asker {
            Asker::Navigation | Asker::Form => page::failed(context, &answer::LOGIN_INSECURE, &[]),
            Asker::Program => asked_to_log_in(context, None, challenges),
        };
    };
    let asked = match asker {
        Asker::Navigation | Asker::Program => here(context, &logins, &site),
        // What a form leads to may not be there for GET: back to where the form was.
        Asker::Form => came_from(parts, &logins, &site),
    };
    if asker != Asker::Navigation {
        let start = start_url(&logins, &site, &offers, &asked);
        return if asker == Asker::Form {
            send_again(context, &start, challenges)
        } else {
            asked_to_log_in(context, Some(&start), challenges)
        };
    }
    let Some(mut flow) = Flow::begin(offers, asked, now(context)) else {
        error!("no randomness for a login");
        return page::failed(context, &answer::INTERNAL, &[]);
    };
    flow.carried = carry::taken(context, &parts.headers);
    let means = Means::of(context);
    let asking = Asking {
        logins: &logins,
        site: &site,
        means: &means,
        headers: &parts.headers,
    };
    let now = context.watch.elapsed();
    context.hand_over(now);
    let response = go(context, &asking, flow).await;
    context.take_back(context.watch.elapsed());
    response
}

/// The page that was asked for, absolute. Of one too long to be kept the query is lost.
pub(super) fn here(context: &RequestContext, logins: &Logins, site: &Site) -> String {
    let origin = site.origin();
    let target = &context.target;
    let whole = format!("{origin}{target}");
    let kept = if whole.len() > crate::auth::oidc::TARGET_BYTES_MAX {
        format!("{origin}{}", target.path())
    } else {
        whole
    };
    let target = logins.target(Some(&kept), site);
    target.map_or(origin, String::from)
}

/// The page that a form was on, if it is of the site; else the front page.
pub(super) fn came_from(parts: &Parts, logins: &Logins, site: &Site) -> String {
    let referer = parts.headers.get(http::header::REFERER);
    let referer = referer.and_then(|value| value.to_str().ok());
    let target = logins.target(referer, site);
    target.map_or_else(|| site.origin(), String::from)
}

/// The answer to whoever is not sent elsewhere: 401, and where a login begins.
pub(super) fn asked_to_log_in(
    context: &RequestContext,
    start: Option<&str>,
    challenges: Vec<HeaderValue>,
) -> Response<Body> {
    let mut response = page::failed(context, &answer::UNAUTHENTICATED, &[]);
    challenge(response.headers_mut(), start, challenges);
    response
}

/// The answer to a form.
fn send_again(
    context: &RequestContext,
    start: &str,
    challenges: Vec<HeaderValue>,
) -> Response<Body> {
    let mut response = page::said(
        context,
        StatusCode::UNAUTHORIZED,
        "Log in first",
        &[
            "You are not logged in, so what you have sent was not taken, and it is not kept.",
            "Log in, and send it again.",
        ],
        &[Action::link("Log in", start)],
    );
    challenge(response.headers_mut(), Some(start), challenges);
    response
}

fn challenge(headers: &mut HeaderMap, start: Option<&str>, challenges: Vec<HeaderValue>) {
    for challenge in std::iter::once(CHALLENGE).chain(challenges) {
        headers.append(WWW_AUTHENTICATE, challenge);
    }
    if let Some(start) = start.and_then(|start| HeaderValue::try_from(start).ok()) {
        headers.insert(EDGESPAN_LOGIN, start);
    }
}

/// Where a login by one of these policies begins, with where it leads back to.
pub(super) fn start_url(
    logins: &Logins,
    site: &Site,
    offers: &[LoginOffer],
    target: &str,
) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("rd", target);
    let names: Vec<&str> = offers.iter().map(|offer| &*offer.policy).collect();
    if !names.is_empty() {
        query.append_pair("policy", &names.join(","));
    }
    if let [offer] = offers {
        if !offer.acr_values.is_empty() {
            query.append_pair("acr_values", &offer.acr_values.join(" "));
        }
        if let Some(age) = offer.age_max {
            query.append_pair("max_age", &age.as_secs().to_string());
        }
    }
    let path = logins.paths.of(Endpoint::Start);
    format!("{}{path}?{}", site.origin(), query.finish())
}

/// `start`: somebody asks for a login, or has chosen by whom.
pub(super) async fn start(
    context: &mut RequestContext,
    asking: &Asking<'_>,
    parameters: &Parameters<'_>,
) -> Response<Body> {
    let logins = asking.logins;
    if let Some(flow) = chosen(context, asking, parameters).await {
        return go(context, asking, flow).await;
    }
    let names = parameters.one("policy");
    let mut offers = offers(logins, names);
    if let [offer] = &mut *offers {
        let acr_values = parameters.one("acr_values").unwrap_or_default();
        if acr_values.len() <= ACR_BYTES_MAX {
            let values = acr_values.split(' ').filter(|one| !one.is_empty());
            offer.acr_values = values.map(Arc::from).collect();
        }
        let age = parameters.one("max_age").and_then(|age| age.parse().ok());
        offer.age_max = age.map(std::time::Duration::from_secs);
    }
    let target = logins.target(parameters.one("rd"), asking.site);
    let target = target.map_or_else(|| asking.site.origin(), String::from);
    let Some(mut flow) = Flow::begin(offers, target, now(context)) else {
        return page::failed(context, &answer::BAD_REQUEST, &[]);
    };
    flow.carried = carry::taken(context, asking.headers);
    let prompts = [PROMPT_ACCOUNT, PROMPT_LOGIN];
    let prompt = parameters.one("prompt");
    flow.prompt = prompt
        .filter(|one| prompts.contains(one))
        .map(str::to_owned);
    if parameters.one("again").is_some() {
        // Somebody pressed the button of the page that ended a loop.
        let cookie = logins.begin_row(asking.site);
        let response = begun(context, asking, flow, 1).await;
        return page::with_cookies(response, cookie);
    }
    go(context, asking, flow).await
}

/// Offers of these policies, as a link names them; of all, if it names none that is there.
fn offers(logins: &Logins, names: Option<&str>) -> Vec<LoginOffer> {
    let named = names.unwrap_or_default().split(',').take(OFFERS_MAX);
    let mut offers: Vec<LoginOffer> = Vec::new();
    for policy in named.filter_map(|name| logins.policy(name)) {
        let offer = LoginOffer::of(Arc::clone(&policy.name));
        if !offers.contains(&offer) {
            offers.push(offer);
        }
    }
    if offers.is_empty() {
        let all = logins.policies.iter().take(OFFERS_MAX);
        offers = all
            .map(|policy| LoginOffer::of(Arc::clone(&policy.name)))
            .collect();
    }
    offers
}

/// A login that waits for a choice, with the choice made.
async fn chosen(
    context: &RequestContext,
    asking: &Asking<'_>,
    parameters: &Parameters<'_>,
) -> Option<Flow> {
    let handle = parameters.one("flow")?;
    let secure = asking.site.is_secure();
    let logins = asking.logins;
    let mut flow = logins.flow(handle, secure, asking.headers).await?;
    if !asking.logins.is_in_time(&flow, now(context)) {
        return None;
    }
    let name = parameters.one("policy")?;
    flow.offers.retain(|offer| *offer.policy == *name);
    (flow.offers.len() == 1).then_some(flow)
}

/// Sends the browser on its way: to the provider, or to the page where one is chosen.
pub(super) async fn go(
    context: &mut RequestContext,
    asking: &Asking<'_>,
    flow: Flow,
) -> Response<Body> {
    let attempt = asking
        .logins
        .attempt(asking.site, asking.headers, now(context));
    let Some(attempt) = attempt else {
        warn!(
            attempts = asking.logins.settings.attempts_max,
            "logins in a row without a session coming of them"
        );
        let policy = flow.offers.first().map(|offer| &*offer.policy);
        told::not_taken(context, asking, policy, None, (AuditResult::Error, "loop"));
        let again = start_url(asking.logins, asking.site, &flow.offers, &flow.target);
        let again = Action::link("Try again", format!("{again}&again=1"));
        return page::failed(context, &answer::LOGIN_LOOP, &[again]);
    };
    begun(context, asking, flow, attempt).await
}

async fn begun(
    context: &mut RequestContext,
    asking: &Asking<'_>,
    mut flow: Flow,
    attempt: u32,
) -> Response<Body> {
    let (logins, site) = (asking.logins, asking.site);
    flow.attempt = attempt;
    let policy = flow.offers.first().map(|offer| &*offer.policy);
    flow.redirect_uri = logins.redirect_uri(site, policy.unwrap_or_default());
    let to = match &*flow.offers {
        [_] => to_provider(context, asking, &flow).await,
        _ => {
            let path = logins.paths.of(Endpoint::Choose);
            Ok(format!("{}{path}?flow={}", site.origin(), flow.handle))
        }
    };
    let to = match to {
        Ok(to) => to,
        Err(fault) => {
            let policy = flow.offers.first().map(|offer| &*offer.policy);
            // What is refused of a client that is known is most likely this address.
            let is_refused =
                matches!(fault, ProviderError::Refused(word) if word != "invalid_client");
            warn!(
                policy = policy.unwrap_or_default(),
                fault = %fault,
                redirect_uri = is_refused.then_some(&*flow.redirect_uri),
                "no login can begin"
            );
            let again = start_url(logins, site, &flow.offers, &flow.target);
            let again = Action::link("Try again", again);
            return page::failed(context, &answer::LOGIN_UNAVAILABLE, &[again]);
        }
    };
    let had = flow.carried.clone();
    let cookies = logins.keep(&mut flow, site, asking.headers).await;
    carry::note_room(context, flow.carried == had);
    match page::redirect(&to, false) {
        Some(response) if !cookies.is_empty() => page::with_cookies(response, cookies),
        Some(_) | None => page::failed(context, &answer::INTERNAL, &[]),
    }
}

/// The address of the provider, with what it is asked.
async fn to_provider(
    context: &mut RequestContext,
    asking: &Asking<'_>,
    flow: &Flow,
) -> Result<String, ProviderError> {
    let offer = flow.offers.first();
    let policy = offer.and_then(|offer| asking.logins.policy(&offer.policy));
    let policy = policy.ok_or(ProviderError::NoEndpoint("policy of this name"))?;
    let mut recorder = asking.means.recorder(context);
    let mut span = recorder.decision(&policy.name);
    let url = policy.authorization(flow, Some(&mut span)).await;
    let verdict = match &url {
        Ok(_) => redirecting(),
        Err(_) => Verdict::deny(Reason::Unavailable),
    };
    span.decide(&verdict);
    url.map(String::from)
}

/// As the span of a decision that sends a browser elsewhere has it.
fn redirecting() -> Verdict {
    let mut elsewhere = Response::new(bytes::Bytes::new());
    *elsewhere.status_mut() = StatusCode::FOUND;
    Verdict::Deny(Box::new(Denial {
        answer: DenialAnswer::Theirs(elsewhere),
        ..Denial::own(Reason::NoCredential)
    }))
}
