//! External authorizers, as they are written.

use super::{
    AuthCache, DurationText, EndpointText, HeaderName, OneOrMany, PathText, Require, SizeOrOff,
    Status,
};
use crate::config::decode::{Entries, Spanned};
use schemars::JsonSchema;
use serde::Deserialize;

/// An external authorizer. Exactly one of `url` and `upstream`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Forward {
    /// Where it is asked: `http://127.0.0.1:4180/auth`. Without a path `/`.
    pub(in crate::config) url: Option<Spanned<EndpointText>>,
    /// The upstream that it is, where it needs balancing, health checks or TLS settings.
    pub(in crate::config) upstream: Option<Spanned<String>>,
    /// Where it is asked, with `upstream`.
    #[schemars(extend("default" = "/"))]
    pub(in crate::config) path: Option<Spanned<PathText>>,
    /// How it is told of a request and its answer is read: as behind nginx (`auth_request`),
    /// `traefik` or `envoy`; or Envoy's over gRPC (`grpc`).
    #[schemars(extend("default" = "auth_request"))]
    pub(in crate::config) dialect: Option<Spanned<Dialect>>,
    /// How long a decision may take, further attempts included.
    #[schemars(extend("default" = "300ms"))]
    pub(in crate::config) timeout: Option<Spanned<DurationText>>,
    /// Attempts beside the first, where there was no answer.
    #[schemars(range(min = 0, max = 5), extend("default" = 1))]
    pub(in crate::config) retries: Option<Spanned<u32>>,
    /// Fields of the request that it sees: names, beginnings such as `sec-fetch-*`, or `"*"`.
    /// Trace context goes out in any case, what speaks for others (`x-forwarded-*`) only from
    /// edgespan itself. Without it cookies, `authorization` and what tells a page from a script;
    /// over gRPC everything.
    pub(in crate::config) request_headers: Option<OneOrMany<Spanned<HeaderName>>>,
    /// Fields of its answer that the upstream gets, by name or beginning (`x-auth-*`). Whatever a
    /// client sent in one of them is removed, also if the answer lacks it.
    pub(in crate::config) identity_headers: OneOrMany<Spanned<HeaderName>>,
    /// Fields of an answer that allows which the client gets, such as `set-cookie`. A refusal goes
    /// to the client as it is.
    pub(in crate::config) answer_headers: OneOrMany<Spanned<HeaderName>>,
    /// In which fields of its answer it says who the client is.
    pub(in crate::config) identity: IdentityFields,
    /// With `dialect: grpc`: what of its dynamic metadata stands on the span of its decision, by
    /// dotted path, as `edgespan.auth.metadata.PATH`. Texts, numbers, booleans and lists of texts.
    pub(in crate::config) metadata_attributes: Vec<Spanned<String>>,
    /// How much of a request's body it sees. Without it nothing.
    pub(in crate::config) body: Option<Spanned<ForwardBody>>,
    /// What becomes of a request that it could not decide about.
    #[schemars(extend("default" = "closed"))]
    pub(in crate::config) on_failure: Option<Spanned<OnFailure>>,
    /// Status of a refusal because nobody could decide. Without it 504 after `timeout`, and 503.
    pub(in crate::config) failure_status: Option<Spanned<Status>>,
    /// Whether a 5xx of its own is a failure, or passed on like its other refusals.
    #[schemars(extend("default" = "failure"))]
    pub(in crate::config) server_errors: Option<Spanned<ServerErrors>>,
    /// What else it is told, as header fields of the question.
    pub(in crate::config) context: Entries<Spanned<String>>,
    /// What is remembered of its decisions. Without it nothing.
    pub(in crate::config) cache: Option<Spanned<AuthCache>>,
}

/// Policies of which all have to allow, or one policy with other settings. Exactly one of `policy` and `all`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct PolicyUse {
    /// Names of policies of which all have to allow.
    #[schemars(length(min = 1))]
    pub(in crate::config) all: Option<Vec<Spanned<String>>>,
    /// The name of one policy; what stands beside it holds on this route. All but `require` is for
    /// external authorizers, and holds in place of what the policy says.
    pub(in crate::config) policy: Option<Spanned<String>>,
    /// What has to hold of a client on this route, beside what its policy requires.
    pub(in crate::config) require: Option<Spanned<Require>>,
    /// How long a decision may take.
    pub(in crate::config) timeout: Option<Spanned<DurationText>>,
    /// How much of a request's body it sees; `{bytes: off}` for nothing.
    pub(in crate::config) body: Option<Spanned<ForwardBody>>,
    /// What becomes of a request that it could not decide about.
    pub(in crate::config) on_failure: Option<Spanned<OnFailure>>,
    /// Status of a refusal because nobody could decide.
    pub(in crate::config) failure_status: Option<Spanned<Status>>,
    /// Beside what the policy's own `context` says; wins over it.
    pub(in crate::config) context: Entries<Spanned<String>>,
}

/// How much of a request's body an authorizer sees.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["bytes"]))]
pub(in crate::config) struct ForwardBody {
    /// At most this many, up to 16 MiB; `off` for nothing. They are held in memory until it is
    /// decided, and then sent to the upstream first.
    pub(in crate::config) bytes: Option<Spanned<SizeOrOff>>,
    /// What becomes of a longer body: it sees a part (`partial`), or the client gets 413
    /// (`refuse`).
    #[schemars(extend("default" = "partial"))]
    pub(in crate::config) too_large: Option<Spanned<TooLarge>>,
}

/// In which fields of its answer an authorizer says who the client is.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct IdentityFields {
    /// Its name, such as `x-auth-request-user` or `remote-user`.
    pub(in crate::config) subject: Option<Spanned<HeaderName>>,
    /// Its groups, separated by commas, such as `remote-groups`.
    pub(in crate::config) groups: Option<Spanned<HeaderName>>,
}

/// How an authorizer is told of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(title = "dialect")]
pub(in crate::config) enum Dialect {
    /// As behind nginx.
    AuthRequest,
    /// As behind Traefik.
    Traefik,
    /// As behind Envoy.
    Envoy,
    /// As behind Envoy, over gRPC.
    Grpc,
}

/// What becomes of a request that nobody could decide about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(title = "way with failures")]
pub(in crate::config) enum OnFailure {
    /// It is refused.
    Closed,
    /// It passes, without an identity.
    Open,
}

/// What becomes of a body that is longer than an authorizer may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(title = "way with long bodies")]
pub(in crate::config) enum TooLarge {
    /// A part of it is shown.
    Partial,
    /// The request is refused.
    Refuse,
}

/// What a 5xx of an authorizer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(title = "way with server errors")]
pub(in crate::config) enum ServerErrors {
    /// A failure.
    Failure,
    /// A refusal that is passed on.
    Pass,
}
