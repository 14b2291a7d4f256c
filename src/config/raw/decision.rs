//! Where host proxies ask, as it is written.

use super::OffOrPath;
use crate::config::decode::Spanned;
use schemars::JsonSchema;
use serde::Deserialize;

/// Where host proxies ask for decisions, each in its own dialect. `off` takes a dialect away.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Decision {
    /// nginx' `auth_request`, which tells by `X-Original-Method` and `X-Original-URL`.
    #[schemars(extend("default" = "/auth/nginx"))]
    pub(in crate::config) nginx: Option<Spanned<OffOrPath>>,
    /// Traefik's `ForwardAuth`, which tells by `X-Forwarded-*`.
    #[schemars(extend("default" = "/auth/traefik"))]
    pub(in crate::config) traefik: Option<Spanned<OffOrPath>>,
    /// Caddy's `forward_auth`, which tells by `X-Forwarded-*`.
    #[schemars(extend("default" = "/auth/caddy"))]
    pub(in crate::config) caddy: Option<Spanned<OffOrPath>>,
    /// Envoy's `ext_authz` over HTTP with this as its `path_prefix`.
    #[schemars(extend("default" = "/auth/envoy"))]
    pub(in crate::config) envoy: Option<Spanned<OffOrPath>>,
    /// Envoy's `ext_authz` over gRPC; its path is the service's own.
    #[schemars(extend("default" = "/envoy.service.auth.v3.Authorization/Check"))]
    pub(in crate::config) envoy_grpc: Option<Spanned<OffOrPath>>,
    /// HAProxy with the Lua script among the examples, which tells by `X-Forwarded-*`.
    #[schemars(extend("default" = "/auth/haproxy"))]
    pub(in crate::config) haproxy: Option<Spanned<OffOrPath>>,
}
