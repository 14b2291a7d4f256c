//! What origins learn of who a client is, and limits that go by it.

use super::*;
use crate::auth::IdentityPart;

const AUTH: &str = "auth: {net: {ip: [127.0.0.0/8]}}\n";

/// One problem, told with this id, of a file with these lines.
#[track_caller]
fn refuse(lines: &str, id: &str) {
    let told = told(&format!("{BASE}{AUTH}{lines}\n"));
    let ids: Vec<_> = told.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, [id], "{lines}: {told:?}");
}

#[track_caller]
fn take(lines: &str) -> Loaded {
    let loaded = compile(&format!("{BASE}{AUTH}{lines}\n"));
    let loaded = loaded.map_err(|refused| refused.report.render(Look::default()));
    loaded.unwrap_or_else(|report| panic!("{lines}\n{report}"))
}

fn headers(fields: &str) -> String {
    format!("identity: {{headers: {{{fields}}}}}")
}

#[test]
fn headers_say_parts_of_an_identity() {
    let plan = take(
        "identity: {headers: {X-User: subject, x-mail: claims.email}, separator: '; '}\n\
         routes: [{name: a, upstream: app, auth: net}, {name: b, match: {prefix: /b}, \
         upstream: app, auth: net, identity: {headers: {x-team: groups}}}]",
    )
    .plan;

    let of = |route: &str| {
        let (_, plan) = plan
            .routes
            .iter()
            .find(|(_, one)| *one.name == *route)
            .unwrap();
        plan.identity.clone().unwrap()
    };
    let own: Vec<_> = of("a")
        .headers
        .iter()
        .map(|(_, part)| part.clone())
        .collect();
    let mail = IdentityPart::Claim(Box::new(["email".into()]));
    assert_eq!(own, [IdentityPart::Subject, mail]);
    assert_eq!(&*of("a").separator, "; ");
    assert_eq!(of("b").headers.len(), 1);
    let reserved: Vec<_> = plan
        .reserved
        .names()
        .iter()
        .map(|name| name.as_str())
        .collect();
    assert_eq!(
        reserved,
        ["x-user", "x-mail", "x-team"],
        "those of every route"
    );
}

#[test]
fn a_header_that_requests_need_names_no_identity() {
    for name in [
        "authorization",
        "Cookie",
        "host",
        "traceparent",
        "x-b3-traceid",
        "x-forwarded-user",
        "x_forwarded_for",
        "forwarded",
        "origin",
    ] {
        refuse(&headers(&format!("{name}: subject")), "E0306");
    }
    refuse(&headers("x-user: name"), "E0104");
    refuse(&headers("x-user: subject, x_user: groups"), "E0202");
    refuse("identity: {separator: \"a\\nb\"}", "E0306");
    refuse("identity: {separator: ' '}", "E0306");
}

#[test]
fn an_identity_of_a_route_without_auth_has_no_effect() {
    refuse(
        "routes: [{name: a, upstream: app, identity: {headers: {x-user: subject}}}, \
         {name: b, match: {path: /b}, upstream: app, auth: net}]",
        "W0402",
    );
}

#[test]
fn a_limit_by_identity_belongs_to_a_route_that_requires_something() {
    let limits = "rate_limits: {per-user: {rate: 1/s, key: [identity]}, \
                  per-key: {rate: 1/s, key: [api_key, address]}}\n";
    let listener = |limit: &str| {
        let listeners =
            format!("listeners: {{web: {{address: \"127.0.0.1:0\", rate_limits: [{limit}]}}}}\n");
        let told = told(&format!(
            "{}{limits}",
            BASE.replace(BASE.lines().next().unwrap(), &listeners)
        ));
        told.iter().map(|(id, _)| *id).collect::<Vec<_>>()
    };

    assert_eq!(listener("per-user"), ["E0318"]);
    assert_eq!(listener("per-key"), ["E0318"]);
    refuse(
        &format!("{limits}routes: [{{name: a, upstream: app, rate_limits: [per-user]}}]"),
        "E0318",
    );
    take(&format!(
        "{limits}default_auth: net\nroutes: [{{name: a, upstream: app, rate_limits: [per-user]}}]"
    ));
}

#[test]
fn one_map_stands_for_a_list_of_one() {
    let plan = take("routes: [{name: a, upstream: app, auth: {all: [net, net]}}]").plan;

    let (_, route) = &plan.routes[0];
    assert_eq!(route.auth.as_ref().unwrap().any.len(), 1);
}
