//! The rows of who may pass.

use crate::app::explain::{AskedFact, AuthFact};

/// What a policy said, in a row.
pub(super) fn asked_text(asked: &AskedFact) -> String {
    let AskedFact {
        policy,
        means,
        decision,
        ..
    } = asked;
    let why = match (&asked.question, &asked.reason) {
        (None, Some(reason)) if *means == "jwt" && reason == "unavailable" => {
            "not verified: its issuer is not asked for keys here".to_owned()
        }
        (None, Some(reason)) if *means == "oidc" && reason == "no_credential" => {
            format!("{decision}, no session: whoever opens a page is sent to log in")
        }
        (Some(_), None) => format!("assumed to {decision}"),
        (_, Some(reason)) => format!("{decision}, {reason}"),
        (None, None) => decision.clone(),
    };
    let question = match &asked.question {
        Some(question) => format!("  {question}"),
        None => String::new(),
    };
    let shadow = if asked.enforced {
        ""
    } else {
        "; in shadow, changes nothing"
    };
    format!("{policy}  {means}{question}  {why}{shadow}")
}

/// What the route's expression came to, if it has one.
pub(super) fn allow_text(auth: &AuthFact) -> Option<String> {
    let text = auth.allow.as_ref()?;
    let came_to = match (auth.decision.as_str(), auth.reason.as_deref()) {
        ("allow", _) => "true",
        (_, Some("not_allowed")) => "false",
        (_, Some("allow_failed")) => "cannot be evaluated",
        (_, _) => "not asked",
    };
    Some(format!(
        "{}  {came_to}",
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    ))
}
