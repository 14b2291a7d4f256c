//! Trace context, spans and the head decision. Knows neither auth nor upstreams.

pub mod flow;
pub mod resource;
pub mod sampler;
pub mod sink;
