//! A trace as it is read: from OTLP, whoever recorded it.

mod model;

pub use model::{Event, Kind, Link, Span, Status, Trace, Value};
