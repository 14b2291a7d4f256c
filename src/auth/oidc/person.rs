//! Who a session is of.

use super::settings::OidcSettings;
use crate::auth::session::Session;
use crate::auth::{Identity, Proof};
use serde_json::{Map, Value};
use std::sync::Arc;

/// Longest name of an account, in characters.
const NAME_CHARS_MAX: usize = 100;
/// Claims that a person knows an account by, the best first.
const NAMES: [&str; 4] = ["email", "preferred_username", "name", "sub"];
/// Most groups of one person.
const GROUPS_MAX: usize = 1_000;

/// The identity that a session proves; None if it does not say whose it is.
pub(super) fn identity(
    settings: &OidcSettings,
    session: &Session,
    policy: &Arc<str>,
) -> Option<Identity> {
    let subject = subject(settings, &session.claims)?;
    Some(Identity {
        subject: Some(subject),
        groups: groups(settings, &session.claims),
        claims: session.claims.clone(),
        proof: Proof::Oidc,
        policy: Arc::clone(policy),
    })
}

/// What the file says names a person.
pub(super) fn subject(settings: &OidcSettings, claims: &Map<String, Value>) -> Option<Arc<str>> {
    match at(claims, &settings.subject)? {
        Value::String(text) if !text.is_empty() => Some(Arc::from(text.as_str())),
        Value::Number(number) => Some(Arc::from(number.to_string())),
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            None
        }
    }
}

/// Groups of all claims that hold some, each once.
pub(super) fn groups(settings: &OidcSettings, claims: &Map<String, Value>) -> Vec<Arc<str>> {
    let mut groups: Vec<Arc<str>> = Vec::new();
    let mut add = |group: &str| {
        if !group.is_empty()
            && groups.len() < GROUPS_MAX
            && !groups.iter().any(|own| **own == *group)
        {
            groups.push(Arc::from(group));
        }
    };
    for path in &settings.groups {
        match at(claims, path) {
            Some(Value::String(one)) => add(one),
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).for_each(&mut add),
            _ => {}
        }
    }
    groups
}

/// What a person knows an account by, for pages.
pub(super) fn account(claims: &Map<String, Value>) -> Option<String> {
    let told = NAMES
        .iter()
        .filter_map(|claim| claims.get(*claim)?.as_str());
    let told = told.map(str::trim).find(|text| !text.is_empty())?;
    let shown = told.chars().filter(|one| !one.is_control());
    Some(shown.take(NAME_CHARS_MAX).collect())
}

/// The claim at a path.
pub(super) fn at<'a>(claims: &'a Map<String, Value>, path: &[Box<str>]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    rest.iter()
        .try_fold(claims.get(&**first)?, |value, name| value.get(&**name))
}
