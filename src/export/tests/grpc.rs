//! OTLP over gRPC, with a collector on a real socket.

use crate::export::exporter::Exporter;
use crate::export::settings::{Compression, OtlpSettings, Protocol};
use crate::export::testing::collector::{Answer, Collector, Setup, dead_once, free_address};
use crate::export::testing::{FAST, finished, finished_of, names, settings};
use crate::trace::sink::SpanSink as _;
use http::{HeaderName, HeaderValue};
use std::time::Duration;
use tokio::time::Instant;
use tonic::Code;

const LIMIT: Duration = Duration::from_secs(10);

fn to(collector: &Collector) -> OtlpSettings {
    settings(&collector.url("/"), Protocol::Grpc)
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
async fn a_request_says_who_sends_and_how_long_it_waits() {
    let collector = Collector::start().await;
    let mut settings = to(&collector);
    settings.headers = vec![(
        HeaderName::from_static("x-tenant"),
        HeaderValue::from_static("blue"),
    )];
    let exporter = start(&settings);

    exporter.accept(&finished(0..3));
    assert!(exporter.flush(LIMIT).await);

    let seen = collector.seen().remove(0);
    assert_eq!(
        seen.path,
        "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
    );
    assert_eq!(seen.headers["x-tenant"], "blue");
    assert!(seen.headers.contains_key("grpc-timeout"));
    let agent = seen.headers["user-agent"].to_str().unwrap();
    assert!(
        agent.starts_with(concat!("edgespan/", env!("CARGO_PKG_VERSION"))),
        "{agent}"
    );
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
        assert_eq!(collector.seen().remove(0).headers["grpc-encoding"], name);
    }
}

#[tokio::test]
async fn an_outage_and_a_restart_lose_nothing() {
    let address = free_address().await;
    let exporter = start(&settings(&format!("http://{address}"), Protocol::Grpc));
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
async fn codes_of_the_table_are_tried_again() {
    for code in [
        Code::Cancelled,
        Code::DeadlineExceeded,
        Code::Aborted,
        Code::OutOfRange,
        Code::Unavailable,
        Code::DataLoss,
    ] {
        let collector = Collector::answering([Answer::Grpc(code, "busy", None)]).await;
        let exporter = start(&to(&collector));

        exporter.accept(&finished(0..5));

        assert_eq!(collector.names(5).await, names(0..5), "{code:?}");
    }
}

#[tokio::test]
async fn resource_exhausted_waits_as_its_retry_info_says() {
    let rest = Some(Some(Duration::from_millis(700)));
    let answer = Answer::Grpc(Code::ResourceExhausted, "slow down", rest);
    let collector = Collector::answering([answer]).await;
    let exporter = start(&to(&collector));
    let start = Instant::now();

    exporter.accept(&finished(0..5));

    assert_eq!(collector.names(5).await, names(0..5));
    assert!(start.elapsed() >= Duration::from_millis(700));
}

#[tokio::test]
async fn resource_exhausted_without_retry_info_is_dropped_as_are_other_refusals() {
    for code in [
        Code::ResourceExhausted,
        Code::InvalidArgument,
        Code::Unauthenticated,
    ] {
        let collector = Collector::answering([Answer::Grpc(code, "no", None)]).await;
        let exporter = start(&to(&collector));

        exporter.accept(&finished(0..5));
        assert!(exporter.flush(LIMIT).await);

        assert_eq!(collector.seen().len(), 1, "{code:?}");
        check_account(
            &exporter,
            "5 = exported 0 + rejected 0 + dropped 5 (not_retryable 5) + pending 0",
        );
    }
}

#[tokio::test]
async fn a_broken_connection_is_tried_again() {
    let collector = Collector::answering([Answer::HangUp, Answer::HangUp]).await;
    let exporter = start(&to(&collector));

    exporter.accept(&finished(0..5));

    assert_eq!(collector.names(5).await, names(0..5));
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
async fn a_message_that_is_too_large_is_halved() {
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
async fn a_connection_that_went_dead_is_replaced() {
    let collector = Collector::start().await;
    let (address, _tasks) = dead_once(&collector).await;
    let exporter = start(&OtlpSettings {
        timeout: Duration::from_millis(100),
        ..settings(&format!("http://{address}/v1/traces"), Protocol::Grpc)
    });

    exporter.accept(&finished(0..5));

    assert_eq!(collector.names(5).await, names(0..5));
}
