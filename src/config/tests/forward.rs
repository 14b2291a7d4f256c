//! What `forward` and a route's `{policy: ...}` can say.

use super::*;
use crate::auth::{BodyRule, Dialect, ForwardSettings, Means, OnFailure};
use std::time::Duration;

fn text(forward: &str, auth: &str) -> String {
    format!(
        "{BASE}auth: {{a: {{forward: {forward}}}, b: {{ip: [10.0.0.0/8]}}}}\n\
         routes: [{{name: r, upstream: app, auth: {auth}}}]\n"
    )
}

#[track_caller]
fn settings(forward: &str, auth: &str) -> ForwardSettings {
    let text = text(forward, auth);
    let Ok(Loaded { plan, .. }) = compile(&text) else {
        panic!("{forward} {auth}: {:?}", told(&text));
    };
    let mut policies = plan.policies.into_iter();
    let means = policies.next().unwrap().means;
    let Means::Forward(settings) = means else {
        panic!("{means:?}");
    };
    *settings
}

#[track_caller]
fn check(forward: &str, auth: &str, id: &str) {
    let told = told(&text(forward, auth));
    let ids: Vec<_> = told.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, [id], "{forward} {auth}: {told:?}");
}

const URL: &str = "{url: 'http://127.0.0.1:4180/auth'}";

#[test]
fn every_setting_has_a_default() {
    let default = settings(URL, "a");

    assert_eq!(default.dialect, Dialect::AuthRequest);
    assert_eq!(default.path, "/auth");
    assert_eq!(default.retries, 1);
    assert_eq!(default.rules.timeout, Duration::from_millis(300));
    assert_eq!(default.rules.on_failure, OnFailure::Closed);
    assert_eq!(default.rules.body, None);
    assert_eq!(default.request_headers.len(), 8);
    assert!(default.identity_headers.is_empty() && default.overrides.is_empty());
}

#[test]
fn a_route_says_otherwise_and_the_rest_stays() {
    let forward = "{url: 'http://a/auth', timeout: 1s, on_failure: open, \
                   body: {bytes: 1KiB, too_large: refuse}, context: {x-a: '1', x-b: '1'}}";
    let auth = "[b, {policy: a, timeout: 2s, context: {x-b: '2'}}]";

    let settings = settings(forward, auth);

    let (own, base) = (settings.rules("r"), settings.rules("other"));
    assert_eq!((own.timeout.as_secs(), base.timeout.as_secs()), (2, 1));
    assert_eq!(own.on_failure, OnFailure::Open);
    let rule = BodyRule {
        bytes_max: 1024,
        refuses_larger: true,
    };
    assert_eq!((own.body, base.body), (Some(rule), Some(rule)));
    let context = |rules: &crate::auth::ForwardRules| {
        let told = rules.context.iter();
        told.map(|(name, value)| format!("{name:?}={value:?}"))
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(context(own).matches("\"1\"").count(), 1);
    assert_eq!(context(own).matches("\"2\"").count(), 1);
    assert_eq!(context(base).matches("\"1\"").count(), 2);
}

#[test]
fn a_route_may_switch_the_body_off() {
    let forward = "{url: 'http://a/auth', body: {bytes: 1KiB}}";

    let settings = settings(forward, "[{policy: a, body: {bytes: off}}]");

    assert_eq!(settings.rules("r").body, None);
    assert!(settings.rules.body.is_some());
}

#[test]
fn what_makes_no_sense_is_refused() {
    for (more, id) in [
        ("timeout: 0s", "E0301"),
        ("retries: 6", "E0105"),
        ("failure_status: 200", "E0311"),
        ("failure_status: 302", "E0311"),
        ("failure_status: 600", "E0105"),
        ("identity_headers: '*'", "E0306"),
        ("identity_headers: host", "E0306"),
        ("identity_headers: content-length", "E0306"),
        ("identity_headers: 'a b*'", "E0306"),
        ("answer_headers: connection", "E0306"),
        ("body: {bytes: 17MiB}", "E0105"),
        ("body: {too_large: refuse}", "E0102"),
        ("dialect: nginx", "E0104"),
        ("on_failure: maybe", "E0104"),
        ("path: /x", "E0318"),
        ("upstream: app", "E0106"),
    ] {
        check(&format!("{{url: 'http://a/auth', {more}}}"), "a", id);
    }
    check("{url: 'http://a/auth?x=1', dialect: envoy}", "a", "E0308");
    check("{upstream: app, path: auth}", "a", "E0308");
}

#[test]
fn bounds_are_taken_and_one_less_than_refused() {
    for more in [
        "retries: 5",
        "failure_status: 400",
        "failure_status: 599",
        "body: {bytes: 16MiB}",
        "request_headers: '*'",
        "identity_headers: ['x-auth-*']",
    ] {
        settings(&format!("{{url: 'http://a/auth', {more}}}"), "a");
    }
    settings("{url: 'http://a/auth?allowed_groups=x'}", "a");
}

#[test]
fn a_route_overrides_only_what_a_policy_has() {
    check(URL, "[{policy: b, timeout: 1s}]", "E0318");
    check(URL, "[{all: [a], timeout: 1s}]", "E0318");
    check(URL, "[{policy: a, all: [b]}]", "E0106");
    check(URL, "[{policy: c}]", "E0201");
    check(
        URL,
        "[{policy: a, timeout: 1s}, {policy: a, timeout: 2s}]",
        "E0202",
    );
}

#[test]
fn an_authorizer_behind_our_own_listener_is_warned_of() {
    for (url, listener, warned) in [
        ("http://127.0.0.1:8080/auth", "127.0.0.1:8080", true),
        ("http://localhost:8080/auth", "0.0.0.0:8080", true),
        ("http://[::1]:8080/auth", "'[::]:8080'", true),
        ("http://127.0.0.1:8081/auth", "127.0.0.1:8080", false),
        ("http://10.0.0.1:8080/auth", "127.0.0.1:8080", false),
        ("http://auth.example:8080/auth", "0.0.0.0:8080", false),
    ] {
        let text = format!(
            "listeners: {{w: {{address: {listener}}}}}\nupstreams: {{app: {{endpoints: ['http://127.0.0.1:3000']}}}}\n\
             auth: {{a: {{forward: {{url: '{url}'}}}}}}\nroutes: [{{name: r, upstream: app, auth: a}}]\n"
        );
        let told = told(&text);
        assert_eq!(
            told.iter().any(|(id, _)| *id == "W0420"),
            warned,
            "{url} {told:?}"
        );
    }
}

#[test]
fn the_names_of_the_policies_are_told_where_one_is_unknown() {
    let shown = shown(&text(URL, "nobodys"), Look::default());

    assert!(shown.contains("help: policies: a, b"), "{shown}");
}
