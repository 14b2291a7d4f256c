//! Serves the provider's endpoints over HTTP/1.1, each request within a deadline.

use super::ask::{Ask, Parameters, Reply, nothing};
use super::faults::Trouble;
use super::record::{Call, Endpoint};
use super::{Provider, ask, metadata};
use crate::telemetry::plain_io;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
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
/// More than anybody wants to read.
const FLOOD_BYTES: usize = 4 * 1024 * 1024;

/// The connection closes without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the provider is down, as it was told to be")]
struct Down;

pub(super) async fn accept(listener: TcpListener, provider: Arc<Provider>) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    // Connections end with the server: dropping the set aborts them.
    let mut connections = JoinSet::new();
    while let Ok(permit) = Arc::clone(&permits).acquire_owned().await {
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                let provider = Arc::clone(&provider);
                connections.spawn(async move {
                    serve(stream, provider).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(error = plain_io(&error), "the provider cannot accept");
                tokio::time::sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, provider: Arc<Provider>) {
    let answer = service_fn(move |request| answer(Arc::clone(&provider), request));
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT);
    let served = builder.serve_connection(TokioIo::new(stream), answer).await;
    // A connection that broke is whose it was to tell.
    served.unwrap_or_default();
}

async fn answer(
    provider: Arc<Provider>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Down> {
    let (head, body) = request.into_parts();
    let path = head.uri.path().strip_prefix(provider.prefix.as_str());
    let Some(endpoint) = path.and_then(Endpoint::of) else {
        return Ok(nothing(StatusCode::NOT_FOUND).map(Full::new));
    };
    let mut parameters = Parameters::default();
    parameters.read(head.uri.query().unwrap_or_default().as_bytes());
    if head.method == Method::POST {
        let body = Limited::new(body, BODY_BYTES_MAX).collect();
        match tokio::time::timeout(BODY_TIMEOUT, body).await {
            Ok(Ok(body)) => parameters.read(&body.to_bytes()),
            _ => return Ok(nothing(StatusCode::BAD_REQUEST).map(Full::new)),
        }
    }
    provider.note(Call {
        endpoint,
        method: head.method.clone(),
        trace: Call::trace_of(&head.headers),
        grant: parameters.get("grant_type").map(str::to_owned),
        parameters: parameters.names().into_iter().map(str::to_owned).collect(),
    });
    match provider.faults().trouble(endpoint) {
        Some(Trouble::Down) => return Err(Down),
        Some(Trouble::Slow(by)) => tokio::time::sleep(by).await,
        Some(Trouble::Status(status)) => return Ok(text(status, "no".into())),
        Some(Trouble::Garbage) => return Ok(text(StatusCode::OK, "\0{[garbage".into())),
        Some(Trouble::Flood) => {
            return Ok(text(StatusCode::OK, vec![b' '; FLOOD_BYTES].into()));
        }
        None => {}
    }
    let ask = Ask {
        method: head.method,
        headers: head.headers,
        parameters,
    };
    Ok(dispatch(&provider, endpoint, &ask).await.map(Full::new))
}

async fn dispatch(provider: &Provider, endpoint: Endpoint, ask: &Ask) -> Reply {
    let is_post = ask.method == Method::POST;
    if !is_post && ask.method != Method::GET {
        return nothing(StatusCode::METHOD_NOT_ALLOWED);
    }
    match endpoint {
        Endpoint::Discovery => ask::json(StatusCode::OK, &metadata::metadata(provider)),
        Endpoint::Keys => {
            let hides = provider.faults().hides_keys;
            ask::json(StatusCode::OK, &provider.keys().published(hides))
        }
        Endpoint::Authorization => provider.authorize(ask),
        Endpoint::Userinfo => provider.userinfo(ask),
        Endpoint::Logout => {
            let ended = provider.logout(ask);
            provider.tell(ended.tell).await;
            ended.reply
        }
        _ if !is_post => nothing(StatusCode::METHOD_NOT_ALLOWED),
        Endpoint::Login => provider.login(ask),
        Endpoint::Pushed => provider.push(ask),
        Endpoint::Token => provider.token(ask),
        Endpoint::Introspection => provider.introspect(ask),
        Endpoint::Revocation => provider.revoke(ask),
    }
}

fn text(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut reply = Response::new(Full::new(body));
    *reply.status_mut() = status;
    reply
}
