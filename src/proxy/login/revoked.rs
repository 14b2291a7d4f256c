//! A provider tells that somebody has logged out: to us (OpenID Connect Back-Channel Logout 1.0),
//! or through the browser (Front-Channel Logout 1.0).

use super::told::{self as audit, Whose};
use super::{Asking, Parameters, page};
use crate::auth::audit::{AuditResult, LogoutKind};
use crate::auth::oidc::{LoggedOut, LogoutTokenError};
use crate::auth::{Reason, Verdict};
use crate::proxy::body::Body;
use crate::proxy::context::RequestContext;
use bytes::Bytes;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use tracing::{info, warn};

/// Longest `sid`, in bytes.
const SID_BYTES_MAX: usize = 512;

/// The provider itself tells. 200, 400, or 503 if it should tell again.
pub(super) async fn back(
    context: &mut RequestContext,
    asking: &Asking<'_>,
    body: &[u8],
) -> Response<Body> {
    let form = Parameters::of_bytes(body);
    let kind = Some(LogoutKind::BackChannel);
    let Some(token) = form.one("logout_token") else {
        audit::not_taken(
            context,
            asking,
            None,
            kind,
            (AuditResult::Denied, "no_token"),
        );
        return told(StatusCode::BAD_REQUEST, "no_token");
    };
    let fault = match verified(context, asking, token).await {
        Ok(left) => return end(context, asking, &left).await,
        Err(fault) => fault,
    };
    let meant = asking.logins.policies_of(token);
    let policy = meant.first().map(|policy| &*policy.name);
    let is_ours = matches!(fault, LogoutTokenError::Provider(_));
    let result = if is_ours {
        AuditResult::Error
    } else {
        AuditResult::Denied
    };
    audit::not_taken(context, asking, policy, kind, (result, fault.name()));
    if is_ours {
        warn!(fault = %fault, "a logout token cannot be verified");
        told(StatusCode::SERVICE_UNAVAILABLE, "provider")
    } else {
        warn!(fault = %fault, "a logout token was refused");
        told(StatusCode::BAD_REQUEST, "token")
    }
}

async fn verified(
    context: &mut RequestContext,
    asking: &Asking<'_>,
    token: &str,
) -> Result<LoggedOut, LogoutTokenError> {
    let now = context.watch.now();
    let mut outcome = Err(LogoutTokenError::NobodysHere);
    for policy in asking.logins.policies_of(token) {
        let mut recorder = asking.means.recorder(context);
        let mut span = recorder.decision(&policy.name);
        outcome = policy.logged_out(token, now, &mut span).await;
        let verdict = match &outcome {
            Ok(_) => Verdict::Allow(Box::default()),
            Err(LogoutTokenError::Provider(_)) => Verdict::deny(Reason::Unavailable),
            Err(_) => Verdict::deny(Reason::BadCredential),
        };
        span.decide(&verdict);
        if outcome.is_ok() {
            break;
        }
    }
    let left = outcome?;
    if asking.logins.knows_logout(&left) {
        return Err(LogoutTokenError::Replayed);
    }
    Ok(left)
}

async fn end(
    context: &mut RequestContext,
    asking: &Asking<'_>,
    left: &LoggedOut,
) -> Response<Body> {
    let sessions = &asking.logins.sessions;
    // With a `sid` it is that one session, whoever else is the same person elsewhere, and those of
    // which nobody can tell whether they are it.
    let (subject, sid) = (left.subject.as_deref(), left.sid.as_deref());
    let ended = sessions.revoke(&left.issuer, subject, sid).await;
    if ended.is_ok() {
        asking.logins.done_logout(left, context.watch.now());
    }
    if let Some(policy) = asking.logins.policy(&left.policy) {
        let whose = Whose::Subject(left.subject.as_deref());
        let result = result_of(ended.is_ok());
        audit::logout(
            context,
            asking,
            LogoutKind::BackChannel,
            policy,
            whose,
            result,
        );
    }
    match ended {
        Ok(()) => {
            info!(policy = &*left.policy, "a provider ended a session");
            told(StatusCode::OK, "")
        }
        Err(fault) => {
            warn!(policy = &*left.policy, fault = %fault, "a session could not be ended");
            told(StatusCode::SERVICE_UNAVAILABLE, "store")
        }
    }
}

const fn result_of(ended: bool) -> AuditResult {
    if ended {
        AuditResult::Success
    } else {
        AuditResult::Error
    }
}

/// Section 2.8: an error in JSON, and nothing is stored on the way.
fn told(status: StatusCode, why: &'static str) -> Response<Body> {
    let mut response = if why.is_empty() {
        Response::new(Body::Empty)
    } else {
        let text = format!("{{\"error\":\"invalid_request\",\"error_description\":\"{why}\"}}\n");
        Response::new(Body::from(Bytes::from(text)))
    };
    *response.status_mut() = status;
    let headers = response.headers_mut();
    page::guard(headers);
    if !why.is_empty() {
        let json = HeaderValue::from_static("application/json");
        headers.insert(CONTENT_TYPE, json);
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// The provider has the browser tell, in a frame of its own page. Browsers that keep cookies from
/// frames of other sites bring none, so that the session is named by what only it and the provider
/// know.
pub(super) async fn front(
    context: &mut RequestContext,
    asking: &Asking<'_>,
    parameters: &Parameters<'_>,
) -> Response<Body> {
    let (issuer, sid) = (parameters.one("iss"), parameters.one("sid"));
    let sid = sid.filter(|sid| !sid.is_empty() && sid.len() <= SID_BYTES_MAX);
    let mut policies = asking.logins.policies.iter();
    let policy = issuer
        .and_then(|issuer| policies.find(|policy| *policy.provider.settings().issuer == *issuer));
    let (Some(policy), Some(sid)) = (policy, sid) else {
        let policy = policy.map(|policy| &*policy.name);
        let (kind, outcome) = (LogoutKind::FrontChannel, (AuditResult::Denied, "iss_sid"));
        audit::not_taken(context, asking, policy, Some(kind), outcome);
        return told(StatusCode::BAD_REQUEST, "iss_sid");
    };
    let issuer = &policy.provider.settings().issuer;
    let ended = asking.logins.sessions.revoke_unsigned(issuer, sid).await;
    let (kind, whose) = (LogoutKind::FrontChannel, Whose::Subject(None));
    audit::logout(
        context,
        asking,
        kind,
        policy,
        whose,
        result_of(ended.is_ok()),
    );
    if let Err(fault) = ended {
        warn!(policy = &*policy.name, fault = %fault, "a session could not be ended");
        return told(StatusCode::SERVICE_UNAVAILABLE, "store");
    }
    info!(
        policy = &*policy.name,
        "a provider ended a session by the browser"
    );
    let mut response = told(StatusCode::OK, "");
    let headers = response.headers_mut();
    let framed = url::Url::parse(issuer).map(|url| url.origin().ascii_serialization());
    let framed = framed.map(|origin| format!("default-src 'none'; frame-ancestors {origin}"));
    if let Ok(Ok(policy)) = framed.map(HeaderValue::try_from) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    headers.remove(REFERRER_POLICY);
    response
}
