//! Where traces are kept and can be asked for: edgespan itself and Tempo, Jaeger, Zipkin.

mod query;

pub use query::{Found, Query, Summary};
