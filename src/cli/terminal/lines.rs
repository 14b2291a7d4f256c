//! One line a span, for pipes: no tree, no escapes, whole ids, so that `grep` works.

use super::super::escape;
use super::request::{FinishedRequest, ShownSpan};
use crate::clock::Timestamp;
use crate::telemetry::rfc3339;

/// Every span of the request, the SERVER span first, each line ended.
pub(super) fn draw(request: &FinishedRequest) -> String {
    let mut out = String::new();
    for span in request.spans.iter().rev().take(1) {
        line(span, &mut out);
    }
    // What went on within it follows in the order in which it was begun.
    let mut inner: Vec<_> = request.spans.iter().rev().skip(1).collect();
    inner.sort_by_key(|span| span.start);
    for span in inner {
        line(span, &mut out);
    }
    out
}

fn line(span: &ShownSpan, out: &mut String) {
    let milliseconds = span.duration().as_secs_f64() * 1000.0;
    let (start, service) = (
        Timestamp::from_unix_nanos(span.start),
        escape::word(&span.service),
    );
    out.push_str(&format!("{} {} {service} ", rfc3339(start), span.kind));
    out.push_str(&escape::quoted(&span.name));
    if let Some(status) = &span.outcome.status {
        out.push_str(&format!(" status={}", escape::word(status)));
    }
    if let Some(error) = &span.outcome.error {
        out.push_str(&format!(" error={}", escape::word(error)));
    }
    for (key, word) in [
        ("decision", &span.decision),
        ("reason", &span.reason),
        ("cache", &span.cache),
    ] {
        if let Some(word) = word {
            out.push_str(&format!(" {key}={}", escape::word(word)));
        }
    }
    out.push_str(&format!(" ms={milliseconds:.1}"));
    if let Some(flow) = &span.flow {
        out.push_str(&format!(" flow={}", escape::word(flow)));
    }
    if span.attempt > 1 {
        out.push_str(&format!(" try={}", span.attempt));
    }
    out.push_str(&format!(" trace={} span={}", span.trace_id, span.id));
    if !span.parent.is_empty() {
        out.push_str(&format!(" parent={}", span.parent));
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::terminal::fixtures;

    #[test]
    fn a_span_is_a_line_that_grep_can_read() {
        let request = FinishedRequest::read(&fixtures::release_failed(), "edgespan").unwrap();
        insta::assert_snapshot!(draw(&request));
    }

    #[test]
    fn what_policies_decided_and_why_is_on_their_lines() {
        let request = FinishedRequest::read(&fixtures::undecided(), "edgespan").unwrap();
        insta::assert_snapshot!(draw(&request));
    }

    #[test]
    fn span_data_cannot_forge_a_line() {
        let request = FinishedRequest::read(&fixtures::hostile(), "edge span").unwrap();

        let drawn = draw(&request);

        assert_eq!(drawn.lines().count(), 2);
        insta::assert_snapshot!(drawn);
    }
}
