//! What counting a request costs.
//!
//! `cargo bench --bench metrics`. The bar: under 100 ns a request with an exemplar on one thread,
//! and no allocation once the series exists.

use divan::{AllocProfiler, Bencher, black_box};
use edgespan::clock::Timestamp;
use edgespan::telemetry::access_log::{AccessLog, AccessRecord};
use edgespan::telemetry::log::LogFormat;
use edgespan::telemetry::metrics::{
    ExemplarIds, Exposition, Metrics, ServerObservation, TextFormat,
};
use opentelemetry::trace::{SpanId, TraceId};
use std::sync::Arc;
use std::time::Duration;

#[global_allocator]
static ALLOC: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

fn routes(count: usize) -> Vec<Arc<str>> {
    (0..count)
        .map(|index| format!("/api/v1/orders/{index}/{{order_id}}").into())
        .collect()
}

fn request(route: &Arc<str>) -> ServerObservation<'_> {
    ServerObservation {
        route: Some(route),
        method: "GET",
        status: Some(200),
        scheme: "https",
        version: "1.1",
        error_type: None,
        duration: Duration::from_micros(12_345),
        internal: Duration::from_micros(21),
        ended: Timestamp::from_unix_nanos(1_763_734_022_000_000_000),
        exemplar: Some(ExemplarIds {
            trace_id: TraceId::from(1),
            span_id: SpanId::from(1),
        }),
        request_bytes: 0,
        response_bytes: 512,
    }
}

#[divan::bench(args = [1, 100, 4_000], threads = [1, 2])]
fn server_request(bencher: Bencher<'_, '_>, series: usize) {
    let metrics = Metrics::new();
    let routes = routes(series);
    routes
        .iter()
        .for_each(|route| metrics.server_request(&request(route)));

    bencher
        .with_inputs(|| fastrand::choice(&routes))
        .bench_values(|route| {
            if let Some(route) = route {
                metrics.server_request(black_box(&request(route)));
            }
        });
}

#[divan::bench]
fn render_100_series(bencher: Bencher<'_, '_>) {
    let metrics = Metrics::new();
    routes(100)
        .iter()
        .for_each(|route| metrics.server_request(&request(route)));

    bencher.bench(|| {
        let mut page = Exposition::new(TextFormat::OpenMetrics);
        metrics.render(&mut page);
        page.finish()
    });
}

#[divan::bench]
fn access_log_line(bencher: Bencher<'_, '_>) {
    let metrics = Metrics::new();
    let log = AccessLog::start_with(LogFormat::Json, &metrics, 1 << 20, std::io::sink());
    let Ok(log) = log else { return };
    let record = AccessRecord {
        ended: Timestamp::from_unix_nanos(1_763_734_022_482_000_000),
        span: Some((TraceId::from(1), SpanId::from(1))),
        sampled: true,
        client_address: Some([203, 0, 113, 9].into()),
        method: "GET",
        path: "/api/v1/orders/7",
        query: None,
        status: Some(200),
        http_route: Some("/api/v1/orders/{order_id}"),
        route: Some("orders"),
        upstream: Some("content"),
        flow: Some("escrow"),
        auth: None,
        duration: Duration::from_micros(12_345),
        request_bytes: 0,
        response_bytes: 512,
        client_disconnected: false,
        error_type: None,
        user_agent: Some("curl/8.0"),
    };

    bencher.bench(|| log.write(black_box(&record)));
}
