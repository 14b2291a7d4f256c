//! How an upstream balances, as compiled from the configuration.

use http::HeaderName;
use std::sync::Arc;
use std::time::Duration;

/// How an upstream balances.
#[derive(Clone, Debug, PartialEq)]
pub struct BalanceSettings {
    /// Which endpoint is next.
    pub algorithm: Algorithm,
    /// The zone that edgespan is in: endpoints of this zone are preferred. None: all are alike.
    pub zone: Option<Arc<str>>,
    /// How long an endpoint that is new or well again takes to get its whole share.
    pub slow_start: Option<Duration>,
    /// Below this share of available endpoints, `0.0..=1.0`, all are used: too many ill ones are
    /// likelier to be a wrong diagnosis than the rest is to stand the load. Zero: never.
    pub panic_threshold: f64,
}

/// Which endpoint is next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// In turn, each as often as its weight says.
    RoundRobin,
    /// Of two at random the one with fewer requests in flight for its weight.
    LeastRequest,
    /// Requests with the same key go to the same endpoint.
    Hash(HashSource),
}

/// What the key of a request is. One without a key is balanced in turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashSource {
    /// The first value of this header.
    Header(HeaderName),
    /// The value of this cookie.
    Cookie(Arc<str>),
    /// The client's address.
    Address,
}

impl Default for BalanceSettings {
    fn default() -> Self {
        Self {
            algorithm: Algorithm::RoundRobin,
            zone: None,
            slow_start: None,
            panic_threshold: 0.5,
        }
    }
}
