//! What is asked of a backend, and what it found.

use crate::clock::Timestamp;
use opentelemetry::trace::TraceId;
use std::borrow::Cow;
use std::time::Duration;

/// Which traces are wanted. All conditions hold together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Query {
    /// `service.name` of the resource or `service.peer.name` of the span.
    pub service: Option<String>,
    /// `http.route`.
    pub route: Option<String>,
    /// `flow`.
    pub flow: Option<String>,
    /// Attributes of a span or of its resource that have to have these values.
    pub tags: Vec<(String, String)>,
    /// Only with a span whose status is an error.
    pub error: bool,
    /// Least duration of the trace.
    pub min: Option<Duration>,
    /// Most duration of the trace.
    pub max: Option<Duration>,
    /// TraceQL as it was typed, beside all else. Only some backends understand it.
    pub traceql: Option<String>,
    /// Traces that began at this moment or later.
    pub start: Timestamp,
    /// Traces that began before this moment.
    pub end: Timestamp,
    /// Most traces that are wanted; the newest count.
    pub limit: usize,
}

/// A trace in a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Which one.
    pub id: TraceId,
    /// The root's service, or that of the first span if the root is not there and the backend says;
    /// else empty.
    pub root_service: String,
    /// The root's name, or that of the first span if the root is not there and the backend says; else
    /// empty.
    pub root_name: String,
    /// Nanoseconds since 1970.
    pub start: u64,
    /// Nanoseconds.
    pub duration: u64,
    /// How many spans, if the backend says.
    pub spans: Option<u32>,
    /// Whether a span of it is an error, if the backend says.
    pub is_error: Option<bool>,
    /// HTTP status of the root, if the backend says.
    pub status: Option<u16>,
    /// Flow, if the backend says.
    pub flow: Option<String>,
    /// `url.path` of the root, if the backend says.
    pub path: Option<String>,
}

/// Names of spans that tell nothing but the method: those of RFC 9110 and 5789, and what
/// OpenTelemetry writes for one that is not known.
const METHODS: [&str; 10] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "HTTP",
];

impl Summary {
    /// By which name a person knows it. A request without a route is named by its method alone,
    /// and one whose route takes every path by that: then the path stands beside it.
    pub fn told_name(&self) -> Cow<'_, str> {
        let name = self.root_name.as_str();
        let method = name.strip_suffix("/*").map_or(name, str::trim_end);
        let is_method = METHODS.iter().any(|one| one.eq_ignore_ascii_case(method));
        match self.path.as_deref().filter(|path| !path.is_empty()) {
            Some(path) if is_method => format!("{method} {path}").into(),
            Some(_) | None => name.into(),
        }
    }
}

/// What a search found, newest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// The traces.
    pub traces: Vec<Summary>,
    /// Why it may not be all there is, in words; None: it is all.
    pub incomplete: Option<String>,
}

impl Found {
    /// Keeps the first `limit`, and says so: what is not shown may be there.
    pub(super) fn cut(&mut self, limit: usize) {
        if self.traces.len() >= limit {
            self.traces.truncate(limit);
            self.incomplete
                .get_or_insert_with(|| format!("the newest {limit}; --limit shows more"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_only_a_method_has_its_path_beside_it() {
        for (name, path, expected) in [
            ("GET", Some("/a"), "GET /a"),
            ("get", Some("/a"), "get /a"),
            ("GET /*", Some("/a"), "GET /a"),
            ("HTTP", Some("/a"), "HTTP /a"),
            ("GET", None, "GET"),
            ("GET", Some(""), "GET"),
            ("GET /orders/{id}", Some("/orders/7"), "GET /orders/{id}"),
            ("batch", Some("/a"), "batch"),
            ("", Some("/a"), ""),
        ] {
            let summary = Summary {
                id: TraceId::INVALID,
                root_service: String::new(),
                root_name: name.to_owned(),
                start: 0,
                duration: 0,
                spans: None,
                is_error: None,
                status: None,
                flow: None,
                path: path.map(str::to_owned),
            };
            assert_eq!(summary.told_name(), expected);
        }
    }
}
