//! One request, start to finish.

mod answer;
mod attempt;
mod authorize;
mod body;
mod call;
mod compress;
mod context;
mod cors;
mod edit;
mod entitle;
mod error;
mod finish;
mod forward;
mod gate;
mod hedge;
mod held;
mod informational;
mod mirror;
mod limit;
mod outcome;
mod pipeline;
pub mod plan;
mod redirect;
mod retry;
mod snapshot;
mod split;
mod upgrade;
mod well_known;

pub use answer::{Answer, Fault};
pub use body::TracedBody;
pub use error::ProxyError;
pub use gate::normalize_policy;
pub use mirror::LiveMirror;
pub use pipeline::Pipeline;
pub use snapshot::{Live, LiveAction, LiveRoute, Snapshot, TraceRule};
pub use split::{LiveBranch, LiveSplit};
