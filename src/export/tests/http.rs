//! OTLP over HTTP, with a collector on a real socket.

use crate::export::exporter::Exporter;
use crate::export::reply::FailureKind;
use crate::export::settings::{Compression, OtlpSettings, Protocol};
use crate::export::testing::collector::{
    Answer, Collector, Setup, dead_once, free_address, refusing_by_the_head,
};
use crate::export::testing::{FAST, finished, finished_of, names, settings};
use crate::trace::sink::SpanSink as _;
use http::{HeaderName, HeaderValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;
use std::time::Duration;
use tokio::time::Instant;

const LIMIT: Duration = Duration::from_secs(10);

fn to(collector: &Collector) -> OtlpSettings {
    settings(&collector.url("/v1/traces"), Protocol::HttpProtobuf)
}

fn start(settings: &OtlpSettings) -> Exporter {
    Exporter::start_with(settings, b"", FAST).unwrap()
}

#[track_caller]
fn check_account(exporter: &Exporter, line: &str) {
    let account = exporter.account().snapshot();
    assert!(account.balances(), "{account:?}");
    assert_eq!(account.to_string(), format!("spans accepted {line}"));
}

#[tokio::test]
async fn a_request_says_who_sends_and_what() {
    let collector = Collector::start().await;
    let resource = Resource {
        dropped_attributes_count: 7,
        ..Resource::default()
    };
    let mut settings = to(&collector);
    settings.headers = vec![(
        HeaderName::from_static("x-tenant"),
        HeaderValue::from_static("blue"),
    )];
    let exporter = Exporter::start_with(&settings, &resource.encode_to_vec(), FAST).unwrap();

    exporter.accept(&finished(0..3));
    assert!(exporter.flush(LIMIT).await);

    let seen = collector.seen().remove(0);
    assert_eq!(seen.path, "/v1/traces");
    assert_eq!(seen.headers["content-type"], "application/x-protobuf");
    assert_eq!(seen.headers["host"], collector.address().to_string());
    assert_eq!(seen.headers["x-tenant"], "blue");
    let agent = seen.headers["user-agent"].to_str().unwrap();
    assert!(
        agent.starts_with(concat!("edgespan/", env!("CARGO_PKG_VERSION"))),
        "{agent}"
    );
    assert_eq!(seen.message.resource_spans[0].resource, Some(resource));
    assert_eq!(collector.names(3).await, names(0..3));
}

#[tokio::test]
async fn gzip_and_zstd_arrive_as_they_left() {
    for (compression, name) in [(Compression::Gzip, "gzip"), (Compression::Zstd, "zstd")] {
        let collector = Collector::start().await;
        let exporter = start(&OtlpSettings {
            compression,
            ..to(&collector)
        });

        exporter.accept(&finished_of(0..8, 5000));
        assert!(exporter.flush(LIMIT).await);

        assert_eq!(collector.names(8).await, names(0..8));
        let seen = collector.seen().remove(0);
        assert_eq!(seen.headers["content-encoding"], name);
        let length: usize = seen.headers["content-length"]
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        assert!(length < 1000, "{length}");
    }
}

#[tokio::test]
async fn an_outage_and_a_restart_lose_nothing() {
    let address = free_address().await;
    let url = format!("http://{address}/v1/traces");
    let exporter = start(&settings(&url, Protocol::HttpProtobuf));
    let at = |address| Setup {
        address: Some(address),
        ..Setup::default()
    };

    exporter.accept(&finished(0..20));
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(exporter.account().snapshot().pending, 20);
    let collector = Collector::with(at(address)).await;
    assert_eq!(collector.names(20).await, names(0..20));
    drop(collector);
    exporter.accept(&finished(20..40));
    tokio::time::sleep(Duration::from_millis(50)).await;
    let collector = Collector::with(at(address)).await;

    assert_eq!(collector.names(20).await, names(20..40));
    assert!(exporter.flush(LIMIT).await);
    check_account(
        &exporter,
        "40 = exported 40 + rejected 0 + dropped 0 + pending 0",
    );
}

#[tokio::test]
async fn an_overloaded_collector_is_tried_again() {
    for status in [429, 502, 503, 504] {
        let collector = Collector::answering([Answer::Http(status, None, "busy")]).await;
        let exporter = start(&to(&collector));

        exporter.accept(&finished(0..5));

        assert_eq!(collector.names(5).await, names(0..5));
        assert_eq!(collector.seen().len(), 2, "{status}");
    }
}

#[tokio::test]
async fn retry_after_is_kept() {
    let rest = Some(("retry-after", "1".to_owned()));
    let collector = Collector::answering([Answer::Http(429, rest, "")]).await;
    let exporter = start(&to(&collector));
    let start = Instant::now();

    exporter.accept(&finished(0..5));

    assert_eq!(collector.names(5).await, names(0..5));
    assert!(start.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_broken_connection_is_tried_again() {
    let collector = Collector::answering([Answer::HangUp, Answer::HangUp]).await;
    let exporter = start(&to(&collector));

    exporter.accept(&finished(0..5));

    assert_eq!(collector.names(5).await, names(0..5));
}

#[tokio::test]
async fn what_is_refused_for_good_or_sent_elsewhere_is_dropped() {
    let elsewhere = Some(("location", "http://other.example/".to_owned()));
    let collector = Collector::answering([
        Answer::Http(400, None, "what is this"),
        Answer::Http(307, elsewhere, ""),
    ])
    .await;
    let exporter = start(&to(&collector));

    exporter.accept(&finished(0..5));
    assert!(exporter.flush(LIMIT).await);
    exporter.accept(&finished(5..10));
    assert!(exporter.flush(LIMIT).await);

    assert_eq!(collector.seen().len(), 2);
    check_account(
        &exporter,
        "10 = exported 0 + rejected 0 + dropped 10 (not_retryable 10) + pending 0",
    );
}

#[tokio::test]
async fn a_partial_success_is_counted() {
    let collector = Collector::answering([Answer::Partial(2, "no trace id")]).await;
    let exporter = start(&to(&collector));

    exporter.accept(&finished(0..5));
    assert!(exporter.flush(LIMIT).await);

    check_account(
        &exporter,
        "5 = exported 3 + rejected 2 + dropped 0 + pending 0",
    );
}

#[tokio::test]
async fn a_request_that_is_too_large_is_halved() {
    let collector = Collector::with(Setup {
        message_bytes_max: Some(3000),
        ..Setup::default()
    })
    .await;
    let exporter = start(&to(&collector));

    exporter.accept(&finished_of(0..7, 1000));
    exporter.accept(&finished_of(7..8, 5000));
    assert!(exporter.flush(LIMIT).await);

    assert_eq!(collector.names(7).await, names(0..7));
    check_account(
        &exporter,
        "8 = exported 7 + rejected 0 + dropped 1 (too_large 1) + pending 0",
    );
}

#[tokio::test]
async fn a_collector_that_never_answers_costs_one_timeout_and_no_span() {
    let collector = Collector::answering([Answer::Silence]).await;
    let exporter = start(&OtlpSettings {
        timeout: Duration::from_millis(50),
        ..to(&collector)
    });

    exporter.accept(&finished(0..5));

    assert_eq!(collector.names(5).await, names(0..5));
}

#[tokio::test]
async fn an_answer_that_is_not_otlp_is_still_a_success() {
    let html = Some(("content-type", "text/html".to_owned()));
    let collector = Collector::answering([Answer::Http(200, html, "<p>hello")]).await;
    let exporter = start(&to(&collector));

    exporter.accept(&finished(0..5));
    assert!(exporter.flush(LIMIT).await);

    check_account(
        &exporter,
        "5 = exported 5 + rejected 0 + dropped 0 + pending 0",
    );
}

#[tokio::test]
async fn an_address_that_cannot_be_exported_to_is_refused_with_its_reason_and_no_secret() {
    for (endpoint, reason) in [
        ("ftp://collector/x", "only http and https"),
        ("http://user:hunter2@collector/x?key=hunter2", "credentials"),
        ("unix:/run/x", "no host"),
    ] {
        let settings = settings(endpoint, Protocol::HttpProtobuf);

        let error = Exporter::start(&settings, bytes::Bytes::new())
            .unwrap_err()
            .to_string();

        assert!(error.contains(reason), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[tokio::test]
async fn a_connection_that_went_dead_is_replaced() {
    let collector = Collector::start().await;
    let (address, _tasks) = dead_once(&collector).await;
    let exporter = start(&OtlpSettings {
        timeout: Duration::from_millis(100),
        ..settings(
            &format!("http://{address}/v1/traces"),
            Protocol::HttpProtobuf,
        )
    });

    exporter.accept(&finished(0..5));

    assert_eq!(collector.names(5).await, names(0..5));
}

#[tokio::test]
async fn a_refusal_that_comes_before_the_body_was_read_is_understood() {
    let (address, _tasks) = refusing_by_the_head(3_000_000).await;
    let exporter = start(&settings(
        &format!("http://{address}/v1/traces"),
        Protocol::HttpProtobuf,
    ));

    exporter.accept(&finished_of(0..3, 1_000_000));
    assert!(exporter.flush(LIMIT).await);

    check_account(
        &exporter,
        "3 = exported 3 + rejected 0 + dropped 0 + pending 0",
    );
    assert!(
        exporter
            .stats()
            .failures
            .contains(&(FailureKind::TooLarge, 1))
    );
}
