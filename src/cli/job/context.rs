//! The trace that the environment names: `TRACEPARENT`, `TRACESTATE` and `BAGGAGE`, as
//! OpenTelemetry's environment carrier has them, with the values of the W3C headers.

use crate::config::Environment;
use crate::trace::context::{Inbound, Parent};
use crate::trace::ids;
use crate::trace::propagate::Propagators;
use crate::trace::sampler::{Head, HeadSampler};
use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::trace::{SpanId, TraceId};

/// The carrier's variables and the headers that they stand for.
const CARRIED: [(&str, &str); 2] = [("TRACEPARENT", "traceparent"), ("TRACESTATE", "tracestate")];

/// A span elsewhere, as a `traceparent` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Its trace.
    pub trace_id: TraceId,
    /// The span.
    pub span_id: SpanId,
    /// Its W3C flags.
    pub flags: u8,
}

impl Remote {
    /// As a header has it.
    pub(in crate::cli) fn traceparent(&self) -> String {
        format!("00-{}-{}-{:02x}", self.trace_id, self.span_id, self.flags)
    }
}

/// Reads a `traceparent` of the command line.
pub(in crate::cli) fn remote(text: &str) -> Result<Remote, String> {
    let parent = parent([("traceparent", text)]).ok_or_else(|| {
        "it is no traceparent: 00-, 32 hex digits, -, 16 hex digits, -, two more, lower case"
            .to_owned()
    })?;
    Ok(Remote {
        trace_id: parent.trace_id,
        span_id: parent.span_id,
        flags: parent.flags,
    })
}

/// The caller's span by the environment; None if it names none, or none that is valid.
pub(in crate::cli) fn of_environment(environment: &Environment) -> Option<Parent> {
    let told = |(variable, header)| Some((header, environment.get(variable)?));
    parent(CARRIED.into_iter().filter_map(told))
}

/// By headers, as every request is read.
pub(in crate::cli) fn parent<'a>(
    lines: impl IntoIterator<Item = (&'static str, &'a str)>,
) -> Option<Parent> {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        if let Ok(value) = HeaderValue::from_str(value.trim()) {
            headers.append(HeaderName::from_static(name), value);
        }
    }
    match w3c().extract(&headers)? {
        Inbound::Parent(parent) => Some(parent),
        Inbound::Decision { .. } => None,
    }
}

fn w3c() -> Propagators {
    Propagators::from_names(["tracecontext"])
}

/// A span of ours: its ids, and what those under it are to be told.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Place {
    pub(in crate::cli) head: Head,
    pub(in crate::cli) span_id: SpanId,
}

impl Place {
    /// Under `parent`, or as a root.
    pub(in crate::cli) fn under(parent: Option<Parent>, sampler: &HeadSampler) -> Self {
        let inbound = parent.map(Inbound::Parent);
        Self {
            head: sampler.decide(inbound.as_ref()),
            span_id: ids::span_id(),
        }
    }

    /// `TRACEPARENT` for a child.
    pub(in crate::cli) fn traceparent(&self) -> String {
        self.header("traceparent")
    }

    /// `TRACESTATE` for a child; empty if there is none.
    pub(in crate::cli) fn tracestate(&self) -> String {
        self.header("tracestate")
    }

    fn header(&self, name: &str) -> String {
        let mut headers = HeaderMap::new();
        w3c().inject(&mut headers, &self.head.outgoing(self.span_id));
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::sampler::{SamplingRule, UnsampledParent};

    const EVERY: SamplingRule = SamplingRule {
        ratio: 1.0,
        parent_based: true,
        unsampled_parent: UnsampledParent::Respect,
    };
    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn environment(variables: &[(&str, &str)]) -> Environment {
        variables.iter().copied().collect()
    }

    #[test]
    fn the_callers_trace_goes_on_with_its_tracestate() {
        let variables = [("TRACEPARENT", PARENT), ("TRACESTATE", "a=1,b=2")];
        let parent = of_environment(&environment(&variables));

        let place = Place::under(parent, &HeadSampler::new(&EVERY));

        let told = place.traceparent();
        assert!(told.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"));
        assert!(told.ends_with("-01") && !told.contains("00f067aa0ba902b7"));
        assert_eq!(place.tracestate(), "a=1,b=2");
    }

    #[test]
    fn a_context_that_is_not_valid_is_no_context() {
        for wrong in [
            "",
            "00-",
            "zz",
            &PARENT.to_uppercase(),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        ] {
            assert_eq!(
                of_environment(&environment(&[("TRACEPARENT", wrong)])),
                None
            );
            assert!(remote(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_tracestate_without_its_traceparent_is_left() {
        assert_eq!(of_environment(&environment(&[("TRACESTATE", "a=1")])), None);
    }
}
