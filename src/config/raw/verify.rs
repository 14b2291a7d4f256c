//! Checks of headers from outside, as they are written.

use super::{DurationText, FileText, SecretText};
use crate::config::decode::{Entries, Spanned};
use crate::config::raw::scalar::SecretSource;
use schemars::JsonSchema;
use serde::Deserialize;

/// Whether trace headers survive the public way to an edgespan behind it, checked again and again
/// while this one runs: what `edgespan verify` does.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["url", "secret"]))]
pub(in crate::config) struct Verify {
    /// The public address, such as `https://app.example.com`.
    #[schemars(extend("examples" = ["https://app.example.com"], "title" = "URL"))]
    pub(in crate::config) url: Option<Spanned<String>>,
    /// The secret that the `arrival` of the edgespan behind has, too: `{file: PATH}` or
    /// `{env: NAME}`.
    pub(in crate::config) secret: Option<Spanned<SecretSource>>,
    /// From one run to the next, at least 1s.
    #[schemars(extend("default" = "5m"))]
    pub(in crate::config) every: Option<Spanned<DurationText>>,
    /// How long each request may take.
    #[schemars(extend("default" = "10s"))]
    pub(in crate::config) timeout: Option<Spanned<DurationText>>,
    /// Changes that are right: `baggage=4096` (bytes that arrive at least), `b3=lost`, or a name
    /// alone for any change.
    pub(in crate::config) allow: Vec<Spanned<String>>,
    /// Only these checks (`traceparent`, `tracestate`, `baggage`, `b3`, `x-b3`) or ways
    /// (`http/1.1`, `http/2`, `websocket`, `redirect`).
    pub(in crate::config) only: Vec<Spanned<String>>,
    /// PEM file of the authority to trust instead of the machine's.
    pub(in crate::config) ca: Option<Spanned<FileText>>,
    /// Headers of each request, such as a service token of Cloudflare Access.
    pub(in crate::config) headers: Entries<Spanned<SecretText>>,
}
