//! What a message is made of, and what is done to one before anything is decided about it.
//!
//! `normalize` gives a request exactly one reading, `forwarded` says who it comes from, and
//! `hop_by_hop` takes off what was meant for the connection and not for the next server.

pub mod authority;
mod client_address;
pub mod cloudflare;
pub mod compression;
pub mod cookie;
pub mod credential;
pub mod forwarded;
pub mod grpc;
pub mod held;
pub mod hop_by_hop;
pub mod normalize;
pub mod refusal;
pub mod replay;
pub mod request_body;
pub mod reserved;
pub mod respond;
pub mod target;
pub mod tee;
pub mod trailers;
pub mod websocket;
