//! edgespan about itself.

pub mod metrics;
