//! edgespan about itself: its log, its access log, its metrics.
//!
//! Below everything but the clock, so that every folder may count and log; knows nothing of what
//! it is told about. Spans of requests are not here but in `trace`.

pub mod access_log;
pub mod log;
pub mod metrics;

mod escape;
mod plain;
mod rfc3339;

pub use escape::{is_hidden, json_string, terminal_char, terminal_safe};
pub use plain::{plain_chain, plain_error, plain_io};
pub use rfc3339::{clock_time, rfc3339};
