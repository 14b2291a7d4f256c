//! How endpoints, balancing and name resolution are read.

use super::*;
use crate::upstream::{Algorithm, ClusterSettings, Families, HashSource};
use std::time::Duration;

fn text(upstream: &str) -> String {
    format!(
        "listeners: {{web: {{address: \"127.0.0.1:0\"}}}}\n\
         upstreams: {{app: {{{upstream}}}}}\n\
         routes: [{{name: all, upstream: app}}]\n"
    )
}

#[track_caller]
fn refuse(upstream: &str, id: &str) {
    let told = told(&text(upstream));
    let ids: Vec<_> = told.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, [id], "{upstream}: {told:?}");
}

#[track_caller]
fn app_with(upstream: &str, variables: &[(&str, &str)]) -> ClusterSettings {
    let loaded = compile_with(&text(upstream), variables);
    let loaded = loaded.unwrap_or_else(|refused| {
        panic!("{upstream}\n{}", refused.report.render(Look::default()));
    });
    assert_eq!(loaded.warnings.diagnostics(), [], "{upstream}");
    loaded.plan.upstreams.into_iter().next().unwrap()
}

#[track_caller]
fn app(upstream: &str) -> ClusterSettings {
    app_with(upstream, &[])
}

const ONE: &str = "endpoints: ['http://a.example']";

#[test]
fn an_endpoint_is_a_url_or_a_url_with_weight_and_zone() {
    let app = app(
        "endpoints: ['http://a.example', {url: 'https://b.example', weight: 3, \
                   zone: eu-1a}, 'srv+h2c://_grpc._tcp.example.com', 'unix:/run/app.sock']",
    );

    let seen: Vec<_> = app
        .endpoints
        .iter()
        .map(|one| (one.source.to_string(), one.weight, one.zone.as_deref()))
        .collect();
    let expected = [
        ("http://a.example:80".to_owned(), 1, None),
        ("https://b.example:443".to_owned(), 3, Some("eu-1a")),
        ("srv+h2c://_grpc._tcp.example.com".to_owned(), 1, None),
        ("unix:/run/app.sock".to_owned(), 1, None),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn what_is_not_an_endpoint_is_told_at_its_place() {
    refuse("endpoints: [{url: 'srv+http://a:80'}]", "E0305");
    refuse("endpoints: [{weight: 2}]", "E0102");
    refuse("endpoints: [{url: 'http://a', wieght: 2}]", "E0101");
    refuse("endpoints: [{url: 'http://a', zone: ' '}]", "E0107");
    for (weight, fits) in [(0, false), (1, true), (1_000, true), (1_001, false)] {
        let upstream = format!("endpoints: [{{url: 'http://a', weight: {weight}}}]");
        assert_eq!(compile(&text(&upstream)).is_ok(), fits, "{weight}");
    }
}

#[test]
fn balancing_is_a_word_or_a_hash() {
    let read = |balance: &str| app(&format!("{ONE}, balance: {balance}")).balance.algorithm;

    assert_eq!(app(ONE).balance.algorithm, Algorithm::RoundRobin);
    assert_eq!(read("round_robin"), Algorithm::RoundRobin);
    assert_eq!(read("least_request"), Algorithm::LeastRequest);
    assert_eq!(
        read("{hash: address}"),
        Algorithm::Hash(HashSource::Address)
    );
    let header = HashSource::Header(http::HeaderName::from_static("x-user"));
    assert_eq!(read("{hash: {header: X-User}}"), Algorithm::Hash(header));
    let cookie = HashSource::Cookie("sid".into());
    assert_eq!(read("{hash: {cookie: sid}}"), Algorithm::Hash(cookie));
}

#[test]
fn what_is_no_balancing_is_refused() {
    refuse(&format!("{ONE}, balance: least_requests"), "E0104");
    refuse(&format!("{ONE}, balance: {{}}"), "E0102");
    refuse(&format!("{ONE}, balance: {{hash: cookie}}"), "E0104");
    refuse(&format!("{ONE}, balance: {{hash: {{}}}}"), "E0106");
    refuse(
        &format!("{ONE}, balance: {{hash: {{header: a, cookie: b}}}}"),
        "E0106",
    );
    refuse(
        &format!("{ONE}, balance: {{hash: {{header: 'a b'}}}}"),
        "E0306",
    );
    refuse(
        &format!("{ONE}, balance: {{hash: {{cookie: 'a=b'}}}}"),
        "E0306",
    );
    refuse(&format!("{ONE}, panic_threshold: 1.1"), "E0105");
    refuse(&format!("{ONE}, slow_start: soon"), "E0301");
}

#[test]
fn slow_start_and_panic_have_defaults() {
    let default = app(ONE).balance;
    assert_eq!((default.slow_start, default.panic_threshold), (None, 0.5));

    let chosen = app(&format!("{ONE}, slow_start: 30s, panic_threshold: 0")).balance;
    assert_eq!(chosen.slow_start, Some(Duration::from_secs(30)));
    assert_eq!(chosen.panic_threshold, 0.0);
}

#[test]
fn the_own_zone_is_written_or_known_from_the_resource() {
    let endpoints = "endpoints: [{url: 'http://a', zone: z1}, {url: 'http://b', zone: z2}]";
    let written = format!("{endpoints}, zone: z1");
    let resource = [("OTEL_RESOURCE_ATTRIBUTES", "cloud.availability_zone=z2")];

    let zone = |app: ClusterSettings| app.balance.zone;

    assert_eq!(zone(app(endpoints)), None);
    assert_eq!(zone(app(&written)).as_deref(), Some("z1"));
    assert_eq!(zone(app_with(endpoints, &resource)).as_deref(), Some("z2"));
    assert_eq!(zone(app_with(&written, &resource)).as_deref(), Some("z1"));
    refuse(&format!("{endpoints}, zone: z3"), "W0402");
}

#[test]
fn name_resolution_has_bounds() {
    let default = app(ONE).dns;
    assert_eq!(default.refresh_min, Duration::from_secs(5));
    assert_eq!(default.refresh_max, Duration::from_secs(300));

    let chosen = app(&format!(
        "{ONE}, dns: {{refresh_min: 1s, refresh_max: 1s, servers: [10.0.0.53, '[::1]:5353'], \
         families: v4, timeout: 300ms}}"
    ));

    let servers: Vec<_> = chosen.dns.servers.iter().map(ToString::to_string).collect();
    assert_eq!(servers, ["10.0.0.53:53", "[::1]:5353"]);
    assert_eq!(chosen.dns.families, Families::V4);
    assert_eq!(chosen.dns.timeout, Some(Duration::from_millis(300)));
    refuse(
        &format!("{ONE}, dns: {{refresh_min: 2s, refresh_max: 1s}}"),
        "E0105",
    );
    refuse(&format!("{ONE}, dns: {{servers: [dns.example]}}"), "E0303");
    refuse(&format!("{ONE}, dns: {{families: v5}}"), "E0104");
    refuse(
        "endpoints: ['http://127.0.0.1:1'], dns: {families: v4}",
        "W0402",
    );
}
