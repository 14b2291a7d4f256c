//! What a decision costs: asked of an authorizer over loopback, and remembered; a token verified,
//! and verified before.
//!
//! `cargo bench --bench auth`. A hit is to cost less than 2 µs, with the request of a browser: a
//! dozen fields and a kilobyte of cookies; and so is a token of usual size.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a bench stops where it cannot go on"
)]

mod issuer;

use divan::{Bencher, black_box};
use edgespan::auth::provider::Providers;
use edgespan::auth::{Asked, Policy, Recorder, Resources, Verdict};
use edgespan::clock::Stopwatch;
use edgespan::config::{Environment, Overrides, compile_text};
use edgespan::telemetry::metrics::Metrics;
use edgespan::trace::flags::FeatureFlags;
use edgespan::trace::propagate::Propagators;
use edgespan::trace::redact::Redaction;
use edgespan::trace::settings::{KnownMethods, TraceSettings};
use edgespan::trace::sink::FinishedSpans;
use edgespan::trace::span::SpanLimits;
use edgespan::upstream::Cluster;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use issuer::Issuer;
use opentelemetry::trace::SpanId;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

fn main() {
    divan::main();
}

/// Answers 200 to whatever it reads.
async fn authorizer() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut bytes = vec![0; 64 << 10];
                while let Ok(1..) = stream.read(&mut bytes).await {
                    let answer =
                        b"HTTP/1.1 200 OK\r\nx-auth-user: ada\r\ncontent-length: 0\r\n\r\n";
                    stream.write_all(answer).await.unwrap();
                }
            });
        }
    });
    address
}

fn forward(authorizer: SocketAddr, cache: &str) -> Arc<Policy> {
    policy(&format!(
        "{{forward: {{url: 'http://{authorizer}/auth', timeout: 5s, \
         identity_headers: [x-auth-user]{cache}}}}}"
    ))
}

/// Has to run inside the runtime.
fn policy(written: &str) -> Arc<Policy> {
    let text =
        format!("listeners: {{web: {{address: '127.0.0.1:0'}}}}\nauth: {{legacy: {written}}}\n");
    let environment = Environment::default();
    let compiled = compile_text("bench.yaml", &text, &environment, &Overrides::default());
    let plan = compiled.unwrap_or_else(|_| panic!("{text}")).plan;
    let metrics = Metrics::new();
    let settings = plan.policies.first().unwrap().clone();
    let counts = metrics.auth_policy(&settings.name);
    let cluster = plan.upstreams.first().cloned();
    let cluster = cluster.map(|cluster| Cluster::new(cluster, &metrics).unwrap());
    let issuers = settings.providers().into_iter().cloned();
    let resources = Resources {
        cluster: cluster.as_ref(),
        providers: &Providers::start(issuers, &metrics, None),
        sessions: None,
        audit: None,
    };
    Policy::new(settings, resources, counts)
}

fn headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("host", "app.example.com"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0)"),
        ("accept", "text/html,application/xhtml+xml,*/*;q=0.8"),
        ("accept-language", "en-US,en;q=0.5"),
        ("accept-encoding", "gzip, deflate, br, zstd"),
        ("referer", "https://app.example.com/orders"),
        ("sec-fetch-dest", "document"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-site", "same-origin"),
        ("priority", "u=0, i"),
        ("x-forwarded-for", "192.0.2.7"),
        ("x-forwarded-proto", "https"),
    ] {
        headers.insert(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    let cookie = format!("sid={}; theme=dark", "x".repeat(1_000));
    headers.insert(http::header::COOKIE, HeaderValue::try_from(cookie).unwrap());
    headers
}

fn decide(bencher: Bencher<'_, '_>, cache: &str) {
    let runtime = Runtime::new().unwrap();
    let policy = runtime.block_on(async { forward(authorizer().await, cache) });
    measure(bencher, &runtime, &policy, headers);
}

/// The requests of `headers`, one after the other.
fn measure(
    bencher: Bencher<'_, '_>,
    runtime: &Runtime,
    policy: &Policy,
    headers: impl FnMut() -> HeaderMap,
) {
    let method = Method::GET;
    let target = PathAndQuery::from_static("/api/v1/orders/7?page=2");
    let limits = SpanLimits {
        attribute_count_max: 128,
        attribute_value_max: Some(1_024),
    };
    let settings = TraceSettings {
        limits,
        redaction: Redaction::default(),
        known_methods: KnownMethods::new(None),
        peer_service: true,
        synthetic: true,
    };
    let propagators = Propagators::from_names(["tracecontext"]);
    let flags = FeatureFlags::new(&[], &settings.limits);
    let client = IpAddr::V4(Ipv4Addr::LOCALHOST);
    bencher.with_inputs(headers).bench_local_refs(|headers| {
        let asked = Asked {
            method: &method,
            scheme: "https",
            host: "app.example.com",
            port: None,
            target: &target,
            version: Version::HTTP_11,
            headers,
            client,
            peer: (client, 1).into(),
            certificate: None,
            route: "orders",
            listener: "web",
            upgrades: false,
            is_preflight: false,
            body: None,
        };
        let mut spans = FinishedSpans::default();
        let mut recorder = Recorder {
            settings: &settings,
            propagators: &propagators,
            head: None,
            server_id: SpanId::INVALID,
            watch: Stopwatch::start(),
            read: Duration::ZERO,
            flow: None,
            flags: &flags,
            spans: &mut spans,
            sinks: &[],
        };
        let verdict = runtime.block_on(policy.check(black_box(&asked), None, &mut recorder));
        assert!(matches!(verdict, Verdict::Allow(_)), "{verdict:?}");
    });
}

#[divan::bench]
fn asked(bencher: Bencher<'_, '_>) {
    decide(bencher, "");
}

#[divan::bench(sample_size = 100)]
fn remembered(bencher: Bencher<'_, '_>) {
    decide(bencher, ", cache: {ttl: 1h}");
}

#[divan::bench(sample_size = 100)]
fn remembered_by_a_cookie(bencher: Bencher<'_, '_>) {
    decide(
        bencher,
        ", cache: {ttl: 1h, key: [{cookie: sid}, method, path]}",
    );
}

/// A policy by the tokens of an issuer.
struct Tokens {
    issuer: Issuer,
    runtime: Runtime,
    policy: Arc<Policy>,
}

impl Tokens {
    fn new() -> Self {
        let issuer = Issuer::new();
        let runtime = Runtime::new().unwrap();
        let policy = runtime.block_on(async { policy(&issuer.policy()) });
        Self {
            issuer,
            runtime,
            policy,
        }
    }

    /// A browser's request with a token.
    fn request(&self, number: u64) -> HeaderMap {
        let mut headers = headers();
        let value = HeaderValue::try_from(self.issuer.bearer(number)).unwrap();
        headers.insert(http::header::AUTHORIZATION, value);
        headers
    }
}

#[divan::bench(sample_size = 100)]
fn token_verified_before(bencher: Bencher<'_, '_>) {
    let tokens = Tokens::new();
    let headers = tokens.request(0);
    measure(bencher, &tokens.runtime, &tokens.policy, || headers.clone());
}

#[divan::bench]
fn token_verified(bencher: Bencher<'_, '_>) {
    let tokens = Tokens::new();
    let mut number = 0;
    measure(bencher, &tokens.runtime, &tokens.policy, || {
        number += 1;
        tokens.request(number)
    });
}
