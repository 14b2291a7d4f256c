//! Promises of `arrival`, `cloudflare` and `root_from`.

use super::*;
use crate::ratelimit::Quota;
use std::net::IpAddr;
use std::time::Duration;

const SECRET: &str = "a secret that both ends know";

fn with(variables: &[(&str, &str)], lines: &str) -> Result<Loaded, Refused> {
    compile_with(&format!("{BASE}{lines}\n"), variables)
}

fn ids(variables: &[(&str, &str)], lines: &str) -> Vec<&'static str> {
    let report = match with(variables, lines) {
        Ok(loaded) => loaded.warnings,
        Err(refused) => refused.report,
    };
    report
        .diagnostics()
        .iter()
        .map(|one| one.code.id())
        .collect()
}

#[test]
fn nobody_is_told_what_arrived_unless_the_file_says_so() {
    assert!(with(&[], "").unwrap().plan.arrival.is_none());
    let own = [("A", SECRET), ("B", "another secret of theirs")];
    let lines = "arrival: {secrets: [{env: A}, {env: B}], rate: 30/m}";

    let arrival = with(&own, lines).unwrap().plan.arrival.unwrap();

    assert_eq!(arrival.secrets.len(), 2);
    assert_eq!(arrival.quota, Quota::new(30, Duration::from_secs(60), 30));
    let quick = with(&own, "arrival: {secrets: [{env: A}], rate: 6000/m}").unwrap();
    let quota = quick.plan.arrival.unwrap().quota;
    assert_eq!(quota.burst(), 100, "no more than can be remembered");
    let default = with(&own, "arrival: {secrets: [{env: A}]}").unwrap();
    let quota = default.plan.arrival.unwrap().quota;
    assert_eq!(quota, Quota::new(10, Duration::from_secs(1), 10));
}

#[test]
fn a_secret_that_can_be_guessed_is_refused_and_never_shown() {
    let ids = |text: &str, lines: &str| ids(&[("A", text), ("B", SECRET)], lines);
    let one = "arrival: {secrets: [{env: A}]}";

    assert_eq!(ids("0123456789abcde", one), ["E0313"]);
    assert_eq!(ids("0123456789abcdef", one), [""; 0]);
    assert_eq!(
        ids(SECRET, "arrival: {secrets: [{env: A}, {env: B}]}"),
        ["E0202"]
    );
    assert_eq!(ids(SECRET, "arrival: {secrets: []}"), ["E0107"]);
    assert_eq!(ids(SECRET, "arrival: {}"), ["E0102"]);
    assert_eq!(
        ids(SECRET, "arrival: {secrets: [plain text in the file]}"),
        ["E0103"]
    );
    assert_eq!(
        ids(SECRET, "arrival: {secrets: [{env: A}], rate: 101/s}"),
        ["E0105"]
    );
    assert_eq!(
        ids(SECRET, "arrival: {secrets: [{env: A}], rate: fast}"),
        ["E0341"]
    );
    let loaded = with(&[("A", SECRET)], one).unwrap();
    assert!(!loaded.plan.text.contains(SECRET));
    assert!(!format!("{:?}", loaded.plan.arrival).contains(SECRET));
}

#[test]
fn cloudflare_is_trusted_at_its_addresses_in_a_tunnel_or_where_the_file_says() {
    let trusts = |listener: &str, address: &str| {
        let text = format!("listeners: {{web: {{address: '127.0.0.1:0', {listener}}}}}\n");
        let listener = compile(&text).unwrap().plan.listeners.remove(0);
        let address: IpAddr = address.parse().unwrap();
        let edge = listener
            .cloudflare
            .is_some_and(|peers| peers.trusts(address));
        (listener.trusted_proxies.trusts(address), edge)
    };
    let mixed = "cloudflare: edge, trusted_proxies: [10.0.0.1]";
    assert_eq!(trusts(mixed, "104.16.0.1"), (true, true));
    assert_eq!(trusts(mixed, "10.0.0.1"), (true, false));
    assert_eq!(trusts(mixed, "127.0.0.1"), (false, false));
    let tunnel = "cloudflare: tunnel, trusted_proxies: [10.0.0.1]";
    assert_eq!(trusts(tunnel, "127.0.0.1"), (true, true));
    assert_eq!(trusts(tunnel, "10.0.0.1"), (true, true));
    assert_eq!(trusts(tunnel, "104.16.0.1"), (false, false));
    let own = "cloudflare: {from: [192.0.2.0/24]}";
    assert_eq!(trusts(own, "192.0.2.7"), (true, true));
    assert_eq!(trusts(own, "104.16.0.1"), (false, false));
    for (listener, id) in [
        ("cloudflare: yes", "E0104"),
        ("cloudflare: {from: []}", "E0107"),
        ("cloudflare: {from: [there]}", "E0304"),
        (
            "mode: decision, trusted_proxies: [127.0.0.1], cloudflare: edge",
            "W0402",
        ),
    ] {
        let text = format!("listeners: {{web: {{address: '127.0.0.1:0', {listener}}}}}\n");
        assert_eq!(told(&text)[0].0, id, "{listener}");
    }
}

#[test]
fn traces_are_rooted_from_headers_that_somebody_is_trusted_to_write() {
    let web = "listeners: {web: {address: '127.0.0.1:0', cloudflare: tunnel}}\n";
    let text = |from: &str| format!("{web}propagation: {{root_from: [{from}]}}\n");

    let loaded = compile(&text("CF-Ray, x-request-id")).unwrap();

    assert!(!loaded.plan.tracing.root_from.is_empty());
    assert!(loaded.warnings.diagnostics().is_empty());
    assert_eq!(told(&text("cf-ray, CF-RAY"))[0].0, "E0202");
    assert_eq!(told(&text("a b"))[0].0, "E0306");
    assert_eq!(told(&text("a, b, c, d, e, f, g, h, i"))[0].0, "E0105");
    assert_eq!(
        told(&format!("{BASE}propagation: {{root_from: [cf-ray]}}"))[0].0,
        "W0402"
    );
}

#[test]
fn a_credential_is_no_attribute_of_a_flow() {
    for header in ["cookie", "Authorization", "cf-access-jwt-assertion"] {
        let text = format!(
            "{BASE}flows: {{pay: {{attributes: {{app.who: {{request_header: {header}}}}}}}}}\n"
        );
        assert_eq!(told(&text)[0].0, "E0315", "{header}");
    }
}
