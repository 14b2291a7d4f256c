//! Logins at work: what seals, who is logged in, who is told, and the policies that log in.

use crate::auth::audit::Audit;
use crate::auth::oidc::Logins;
use crate::auth::seal::Sealer;
use crate::auth::session::Sessions;
use crate::auth::{Policy, Resources};
use crate::config::Plan;
use crate::proxy::Snapshot;
use crate::shared::Line;
use crate::telemetry::metrics::Metrics;
use std::sync::Arc;

/// Who is logged in; those of `before` go on if the settings are the same.
pub(super) fn sessions(
    plan: &Plan,
    redis: Option<&Arc<Line>>,
    metrics: &Metrics,
    before: Option<&Snapshot>,
) -> Option<Arc<Sessions>> {
    let settings = plan.login.as_ref()?;
    let before = before.and_then(|snapshot| snapshot.logins.as_ref());
    let kept = before.filter(|logins| {
        let same_redis = match (logins.sessions.redis(), redis) {
            (Some(own), Some(other)) => Arc::ptr_eq(own, other),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        same_redis
            && logins.settings.keys == settings.keys
            && logins.settings.session == settings.session
    });
    Some(kept.map_or_else(
        || {
            // A key that was made at the start is not made anew: who is logged in stays so.
            let same_keys = before.filter(|logins| logins.settings.keys == settings.keys);
            let sealer = same_keys.map_or_else(
                || Arc::new(Sealer::new(&settings.keys)),
                |logins| Arc::clone(logins.sessions.sealer()),
            );
            let before = before.map(|logins| &*logins.sessions);
            let session = settings.session.clone();
            let counts = metrics.login();
            Arc::new(Sessions::new(session, sealer, redis, counts, before))
        },
        |logins| Arc::clone(&logins.sessions),
    ))
}

/// Who is told of logins and refusals; that of `before` goes on if it is to tell in the same way.
/// Digests of somebody are the same in sessions and in what is told.
pub(super) fn audit(
    plan: &Plan,
    sessions: Option<&Arc<Sessions>>,
    metrics: &Metrics,
    before: Option<&Snapshot>,
) -> Option<Arc<Audit>> {
    let settings = plan.audit.as_ref()?;
    let sealer = sessions.map(|sessions| sessions.sealer());
    let before = before.and_then(|snapshot| snapshot.audit.as_ref());
    let kept = before.filter(|audit| audit.is_of(settings, sealer));
    let made = || {
        let own = || Arc::new(Sealer::new(&settings.keys));
        let sealer = sealer.map_or_else(own, Arc::clone);
        Arc::new(Audit::new(settings.clone(), sealer, metrics.audit()))
    };
    Some(kept.map_or_else(made, Arc::clone))
}

/// What the logins of a plan share.
pub(super) fn logins(
    plan: &Plan,
    resources: Resources<'_>,
    policies: &[Arc<Policy>],
    before: Option<&Snapshot>,
) -> Option<Arc<Logins>> {
    let settings = plan.login.clone()?;
    let (sessions, audit) = resources.sessions.zip(resources.audit)?;
    let policies = policies.iter().filter_map(|one| one.login().cloned());
    let before = before.and_then(|snapshot| snapshot.logins.as_deref());
    let (sessions, audit) = (Arc::clone(sessions), Arc::clone(audit));
    let made = Logins::new(settings, sessions, policies.collect(), audit, before);
    Some(Arc::new(made))
}
