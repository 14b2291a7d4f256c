//! What the trace store costs: a request that hands it two spans, sorting them in, and searches
//! among 100,000 traces of six spans with twelve attributes (about 500 bytes a span).
//!
//! The bound is set to hold all of them. Before the benches begin, the memory that the process
//! needs is printed beside what the store says of itself.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a bench prints its figures, and may end at the first thing that is not as it should be"
)]

use bytes::Bytes;
use edgespan::store::traceql::Query;
use edgespan::store::{Scope, Search, StoreSettings, TraceStore};
use edgespan::trace::resource::{ResourceValue, encode_resource};
use edgespan::trace::sink::{FinishedSpans, SpanSink};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1 as otlp;
use prost::Message as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TRACES: u64 = 100_000;
const BOUND: usize = 400 << 20;
const SERVICES: [&str; 3] = ["shop", "orders", "payout"];

static FULL: LazyLock<TraceStore> = LazyLock::new(|| {
    let before = resident();
    let store = TraceStore::new(&StoreSettings { bytes_max: BOUND });
    let sinks: Vec<_> = SERVICES.iter().map(|name| sink(&store, name)).collect();
    let mut encoded = 0;
    for trace in 0..TRACES {
        for (service, sink) in sinks.iter().enumerate() {
            let spans = two_spans(trace, service as u64);
            encoded += spans.bytes.len();
            sink.accept(&spans);
        }
        if trace % 1000 == 0 {
            // As much as the inbox holds is accepted much faster than it is ever asked for.
            store.stats();
        }
    }
    let stats = store.stats();
    assert_eq!(
        (stats.traces, stats.spans),
        (TRACES, TRACES * 6),
        "{stats:?}"
    );
    println!(
        "{} MiB of encoded spans; the store says {} MiB; the process has grown by {} MiB",
        encoded >> 20,
        stats.bytes >> 20,
        (resident() - before) >> 20,
    );
    for _ in 0..10 {
        store.search(&search("{ .http.route =~ \".*7\" && duration > 1s }"));
    }
    println!("after ten searches by {} MiB", (resident() - before) >> 20);
    store
});

fn main() {
    LazyLock::force(&FULL);
    divan::main();
}

#[divan::bench(sample_count = 50, sample_size = 1000)]
fn accept_two_spans(bencher: divan::Bencher<'_, '_>) {
    let store = TraceStore::new(&StoreSettings::default());
    let sink = sink(&store, "orders");
    let spans = two_spans(1, 1);
    // Emptied between samples, outside the time.
    bencher
        .with_inputs(|| store.stats())
        .bench_values(|_| sink.accept(divan::black_box(&spans)));
    assert_eq!(store.stats().evicted_traces, 0);
}

/// With what the store's thread does later: this is all the processor time that a request costs.
#[divan::bench(sample_count = 50)]
fn accept_and_sort_in_of_a_thousand_requests(bencher: divan::Bencher<'_, '_>) {
    let store = TraceStore::new(&StoreSettings::default());
    let sink = sink(&store, "orders");
    let next = AtomicU64::new(0);
    bencher
        .with_inputs(|| {
            let first = next.fetch_add(1000, Ordering::Relaxed);
            (first..first + 1000)
                .map(|trace| two_spans(trace, 1))
                .collect::<Vec<_>>()
        })
        .bench_refs(|requests| {
            for spans in requests {
                sink.accept(spans);
            }
            store.stats()
        });
}

#[divan::bench(sample_count = 50, sample_size = 1000)]
fn accept_two_spans_while_searches_run(bencher: divan::Bencher<'_, '_>) {
    let sink = sink(&FULL, "orders");
    let spans = two_spans(1, 1);
    let over = Arc::new(AtomicBool::new(false));
    let searcher = std::thread::spawn({
        let over = Arc::clone(&over);
        move || {
            while !over.load(Ordering::Relaxed) {
                FULL.search(&search("{ .http.route =~ \".*7\" && duration > 1s }"));
            }
        }
    });
    bencher.bench(|| sink.accept(divan::black_box(&spans)));
    over.store(true, Ordering::Relaxed);
    searcher.join().unwrap();
}

#[divan::bench(sample_count = 20, args = [
    "{ }",
    "{ resource.service.name = \"orders\" || span.service.peer.name = \"orders\" }",
    "{ span.http.route = \"/api/v1/orders/{id}/7\" }",
    "{ .flow = \"flow 3\" }",
    "{ .flow = \"flow 3\" && status = error }",
    "{ .client.port = 41234 }",
    "{ status = error }",
    "{ duration > 900ms }",
    "{ name =~ \"GET .*7\" }",
    "{ .url.path =~ \".*99\" }",
    "{ .nothing = \"here\" }",
    "{ .http.route = \"nothing\" }",
    "{ rootServiceName = \"shop\" && traceDuration > 900ms }",
    "{ resource.service.name = \"shop\" } >> { status = error }",
    "{ } >> { status = error }",
    "{ } > { } | avg(duration) > 500ms",
    "{ } | count() > 5",
    "{ event:name = \"exception\" }",
])]
fn find(bencher: divan::Bencher<'_, '_>, query: &str) {
    let search = search(query);
    bencher.bench(|| FULL.search(divan::black_box(&search)));
}

#[divan::bench(sample_count = 20)]
fn find_by_least_duration(bencher: divan::Bencher<'_, '_>) {
    let search = Search {
        min: Some(Duration::from_millis(900)),
        ..Search::default()
    };
    bencher.bench(|| FULL.search(divan::black_box(&search)));
}

#[divan::bench(sample_count = 20)]
fn values_of_a_tag(bencher: divan::Bencher<'_, '_>) {
    bencher.bench(|| FULL.tag_values(None, divan::black_box("http.route"), 1000));
}

#[divan::bench(sample_count = 20)]
fn names_of_tags(bencher: divan::Bencher<'_, '_>) {
    bencher.bench(|| FULL.tag_names(divan::black_box(Scope::Span), 1000));
}

#[divan::bench(sample_count = 50, sample_size = 100)]
fn one_trace(bencher: divan::Bencher<'_, '_>) {
    let id = FULL.search(&Search::default()).hits[0].summary.id;
    bencher.bench(|| FULL.trace(divan::black_box(id)));
}

fn search(query: &str) -> Search {
    Search {
        query: Some(Query::parse(query).unwrap()),
        ..Search::default()
    }
}

fn sink(store: &TraceStore, service: &str) -> Arc<dyn SpanSink> {
    let text = |text: &str| ResourceValue::String(Arc::from(text));
    let resource = encode_resource(&[
        (Arc::from("service.name"), text(service)),
        (Arc::from("service.version"), text("1.2.3")),
        (Arc::from("host.name"), text("node-1")),
    ]);
    store.sink(Bytes::from(resource))
}

/// What one edge of a trace hands over: a SERVER and a CLIENT span.
fn two_spans(trace: u64, service: u64) -> FinishedSpans {
    let mut random = fastrand::Rng::with_seed(trace * 3 + service);
    let server = service * 2 + 1;
    let parent = service * 2;
    let spans = otlp::ScopeSpans {
        spans: vec![
            span(trace, server + 1, server, &mut random),
            span(trace, server, parent, &mut random),
        ],
        ..otlp::ScopeSpans::default()
    };
    FinishedSpans {
        bytes: spans.encode_to_vec(),
        count: 2,
    }
}

fn span(trace: u64, id: u64, parent: u64, random: &mut fastrand::Rng) -> otlp::Span {
    let text = |text: String| Value::StringValue(text);
    let route = format!("/api/v1/orders/{{id}}/{}", trace % 20);
    let start = 1_700_000_000_000_000_000 + trace * 1_000_000;
    let mut seed = fastrand::Rng::with_seed(trace);
    let attributes = [
        ("http.request.method", text("GET".to_owned())),
        ("http.route", text(route.clone())),
        (
            "url.path",
            text(format!("/api/v1/orders/{trace:08}/{}", trace % 20)),
        ),
        ("url.scheme", text("https".to_owned())),
        ("http.response.status_code", Value::IntValue(200)),
        (
            "server.address",
            text("orders.shop.svc.cluster.local".to_owned()),
        ),
        (
            "client.address",
            text(format!("10.0.{}.{}", trace % 7, random.u8(..))),
        ),
        ("client.port", Value::IntValue(random.i64(32768..60999))),
        (
            "user_agent.original",
            text(format!(
                "Mozilla/5.0 (X11; Linux x86_64) rv:{}.0",
                trace % 9
            )),
        ),
        ("network.protocol.version", text("1.1".to_owned())),
        ("flow", text(format!("flow {}", trace % 8))),
        (
            "service.peer.name",
            text(SERVICES[(id % 3) as usize].to_owned()),
        ),
    ];
    let attributes = attributes.into_iter().map(|(key, value)| KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    });
    otlp::Span {
        trace_id: [seed.u64(1..), trace]
            .iter()
            .flat_map(|half| half.to_be_bytes())
            .collect(),
        span_id: (trace << 3 | id).to_be_bytes().to_vec(),
        parent_span_id: if parent == 0 {
            Vec::new()
        } else {
            (trace << 3 | parent).to_be_bytes().to_vec()
        },
        name: format!("GET {route}"),
        kind: 2 + (id % 2) as i32,
        start_time_unix_nano: start,
        end_time_unix_nano: start + random.u64(1_000_000..1_000_000_000),
        attributes: attributes.collect(),
        status: (random.u8(..) < 8).then(|| otlp::Status {
            code: 2,
            message: String::new(),
        }),
        flags: 0x101,
        ..otlp::Span::default()
    }
}

/// Bytes of memory that the process has.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}
