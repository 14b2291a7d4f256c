//! What rate limits are, as compiled from the configuration.

use super::gcra::Quota;
use http::HeaderName;
use std::sync::Arc;

/// One rate limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimitSettings {
    /// Its name in the configuration; `ratelimit.rule` of spans.
    pub name: Arc<str>,
    /// How much it lets through for each key.
    pub quota: Quota,
    /// Whose requests share a bucket. Empty: everybody's.
    pub key: Vec<KeyPart>,
    /// What becomes of a request that lacks a header, cookie or identity of the key.
    pub missing: MissingKey,
    /// How many leading bits of an IPv6 address are one client: 1 to 128.
    pub ipv6_prefix: u8,
    /// Where its buckets are kept.
    pub store: RateLimitStore,
    /// Keys that are remembered in this process, at least.
    pub keys_max: usize,
    /// Whether it refuses; if not, it only records what it would have done.
    pub enforce: bool,
    /// Whether CORS preflights are counted.
    pub preflights: bool,
    /// What answers say of it.
    pub headers: LimitHeaders,
}

impl RateLimitSettings {
    /// Whether it has to be known who the client is before this limit can be asked.
    pub fn goes_by_identity(&self) -> bool {
        let proved = |part: &KeyPart| matches!(part, KeyPart::Identity | KeyPart::ApiKey);
        self.key.iter().any(proved)
    }
}

/// One part of what tells buckets apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyPart {
    /// The client's address, by trusted peers' word.
    Address,
    /// All values of a header, in order.
    Header(HeaderName),
    /// The first cookie of this name.
    Cookie(Box<str>),
    /// The route; requests without one share a bucket.
    Route,
    /// The listener.
    Listener,
    /// Who the client is, as far as that was proved: its name and the policy that knows it.
    Identity,
    /// The API key that it showed, by the name of the key.
    ApiKey,
}

/// What becomes of a request that lacks a header or cookie of the key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissingKey {
    /// All such requests share the bucket of those that have nothing there, so that leaving a
    /// header out is no way round the limit.
    #[default]
    Share,
    /// The limit does not apply.
    Pass,
}

/// Where buckets are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateLimitStore {
    /// In this process.
    Local,
    /// In Redis, shared by all replicas.
    Redis {
        /// What becomes of requests while Redis cannot be asked.
        on_failure: OnStoreFailure,
    },
}

/// What becomes of requests while Redis cannot be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnStoreFailure {
    /// They pass.
    #[default]
    Open,
    /// They are refused with 503.
    Closed,
    /// This process limits by itself, with the same quota.
    Local,
}

/// Which headers of an answer tell of a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LimitHeaders {
    /// `RateLimit` and `RateLimit-Policy` as structured fields (draft-ietf-httpapi-ratelimit-headers).
    #[default]
    Draft,
    /// `RateLimit-Limit`, `RateLimit-Remaining`, `RateLimit-Reset`, as earlier drafts had them.
    Separate,
    /// All of them.
    Both,
    /// None. A refusal still has `Retry-After`.
    Off,
}
