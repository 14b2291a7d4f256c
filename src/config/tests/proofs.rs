//! Proofs and remembered decisions: what a file means, and what it cannot mean.

use super::*;
use crate::auth::{CacheKeyPart, CacheSettings, Means};
use http::HeaderName;
use std::time::Duration;
use tempfile::TempDir;

const DIGEST: &str = "d0c04f4b1951e4aeaaec8223ed2039e542f3aae805a6fa7f6d794e5afff5d272";
const HASH: &str = "$2b$04$EGdrhbKUv8Oc9vGiXX0HQOxSg445d458Muh7DAHskb6QbtCvdxcie";

/// A policy whose file holds this; `FILE` stands for it.
fn document(policy: &str, name: &str, text: &str) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(name);
    std::fs::write(&file, text).unwrap();
    let policy = policy.replace("FILE", &format!("'{}'", file.display()));
    (folder, format!("{BASE}auth: {{a: {policy}}}\n"))
}

#[track_caller]
fn means(policy: &str, name: &str, text: &str) -> Means {
    let (_folder, document) = document(policy, name, text);
    let loaded = compile(&document).map_err(|refused| refused.report.render(Look::default()));
    let loaded = loaded.unwrap_or_else(|report| panic!("{document}\n{report}"));
    loaded.plan.policies[0].means.clone()
}

#[track_caller]
fn refuse(policy: &str, name: &str, text: &str, expected: &[(&str, &str)]) {
    let (_folder, document) = document(policy, name, text);
    let told = told(&document);
    let told: Vec<_> = told
        .iter()
        .map(|(id, message)| (*id, message.rsplit('/').next().unwrap_or_default()))
        .collect();
    assert_eq!(told, expected, "{document}");
}

#[test]
fn keys_are_lines_or_a_list_of_yaml() {
    let lines = format!("acme:{DIGEST}:read,write\n");
    let list = format!("- {{name: acme, sha256: {DIGEST}, scopes: [read, write]}}\n");
    let under_keys = format!("keys:\n- name: acme\n  sha256: {DIGEST}\n  scopes: [read, write]\n");
    let policy = "{api_key: {file: FILE, scopes: read}}";

    let expected = means(policy, "keys.txt", &lines);

    assert_eq!(means(policy, "keys", &lines), expected);
    assert_eq!(means(policy, "keys.yaml", &list), expected);
    assert_eq!(means(policy, "keys.yml", &under_keys), expected);
    let Means::ApiKey(settings) = expected else {
        panic!("it is a policy by key")
    };
    assert_eq!(settings.header, Some(HeaderName::from_static("x-api-key")));
    assert!(settings.query.is_none() && settings.cookie.is_none() && !settings.forward);
}

#[test]
fn a_bad_file_of_keys_is_refused_with_the_line() {
    let policy = "{api_key: {file: FILE}}";
    let no_digest = "keys.txt:2: this is no SHA-256 digest of 64 hex digits";
    let text = format!("acme:{DIGEST}\nzeta:hunter2\n");
    refuse(policy, "keys.txt", &text, &[("E0314", no_digest)]);
    refuse(
        policy,
        "keys.txt",
        "",
        &[("E0314", "keys.txt: the file holds no key")],
    );
    for (text, problem) in [
        ("a: [", "keys.yaml: this is not YAML"),
        ("{}", "keys.yaml: this is no list of keys"),
        ("[]", "keys.yaml: the file holds no key"),
        (
            "\n\n- 7\n",
            "keys.yaml:3: this is no `{name, sha256, scopes}`",
        ),
        ("- {name: a}\n", "keys.yaml:1: `sha256` is missing"),
        ("- {sha256: a}\n", "keys.yaml:1: `name` is missing"),
        (
            "- {name: a, key: b}\n",
            "keys.yaml:1: a key has `name`, `sha256` and `scopes`, and nothing else",
        ),
        (
            "- {name: a, sha256: hunter2}\n",
            "keys.yaml:1: this is no SHA-256 digest of 64 hex digits",
        ),
    ] {
        refuse(policy, "keys.yaml", text, &[("E0314", problem)]);
    }
}

#[test]
fn nothing_of_a_bad_file_is_shown() {
    let policies = ["{api_key: {file: FILE}}", "{basic: {file: FILE}}"];
    for policy in policies {
        for name in ["f.txt", "f.yaml"] {
            for text in ["hunter2", "acme:hunter2", "- {name: hunter2, x: hunter2}"] {
                let (_folder, document) = document(policy, name, text);
                let shown = shown(&document, Look::default());
                assert!(!shown.contains("hunter2"), "{shown}");
            }
        }
    }
}

#[test]
fn a_key_needs_a_place_in_the_request() {
    let keys = format!("acme:{DIGEST}\n");
    let nowhere = "no part of a request would carry a key";
    let policy = "{api_key: {file: FILE, header: off}}";
    refuse(policy, "keys.txt", &keys, &[("E0318", nowhere)]);
    let policy = "{api_key: {file: FILE, header: off, cookie: 'a b'}}";
    refuse(
        policy,
        "keys.txt",
        &keys,
        &[("E0306", "this is not a cookie's name")],
    );
    let policy = "{api_key: {file: FILE, header: off, query: key}}";
    let Means::ApiKey(settings) = means(policy, "keys.txt", &keys) else {
        panic!("it is a policy by key")
    };
    assert_eq!(
        (settings.header, settings.query.as_deref()),
        (None, Some("key"))
    );
}

#[test]
fn a_query_parameter_with_a_key_is_hidden_in_spans() {
    let policy = "{api_key: {file: FILE, query: Partner}}";
    let (_folder, document) = document(policy, "keys.txt", &format!("acme:{DIGEST}\n"));
    let plan = compile(&document)
        .map_err(|refused| refused.report)
        .unwrap()
        .plan;

    assert_eq!(plan.tracing.redact_query, [std::sync::Arc::from("partner")]);
}

#[test]
fn passwords_are_lines_of_slow_hashes() {
    let file = format!("ada:{HASH}:ops\n");
    let Means::Basic(settings) = means("{basic: {file: FILE, realm: Ops}}", "htpasswd", &file)
    else {
        panic!("it is a policy by password")
    };
    let challenge = "Basic realm=\"Ops\", charset=\"UTF-8\"";
    assert_eq!(settings.challenge, challenge);
    assert_eq!(settings.remember, Some(Duration::from_secs(60)));
    let policy = "{basic: {file: FILE, remember: off}}";
    let Means::Basic(settings) = means(policy, "htpasswd", &file) else {
        panic!("it is a policy by password")
    };
    assert_eq!(settings.remember, None);
    assert_eq!(settings.challenge, "Basic realm=\"a\", charset=\"UTF-8\"");
    let quick = "htpasswd:1: this kind of hash can be guessed quickly, and is not taken";
    let policy = "{basic: {file: FILE}}";
    refuse(policy, "htpasswd", "ada:$apr1$x$y\n", &[("E0314", quick)]);
    let policy = "{basic: {file: FILE, realm: Büro}}";
    refuse(
        policy,
        "htpasswd",
        &file,
        &[("E0306", "this cannot be a realm")],
    );
}

#[test]
fn certificates_are_asked_for_by_some_listener() {
    let told = told(&format!(
        "{BASE}auth: {{mesh: {{client_cert: {{san: ['*.example.com']}}}}}}\n"
    ));
    assert_eq!(
        told.iter().map(|(id, _)| *id).collect::<Vec<_>>(),
        ["W0402"]
    );
    let told = super::told(&format!("{BASE}auth: {{mesh: {{client_cert: {{}}}}}}\n"));
    assert!(told.contains(&("E0102", "this would take every certificate".to_owned())));
    let told = super::told(&format!(
        "{BASE}auth: {{mesh: {{client_cert: {{sha256: abc}}}}}}\n"
    ));
    assert!(told.contains(&("E0310", "this is no SHA-256 of a certificate".to_owned())));
}

#[test]
fn a_policy_by_certificate_is_warned_of_only_if_no_listener_for_clients_asks_for_one() {
    let asks = |mode: &str| {
        format!("{{address: '127.0.0.1:0'{mode}, tls: {{certificates: [], client: {{ca: /no}}}}}}")
    };
    let warned = |listeners: &str| {
        let text = format!(
            "listeners: {{{listeners}}}\nauth: {{mesh: {{client_cert: {{san: ['*.example.com']}}}}}}\n"
        );
        told(&text).iter().any(|(id, _)| *id == "W0402")
    };

    let plain = "web: {address: '127.0.0.1:0'}";
    assert!(warned(plain));
    assert!(!warned(&format!("{plain}, mesh: {}", asks(""))));
    assert!(warned(&format!(
        "{plain}, mesh: {}",
        asks(", mode: decision")
    )));
}

fn cache(written: &str) -> Option<CacheSettings> {
    let text = format!("{BASE}auth: {{a: {{forward: {{url: 'http://h:1', cache: {written}}}}}}}\n");
    let loaded = compile(&text).map_err(|refused| refused.report).unwrap();
    let Means::Forward(forward) = &loaded.plan.policies[0].means else {
        return None;
    };
    forward.cache.clone()
}

#[test]
fn decisions_are_remembered_as_the_file_says() {
    assert_eq!(cache("{}"), Some(CacheSettings::default()));
    let written = "{ttl: 30s, negative_ttl: off, entries: 5, \
                   key: [method, host, path, query, address, {header: X-A}, {cookie: sid}]}";
    let expected = CacheSettings {
        ttl: Duration::from_secs(30),
        negative_ttl: None,
        key: Some(vec![
            CacheKeyPart::Method,
            CacheKeyPart::Host,
            CacheKeyPart::Path,
            CacheKeyPart::Query,
            CacheKeyPart::Address,
            CacheKeyPart::Header(HeaderName::from_static("x-a")),
            CacheKeyPart::Cookie("sid".into()),
        ]),
        entries_max: 5,
    };
    assert_eq!(cache(written), Some(expected));
    let short = cache("{ttl: 200ms}").unwrap();
    assert_eq!(short.negative_ttl, Some(Duration::from_millis(200)));
}

#[test]
fn a_key_that_makes_all_clients_one_is_refused() {
    for (written, id) in [
        ("{key: []}", "E0107"),
        ("{key: [method, host, path, query]}", "E0318"),
        ("{key: [cookies]}", "E0104"),
        ("{key: [{header: a, cookie: b}]}", "E0106"),
        ("{ttl: 0s}", "E0301"),
        ("{entries: 1000001}", "E0105"),
    ] {
        let text =
            format!("{BASE}auth: {{a: {{forward: {{url: 'http://h:1', cache: {written}}}}}}}\n");
        let ids: Vec<_> = told(&text).iter().map(|(id, _)| *id).collect();
        assert_eq!(ids, [id], "{written}");
    }
}
