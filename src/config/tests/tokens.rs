//! Policies by token, and what is required of clients.

use super::*;
use crate::auth::jwt::{JwtSettings, TokenPlace};
use crate::auth::{EmailPattern, Means};
use crate::config::Plan;
use std::sync::Arc;
use std::time::Duration;

fn text(jwt: &str, rest: &str) -> String {
    format!("{BASE}auth: {{api: {{jwt: {jwt}}}}}\n{rest}\n")
}

#[track_caller]
fn take(jwt: &str, rest: &str) -> Plan {
    let loaded = compile(&text(jwt, rest));
    let loaded = loaded.map_err(|refused| refused.report.render(Look::default()));
    loaded.unwrap_or_else(|report| panic!("{report}")).plan
}

#[track_caller]
fn settings(jwt: &str) -> JwtSettings {
    let plan = take(jwt, "");
    match &plan.policies[0].means {
        Means::Jwt(settings) => (**settings).clone(),
        other @ (Means::Ip(_)
        | Means::ApiKey(_)
        | Means::Basic(_)
        | Means::ClientCert(_)
        | Means::Forward(_)
        | Means::Oidc(_)) => panic!("{other:?}"),
    }
}

#[track_caller]
fn refuse(jwt: &str, rest: &str, id: &str) {
    let told = told(&text(jwt, rest));
    let ids: Vec<_> = told.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, [id], "{jwt} {rest}: {told:?}");
}

const ISSUER: &str = "issuer: 'https://id.example.com', audiences: orders";

#[test]
fn an_issuer_and_an_audience_are_enough() {
    let settings = settings(&format!("{{{ISSUER}}}"));

    assert_eq!(
        &*settings.issuers[0].provider.issuer,
        "https://id.example.com"
    );
    assert_eq!(settings.issuers[0].audiences, [Arc::from("orders")]);
    assert_eq!(settings.issuers[0].algorithms.len(), 9);
    assert_eq!(settings.from, [TokenPlace::Bearer]);
    assert_eq!(settings.leeway.as_secs(), 30);
    assert!(settings.forward && settings.types.is_empty() && settings.age_max.is_none());
}

#[test]
fn a_claim_is_found_by_its_path_and_a_name_with_dots_in_quotes() {
    let settings = settings(&format!(
        "{{{ISSUER}, subject: a.b, groups: [realm.roles, '\"https://x.example/r\"']}}"
    ));

    assert_eq!(*settings.subject, [Box::from("a"), Box::from("b")]);
    assert_eq!(
        *settings.groups[0],
        [Box::from("realm"), Box::from("roles")]
    );
    assert_eq!(*settings.groups[1], [Box::from("https://x.example/r")]);
}

#[test]
fn what_makes_no_policy_of_tokens_is_refused() {
    for jwt in [
        "{audiences: orders}",
        "{issuer: 'https://id.example.com'}",
        "{issuer: 'not an address', audiences: orders}",
    ] {
        assert!(!told(&text(jwt, "")).is_empty(), "{jwt}");
    }
    for more in [
        "from: [{header: Authorization}]",
        "from: [{cookie: 'a b'}]",
        "algorithms: [HS256]",
        "algorithms: [none]",
        "subject: 'a..b'",
        "require: {emails: [example.com]}",
        "require: {scopes: ['a b']}",
    ] {
        refuse(&format!("{{{ISSUER}, {more}}}"), "", "E0318");
    }
    refuse(&format!("{{{ISSUER}, from: [cookie]}}"), "", "E0104");
    let twice = format!("{{issuers: [{{{ISSUER}}}, {{{ISSUER}}}]}}");
    assert!(!told(&text(&twice, "")).is_empty());
    let two = "{issuers: [\
        {issuer: 'https://a.example.com', audiences: x, introspection: {client_id: e}}, \
        {issuer: 'https://b.example.com', audiences: x, introspection: {client_id: e}}]}";
    refuse(two, "", "E0318");
}

#[test]
fn what_is_said_of_an_issuer_beside_issuers_is_refused_and_not_passed_over() {
    let issuers = format!("issuers: [{{{ISSUER}}}]");
    for beside in [
        "audiences: orders",
        "jwks: {url: 'https://id.example.com/keys'}",
        "algorithms: [ES256]",
        "introspection: {client_id: edge}",
        "tls: {ca: /etc/ca.pem}",
        "timeout: 1s",
        "refresh: 5m",
    ] {
        refuse(&format!("{{{issuers}, {beside}}}"), "", "E0318");
    }
    let both = settings(&format!("{{{issuers}, leeway: 1s, groups: [roles]}}"));
    assert_eq!(both.leeway, Duration::from_secs(1));
}

#[test]
fn a_route_requires_beside_its_policy() {
    let plan = take(
        &format!("{{{ISSUER}, require: {{scopes: [a]}}}}"),
        "routes: [{name: a, upstream: app, auth: [{policy: api, require: {emails: ['@Example.com']}}]}]",
    );

    let own = plan.policies[0].require.as_ref().unwrap();
    assert_eq!(own.scopes, [Arc::from("a")]);
    let used = &plan.routes[0].1.auth.as_ref().unwrap().any[0][0];
    let emails = &used.require.as_ref().unwrap().emails;
    assert_eq!(*emails, [EmailPattern::Domain("example.com".into())]);
}

/// A list that somebody empties, or a template fills with nothing, must not let everybody pass.
#[test]
fn an_empty_list_is_no_requirement_and_is_refused() {
    for list in ["scopes", "groups", "emails", "acr", "amr"] {
        let require = format!("require: {{{list}: []}}");
        assert!(
            !told(&text(&format!("{{{ISSUER}, {require}}}"), "")).is_empty(),
            "{list}"
        );
        let route =
            format!("routes: [{{name: a, upstream: app, auth: [{{policy: api, {require}}}]}}]");
        assert!(
            !told(&text(&format!("{{{ISSUER}}}"), &route)).is_empty(),
            "{list}"
        );
    }
}

#[test]
fn attributes_of_an_identity_are_bounded_and_keep_off_the_names_of_others() {
    let attributes = |all: &str| format!("identity: {{span_attributes: {{{all}}}}}");
    let jwt = format!("{{{ISSUER}}}");
    let plan = take(
        &jwt,
        &format!(
            "{}\nroutes: [{{name: a, upstream: app, auth: api}}]",
            attributes("app.unit: claims.org.unit")
        ),
    );
    let identity = plan.routes[0].1.identity.as_ref().unwrap();
    assert_eq!(&*identity.span_attributes[0].0, "app.unit");
    for all in ["http.x: subject", "edgespan.x: subject", "app.x: nothing"] {
        assert!(!told(&text(&jwt, &attributes(all))).is_empty(), "{all}");
    }
    let many = |count: usize| {
        let all: Vec<String> = (0..count).map(|n| format!("app.a{n}: subject")).collect();
        told(&text(&jwt, &attributes(&all.join(", ")))).len()
    };
    assert_eq!((many(16), many(17)), (0, 1));
}
