//! Health checks and outlier detection as they are written.

use super::{
    Count, DurationText, HeaderText, HostText, OffOrCount, OneOrMany, PathText, Rate, Status,
};
use crate::config::decode::{Entries, Spanned};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use std::borrow::Cow;

/// Active checks. Exactly one of `http`, `grpc` and `tcp`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Health {
    /// A GET; its status decides.
    pub(in crate::config) http: Option<Spanned<HealthHttp>>,
    /// The health service of gRPC, `grpc.health.v1.Health/Check`.
    pub(in crate::config) grpc: Option<HealthGrpc>,
    /// `true`: a connection, with TLS where the endpoint has it.
    pub(in crate::config) tcp: Option<bool>,
    /// From one check to the next, give or take a tenth; at most 1s until an endpoint has passed
    /// for the first time.
    #[schemars(extend("default" = "5s"))]
    pub(in crate::config) interval: Option<Spanned<DurationText>>,
    /// Longest duration of a check, its connection included.
    #[schemars(extend("default" = "1s"))]
    pub(in crate::config) timeout: Option<Spanned<DurationText>>,
    /// Checks that have to pass in a row before an unhealthy endpoint is used again.
    #[schemars(extend("default" = 2))]
    pub(in crate::config) healthy: Option<Spanned<Count>>,
    /// Checks that have to fail in a row before a healthy endpoint is no longer used.
    #[schemars(extend("default" = 3))]
    pub(in crate::config) unhealthy: Option<Spanned<Count>>,
}

/// A check by a GET.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct HealthHttp {
    /// Path and query.
    #[schemars(extend("default" = "/"))]
    pub(in crate::config) path: Option<Spanned<PathText>>,
    /// `Host`, instead of the endpoint's own.
    pub(in crate::config) host: Option<Spanned<HostText>>,
    /// Statuses that pass. Without it every 2xx.
    pub(in crate::config) statuses: OneOrMany<Spanned<Status>>,
    /// Further headers.
    pub(in crate::config) headers: Entries<Spanned<HeaderText>>,
}

/// A check by the health service of gRPC.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct HealthGrpc {
    /// The service asked about. Without it the server as a whole.
    pub(in crate::config) service: Option<Spanned<String>>,
}

/// When an endpoint is an outlier, judged by the requests themselves.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Outlier {
    /// Failed attempts in a row that eject: 5xx, and attempts without an answer.
    #[schemars(extend("default" = 5))]
    pub(in crate::config) consecutive_errors: Option<Spanned<OffOrCount>>,
    /// Attempts in a row without an answer that eject: no connection, reset, time-out.
    #[schemars(extend("default" = 5))]
    pub(in crate::config) consecutive_failures: Option<Spanned<OffOrCount>>,
    /// Ejects endpoints whose share of good answers is far below the others'.
    pub(in crate::config) success_rate: Option<Spanned<SuccessRate>>,
    /// How long the first ejection lasts; the second twice as long, and so on.
    #[schemars(extend("default" = "30s"))]
    pub(in crate::config) ejection: Option<Spanned<DurationText>>,
    /// Longest ejection.
    #[schemars(extend("default" = "5m"))]
    pub(in crate::config) ejection_max: Option<Spanned<DurationText>>,
    /// Most endpoints ejected at a time, as a share; one always may, unless it is the only one.
    #[schemars(extend("default" = 0.5))]
    pub(in crate::config) ejected_share: Option<Spanned<Rate>>,
}

/// Ejection by the share of good answers. Not in use unless it is written.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct SuccessRate {
    /// Over how long attempts are counted.
    #[schemars(extend("default" = "10s"))]
    pub(in crate::config) window: Option<Spanned<DurationText>>,
    /// Endpoints that need enough attempts in a window, or nobody is judged.
    #[schemars(extend("default" = 5))]
    pub(in crate::config) endpoints: Option<Spanned<Count>>,
    /// Attempts of an endpoint in a window that are enough.
    #[schemars(extend("default" = 100))]
    pub(in crate::config) attempts: Option<Spanned<Count>>,
    /// How many standard deviations below the mean of all an endpoint may be.
    #[schemars(extend("default" = 1.9))]
    pub(in crate::config) deviations: Option<Spanned<Deviations>>,
}

/// Standard deviations.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(transparent)]
pub(in crate::config) struct Deviations(pub(in crate::config) f64);

impl JsonSchema for Deviations {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Deviations")
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "number", "title": "deviations", "minimum": 0, "maximum": 10})
    }
}
