//! What a whole request costs: client, proxy and origin on one thread, over loopback.
//!
//! `cargo bench --bench pipeline`. Client and origin do as little as can be done and allocate
//! nothing, so that the allocations are the proxy's; of the time, about half is theirs and the
//! kernel's. Figures beside other proxies: `benches/peers/run`.

#![allow(clippy::unwrap_used, reason = "a bench stops where it cannot go on")]

mod issuer;
mod visitor;

use divan::{AllocProfiler, Bencher};
use edgespan::app::{Options, Running};
use edgespan::config::{Environment, Overrides, compile_text};
use edgespan::trace::sink::{FinishedSpans, SpanSink};
use issuer::Issuer;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

#[global_allocator]
static ALLOC: AllocProfiler = AllocProfiler::system();

const REQUEST: &[u8] = b"GET /orders/7 HTTP/1.1\r\nhost: app.example.com\r\n\r\n";
const SAMPLED: &[u8] = b"GET /orders/7 HTTP/1.1\r\nhost: app.example.com\r\n\
    traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\
    tracestate: a=1,b=2\r\nbaggage: tenant=7\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ndate: Sat, 21 Nov 2026 12:00:00 GMT\r\n\
    content-type: text/plain\r\ncontent-length: 5\r\n\r\nhello";

fn main() {
    divan::main();
}

/// Takes spans and forgets them: encoding is measured, export is not (see `export`).
struct Nowhere;

impl SpanSink for Nowhere {
    fn accept(&self, spans: &FinishedSpans) {
        divan::black_box(spans);
    }
}

/// A client with an open connection to a proxy before an origin.
struct Way {
    runtime: Runtime,
    client: TcpStream,
    _proxy: Running,
}

impl Way {
    fn open(environment: &[(&str, &str)]) -> Self {
        Self::guarded(environment, "")
    }

    /// The same with these lines of configuration; `ORIGIN` in them is the origin's address.
    fn guarded(environment: &[(&str, &str)], more: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let environment = environment.iter().copied().collect();
        let (client, proxy) = runtime.block_on(async {
            let origin = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = origin.local_addr().unwrap();
            tokio::spawn(serve(origin));
            let proxy = start(address, &environment, more).await;
            let (_, address) = *proxy.listeners().first().unwrap();
            let client = TcpStream::connect(address).await.unwrap();
            client.set_nodelay(true).unwrap();
            (client, proxy)
        });
        Self {
            runtime,
            client,
            _proxy: proxy,
        }
    }

    /// One request, to the last byte of its answer.
    fn exchange(&mut self, request: &[u8]) {
        self.runtime.block_on(async {
            self.client.write_all(request).await.unwrap();
            let mut answer = [0; 1024];
            let mut filled = 0;
            while !answer.get(..filled).unwrap().ends_with(b"\r\n\r\nhello") {
                let read = self.client.read(answer.get_mut(filled..).unwrap()).await;
                filled += read.unwrap();
                let is_good = answer.starts_with(b"HTTP/1.1 200");
                assert!(is_good, "{}", String::from_utf8_lossy(&answer));
            }
        });
    }
}

async fn start(origin: SocketAddr, environment: &Environment, more: &str) -> Running {
    let more = more.replace("ORIGIN", &origin.to_string());
    let text = format!(
        "admin: {{address: '127.0.0.1:0'}}\n\
         listeners: {{web: {{address: '127.0.0.1:0', mode: gateway}}}}\n\
         upstreams: {{next: {{endpoints: ['http://{origin}']}}}}\n\
         routes: [{{name: all, match: {{prefix: /}}, upstream: next}}]\n\
         sampling: {{default: 1.0}}\n{more}\n"
    );
    let loaded = compile_text("bench.yaml", &text, environment, &Overrides::default());
    let options = Options {
        sinks: vec![Arc::new(Nowhere)],
        ..Options::default()
    };
    Running::start(loaded.unwrap().plan, options).await.unwrap()
}

/// Answers whatever comes: a request of this bench is one read.
async fn serve(listener: TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            let mut request = [0; 4096];
            while stream.read(&mut request).await.unwrap_or_default() > 0 {
                stream.write_all(ANSWER).await.unwrap();
            }
        });
    }
}

#[divan::bench]
fn untraced(bencher: Bencher<'_, '_>) {
    let mut way = Way::open(&[("OTEL_SDK_DISABLED", "true")]);
    bencher.bench_local(|| way.exchange(REQUEST));
}

#[divan::bench]
fn traced(bencher: Bencher<'_, '_>) {
    let mut way = Way::open(&[]);
    bencher.bench_local(|| way.exchange(REQUEST));
}

#[divan::bench]
fn traced_as_part_of_a_trace(bencher: Bencher<'_, '_>) {
    let mut way = Way::open(&[]);
    bencher.bench_local(|| way.exchange(SAMPLED));
}

/// What no proxy can be cheaper than on this machine: the same without one.
#[divan::bench]
fn without_a_proxy(bencher: Bencher<'_, '_>) {
    let mut way = Way::open(&[]);
    way.client = way.runtime.block_on(async {
        let origin = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = origin.local_addr().unwrap();
        tokio::spawn(serve(origin));
        TcpStream::connect(address).await.unwrap()
    });
    bencher.bench_local(|| way.exchange(REQUEST));
}

/// A decision without a cache: one more exchange, with an authorizer that answers as the origin.
#[divan::bench]
fn asked_for_leave(bencher: Bencher<'_, '_>) {
    let policy = "default_auth: legacy\n\
        auth: {legacy: {forward: {url: 'http://ORIGIN/auth', identity_headers: [x-auth-user]}}}";
    let mut way = Way::guarded(&[], policy);
    bencher.bench_local(|| way.exchange(SAMPLED));
}

/// A policy that asks nobody.
#[divan::bench]
fn let_in_by_address(bencher: Bencher<'_, '_>) {
    let policy = "default_auth: here\nauth: {here: {ip: [127.0.0.0/8]}}";
    let mut way = Way::guarded(&[], policy);
    bencher.bench_local(|| way.exchange(SAMPLED));
}

/// The same request with a field more, under a loopback host, where `http` may have a session.
fn with(field: &str) -> Vec<u8> {
    let request = std::str::from_utf8(SAMPLED).unwrap();
    let request = request.replace("app.example.com", "localhost");
    let head = request.strip_suffix("\r\n").unwrap();
    format!("{head}{field}\r\n\r\n").into_bytes()
}

/// A token that nobody reads: what the next one is held against.
#[divan::bench]
fn with_a_token_for_the_origin(bencher: Bencher<'_, '_>) {
    let request = with(&format!("authorization: {}", Issuer::new().bearer(0)));
    let mut way = Way::open(&[]);
    bencher.bench_local(|| way.exchange(&request));
}

/// One token again and again.
#[divan::bench]
fn let_in_by_a_token(bencher: Bencher<'_, '_>) {
    let issuer = Issuer::new();
    let request = with(&format!("authorization: {}", issuer.bearer(0)));
    let policy = format!("default_auth: api\nauth: {{api: {}}}", issuer.policy());
    let mut way = Way::guarded(&[], &policy);
    bencher.bench_local(|| way.exchange(&request));
}

fn with_session(runtime: &Runtime) -> Vec<u8> {
    with(&format!(
        "cookie: {}",
        visitor::cookies(runtime, false, 800)
    ))
}

/// A session's cookie that nobody reads: what the next one is held against.
#[divan::bench]
fn with_a_session_for_the_origin(bencher: Bencher<'_, '_>) {
    let mut way = Way::open(&[]);
    let request = with_session(&way.runtime);
    bencher.bench_local(|| way.exchange(&request));
}

/// One session again and again.
#[divan::bench]
fn let_in_by_a_session(bencher: Bencher<'_, '_>) {
    let policy = format!(
        "default_auth: {name}\n\
         auth: {{{name}: {{oidc: {{issuer: '{}', client_id: edge}}}}}}\n\
         login: {{keys: [{{env: SEAL}}]}}",
        visitor::ISSUER,
        name = visitor::POLICY,
    );
    let mut way = Way::guarded(&[("SEAL", visitor::KEY)], &policy);
    let request = with_session(&way.runtime);
    bencher.bench_local(|| way.exchange(&request));
}
