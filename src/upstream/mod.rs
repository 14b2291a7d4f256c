//! Which upstream gets the request, and how it is asked.

mod body;
mod cluster;
mod connect;
mod dialect;
mod endpoint;
mod link;
mod patience;
mod pool;
mod rehearsal;
mod relay;
mod settings;
mod standing;

pub use body::{AnswerBody, AnswerError};
pub use cluster::{Admission, AttemptReport, Choice, Cluster};
pub use connect::ConnectError;
pub use endpoint::{Answered, AskError, Asking, Endpoint};
pub use rehearsal::Rehearsal;
pub use settings::{
    ClusterSettings, EndpointAddress, EndpointProtocol, EndpointTarget, UpstreamLimits,
    UpstreamTimeouts, UpstreamTls,
};
pub use standing::{Load, Standing};
