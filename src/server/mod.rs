//! Bytes become requests, under deadlines.

mod activity;
mod connection;
mod deadline;
mod drain;
mod frames;
mod heads;
mod io;
mod memory;
mod moment;
mod plain;
mod streams;

pub use activity::InFlight;
pub use connection::{BoxError, Ended, Handle, serve};
pub use deadline::Overdue;
pub use drain::{Drain, RequestCount, RequestInFlight};
pub use frames::Flood;
pub use memory::{MemoryPressure, MemoryWatermark};
pub use moment::Reached;
pub use plain::{read_plain, serve_plain};
