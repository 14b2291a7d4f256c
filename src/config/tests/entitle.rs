//! Expressions of `allow` and signed assertions: what a file can say, and where it is wrong.

use super::*;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519};
use std::path::Path;
use std::time::Duration;

const NET: &str = "auth: {net: {ip: [10.0.0.0/8]}}\n";

fn route(keys: &str) -> String {
    let asked = "{name: asked, match: {path: /asked}, upstream: app, auth: net}";
    format!("{BASE}{NET}routes: [{{name: a, upstream: app, {keys}}}, {asked}]\n")
}

/// The only problem of a text: its id, and the bytes that it points at.
#[track_caller]
fn check(text: &str, id: &str, place: &str) -> Vec<super::super::Diagnostic> {
    let report = match compile(text) {
        Ok(loaded) => loaded.warnings,
        Err(refused) => refused.report,
    };
    let diagnostics = report.diagnostics().to_vec();
    let [one] = diagnostics.as_slice() else {
        panic!("not one problem of {text}: {diagnostics:?}");
    };
    let pointed = one.span.clone().and_then(|span| text.get(span));
    assert_eq!((one.code.id(), pointed), (id, Some(place)), "{one:?}");
    diagnostics
}

#[test]
fn an_expression_is_wrong_where_it_is_wrong_in_the_document() {
    let told = check(
        &route("auth: net, allow: 'request.pth == \"/a\"'"),
        "E0330",
        "pth",
    );
    assert_eq!(told[0].replacement.as_deref(), Some("path"));
    check(&route("auth: net, allow: clams.x == 1"), "E0330", "clams");
    check(
        &format!(
            "{BASE}{NET}routes:\n- name: a\n  upstream: app\n  auth: net\n  allow: request.x == 1\n"
        ),
        "E0330",
        "x",
    );
    // A text that stands there otherwise than it is read is pointed at as a whole.
    let told = check(
        &route("auth: net, allow: 'request.pth == ''/a'''"),
        "E0330",
        "request.pth == ''/a''",
    );
    assert_eq!(told[0].label.as_deref(), Some("did you mean `path`?"));
    assert_eq!(told[0].replacement, None);
}

#[test]
fn off_that_a_tool_of_yaml_1_1_wrote_as_false_is_recognised() {
    let told = check(&route("auth: false"), "E0201", "false");
    assert_eq!(told[0].replacement.as_deref(), Some("off"));
}

#[test]
fn an_expression_without_a_policy_is_taken_and_asking_for_what_nothing_proves_is_warned_of() {
    let text = route("allow: 'request.method == \"GET\"'");
    assert!(compile(&text).is_ok_and(|loaded| loaded.warnings.diagnostics().is_empty()));
    let claims = "claims.a == 1";
    check(&route("allow: claims.a == 1"), "W0404", claims);
    check(
        &route("allow: identity != null"),
        "W0404",
        "identity != null",
    );
    assert!(told(&route("auth: net, allow: claims.a == 1")).is_empty());
}

fn pem(folder: &Path, name: &str, pair: &KeyPair) -> String {
    let file = folder.join(name);
    std::fs::write(&file, pair.serialize_pem()).unwrap();
    format!("{{file: {}}}", file.display())
}

fn with(assertion: &str) -> String {
    format!("{}assertion: {assertion}\n", route("auth: net"))
}

#[test]
fn an_assertion_needs_keys_that_sign() {
    let folder = tempfile::tempdir().unwrap();
    let p256 = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let (first, second) = (
        pem(folder.path(), "first", &p256),
        pem(
            folder.path(),
            "second",
            &KeyPair::generate_for(&PKCS_ED25519).unwrap(),
        ),
    );
    let ids = |assertion: &str| -> Vec<&'static str> {
        told(&with(assertion))
            .into_iter()
            .map(|(id, _)| id)
            .collect()
    };
    let of = |keys: &str, more: &str| format!("{{issuer: 'https://e', keys: [{keys}]{more}}}");
    let wrong = folder.path().join("wrong");
    std::fs::write(
        &wrong,
        "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n",
    )
    .unwrap();

    assert_eq!(ids(&of(&format!("{first}, {second}"), "")), [""; 0]);
    assert_eq!(ids(&of("", "")), ["E0107"]);
    assert_eq!(ids("{issuer: 'https://e'}"), ["E0102"]);
    assert_eq!(ids(&format!("{{keys: [{first}]}}")), ["E0102"]);
    assert_eq!(ids(&of("{file: /no}", "")), ["E0313"]);
    assert_eq!(
        ids(&of(&format!("{{file: {}}}", wrong.display()), "")),
        ["E0331"]
    );
    assert_eq!(ids(&of(&format!("{first}, {first}"), "")), ["E0202"]);
    assert_eq!(ids(&of(&first, ", ttl: 9s")), ["E0105"]);
    assert_eq!(ids(&of(&first, ", ttl: 10s")), [""; 0]);
    assert_eq!(ids(&of(&first, ", ttl: 10m")), [""; 0]);
    assert_eq!(ids(&of(&first, ", ttl: 601s")), ["E0105"]);
    assert_eq!(ids(&of(&first, ", claims: [email, exp]")), ["E0202"]);
    assert_eq!(ids(&of(&first, ", header: 'a b'")), ["E0306"]);
    assert_eq!(ids(&of(&first, ", header: authorization")), ["E0306"]);
    assert_eq!(ids(&of(&first, ", audience: ''")), ["E0107"]);
    let same = of(
        &first,
        ", header: X_User}\nidentity: {headers: {x-user: subject}",
    );
    assert_eq!(ids(&same), ["E0202"]);
}

#[test]
fn every_route_with_a_policy_asserts_unless_it_says_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let key = pem(
        folder.path(),
        "key",
        &KeyPair::generate_for(&PKCS_ED25519).unwrap(),
    );
    let file = format!("assertion: {{issuer: 'https://e', keys: [{key}]}}\n");
    let plan = |keys: &str, file: &str| {
        let loaded = compile(&format!("{}{file}", route(keys))).map_err(|one| one.report);
        loaded.unwrap().plan
    };
    let asserts = |keys: &str| plan(keys, &file).routes[0].1.asserts;

    assert!(asserts("auth: net"));
    assert!(!asserts("auth: net, assertion: off"));
    assert!(!asserts("auth: off"));
    assert!(!plan("auth: net", "").routes[0].1.asserts);
    let settings = plan("auth: net", &file).assertion.unwrap();
    assert_eq!(settings.ttl, Duration::from_secs(60));
    assert_eq!(settings.header, "x-edgespan-assertion");
    check(&route("auth: net, assertion: on"), "E0318", "on");
    check(&route("auth: net, assertion: off"), "W0402", "off");
    check(&format!("{}{file}", route("assertion: on")), "W0402", "on");
}

#[test]
fn nothing_shows_a_key() {
    let folder = tempfile::tempdir().unwrap();
    let pair = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let key = pem(folder.path(), "key", &pair);
    let text = with(&format!("{{issuer: 'https://e', keys: [{key}]}}"));
    let plan = compile(&text).map_err(|one| one.report).unwrap().plan;

    let shown = format!("{:?}{}", plan.assertion, plan.text);

    let body = pair.serialize_pem();
    let line = body.lines().nth(1).unwrap().to_owned();
    assert!(!shown.contains(&line), "{shown}");
}
