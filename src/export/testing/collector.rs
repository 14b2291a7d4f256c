//! A collector over real sockets, HTTP/1.1 and gRPC, that fails on demand.

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, HeaderMap, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message as _;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tonic::Code;
use tonic_types::{ErrorDetails, StatusExt as _};

type Body = BoxBody<Bytes, Infallible>;

/// What the collector does with one request.
pub(in crate::export) enum Answer {
    /// Takes the spans, but this many, and says this.
    Partial(i64, &'static str),
    /// An HTTP status with one header and a body.
    Http(u16, Option<(&'static str, String)>, &'static str),
    /// A gRPC status; with `RetryInfo` if the outer option is there.
    Grpc(Code, &'static str, Option<Option<Duration>>),
    /// Reads and stays silent.
    Silence,
    /// Closes the connection.
    HangUp,
}

/// A request as it was received.
pub(in crate::export) struct Seen {
    pub(in crate::export) path: String,
    pub(in crate::export) headers: HeaderMap,
    pub(in crate::export) message: ExportTraceServiceRequest,
}

/// Listens on a free port of the loopback. Dropped, it closes all its connections.
pub(in crate::export) struct Collector {
    address: SocketAddr,
    state: Arc<State>,
    _tasks: JoinSet<()>,
}

struct State {
    answers: Mutex<VecDeque<Answer>>,
    /// Larger messages are refused.
    message_bytes_max: usize,
    seen: Mutex<Vec<Seen>>,
    taken: watch::Sender<Vec<String>>,
}

/// How a collector is set up.
#[derive(Default)]
pub(in crate::export) struct Setup {
    pub(in crate::export) answers: Vec<Answer>,
    pub(in crate::export) message_bytes_max: Option<usize>,
    pub(in crate::export) tls: Option<TlsAcceptor>,
    /// Listens here again.
    pub(in crate::export) address: Option<SocketAddr>,
}

impl Collector {
    /// One that takes everything.
    pub(in crate::export) async fn start() -> Self {
        Self::with(Setup::default()).await
    }

    /// One that gives these answers first.
    pub(in crate::export) async fn answering(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self::with(Setup {
            answers: answers.into_iter().collect(),
            ..Setup::default()
        })
        .await
    }

    pub(in crate::export) async fn with(setup: Setup) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = TcpListener::bind(setup.address.unwrap_or(any))
            .await
            .unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            answers: Mutex::new(setup.answers.into()),
            message_bytes_max: setup.message_bytes_max.unwrap_or(usize::MAX),
            seen: Mutex::default(),
            taken: watch::Sender::default(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept_loop(listener, setup.tls, Arc::clone(&state)));
        Self {
            address,
            state,
            _tasks: tasks,
        }
    }

    pub(in crate::export) fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:port` and a path.
    pub(in crate::export) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Takes all requests received so far.
    pub(in crate::export) fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.state.seen.lock().unwrap())
    }

    /// The names of the spans it took, sorted, once there are `count`.
    pub(in crate::export) async fn names(&self, count: usize) -> Vec<String> {
        let mut taken = self.state.taken.subscribe();
        let enough = taken.wait_for(|names| names.len() >= count);
        let mut names = tokio::time::timeout(Duration::from_secs(10), enough)
            .await
            .expect("the spans did not come")
            .unwrap()
            .clone();
        names.sort();
        names
    }
}

async fn accept_loop(listener: TcpListener, tls: Option<TlsAcceptor>, state: Arc<State>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, state) = (tls.clone(), Arc::clone(&state));
        connections.spawn(async move {
            match tls {
                None => serve(stream, state).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        serve(stream, state).await;
                    }
                }
            }
        });
    }
}

/// One connection: HTTP/2 if its first bytes say so.
async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S, state: Arc<State>) {
    use tokio::io::{AsyncBufReadExt as _, BufReader};
    let mut stream = BufReader::new(stream);
    let is_http2 = stream
        .fill_buf()
        .await
        .is_ok_and(|start| start.starts_with(b"PRI"));
    let service = hyper::service::service_fn(move |request| answer(Arc::clone(&state), request));
    let io = TokioIo::new(stream);
    if is_http2 {
        let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        drop(server.serve_connection(io, service).await);
    } else {
        let server = hyper::server::conn::http1::Builder::new();
        drop(server.serve_connection(io, service).await);
    }
}

async fn answer(state: Arc<State>, request: Request<Incoming>) -> io::Result<Response<Body>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let is_grpc =
        head.headers.get("content-type") == Some(&HeaderValue::from_static("application/grpc"));
    let message = if is_grpc {
        let is_compressed = body[0] == 1;
        let encoding = head.headers.get("grpc-encoding").filter(|_| is_compressed);
        decompress(encoding, &body[5..])
    } else {
        decompress(head.headers.get(CONTENT_ENCODING), &body)
    };
    let too_large = message.len() > state.message_bytes_max;
    let message = ExportTraceServiceRequest::decode(message.as_slice()).unwrap();
    let names: Vec<String> = message.resource_spans[0].scope_spans[0]
        .spans
        .iter()
        .map(|span| span.name.clone())
        .collect();
    state.seen.lock().unwrap().push(Seen {
        path: head.uri.path().to_owned(),
        headers: head.headers,
        message,
    });
    if too_large {
        return Ok(if is_grpc {
            let said = "grpc: received message larger than max (9 vs. 4)";
            tonic::Status::resource_exhausted(said).into_http()
        } else {
            http_answer(413, None, "")
        });
    }
    let answer = state.answers.lock().unwrap().pop_front();
    let partial_success = match answer {
        None => None,
        Some(Answer::Partial(rejected_spans, said)) => Some(ExportTracePartialSuccess {
            rejected_spans,
            error_message: said.to_owned(),
        }),
        Some(Answer::Http(status, header, body)) => return Ok(http_answer(status, header, body)),
        Some(Answer::Grpc(code, said, retry_info)) => {
            let mut details = ErrorDetails::new();
            if let Some(delay) = retry_info {
                details.set_retry_info(delay);
            }
            return Ok(tonic::Status::with_error_details(code, said, details).into_http());
        }
        Some(Answer::Silence) => std::future::pending().await,
        Some(Answer::HangUp) => return Err(io::ErrorKind::ConnectionAborted.into()),
    };
    state.taken.send_modify(|taken| taken.extend(names));
    let response = ExportTraceServiceResponse { partial_success }.encode_to_vec();
    Ok(if is_grpc {
        grpc_success(&response)
    } else {
        http_success(response)
    })
}

fn decompress(encoding: Option<&HeaderValue>, body: &[u8]) -> Vec<u8> {
    match encoding.map(HeaderValue::as_bytes) {
        None => body.to_vec(),
        Some(b"gzip") => {
            let mut message = Vec::new();
            flate2::read::GzDecoder::new(body)
                .read_to_end(&mut message)
                .unwrap();
            message
        }
        Some(b"zstd") => zstd::stream::decode_all(body).unwrap(),
        Some(other) => panic!("encoding {other:?}"),
    }
}

fn http_success(response: Vec<u8>) -> Response<Body> {
    Response::builder()
        .header("content-type", "application/x-protobuf")
        .body(Full::from(response).boxed())
        .unwrap()
}

fn http_answer(
    status: u16,
    header: Option<(&'static str, String)>,
    body: &'static str,
) -> Response<Body> {
    let mut response = Response::new(Full::from(body).boxed());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    if let Some((name, value)) = header {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}

fn grpc_success(response: &[u8]) -> Response<Body> {
    let mut frame = vec![0];
    frame.extend_from_slice(&u32::try_from(response.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(response);
    let trailers = HeaderMap::from_iter([(
        http::HeaderName::from_static("grpc-status"),
        HeaderValue::from_static("0"),
    )]);
    Response::builder()
        .header("content-type", "application/grpc")
        .body(
            Full::from(frame)
                .with_trailers(async { Some(Ok(trailers)) })
                .boxed(),
        )
        .unwrap()
}

/// A port on which nothing listens.
pub(in crate::export) async fn free_address() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    listener.local_addr().unwrap()
}

/// An address before `collector` whose first connection is dead: open, and nothing comes of it.
pub(in crate::export) async fn dead_once(collector: &Collector) -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let (address, behind) = (listener.local_addr().unwrap(), collector.address());
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let (_dead, _) = listener.accept().await.unwrap();
        let mut connections = JoinSet::new();
        while let Ok((mut from, _)) = listener.accept().await {
            connections.spawn(async move {
                let mut to = TcpStream::connect(behind).await.unwrap();
                drop(tokio::io::copy_bidirectional(&mut from, &mut to).await);
            });
        }
    });
    (address, tasks)
}

/// A server that refuses long requests as reverse proxies do: it answers after the head, reads
/// what still comes, and closes. Takes the others.
pub(in crate::export) async fn refusing_by_the_head(
    body_bytes_max: usize,
) -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(refuse_by_the_head(stream, body_bytes_max));
        }
    });
    (address, tasks)
}

async fn refuse_by_the_head(mut stream: TcpStream, body_bytes_max: usize) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    let (_, length) = head.split_once("content-length: ").unwrap();
    let length: usize = length.lines().next().unwrap().parse().unwrap();
    let is_refused = length > body_bytes_max;
    if !is_refused {
        stream.read_exact(&mut vec![0; length]).await.unwrap();
    }
    let status = if is_refused {
        "413 Too Large"
    } else {
        "200 OK"
    };
    let answer = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    stream.write_all(answer.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    drop(tokio::io::copy(&mut stream, &mut tokio::io::sink()).await);
}
