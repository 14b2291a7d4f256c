//! One request, start to finish.

mod answer;
mod body;
mod context;
mod cors;
mod edit;
mod error;
mod finish;
mod forward;
mod gate;
mod informational;
mod pipeline;
pub mod plan;
mod redirect;
mod snapshot;
mod upgrade;

pub use answer::{Answer, Fault};
pub use body::TracedBody;
pub use error::ProxyError;
pub use gate::normalize_policy;
pub use pipeline::Pipeline;
pub use snapshot::{Live, LiveAction, LiveRoute, Snapshot, TraceRule};
