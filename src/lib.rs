//! edgespan stands before services nobody wants to touch and gives every request real trace
//! edges.
//!
//! The folders stand here in the order in which a request meets them; `ARCHITECTURE.md` has the
//! path in prose.

pub mod listener;
pub mod tls;
pub mod server;
pub mod message;
pub mod route;
pub mod trace;
pub mod shared;
pub mod ratelimit;
pub mod upstream;
pub mod auth;
pub mod proxy;
pub mod export;

pub mod client;
pub mod view;
pub mod backend;
pub mod store;
pub mod idp;
pub mod verify;
pub mod probe;

pub mod admin;
pub mod telemetry;
pub mod config;
pub mod app;
pub mod cli;

pub mod clock;
pub mod net;
pub mod secret;
