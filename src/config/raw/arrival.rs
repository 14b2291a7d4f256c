//! Who is told what arrived, as it is written.

use super::RequestRateText;
use super::scalar::SecretSource;
use crate::config::decode::Spanned;
use schemars::JsonSchema;
use serde::Deserialize;

/// Accounts of what arrived, for `edgespan verify` at the other end of the way: at
/// `/.well-known/edgespan/arrival` on every listener that is a gateway, signed, and only for who
/// has one of the secrets. To everybody else the path is one like any other.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["secrets"]))]
pub(in crate::config) struct Arrival {
    /// Shared secrets of at least 16 bytes, `{file: PATH}` or `{env: NAME}`; several while one is
    /// replaced by another. `openssl rand -hex 32` makes one.
    #[schemars(length(min = 1, max = 8))]
    pub(in crate::config) secrets: Vec<Spanned<SecretSource>>,
    /// Questions that are answered, of all that ask together; as many at once. At most 100/s.
    #[schemars(extend("default" = "10/s"))]
    pub(in crate::config) rate: Option<Spanned<RequestRateText>>,
}
