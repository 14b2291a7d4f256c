//! Somebody who is logged in may not: the page says as whom, and what can be done about it.

use super::asker::Asker;
use super::begin::{came_from, here, start_url};
use super::page::{self, Action};
use crate::auth::LoginOffer;
use crate::auth::oidc::{Endpoint, Site};
use crate::auth::session::Found;
use crate::proxy::answer;
use crate::proxy::body::Body;
use crate::proxy::context::RequestContext;
use http::Response;
use http::request::Parts;
use std::sync::Arc;

/// The page, if a browser asked and has a session by this policy. Another account may be the
/// answer, so there is a way to one: without it a person with two accounts is stuck.
pub(in crate::proxy) async fn denied(
    context: &RequestContext,
    parts: &Parts,
    upgrades: bool,
    policy: &str,
) -> Option<Box<Response<Body>>> {
    // To a host proxy the answer is told in its own dialect.
    let logins = context
        .live
        .logins
        .clone()
        .filter(|_| context.decision.is_none())?;
    let policy = logins.policy(policy)?;
    let site = Site::new(context.scheme, &context.host, context.server_port).ok()?;
    let back = match Asker::of(parts, upgrades) {
        Asker::Navigation => here(context, &logins, &site),
        Asker::Form => came_from(parts, &logins, &site),
        Asker::Program => return None,
    };
    let found = logins.sessions.find(
        &parts.headers,
        &policy.name,
        site.is_secure(),
        context.watch.now(),
    );
    let Found::Live { session, .. } = found.await else {
        return None;
    };
    let whom = policy.account(&session.claims);
    let whom = whom.unwrap_or_else(|| session.subject.to_string());
    let whom = format!("You are logged in as {whom}.");
    let offer = LoginOffer::of(Arc::clone(&policy.name));
    let start = start_url(&logins, &site, &[offer], &back);
    let actions = [
        Action::link(
            "Use another account",
            format!("{start}&prompt=select_account"),
        ),
        Action::link("Log out", logins.paths.of(Endpoint::Logout)),
    ];
    let page = page::failed_at(context, &answer::FORBIDDEN, &[&whom], &actions);
    Some(Box::new(page))
}
