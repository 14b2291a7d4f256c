//! Recent traces are kept, and found by whoever asks as one asks a Tempo.

use crate::support::client::{Reply, get, request, send, send_h2, with_body};
use crate::support::origin::Origin;
use crate::support::otlp_client::OtlpClient;
use crate::support::proxy::{Proxy, Setup};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, TracesData};
use prost::Message;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::SocketAddr;

const HOST: (&str, &str) = ("host", "localhost");

async fn ask(proxy: &Proxy, target: &str) -> Reply {
    get(proxy.admin, target, &[HOST]).await
}

async fn post(to: SocketAddr, headers: &[(&str, &str)], body: impl Into<bytes::Bytes>) -> Reply {
    send(to, with_body(request("POST", "/v1/traces", headers), body)).await
}

async fn figure(proxy: &Proxy, name: &str) -> u64 {
    let figures = ask(proxy, "/api/edgespan/store").await.json();
    figures[name].as_str().unwrap().parse().unwrap()
}

/// A message of one span.
fn message(service: &str, trace: u8, span: u8, padding: usize) -> ExportTraceServiceRequest {
    let text = |key: &str, text: String| KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(any_value::Value::StringValue(text)),
        }),
        ..KeyValue::default()
    };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: vec![text("service.name", service.to_owned())],
                ..Resource::default()
            }),
            scope_spans: vec![ScopeSpans {
                spans: vec![Span {
                    trace_id: vec![trace; 16],
                    span_id: vec![span; 8],
                    name: "work".to_owned(),
                    start_time_unix_nano: 1_900_000_000_000_000_000 + u64::from(trace),
                    end_time_unix_nano: 1_900_000_000_250_000_000 + u64::from(trace),
                    attributes: vec![text("padding", "x".repeat(padding))],
                    ..Span::default()
                }],
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    }
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    writer.write_all(plain).unwrap();
    writer.finish().unwrap()
}

const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test]
async fn a_request_is_found_at_the_first_try_by_search_and_by_id() {
    let origin = Origin::start().await;
    let proxy = Setup::front(&origin)
        .with("service: {name: shop}")
        .start()
        .await;

    for round in 1..=20_usize {
        let path = format!("/orders/{round}");
        assert_eq!(get(proxy.address, &path, &[]).await.status, 200);

        let found = ask(&proxy, "/api/search?q=%7B%7D&limit=100").await.json();
        let traces = found["traces"].as_array().unwrap();
        assert_eq!(traces.len(), round);
        let newest = &traces[0];
        let id = newest["traceID"].as_str().unwrap();
        assert_eq!(id.len(), 32);
        assert_eq!(newest["rootServiceName"], "shop");
        let start: u64 = newest["startTimeUnixNano"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        assert!(start > 1_700_000_000_000_000_000);
        let trace = ask(&proxy, &format!("/api/v2/traces/{id}")).await.json();
        let spans = spans_of(&trace["trace"]["resourceSpans"]);
        assert_eq!(spans.len(), 2);
        assert!(spans.iter().any(|span| span["kind"] == "SPAN_KIND_SERVER"));
        assert!(spans.iter().any(|span| span["kind"] == "SPAN_KIND_CLIENT"));
    }
}

fn spans_of(groups: &Value) -> Vec<Value> {
    let groups = groups.as_array().unwrap().iter();
    let scopes = groups.flat_map(|group| group["scopeSpans"].as_array().unwrap());
    let spans = scopes.flat_map(|scope| scope["spans"].as_array().unwrap());
    spans.cloned().collect()
}

#[tokio::test]
async fn both_versions_tell_a_trace_as_protobuf_and_as_json() {
    let origin = Origin::start().await;
    let proxy = Setup::front(&origin).start().await;
    let sent = message("billing", 1, 2, 0);
    let taken = post(proxy.admin, &[HOST, PROTOBUF], sent.encode_to_vec()).await;
    assert_eq!(taken.status, 200);
    let id = "01".repeat(16);
    let accept = ("accept", "application/protobuf");

    let first = get(proxy.admin, &format!("/api/traces/{id}"), &[HOST, accept]).await;
    let second = get(
        proxy.admin,
        &format!("/api/v2/traces/{id}"),
        &[HOST, accept],
    )
    .await;
    let json = ask(&proxy, &format!("/api/traces/{id}?start=1&end=2")).await;

    let data = TracesData::decode(first.body).unwrap();
    assert_eq!(data.resource_spans, sent.resource_spans);
    assert_eq!(second.header("content-type"), Some("application/protobuf"));
    // `TraceByIDResponse` has it as its field 1.
    let inner = TracesData::decode(&second.body[second.body.len() - data.encoded_len()..]).unwrap();
    assert_eq!((second.body[0], inner), (0x0a, data));
    let spans = spans_of(&json.json()["batches"]);
    assert_eq!(spans[0]["traceId"], "AQEBAQEBAQEBAQEBAQEBAQ==");
    assert_eq!(spans[0]["startTimeUnixNano"], "1900000000000000001");
}

#[tokio::test]
async fn an_id_may_be_short_and_an_unknown_one_is_404() {
    let origin = Origin::start().await;
    let proxy = Setup::front(&origin).start().await;
    let mut sent = message("billing", 1, 2, 0);
    let span = &mut sent.resource_spans[0].scope_spans[0].spans[0];
    span.trace_id = [[0; 8], [7; 8]].concat();
    post(proxy.admin, &[HOST, PROTOBUF], sent.encode_to_vec()).await;

    let status = async |id: &str| {
        let reply = ask(&proxy, &format!("/api/v2/traces/{id}")).await;
        let old = ask(&proxy, &format!("/api/traces/{id}")).await;
        assert_eq!(reply.status, old.status, "{id}");
        reply.status.as_u16()
    };
    assert_eq!(status("707070707070707").await, 200);
    assert_eq!(status("0707070707070707").await, 200);
    assert_eq!(status("00000000000000000707070707070707").await, 200);
    assert_eq!(status("0707070707070708").await, 404);
    for hostile in [
        "0",
        "x",
        "%00",
        "%2e%2e%2f",
        "..%2fconfig",
        "0707070707070707%20",
        &"7".repeat(33),
        &"7".repeat(4_000),
    ] {
        assert_eq!(status(hostile).await, 400, "{hostile}");
    }
}

#[tokio::test]
async fn spans_of_services_come_over_http_in_every_form() {
    let origin = Origin::start().await;
    let proxy = Setup::front(&origin)
        .with("store: {otlp: {http: '127.0.0.1:0'}}")
        .start()
        .await;
    let door = proxy.otlp_door("store.otlp.http");

    for (to, host) in [(proxy.admin, HOST), (door, ("host", "edgespan.internal"))] {
        let first = if to == door { 10 } else { 1 };
        let protobuf = message("billing", first, 1, 0).encode_to_vec();
        let zipped = gzip(&message("billing", first + 1, 1, 0).encode_to_vec());
        let zstd = message("billing", first + 2, 1, 0).encode_to_vec();
        let zstd = zstd::encode_all(zstd.as_slice(), 1).unwrap();
        let json = serde_json::to_vec(&message("billing", first + 3, 1, 0)).unwrap();
        for (kind, coding, body) in [
            (PROTOBUF, "identity", protobuf),
            (PROTOBUF, "gzip", zipped),
            (PROTOBUF, "zstd", zstd),
            (
                ("content-type", "application/json; charset=utf-8"),
                "gzip",
                gzip(&json),
            ),
        ] {
            let reply = post(to, &[host, kind, ("content-encoding", coding)], body).await;
            assert_eq!(reply.status, 200, "{}", reply.text());
            if reply.header("content-type") == Some("application/json") {
                assert_eq!(reply.json()["partialSuccess"], serde_json::json!({}));
            } else {
                let read = ExportTraceServiceResponse::decode(reply.body).unwrap();
                assert_eq!(read.partial_success, None);
            }
        }
    }

    assert_eq!(figure(&proxy, "takenSpans").await, 8);
    assert_eq!(figure(&proxy, "traces").await, 8);
    assert!(origin.received().is_empty());
}

#[tokio::test]
async fn spans_of_services_come_over_grpc_from_a_client_that_others_wrote() {
    let origin = Origin::start().await;
    let proxy = Setup::front(&origin)
        .with("store: {otlp: {grpc: '127.0.0.1:0'}}")
        .start()
        .await;
    let mut plain = OtlpClient::connect(proxy.otlp_door("store.otlp.grpc")).await;
    let mut packed = plain.packed(tonic::codec::CompressionEncoding::Gzip);

    let answer = plain.export(message("billing", 1, 1, 0)).await.unwrap();
    assert_eq!(answer.partial_success, None);
    packed
        .export(message("billing", 2, 1, 100_000))
        .await
        .unwrap();
    let mut bad = message("billing", 3, 1, 0);
    bad.resource_spans[0].scope_spans[0].spans[0]
        .trace_id
        .clear();
    let partial = plain.export(bad).await.unwrap();
    assert_eq!(partial.partial_success.unwrap().rejected_spans, 1);
    // Packed it is small, unpacked it is over the bound.
    let large = packed.export(message("billing", 4, 1, 5_000_000)).await;
    assert_eq!(large.unwrap_err().code(), tonic::Code::ResourceExhausted);
    // The connection goes on.
    plain.export(message("billing", 5, 1, 0)).await.unwrap();

    assert_eq!(figure(&proxy, "traces").await, 3);
    assert_eq!(figure(&proxy, "takenSpans").await, 3);
}

#[tokio::test]
async fn the_spans_of_a_service_stand_in_the_trace_of_the_edge() {
    let origin = Origin::start().await;
    let proxy = Setup::front(&origin).start().await;
    let parent = format!("00-{}-{}-01", "0a".repeat(16), "0b".repeat(8));
    get(proxy.address, "/", &[("traceparent", &parent)]).await;

    let sent = message("billing", 0x0a, 3, 0);
    post(proxy.admin, &[HOST, PROTOBUF], sent.encode_to_vec()).await;

    let id = "0a".repeat(16);
    let trace = ask(&proxy, &format!("/api/v2/traces/{id}")).await.json();
    assert_eq!(spans_of(&trace["trace"]["resourceSpans"]).len(), 3);
    assert_eq!(figure(&proxy, "traces").await, 1);
}

#[tokio::test]
async fn a_message_that_cannot_be_taken_is_refused_in_words() {
    let origin = Origin::start().await;
    let proxy = Setup::front(&origin).start().await;
    let refused = async |headers: &[(&str, &str)], body: Vec<u8>| {
        let reply = post(proxy.admin, headers, body).await;
        (reply.status.as_u16(), reply.text())
    };
    let good = message("billing", 1, 1, 0).encode_to_vec();

    let (status, text) = refused(&[HOST, ("content-type", "text/plain")], good.clone()).await;
    assert_eq!(status, 415);
    assert!(text.contains("application/x-protobuf"), "{text}");
    assert_eq!(refused(&[HOST], good.clone()).await.0, 415);
    let brotli = ("content-encoding", "br");
    assert_eq!(
        refused(&[HOST, PROTOBUF, brotli], good.clone()).await.0,
        415
    );
    let zipped = ("content-encoding", "gzip");
    assert_eq!(
        refused(&[HOST, PROTOBUF, zipped], good.clone()).await.0,
        400
    );
    assert_eq!(
        refused(&[HOST, PROTOBUF], b"no protobuf".to_vec()).await.0,
        400
    );
    let (status, text) = refused(&[HOST, JSON], b"{\"resourceSpans\": 7}".to_vec()).await;
    assert_eq!(status, 400);
    assert!(text.contains("this is no OTLP"), "{text}");
    let deep = format!("{{\"resourceSpans\": {}", "[".repeat(100_000));
    assert_eq!(refused(&[HOST, JSON], deep.into_bytes()).await.0, 400);
    // A bomb: 64 MiB in 64 KiB.
    let bomb = gzip(&vec![0; 64 << 20]);
    assert_eq!(refused(&[HOST, PROTOBUF, zipped], bomb).await.0, 413);
    let reply = get(proxy.admin, "/v1/traces", &[HOST]).await;
    assert_eq!(
        (reply.status.as_u16(), reply.header("allow")),
        (405, Some("POST"))
    );

    assert_eq!(figure(&proxy, "traces").await, 0);
    let page = ask(&proxy, "/metrics").await.text();
    assert!(
        page.contains("edgespan_store_refused_messages_total 8"),
        "{page}"
    );
}

#[tokio::test]
async fn other_sites_neither_read_nor_write_the_store() {
    let origin = Origin::start().await;
    let proxy = Setup::front(&origin)
        .with("store: {otlp: {http: '127.0.0.1:0', grpc: '127.0.0.1:0'}}")
        .start()
        .await;
    let good = message("billing", 1, 1, 0).encode_to_vec();
    let foreign = ("origin", "https://evil.example");

    for target in ["/api/search?q=%7B%7D", "/api/echo", "/api/edgespan/store"] {
        assert_eq!(get(proxy.admin, target, &[HOST, foreign]).await.status, 403);
        let rebound = ("host", "evil.example");
        assert_eq!(get(proxy.admin, target, &[rebound]).await.status, 421);
    }
    assert_eq!(
        post(proxy.admin, &[HOST, foreign, PROTOBUF], good.clone())
            .await
            .status,
        403
    );
    for door in ["store.otlp.http", "store.otlp.grpc"] {
        let reply = post(proxy.otlp_door(door), &[foreign, PROTOBUF], good.clone()).await;
        assert_eq!(reply.status, 403);
    }
    assert_eq!(figure(&proxy, "traces").await, 0);
}

#[tokio::test]
async fn a_door_knows_nothing_but_otlp() {
    let origin = Origin::start().await;
    let proxy = Setup::front(&origin)
        .with("store: {otlp: {grpc: '127.0.0.1:0'}}")
        .start()
        .await;
    let door = proxy.otlp_door("store.otlp.grpc");

    for target in ["/", "/metrics", "/api/search", "/drain", "/v1/logs"] {
        assert_eq!(get(door, target, &[]).await.status, 404, "{target}");
    }
    let call = |path: &str| request("POST", path, &[("content-type", "application/grpc")]);
    let unknown = send_h2(door, call("/x.Y/Z")).await;
    assert_eq!(unknown.header("grpc-status"), Some("12"));
    let export = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    for (body, code) in [
        (vec![], "3"),
        (vec![0, 0, 0, 0, 9, 1], "3"),
        (vec![1, 0, 0, 0, 1, 1], "3"),
        (vec![0, 0, 0, 0, 1, 255], "3"),
        (vec![0; 5 << 20], "8"),
    ] {
        let refused = send_h2(door, with_body(call(export), body)).await;
        assert_eq!(refused.header("grpc-status"), Some(code));
        assert!(refused.header("grpc-message").is_some());
    }
}

#[tokio::test]
async fn at_the_bound_the_oldest_traces_leave_and_are_counted() {
    let origin = Origin::start().await;
    let proxy = Setup::front(&origin)
        .with("store: {memory: 1MiB}")
        .start()
        .await;

    for trace in 1..=60 {
        let sent = message("billing", trace, 1, 50_000).encode_to_vec();
        assert_eq!(post(proxy.admin, &[HOST, PROTOBUF], sent).await.status, 200);
    }

    let (traces, evicted) = (
        figure(&proxy, "traces").await,
        figure(&proxy, "evictedTraces").await,
    );
    assert_eq!(traces + evicted, 60);
    assert!((5..=21).contains(&traces), "{traces}");
    assert!(figure(&proxy, "bytes").await <= 1 << 20);
    assert_eq!(figure(&proxy, "bytesMax").await, 1 << 20);
    let status = async |trace: u8| {
        let id = format!("{trace:02x}").repeat(16);
        ask(&proxy, &format!("/api/v2/traces/{id}")).await.status
    };
    assert_eq!(status(1).await, 404);
    assert_eq!(status(60).await, 200);
}

#[tokio::test]
async fn a_reload_changes_the_bound_keeps_the_traces_and_moves_the_doors() {
    let origin = Origin::start().await;
    let with = |store: &str| Setup::front(&origin).with(&format!("store: {store}"));
    let mut proxy = with("{otlp: {http: '127.0.0.1:0'}}").start().await;
    let door = proxy.otlp_door("store.otlp.http");
    get(proxy.address, "/", &[]).await;

    proxy
        .reload(with("{memory: 2MiB, otlp: {http: '127.0.0.1:0'}}"))
        .await
        .unwrap();
    assert_eq!(figure(&proxy, "bytesMax").await, 2 << 20);
    assert_eq!(figure(&proxy, "traces").await, 1);
    assert_eq!(proxy.otlp_door("store.otlp.http"), door);

    proxy.reload(with("{memory: off}")).await.unwrap();
    let off = ask(&proxy, "/api/search").await;
    assert_eq!(off.status, 404);
    assert!(off.text().contains("`store.memory` is off"));
    let sent = message("billing", 1, 1, 0).encode_to_vec();
    assert_eq!(post(proxy.admin, &[HOST, PROTOBUF], sent).await.status, 404);
    assert!(
        !ask(&proxy, "/metrics")
            .await
            .text()
            .contains("edgespan_store")
    );
    get(proxy.address, "/", &[]).await;
    assert!(tokio::net::TcpStream::connect(door).await.is_err());

    proxy
        .reload(with("{otlp: {grpc: '127.0.0.1:0'}}"))
        .await
        .unwrap();
    assert_eq!(figure(&proxy, "traces").await, 0);
    get(proxy.address, "/", &[]).await;
    assert_eq!(figure(&proxy, "traces").await, 1);
    let sent = message("billing", 1, 1, 0).encode_to_vec();
    let moved = proxy.otlp_door("store.otlp.grpc");
    assert_eq!(post(moved, &[PROTOBUF], sent).await.status, 200);
}

#[tokio::test]
async fn a_reload_gives_later_spans_the_resource_of_its_own() {
    let origin = Origin::start().await;
    let named = |name: &str| Setup::front(&origin).with(&format!("service: {{name: {name}}}"));
    let mut proxy = named("before").start().await;
    get(proxy.address, "/", &[]).await;

    proxy.reload(named("after")).await.unwrap();
    get(proxy.address, "/", &[]).await;

    let found = ask(&proxy, "/api/search?q=%7B%7D").await.json();
    let traces = found["traces"].as_array().unwrap().iter();
    let names: Vec<&Value> = traces.map(|trace| &trace["rootServiceName"]).collect();
    assert_eq!(names, ["after", "before"]);
}

#[tokio::test]
async fn what_is_not_recorded_is_not_kept() {
    let origin = Origin::start().await;
    let proxy = Setup::front(&origin)
        .variable("OTEL_SDK_DISABLED", "true")
        .start()
        .await;

    get(proxy.address, "/", &[]).await;

    assert_eq!(figure(&proxy, "traces").await, 0);
}

#[tokio::test]
async fn hostile_questions_are_refused_in_words() {
    let origin = Origin::start().await;
    let proxy = Setup::front(&origin).start().await;
    get(proxy.address, "/", &[]).await;

    for query in [
        "q=%7B",
        "q=%7B%20.a%20%3D%20%7D",
        "q=%7B%7D&tags=a%3Db",
        "q=%FF%FE",
        "limit=0",
        "limit=5001",
        "limit=x",
        "start=9&end=9",
        "start=-1",
        "minDuration=5",
        "maxDuration=1s&minDuration=2s",
        "spss=-1",
    ] {
        let reply = ask(&proxy, &format!("/api/search?{query}")).await;
        assert_eq!(reply.status, 400, "{query}: {}", reply.text());
        assert!(reply.text().ends_with('\n'));
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    }
    let nested = format!("/api/search?q=%7B{}1%3D1", "(".repeat(5_000));
    assert_eq!(ask(&proxy, &nested).await.status, 400);
    let expression = format!("/api/search?q=%7Bname%3D~%22{}%22%7D", "(a*)*".repeat(500));
    assert!(ask(&proxy, &expression).await.status.as_u16() <= 400);
    for target in [
        "/api/v2/search/tag/nosuch/values",
        "/api/v2/search/tags?scope=nosuch",
        "/api/search/tags?limit=x",
        "/api/edgespan/traces?prefix=xyz",
        "/api/edgespan/tail?after=x",
    ] {
        assert_eq!(ask(&proxy, target).await.status, 400, "{target}");
    }
}

#[tokio::test]
async fn large_answers_are_packed_for_those_who_take_that() {
    let origin = Origin::start().await;
    let proxy = Setup::front(&origin).start().await;
    for trace in 1..=30 {
        let sent = message("billing", trace, 1, 0).encode_to_vec();
        post(proxy.admin, &[HOST, PROTOBUF], sent).await;
    }

    let plain = ask(&proxy, "/api/search?q=%7B%7D&limit=50").await;
    let target = "/api/search?q=%7B%7D&limit=50";
    let packed = get(
        proxy.admin,
        target,
        &[HOST, ("accept-encoding", "gzip, br")],
    )
    .await;

    assert_eq!(plain.header("content-encoding"), None);
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    let mut unpacked = String::new();
    let mut reader = flate2::read::GzDecoder::new(packed.body.as_ref());
    reader.read_to_string(&mut unpacked).unwrap();
    assert_eq!(unpacked, plain.text());
    assert_eq!(plain.json()["traces"].as_array().unwrap().len(), 30);
}

#[tokio::test]
async fn whom_grafana_asks_first_answers() {
    let origin = Origin::start().await;
    let proxy = Setup::front(&origin).start().await;

    let echo = ask(&proxy, "/api/echo").await;
    assert_eq!((echo.status.as_u16(), echo.text().as_str()), (200, "echo"));
    let info = ask(&proxy, "/api/status/buildinfo").await;
    assert_eq!(info.header("content-type"), Some("application/json"));
    assert_eq!(info.json()["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(ask(&proxy, "/ready").await.status, 200);
    let index = ask(&proxy, "/").await.text();
    assert!(index.contains("/api/v2/traces/TRACE_ID"), "{index}");
}

#[tokio::test]
async fn names_and_values_of_attributes_are_listed() {
    let origin = Origin::start().await;
    let proxy = Setup::front(&origin)
        .with("service: {name: shop}")
        .start()
        .await;
    get(proxy.address, "/orders/7", &[]).await;

    let names = ask(&proxy, "/api/v2/search/tags").await.json();
    let scopes = names["scopes"].as_array().unwrap();
    let scope = |name: &str| scopes.iter().find(|scope| scope["name"] == name).unwrap();
    assert!(
        scope("resource")["tags"]
            .as_array()
            .unwrap()
            .contains(&"service.name".into())
    );
    assert!(
        scope("span")["tags"]
            .as_array()
            .unwrap()
            .contains(&"http.route".into())
    );
    let flat = ask(&proxy, "/api/search/tags?scope=span").await.json();
    assert!(
        flat["tagNames"]
            .as_array()
            .unwrap()
            .contains(&"http.request.method".into())
    );
    let values = ask(&proxy, "/api/v2/search/tag/resource.service.name/values")
        .await
        .json();
    assert_eq!(
        values["tagValues"],
        serde_json::json!([{"type": "string", "value": "shop"}])
    );
    let code = "/api/v2/search/tag/span.http.response.status_code/values";
    let values = ask(&proxy, code).await.json();
    assert_eq!(
        values["tagValues"],
        serde_json::json!([{"type": "int", "value": "200"}])
    );
    let plain = ask(&proxy, "/api/search/tag/service.name/values")
        .await
        .json();
    assert_eq!(plain["tagValues"], serde_json::json!(["shop"]));
    let status = ask(&proxy, "/api/v2/search/tag/status/values").await.json();
    assert_eq!(
        status["tagValues"][0],
        serde_json::json!({"type": "keyword", "value": "error"})
    );
}

/// The lines of an answer, the last one apart.
fn lines(reply: &Reply) -> (Vec<Value>, Value) {
    let text = reply.text();
    let mut lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let last = lines.pop().unwrap();
    assert_eq!(last["schema"], "edgespan.feed/1");
    (lines, last)
}

#[tokio::test]
async fn who_waits_for_news_gets_them_once() {
    let origin = Origin::start().await;
    let proxy = Setup::front(&origin).start().await;
    get(proxy.address, "/before", &[]).await;
    let (none, now) = lines(&ask(&proxy, "/api/edgespan/tail").await);
    assert_eq!(none.len(), 0);
    let after = |last: &Value| last["sequence"].as_str().unwrap().to_owned();

    let waiting = format!("/api/edgespan/tail?after={}&wait=9s", after(&now));
    let (news, _) = tokio::join!(ask(&proxy, &waiting), async {
        get(proxy.address, "/after", &[]).await
    });

    let (news, last) = lines(&news);
    assert_eq!(news.len(), 1);
    assert_eq!(news[0]["spanCount"], 2);
    assert_eq!(news[0]["statusCode"], 200);
    assert_eq!(last["missed"], false);
    let quiet = format!("/api/edgespan/tail?after={}&wait=50ms", after(&last));
    let (none, again) = lines(&ask(&proxy, &quiet).await);
    assert_eq!((none.len(), after(&again)), (0, after(&last)));
    // Of another process, or of a store that is gone: from the start, and it says so.
    let (all, last) = lines(&ask(&proxy, "/api/edgespan/tail?after=99999&wait=1s").await);
    assert_eq!((all.len(), &last["missed"]), (2, &Value::Bool(true)));
}

#[tokio::test]
async fn ids_are_found_by_their_first_digits() {
    let origin = Origin::start().await;
    let proxy = Setup::front(&origin).start().await;
    for trace in [0x11, 0x12, 0x21] {
        let sent = message("billing", trace, 1, 0).encode_to_vec();
        post(proxy.admin, &[HOST, PROTOBUF], sent).await;
    }
    let ids = async |prefix: &str| {
        let target = format!("/api/edgespan/traces?prefix={prefix}");
        ask(&proxy, &target).await.json()["traceIDs"]
            .as_array()
            .unwrap()
            .len()
    };

    assert_eq!(ids("1").await, 2);
    assert_eq!(ids("1111").await, 1);
    assert_eq!(ids("").await, 3);
    assert_eq!(ids("ff").await, 0);
    assert_eq!(ids(&"11".repeat(16).to_uppercase()).await, 1);
}

#[tokio::test]
async fn a_summary_tells_what_tempo_does_not() {
    let origin = Origin::start().await;
    let proxy = Setup::front(&origin).start().await;
    get(proxy.address, "/", &[]).await;

    let found = ask(&proxy, "/api/edgespan/search?q=%7B%7D").await.json();

    assert_eq!(found["schema"], "edgespan.search/1");
    assert_eq!(found["complete"], true);
    let trace = &found["traces"][0];
    assert_eq!(
        (&trace["spanCount"], &trace["statusCode"]),
        (&2.into(), &200.into())
    );
    assert_eq!(trace["error"], false);
    let nanos: u64 = trace["durationNano"].as_str().unwrap().parse().unwrap();
    assert_eq!(
        u64::from(trace["durationMs"].as_u64().unwrap() as u32),
        nanos / 1_000_000
    );
}
