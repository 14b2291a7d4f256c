//! OTLP over gRPC: `TraceService/Export` and its siblings on one HTTP/2 connection that tonic keeps.
//!
//! The message goes out as the bytes it was encoded to and comes back as bytes: the generated
//! types would cost a decoding and an encoding of every span.

use super::connect::{Collector, Connection};
use super::encode::{Envelope, ExportRequest};
use super::exporter::ExportError;
use super::reply::{Arrived, Failure, Reply};
use super::settings::{Compression, OtlpSettings, Signal};
use super::{ANSWER_BYTES_MAX, USER_AGENT};
use crate::telemetry::plain_chain;
use bytes::{Buf as _, BufMut as _, Bytes};
use http::header::HeaderMap;
use http::uri::{PathAndQuery, Uri};
use std::error::Error as _;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tonic::client::Grpc;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::Service;
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_types::StatusExt as _;

/// The wire to one collector.
pub(super) struct OtlpGrpc {
    grpc: Grpc<Channel>,
    envelope: Envelope,
    method: PathAndQuery,
    /// The operator's headers. Holds secrets: never printed.
    metadata: MetadataMap,
    timeout: Duration,
}

impl OtlpGrpc {
    /// Prepares the wire. Certificates are read now, the connection is made later. Needs a tokio
    /// runtime.
    ///
    /// # Errors
    /// If the endpoint or a certificate cannot be used.
    pub(super) fn new(
        signal: Signal,
        settings: &OtlpSettings,
        envelope: Envelope,
    ) -> Result<Self, ExportError> {
        let collector = Collector::new(&settings.endpoint, &settings.tls, b"h2")?;
        let origin: Uri =
            settings.endpoint.as_str().parse().map_err(|_| {
                ExportError::endpoint(&settings.endpoint, "it is not an HTTP address")
            })?;
        // tonic would wrap a second TLS around an `https` address; `collector` has its own, so
        // only the requests' `:scheme` says what is below.
        let channel = Endpoint::from_static("http://collector")
            .origin(origin)
            .user_agent(USER_AGENT)
            .map_err(|_| ExportError::endpoint(&settings.endpoint, "the agent has no name"))?
            // A connection that went dead without a word, behind a NAT or a failed host, would
            // otherwise take every attempt until the kernel gives up, a quarter of an hour later.
            // A ping goes out only while an answer is overdue.
            .http2_keep_alive_interval(settings.timeout / 2)
            .keep_alive_timeout(settings.timeout / 2)
            .connect_with_connector_lazy(collector);
        let grpc = Grpc::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX);
        Ok(Self {
            grpc: match settings.compression {
                Compression::None => grpc,
                Compression::Gzip => grpc.send_compressed(CompressionEncoding::Gzip),
                Compression::Zstd => grpc.send_compressed(CompressionEncoding::Zstd),
            }
            .accept_compressed(CompressionEncoding::Gzip)
            .accept_compressed(CompressionEncoding::Zstd),
            envelope,
            method: PathAndQuery::from_static(signal.grpc_path()),
            metadata: metadata(settings),
            timeout: settings.timeout,
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
        let mut request = Request::new(self.envelope.around(records));
        *request.metadata_mut() = self.metadata.clone();
        request.set_timeout(self.timeout);
        let mut grpc = self.grpc.clone();
        if let Err(error) = grpc.ready().await {
            return Err(Failure::connection(plain_chain(&error)));
        }
        match grpc.unary(request, self.method.clone(), RawCodec).await {
            Ok(response) => Ok(Arrived::from_body(&response.into_inner())),
            Err(status) => Err(failure(&status)),
        }
    }
}

fn metadata(settings: &OtlpSettings) -> MetadataMap {
    let mut headers = HeaderMap::new();
    for (name, value) in &settings.headers {
        let mut value = value.clone();
        value.set_sensitive(true);
        headers.append(name, value);
    }
    MetadataMap::from_headers(headers)
}

/// What a status means. One with a cause was made here, of a broken connection: no collector
/// said anything, whatever its code.
fn failure(status: &Status) -> Failure {
    if status.source().is_some() {
        return Failure::connection(plain_chain(status));
    }
    let retry_info = status.get_details_retry_info().map(|info| info.retry_delay);
    Failure::from_grpc(status.code(), retry_info, status.message())
}

/// Lets tonic connect as both wires do.
impl Service<Uri> for Collector {
    type Response = Connection;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Connection>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let collector = self.clone();
        Box::pin(async move { collector.connect().await })
    }
}

/// Messages as bytes.
#[derive(Clone, Copy, Debug)]
struct RawCodec;

impl Codec for RawCodec {
    type Encode = ExportRequest;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for RawCodec {
    type Item = ExportRequest;
    type Error = Status;

    fn encode(&mut self, request: ExportRequest, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.reserve(request.len());
        for part in request.parts() {
            to.put_slice(part);
        }
        Ok(())
    }
}

impl Decoder for RawCodec {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}
