//! A flow: routes of one business process, with the attributes its spans have to carry.
//!
//! Another place to take a value from (a body, a claim) is another [`FlowSource`] and another
//! `take_*` at the moment when that place is known.

use super::percent::decode;
use super::span::OpenSpan;
use http::{HeaderMap, HeaderName};
use std::sync::Arc;

/// A named flow and what its spans say.
#[derive(Clone, Debug)]
pub struct Flow {
    /// The value of the span attribute `flow`.
    pub name: Arc<str>,
    /// Attributes to take from each request or answer.
    pub attributes: Vec<FlowAttribute>,
}

/// One attribute of a flow.
#[derive(Clone, Debug)]
pub struct FlowAttribute {
    /// The span attribute's key. Unique within a flow, and none of [`is_reserved`].
    pub key: Arc<str>,
    /// Where its value comes from.
    pub source: FlowSource,
    /// What type the text becomes; text that does not parse stays a string.
    pub kind: ValueKind,
}

/// Where a flow attribute's value comes from.
#[derive(Clone, Debug)]
pub enum FlowSource {
    /// A capture of the route's path template.
    Path(Arc<str>),
    /// A request header's first value.
    RequestHeader(HeaderName),
    /// A response header's first value.
    ResponseHeader(HeaderName),
}

/// The type of a value taken from text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ValueKind {
    /// As it is.
    #[default]
    String,
    /// A 64-bit integer.
    Int,
    /// A 64-bit float.
    Double,
    /// `true` or `false`.
    Bool,
}

impl Flow {
    /// Writes what the request says. `capture` gives a path capture's raw text by its name; its
    /// percent-encoding is undone here.
    pub fn take_request<'p>(
        &self,
        span: &mut OpenSpan,
        capture: impl Fn(&str) -> Option<&'p str>,
        headers: &HeaderMap,
    ) {
        for attribute in &self.attributes {
            match &attribute.source {
                FlowSource::Path(name) => {
                    if let Some(raw) = capture(name) {
                        attribute.write(span, &decode(raw));
                    }
                }
                FlowSource::RequestHeader(name) => attribute.take_header(span, headers, name),
                FlowSource::ResponseHeader(_) => {}
            }
        }
    }

    /// Writes what the answer says.
    pub fn take_response(&self, span: &mut OpenSpan, headers: &HeaderMap) {
        for attribute in &self.attributes {
            match &attribute.source {
                FlowSource::ResponseHeader(name) => attribute.take_header(span, headers, name),
                FlowSource::Path(_) | FlowSource::RequestHeader(_) => {}
            }
        }
    }
}

impl FlowAttribute {
    fn take_header(&self, span: &mut OpenSpan, headers: &HeaderMap, name: &HeaderName) {
        if let Some(value) = headers.get(name) {
            self.write(span, &String::from_utf8_lossy(value.as_bytes()));
        }
    }

    /// Text that is not of the kind asked for stays text: a wrong type is better than a hole.
    fn write(&self, span: &mut OpenSpan, text: &str) {
        let key = &*self.key;
        match self.kind {
            ValueKind::Int if let Ok(value) = text.parse() => span.int(key, value),
            ValueKind::Double if let Some(value) = finite(text) => span.double(key, value),
            ValueKind::Bool if let Ok(value) = text.parse() => span.bool(key, value),
            ValueKind::String | ValueKind::Int | ValueKind::Double | ValueKind::Bool => {
                span.str(key, text);
            }
        }
    }
}

/// A float, but not what `inf` and `NaN` parse to: backends refuse those.
fn finite(text: &str) -> Option<f64> {
    text.parse().ok().filter(|value: &f64| value.is_finite())
}

/// Whether edgespan itself writes attributes under `key`, so that no flow may.
pub fn is_reserved(key: &str) -> bool {
    const KEYS: [&str; 24] = [
        "client.address",
        "error.type",
        "feature_flags",
        "flow",
        "http.request.body.size",
        "http.request.method",
        "http.request.method_original",
        "http.request.resend_count",
        "http.response.body.size",
        "http.response.status_code",
        "http.route",
        "network.peer.address",
        "network.peer.port",
        "network.protocol.version",
        "peer.service",
        "server.address",
        "server.port",
        "service.peer.name",
        "url.full",
        "url.path",
        "url.query",
        "url.scheme",
        "url.template",
        "user_agent.original",
    ];
    const PREFIXES: [&str; 3] = ["edgespan.", "feature_flags.", "rpc."];
    KEYS.contains(&key) || PREFIXES.iter().any(|prefix| key.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::oracle::{ended, lines, open};
    use crate::trace::span::SpanLimits;
    use http::HeaderValue;

    fn flow(attributes: Vec<(&str, FlowSource, ValueKind)>) -> Flow {
        let attribute = |(key, source, kind): (&str, _, _)| FlowAttribute {
            key: Arc::from(key),
            source,
            kind,
        };
        Flow {
            name: Arc::from("escrow"),
            attributes: attributes.into_iter().map(attribute).collect(),
        }
    }

    #[track_caller]
    fn check(kind: ValueKind, raw: &str, expected: &str) {
        let flow = flow(vec![("v", FlowSource::Path(Arc::from("id")), kind)]);
        let mut span = open(&SpanLimits::default());

        flow.take_request(
            &mut span,
            |name| (name == "id").then_some(raw),
            &HeaderMap::new(),
        );

        assert_eq!(
            format!(
                "{:?}",
                ended(span)
                    .attributes
                    .remove(0)
                    .value
                    .unwrap()
                    .value
                    .unwrap()
            ),
            expected
        );
    }

    #[test]
    fn a_capture_is_decoded_and_keeps_its_type() {
        check(ValueKind::String, "a%20b%2Fc", r#"StringValue("a b/c")"#);
        check(ValueKind::Int, "-42", "IntValue(-42)");
        check(ValueKind::Int, "%34%32", "IntValue(42)");
        check(ValueKind::Double, "1.5", "DoubleValue(1.5)");
        check(ValueKind::Bool, "true", "BoolValue(true)");
    }

    #[test]
    fn text_of_another_type_stays_text() {
        check(ValueKind::Int, "12a", r#"StringValue("12a")"#);
        check(
            ValueKind::Int,
            "9223372036854775808",
            r#"StringValue("9223372036854775808")"#,
        );
        check(ValueKind::Double, "NaN", r#"StringValue("NaN")"#);
        check(ValueKind::Bool, "yes", r#"StringValue("yes")"#);
    }

    #[test]
    fn headers_are_taken_when_they_are_known_and_absent_ones_say_nothing() {
        let flow = flow(vec![
            (
                "psp",
                FlowSource::RequestHeader(HeaderName::from_static("x-psp")),
                ValueKind::String,
            ),
            (
                "gone",
                FlowSource::RequestHeader(HeaderName::from_static("x-gone")),
                ValueKind::String,
            ),
            (
                "state",
                FlowSource::ResponseHeader(HeaderName::from_static("x-state")),
                ValueKind::String,
            ),
            (
                "order_id",
                FlowSource::Path(Arc::from("order_id")),
                ValueKind::String,
            ),
        ]);
        let mut request = HeaderMap::new();
        request.insert("x-psp", HeaderValue::from_static("first"));
        request.append("x-psp", HeaderValue::from_static("second"));
        let mut response = HeaderMap::new();
        response.insert("x-state", HeaderValue::from_bytes(b"paid\xff").unwrap());
        let mut span = open(&SpanLimits::default());

        flow.take_request(&mut span, |_| None, &request);
        flow.take_response(&mut span, &response);

        assert_eq!(lines(&ended(span)), ["psp=first", "state=paid\u{fffd}"]);
    }

    #[test]
    fn no_flow_may_write_what_edgespan_writes() {
        for key in [
            "flow",
            "http.route",
            "feature_flags",
            "feature_flags.x",
            "rpc.method",
            "edgespan.x",
        ] {
            assert!(is_reserved(key), "{key}");
        }
        for key in [
            "order_id",
            "flows",
            "http.request.header.x-psp",
            "enduser.id",
        ] {
            assert!(!is_reserved(key), "{key}");
        }
    }
}
