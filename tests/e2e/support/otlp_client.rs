//! A client of OTLP over gRPC that others wrote: tonic, with prost's messages.

use bytes::{Buf, BufMut};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;
use std::net::SocketAddr;
use tonic::client::Grpc;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

pub struct OtlpClient(Grpc<Channel>);

impl OtlpClient {
    pub async fn connect(to: SocketAddr) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{to}")).unwrap();
        Self(Grpc::new(endpoint.connect().await.unwrap()))
    }

    /// The same connection, with messages packed.
    pub fn packed(&self, coding: CompressionEncoding) -> Self {
        Self(self.0.clone().send_compressed(coding))
    }

    pub async fn export(
        &mut self,
        message: ExportTraceServiceRequest,
    ) -> Result<ExportTraceServiceResponse, Status> {
        self.0.ready().await.unwrap();
        let answer = self
            .0
            .unary(Request::new(message), EXPORT.parse().unwrap(), Messages);
        Ok(answer.await?.into_inner())
    }
}

#[derive(Clone, Copy, Default)]
struct Messages;

impl Codec for Messages {
    type Encode = ExportTraceServiceRequest;
    type Decode = ExportTraceServiceResponse;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Messages {
    type Item = ExportTraceServiceRequest;
    type Error = Status;

    fn encode(&mut self, item: Self::Item, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&item.encode_to_vec());
        Ok(())
    }
}

impl Decoder for Messages {
    type Item = ExportTraceServiceResponse;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Self::Item>, Status> {
        let bytes = buffer.copy_to_bytes(buffer.remaining());
        Ok(Some(ExportTraceServiceResponse::decode(bytes).unwrap()))
    }
}
