//! What a token has to say.

use super::Algorithm;
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Duration;

/// Claims of a verified token, as they stand in it.
pub type Claims = Map<String, Value>;

/// What is expected of a token.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// `iss`, exactly.
    pub issuer: &'a str,
    /// One of them has to be in `aud`. Never empty.
    pub audiences: &'a [Arc<str>],
    /// By which algorithms it may be signed. Never empty.
    pub algorithms: &'a [Algorithm],
    /// `typ` that it may have, without `application/` and without case; empty: whatever.
    pub types: &'a [Arc<str>],
    /// How far clocks may be apart.
    pub leeway: Duration,
    /// How old it may be by `iat`; None: as old as it is valid.
    pub age_max: Option<Duration>,
    /// `nonce`, where one was sent; then it has to be there.
    pub nonce: Option<&'a str>,
}
