//! What went wrong in a trace, in words: from its head down to where the failure began.

use super::model::{Event, Kind, Span, Value};
use super::told::Weight;
use super::tree::Tree;
use opentelemetry::trace::SpanId;

/// Most sentences about one trace.
const SENTENCES_MAX: usize = 3;
/// Most answers of attempts that are told one by one.
const ANSWERS_MAX: usize = 4;

/// A sentence, and the span it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// Without a full stop. It has span data in it, as it came.
    pub sentence: String,
    /// The span.
    pub span: SpanId,
}

/// What went wrong: at most three sentences, none if nothing did.
pub fn causes(tree: &Tree<'_>) -> Vec<Cause> {
    let failing = failing(tree);
    let fails = |at: &usize| failing.get(*at) == Some(&true);
    let starts: Vec<usize> = match tree.head().filter(fails) {
        Some(head) => vec![head],
        None => tree.tops().iter().copied().filter(fails).collect(),
    };
    let mut causes = Vec::new();
    for start in starts.into_iter().take(SENTENCES_MAX) {
        causes.extend(chain(tree, start, &fails));
    }
    causes.truncate(SENTENCES_MAX);
    causes
}

/// By place, whether a span or one below it failed.
fn failing(tree: &Tree<'_>) -> Vec<bool> {
    let places = tree.places().iter();
    let mut failing: Vec<bool> = places.map(|place| has_failed(place.span)).collect();
    // Children stand behind their parents.
    for (at, place) in tree.places().iter().enumerate().rev() {
        if place
            .children
            .iter()
            .any(|one| failing.get(*one) == Some(&true))
            && let Some(own) = failing.get_mut(at)
        {
            *own = true;
        }
    }
    failing
}

fn has_failed(span: &Span) -> bool {
    span.is_error() || span.outcome().weight == Weight::Failure
}

/// Down from `at` by the child that failed last: what an asked service answered, and what the
/// innermost span says.
fn chain(tree: &Tree<'_>, mut at: usize, fails: &dyn Fn(&usize) -> bool) -> Vec<Cause> {
    let mut told: Option<(Cause, usize)> = None;
    loop {
        let children = tree.below(Some(at));
        let last = children.iter().copied().filter(|child| fails(child));
        let last = last.max_by_key(|child| (tree.span(*child).map(|span| span.end), *child));
        let Some(child) = last else { break };
        if told.is_none()
            && let Some(asked) = tree
                .span(child)
                .and_then(|span| asked(span, children, tree))
        {
            told = Some((asked, child));
        }
        at = child;
    }
    let innermost = tree.span(at);
    let innermost = innermost.filter(|span| has_failed(span)).and_then(|span| {
        // A call that was told already says no more than that, unless it has words of its own.
        let is_told = told.as_ref().is_some_and(|(_, child)| *child == at);
        let kind = || span.outcome().error.filter(|word| word != "error");
        let reason = match (own_words(span), told.is_some()) {
            (Some(words), _) => Some(words),
            (None, true) if is_told => None,
            (None, true) => kind(),
            (None, false) => kind().or_else(|| Some(span.outcome().words())),
        };
        let name = match span.asked() {
            Some(asked) => asked.to_owned(),
            None => format!("{} {}", span.told_service(), span.told_name()),
        };
        let words = reason.filter(|words| !words.is_empty())?;
        Some(Cause {
            sentence: format!("{}: {words}", name.trim()),
            span: span.id,
        })
    });
    let asked = told.map(|(cause, _)| cause);
    asked.into_iter().chain(innermost).collect()
}

/// `payout answered 502 twice, gave up after 2 tries`: about `span`, a call that failed, and all
/// other attempts at it.
fn asked(span: &Span, siblings: &[usize], tree: &Tree<'_>) -> Option<Cause> {
    let asked = span.asked().filter(|_| span.kind == Kind::Client)?;
    let same = |other: &&Span| {
        other.kind == Kind::Client
            && other.asked() == Some(asked)
            && other.told_method() == span.told_method()
    };
    let attempts = siblings.iter().filter_map(|at| tree.span(*at)).filter(same);
    let mut attempts: Vec<&Span> = attempts.collect();
    // Calls of one service beside each other are no attempts at one thing.
    if !attempts.iter().any(|one| one.attempt() > 1) {
        attempts = vec![span];
    }
    attempts.sort_by_key(|one| one.attempt());
    let last = attempts.last().copied().unwrap_or(span);
    let answers: Vec<String> = attempts.iter().map(|one| answer(one)).collect();
    let tries = attempts.len();
    let is_same = answers.iter().all(|one| Some(one) == answers.first());
    let sentence = match (answers.first(), tries) {
        (Some(first), 1) => format!("{asked} {first}"),
        (Some(first), _) if is_same => {
            let times = match tries {
                2 => "twice".to_owned(),
                more => format!("{more} times"),
            };
            format!("{asked} {first} {times}, gave up after {tries} tries")
        }
        _ => {
            let mut listed: Vec<_> = answers.iter().take(ANSWERS_MAX).cloned().collect();
            if tries > ANSWERS_MAX {
                listed.push("...".to_owned());
            }
            let end = if has_failed(last) {
                format!(", gave up after {tries} tries")
            } else {
                String::new()
            };
            format!("{asked} {}{end}", listed.join(", then "))
        }
    };
    Some(Cause {
        sentence,
        span: last.id,
    })
}

/// `answered 502`, or why there was no answer.
fn answer(span: &Span) -> String {
    let outcome = span.outcome();
    match (outcome.status, outcome.error) {
        (Some(status), _) => format!("answered {status}"),
        (None, Some(error)) => format!("gave no answer ({error})"),
        (None, None) => "answered".to_owned(),
    }
}

/// What a span says of its failure in words.
fn own_words(span: &Span) -> Option<String> {
    let exception = span.events.iter().rev().find(|one| one.name == "exception");
    let said = |event: &Event, key: &str| {
        let found = event.attributes.iter().find(|(name, _)| name == key);
        match found.map(|(_, value)| value) {
            Some(Value::Text(text)) if !text.is_empty() => Some(text.clone()),
            _ => None,
        }
    };
    let message = Some(span.message.clone()).filter(|text| !text.is_empty());
    message
        .or_else(|| said(exception?, "exception.message"))
        .or_else(|| said(exception?, "exception.type"))
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{any_trace, call, span, trace};
    use super::super::model::Status;
    use super::*;
    use proptest::prelude::*;

    fn failed(mut span: Span, message: &str) -> Span {
        span.status = Status::Error;
        message.clone_into(&mut span.message);
        span
    }

    #[track_caller]
    fn check(spans: Vec<Span>, expected: &[&str]) {
        let trace = trace(spans);
        let causes = causes(&Tree::of(&trace));
        let sentences: Vec<_> = causes.iter().map(|one| one.sentence.as_str()).collect();
        assert_eq!(sentences, expected);
    }

    fn tries(statuses: &[i64]) -> Vec<Span> {
        let mut spans = vec![span(1, 0, 0, 1000)];
        for (at, status) in (0_u32..).zip(statuses) {
            let from = u64::from(at) * 100;
            let one = span(10 + u64::from(at), 1, from, from + 50);
            spans.push(call(one, "payout", *status, at.into()));
        }
        if statuses.last().is_some_and(|status| *status >= 400) {
            spans[0] = failed(spans[0].clone(), "");
        }
        spans
    }

    #[test]
    fn attempts_are_told_together() {
        check(tries(&[502]), &["payout answered 502"]);
        check(
            tries(&[502, 502]),
            &["payout answered 502 twice, gave up after 2 tries"],
        );
        check(
            tries(&[503, 503, 503]),
            &["payout answered 503 3 times, gave up after 3 tries"],
        );
        check(
            tries(&[503, 504]),
            &["payout answered 503, then answered 504, gave up after 2 tries"],
        );
        check(
            tries(&[503, 200]),
            &["payout answered 503, then answered 200"],
        );
        check(tries(&[200]), &[]);
    }

    #[test]
    fn a_call_without_an_answer_says_why() {
        let mut spans = tries(&[502]);
        let refused = ("error.type".to_owned(), Value::Text("refused".to_owned()));
        spans[1]
            .attributes
            .retain(|(key, _)| key != "http.response.status_code");
        spans[1].attributes.push(refused);
        check(spans, &["payout gave no answer (refused)"]);
    }

    #[test]
    fn a_call_that_has_words_of_its_own_says_them() {
        let mut spans = tries(&[502]);
        "upstream reset".clone_into(&mut spans[1].message);
        check(spans, &["payout answered 502", "payout: upstream reset"]);
    }

    #[test]
    fn the_innermost_span_says_why_if_it_can() {
        let mut spans = tries(&[502]);
        spans.push(failed(span(20, 10, 1, 2), ""));
        check(spans.clone(), &["payout answered 502"]);
        spans.push(failed(span(21, 20, 1, 2), "card declined"));
        check(
            spans.clone(),
            &["payout answered 502", "shop s21: card declined"],
        );
        let last = spans.last_mut().unwrap();
        last.message.clear();
        last.events.push(Event {
            name: "exception".to_owned(),
            at: 1,
            attributes: vec![(
                "exception.message".to_owned(),
                Value::Text("no route to host".to_owned()),
            )],
        });
        check(
            spans,
            &["payout answered 502", "shop s21: no route to host"],
        );
    }

    #[test]
    fn a_span_that_failed_alone_is_told_by_its_outcome() {
        check(vec![failed(span(1, 0, 0, 10), "")], &["shop s1: error"]);
        check(vec![failed(span(1, 0, 0, 10), "boom")], &["shop s1: boom"]);
        check(
            vec![span(1, 0, 0, 10), failed(span(2, 1, 0, 10), "lost")],
            &["shop s2: lost"],
        );
    }

    proptest! {
        #[test]
        fn there_is_a_sentence_if_anything_failed(trace in any_trace()) {
            let tree = Tree::of(&trace);
            let causes = causes(&tree);
            let failed = trace.spans.iter().any(has_failed);
            prop_assert_eq!(causes.is_empty(), !failed);
            prop_assert!(causes.len() <= SENTENCES_MAX);
        }
    }
}
