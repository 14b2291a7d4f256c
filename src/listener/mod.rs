//! A connection arrives.

mod accept;
mod bind;
mod conn_info;
mod decision;
mod proxy_protocol;
mod settings;

pub use accept::{TakeConnection, accept_loop};
pub use bind::bind;
pub use conn_info::{ConnInfo, Place, TlsInfo};
pub use decision::{DecisionSettings, Dialect};
pub use proxy_protocol::{ProxyProtocol, ProxyProtocolError, Told, read as read_proxy_header};
pub use settings::{ListenerLimits, ListenerSettings, ListenerTimeouts, PathPolicy};
