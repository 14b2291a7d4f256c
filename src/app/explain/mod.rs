//! What would happen to a request: it is run, and nothing is sent.
//!
//! No second router and no second set of rules: the request goes through the same pipeline as any
//! other, over a connection in memory. Its upstream is in memory, too, and writes down what it gets.

mod auth;
mod facts;
mod headers;
mod hosted;
mod rehearse;
mod trace;

pub use auth::{AskedFact, AuthFact};
pub use facts::{
    Answered, Explanation, LimitFact, Nearest, ReadAs, RouteFact, SpanFact, UpstreamFact,
};
pub use headers::{Fate, HeaderChange};
pub use rehearse::{ExplainError, explain};
pub use trace::TraceFact;

use crate::listener::Dialect;
use std::net::SocketAddr;

/// The request that is asked about.
#[derive(Clone, Debug)]
pub struct Question {
    /// Method; as typed.
    pub method: String,
    /// Whether it comes over TLS.
    pub secure: bool,
    /// Host and port; empty for a request that names none.
    pub authority: String,
    /// Path and query, as typed.
    pub path: String,
    /// Header fields in order.
    pub headers: Vec<(String, String)>,
    /// The listener it comes in by; None chooses by scheme and port.
    pub listener: Option<String>,
    /// Who holds the connection; with `host_proxy`, who is on the other side of that.
    pub peer: SocketAddr,
    /// The host proxy that asks about it; None: it comes by itself.
    pub host_proxy: Option<Dialect>,
}

impl Question {
    /// Host without port.
    pub fn host(&self) -> &str {
        let authority = self.authority.as_str();
        match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            _ => authority,
        }
    }

    /// Header fields as they are sent: `Host` by the URL first, unless another one was given.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        let named = |(name, _): &(String, String)| name.eq_ignore_ascii_case("host");
        let own = !self.authority.is_empty() && !self.headers.iter().any(named);
        let host = own.then_some(("host", self.authority.as_str()));
        let typed = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        host.into_iter().chain(typed)
    }
}
