//! A plain server of HTTP/1.1, for what stands in for others: the demo's services, a small
//! provider. It has deadlines and bounds, and nothing of what a proxy needs beside.

use super::BoxError;
use crate::telemetry::plain_io;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
const BODY_BYTES_MAX: usize = 64 * 1024;
const CONNECTIONS_MAX: usize = 1024;
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// Answers whatever comes to a listener, until it is dropped, and its connections with it. An
/// error closes the connection without an answer.
pub async fn serve_plain<A, F, B, E>(listener: TcpListener, name: &'static str, answer: A)
where
    A: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Response<B>, E>> + Send + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    E: Into<BoxError> + 'static,
{
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    while let Ok(permit) = Arc::clone(&permits).acquire_owned().await {
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                let answer = answer.clone();
                connections.spawn(async move {
                    connection(stream, answer).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(listener = name, error = plain_io(&error), "accept failed");
                tokio::time::sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
}

async fn connection<A, F, B, E>(stream: TcpStream, answer: A)
where
    A: Fn(Request<Incoming>) -> F,
    F: Future<Output = Result<Response<B>, E>>,
    B: Body<Data = Bytes, Error: Into<BoxError>> + 'static,
    E: Into<BoxError>,
{
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new()) // without a timer hyper's header deadline does not run
        .header_read_timeout(HEADER_TIMEOUT);
    let service = service_fn(answer);
    let served = builder.serve_connection(TokioIo::new(stream), service);
    // A connection that broke is whose it was to tell.
    served.await.unwrap_or_default();
}

/// The body of a request, in memory. None: it is longer than 64 KiB, broke, or took longer than
/// 10 s.
pub async fn read_plain(body: Incoming) -> Option<Bytes> {
    let body = Limited::new(body, BODY_BYTES_MAX).collect();
    let body = tokio::time::timeout(BODY_TIMEOUT, body).await.ok()?;
    Some(body.ok()?.to_bytes())
}
