//! From a document to a plan that cannot be wrong.

mod plan;

pub use plan::{Plan, TracingPlan};
