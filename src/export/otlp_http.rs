//! OTLP over HTTP/1.1: one POST a batch, on kept-alive connections.

use super::connect::Collector;
use super::encode::{Envelope, ExportRequest};
use super::exporter::ExportError;
use super::reply::{Arrived, Failure, FailureKind, Remedy, Reply};
use super::retry::retry_after;
use super::settings::{Compression, OtlpSettings};
use super::{ANSWER_BYTES_MAX, USER_AGENT};
use crate::telemetry::plain_chain;
use bytes::Bytes;
use http::header::{
    CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER,
};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use prost::Message as _;
use std::io::{self, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Idle connections kept: one for each lane that sends.
const IDLE_MAX: usize = super::deliver::LANES;

const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");

/// The wire to one collector.
pub(super) struct OtlpHttp {
    collector: Collector,
    envelope: Envelope,
    /// Path and query to post to.
    target: Uri,
    /// All headers of a request but its length. Holds secrets: never printed.
    headers: HeaderMap,
    compression: Compression,
    timeout: Duration,
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
}

impl OtlpHttp {
    /// Prepares the wire. Certificates are read now, connections made later.
    ///
    /// # Errors
    /// If the endpoint or a certificate cannot be used.
    pub(super) fn new(settings: &OtlpSettings, envelope: Envelope) -> Result<Self, ExportError> {
        let endpoint = &settings.endpoint;
        let collector = Collector::new(endpoint, &settings.tls, b"http/1.1")?;
        let refuse = || ExportError::endpoint(endpoint, "it is not an HTTP address");
        let path = match endpoint.query() {
            Some(query) => format!("{}?{query}", endpoint.path()),
            None => endpoint.path().to_owned(),
        };
        let authority = &endpoint[url::Position::BeforeHost..url::Position::AfterPort];
        let host = HeaderValue::try_from(authority).map_err(|_| refuse())?;
        Ok(Self {
            collector,
            envelope,
            target: Uri::try_from(path).map_err(|_| refuse())?,
            headers: headers(settings, host),
            compression: settings.compression,
            timeout: settings.timeout,
            idle: Mutex::default(),
        })
    }

    /// One attempt, bounded as a whole.
    pub(super) async fn send(&self, records: Bytes) -> Reply {
        match tokio::time::timeout(self.timeout, self.attempt(records)).await {
            Ok(reply) => reply,
            Err(_elapsed) => Err(Failure::timeout(self.timeout)),
        }
    }

    async fn attempt(&self, records: Bytes) -> Reply {
        let request = self.envelope.around(records);
        let body = compress(self.compression, request).await?;
        let (mut sender, response) = self.exchange(body).await?;

        let (head, incoming) = response.into_parts();
        let answer = Limited::new(incoming, ANSWER_BYTES_MAX).collect().await;
        match answer {
            Ok(answer) => {
                // Ready again only once the answer was read whole.
                if sender.ready().await.is_ok() {
                    self.keep(sender);
                }
                read_answer(head.status, &head.headers, &answer.to_bytes())
            }
            // The status is an answer, whatever became of its body.
            Err(_) => read_answer(head.status, &head.headers, b""),
        }
    }

    /// Sends on an idle connection or a new one.
    async fn exchange(
        &self,
        body: Bytes,
    ) -> Result<(SendRequest<Full<Bytes>>, Response<Incoming>), Failure> {
        while let Some(mut sender) = self.idle() {
            // A collector may close an idle connection at any moment; the next one serves.
            if sender.ready().await.is_ok()
                && let Ok(response) = sender.send_request(self.request(body.clone())).await
            {
                return Ok((sender, response));
            }
        }
        let mut sender = self.connect().await?;
        match sender.send_request(self.request(body)).await {
            Ok(response) => Ok((sender, response)),
            Err(error) => Err(Failure::connection(plain_chain(&error))),
        }
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, Failure> {
        let stream = self.collector.connect().await;
        let stream = stream.map_err(|error| Failure::connection(plain_chain(&error)))?;
        let (sender, connection) = http1::handshake(stream)
            .await
            .map_err(|error| Failure::connection(plain_chain(&error)))?;
        // Ends when `sender` is dropped or the collector closes; an error reaches the sender, too.
        tokio::spawn(async move { drop(connection.await) });
        Ok(sender)
    }

    fn request(&self, body: Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.target.clone();
        *request.headers_mut() = self.headers.clone();
        request
    }

    fn idle(&self) -> Option<SendRequest<Full<Bytes>>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.pop()
    }

    fn keep(&self, sender: SendRequest<Full<Bytes>>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX {
            idle.push(sender);
        }
    }
}

/// The operator's headers, and over them those without which a request cannot be read.
fn headers(settings: &OtlpSettings, host: HeaderValue) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(HOST, host);
    headers.insert(
        http::header::USER_AGENT,
        HeaderValue::from_static(USER_AGENT),
    );
    for (name, _) in &settings.headers {
        headers.remove(name);
    }
    for (name, value) in &settings.headers {
        let mut value = value.clone();
        value.set_sensitive(true);
        headers.append(name, value);
    }
    headers.insert(CONTENT_TYPE, PROTOBUF);
    match settings.compression {
        Compression::None => headers.remove(CONTENT_ENCODING),
        Compression::Gzip => headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip")),
        Compression::Zstd => headers.insert(CONTENT_ENCODING, HeaderValue::from_static("zstd")),
    };
    headers
}

/// What the collector's answer means. `body` is empty if it could not be read.
fn read_answer(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Reply {
    if status.is_success() {
        // Others may answer in text or JSON; only protobuf can tell of a partial success here.
        let is_protobuf = headers
            .get(CONTENT_TYPE)
            .is_none_or(|kind| kind.as_bytes().starts_with(PROTOBUF.as_bytes()));
        return Ok(if is_protobuf {
            Arrived::from_body(body)
        } else {
            Arrived::default()
        });
    }
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if status.is_redirection() {
        // Not followed: the spans would go to a host that nobody configured.
        let to = text(LOCATION).unwrap_or("nowhere");
        return Err(Failure::from_http(
            status,
            None,
            &format!("redirects to {to}, not followed"),
        ));
    }
    let said = said(headers, body);
    Err(Failure::from_http(
        status,
        text(RETRY_AFTER).and_then(retry_after),
        &said,
    ))
}

/// The collector's own words: OTLP asks for a `google.rpc.Status`; proxies write text.
fn said(headers: &HeaderMap, body: &[u8]) -> String {
    if headers.get(CONTENT_TYPE) == Some(&PROTOBUF)
        && let Ok(status) = tonic_types::Status::decode(body)
    {
        return status.message;
    }
    String::from_utf8_lossy(body).into_owned()
}

/// The body to post. Compression runs beside the tasks that carry requests, not among them.
async fn compress(compression: Compression, request: ExportRequest) -> Result<Bytes, Failure> {
    let compressed = match compression {
        Compression::None => return Ok(Bytes::from(request.parts().concat())),
        Compression::Gzip => tokio::task::spawn_blocking(move || gzip(&request)).await,
        Compression::Zstd => tokio::task::spawn_blocking(move || zstd(&request)).await,
    };
    match compressed {
        Ok(Ok(body)) => Ok(Bytes::from(body)),
        Ok(Err(error)) => Err(Failure {
            kind: FailureKind::Refused,
            remedy: Remedy::GiveUp,
            detail: format!("cannot compress: {}", plain_chain(&error)),
        }),
        // The runtime is going down; the batch settles itself.
        Err(error) => Err(Failure::connection(plain_chain(&error))),
    }
}

fn gzip(request: &ExportRequest) -> io::Result<Vec<u8>> {
    let to = Vec::with_capacity(request.len() / 8);
    // Spans repeat themselves: the fastest level finds nearly all of it.
    let mut encoder = flate2::write::GzEncoder::new(to, flate2::Compression::fast());
    for part in request.parts() {
        encoder.write_all(part)?;
    }
    encoder.finish()
}

fn zstd(request: &ExportRequest) -> io::Result<Vec<u8>> {
    let to = Vec::with_capacity(request.len() / 8);
    let mut encoder = zstd::stream::write::Encoder::new(to, zstd::DEFAULT_COMPRESSION_LEVEL)?;
    for part in request.parts() {
        encoder.write_all(part)?;
    }
    encoder.finish()
}
