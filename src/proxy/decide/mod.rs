//! A decision for a host proxy: the request that it asks about goes through the same gate as one
//! that came here, and what comes of it is said in the host's dialect.
//!
//! Nothing is forwarded. Who may tell of others is one question (the listener's
//! `trusted_proxies`), what is told is read by [`told`], and `gate` makes of it the request that
//! routes and policies see: one reading of path and host, the same as in gateway mode.

mod answer;
mod gate;
mod grpc;
mod rebuilt;
mod told;

pub(super) use answer::{allow, in_dialect};
pub(super) use gate::{asked_about, gate};
pub(super) use grpc::{gate as call, is_call};

use super::body::Body;
use crate::listener::Dialect;
use crate::trace::redact::Redaction;
use crate::trace::server_span::ServerStart;
use crate::trace::span::OpenSpan;
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, Method, Response};
use std::sync::Arc;

/// A request that is asked about, on its way through the stages.
pub(super) struct Asking {
    /// The request. Policies change it as they would change one on its way to an upstream.
    pub(super) parts: Parts,
    /// Its header fields as they were before.
    before: HeaderMap,
    /// Whether it asks for another protocol.
    pub(super) upgrades: bool,
    /// Names that only we write and its client had sent.
    reserved: Vec<HeaderName>,
}

/// Marks an answer that decides nothing.
#[derive(Clone, Copy)]
struct Published;

/// Marks an answer to a request of a browser's own that came by way of its host: no host takes it
/// for a decision.
pub(super) fn publish(response: &mut Response<Body>) {
    response.extensions_mut().insert(Published);
}

/// What is known of a decision beside the request that it is about.
pub(super) struct Decision {
    dialect: Dialect,
    /// The endpoint's path: `http.route` of the SERVER span.
    pub(super) endpoint: Arc<str>,
    /// Method of the host's own request.
    pub(super) method: Method,
    target: PathAndQuery,
    scheme: &'static str,
    host: Box<str>,
    port: Option<u16>,
    /// The request asked about, once it is told and read.
    asked: Option<Original>,
    /// How far its call has come, where it is one of gRPC.
    call: Option<grpc::Call>,
    /// Whether it may pass. Nothing else makes an answer of 200.
    allowed: bool,
}

/// The request asked about, as its SERVER span tells it.
struct Original {
    method: Method,
    scheme: &'static str,
    host: Box<str>,
    target: PathAndQuery,
    /// Scheme, host and port: what a relative `Location` is relative to.
    origin: String,
    upgrades: bool,
}

impl Decision {
    /// The SERVER span is that of the host's own request, at the endpoint.
    pub(super) fn at_endpoint<'a>(&'a self, start: &mut ServerStart<'a>) {
        start.method = &self.method;
        start.scheme = self.scheme;
        start.server_address = &self.host;
        start.server_port = self.port;
        start.path = self.target.path();
        start.query = self.target.query();
        start.route_template = Some(&self.endpoint);
        // Two spans of one name, of which only one is the operation, would be counted together.
        start.span_name = None;
        start.is_grpc = self.dialect == Dialect::EnvoyGrpc;
    }

    /// Says which request is asked about.
    pub(super) fn write(&self, span: &mut OpenSpan, route: Option<&str>, redaction: &Redaction) {
        span.str("edgespan.decision.dialect", self.dialect.name());
        let Some(asked) = &self.asked else { return };
        span.str("edgespan.original.method", asked.method.as_str());
        span.str("edgespan.original.scheme", asked.scheme);
        span.str("edgespan.original.host", &asked.host);
        span.str("edgespan.original.path", asked.target.path());
        if let Some(query) = asked.target.query().filter(|query| !query.is_empty()) {
            span.str("edgespan.original.query", &redaction.query(query));
        }
        if let Some(route) = route {
            span.str("edgespan.original.route", route);
        }
    }
}
