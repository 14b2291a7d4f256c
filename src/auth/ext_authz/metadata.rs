//! Dynamic metadata: JSON as `google.protobuf.Struct` has it.

use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};
use serde_json::Value as Json;

/// JSON as a value of `google.protobuf`. Numbers are doubles there.
pub(super) fn of_json(json: &Json) -> Value {
    let kind = match json {
        Json::Null => Kind::NullValue(0),
        Json::Bool(value) => Kind::BoolValue(*value),
        Json::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or(f64::NAN)),
        Json::String(text) => Kind::StringValue(text.clone()),
        Json::Array(values) => Kind::ListValue(ListValue {
            values: values.iter().map(of_json).collect(),
        }),
        Json::Object(fields) => {
            let fields = fields.iter();
            Kind::StructValue(Struct {
                fields: fields
                    .map(|(name, value)| (name.clone(), of_json(value)))
                    .collect(),
            })
        }
    };
    Value { kind: Some(kind) }
}

/// What stands at a dotted path. A field whose own name has dots is found, too.
pub(super) fn at<'m>(fields: &'m Struct, path: &str) -> Option<&'m Kind> {
    if let Some(value) = fields.fields.get(path) {
        return value.kind.as_ref();
    }
    path.match_indices('.').find_map(|(dot, _)| {
        let (name, rest) = path.split_at_checked(dot)?;
        match fields.fields.get(name)?.kind.as_ref()? {
            Kind::StructValue(inner) => at(inner, rest.strip_prefix('.')?),
            Kind::NullValue(_)
            | Kind::NumberValue(_)
            | Kind::StringValue(_)
            | Kind::BoolValue(_)
            | Kind::ListValue(_) => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fields(json: Json) -> Struct {
        let Some(Kind::StructValue(fields)) = of_json(&json).kind else {
            panic!("an object");
        };
        fields
    }

    #[test]
    fn a_path_finds_nested_fields_and_names_with_dots() {
        let metadata = fields(json!({"a": {"b": {"c": true}}, "x.y": {"z": "deep"}, "n": 7}));

        assert_eq!(at(&metadata, "a.b.c"), Some(&Kind::BoolValue(true)));
        assert_eq!(at(&metadata, "n"), Some(&Kind::NumberValue(7.0)));
        let deep = Kind::StringValue("deep".to_owned());
        assert_eq!(at(&metadata, "x.y.z"), Some(&deep));
        for missing in ["", ".", "a.", "a.b.d", "n.x", "a..b", "b.c", "x.z"] {
            assert_eq!(at(&metadata, missing), None, "{missing}");
        }
    }
}
