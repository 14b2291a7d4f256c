//! Retries as they are written.

use super::{DurationText, Rate, SizeText};
use crate::config::decode::Spanned;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use std::borrow::Cow;

/// When a request is sent once more. Only where it does no harm: nothing was processed, or the
/// method may be repeated (GET, HEAD, OPTIONS, TRACE, PUT, DELETE) and nothing of an answer has
/// gone to the client.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Retries {
    /// Attempts after the first; 0 for none.
    #[schemars(extend("default" = 2), range(min = 0, max = 20))]
    pub(in crate::config) attempts: Option<Spanned<u32>>,
    /// What calls for another attempt: `connect`, `refused_stream`, `reset`, `timeout` (of
    /// `per_try_timeout`), statuses from 400 to 599, `5xx`, `gateway_error` (502, 503, 504), and
    /// for gRPC `cancelled`, `deadline_exceeded`, `internal`, `resource_exhausted` and
    /// `unavailable`, which are retried whatever the method. Without it `connect`,
    /// `refused_stream`, `reset`, `timeout` and 503.
    pub(in crate::config) on: Option<Vec<Spanned<RetryWord>>>,
    /// Longest time of one attempt up to the head of its answer, connecting included. Without it
    /// one attempt may take all of `timeouts.first_byte`, which bounds all of them together.
    pub(in crate::config) per_try_timeout: Option<Spanned<DurationText>>,
    /// Retries and hedges as a share of the requests of the last ten seconds; three a second are
    /// always allowed.
    #[schemars(extend("default" = 0.2))]
    pub(in crate::config) budget: Option<Rate>,
    /// Waits between attempts.
    pub(in crate::config) backoff: RetryBackoff,
    /// Longest `Retry-After` of a 429 or 503 that is waited for; an answer that asks for more
    /// passes.
    #[schemars(extend("default" = "1s"))]
    pub(in crate::config) retry_after: Option<Spanned<DurationText>>,
    /// Bytes of a request's body that are kept to be sent again. A larger one is not retried once
    /// it was begun.
    #[schemars(extend("default" = "64KiB"))]
    pub(in crate::config) body_bytes: Option<Spanned<SizeText>>,
    /// Attempts beside one that is slow; of methods that may be repeated.
    pub(in crate::config) hedge: Option<Spanned<Hedge>>,
}

/// Waits between attempts: anything between nothing and a bound that doubles.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct RetryBackoff {
    /// The bound before the first retry.
    #[schemars(extend("default" = "25ms"))]
    pub(in crate::config) base: Option<Spanned<DurationText>>,
    /// Where the bound stops growing.
    #[schemars(extend("default" = "250ms"))]
    pub(in crate::config) max: Option<Spanned<DurationText>>,
}

/// Attempts beside one that is slow. The first good answer wins.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["after"]))]
pub(in crate::config) struct Hedge {
    /// How long an attempt may be without the head of an answer before another one begins.
    pub(in crate::config) after: Option<Spanned<DurationText>>,
    /// Most attempts beside the first.
    #[schemars(extend("default" = 1), range(min = 1, max = 10))]
    pub(in crate::config) attempts: Option<Spanned<u32>>,
}

/// A word or a status that calls for another attempt.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub(in crate::config) struct RetryWord(pub(in crate::config) String);

impl JsonSchema for RetryWord {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("RetryCondition")
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": ["string", "integer"], "title": "retry condition", "examples": ["503"]})
    }
}
