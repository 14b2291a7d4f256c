//! One line a span, for pipes: no tree, no escapes, whole ids, so that `grep` works.

use super::super::trace::lines;
use super::request::FinishedRequest;

/// Every span of the request, the SERVER span first, then what went on within it in the order in
/// which it was begun, each line ended.
pub(super) fn draw(request: &FinishedRequest) -> String {
    let spans = &request.trace.spans;
    let root = request.root().into_iter();
    let inner = spans.iter().filter(|span| !request.is_root(span));
    root.chain(inner)
        .map(|span| lines::span(request.trace.id, span))
        .collect()
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
