//! Trace context, spans and the head decision. Knows neither auth nor upstreams.
//!
//! On the request path: [`propagate`] reads what the caller sent, [`sampler`] decides, a span is
//! opened ([`server_span`], [`client_span`]) and encodes itself as its attributes come,
//! [`propagate`] writes what leaves, and [`sink`] is handed the finished bytes.

pub mod context;
pub mod propagate;
pub mod ids;
pub mod sampler;

pub mod span;
pub mod server_span;
pub mod carried;
pub mod client_certificate;
pub mod client_span;
pub mod settings;
pub mod flow;
pub mod flags;
pub mod redact;
pub mod root;
pub mod rpc;
pub mod rum;
pub mod websocket;

pub mod resource;
pub mod sink;
pub mod address;
mod error_type;
pub(crate) mod hex;
mod limits;
pub(crate) mod percent;
mod wire;

#[cfg(test)]
pub(crate) mod oracle;
