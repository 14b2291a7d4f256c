//! What concerns the process as a whole.

use super::{AddressText, AttributeValue, DurationText, OffOrAddress, OffOrDuration};
use crate::config::decode::{Entries, Spanned};
use schemars::JsonSchema;
use serde::Deserialize;

/// The service that edgespan stands for: the resource of every span.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Service {
    /// `service.name`. `--service`, `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` win over it.
    #[schemars(extend("default" = "edgespan"))]
    pub(in crate::config) name: Option<Spanned<String>>,
    /// `service.namespace`.
    pub(in crate::config) namespace: Option<Spanned<String>>,
    /// `service.version`.
    pub(in crate::config) version: Option<Spanned<String>>,
    /// `deployment.environment.name`; also chooses the rate in `sampling.environments`.
    pub(in crate::config) environment: Option<Spanned<String>>,
    /// Further resource attributes, such as `cloud.region: eu-west-1`.
    pub(in crate::config) attributes: Entries<Spanned<AttributeValue>>,
}

/// The operator's doors, never on a data port.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Admin {
    /// Everything an operator may ask; keep it on loopback. `--admin` wins over it.
    #[schemars(extend("default" = "127.0.0.1:9901"))]
    pub(in crate::config) address: Option<Spanned<OffOrAddress>>,
    /// A second address with `/live`, `/ready` and `/metrics` alone, for kubelet and Prometheus.
    pub(in crate::config) probes: Option<Spanned<AddressText>>,
}

/// What happens between the signal to stop and the end.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Drain {
    /// How long requests are still taken after `/ready` has said no, for load balancers to notice;
    /// or `off`.
    #[schemars(extend("default" = "off"))]
    pub(in crate::config) delay: Option<Spanned<OffOrDuration>>,
    /// How long requests in flight may take to finish.
    #[schemars(extend("default" = "10s"))]
    pub(in crate::config) timeout: Option<Spanned<DurationText>>,
}
