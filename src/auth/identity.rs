//! Who a client is, as far as it was proved.

use serde_json::{Map, Value};
use std::sync::Arc;

/// Who a client is. Made by a policy, never by what a client says alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// The name it is known by to whoever proved it. None: nobody in particular, such as any
    /// client of a network.
    pub subject: Option<Arc<str>>,
    /// Groups, roles or scopes, in the order they were told.
    pub groups: Vec<Arc<str>>,
    /// Everything else that was proved, as JSON.
    pub claims: Map<String, Value>,
    /// How it was proved.
    pub proof: Proof,
    /// The policy that proved it.
    pub policy: Arc<str>,
}

/// How an identity was proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// By the address of the client.
    Ip,
    /// By an API key.
    ApiKey,
    /// By name and password.
    Basic,
    /// By a certificate.
    ClientCert,
    /// By an external authorizer.
    Forward,
    /// By a token.
    Jwt,
    /// By a login.
    Oidc,
}

impl Proof {
    /// As configuration, spans and assertions name it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ip => "ip",
            Self::ApiKey => "api_key",
            Self::Basic => "basic",
            Self::ClientCert => "client_cert",
            Self::Forward => "forward",
            Self::Jwt => "jwt",
            Self::Oidc => "oidc",
        }
    }
}
