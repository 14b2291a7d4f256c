//! Whether a document for machines is what its schema says.

use schemars::Schema;
use serde_json::Value;

/// Every way in which `value` is not what `schema` says: the keywords that schemars writes.
fn broken(value: &Value, schema: &Value, root: &Value, at: &str) -> Vec<String> {
    if let Some(name) = schema["$ref"].as_str() {
        let target = root.pointer(name.trim_start_matches('#')).unwrap();
        return broken(value, target, root, at);
    }
    if let Some(any) = schema["anyOf"].as_array() {
        let fits = |one: &Value| broken(value, one, root, at).is_empty();
        let none = !any.iter().any(fits);
        return none
            .then(|| format!("{at}: none of anyOf"))
            .into_iter()
            .collect();
    }
    let mut all = Vec::new();
    let is = |name: &str| match name {
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        other => panic!("type {other}"),
    };
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one.as_str()],
        Value::Array(more) => more.iter().map(|one| one.as_str().unwrap()).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
    };
    if !types.is_empty() && !types.iter().any(|one| is(one)) {
        all.push(format!("{at}: {value} is no {types:?}"));
    }
    for required in schema["required"].as_array().into_iter().flatten() {
        if value.get(required.as_str().unwrap()).is_none() {
            all.push(format!("{at}: {required} is missing"));
        }
    }
    if let (Some(object), Some(known)) = (value.as_object(), schema["properties"].as_object()) {
        for (key, value) in object {
            match known.get(key) {
                Some(schema) => all.extend(broken(value, schema, root, &format!("{at}.{key}"))),
                None => all.push(format!("{at}: {key} is not in the schema")),
            }
        }
    }
    for (place, item) in value.as_array().into_iter().flatten().enumerate() {
        all.extend(broken(
            item,
            &schema["items"],
            root,
            &format!("{at}[{place}]"),
        ));
    }
    all
}

/// The document, if it is what its schema says.
#[track_caller]
pub(super) fn check(text: &str, schema: Schema) -> Value {
    let value: Value = serde_json::from_str(text).unwrap();
    let schema = schema.to_value();
    assert_eq!(broken(&value, &schema, &schema, "$"), Vec::<String>::new());
    value
}
