//! Rate limits: who may ask how often.
//!
//! Comes after the route is found and before anybody is asked anything. Knows headers and
//! addresses, not what a request is for; `proxy::limit` puts the question and gives the answer.

mod charge;
mod gcra;
mod headers;
mod key;
mod rule;
mod script;
mod settings;
mod shared;
mod table;

pub use charge::{Charges, Decision, Refused};
pub use gcra::{Quota, Verdict};
pub use headers::tell;
pub use key::{KeyFacts, Known};
pub use rule::{RateLimits, Rule};
pub use settings::{
    KeyPart, LimitHeaders, MissingKey, OnStoreFailure, RateLimitSettings, RateLimitStore,
};
pub use shared::SharedStore;
