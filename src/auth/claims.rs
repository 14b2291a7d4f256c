//! What claims say of somebody: who it is, and of which groups. The same for tokens and logins.

use super::jose::Claims;
use serde_json::Value;
use std::sync::Arc;

/// Most groups of one client.
const GROUPS_MAX: usize = 1_000;

/// The claim at a path.
pub(super) fn at<'a>(claims: &'a Claims, path: &[Box<str>]) -> Option<&'a Value> {
    let (first, deeper) = path.split_first()?;
    let first = claims.get(&**first)?;
    let mut deeper = deeper.iter();
    deeper.try_fold(first, |value, name| value.get(&**name))
}

/// Whom the claim at a path names: a text with something in it, or a number.
pub(super) fn subject(claims: &Claims, path: &[Box<str>]) -> Option<Arc<str>> {
    match at(claims, path)? {
        Value::String(text) if !text.is_empty() => Some(Arc::from(text.as_str())),
        Value::Number(number) => Some(Arc::from(number.to_string())),
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            None
        }
    }
}

/// Groups of all claims that hold some, each once, up to 1,000 of them.
pub(super) fn groups(claims: &Claims, paths: &[Box<[Box<str>]>]) -> Vec<Arc<str>> {
    let mut groups: Vec<Arc<str>> = Vec::new();
    let mut add = |group: &str| {
        if !group.is_empty()
            && groups.len() < GROUPS_MAX
            && !groups.iter().any(|own| **own == *group)
        {
            groups.push(Arc::from(group));
        }
    };
    for path in paths {
        match at(claims, path) {
            Some(Value::String(one)) => add(one),
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).for_each(&mut add),
            _ => {}
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn claims(value: Value) -> Claims {
        value.as_object().cloned().unwrap()
    }

    fn path(names: &[&str]) -> Box<[Box<str>]> {
        names.iter().map(|name| Box::from(*name)).collect()
    }

    #[test]
    fn a_subject_is_a_text_or_a_number_wherever_it_stands() {
        let check = |value: Value, expected: Option<&str>| {
            let claims = claims(json!({"user": {"id": value}}));
            let found = subject(&claims, &path(&["user", "id"]));
            assert_eq!(found.as_deref(), expected, "{claims:?}");
        };
        check(json!("ada"), Some("ada"));
        check(json!(7), Some("7"));
        for value in [
            json!(""),
            json!(null),
            json!(true),
            json!(["ada"]),
            json!({"a": 1}),
        ] {
            check(value, None);
        }
        let claims = claims(json!({"user": "ada"}));
        for names in [&["user", "id"][..], &["id"], &[]] {
            assert_eq!(subject(&claims, &path(names)), None, "{names:?}");
        }
    }

    #[test]
    fn groups_of_several_claims_are_each_told_once_up_to_the_bound() {
        let claims = claims(json!({
            "groups": ["ops", "", 7, "dev", "ops"], "realm": {"roles": ["dev", "admin"]},
            "role": "lead", "many": (0..GROUPS_MAX + 1).map(|i| i.to_string()).collect::<Vec<_>>(),
        }));
        let paths = [
            path(&["groups"]),
            path(&["realm", "roles"]),
            path(&["role"]),
            path(&["x"]),
        ];
        let found = groups(&claims, &paths);
        let expected: Vec<Arc<str>> = ["ops", "dev", "admin", "lead"].map(Arc::from).into();
        assert_eq!(found, expected);
        assert_eq!(groups(&claims, &[path(&["many"])]).len(), GROUPS_MAX);
    }
}
