//! Bytes become requests: one connection, from its version to its end.

use super::activity::{Activity, InFlight};
use super::deadline::{Overdue, Watch};
use super::drain::Drain;
use super::frames::Flood;
use super::io::ServerIo;
use super::moment::Reached;
use super::streams::{self, Streams};
use crate::listener::{ConnInfo, ListenerLimits};
use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::error::Error as _;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

/// What an HTTP/2 client sends first (RFC 9113 section 3.4).
const H2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Streams that one HTTP/2 client may have open at a time.
const H2_STREAMS_MAX: u32 = 256;

/// Streams that a client may have reset before we have looked at them.
const H2_RESET_STREAMS_MAX: usize = 20;

/// Streams of a client that we may have to reset because it broke the protocol on them
/// (CVE-2025-8671) before the connection ends.
const H2_STREAM_ERRORS_MAX: usize = 128;

/// Bytes of an answer that wait for a client's window, but for what one read of the upstream
/// brings.
const H2_SEND_BYTES_MAX: usize = 256 * 1024;

/// How far hyper's own limits stand above ours, so that ours answer.
const LIBRARY_HEADROOM: usize = 2;

/// Answers requests.
pub trait Handle: Clone + Send + Sync + 'static {
    /// The answer's body.
    type Body: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static;

    /// How the heads of HTTP/1 requests begin that [`InFlight::take_head`] is to have as they
    /// came. Asked once for each connection.
    fn heads_kept(&self) -> &'static [&'static str] {
        &[]
    }

    /// Answers one request. `place` is to be held until the answer's last byte.
    fn handle(
        &self,
        conn: Arc<ConnInfo>,
        place: InFlight,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Self::Body>> + Send;
}

/// Any error of a body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How a connection ended.
#[derive(Debug)]
pub enum Ended {
    /// One of the two closed it between requests.
    Clean,
    /// It did one thing for too long.
    Overdue(Overdue),
    /// It sent too much of what only makes work.
    Flood(Flood),
    /// The HTTP library found it too troublesome and said so (ENHANCE_YOUR_CALM).
    Calmed(BoxError),
    /// The HTTP parser refused what came; no request was seen.
    ParseError(hyper::Error),
    /// The connection broke.
    Broken(BoxError),
}

/// Serves one connection until it ends.
pub async fn serve<S, H>(stream: S, conn: Arc<ConnInfo>, handler: H, drain: &Drain) -> Ended
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Handle,
{
    let mut stream = stream;
    let timeouts = conn.listener.timeouts;
    let activity = Activity::begin(conn.listener.limits.requests_per_connection_max);
    let watch = Watch::begin(Arc::clone(&activity), &timeouts);
    let (h2, read_before) = match &conn.tls {
        Some(tls) => (tls.alpn_h2, Bytes::new()),
        None => {
            let sniffed = tokio::select! {
                biased;
                sniffed = tokio::time::timeout(timeouts.header, sniff(&mut stream)) => sniffed,
                // Who has asked for nothing yet is not waited for.
                () = drain.begun() => return Ended::Clean,
            };
            match sniffed {
                Err(_) => return Ended::Overdue(Overdue::Head),
                Ok(Err(error)) => return Ended::Broken(error.into()),
                Ok(Ok((_, read))) if read.is_empty() => return Ended::Clean,
                Ok(Ok(sniffed)) => sniffed,
            }
        }
    };
    if h2 {
        activity.is_http2();
    }
    let mut io = ServerIo::new(stream, read_before, Arc::clone(&activity));
    if h2 {
        io = io.watching_frames();
    } else {
        let begins = handler.heads_kept();
        if !begins.is_empty() {
            io = io.keeping_heads(begins);
        }
    }
    let io = TokioIo::new(io);
    let doings = Arc::clone(&activity);
    let limits = conn.listener.limits;
    let service = service_fn(move |request| {
        let (handler, conn, place) = (handler.clone(), Arc::clone(&conn), activity.enter());
        if let Some(reading) = &place.reading {
            streams::announce(reading);
        }
        async move { Ok::<_, Infallible>(handler.handle(conn, place, request).await) }
    });
    let ended = if h2 {
        let connection = http2_builder(&limits, timeouts.idle).serve_connection(io, service);
        watched(
            pin!(connection),
            http2::Connection::graceful_shutdown,
            watch,
            drain.leaving(), // GOAWAY loses no request, so it need not wait
        )
        .await
    } else {
        let connection = http1_builder(&limits)
            .serve_connection(io, service)
            .with_upgrades();
        watched(
            pin!(connection),
            http1::UpgradeableConnection::graceful_shutdown,
            watch,
            drain.begun(),
        )
        .await
    };
    doings.flood().map_or(ended, Ended::Flood)
}

/// Whether the client speaks HTTP/2 by prior knowledge, and what was read to find out. Reads no
/// more than is needed to tell the two apart.
async fn sniff<S: AsyncRead + Unpin>(stream: &mut S) -> std::io::Result<(bool, Bytes)> {
    let mut read = BytesMut::with_capacity(4096);
    loop {
        if stream.read_buf(&mut read).await? == 0 {
            return Ok((false, read.freeze()));
        }
        if read.starts_with(H2_PREFACE) {
            return Ok((true, read.freeze()));
        }
        if !H2_PREFACE.starts_with(&read) {
            return Ok((false, read.freeze()));
        }
    }
}

/// One HTTP/1 connection. Header deadline and keep-alive are the watch's, see `deadline`.
fn http1_builder(limits: &ListenerLimits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .max_headers(limits.header_count_max.saturating_mul(LIBRARY_HEADROOM))
        .max_buf_size(
            limits
                .header_bytes_max
                .saturating_mul(LIBRARY_HEADROOM)
                .max(64 * 1024),
        )
        .half_close(false); // a client that leaves drops the request, and its span ends
    // Not `pipeline_flush`: with it hyper buffers answers without a bound.
    builder
}

/// One HTTP/2 connection. A peer that answers no PING within the idle time is gone.
fn http2_builder(limits: &ListenerLimits, idle: Duration) -> http2::Builder<Streams> {
    let header_bytes = limits.header_bytes_max.saturating_mul(LIBRARY_HEADROOM);
    let mut builder = http2::Builder::new(Streams::new(idle));
    builder
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(header_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(H2_STREAMS_MAX)
        .max_pending_accept_reset_streams(H2_RESET_STREAMS_MAX)
        .max_local_error_reset_streams(H2_STREAM_ERRORS_MAX)
        .max_send_buf_size(H2_SEND_BYTES_MAX)
        .keep_alive_interval(idle)
        .keep_alive_timeout(idle)
        .enable_connect_protocol(); // WebSockets of browsers (RFC 8441)
    builder
}

/// Drives a connection beside its watch and the end that it shares with others.
async fn watched<C>(
    mut connection: Pin<&mut C>,
    shut_down: impl Fn(Pin<&mut C>),
    mut watch: Watch,
    mut end: Reached,
) -> Ended
where
    C: Future<Output = hyper::Result<()>>,
{
    let mut closing = false;
    poll_fn(|cx| {
        if !closing && Pin::new(&mut end).poll(cx).is_ready() {
            closing = true;
            shut_down(connection.as_mut());
        }
        if let Poll::Ready(result) = connection.as_mut().poll(cx) {
            return Poll::Ready(result.map_or_else(ended_by, |()| Ended::Clean));
        }
        if !closing && watch.is_used_up() {
            closing = true;
            shut_down(connection.as_mut());
            watch.leave();
            cx.waker().wake_by_ref();
        }
        match watch.poll(cx) {
            Poll::Ready(Overdue::Lifetime) => {
                watch.leave();
                if !closing {
                    closing = true;
                    shut_down(connection.as_mut());
                }
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Ready(Overdue::Idle) if !closing => {
                // Says goodbye (GOAWAY, close_notify). A request may be on its way already, so the
                // client has as long again to close before the connection is cut.
                closing = true;
                shut_down(connection.as_mut());
                watch.begin_again();
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Ready(overdue) => Poll::Ready(Ended::Overdue(overdue)),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

fn ended_by(error: hyper::Error) -> Ended {
    let calmed = error
        .source()
        .and_then(|source| source.downcast_ref::<h2::Error>())
        .is_some_and(|cause| {
            cause.is_library() && cause.reason() == Some(h2::Reason::ENHANCE_YOUR_CALM)
        });
    if calmed {
        return Ended::Calmed(error.into());
    }
    if error.is_parse() || error.is_parse_too_large() {
        Ended::ParseError(error)
    } else {
        Ended::Broken(error.into())
    }
}
