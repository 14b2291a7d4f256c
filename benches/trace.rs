//! What tracing costs a request: read the context, decide, write a span, write the context.
//!
//! `cargo bench --bench trace`; the allocation columns count those of one iteration.

use divan::{AllocProfiler, Bencher, black_box};
use edgespan::clock::Timestamp;
use edgespan::trace::client_span::{ClientEnd, ClientStart, end_client, start_client};
use edgespan::trace::flags::FeatureFlags;
use edgespan::trace::ids;
use edgespan::trace::propagate::Propagators;
use edgespan::trace::redact::Redaction;
use edgespan::trace::sampler::{Head, HeadSampler, SamplingRule, UnsampledParent};
use edgespan::trace::server_span::{ServerEnd, ServerStart, end_server, start_server};
use edgespan::trace::settings::TraceSettings;
use http::{HeaderMap, HeaderValue, Method, Version};
use std::sync::Arc;

#[global_allocator]
static ALLOCATOR: AllocProfiler<mimalloc::MiMalloc> = AllocProfiler::new(mimalloc::MiMalloc);

const STARTED: Timestamp = Timestamp::from_unix_nanos(1_700_000_000_000_000_000);
const ENDED: Timestamp = Timestamp::from_unix_nanos(1_700_000_000_002_000_000);

fn main() {
    divan::main();
}

fn sampler(ratio: f64) -> HeadSampler {
    HeadSampler::new(&SamplingRule {
        ratio,
        parent_based: true,
        unsampled_parent: UnsampledParent::Respect,
    })
}

fn head() -> Head {
    sampler(1.0).decide(None)
}

fn context() -> HeaderMap {
    let mut headers = HeaderMap::new();
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    headers.insert("traceparent", HeaderValue::from_static(traceparent));
    let tracestate = "ot=th:c,congo=t61rcWkgMzE,rojo=00f067aa0ba902b7";
    headers.insert("tracestate", HeaderValue::from_static(tracestate));
    headers.insert("host", HeaderValue::from_static("app.example.com"));
    headers
}

fn flags() -> FeatureFlags {
    let flags = [(Arc::from("tracing.otel.enabled"), Arc::from("on"))];
    FeatureFlags::new(&flags, &TraceSettings::default().limits)
}

/// Fifteen attributes at the start, five at the end.
#[divan::bench]
fn server_span(bencher: Bencher<'_, '_>) {
    let (settings, head, flags) = (TraceSettings::default(), head(), flags());
    let start = ServerStart {
        method: &Method::GET,
        scheme: "https",
        server_address: "app.example.com",
        server_port: Some(8443),
        path: "/api/v1/orders/7",
        query: Some("page=2"),
        client_address: Some([203, 0, 113, 9].into()),
        peer: Some(([10, 0, 0, 1], 50_000).into()),
        version: Version::HTTP_11,
        user_agent: Some("Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0"),
        route_template: Some("/api/v1/orders/{order_id}"),
        route_name: Some("orders"),
        span_name: None,
        flow: Some("escrow"),
        flags: &flags,
        is_grpc: false,
    };
    let end = ServerEnd {
        status: Some(200),
        upstream: Some("content"),
        ..ServerEnd::default()
    };
    let mut out = Vec::with_capacity(4096);
    bencher.bench_local(|| {
        out.clear();
        let mut span = start_server(&settings, &head, ids::span_id(), STARTED, black_box(&start));
        end_server(&mut span, black_box(&end));
        span.end(ENDED, &mut out);
        out.len()
    });
}

/// The twelve attributes that other measurements use.
#[divan::bench]
fn client_span(bencher: Bencher<'_, '_>) {
    let (settings, head, flags) = (TraceSettings::default(), head(), FeatureFlags::default());
    let start = ClientStart {
        method: &Method::GET,
        scheme: "http",
        server_address: "127.0.0.1",
        server_port: Some(3000),
        path: "/api/v1/orders/7",
        query: None,
        service: Some("logic-router"),
        resend_count: 0,
        flow: Some("escrow"),
        flags: &flags,
        template: Some("/api/v1/orders/{order_id}"),
        is_grpc: false,
        is_mirror: false,
    };
    let end = ClientEnd {
        status: Some(200),
        version: Some(Version::HTTP_11),
        peer: Some(([127, 0, 0, 1], 3000).into()),
        ..ClientEnd::default()
    };
    let mut out = Vec::with_capacity(4096);
    bencher.bench_local(|| {
        out.clear();
        let (id, parent) = (ids::span_id(), ids::span_id());
        let mut span = start_client(
            &settings,
            &head,
            id,
            Some(parent),
            STARTED,
            black_box(&start),
        );
        end_client(&mut span, black_box(&end));
        span.end(ENDED, &mut out);
        out.len()
    });
}

#[divan::bench(args = ["tracecontext", "b3", "b3multi"])]
fn extract(bencher: Bencher<'_, '_>, format: &str) {
    let propagators = Propagators::from_names([format]);
    let mut headers = context();
    propagators.inject(&mut headers, &head().outgoing(ids::span_id()));
    bencher.bench_local(|| propagators.extract(black_box(&headers)));
}

#[divan::bench(args = ["tracecontext", "b3", "b3multi"])]
fn inject(bencher: Bencher<'_, '_>, format: &str) {
    let propagators = Propagators::from_names([format]);
    let (head, mut headers) = (head(), context());
    bencher.bench_local(|| propagators.inject(&mut headers, &head.outgoing(ids::span_id())));
}

#[divan::bench]
fn decide_root(bencher: Bencher<'_, '_>) {
    let sampler = sampler(0.5);
    bencher.bench_local(|| sampler.decide(black_box(None)));
}

#[divan::bench]
fn decide_under_a_parent(bencher: Bencher<'_, '_>) {
    let sampler = sampler(0.5);
    let inbound = Propagators::from_names(["tracecontext"]).extract(&context());
    bencher.bench_local(|| sampler.decide(black_box(inbound.as_ref())));
}

#[divan::bench(args = ["page=2&sort=name&filter=open", "page=2&token=abc", "q=a%20b&%74oken=x"])]
fn redact(bencher: Bencher<'_, '_>, query: &str) {
    let redaction = Redaction::default();
    bencher.bench_local(|| redaction.query(black_box(query)).len());
}
