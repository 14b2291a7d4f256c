//! A connection arrives.

mod accept;
mod bind;
mod conn_info;
mod settings;

pub use accept::{TakeConnection, accept_loop};
pub use bind::bind;
pub use conn_info::{ConnInfo, Place, TlsInfo};
pub use settings::{
    CertificateFiles, ListenerLimits, ListenerSettings, ListenerTimeouts, PathPolicy,
};
