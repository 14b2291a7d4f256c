//! Wires it and runs it: the only place where live objects are made.

mod accounts;
mod build;
mod connections;
pub mod explain;
mod doorway;
mod handover;
mod in_force;
mod login;
mod inherited;
mod orphans;
mod parts;
mod probe;
mod reload;
mod run;
pub mod service_manager;
mod signal;
mod store;
mod telemetry;
mod verify;

pub use accounts::ReadAccount;
pub use build::{Door, StartError};
pub use handover::{HandoverSocket, Predecessor, Successor, TakeoverError, take_over};
pub use inherited::Inherited;
pub use orphans::see_off_orphans;
pub use reload::Changes;
pub use run::{Next, Options, Running, Stopped};
pub use signal::{Hangups, Signals, Stop};
