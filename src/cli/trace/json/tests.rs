//! Answers for machines: that they parse, hold to their schema, and lose nothing.

use super::super::fixtures;
use super::*;
use crate::view::Value as Told;
use proptest::prelude::*;
use serde_json::Value;

fn summary(status: Option<u16>) -> Summary {
    Summary {
        id: fixtures::trace_id(),
        root_service: "edgespan".to_owned(),
        root_name: "POST /api/v1/orders/{order_id}/release".to_owned(),
        start: fixtures::START,
        duration: 412_613_000,
        spans: Some(6),
        is_error: Some(true),
        status,
        flow: Some("escrow".to_owned()),
        path: Some("/api/v1/orders/7/release".to_owned()),
    }
}

fn found(count: usize) -> Found {
    Found {
        traces: vec![summary(Some(502)); count],
        incomplete: None,
    }
}

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

#[track_caller]
fn check(text: &str, schema: Schema) -> Value {
    let value: Value = serde_json::from_str(text).unwrap();
    let schema = schema.to_value();
    assert_eq!(broken(&value, &schema, &schema, "$"), Vec::<String>::new());
    value
}

#[test]
fn what_was_found_is_one_array_with_tempos_names() {
    let text = find(&found(2));

    check(&text, find_schema());
    assert_eq!(text.lines().count(), 2, "a trace a line");
    insta::assert_snapshot!(text);
    assert_eq!(find(&Found::default()), "[]\n");
}

#[test]
fn what_is_not_known_is_null() {
    let mut found = found(1);
    found.traces[0] = Summary {
        root_service: String::new(),
        root_name: String::new(),
        spans: None,
        is_error: None,
        status: None,
        flow: None,
        path: None,
        ..summary(None)
    };
    let value = check(&find(&found), find_schema());
    assert_eq!(value[0]["spanCount"], Value::Null);
    assert_eq!(value[0]["rootTraceName"], "");
}

#[test]
fn what_follows_is_one_object_a_line() {
    let line = tail(&summary(Some(502)));

    let value = check(&line, tail_schema());

    assert_eq!(line.lines().count(), 1);
    assert_eq!(value["schema"], "edgespan.tail/1");
}

#[test]
fn a_trace_is_one_document() {
    let text = show(&fixtures::release());

    let value = check(&text, show_schema());

    insta::assert_snapshot!(format!("{value:#}"));
}

#[test]
fn every_trace_holds_to_the_schema() {
    for trace in [
        fixtures::under_a_caller(),
        fixtures::alike(),
        fixtures::without_a_root(),
        fixtures::circle(),
        fixtures::hostile(),
        fixtures::trace(Vec::new()),
        fixtures::large(2_000),
    ] {
        let value = check(&show(&trace), show_schema());
        assert_eq!(value["spans"].as_array().unwrap().len(), trace.spans.len());
    }
}

#[test]
fn values_keep_what_they_are() {
    let values = [
        ("text", Told::Text("502".to_owned())),
        ("int", Told::Int(502)),
        ("last exact", Told::Int((1 << 53) - 1)),
        ("first that is not", Told::Int(-(1 << 53))),
        ("nan", Told::Double(f64::NAN)),
        ("bytes", Told::Bytes(vec![0, 255])),
        ("list", Told::List(vec![Told::Bool(true), Told::Empty])),
        ("map", Told::Map(vec![("a".to_owned(), Told::Double(0.5))])),
        ("text", Told::Text("a second time".to_owned())),
    ];
    let trace = fixtures::trace(vec![fixtures::with(fixtures::server(1, 200), &values)]);
    let value: Value = serde_json::from_str(&show(&trace)).unwrap();
    let attributes = &value["spans"][0]["attributes"];
    let check = |key: &str, expected: &str| {
        assert_eq!(attributes[key].to_string(), expected, "{key}");
    };
    check("text", "\"502\"");
    check("int", "502");
    check("last exact", "9007199254740991");
    check("first that is not", "\"-9007199254740992\"");
    check("nan", "\"NaN\"");
    check("bytes", "\"AP8=\"");
    check("list", "[true,null]");
    check("map", "{\"a\":0.5}");
}

#[test]
fn otlp_is_written_as_its_json_encoding_wants() {
    use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
    use opentelemetry_proto::tonic::trace::v1::{ScopeSpans, Span};
    let span = Span {
        trace_id: fixtures::trace_id().to_bytes().to_vec(),
        span_id: vec![0x53, 0x99, 0x5c, 0x3f, 0x42, 0xcd, 0x8a, 0xd8],
        name: "POST".to_owned(),
        kind: 2,
        start_time_unix_nano: fixtures::START,
        attributes: vec![KeyValue {
            key: "http.response.status_code".to_owned(),
            value: Some(AnyValue {
                value: Some(any_value::Value::IntValue(502)),
            }),
            ..KeyValue::default()
        }],
        ..Span::default()
    };
    let groups = vec![ResourceSpans {
        scope_spans: vec![ScopeSpans {
            spans: vec![span],
            ..ScopeSpans::default()
        }],
        ..ResourceSpans::default()
    }];

    let text = otlp(groups.clone());

    let value: Value = serde_json::from_str(&text).unwrap();
    let span = &value["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
    assert_eq!(span["traceId"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(span["spanId"], "53995c3f42cd8ad8");
    assert_eq!(span["kind"], 2);
    assert_eq!(span["startTimeUnixNano"], "1795262601482000000");
    assert_eq!(span["attributes"][0]["value"]["intValue"], "502");
    let back: TracesData = serde_json::from_str(&text).unwrap();
    assert_eq!(back.resource_spans, groups);
}

proptest! {
    #[test]
    fn no_text_breaks_an_answer(name in any::<String>(), service in any::<String>()) {
        let mut found = found(2);
        found.traces[0].root_name = name.clone();
        found.traces[0].root_service = service;
        let text = find(&found);
        let value: Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(value[0]["rootTraceName"].as_str(), Some(name.as_str()));
        prop_assert_eq!(text.lines().count(), 2);
    }
}
