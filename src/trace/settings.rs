//! What all spans of a process have in common.

use super::redact::Redaction;
use super::span::SpanLimits;
use http::{Method, Version};
use std::sync::Arc;

/// How SERVER and CLIENT spans are written.
#[derive(Clone, Debug)]
pub struct TraceSettings {
    /// Bounds of each span.
    pub limits: SpanLimits,
    /// What is redacted in query strings.
    pub redaction: Redaction,
    /// Methods that keep their name.
    pub known_methods: KnownMethods,
    /// Whether CLIENT spans carry the older `peer.service` beside `service.peer.name`.
    pub peer_service: bool,
    /// Whether requests of `edgespan probe` are marked, and counted apart from those of users.
    pub synthetic: bool,
}

impl Default for TraceSettings {
    fn default() -> Self {
        Self {
            limits: SpanLimits::default(),
            redaction: Redaction::default(),
            known_methods: KnownMethods::default(),
            peer_service: true,
            synthetic: true,
        }
    }
}

/// Methods that keep their name in spans. Any other is `_OTHER`: methods are the client's to
/// invent, and each would be a span name of its own.
#[derive(Clone, Debug, Default)]
pub struct KnownMethods(Option<Arc<[Arc<str>]>>);

/// A method as spans tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MethodText<'a> {
    /// `http.request.method`
    pub method: &'a str,
    /// `http.request.method_original`, of a method that is not known.
    pub original: Option<&'a str>,
    /// What stands in span names.
    pub in_name: &'a str,
}

impl KnownMethods {
    /// Exactly these, compared with their case (`OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS`).
    /// `None`: those of RFC 9110, `PATCH` (RFC 5789) and `QUERY`.
    pub fn new(methods: Option<Vec<Arc<str>>>) -> Self {
        Self(methods.map(Arc::from))
    }

    /// How spans tell `method`.
    pub fn text<'a>(&self, method: &'a Method) -> MethodText<'a> {
        let method = method.as_str();
        if self.knows(method) {
            MethodText {
                method,
                original: None,
                in_name: method,
            }
        } else {
            MethodText {
                method: "_OTHER",
                original: Some(method),
                in_name: "HTTP",
            }
        }
    }

    fn knows(&self, method: &str) -> bool {
        match &self.0 {
            Some(methods) => methods.iter().any(|known| **known == *method),
            None => matches!(
                method,
                "GET"
                    | "HEAD"
                    | "POST"
                    | "PUT"
                    | "DELETE"
                    | "CONNECT"
                    | "OPTIONS"
                    | "TRACE"
                    | "PATCH"
                    | "QUERY"
            ),
        }
    }
}

/// `network.protocol.version`
pub(super) fn protocol_version(version: Version) -> Option<&'static str> {
    match version {
        Version::HTTP_09 => Some("0.9"),
        Version::HTTP_10 => Some("1.0"),
        Version::HTTP_11 => Some("1.1"),
        Version::HTTP_2 => Some("2"),
        Version::HTTP_3 => Some("3"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(known: &KnownMethods, method: &str, expected: (&str, Option<&str>, &str)) {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let text = known.text(&method);
        assert_eq!((text.method, text.original, text.in_name), expected);
    }

    #[test]
    fn a_method_nobody_knows_is_other_and_keeps_its_original() {
        let known = KnownMethods::default();

        check(&known, "GET", ("GET", None, "GET"));
        check(&known, "QUERY", ("QUERY", None, "QUERY"));
        check(&known, "get", ("_OTHER", Some("get"), "HTTP"));
        check(&known, "PROPFIND", ("_OTHER", Some("PROPFIND"), "HTTP"));
    }

    #[test]
    fn a_list_of_ones_own_replaces_the_known_methods() {
        let known = KnownMethods::new(Some(vec![Arc::from("PROPFIND")]));

        check(&known, "PROPFIND", ("PROPFIND", None, "PROPFIND"));
        check(&known, "GET", ("_OTHER", Some("GET"), "HTTP"));
    }
}
