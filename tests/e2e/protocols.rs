//! gRPC as spans tell it.

use crate::support::client::{request, send_h2, with_body};
use crate::support::collector::Collector;
use crate::support::origin::{Answer, Origin, Speaks, streamed, with_headers};
use crate::support::proxy::{Proxy, Setup};
use crate::support::spans::Edges;
use http_body::Frame;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;

async fn call(answer: impl Fn() -> Answer + Send + Sync + 'static) -> (Edges, Option<String>) {
    let collector = Collector::start().await;
    let origin = Origin::speaking(Speaks::H2c, move |_| answer()).await;
    let proxy: Proxy = Setup::new(
        "upstreams: {origin: {endpoints: ['h2c://${origin}']}}\n\
         routes: [{name: all, match: {prefix: /}, upstream: origin}]\n",
    )
    .origin(&origin)
    .export_to(&collector)
    .start()
    .await;
    let sent = request(
        "POST",
        "/shop.v1.Orders/Get",
        &[
            ("content-type", "application/grpc+proto"),
            ("te", "trailers"),
        ],
    );
    let reply = send_h2(proxy.address, with_body(sent, "\0\0\0\0\0")).await;
    let status = reply
        .trailers
        .as_ref()
        .unwrap_or(&reply.headers)
        .get("grpc-status");
    let status = status.map(|status| status.to_str().unwrap().to_owned());
    assert_eq!(origin.sole().one("te"), "trailers");
    (collector.next_edges().await, status)
}

fn in_trailers(status: &'static str) -> impl Fn() -> Answer {
    move || {
        let (frames, mut answer) = streamed();
        answer
            .headers_mut()
            .insert("content-type", "application/grpc".parse().unwrap());
        frames.try_send(Frame::data("\0\0\0\0\0".into())).unwrap();
        let mut trailers = http::HeaderMap::new();
        trailers.insert("grpc-status", status.parse().unwrap());
        frames.try_send(Frame::trailers(trailers)).unwrap();
        answer
    }
}

#[tokio::test]
async fn the_status_in_trailers_stands_on_both_spans() {
    let (edges, status) = call(in_trailers("0")).await;

    assert_eq!(status.as_deref(), Some("0"));
    for span in [edges.server(), edges.client()] {
        assert_eq!(span.name(), "shop.v1.Orders/Get");
        assert_eq!(span.text("rpc.system.name"), Some("grpc"));
        assert_eq!(span.text("rpc.method"), Some("shop.v1.Orders/Get"));
        assert_eq!(span.text("rpc.response.status_code"), Some("OK"));
        assert_eq!(span.status(), StatusCode::Unset);
    }
}

#[tokio::test]
async fn an_error_of_the_caller_is_one_of_the_client_span_alone() {
    let (edges, _) = call(in_trailers("5")).await;

    assert_eq!(
        edges.client().text("rpc.response.status_code"),
        Some("NOT_FOUND")
    );
    assert_eq!(
        (edges.server().status(), edges.client().status()),
        (StatusCode::Unset, StatusCode::Error)
    );
    assert_eq!(edges.client().text("error.type"), Some("NOT_FOUND"));
}

#[tokio::test]
async fn an_answer_of_trailers_alone_is_read_too() {
    let (edges, status) = call(|| {
        with_headers(
            200,
            &[("content-type", "application/grpc"), ("grpc-status", "13")],
            "",
        )
    })
    .await;

    assert_eq!(status.as_deref(), Some("13"));
    for span in [edges.server(), edges.client()] {
        assert_eq!(span.text("rpc.response.status_code"), Some("INTERNAL"));
        assert_eq!(span.status(), StatusCode::Error);
    }
}
