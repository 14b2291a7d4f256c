//! What came of a login or a logout: on the SERVER span, and for the audit.

use super::{Asking, Means};
use crate::auth::audit::{AuditEvent, AuditKind, AuditResult, LogoutKind};
use crate::auth::oidc::Oidc;
use crate::auth::session::Session;
use crate::auth::{Identity, Reason};
use crate::proxy::context::RequestContext;
use std::sync::Arc;

/// A login has come to its end: to a session, if there is one, or to nothing.
pub(super) fn login(
    context: &mut RequestContext,
    asking: &Asking<'_>,
    policy: &Oidc,
    session: Option<&Session>,
    outcome: (AuditResult, Option<&'static str>),
) {
    let (result, reason) = outcome;
    let mut event = AuditEvent::new(AuditKind::Login, result, Some(&policy.name));
    event.reason = reason;
    event.issuer = Some(&policy.provider.settings().issuer);
    tell(context, asking, event, session);
}

/// A session has ended, or was not there any more.
pub(super) fn logout(
    context: &mut RequestContext,
    asking: &Asking<'_>,
    kind: LogoutKind,
    policy: &Oidc,
    whose: Whose<'_>,
    result: AuditResult,
) {
    let mut event = AuditEvent::new(AuditKind::Logout, result, Some(&policy.name));
    event.logout = Some(kind);
    event.issuer = Some(&policy.provider.settings().issuer);
    match whose {
        Whose::Session(session) => tell(context, asking, event, Some(session)),
        Whose::Subject(subject) => {
            event.subject = subject;
            tell(context, asking, event, None);
        }
    }
}

/// Something that came to our paths is not taken: a way back that no login of this browser waits
/// for, or a provider's word that is none. `policy` is by what it says of itself.
pub(super) fn not_taken(
    context: &mut RequestContext,
    asking: &Asking<'_>,
    policy: Option<&str>,
    kind: Option<LogoutKind>,
    outcome: (AuditResult, &'static str),
) {
    let (result, reason) = outcome;
    let mut event = AuditEvent::new(AuditKind::Refusal, result, policy);
    event.reason = Some(reason);
    event.logout = kind;
    tell(context, asking, event, None);
}

/// A policy has refused a request, or nobody could tell whether it may pass.
pub(in crate::proxy) fn refusal(
    context: &mut RequestContext,
    policy: Option<&str>,
    (reason, whose): (Reason, Option<&Identity>),
) {
    let (Some(audit), Some(route)) = (context.live.audit.clone(), context.route.clone()) else {
        return;
    };
    let known_by = policy.zip(route.auth.as_ref());
    let Some((policy, auth_method)) =
        known_by.and_then(|(policy, auth)| Some((policy, auth.knows_by(policy)?)))
    else {
        return;
    };
    let claim = |name: &str| whose.and_then(|whose| whose.claims.get(name)?.as_str());
    let facts = whose.map(|whose| audit.facts(&whose.claims));
    let facts = facts.unwrap_or_default();
    let host = context.host.clone();
    let mut event = AuditEvent::new(AuditKind::Refusal, result_of(reason), Some(policy));
    event.reason = Some(reason.name());
    event.route = Some(&route.plan.name);
    event.auth_method = auth_method;
    event.issuer = claim("iss");
    event.subject = claim("sub").or_else(|| whose?.subject.as_deref());
    event.user_type = facts.user_type.as_deref();
    event.mfa_enabled = facts.mfa_enabled;
    event.client = Some(context.client);
    event.host = Some(&host);
    let means = Means::of(context);
    audit.tell(&event, Some(&mut means.recorder(context)));
}

/// Nobody decided against it where nobody could be asked.
const fn result_of(reason: Reason) -> AuditResult {
    match reason {
        Reason::Unavailable | Reason::Timeout | Reason::BadAnswer | Reason::AllowFailed => {
            AuditResult::Error
        }
        Reason::NoCredential
        | Reason::BadCredential
        | Reason::Forbidden
        | Reason::StepUp
        | Reason::Refused
        | Reason::NotAllowed
        | Reason::BodyTooLarge => AuditResult::Denied,
    }
}

/// Whose session it is, as far as that is known.
#[derive(Clone, Copy)]
pub(super) enum Whose<'a> {
    Session(&'a Session),
    Subject(Option<&'a str>),
}

/// Says what came of a request for a path of ours, where there is nothing to audit.
pub(super) fn result(context: &mut RequestContext, result: AuditResult) {
    if say_once(context) {
        context.note("result", result.name());
    }
}

/// Whether nothing was said yet: a span says a thing once.
fn say_once(context: &mut RequestContext) -> bool {
    match &mut context.login {
        Some(login) => !std::mem::replace(&mut login.told, true),
        None => false,
    }
}

fn tell(
    context: &mut RequestContext,
    asking: &Asking<'_>,
    event: AuditEvent<'_>,
    session: Option<&Session>,
) {
    let facts = session.map(|session| asking.logins.audit.facts(&session.claims));
    let facts = facts.unwrap_or_default();
    let mut event = event;
    event.session = session.map(|session| &*session.id);
    event.subject = event.subject.or(session.map(|session| &*session.subject));
    event.user_type = facts.user_type.as_deref();
    event.mfa_enabled = facts.mfa_enabled;
    event.client = Some(context.client);
    event.host = Some(asking.site.host());
    if say_once(context) {
        context.note("result", event.result.name());
        context.note("auth_method", event.auth_method);
        if let Some(user_type) = event.user_type {
            context.note("user_type", user_type);
        }
        if let (Some(span), Some(mfa)) = (&mut context.server, event.mfa_enabled) {
            span.bool("mfa_enabled", mfa);
        }
    }
    let audit = Arc::clone(&asking.logins.audit);
    let mut recorder = asking.means.recorder(context);
    audit.tell(&event, Some(&mut recorder));
}
