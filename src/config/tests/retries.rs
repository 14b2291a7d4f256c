//! What `retries` can say.

use super::*;
use crate::upstream::{Cause, RetryOn, RetryPolicy};
use http::StatusCode;
use std::time::Duration;

fn text(retries: &str) -> String {
    format!("{BASE}routes: [{{name: a, upstream: app, retries: {retries}}}]\n")
}

#[track_caller]
fn policy(retries: &str) -> RetryPolicy {
    let Ok(Loaded { plan, .. }) = compile(&text(retries)) else {
        panic!("{retries}: {:?}", told(&text(retries)));
    };
    let policy = plan.routes[0].1.retries.as_deref();
    policy.expect("a policy").clone()
}

#[track_caller]
fn refuse(retries: &str, id: &str) {
    let told = told(&text(retries));
    let ids: Vec<_> = told.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, [id], "{retries}: {told:?}");
}

#[test]
fn every_setting_has_a_default() {
    assert_eq!(policy("{on: [503], attempts: 1}").budget, 0.2);
    let default = policy("{budget: 0.2}");
    assert_eq!(default, RetryPolicy::default());
    assert!(default.covers(Cause::Connect));
    assert!(!default.covers(Cause::Status(StatusCode::BAD_GATEWAY)));
}

#[test]
fn conditions_are_words_and_statuses() {
    let status = |code| Cause::Status(StatusCode::from_u16(code).unwrap());
    let gateway = policy("{on: [gateway_error, 429]}");
    for code in [502, 503, 504, 429] {
        assert!(gateway.covers(status(code)));
    }
    assert!(!gateway.covers(status(500)));
    assert_eq!(policy("{on: [5xx]}").on, [RetryOn::ServerError]);
    assert!(policy("{on: [400, 599]}").covers(status(599)));
    for word in ["399", "600", "4xx", "Connect", "always", "\"\"", "-1"] {
        refuse(&format!("{{on: [{word}]}}"), "E0104");
    }
}

#[test]
fn numbers_have_bounds() {
    assert_eq!(policy("{attempts: 0}").attempts_max, 0);
    assert_eq!(policy("{attempts: 20}").attempts_max, 20);
    refuse("{attempts: 21}", "E0105");
    refuse("{attempts: -1}", "E0105");
    refuse("{budget: 1.1}", "E0105");
    refuse("{per_try_timeout: 0s}", "E0301");
    refuse("{backoff: {base: 1s, max: 500ms}}", "E0318");
    refuse("{hedge: {after: 1s, attempts: 0}}", "E0105");
    refuse("{hedge: {after: 1s, attempts: 11}}", "E0105");
    refuse("{hedge: {attempts: 1}}", "E0102");
    assert_eq!(
        policy("{backoff: {base: 1s}}").backoff.max,
        Duration::from_secs(1)
    );
    let hedge = policy("{hedge: {after: 1s, attempts: 10}}").hedge.unwrap();
    assert_eq!(
        (hedge.after, hedge.attempts_max),
        (Duration::from_secs(1), 10)
    );
}

#[test]
fn a_route_that_forwards_nothing_retries_nothing() {
    let text = format!("{BASE}routes: [{{name: a, answer: {{status: 200}}, retries: {{}}}}]\n");
    let ids: Vec<_> = told(&text).into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, ["E0318"]);
}
