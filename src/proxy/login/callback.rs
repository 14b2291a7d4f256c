//! A provider leads a browser back.
//!
//! The browser has to show the cookie of the login before anything is redeemed: a code that
//! somebody else got is never taken for the one that this browser asked for.

use super::page::{self, Action};
use super::{Asking, Parameters, begin, carry, now, told};
use crate::auth::audit::AuditResult;
use crate::auth::oidc::{
    Endpoint, Flow, LoginError, Oidc, PROMPT_ACCOUNT, PROMPT_LOGIN, Unfinished, is_restarted,
};
use crate::auth::session::{Found, Session, SessionError};
use crate::auth::{Reason, Verdict};
use crate::proxy::answer::{self, Answer};
use crate::proxy::body::Body;
use crate::proxy::context::RequestContext;
use http::{HeaderValue, Response, StatusCode};
use std::sync::Arc;
use tracing::{error, info, warn};

/// Longest code, in bytes.
const CODE_BYTES_MAX: usize = 4 * 1024;

/// Answers it. `path` is the one that the browser was led to.
pub(super) async fn answer(
    context: &mut RequestContext,
    asking: &Asking<'_>,
    flow: Option<Flow>,
    path: &str,
    parameters: &Parameters<'_>,
) -> Response<Body> {
    let Some(flow) = flow else {
        return unknown(context, asking, parameters).await;
    };
    let logins = asking.logins;
    let gone = logins.forget(&flow, asking.site);
    let (now, in_time) = (now(context), logins.is_in_time(&flow, now(context)));
    let response = if in_time && logins.take(&flow, now).await {
        once(context, asking, flow, path, parameters).await
    } else {
        again(context, asking, flow).await
    };
    page::with_cookies(response, gone)
}

/// No login of this browser: another browser's, one that is over, or cookies are not kept.
async fn unknown(
    context: &mut RequestContext,
    asking: &Asking<'_>,
    parameters: &Parameters<'_>,
) -> Response<Body> {
    let logins = asking.logins;
    for policy in &logins.policies {
        if is_logged_in(context, asking, policy).await {
            // Most likely the way back in a browser's history.
            return page::redirect(&asking.site.origin(), false)
                .unwrap_or_else(|| page::failed(context, &answer::INTERNAL, &[]));
        }
    }
    let state = parameters.one("state");
    let outcome = (AuditResult::Denied, "unknown_state");
    told::not_taken(context, asking, None, None, outcome);
    let front = asking.site.origin();
    let start = begin::start_url(logins, asking.site, &[], &front);
    if state.is_none_or(is_restarted) {
        return over(context, start);
    }
    let policies = logins.policies.iter().take(crate::auth::oidc::OFFERS_MAX);
    let offers = policies.map(|policy| crate::auth::LoginOffer::of(Arc::clone(&policy.name)));
    match Flow::begin(offers.collect(), front, now(context)) {
        Some(mut flow) => {
            flow.restarted = true;
            begin::go(context, asking, flow).await
        }
        None => over(context, start),
    }
}

async fn is_logged_in(context: &RequestContext, asking: &Asking<'_>, policy: &Arc<Oidc>) -> bool {
    session_here(context, asking, policy).await.is_some()
}

/// The session that this browser has by the policy, whatever came of a further login.
async fn session_here(
    context: &RequestContext,
    asking: &Asking<'_>,
    policy: &Arc<Oidc>,
) -> Option<Arc<Session>> {
    let sessions = &asking.logins.sessions;
    let now = context.watch.now();
    let secure = asking.site.is_secure();
    let found = sessions.find(asking.headers, &policy.name, secure, now);
    match found.await {
        Found::Live { session, .. } => Some(session),
        Found::Unavailable | Found::Nothing { .. } => None,
    }
}

/// A login that took too long, or came back before. It begins anew by itself, once.
async fn again(context: &mut RequestContext, asking: &Asking<'_>, flow: Flow) -> Response<Body> {
    let logins = asking.logins;
    let offer = flow.offers.first();
    let policy = offer.and_then(|offer| logins.policy(&offer.policy));
    if let Some(policy) = policy
        && is_logged_in(context, asking, policy).await
    {
        return page::redirect(&flow.target, false)
            .unwrap_or_else(|| page::failed(context, &answer::INTERNAL, &[]));
    }
    let outcome = if logins.is_in_time(&flow, now(context)) {
        (AuditResult::Denied, "used_state")
    } else {
        (AuditResult::Expired, "expired_state")
    };
    let named = offer.map(|offer| &*offer.policy);
    told::not_taken(context, asking, named, None, outcome);
    let start = begin::start_url(logins, asking.site, &flow.offers, &flow.target);
    if flow.restarted {
        return over(context, start);
    }
    match Flow::begin(flow.offers, flow.target, now(context)) {
        Some(mut next) => {
            next.restarted = true;
            next.carried = flow.carried;
            next.prompt = flow.prompt;
            begin::go(context, asking, next).await
        }
        None => over(context, start),
    }
}

fn over(context: &mut RequestContext, start: String) -> Response<Body> {
    told::result(context, AuditResult::Expired);
    let again = Action::link("Try again", start);
    page::failed(context, &answer::LOGIN_EXPIRED, &[again])
}

/// A login that comes back for the first time, in time.
async fn once(
    context: &mut RequestContext,
    asking: &Asking<'_>,
    flow: Flow,
    path: &str,
    parameters: &Parameters<'_>,
) -> Response<Body> {
    let logins = asking.logins;
    let policy = match &*flow.offers {
        [offer] => logins.policy(&offer.policy).cloned(),
        // One of several is still to be chosen: nobody was asked yet.
        _ => None,
    };
    let Some(policy) = policy else {
        // Or a reload has taken the policy away meanwhile.
        let start = begin::start_url(logins, asking.site, &[], &flow.target);
        return over(context, start);
    };
    if is_of_another(&policy, &flow, path, parameters) {
        warn!(
            policy = &*policy.name,
            "an answer of another provider was refused"
        );
        let page = Failure::new(&answer::LOGIN_FAILED, "issuer");
        return failed(context, asking, &flow, &policy, &page);
    }
    if let Some(told) = parameters.one("error") {
        if flow.prompt.as_deref() == Some(PROMPT_ACCOUNT) && knows_no_choice(told) {
            return anew(context, asking, flow).await;
        }
        return denied(context, asking, &flow, &policy, told).await;
    }
    let code = parameters.one("code");
    let Some(code) = code.filter(|code| !code.is_empty() && code.len() <= CODE_BYTES_MAX) else {
        let page = Failure::new(&answer::LOGIN_FAILED, "no_code");
        return failed(context, asking, &flow, &policy, &page);
    };
    match complete(context, asking, &flow, &policy, code, parameters.one("iss")).await {
        Ok(session) => begin_session(context, asking, &flow, &policy, session).await,
        Err(Unfinished { fault, account }) => {
            warn!(policy = &*policy.name, fault = %fault, help = help(&fault), "a login came to nothing");
            let is_too_weak = matches!(fault, LoginError::Acr | LoginError::TooOld);
            let told = if fault.is_temporary() {
                &answer::LOGIN_UNAVAILABLE
            } else if is_too_weak {
                &answer::LOGIN_TOO_WEAK
            } else if matches!(fault, LoginError::Random) {
                &answer::INTERNAL
            } else {
                &answer::LOGIN_FAILED
            };
            let page = Failure {
                told,
                word: fault.name(),
                account: account.as_deref().map_or(Account::Unknown, Account::There),
            };
            failed(context, asking, &flow, &policy, &page)
        }
    }
}

/// What an operator looks at first.
fn help(fault: &LoginError) -> Option<&'static str> {
    match fault.name() {
        "iat" | "expired" | "not_yet_valid" => {
            Some("most likely the provider's clock and this machine's differ by more than `leeway`")
        }
        "iss" => Some("`issuer` of the file has to be the provider's own word, to the byte"),
        "unknown_key" | "signature" => Some("the provider signs by keys that it does not publish"),
        _ => None,
    }
}

/// Whether an answer shows that it is not of the provider that was asked: it came to the address of
/// another one, or names another one. An error counts no more than a code then.
fn is_of_another(policy: &Oidc, flow: &Flow, path: &str, parameters: &Parameters<'_>) -> bool {
    let issuer = &policy.provider.settings().issuer;
    let names_another = parameters.one("iss").is_some_and(|iss| *iss != **issuer);
    !flow.comes_back_to(path) || names_another || parameters.is_several("iss")
}

/// Whether a provider may mean that no account can be chosen there.
fn knows_no_choice(told: &str) -> bool {
    matches!(
        told,
        "account_selection_required" | "interaction_required" | "invalid_request"
    )
}

/// Another account was wanted, and this provider lets nobody choose one: whoever comes logs in anew.
async fn anew(context: &mut RequestContext, asking: &Asking<'_>, flow: Flow) -> Response<Body> {
    let start = begin::start_url(asking.logins, asking.site, &flow.offers, &flow.target);
    let Some(mut next) = Flow::begin(flow.offers, flow.target, now(context)) else {
        return over(context, start);
    };
    next.carried = flow.carried;
    next.restarted = flow.restarted;
    next.prompt = Some(PROMPT_LOGIN.to_owned());
    begin::go(context, asking, next).await
}

async fn complete(
    context: &mut RequestContext,
    asking: &Asking<'_>,
    flow: &Flow,
    policy: &Arc<Oidc>,
    code: &str,
    iss: Option<&str>,
) -> Result<Session, Unfinished> {
    let now = context.watch.now();
    let mut recorder = asking.means.recorder(context);
    let mut span = recorder.decision(&policy.name);
    let session = policy.complete(flow, code, iss, now, &mut span).await;
    let verdict = match &session {
        Ok(_) => Verdict::Allow(Box::default()),
        Err(came) if came.fault.is_temporary() => Verdict::deny(Reason::Unavailable),
        Err(_) => Verdict::deny(Reason::BadCredential),
    };
    span.decide(&verdict);
    session
}

/// Somebody is logged in: on to where the login began.
async fn begin_session(
    context: &mut RequestContext,
    asking: &Asking<'_>,
    flow: &Flow,
    policy: &Arc<Oidc>,
    session: Session,
) -> Response<Body> {
    let (logins, site) = (asking.logins, asking.site);
    let tickets = carry::ticket(context, asking, flow, &session).await;
    let whose = session.clone();
    let begun = logins
        .sessions
        .begin(session, asking.headers, site.is_secure())
        .await;
    let cookies = match begun {
        Ok(cookies) => cookies,
        Err(fault) => {
            error!(policy = &*policy.name, fault = %fault, "no session could be kept");
            let told = match fault {
                SessionError::Unavailable => &answer::LOGIN_UNAVAILABLE,
                SessionError::TooLarge(_) => &answer::INTERNAL,
            };
            return failed(
                context,
                asking,
                flow,
                policy,
                &Failure::new(told, "session"),
            );
        }
    };
    info!(policy = &*policy.name, "somebody has logged in");
    context.note("edgespan.auth.policy", &policy.name);
    told::login(
        context,
        asking,
        policy,
        Some(&whose),
        (AuditResult::Success, None),
    );
    let response = onward(context, asking, &flow.target);
    let further: [Option<HeaderValue>; 2] = [
        logins.count(flow.attempt, site, now(context)),
        logins.remember_choice(&policy.name, site),
    ];
    let further = further.into_iter().flatten();
    page::with_cookies(response, cookies.into_iter().chain(tickets).chain(further))
}

/// To the page that was asked for. A `Strict` cookie would not be sent by a redirect that began at
/// another site, so that there the page itself has to go on.
fn onward(context: &RequestContext, asking: &Asking<'_>, target: &str) -> Response<Body> {
    if asking.logins.settings.session.cookie.same_site == "Strict" {
        let href = page::escape(target);
        let content = format!(
            "<meta http-equiv=\"refresh\" content=\"0;url={href}\">\n<h1>Logged in</h1>\n\
             <a class=\"button\" href=\"{href}\">Go on</a>\n"
        );
        return page::whole(context, "Logged in", &content);
    }
    page::redirect(target, false).unwrap_or_else(|| page::failed(context, &answer::INTERNAL, &[]))
}

/// The provider says no. Words of its register are told apart; what else it writes is nobody's to
/// show. It does not say of whom: the page names who is logged in here.
async fn denied(
    context: &mut RequestContext,
    asking: &Asking<'_>,
    flow: &Flow,
    policy: &Arc<Oidc>,
    told: &str,
) -> Response<Body> {
    let word = crate::auth::provider::error_word(told);
    info!(policy = &*policy.name, word, "a provider refused a login");
    let answer = match word {
        "temporarily_unavailable" | "server_error" => &answer::LOGIN_UNAVAILABLE,
        "unmet_authentication_requirements" => &answer::LOGIN_TOO_WEAK,
        "access_denied"
        | "login_required"
        | "interaction_required"
        | "consent_required"
        | "account_selection_required" => &answer::LOGIN_DENIED,
        _ => &answer::LOGIN_FAILED,
    };
    let session = session_here(context, asking, policy).await;
    let account = session.and_then(|session| policy.account(&session.claims));
    let page = Failure {
        told: answer,
        word,
        account: account.as_deref().map_or(Account::Unknown, Account::Here),
    };
    failed(context, asking, flow, policy, &page)
}

/// What the audit makes of an answer.
fn result_of(told: &Answer) -> AuditResult {
    if told.status == StatusCode::FORBIDDEN {
        AuditResult::Denied
    } else {
        AuditResult::Error
    }
}

/// What is told of a login that came to nothing.
struct Failure<'a> {
    told: &'a Answer,
    /// Why, for spans and audits.
    word: &'static str,
    /// Whose it was.
    account: Account<'a>,
}

/// Whose account a failure is about.
#[derive(Clone, Copy)]
enum Account<'a> {
    Unknown,
    /// The provider showed it.
    There(&'a str),
    /// Nobody showed it now. Its session from before goes on.
    Here(&'a str),
}

impl<'a> Failure<'a> {
    const fn new(told: &'a Answer, word: &'static str) -> Self {
        Self {
            told,
            word,
            account: Account::Unknown,
        }
    }
}

/// No dead end: once more, another account, or out.
fn failed(
    context: &mut RequestContext,
    asking: &Asking<'_>,
    flow: &Flow,
    policy: &Arc<Oidc>,
    failure: &Failure<'_>,
) -> Response<Body> {
    let Failure {
        told,
        word,
        account,
    } = *failure;
    context.note("edgespan.auth.policy", &policy.name);
    context.note("edgespan.login.error", word);
    told::login(context, asking, policy, None, (result_of(told), Some(word)));
    let start = begin::start_url(asking.logins, asking.site, &flow.offers, &flow.target);
    let other = format!("{start}&prompt=select_account");
    let actions = [
        Action::link("Try again", start),
        Action::link("Use another account", other),
        Action::link("Log out", asking.logins.paths.of(Endpoint::Logout)),
    ];
    let provider = &policy.settings.label;
    let came_by = match account {
        Account::There(name) => format!("You logged in at {provider} as {name}."),
        Account::Unknown | Account::Here(_) => format!("You were sent to: {provider}."),
    };
    let still = match account {
        Account::Here(name) => Some(format!("You are still logged in here as {name}.")),
        Account::Unknown | Account::There(_) => None,
    };
    let sentences: Vec<&str> = std::iter::once(&*came_by).chain(still.as_deref()).collect();
    page::failed_at(context, told, &sentences, &actions)
}
