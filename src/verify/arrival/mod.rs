//! What an edgespan says of a request that arrived: the wire between `verify` and the edgespan
//! behind the way that it tries.
//!
//! Whoever asks signs the request with a shared secret, in [`VERIFY_HEADER`]; the secret itself
//! never travels. The answer is an [`Account`] as JSON, signed with another key of the same
//! secret, so that a cached, a forged and an old one can be told from a true one. The two keys
//! differ, so that no answer can be sent back as a question.
//!
//! A WebSocket gets 101 (200 over HTTP/2) with [`SIGNATURE_HEADER`], then one text message: the
//! signature, a line feed, the account; then a close with 1000. The signature stands in the
//! message, too, because a hop may keep headers of a 101 to itself.

mod account;
mod desk;
mod inquiry;
mod secret;

pub use account::{Account, Body, Client, Context, Fidelity, Opened, Tls, latin1};
pub use desk::{ArrivalSettings, Desk, RATE_PER_SECOND_MAX, Refusal};
pub use inquiry::{Inquiry, Nonce};
pub use secret::{SECRET_BYTES_MIN, SecretError, SharedSecret};

use http::HeaderName;
use std::time::Duration;

/// Where an edgespan answers, on data listeners and only if it is configured.
pub const PATH: &str = "/.well-known/edgespan/arrival";

/// The query key of a redirect to the same path: `?redirect=2` answers 302 to `?redirect=1`, and
/// so on down to `?redirect=0`, which answers the account.
pub const REDIRECT_KEY: &str = "redirect";

/// Most redirects that may be asked for; more are as many as this.
pub const REDIRECTS_MAX: u8 = 5;

/// Who asks: `v1 <key id> <unix seconds> <nonce> <hmac>`. See [`Inquiry`].
pub const VERIFY_HEADER: HeaderName = HeaderName::from_static("x-edgespan-verify");

/// Beside an account: `v1 <key id> <hmac>`.
pub const SIGNATURE_HEADER: HeaderName = HeaderName::from_static("x-edgespan-signature");

/// The account's `schema`.
pub const SCHEMA: &str = "edgespan.arrival/1";

/// How far the asker's clock may stand from ours, and how long a nonce is remembered.
pub const WINDOW: Duration = Duration::from_secs(60);

/// Most of a request's body that is counted and digested; more gets 413.
pub const BODY_BYTES_MAX: usize = 64 * 1024;
