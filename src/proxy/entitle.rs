//! What comes after the policies: a route's `allow`, and what its origin learns of the client:
//! header fields and the signed assertion.

use super::context::RequestContext;
use super::error::ProxyError;
use super::plan::RoutePlan;
use super::snapshot::{LiveAction, LiveRoute};
use crate::auth::{AllowError, Asked, Denial, Grant, Identity, Inquiry, Reason, Refused, Told};
use crate::message::forwarded;
use http::{HeaderMap, HeaderName};
use tracing::warn;

/// Whether a request that the policies let pass may pass; and what kept the expression from
/// saying so, if something did.
pub(super) fn allowed(
    plan: &RoutePlan,
    asked: &Asked<'_>,
    grant: Box<Grant>,
) -> (Result<Box<Grant>, Box<Denial>>, Option<AllowError>) {
    let Some(allow) = &plan.allow else {
        return (Ok(grant), None);
    };
    let passes = plan.auth.as_ref().is_some_and(|auth| auth.preflights_pass);
    if asked.is_preflight && passes {
        // A preflight proves nothing, so that an expression over what is proved has no answer.
        return (Ok(grant), None);
    }
    let inquiry = Inquiry {
        asked,
        identity: grant.identity.as_deref(),
        flow: plan.flow.as_ref().map(|flow| &*flow.name),
    };
    let refused = |reason| Err(Box::new(Denial::own(reason).after(&grant)));
    match allow.check(&inquiry) {
        Ok(()) => (Ok(grant), None),
        Err(Refused::NotAllowed) => (refused(Reason::NotAllowed), None),
        Err(Refused::Failed(error)) => (refused(Reason::AllowFailed), Some(error)),
    }
}

/// What the origin learns of who the client is, and the SERVER span, where it is told to say so.
pub(super) fn say_who(
    context: &mut RequestContext,
    headers: &mut HeaderMap,
    identity: Option<&Identity>,
) {
    let Some(route) = context.route.clone() else {
        return;
    };
    let Some(settings) = &route.plan.identity else {
        return;
    };
    let unfit = settings.write(identity, headers);
    if !unfit.is_empty() {
        context.live.metrics.identity_unfit(unfit.len());
        let names: Vec<&str> = unfit.into_iter().map(HeaderName::as_str).collect();
        context.note("edgespan.identity.unfit", &names.join(","));
    }
    let subject = identity.and_then(|identity| identity.subject.as_deref());
    if let (Some(key), Some(subject)) = (settings.span_attribute, subject) {
        context.note(key, subject);
    }
    for (key, told) in identity
        .into_iter()
        .flat_map(|one| settings.attributes(one))
    {
        match told {
            Told::Text(text) => context.note(key, &text),
            Told::Texts(texts) => context.note_all(key, &texts),
        }
    }
}

/// Writes the assertion of who a client is. Where there is nothing to assert, or no assertion for
/// this route, the field is not there: what a client sent in it is gone before.
pub(super) fn assert_signed(
    context: &RequestContext,
    headers: &mut HeaderMap,
    identity: Option<&Identity>,
) -> Result<(), ProxyError> {
    let (Some(assertions), Some(route)) = (&context.live.assertion, &context.route) else {
        return Ok(());
    };
    let header = &assertions.settings().header;
    let Some(identity) = identity.filter(|_| route.plan.asserts) else {
        return Ok(());
    };
    match assertions.token(identity, service(context, route)) {
        Ok(token) => {
            forwarded::assert_field(headers, header, Some(&token));
            Ok(())
        }
        Err(error) => {
            warn!(%error, route = &*route.plan.name, "no assertion");
            Err(ProxyError::Rewrite {
                reason: "no assertion",
            })
        }
    }
}

/// The same for a copy that goes to another service: whoever gets the copy is not whom the
/// request's own assertion is for, and could show it there. Without one of its own it gets none.
pub(super) fn assert_to_shadow(context: &RequestContext, headers: &mut HeaderMap, service: &str) {
    let Some(assertions) = &context.live.assertion else {
        return;
    };
    let header = &assertions.settings().header;
    if !headers.contains_key(header) {
        return;
    }
    let identity = context.identity();
    let token = identity.and_then(|identity| assertions.token(identity, service).ok());
    forwarded::assert_field(headers, header, token.as_ref());
}

/// Whom an assertion is for, if the file does not say.
fn service<'a>(context: &'a RequestContext, route: &'a LiveRoute) -> &'a str {
    match &route.action {
        LiveAction::Forward { cluster, .. } => &cluster.settings().service,
        LiveAction::Split { .. } => match &context.branch {
            Some(branch) => &branch.cluster.settings().service,
            None => &route.plan.name,
        },
        LiveAction::Redirect(_) | LiveAction::Answer { .. } | LiveAction::Nothing => {
            &route.plan.name
        }
    }
}
