//! One check of one endpoint, over a connection of its own: a pooled one would only show that it
//! was well when the connection was made.

use super::settings::{HealthCheck, HealthSettings, HttpCheck};
use super::{USER_AGENT, grpc};
use crate::telemetry::plain_chain;
use crate::upstream::connect::{ConnectError, Connected, Stream};
use crate::upstream::endpoint::Endpoint;
use crate::upstream::settings::EndpointProtocol;
use bytes::Bytes;
use http::header::{CONNECTION, HOST};
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};

/// Bytes of an answer that are read, so that the endpoint sees its answer taken.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Why an endpoint did not pass.
#[derive(Debug, thiserror::Error)]
pub(super) enum CheckFailure {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// It did not answer in time.
    #[error("no answer within {} ms", .0.as_millis())]
    Timeout(std::time::Duration),
    /// The connection broke.
    #[error("the connection broke")]
    Broken(#[from] hyper::Error),
    /// Its answer does not pass.
    #[error("status {0}")]
    Status(u16),
    /// It does not speak what the check needs.
    #[error("it does not speak HTTP/2")]
    NotHttp2,
    /// gRPC says no.
    #[error("gRPC status {0}")]
    GrpcStatus(String),
    /// The health service says that it does not serve.
    #[error("{0}")]
    NotServing(&'static str),
    /// No request can be made for it.
    #[error("no request can be made: {0}")]
    Request(#[from] http::Error),
}

impl CheckFailure {
    /// The label of metrics.
    pub(super) const fn outcome(&self) -> &'static str {
        match self {
            Self::Connect(ConnectError::Timeout { .. }) | Self::Timeout(_) => "timeout",
            Self::Connect(_) => "connect",
            Self::Broken(_) | Self::NotHttp2 => "broken",
            Self::Status(_) | Self::GrpcStatus(_) | Self::NotServing(_) | Self::Request(_) => {
                "refused"
            }
        }
    }

    /// In words, with all causes.
    pub(super) fn reason(&self) -> String {
        plain_chain(self)
    }
}

/// Checks once, within the time-out.
pub(super) async fn check(
    endpoint: &Endpoint,
    settings: &HealthSettings,
) -> Result<(), CheckFailure> {
    let checked = async {
        match &settings.check {
            HealthCheck::Http(check) => http(endpoint, check).await,
            HealthCheck::Grpc { service } => {
                let mut connected = endpoint.dial().await?;
                // By prior knowledge where there is no ALPN: gRPC is HTTP/2.
                connected.h2 |= endpoint.address.protocol != EndpointProtocol::Https;
                grpc::check(endpoint, connected, service).await
            }
            HealthCheck::Tcp => endpoint.dial().await.map(drop).map_err(Into::into),
        }
    };
    match tokio::time::timeout(settings.timeout, checked).await {
        Ok(outcome) => outcome,
        Err(_elapsed) => Err(CheckFailure::Timeout(settings.timeout)),
    }
}

async fn http(endpoint: &Endpoint, check: &HttpCheck) -> Result<(), CheckFailure> {
    let connected = endpoint.dial().await?;
    let host = check.host.as_ref().unwrap_or(&endpoint.authority);
    let mut request = Request::new(Full::default());
    request
        .headers_mut()
        .insert(http::header::USER_AGENT, USER_AGENT);
    for (name, value) in &check.headers {
        request.headers_mut().insert(name, value.clone());
    }
    let path = check.path.clone();
    let answer = if connected.h2 {
        *request.uri_mut() = absolute(endpoint, host, path)?;
        send_h2(connected.stream, request).await?
    } else {
        *request.uri_mut() = Uri::from(path);
        request.headers_mut().insert(HOST, host.clone());
        let close = HeaderValue::from_static("close");
        request.headers_mut().insert(CONNECTION, close);
        send_h1(connected, request).await?
    };
    let status = answer.status();
    // The status is the answer, whatever becomes of its body.
    drop(
        Limited::new(answer.into_body(), ANSWER_BYTES_MAX)
            .collect()
            .await,
    );
    if check.passes(status) {
        Ok(())
    } else {
        Err(CheckFailure::Status(status.as_u16()))
    }
}

async fn send_h1(
    connected: Connected,
    request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, CheckFailure> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(connected.stream)).await?;
    // Ends with the check: nobody else holds the sender or the answer.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender.send_request(request).await?)
}

/// Sends over a new HTTP/2 connection.
pub(super) async fn send_h2(
    stream: Stream,
    request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, CheckFailure> {
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender.send_request(request).await?)
}

/// `:scheme`, `:authority` and `:path` in one (RFC 9113 section 8.3.1).
pub(super) fn absolute(
    endpoint: &Endpoint,
    host: &HeaderValue,
    path: http::uri::PathAndQuery,
) -> Result<Uri, http::Error> {
    let scheme = match endpoint.address.protocol {
        EndpointProtocol::Https => Scheme::HTTPS,
        EndpointProtocol::Http1 | EndpointProtocol::H2c => Scheme::HTTP,
    };
    Uri::builder()
        .scheme(scheme)
        .authority(Authority::try_from(host.as_bytes())?)
        .path_and_query(path)
        .build()
}
