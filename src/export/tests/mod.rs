//! What the exporter promises: with time paused and a scripted wire, and over real sockets.

mod delivery;
mod grpc;
mod http;
mod tls;
