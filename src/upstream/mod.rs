//! Which upstream gets the request, and how it is asked.

mod adaptive;
mod asking;
mod body;
mod breaker;
mod budget;
mod cluster;
mod connect;
mod dialect;
mod endpoint;
mod health;
mod kept;
mod link;
mod obtain;
mod outlier;
mod patience;
mod pool;
mod reading;
mod relay;
mod retry;
mod settings;
mod standing;

pub use adaptive::{AdaptiveLimit, AdaptivePlace};
pub use asking::{Answered, AskError, Asking, Unanswered};
pub use body::{AnswerBody, AnswerError};
pub use breaker::Admission;
pub use cluster::{AttemptReport, Choice, Cluster};
pub use connect::ConnectError;
pub use endpoint::Endpoint;
pub use health::{HealthCheck, HealthSettings, HttpCheck};
pub use outlier::{OutlierSettings, SuccessRateSettings};
pub use reading::{ClusterReading, EndpointReading};
pub use retry::{Backoff, Cause, HedgePolicy, RetryOn, RetryPolicy, is_idempotent, retry_after};
pub use settings::{
    ClusterSettings, EndpointAddress, EndpointProtocol, EndpointTarget, UpstreamLimits,
    UpstreamTimeouts, UpstreamTls,
};
pub use standing::{Health, LastFailure, Load, Standing};
