//! How much is kept, and what a reload changes of it.

use super::{HOST, PROTOBUF, ask, figure, message, post};
use crate::support::client::get;
use crate::support::origin::Origin;
use crate::support::proxy::Setup;
use prost::Message;
use serde_json::Value;

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
    // What leaves makes room for what comes next, so the last message may stand over the bound.
    let bytes = figure(&proxy, "bytes").await;
    assert!(bytes <= (1 << 20) + 128 * 1024, "{bytes}");
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
