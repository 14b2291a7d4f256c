//! The store of recent traces, as it is written.

use super::{AddressText, SizeOrOff};
use crate::config::decode::Spanned;
use schemars::JsonSchema;
use serde::Deserialize;

/// Recent traces, kept in memory and asked for at the admin listener, as at a Tempo.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Store {
    /// How much memory it may take, all of its own bookkeeping included; the oldest traces go
    /// first. At least `1MiB`. `off`: no trace is kept.
    #[schemars(extend("default" = "64MiB"))]
    pub(in crate::config) memory: Option<Spanned<SizeOrOff>>,
    /// Where services send spans of their own, to be kept beside edgespan's and sent nowhere. The
    /// admin listener takes them at `/v1/traces`, too.
    pub(in crate::config) otlp: StoreOtlp,
}

/// Addresses at which spans of other services are taken. Whoever reaches them can write to the
/// store: keep them on loopback, or within a network of your own.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct StoreOtlp {
    /// OTLP over gRPC, in the clear. Usually `127.0.0.1:4317`.
    pub(in crate::config) grpc: Option<Spanned<AddressText>>,
    /// OTLP over HTTP, `/v1/traces` alone. Usually `127.0.0.1:4318`.
    pub(in crate::config) http: Option<Spanned<AddressText>>,
}
