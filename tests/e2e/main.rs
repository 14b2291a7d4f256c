//! edgespan end to end: every test starts a proxy, an origin and a collector on real sockets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::let_underscore_must_use,
    clippy::disallowed_methods,
    clippy::wildcard_enum_match_arm,
    clippy::large_futures,
    missing_docs,
    unreachable_pub,
    reason = "tests stop at the first surprise"
)]

mod arrival;
mod auth;
mod authorizer;
mod backends;
mod balancing;
mod bodies;
mod breaker;
mod cloudflare;
mod commands;
mod compression;
mod conformance;
mod context;
mod deadlines;
mod decision;
mod edge;
mod endings;
mod entitle;
mod exchange;
mod ext_authz;
mod events;
mod export;
mod failures;
mod first_hour;
mod flows;
mod frames;
mod framing;
mod garbage;
mod grpc;
mod headers;
mod health;
mod hostile;
mod identity;
mod identity_provider;
mod hedging;
mod life_cycle;
mod limits;
mod panics;
mod proofs;
mod protocols;
mod reload;
mod mirror;
mod rate_limits;
mod refused;
mod resolving;
mod retries;
mod retry_bounds;
mod routing;
mod sampling;
mod spans;
mod split;
mod stalls;
mod store;
mod support;
mod telemetry;
mod tls;
mod upgrades;
mod versions;
mod websocket;
