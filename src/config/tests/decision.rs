//! Listeners in decision mode.

use super::{compile, told};
use crate::listener::Dialect;
use crate::proxy::plan::RouteAction;

fn listener(keys: &str) -> String {
    format!(
        "listeners: {{authz: {{address: \"127.0.0.1:0\", {keys}}}}}\n\
         routes: [{{name: all, match: {{prefix: /}}}}]\n"
    )
}

fn deciding(keys: &str) -> String {
    listener(&format!(
        "mode: decision, trusted_proxies: [10.0.0.1], decision: {{{keys}}}"
    ))
}

#[test]
fn every_dialect_has_its_own_path_which_can_be_changed_or_taken_away() {
    let text = deciding("nginx: /ask, traefik: off, envoy: off");

    let plan = compile(&text).unwrap().plan;

    let settings = plan.listeners[0].decision.as_ref().unwrap();
    let path = |dialect| settings.path_of(dialect).map(|path| path.to_string());
    assert_eq!(path(Dialect::Nginx).as_deref(), Some("/ask"));
    assert_eq!(path(Dialect::Traefik), None);
    assert_eq!(path(Dialect::Envoy), None);
    assert_eq!(path(Dialect::Caddy).as_deref(), Some("/auth/caddy"));
    assert!(matches!(plan.routes[0].1.action, RouteAction::Nothing));
}

/// CVE-2026-40575
#[test]
fn a_listener_that_decides_for_nobody_in_particular_is_refused() {
    let problems = told(&listener("mode: decision"));

    assert_eq!(
        problems,
        [("E0332", "listener `authz` decides for nobody".to_owned())]
    );
}

#[test]
fn a_route_of_a_gateway_needs_an_action_also_beside_a_listener_that_decides() {
    let problems = told(
        "listeners:\n\
         \x20 web: {address: \"127.0.0.1:0\"}\n\
         \x20 authz: {address: \"127.0.0.1:0\", mode: decision, trusted_proxies: [10.0.0.1]}\n\
         routes: [{name: all, match: {prefix: /}}]\n",
    );

    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].0, "E0106");
}

#[test]
fn paths_to_ask_at_are_plain_and_apart() {
    let id = |keys: &str| told(&deciding(keys)).first().map(|one| one.0);

    assert_eq!(id("nginx: ask"), Some("E0308"));
    assert_eq!(id("nginx: /"), Some("E0308"));
    assert_eq!(id("nginx: /a/"), Some("E0308"));
    assert_eq!(id("nginx: /%61"), Some("E0308"));
    assert_eq!(id("nginx: /auth/caddy"), Some("E0202"));
    assert_eq!(id("nginx: /auth/envoy/ask"), Some("E0202"));
    assert_eq!(id("envoy: /auth"), Some("E0202"));
    assert_eq!(
        id("nginx: off, traefik: off, caddy: off, envoy: off, haproxy: off, envoy_grpc: off"),
        Some("E0107")
    );
    assert_eq!(id("nginx: /ask/nginx"), None);
}

#[test]
fn endpoints_of_a_gateway_have_no_effect() {
    let text = "listeners: {web: {address: \"127.0.0.1:0\", decision: {nginx: off}}}\n\
                upstreams: {app: {endpoints: [\"http://127.0.0.1:3000\"]}}\n\
                routes: [{name: all, match: {prefix: /}, upstream: app}]\n";

    assert_eq!(told(text)[0].0, "W0402");
}
