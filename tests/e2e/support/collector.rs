//! An OTLP/HTTP collector with programmable faults, read with OpenTelemetry's generated types.

use super::spans::{Edges, SeenSpan};
use super::{PATIENCE, until};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::Read;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;

#[derive(Default)]
struct State {
    spans: Vec<SeenSpan>,
    resources: Vec<Resource>,
    headers: Vec<http::HeaderMap>,
    faults: VecDeque<u16>,
    requests: usize,
    metrics: Vec<Metric>,
    logs: Vec<LogRecord>,
}

/// A collector that keeps what it is sent.
#[derive(Clone)]
pub struct Collector {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Collector {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&shared);
                let service = service_fn(move |request| receive(Arc::clone(&state), request));
                tokio::spawn(async move {
                    drop(
                        http1::Builder::new()
                            .serve_connection(TokioIo::new(stream), service)
                            .await,
                    );
                });
            }
        });
        Self { address, state }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}/v1/traces", self.address)
    }

    /// The next requests are answered with these statuses.
    pub fn fail_with(&self, statuses: &[u16]) {
        self.state.lock().unwrap().faults.extend(statuses);
    }

    pub fn requests(&self) -> usize {
        self.state.lock().unwrap().requests
    }

    pub fn headers(&self) -> Vec<http::HeaderMap> {
        self.state.lock().unwrap().headers.clone()
    }

    pub fn resource(&self) -> Resource {
        self.state
            .lock()
            .unwrap()
            .resources
            .first()
            .cloned()
            .expect("a resource")
    }

    pub fn spans(&self) -> Vec<SeenSpan> {
        self.state.lock().unwrap().spans.clone()
    }

    /// Every metric so far, older readings first.
    pub fn metrics(&self) -> Vec<Metric> {
        self.state.lock().unwrap().metrics.clone()
    }

    /// Every log record so far.
    pub fn logs(&self) -> Vec<LogRecord> {
        self.state.lock().unwrap().logs.clone()
    }

    /// Waits until this many spans are there.
    pub async fn wait_for(&self, count: usize) -> Vec<SeenSpan> {
        until(&format!("{count} spans"), || self.spans().len() >= count).await;
        self.spans()
    }

    /// Takes the edges of the next request: all spans up to its SERVER span, which comes last.
    pub async fn next_edges(&self) -> Edges {
        until("a SERVER span", || {
            self.spans().iter().any(SeenSpan::is_server)
        })
        .await;
        let mut state = self.state.lock().unwrap();
        let server = state.spans.iter().position(SeenSpan::is_server).unwrap();
        Edges(state.spans.drain(..=server).collect())
    }

    /// Whether nothing more comes within a moment.
    pub async fn stays_silent(&self) -> bool {
        let before = self.spans().len();
        tokio::time::sleep(PATIENCE / 50).await;
        self.spans().len() == before
    }
}

async fn receive(
    state: Arc<Mutex<State>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    let mut state = state.lock().unwrap();
    state.requests += 1;
    let status = state.faults.pop_front().unwrap_or(200);
    if status == 200 {
        let plain = match head
            .headers
            .get("content-encoding")
            .map(|value| value.as_bytes())
        {
            Some(b"gzip") => {
                let mut plain = Vec::new();
                flate2::read::GzDecoder::new(body.as_ref())
                    .read_to_end(&mut plain)
                    .unwrap();
                plain
            }
            Some(b"zstd") => zstd::decode_all(body.as_ref()).unwrap(),
            _ => body.to_vec(),
        };
        state.headers.push(head.headers);
        match head.uri.path() {
            "/v1/metrics" => state.take_metrics(&plain),
            "/v1/logs" => state.take_logs(&plain),
            _ => state.take_spans(&plain),
        }
    }
    let response = Response::builder()
        .status(status)
        .header("content-type", "application/x-protobuf")
        .body(Full::default())
        .unwrap();
    Ok(response)
}

impl State {
    fn take_metrics(&mut self, body: &[u8]) {
        let message = ExportMetricsServiceRequest::decode(body).expect("OTLP");
        for resource in message.resource_metrics {
            self.resources.extend(resource.resource);
            for scope in resource.scope_metrics {
                self.metrics.extend(scope.metrics);
            }
        }
    }

    fn take_logs(&mut self, body: &[u8]) {
        let message = ExportLogsServiceRequest::decode(body).expect("OTLP");
        for resource in message.resource_logs {
            self.resources.extend(resource.resource);
            for scope in resource.scope_logs {
                self.logs.extend(scope.log_records);
            }
        }
    }

    fn take_spans(&mut self, body: &[u8]) {
        let message = ExportTraceServiceRequest::decode(body).expect("OTLP");
        for resource in message.resource_spans {
            self.resources.extend(resource.resource);
            for scope in resource.scope_spans {
                self.spans.extend(scope.spans.into_iter().map(SeenSpan));
            }
        }
    }
}
