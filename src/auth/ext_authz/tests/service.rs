//! What a host tells, and what it is told.

use super::super::messages::*;
use super::super::reply::Reply;
use super::super::service::{self, Permission, Subject, Unreadable};
use super::{REQUEST, bytes, read};
use crate::auth::{AnswerChange, Grant, HeaderChange, Identity, Proof};
use http::HeaderName;
use prost::Message as _;
use std::collections::BTreeMap;
use std::sync::Arc;

fn told(headers: &[(&str, &str)]) -> CheckRequest {
    let headers = headers.iter();
    let headers: BTreeMap<String, String> = headers
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let mut told = CheckRequest::decode(&*bytes(REQUEST)).unwrap();
    let http = told.attributes.as_mut().unwrap().request.as_mut().unwrap();
    let http = http.http.as_mut().unwrap();
    http.headers = headers;
    http.header_map = None;
    told
}

#[test]
fn a_hosts_question_becomes_the_request_again() {
    let fields = [
        (":method", "GET"),
        (":authority", "evil.example.com"),
        ("host", "evil.example.com"),
        ("x-a", "1,2"),
        ("content-length", "3"),
        ("x-envoy-auth-partial-body", "false"),
    ];
    let subject = service::subject(told(&fields)).unwrap();

    let mut headers = http::HeaderMap::new();
    headers.insert("x-a", http::HeaderValue::from_static("1,2"));
    let expected = Subject {
        method: "GET".to_owned(),
        scheme: "https".to_owned(),
        host: "h:1".to_owned(),
        target: "/p?q".to_owned(),
        headers,
        client: "203.0.113.9:4711".parse().unwrap(),
    };
    assert_eq!(subject, expected);
}

#[test]
fn two_cookie_headers_that_a_host_joined_are_two_cookies_again() {
    for (joined, expected) in [
        ("a=1,b=2", "a=1; b=2"),
        ("a=1; c=3,b=2", "a=1; c=3; b=2"),
        ("a=1, b=2", "a=1; b=2"),
        ("a=1,2,3", "a=1,2,3"),
        ("a=x,y z=1", "a=x,y z=1"),
        ("a=1,", "a=1,"),
        ("", ""),
    ] {
        let subject = service::subject(told(&[("cookie", joined)])).unwrap();
        assert_eq!(subject.headers["cookie"], expected, "{joined}");
    }
}

/// CVE-2024-47070
#[test]
fn a_question_without_a_client_or_a_request_is_about_nothing() {
    let refused = |change: fn(&mut AttributeContext)| {
        let mut question = told(&[]);
        change(question.attributes.as_mut().unwrap());
        service::subject(question).unwrap_err()
    };
    let address = |text: &str| {
        let mut question = told(&[]);
        let source = question
            .attributes
            .as_mut()
            .unwrap()
            .source
            .as_mut()
            .unwrap();
        source.address = Some(Address {
            address: Some(AddressKind::SocketAddress(SocketAddress {
                address: text.to_owned(),
                ..SocketAddress::default()
            })),
        });
        service::subject(question)
    };

    assert_eq!(
        refused(|one| one.source = None),
        Unreadable("source_address")
    );
    assert_eq!(refused(|one| one.request = None), Unreadable("attributes"));
    assert_eq!(
        service::subject(CheckRequest::default()),
        Err(Unreadable("attributes"))
    );
    assert_eq!(address("a"), Err(Unreadable("source_address")));
    assert_eq!(
        address("10.0.0.1, 1.2.3.4"),
        Err(Unreadable("source_address"))
    );
    assert_eq!(
        address("::ffff:10.0.0.1").unwrap().client.ip().to_string(),
        "10.0.0.1"
    );
    let bad = service::subject(told(&[("x y", "1")]));
    assert_eq!(bad, Err(Unreadable("header_name")));
}

#[test]
fn a_permission_sets_what_is_known_and_takes_away_what_is_not_in_every_spelling() {
    let names = ["x-user", "x-groups"].map(HeaderName::from_static);
    let mut headers = http::HeaderMap::new();
    headers.append("x-user", http::HeaderValue::from_static("ada"));
    let mut claims = serde_json::Map::new();
    claims.insert("tier".to_owned(), 7.into());
    let name = HeaderName::from_static;
    let value = http::HeaderValue::from_static;
    let grant = Grant {
        identity: Some(Arc::new(Identity {
            subject: Some(Arc::from("ada")),
            groups: vec![Arc::from("ops")],
            claims,
            proof: Proof::Forward,
            policy: Arc::from("p"),
        })),
        query_set: vec![("k".into(), "v".into())],
        query_remove: vec!["t".into()],
        answer: vec![
            (name("set-cookie"), value("a=1")),
            (name("set-cookie"), value("b=2")),
        ],
        answer_changes: vec![AnswerChange::Set(name("x-c"), value("1"))],
        ..Grant::default()
    };
    let answer = service::allow(&Permission {
        names: &names,
        aliases: &["x_user".to_owned(), "x_groups".to_owned()],
        headers: &headers,
        grant: Some(&grant),
    });

    assert!(
        answer
            .dynamic_metadata
            .as_ref()
            .unwrap()
            .fields
            .contains_key("identity")
    );
    let Ok(Reply::Allow(allowed)) = read(answer) else {
        panic!("it allows");
    };
    let expected = [
        HeaderChange::Set(name("x-user"), value("ada")),
        HeaderChange::Remove(name("x-groups")),
        HeaderChange::Remove(name("x_user")),
        HeaderChange::Remove(name("x_groups")),
    ];
    assert_eq!(allowed.grant.request, expected);
    assert_eq!(allowed.grant.answer, grant.answer);
    assert_eq!(allowed.grant.answer_changes, grant.answer_changes);
    assert_eq!(allowed.grant.query_set, grant.query_set);
    assert_eq!(allowed.grant.query_remove, grant.query_remove);
}
