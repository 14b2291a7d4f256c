//! Spans of other services, as OTLP: to be kept beside our own, and sent nowhere.
//!
//! Over HTTP at the admin listener and at an address of its own, over gRPC at another (both wires
//! are understood at either). Everything is bounded: a message, how many are taken at a time, how
//! long one may take to arrive.

mod answer;
mod coding;
mod door;
mod grpc;
mod http;
mod messages;
mod weight;

pub use self::door::{BoundDoor, OtlpDoor};
pub use self::messages::{Intake, IntakeReading};

pub(super) use self::http::serve as serve_http;
