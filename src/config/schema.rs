//! The JSON Schema of the document, and the compact form of it that the shape pass walks.
//!
//! Derived from the raw types, so that what is checked, what is documented and what editors
//! complete is one thing.

use super::raw;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};
use std::sync::LazyLock;

/// The JSON Schema (draft 2020-12) of a configuration file.
pub fn schema() -> Value {
    schema_of::<raw::Config>("edgespan configuration")
}

/// The JSON Schema (draft 2020-12) of a probe's file.
pub fn probe_schema() -> schemars::Schema {
    let schema = schema_of::<raw::Probe>("edgespan probe");
    schemars::Schema::try_from(schema).unwrap_or_default()
}

fn schema_of<T: JsonSchema>(title: &str) -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<T>().to_value();
    without_null(&mut schema);
    if let Value::Object(root) = &mut schema {
        root.insert("title".to_owned(), Value::from(title));
    }
    schema
}

/// The shape of the whole document.
pub(in crate::config) fn root() -> &'static Shape {
    static ROOT: LazyLock<Shape> = LazyLock::new(|| {
        let schema = schema();
        shape(&schema, &schema)
    });
    &ROOT
}

/// The shape of a probe's file.
pub(in crate::config) fn probe_root() -> &'static Shape {
    static ROOT: LazyLock<Shape> = LazyLock::new(|| {
        let schema = probe_schema().to_value();
        shape(&schema, &schema)
    });
    &ROOT
}

/// What may stand at one place, by the kind of node.
#[derive(Clone, Debug, Default)]
pub(in crate::config) struct Shape {
    /// What is called this: `duration`, `listener mode`.
    pub(in crate::config) title: Option<String>,
    /// Nobody may see what stands there.
    pub(in crate::config) secret: bool,
    /// Anything may stand there, JSON for example.
    pub(in crate::config) any: bool,
    /// What a single value may be.
    pub(in crate::config) single: Option<Single>,
    /// What the items of a list are.
    pub(in crate::config) list: Option<List>,
    /// What a map holds.
    pub(in crate::config) map: Option<Keys>,
}

impl Shape {
    /// Whether a secret stands here or anywhere below.
    pub(in crate::config) fn holds_secret(&self) -> bool {
        let below = match &self.map {
            Some(Keys::Known { keys, .. }) => keys.iter().any(|(_, shape)| shape.holds_secret()),
            Some(Keys::Chosen(shape)) => shape.holds_secret(),
            None => false,
        };
        self.secret
            || below
            || self
                .list
                .as_ref()
                .is_some_and(|list| list.item.holds_secret())
    }
}

/// What a single value may be.
#[derive(Clone, Debug)]
pub(in crate::config) enum Single {
    /// Any text, as written.
    Text,
    /// A whole number in a range.
    Integer { least: i64, most: i64 },
    /// A number in a range.
    Number { least: f64, most: f64 },
    /// `true` or `false`.
    Bool,
    /// One of these words; and what several of them are called.
    Word { words: Vec<String>, plural: String },
}

/// A list.
#[derive(Clone, Debug)]
pub(in crate::config) struct List {
    pub(in crate::config) item: Box<Shape>,
    /// Whether it may not be empty.
    pub(in crate::config) filled: bool,
}

/// A map.
#[derive(Clone, Debug)]
pub(in crate::config) enum Keys {
    /// Keys that the schema knows, in its order.
    Known {
        keys: Vec<(String, Shape)>,
        required: Vec<String>,
    },
    /// Keys that the user chooses.
    Chosen(Box<Shape>),
}

/// Absent is the same as not given, and nothing may be written as `null`: takes the `null` out
/// that schemars gives to every `Option`.
fn without_null(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(without_null),
        Value::Object(object) => {
            object.values_mut().for_each(without_null);
            if let Some(Value::Array(types)) = object.get_mut("type") {
                types.retain(|one| one != "null");
                if let [one] = types.as_slice() {
                    let one = one.clone();
                    object.insert("type".to_owned(), one);
                }
            }
            let null = |one: &Value| one.get("type").is_some_and(|kind| kind == "null");
            if let Some(Value::Array(branches)) = object.get_mut("anyOf") {
                branches.retain(|one| !null(one));
                if let [Value::Object(one)] = branches.as_slice() {
                    let one = one.clone();
                    object.remove("anyOf");
                    // What the field says of itself stands before what its type says.
                    for (key, value) in one {
                        object.entry(key).or_insert(value);
                    }
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Follows a `$ref` into the definitions.
pub(in crate::config) fn resolve<'a>(schema: &'a Value, root: &'a Value) -> &'a Value {
    schema
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|path| root.pointer(path.trim_start_matches('#')))
        .unwrap_or(schema)
}

fn shape(schema: &Value, root: &Value) -> Shape {
    let resolved = resolve(schema, root);
    let text = |key: &str| resolved.get(key).and_then(Value::as_str);
    let mut shape = Shape {
        title: text("title").map(str::to_owned),
        secret: resolved.get("writeOnly").is_some_and(|value| value == true),
        any: resolved.get("x-any").is_some_and(|value| value == true),
        single: single(resolved),
        list: None,
        map: None,
    };
    if let Some(items) = resolved.get("items") {
        shape.list = Some(List {
            item: Box::new(self::shape(items, root)),
            filled: resolved.get("minItems").is_some(),
        });
    }
    shape.map = keys(resolved, root);
    let branches = resolved.get("anyOf").and_then(Value::as_array);
    for branch in branches.into_iter().flatten() {
        let branch = self::shape(branch, root);
        shape.single = shape.single.or(branch.single);
        shape.list = shape.list.or(branch.list);
        shape.map = shape.map.or(branch.map);
        shape.any |= branch.any;
        shape.title = shape.title.or(branch.title);
    }
    shape
}

fn keys(schema: &Value, root: &Value) -> Option<Keys> {
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        let required = schema.get("required").and_then(Value::as_array);
        let required = required.into_iter().flatten().filter_map(Value::as_str);
        return Some(Keys::Known {
            keys: properties
                .iter()
                .map(|(key, schema)| (key.clone(), shape(schema, root)))
                .collect(),
            required: required.map(str::to_owned).collect(),
        });
    }
    let values = schema
        .get("additionalProperties")
        .filter(|values| values.is_object())?;
    Some(Keys::Chosen(Box::new(shape(values, root))))
}

fn single(schema: &Value) -> Option<Single> {
    let words = words(schema);
    if !words.is_empty() {
        let title = schema
            .get("title")
            .and_then(Value::as_str)
            .unwrap_or("value");
        // `listener mode` is a mode, `way with failures` a way.
        let named = title.split(" with ").next().unwrap_or(title);
        let noun = named.split(' ').next_back().unwrap_or(named);
        let plural = schema.get("x-plural").and_then(Value::as_str);
        let usual = || {
            if title.starts_with('`') {
                // The title is the words themselves.
                "values".to_owned()
            } else {
                format!("{noun}s")
            }
        };
        let plural = plural.map_or_else(usual, str::to_owned);
        return Some(Single::Word { words, plural });
    }
    let kinds: Vec<&str> = match schema.get("type") {
        Some(Value::String(kind)) => vec![kind],
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let bound = |key: &str| schema.get(key);
    if kinds.contains(&"string") {
        Some(Single::Text)
    } else if kinds.contains(&"integer") {
        Some(Single::Integer {
            least: bound("minimum").and_then(Value::as_i64).unwrap_or(i64::MIN),
            most: bound("maximum").and_then(Value::as_i64).unwrap_or(i64::MAX),
        })
    } else if kinds.contains(&"number") {
        Some(Single::Number {
            least: bound("minimum").and_then(Value::as_f64).unwrap_or(f64::MIN),
            most: bound("maximum").and_then(Value::as_f64).unwrap_or(f64::MAX),
        })
    } else {
        kinds.contains(&"boolean").then_some(Single::Bool)
    }
}

/// The words of an enumeration: plain ones, or those that have a description each.
fn words(schema: &Value) -> Vec<String> {
    let list = |key: &str| schema.get(key).and_then(Value::as_array);
    let plain = list("enum").into_iter().flatten().filter_map(Value::as_str);
    let described = list("oneOf").into_iter().flatten();
    let described = described.filter_map(|one| one.get("const")?.as_str());
    plain.chain(described).map(str::to_owned).collect()
}

/// What a reader sees of a property: its own words before those of its type.
pub(in crate::config) fn described<'a>(
    property: &'a Map<String, Value>,
    target: &'a Value,
    key: &str,
) -> Option<&'a Value> {
    property.get(key).or_else(|| target.get(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_the_schema_may_be_null() {
        let text = schema().to_string();

        assert!(!text.contains(r#""null""#), "{text}");
    }

    #[test]
    fn every_object_refuses_unknown_keys() {
        fn walk(value: &Value, path: &str) {
            if let Value::Object(object) = value {
                if object.contains_key("properties") {
                    assert_eq!(
                        object.get("additionalProperties"),
                        Some(&Value::Bool(false)),
                        "{path}"
                    );
                }
                for (key, value) in object {
                    walk(value, &format!("{path}/{key}"));
                }
            }
        }

        walk(&schema(), "");
    }

    #[test]
    fn every_place_takes_something() {
        fn walk(shape: &Shape, path: &str) {
            let takes =
                shape.any || shape.single.is_some() || shape.list.is_some() || shape.map.is_some();
            assert!(takes, "{path}");
            match &shape.map {
                Some(Keys::Known { keys, .. }) => {
                    for (key, shape) in keys {
                        walk(shape, &format!("{path}.{key}"));
                    }
                }
                Some(Keys::Chosen(shape)) => walk(shape, &format!("{path}.*")),
                None => {}
            }
        }

        walk(root(), "");
    }

    #[test]
    fn every_key_is_described() {
        fn walk(value: &Value, path: &str) {
            if let Value::Object(object) = value {
                if let Some(Value::Object(properties)) = object.get("properties") {
                    for (key, property) in properties {
                        assert!(property.get("description").is_some(), "{path} {key}");
                    }
                }
                for (key, value) in object {
                    walk(value, &format!("{path}/{key}"));
                }
            }
        }

        walk(&schema(), "");
    }
}
