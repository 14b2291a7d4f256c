//! Which upstream gets the request, and how it is asked.

mod body;
mod cluster;
mod connect;
mod dialect;
mod endpoint;
mod health;
mod link;
mod outlier;
mod patience;
mod pool;
mod reading;
mod relay;
mod settings;
mod standing;

pub use body::{AnswerBody, AnswerError};
pub use cluster::{Admission, AttemptReport, Choice, Cluster};
pub use connect::ConnectError;
pub use endpoint::{Answered, AskError, Asking, Endpoint};
pub use health::{HealthCheck, HealthSettings, HttpCheck};
pub use outlier::{OutlierSettings, SuccessRateSettings};
pub use reading::{ClusterReading, EndpointReading};
pub use settings::{
    ClusterSettings, EndpointAddress, EndpointProtocol, EndpointTarget, UpstreamLimits,
    UpstreamTimeouts, UpstreamTls,
};
pub use standing::{Health, LastFailure, Load, Standing};
