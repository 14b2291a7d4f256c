//! Small servers that answer as Tempo, Jaeger and Zipkin document it, each with one trace: a
//! request that edgespan took, and its failed call of `payout`.

use super::origin::{Answer, Origin, Received, text, with_headers};
use http_body_util::BodyExt;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{
    ResourceSpans, ScopeSpans, Span, Status, TracesData, status,
};
use prost::Message;
use serde_json::{Value, json};

/// Its first digits are zeros, which Tempo leaves out.
pub const ID: &str = "00f92f3577b34da6a3ce929d0e0e4736";
pub const ROUTE: &str = "/api/v1/orders/{order_id}";
const SERVER: &str = "53995c3f42cd8ad8";
const CLIENT: &str = "00f067aa0ba902b7";
/// Nanoseconds.
const LASTED: u64 = 412_600_000;

/// When it began: a few seconds ago, on a whole microsecond.
fn began() -> u64 {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap();
    (u64::try_from(now.as_micros()).unwrap() - 5_000_000) * 1_000
}

/// The part of the query behind `name=`, decoded.
pub fn asked(received: &Received, name: &str) -> Option<String> {
    let query = received.uri.query().unwrap_or_default();
    let pairs = url::form_urlencoded::parse(query.as_bytes());
    let found = pairs.into_iter().find(|(key, _)| key == name);
    found.map(|(_, value)| value.into_owned())
}

fn document(value: &Value) -> Answer {
    with_headers(
        200,
        &[("content-type", "application/json")],
        &value.to_string(),
    )
}

fn attribute(key: &str, value: Any) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

fn hex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// The trace in OTLP.
pub fn groups() -> Vec<ResourceSpans> {
    let text = |key, value: &str| attribute(key, Any::StringValue(value.to_owned()));
    let began = began();
    let server = Span {
        trace_id: hex(ID),
        span_id: hex(SERVER),
        name: format!("POST {ROUTE}"),
        kind: 2,
        start_time_unix_nano: began,
        end_time_unix_nano: began + LASTED,
        attributes: vec![
            text("http.route", ROUTE),
            text("flow", "escrow"),
            attribute("http.response.status_code", Any::IntValue(502)),
        ],
        ..Span::default()
    };
    let client = Span {
        span_id: hex(CLIENT),
        parent_span_id: hex(SERVER),
        name: "POST".to_owned(),
        kind: 3,
        attributes: vec![text("service.peer.name", "payout"), text("flow", "escrow")],
        status: Some(Status {
            code: status::StatusCode::Error.into(),
            ..Status::default()
        }),
        ..server.clone()
    };
    vec![ResourceSpans {
        resource: Some(Resource {
            attributes: vec![text("service.name", "edgespan")],
            ..Resource::default()
        }),
        scope_spans: vec![ScopeSpans {
            spans: vec![server, client],
            ..ScopeSpans::default()
        }],
        ..ResourceSpans::default()
    }]
}

/// Which Tempo.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Tempo {
    /// Today's.
    Now,
    /// Before 2.7: no version 2 of traces.
    Old,
    /// Behind something that hands out JSON whatever was asked for.
    Json,
    /// One with tenants, behind a proxy that wants a token.
    Guarded,
}

pub async fn tempo(kind: Tempo) -> Origin {
    Origin::answering(move |received| {
        let is_allowed = kind != Tempo::Guarded
            || (received
                .headers
                .get("authorization")
                .is_some_and(|it| it == "Bearer secret")
                && received
                    .headers
                    .get("x-scope-orgid")
                    .is_some_and(|it| it == "team"));
        if !is_allowed {
            return text(401, "no org id\n");
        }
        let v2 = format!("/api/v2/traces/{ID}");
        match received.uri.path() {
            "/api/echo" => text(200, "echo"),
            "/api/search" => document(&tempo_search(received)),
            path if path == v2 && kind == Tempo::Json => document(&tempo_trace()),
            path if path == v2 && kind != Tempo::Old => protobuf(true),
            path if path == format!("/api/traces/{ID}") => protobuf(false),
            _ => text(404, "404 page not found\n"),
        }
    })
    .await
}

fn protobuf(is_v2: bool) -> Answer {
    let data = TracesData {
        resource_spans: groups(),
    };
    let mut bytes = data.encode_to_vec();
    if is_v2 {
        // TraceByIDResponse: the trace is its first field, the status (PARTIAL) its third.
        let mut outer = vec![0x0a];
        prost::encoding::encode_varint(u64::try_from(bytes.len()).unwrap(), &mut outer);
        outer.append(&mut bytes);
        outer.extend([0x18, 0x01]);
        bytes = outer;
    }
    let body = http_body_util::Full::new(bytes::Bytes::from(bytes)).boxed();
    let answer = http::Response::builder().header("content-type", "application/protobuf");
    answer.body(body).unwrap()
}

/// Tempo answers what began in the range, whole seconds, and nothing that is an error where
/// `kind = server` was asked for.
fn tempo_search(received: &Received) -> Value {
    let second = |name| asked(received, name).unwrap().parse::<u64>().unwrap() * 1_000_000_000;
    let query = asked(received, "q").unwrap();
    let is_wanted =
        (second("start")..second("end")).contains(&began()) && !query.contains("nothing");
    let traces = is_wanted.then(|| {
        json!({
            "traceID": ID.trim_start_matches('0'),
            "rootServiceName": "edgespan",
            "rootTraceName": format!("POST {ROUTE}"),
            "startTimeUnixNano": began().to_string(),
            "durationMs": 412,
            "spanSets": [{"matched": 1, "spans": [{
                "spanID": SERVER, "name": format!("POST {ROUTE}"),
                "startTimeUnixNano": began().to_string(), "durationNanos": LASTED.to_string(),
                "attributes": [
                    {"key": "http.response.status_code", "value": {"intValue": "502"}},
                    {"key": "flow", "value": {"stringValue": "escrow"}}]}]}],
            "serviceStats": {"edgespan": {"spanCount": 2, "errorCount": 1}}
        })
    });
    json!({"traces": traces.into_iter().collect::<Vec<_>>(), "metrics": {"completedJobs": 1}})
}

/// As Tempo's jsonpb writes it.
fn tempo_trace() -> Value {
    let base64 = |id: &str| {
        use base64::Engine;
        base64::engine::general_purpose::STANDARD.encode(hex(id))
    };
    let began = began();
    json!({"trace": {"resourceSpans": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "edgespan"}}]},
        "scopeSpans": [{"scope": {"name": "edgespan"}, "spans": [
            {"traceId": base64(ID), "spanId": base64(SERVER), "name": format!("POST {ROUTE}"),
             "kind": "SPAN_KIND_SERVER", "startTimeUnixNano": began.to_string(),
             "endTimeUnixNano": (began + LASTED).to_string(), "status": {}},
            {"traceId": base64(ID), "spanId": base64(CLIENT), "parentSpanId": base64(SERVER),
             "name": "POST", "kind": "SPAN_KIND_CLIENT", "startTimeUnixNano": began.to_string(),
             "endTimeUnixNano": (began + LASTED).to_string(),
             "status": {"code": "STATUS_CODE_ERROR"}}]}]}]}})
}

/// Which of its APIs a Jaeger has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Jaeger {
    /// That of its page, and v3.
    Both,
    /// That of its page.
    Page,
    /// v3.
    V3,
}

pub async fn jaeger(kind: Jaeger) -> Origin {
    Origin::answering(move |received| {
        let (has_page, has_v3) = (kind != Jaeger::V3, kind != Jaeger::Page);
        match received.uri.path() {
            "/api/services" if has_page => document(&json!({
                "data": ["checkout", "edgespan"], "total": 2, "limit": 0, "offset": 0, "errors": null})),
            "/api/v3/services" if has_v3 => document(&json!({"services": ["checkout", "edgespan"]})),
            "/api/traces" if has_page => jaeger_search(received),
            "/api/v3/traces" if has_v3 => {
                match asked(received, "query.serviceName").as_deref() {
                    // Streamed: one document after the other.
                    Some("edgespan") => document(&json!({"result": TracesData { resource_spans: groups() }})),
                    _ => with_headers(404, &[], r#"{"error":{"httpCode":404,"message":"No traces found"}}"#),
                }
            }
            path if path == format!("/api/v3/traces/{ID}") && has_v3 => {
                document(&json!({"result": TracesData { resource_spans: groups() }}))
            }
            path if path == format!("/api/traces/{ID}") && has_page => document(&jaeger_trace()),
            path if path.starts_with("/api/v3/traces/") && has_v3 => {
                text(404, r#"{"error":{"httpCode":404,"message":"No traces found"}}"#)
            }
            path if path.starts_with("/api/traces/") && has_page => {
                text(404, r#"{"data":null,"errors":[{"code":404,"msg":"trace not found"}]}"#)
            }
            // Its page is what all else answers.
            _ => with_headers(200, &[("content-type", "text/html")], "<!doctype html><title>Jaeger UI</title>"),
        }
    })
    .await
}

fn jaeger_search(received: &Received) -> Answer {
    let Some(service) = asked(received, "service") else {
        return text(
            400,
            r#"{"data":null,"errors":[{"code":400,"msg":"parameter 'service' is required"}]}"#,
        );
    };
    // All tags have to stand on one span of the service.
    let tags: Value =
        asked(received, "tags").map_or(json!({}), |tags| serde_json::from_str(&tags).unwrap());
    let client = json!({"service.peer.name": "payout", "error": "true", "flow": "escrow"});
    let server = json!({"http.route": ROUTE, "flow": "escrow", "http.response.status_code": "502"});
    let has = |span: &Value| {
        tags.as_object()
            .unwrap()
            .iter()
            .all(|(key, value)| span.get(key) == Some(value))
    };
    if service == "edgespan" && (has(&client) || has(&server)) {
        document(&jaeger_trace())
    } else {
        document(&json!({"data": [], "total": 0, "limit": 0, "offset": 0, "errors": null}))
    }
}

fn jaeger_trace() -> Value {
    let tag =
        |key: &str, kind: &str, value: Value| json!({"key": key, "type": kind, "value": value});
    json!({"data": [{"traceID": ID, "spans": [
        {"traceID": ID, "spanID": SERVER, "operationName": format!("POST {ROUTE}"), "references": [],
         "startTime": began() / 1_000, "duration": LASTED / 1_000, "logs": [], "processID": "p1",
         "tags": [tag("span.kind", "string", json!("server")), tag("http.route", "string", json!(ROUTE)),
                  tag("flow", "string", json!("escrow")),
                  tag("http.response.status_code", "int64", json!(502))]},
        {"traceID": ID, "spanID": CLIENT, "operationName": "POST",
         "references": [{"refType": "CHILD_OF", "traceID": ID, "spanID": SERVER}],
         "startTime": began() / 1_000, "duration": LASTED / 1_000, "logs": [], "processID": "p1",
         "tags": [tag("span.kind", "string", json!("client")), tag("error", "bool", json!(true)),
                  tag("service.peer.name", "string", json!("payout")),
                  tag("flow", "string", json!("escrow"))]}],
        "processes": {"p1": {"serviceName": "edgespan", "tags": []}}, "warnings": null}],
        "total": 0, "limit": 0, "offset": 0, "errors": null})
}

pub async fn zipkin() -> Origin {
    Origin::answering(|received| match received.uri.path() {
        "/api/v2/services" => document(&json!(["checkout", "edgespan"])),
        "/api/v2/traces" => {
            let wanted = ["edgespan", "payout"].map(str::to_owned);
            let service =
                asked(received, "serviceName").or_else(|| asked(received, "remoteServiceName"));
            let is_wanted = service.is_none_or(|service| wanted.contains(&service));
            document(&json!(
                is_wanted.then(zipkin_trace).into_iter().collect::<Vec<_>>()
            ))
        }
        path if path == format!("/api/v2/trace/{ID}") => document(&zipkin_trace()),
        path => text(404, &format!("{path} not found")),
    })
    .await
}

fn zipkin_trace() -> Value {
    json!([
        {"traceId": ID, "id": SERVER, "name": format!("post {ROUTE}"), "kind": "SERVER",
         "timestamp": began() / 1_000, "duration": LASTED / 1_000,
         "localEndpoint": {"serviceName": "edgespan"},
         "tags": {"http.route": ROUTE, "flow": "escrow", "http.response.status_code": "502"}},
        {"traceId": ID, "parentId": SERVER, "id": CLIENT, "name": "post", "kind": "CLIENT",
         "timestamp": began() / 1_000, "duration": LASTED / 1_000,
         "localEndpoint": {"serviceName": "edgespan"}, "remoteEndpoint": {"serviceName": "payout"},
         "tags": {"error": "502", "flow": "escrow"}}])
}
