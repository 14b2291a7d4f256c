//! Destinations of spans, as they are written.

use super::{Certificate, Count, DurationText, FileText, SecretText};
use crate::config::decode::{Entries, Spanned};
use schemars::JsonSchema;
use serde::Deserialize;

/// Where spans are sent.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["otlp"]))]
pub(in crate::config) struct Exporter {
    /// An OTLP collector. `OTEL_EXPORTER_OTLP_*` win over the first one in the file.
    pub(in crate::config) otlp: Option<Spanned<Otlp>>,
}

/// An OTLP collector.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["endpoint"]))]
pub(in crate::config) struct Otlp {
    /// URL of the collector. For OTLP over HTTP, `/v1/traces` is added if it has no path.
    #[schemars(extend("examples" = ["http://127.0.0.1:4318"], "title" = "URL"))]
    pub(in crate::config) endpoint: Option<Spanned<String>>,
    /// What is spoken there.
    #[schemars(extend("default" = "http/protobuf"))]
    pub(in crate::config) protocol: Option<Spanned<OtlpProtocol>>,
    /// How requests are compressed.
    #[schemars(extend("default" = "none"))]
    pub(in crate::config) compression: Option<OtlpCompression>,
    /// Headers (or gRPC metadata) of each request.
    pub(in crate::config) headers: Entries<Spanned<SecretText>>,
    /// The longest that one attempt may take.
    #[schemars(extend("default" = "10s"))]
    pub(in crate::config) timeout: Option<Spanned<DurationText>>,
    /// TLS towards an `https` endpoint.
    pub(in crate::config) tls: Option<Spanned<ExporterTls>>,
    /// What waits, and how much is sent at once.
    pub(in crate::config) queue: ExporterQueue,
}

/// What is spoken with a collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(title = "OTLP protocol")]
pub(in crate::config) enum OtlpProtocol {
    /// gRPC over HTTP/2; usually port 4317.
    #[serde(rename = "grpc")]
    Grpc,
    /// Protobuf over HTTP; usually port 4318.
    #[serde(rename = "http/protobuf")]
    HttpProtobuf,
}

/// How requests to a collector are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(title = "compression")]
pub(in crate::config) enum OtlpCompression {
    /// They are not.
    #[default]
    None,
    /// gzip, which every collector knows.
    Gzip,
    /// zstd: smaller and cheaper, if the collector knows it.
    Zstd,
}

/// TLS towards a collector.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct ExporterTls {
    /// PEM file of the authority to trust instead of the machine's.
    pub(in crate::config) ca: Option<Spanned<FileText>>,
    /// The certificate that edgespan shows.
    pub(in crate::config) certificate: Option<Certificate>,
}

/// What waits, and how much is sent at once.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct ExporterQueue {
    /// Spans that may wait; one more is dropped and counted.
    #[schemars(extend("default" = 16_384))]
    pub(in crate::config) spans: Option<Spanned<Count>>,
    /// Spans in one request.
    #[schemars(extend("default" = 512))]
    pub(in crate::config) batch: Option<Spanned<Count>>,
    /// The longest that a span waits for its batch to fill.
    #[schemars(extend("default" = "1s"))]
    pub(in crate::config) delay: Option<Spanned<DurationText>>,
}
