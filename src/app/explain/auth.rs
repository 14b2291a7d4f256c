//! What was decided of who may pass, as the spans tell it.

use super::SpanFact;
use crate::config::Plan;
use crate::proxy::plan::RoutePlan;
use http::Request;
use std::sync::Arc;

/// What was decided of a request whose route requires something.
#[derive(Clone, Debug)]
pub struct AuthFact {
    /// `allow`, `deny`, or what a refusal came to.
    pub decision: String,
    /// Why not.
    pub reason: Option<String>,
    /// The policy that decided.
    pub policy: Option<String>,
    /// Every policy that was asked, in order.
    pub asked: Vec<AskedFact>,
    /// The route's expression, if it has one.
    pub allow: Option<String>,
}

/// A policy that was asked.
#[derive(Clone, Debug)]
pub struct AskedFact {
    /// Its name.
    pub policy: String,
    /// How it decides, in the word of the configuration.
    pub means: &'static str,
    /// What it said. Of an authorizer it is assumed that it allows: nobody was asked.
    pub decision: String,
    /// Why it does not allow.
    pub reason: Option<String>,
    /// Whether it refuses at all.
    pub enforced: bool,
    /// Method and path that an authorizer would be asked with.
    pub question: Option<String>,
}

/// Reads it from spans and from what authorizers were asked; None where nothing is required.
pub(super) fn auth_fact(
    plan: &Plan,
    route: Option<&RoutePlan>,
    spans: &[SpanFact],
    sent: &[(Arc<str>, Request<()>)],
) -> Option<AuthFact> {
    let server = spans.iter().find(|span| span.kind == "SERVER")?;
    let text = |span: &SpanFact, key: &str| span.attribute(key).map(str::to_owned);
    let decided = spans.iter().filter(|span| span.kind == "INTERNAL");
    let asked = decided.filter_map(|span| {
        // What is told of a refusal names its policy, too, and decides nothing.
        let decision = text(span, "edgespan.auth.decision")?;
        let policy = text(span, "edgespan.auth.policy")?;
        let settings = plan.policies.iter().find(|one| *one.name == *policy)?;
        let question = settings.upstream().and_then(|upstream| {
            let mut questions = sent.iter().filter(|(to, _)| to == upstream);
            questions
                .next()
                .map(|(_, question)| super::facts::target_text(question))
        });
        Some(AskedFact {
            means: settings.means.word(),
            decision,
            reason: text(span, "edgespan.auth.reason"),
            enforced: !settings.shadow,
            question,
            policy,
        })
    });
    Some(AuthFact {
        decision: text(server, "edgespan.auth.decision")?,
        reason: text(server, "edgespan.auth.reason"),
        policy: text(server, "edgespan.auth.policy"),
        asked: asked.collect(),
        allow: route
            .and_then(|route| route.allow.as_ref())
            .map(|allow| allow.text().to_owned()),
    })
}
