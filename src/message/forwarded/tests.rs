//! Who says what of whom, and what of it is believed.

use super::*;
use proptest::prelude::*;

const CF_CONNECTING_IP: HeaderName = HeaderName::from_static("cf-connecting-ip");

fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    lines
        .iter()
        .map(|(name, value)| {
            (
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            )
        })
        .collect()
}

/// From 10.0.0.1 over plain HTTP for host `a:8080`, where 10.0.0.0/8 is trusted.
fn apply(headers: &mut HeaderMap, peer: &str, header: Option<&HeaderName>) -> ClientView {
    let trusted = TrustedPeers::new(vec!["10.0.0.0/8".parse().unwrap()]);
    let policy = ForwardedPolicy {
        trusted: &trusted,
        client_address_header: header,
        cloudflare: None,
        peer_text: None,
    };
    let host = HeaderValue::from_static("a:8080");
    apply_request(headers, peer.parse().unwrap(), "http", Some(&host), &policy)
}

#[track_caller]
fn check(peer: &str, before: &[(&str, &str)], after: &[(&str, &str)]) {
    let mut found = headers(before);

    apply(&mut found, peer, None);

    assert_eq!(found, headers(after));
}

#[test]
fn what_a_stranger_says_of_others_is_replaced_by_what_we_saw() {
    let ours = [
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "a:8080"),
    ];
    for claim in [
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-forwarded-port",
        "x-forwarded-prefix",
        "x-forwarded-server",
        "x-forwarded-uri",
        "X_Forwarded_For",
        "x-forwarded_for",
        "x_forwarded_user",
        "x.forwarded.for",
        "forwarded",
        "x-real-ip",
        "X_Real_IP",
        "cf-connecting-ip",
        "cf_connecting_ip",
        "true-client-ip",
        "x-original-url",
        "x-original-forwarded-for",
        "x-envoy-external-address",
    ] {
        check("192.0.2.1:4711", &[(claim, "6.6.6.6")], &ours);
    }
}

#[test]
fn a_stranger_is_the_client_itself() {
    let mut found = headers(&[
        ("x-forwarded-for", "6.6.6.6"),
        ("x-forwarded-proto", "https"),
    ]);

    let view = apply(
        &mut found,
        "[::ffff:192.0.2.1]:4711",
        Some(&CF_CONNECTING_IP),
    );

    assert_eq!(view.client.to_string(), "192.0.2.1");
    assert_eq!(
        (view.port, view.scheme, view.host),
        (Some(4711), "http", None)
    );
}

#[test]
fn a_trusted_peers_word_is_kept_and_added_to() {
    check(
        "10.0.0.1:80",
        &[
            ("x-forwarded-for", "6.6.6.6"),
            ("x-forwarded-for", "192.0.2.1, 10.2.2.2"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "App.example.com"),
            ("x-forwarded-port", "443"),
            ("forwarded", "for=192.0.2.1"),
            ("forwarded", "for=10.2.2.2"),
            ("x_forwarded_for", "6.6.6.6"),
        ],
        &[
            ("x-forwarded-for", "6.6.6.6, 192.0.2.1, 10.2.2.2, 10.0.0.1"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "app.example.com"),
            ("x-forwarded-port", "443"),
            (
                "forwarded",
                "for=192.0.2.1, for=10.2.2.2, for=10.0.0.1;proto=http;host=\"a:8080\"",
            ),
        ],
    );
}

#[test]
fn what_a_trusted_peer_says_is_what_the_client_asked() {
    let mut found = headers(&[
        ("x-forwarded-for", "6.6.6.6, 192.0.2.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "app.example.com"),
    ]);

    let view = apply(&mut found, "10.0.0.1:80", None);

    assert_eq!(view.client.to_string(), "192.0.2.1");
    assert_eq!((view.port, view.scheme), (None, "https"));
    assert_eq!(
        view.host.as_ref().map(Authority::host),
        Some("app.example.com")
    );
}

#[test]
fn beside_the_older_fields_forwarded_is_the_clients_own_word() {
    let forged = ("forwarded", "for=6.6.6.6;proto=https;host=evil.example");
    for ours in [
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-proto", "http"),
    ] {
        let view = apply(&mut headers(&[ours, forged]), "10.0.0.1:80", None);

        assert_eq!((view.scheme, view.host), ("http", None), "{ours:?}");
    }
    let alone = apply(&mut headers(&[forged]), "10.0.0.1:80", None);

    assert_eq!(alone.scheme, "https");
    assert_eq!(
        alone.host.as_ref().map(Authority::host),
        Some("evil.example")
    );
}

#[test]
fn the_header_of_the_setting_goes_before_the_chain() {
    let lines = [
        ("cf-connecting-ip", "192.0.2.9"),
        ("x-forwarded-for", "192.0.2.1"),
    ];

    let named = apply(&mut headers(&lines), "10.0.0.1:80", Some(&CF_CONNECTING_IP));
    let unnamed = apply(&mut headers(&lines), "10.0.0.1:80", None);

    assert_eq!(named.client.to_string(), "192.0.2.9");
    assert_eq!(unnamed.client.to_string(), "192.0.2.1");
}

#[test]
fn a_bad_word_of_a_trusted_peer_changes_nothing() {
    let mut found = headers(&[
        ("cf-connecting-ip", "me"),
        ("x-forwarded-for", "a"),
        ("x-forwarded-proto", "gopher"),
        ("x-forwarded-host", "a b"),
    ]);

    let view = apply(&mut found, "10.0.0.1:80", Some(&CF_CONNECTING_IP));

    assert_eq!(view.client.to_string(), "10.0.0.1");
    assert_eq!(
        (view.port, view.scheme, view.host),
        (Some(80), "http", None)
    );
    assert_eq!(found["x-forwarded-for"], "a, 10.0.0.1");
    assert_eq!(found["x-forwarded-proto"], "http");
    assert_eq!(found["x-forwarded-host"], "a:8080");
}

#[test]
fn via_says_which_version_was_received() {
    let mut found = headers(&[("via", "1.0 a")]);

    append_via(&mut found, Version::HTTP_11);
    append_via(&mut found, Version::HTTP_2);

    let via: Vec<_> = found.get_all(VIA).iter().collect();
    assert_eq!(via, ["1.0 a", "1.1 edgespan", "2.0 edgespan"]);
}

proptest! {
    #[test]
    fn no_claim_of_a_stranger_survives(
        name in "(x|cf|true)[-_.](forwarded|real|client|connecting|original)[-_.](for|ip|url)",
        value in "[ -~]{0,20}",
    ) {
        let mut found = headers(&[(&name, &value)]);

        let view = apply(&mut found, "192.0.2.1:4711", None);

        prop_assert_eq!(view.client.to_string(), "192.0.2.1");
        for (name, value) in &found {
            let ours = ["192.0.2.1", "http", "a:8080"].map(HeaderValue::from_static);
            prop_assert!(!is_claim(name.as_str()) || ours.contains(value));
        }
    }
}
