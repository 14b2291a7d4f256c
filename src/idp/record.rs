//! What was asked of the provider.

use http::{HeaderMap, Method};
use std::collections::VecDeque;

/// Calls that are remembered; the oldest gives way.
const CALLS_MAX: usize = 4096;

/// What is traced about a call: fields of any tracing dialect.
const TRACE_FIELDS: [&str; 6] = [
    "traceparent",
    "tracestate",
    "baggage",
    "b3",
    "x-b3-traceid",
    "uber-trace-id",
];

/// What can be asked of a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `/.well-known/openid-configuration`
    Discovery,
    /// `/jwks`
    Keys,
    /// `/authorize`: where a browser comes to log in.
    Authorization,
    /// `/login`: what its form is sent to.
    Login,
    /// `/par`: requests that are left beforehand.
    Pushed,
    /// `/token`
    Token,
    /// `/userinfo`
    Userinfo,
    /// `/introspect`
    Introspection,
    /// `/revoke`
    Revocation,
    /// `/logout`: where a browser comes to log out.
    Logout,
}

/// One call.
#[derive(Clone, Debug)]
pub struct Call {
    /// Of what.
    pub endpoint: Endpoint,
    /// `GET` or `POST`.
    pub method: Method,
    /// Its tracing fields, in their order.
    pub trace: Vec<(String, String)>,
    /// `grant_type`, at the token endpoint.
    pub grant: Option<String>,
    /// Names of its parameters, of query and form, in their order.
    pub parameters: Vec<String>,
}

/// The last calls, and how many there were.
#[derive(Debug, Default)]
pub(super) struct Record {
    calls: VecDeque<Call>,
}

impl Endpoint {
    /// All of them, each with its path below the issuer.
    pub(super) const PATHS: [(Self, &'static str); 10] = [
        (Self::Discovery, "/.well-known/openid-configuration"),
        (Self::Keys, "/jwks"),
        (Self::Authorization, "/authorize"),
        (Self::Login, "/login"),
        (Self::Pushed, "/par"),
        (Self::Token, "/token"),
        (Self::Userinfo, "/userinfo"),
        (Self::Introspection, "/introspect"),
        (Self::Revocation, "/revoke"),
        (Self::Logout, "/logout"),
    ];

    pub(super) fn of(path: &str) -> Option<Self> {
        let mut all = Self::PATHS.iter();
        all.find(|(_, own)| *own == path).map(|(one, _)| *one)
    }

    pub(super) fn path(self) -> &'static str {
        let mut all = Self::PATHS.iter();
        all.find(|(one, _)| *one == self)
            .map_or("", |(_, path)| *path)
    }
}

impl Call {
    /// A tracing field.
    pub fn trace(&self, name: &str) -> Option<&str> {
        let mut all = self.trace.iter();
        all.find(|(one, _)| one == name)
            .map(|(_, value)| value.as_str())
    }

    pub(super) fn trace_of(headers: &HeaderMap) -> Vec<(String, String)> {
        let named = TRACE_FIELDS.iter().flat_map(|name| {
            let values = headers.get_all(*name).iter();
            values.map(|value| {
                let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                ((*name).to_owned(), value)
            })
        });
        named.collect()
    }
}

impl Record {
    pub(super) fn note(&mut self, call: Call) {
        if self.calls.len() >= CALLS_MAX {
            self.calls.pop_front();
        }
        self.calls.push_back(call);
    }

    pub(super) fn all(&self) -> Vec<Call> {
        self.calls.iter().cloned().collect()
    }
}
