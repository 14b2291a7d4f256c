//! Which rule applies to a request. Knows nothing of what a rule routes to.

mod spec;

pub use spec::{HeaderRule, HostPattern, PathRule, QueryRule, RouteSpec, ValueRule};
