//! Wires it and runs it: the only place where live objects are made.

mod accounts;
mod build;
mod connections;
mod run;
mod signal;
mod telemetry;

pub use accounts::ReadAccount;
pub use build::{Door, StartError};
pub use run::{Options, Running, Stopped};
pub use signal::{Signals, Stop};
