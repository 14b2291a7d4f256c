//! What an authorizer is, as compiled from the configuration.

use http::uri::PathAndQuery;
use std::sync::Arc;
use std::time::Duration;

/// An external authorizer.
#[derive(Clone, Debug, PartialEq)]
pub struct ForwardSettings {
    /// The upstream that it is; exists in the plan.
    pub upstream: Arc<str>,
    /// Where it is asked.
    pub path: PathAndQuery,
    /// How long a decision may take, further attempts included.
    pub timeout: Duration,
}
