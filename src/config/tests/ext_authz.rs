//! Authorizers over gRPC, and hosts that ask so.

use super::*;
use crate::auth::Means;
use crate::upstream::EndpointProtocol;

fn text(forward: &str) -> String {
    format!(
        "listeners: {{web: {{address: \"127.0.0.1:0\"}}}}\n\
         upstreams: {{app: {{endpoints: [\"http://127.0.0.1:1\"]}}, \
         opa: {{endpoints: [\"h2c://127.0.0.1:2\"]}}}}\n\
         auth: {{opa: {{forward: {{{forward}}}}}}}\n\
         routes: [{{name: a, upstream: app, auth: opa}}]\n"
    )
}

#[track_caller]
fn refuse(forward: &str, id: &str) {
    let told = told(&text(forward));
    let ids: Vec<_> = told.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, [id], "{forward}: {told:?}");
}

#[test]
fn an_authorizer_over_grpc_speaks_http_2_whatever_its_url_says_and_sees_everything() {
    for (forward, upstream) in [
        ("url: \"http://127.0.0.1:9191\", dialect: grpc", "auth.opa"),
        ("upstream: opa, dialect: grpc", "opa"),
    ] {
        let plan = compile(&text(forward)).ok().unwrap().plan;

        let asked = plan.upstreams.iter().find(|one| *one.name == *upstream);
        let endpoint = &asked.unwrap().endpoints[0];
        assert_eq!(endpoint.source.protocol(), EndpointProtocol::H2c);
        let Means::Forward(settings) = &plan.policies[0].means else {
            panic!("it asks");
        };
        assert_eq!(settings.request_headers, [crate::auth::FieldPattern::All]);
    }
}

#[test]
fn what_has_no_effect_over_grpc_is_told() {
    refuse("upstream: app, dialect: grpc", "E0318");
    refuse("upstream: opa, dialect: grpc, path: /a", "E0318");
    refuse("url: \"http://127.0.0.1:1/auth\", dialect: grpc", "E0318");
    refuse("upstream: app, metadata_attributes: [a]", "E0318");
    refuse(
        "upstream: opa, dialect: grpc, metadata_attributes: [\"a b\"]",
        "E0318",
    );
    let many = vec!["a"; 33].join(",");
    let over = format!("upstream: opa, dialect: grpc, metadata_attributes: [{many}]");
    assert_eq!(told(&text(&over)).len(), 1);
    let most = vec!["a"; 32].join(",");
    let most = format!("upstream: opa, dialect: grpc, metadata_attributes: [{most}]");
    assert!(told(&text(&most)).is_empty());
}

#[test]
fn a_host_asks_over_grpc_at_one_path_or_not_at_all() {
    let text = |path: &str| {
        format!(
            "listeners: {{authz: {{address: \"127.0.0.1:0\", mode: decision, \
             trusted_proxies: [127.0.0.1], decision: {{envoy_grpc: {path}}}}}}}\n\
             routes: [{{name: a}}]\n"
        )
    };

    assert!(told(&text("off")).is_empty());
    let own = "/envoy.service.auth.v3.Authorization/Check";
    assert!(told(&text(own)).is_empty());
    assert_eq!(told(&text("/check")).len(), 1);
}
