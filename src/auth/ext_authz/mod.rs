//! Envoy's authorization over gRPC, `envoy.service.auth.v3.Authorization/Check`, from both sides:
//! edgespan asks such a service, or is one for an Envoy.

mod client;
pub mod messages;
mod metadata;
mod question;
mod reply;
pub mod service;

use crate::listener::Dialect;

pub(super) use client::{NoReply, ask, notes};
pub(super) use reply::{Allowed, Reply};

/// Where the one method of the service is asked.
pub const CHECK_PATH: &str = Dialect::EnvoyGrpc.default_path();

#[cfg(test)]
mod tests;
