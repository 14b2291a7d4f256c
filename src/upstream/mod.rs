//! Which upstream gets the request, and how it is asked.

mod balance;
mod body;
mod cluster;
mod connect;
mod dialect;
mod endpoint;
mod link;
mod names;
mod patience;
mod pool;
mod reach;
mod relay;
mod resolve;
mod roster;
mod settings;
mod standing;

pub use balance::{Algorithm, BalanceSettings, HashSource};
pub use body::{AnswerBody, AnswerError};
pub use cluster::{Admission, AttemptReport, Choice, Cluster, EndpointState};
pub use connect::ConnectError;
pub use endpoint::{Answered, AskError, Asking, Endpoint};
pub use resolve::{DnsSettings, Families};
pub use settings::{
    ClusterSettings, EndpointAddress, EndpointProtocol, EndpointSettings, EndpointSource,
    EndpointTarget, UpstreamLimits, UpstreamTimeouts, UpstreamTls,
};
pub use standing::{Load, Standing};
