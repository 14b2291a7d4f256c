//! Envoy's authorization over gRPC, `envoy.service.auth.v3.Authorization/Check`, from both sides:
//! edgespan asks such a service, or is one for an Envoy.

pub mod messages;
mod metadata;
mod question;
mod reply;

/// Where the one method of the service is asked.
pub const CHECK_PATH: &str = "/envoy.service.auth.v3.Authorization/Check";
