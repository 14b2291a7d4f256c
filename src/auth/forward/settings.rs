//! What an authorizer is, as compiled from the configuration.

use super::fields::FieldPattern;
use crate::auth::CacheSettings;
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, StatusCode};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// An external authorizer.
#[derive(Clone, Debug, PartialEq)]
pub struct ForwardSettings {
    /// The upstream that it is; exists in the plan.
    pub upstream: Arc<str>,
    /// Where it is asked; before the original path where the dialect is Envoy's.
    pub path: PathAndQuery,
    /// How it is told of a request, and how its answer is read.
    pub dialect: Dialect,
    /// Attempts beside the first, where there was no answer.
    pub retries: u32,
    /// Fields of a request that it sees.
    pub request_headers: Vec<FieldPattern>,
    /// Fields of its answer that become the request's. Whatever a client sent in them is gone.
    pub identity_headers: Vec<FieldPattern>,
    /// Fields of an answer that allows which go to the client.
    pub answer_headers: Vec<HeaderName>,
    /// In which fields of its answer it says who the client is.
    pub identity: IdentityFields,
    /// What of an answer's dynamic metadata stands on spans, by dotted path. gRPC only.
    pub metadata_attributes: Vec<Box<str>>,
    /// What holds unless the route says otherwise.
    pub rules: ForwardRules,
    /// What holds on a route, by its name.
    pub overrides: BTreeMap<Arc<str>, ForwardRules>,
    /// What is remembered of its decisions; None: nothing.
    pub cache: Option<CacheSettings>,
}

/// What a route may say otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct ForwardRules {
    /// How long a decision may take, further attempts included.
    pub timeout: Duration,
    /// How much of a request's body it sees; None: nothing, and nothing is held.
    pub body: Option<BodyRule>,
    /// What becomes of a request that it could not decide about.
    pub on_failure: OnFailure,
    /// Status of the refusal then; None: 504 after the timeout, 503 otherwise.
    pub failure_status: Option<StatusCode>,
    /// Whether a 5xx of its own is passed on as its refusal and is no failure.
    pub passes_server_errors: bool,
    /// What else it is told, by name: fields of the question.
    pub context: Vec<(HeaderName, HeaderValue)>,
}

/// How much of a body an authorizer sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyRule {
    /// At most this many bytes.
    pub bytes_max: usize,
    /// Whether a request whose body is longer is refused with 413, and not shown in part.
    pub refuses_larger: bool,
}

/// What becomes of a request that nobody could decide about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// It is refused.
    Closed,
    /// It passes, without an identity.
    Open,
}

/// How an authorizer is told of a request, and how its answer is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// As behind nginx's `auth_request`: `GET`, `X-Original-Method`, `X-Original-URL` and what
    /// Traefik's has; any 2xx allows.
    AuthRequest,
    /// As behind Traefik's `ForwardAuth`: `GET`, `X-Forwarded-{Method,Proto,Host,Uri,For}`; any
    /// 2xx allows.
    Traefik,
    /// As behind Envoy's `ext_authz` over HTTP: the request's own method, path and host; exactly
    /// 200 allows.
    Envoy,
    /// As behind Envoy's `ext_authz` over gRPC: `envoy.service.auth.v3.Authorization/Check`.
    Grpc,
}

/// In which fields of its answer an authorizer says who the client is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdentityFields {
    /// Its name.
    pub subject: Option<HeaderName>,
    /// Its groups, separated by commas.
    pub groups: Option<HeaderName>,
}

impl ForwardSettings {
    /// What holds on this route.
    pub fn rules(&self, route: &str) -> &ForwardRules {
        self.overrides.get(route).unwrap_or(&self.rules)
    }
}
