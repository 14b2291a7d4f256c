//! Wires it and runs it: the only place where live objects are made.

mod accounts;
mod build;
mod connections;
pub mod explain;
mod run;
mod signal;

pub use accounts::ReadAccount;
pub use build::{Door, StartError};
pub use run::{Options, Running, Stopped};
pub use signal::{Signals, Stop};
