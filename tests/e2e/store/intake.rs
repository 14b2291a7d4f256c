//! Spans of services: by every wire, and refused in words.

use super::{HOST, JSON, PROTOBUF, ask, figure, gzip, message, post, spans_of};
use crate::support::client::{get, request, send_h2, with_body};
use crate::support::origin::Origin;
use crate::support::otlp_client::OtlpClient;
use crate::support::proxy::Setup;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;

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
