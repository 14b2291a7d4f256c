//! One request, start to finish.

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

pub use body::TracedBody;
pub use error::{Answer, Fault, ProxyError};
pub use pipeline::Pipeline;
pub use snapshot::{Live, LiveAction, LiveRoute, Snapshot, TraceRule};
