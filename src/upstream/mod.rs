//! Which upstream gets the request, and how it is asked.

mod adaptive;
mod asking;
mod balance;
mod body;
mod breaker;
mod budget;
mod cluster;
mod connect;
mod dialect;
mod endpoint;
mod http2;
mod health;
mod kept;
mod link;
mod names;
mod obtain;
mod outlier;
mod patience;
mod pool;
mod reach;
mod reading;
mod rehearsal;
mod relay;
mod resolve;
mod retry;
mod roster;
mod settings;
mod socket;
mod standing;
mod upgrade;

pub use adaptive::{AdaptiveLimit, AdaptivePlace};
pub use asking::{Answered, AskError, Asking, Due, Unanswered};
pub use balance::{Algorithm, BalanceSettings, HashSource};
pub use body::{AnswerBody, AnswerError};
pub use breaker::Admission;
pub use cluster::{Choice, Cluster, EndpointState};
pub use connect::ConnectError;
pub use endpoint::Endpoint;
pub use health::{HealthCheck, HealthSettings, HttpCheck};
pub use outlier::{OutlierSettings, SuccessRateSettings};
pub use reading::{ClusterReading, EndpointReading};
pub use rehearsal::Rehearsal;
pub use resolve::{DnsSettings, Families};
pub use retry::{Backoff, Cause, HedgePolicy, RetryOn, RetryPolicy, is_idempotent, retry_after};
pub use settings::{
    ClusterSettings, EndpointAddress, EndpointProtocol, EndpointSettings, EndpointSource,
    EndpointTarget, UpstreamLimits, UpstreamTimeouts,
};
pub use standing::{Health, LastFailure, Load, Standing};
pub use upgrade::{Switched, Upgrade};
