//! What it costs to ask an expression of `allow`, and to give an origin its assertion.

#![allow(clippy::unwrap_used, reason = "a bench stops where it cannot go on")]

use divan::{Bencher, black_box};
use edgespan::auth::assertion::{AssertionSettings, Assertions, SigningKey};
use edgespan::auth::{Allow, Asked, Identity, Inquiry, Proof};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, Method, Version};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

fn main() {
    divan::main();
}

const EXPRESSIONS: [&str; 5] = [
    "request.method == 'GET'",
    "claims.groups.exists(g, g == \"ops\")",
    "'ops' in claims.groups && has(claims.org.id)",
    "request.path.matches('^/api/v[0-9]+/orders/') && claims.org.id == 7",
    "claims.groups.exists(g, claims.wanted.exists(w, g == w))",
];

fn identity(groups: usize) -> Identity {
    let mut names: Vec<String> = (1..groups).map(|n| format!("team-{n}")).collect();
    names.push("ops".to_owned());
    let claims = json!({"groups": names, "org": {"id": 7}, "wanted": ["root", "ops"]});
    Identity {
        subject: Some(Arc::from("ada")),
        groups: Vec::new(),
        claims: claims.as_object().unwrap().clone(),
        proof: Proof::Forward,
        policy: Arc::from("legacy"),
    }
}

#[divan::bench(args = EXPRESSIONS)]
fn five_groups(bencher: Bencher, expression: &str) {
    ask(bencher, expression, 5);
}

#[divan::bench(args = EXPRESSIONS)]
fn a_hundred_groups(bencher: Bencher, expression: &str) {
    ask(bencher, expression, 100);
}

fn ask(bencher: Bencher, expression: &str, groups: usize) {
    let allow = Allow::compile(expression).unwrap();
    let (identity, headers) = (identity(groups), HeaderMap::new());
    let target = PathAndQuery::from_static("/api/v1/orders/7");
    let asked = Asked {
        method: &Method::GET,
        scheme: "https",
        host: "app.example.com",
        port: None,
        target: &target,
        version: Version::HTTP_2,
        headers: &headers,
        client: "192.0.2.7".parse().unwrap(),
        peer: "127.0.0.1:9".parse().unwrap(),
        certificate: None,
        route: "orders",
        listener: "web",
        upgrades: false,
        is_preflight: false,
        body: None,
    };
    let inquiry = Inquiry {
        asked: &asked,
        identity: Some(&identity),
        flow: None,
    };
    bencher.bench_local(|| black_box(&allow).check(black_box(&inquiry)).is_ok());
}

#[divan::bench(args = ["ES256", "EdDSA"])]
fn a_new_assertion(bencher: Bencher, algorithm: &str) {
    let (assertions, mut who) = (assertions(algorithm), identity(5));
    let mut number = 0_u64;
    bencher.bench_local(move || {
        number += 1;
        who.subject = Some(Arc::from(number.to_string()));
        assertions.token(&who, "orders").unwrap()
    });
}

#[divan::bench]
fn a_known_assertion(bencher: Bencher) {
    let (assertions, who) = (assertions("ES256"), identity(5));
    bencher.bench_local(|| assertions.token(black_box(&who), "orders").unwrap());
}

fn assertions(algorithm: &str) -> Assertions {
    let kind = if algorithm == "ES256" {
        &PKCS_ECDSA_P256_SHA256
    } else {
        &PKCS_ED25519
    };
    let pem = KeyPair::generate_for(kind).unwrap().serialize_pem();
    Assertions::new(AssertionSettings {
        keys: vec![Arc::new(SigningKey::from_pem(pem.as_bytes()).unwrap())],
        issuer: Arc::from("https://edge.example"),
        audience: None,
        ttl: Duration::from_secs(60),
        header: HeaderName::from_static("x-edgespan-assertion"),
        claims: vec![Arc::from("org")],
    })
}
