//! A host asks over gRPC.

use super::{allowing, authorizer, field, question, refusing};
use crate::support::client::{Reply, request, send, send_h2, with_body};
use crate::support::collector::Collector;
use crate::support::proxy::{Proxy, Setup};
use bytes::Bytes;
use edgespan::auth::ext_authz::CHECK_PATH;
use edgespan::auth::ext_authz::messages::{
    Address, AddressKind, AttributeContext, CheckRequest, CheckResponse, DeniedHttpResponse,
    HeaderValueOption, HttpRequest, HttpResponse, OkHttpResponse, Peer, Request, SocketAddress,
};
use edgespan::message::grpc::unary;
use prost::Message as _;
use std::net::SocketAddr;

pub(super) const OFFICE: &str = "192.0.2.7";

pub(super) async fn deciding(auth: &str, routes: &str, collector: &Collector) -> Proxy {
    Setup::new(&format!(
        "listeners: {{authz: {{address: '127.0.0.1:0', mode: decision, \
         trusted_proxies: [127.0.0.0/8]}}}}\nauth: {auth}\nroutes: {routes}\n"
    ))
    .export_to(collector)
    .start()
    .await
}

const OFFICE_ONLY: &str = "{office: {ip: [192.0.2.0/24]}}";
const ROUTES: &str = "[{name: all, match: {host: app.example.com, prefix: /}, auth: office}, \
     {name: public, match: {host: app.example.com, prefix: /public}}]";

pub(super) fn told(target: &str, client: &str, headers: &[(&str, &str)]) -> CheckRequest {
    let source = SocketAddress {
        address: client.to_owned(),
        port_value: 4711,
        ..SocketAddress::default()
    };
    let headers = headers.iter();
    CheckRequest {
        attributes: Some(AttributeContext {
            source: Some(Peer {
                address: Some(Address {
                    address: Some(AddressKind::SocketAddress(source)),
                }),
                ..Peer::default()
            }),
            request: Some(Request {
                http: Some(HttpRequest {
                    method: "GET".to_owned(),
                    path: target.to_owned(),
                    host: "App.Example.com".to_owned(),
                    scheme: "https".to_owned(),
                    protocol: "HTTP/1.1".to_owned(),
                    headers: headers
                        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                        .collect(),
                    ..HttpRequest::default()
                }),
                ..Request::default()
            }),
            ..AttributeContext::default()
        }),
    }
}

async fn call(to: SocketAddr, body: Bytes, fields: &[(&str, &str)]) -> Reply {
    let mut all = vec![("content-type", "application/grpc"), ("te", "trailers")];
    all.extend(fields);
    send_h2(to, with_body(request("POST", CHECK_PATH, &all), body)).await
}

pub(super) async fn check(to: SocketAddr, question: &CheckRequest) -> CheckResponse {
    let reply = call(to, unary::frame(&question.encode_to_vec()), &[]).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.trailers.unwrap()["grpc-status"], "0");
    CheckResponse::decode(unary::only_message(&reply.body).unwrap()).unwrap()
}

#[track_caller]
pub(super) fn refused(answer: CheckResponse) -> (i32, DeniedHttpResponse) {
    assert_ne!(answer.status.unwrap().code, 0);
    let Some(HttpResponse::Denied(denied)) = answer.http_response else {
        panic!("it refuses");
    };
    (denied.status.unwrap().code, denied)
}

pub(super) fn allows(answer: &CheckResponse) -> bool {
    let ok = matches!(answer.http_response, Some(HttpResponse::Ok(_)));
    answer.status.as_ref().unwrap().code == 0 && ok
}

#[tokio::test]
async fn a_host_is_answered_over_grpc_by_the_request_that_it_tells_of() {
    let collector = Collector::start().await;
    let proxy = deciding(OFFICE_ONLY, ROUTES, &collector).await;

    assert!(allows(
        &check(proxy.address, &told("/a?b=c", OFFICE, &[])).await
    ));
    assert!(allows(
        &check(proxy.address, &told("/public/x", "198.51.100.1", &[])).await
    ));
    let outside = check(proxy.address, &told("/a", "198.51.100.1", &[])).await;
    assert_eq!(refused(outside).0, 403);
    // CVE-2026-33494 and its like: what has two readings is refused, whoever asks for it.
    for target in [
        "/public/../a",
        "/public/%2e%2e/a",
        "/a//b",
        "/a%2Fb",
        "/a#b",
        "a",
        "",
    ] {
        let answer = check(proxy.address, &told(target, OFFICE, &[])).await;
        assert_eq!(refused(answer).0, 400, "{target}");
    }
    // What a client says of itself says nothing.
    let claims = [
        ("x-forwarded-for", OFFICE),
        ("forwarded", "for=192.0.2.7"),
        ("x-real-ip", OFFICE),
    ];
    let spoofed = check(proxy.address, &told("/a", "198.51.100.1", &claims)).await;
    assert_eq!(refused(spoofed).0, 403);
}

#[tokio::test]
async fn a_call_that_is_none_fails_and_is_never_leave_to_pass() {
    let collector = Collector::start().await;
    let proxy = deciding(OFFICE_ONLY, ROUTES, &collector).await;
    let good = unary::frame(&told("/a", OFFICE, &[]).encode_to_vec());
    let mut compressed = good.to_vec();
    compressed[0] = 1;
    let large = unary::frame(&told("/a", OFFICE, &[("x", &"y".repeat(4 << 20))]).encode_to_vec());
    let cases: [(Bytes, &str, &str); 7] = [
        (Bytes::new(), "identity", "3"),
        (good.slice(..good.len() - 1), "identity", "3"),
        ([&good[..], b"x"].concat().into(), "identity", "3"),
        (unary::frame(b"\xff\xff"), "identity", "3"),
        (compressed.into(), "identity", "12"),
        (good.clone(), "gzip", "12"),
        (large, "identity", "8"),
    ];
    for (body, encoding, status) in cases {
        let reply = call(proxy.address, body, &[("grpc-encoding", encoding)]).await;

        assert_eq!(reply.header("grpc-status"), Some(status));
        assert!(reply.body.is_empty());
    }
    let plain = with_body(request("POST", CHECK_PATH, &[]), good.clone());
    assert_eq!(send_h2(proxy.address, plain).await.status, 415);
    let kind = [("content-type", "application/grpc")];
    let http1 = with_body(request("POST", CHECK_PATH, &kind), good);
    assert_eq!(send(proxy.address, http1).await.status, 415);
    let without = CheckRequest::default();
    let body = unary::frame(&without.encode_to_vec());
    let reply = call(proxy.address, body, &[]).await;
    assert_eq!(reply.header("grpc-status"), Some("3"));
}

#[tokio::test]
async fn the_hosts_own_span_is_the_parent_and_its_clients_a_link() {
    let collector = Collector::start().await;
    let proxy = deciding(OFFICE_ONLY, ROUTES, &collector).await;
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let clients = "00-4bf92f3577b34da6a3ce929d0e0e4736-1111111111111111-01";
    let question = told("/a?b=c", OFFICE, &[("traceparent", clients)]);

    let body = unary::frame(&question.encode_to_vec());
    let reply = call(
        proxy.address,
        body,
        &[("traceparent", parent), ("tracestate", "")],
    )
    .await;
    let spans = collector.wait_for(2).await;

    assert_eq!(reply.trailers.unwrap()["grpc-status"], "0");
    let server = spans.iter().find(|span| span.is_server()).unwrap();
    assert_eq!(server.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(server.parent_id(), "00f067aa0ba902b7");
    assert_eq!(server.0.links.len(), 1);
    assert_eq!(server.0.links[0].span_id, [0x11; 8]);
    assert_eq!(server.text("edgespan.decision.dialect"), Some("envoy_grpc"));
    assert_eq!(server.text("edgespan.original.path"), Some("/a"));
    assert_eq!(server.text("rpc.response.status_code"), Some("OK"));
}

/// An authorizer that knows whom it was asked about, and sets two cookies.
fn known() -> CheckResponse {
    allowing(OkHttpResponse {
        headers: vec![field("x-user", "ada")],
        response_headers_to_add: vec![field("set-cookie", "a=1"), field("set-cookie", "b=2")],
        ..OkHttpResponse::default()
    })
}

/// One that does not, and sends them to its login with two others.
fn to_login() -> CheckResponse {
    let headers = vec![
        field("location", "/login"),
        field("set-cookie", "c=3"),
        field("set-cookie", "d=4"),
    ];
    refusing(302, headers, "this way")
}

fn pairs(options: &[HeaderValueOption]) -> Vec<(&str, &str)> {
    let headers = options.iter().filter_map(|option| option.header.as_ref());
    headers
        .map(|header| (&*header.key, &*header.value))
        .collect()
}

#[tokio::test]
async fn a_host_passes_on_what_another_authorizer_said() {
    let collector = Collector::start().await;
    let asked = authorizer(|http| match &*http.path {
        "/in" => known(),
        _ => to_login(),
    })
    .await;
    let auth = format!(
        "{{opa: {{forward: {{url: 'http://{}', dialect: grpc, timeout: 5s, \
         identity_headers: [x-user, x-groups]}}}}}}",
        asked.address
    );
    let routes = "[{name: all, match: {prefix: /}, auth: opa}]";
    let proxy = deciding(&auth, routes, &collector).await;
    let spoofed = [
        ("x-user", "mallory"),
        ("x_groups", "root"),
        ("cookie", "a=1,b=2"),
    ];

    let answer = check(proxy.address, &told("/in", OFFICE, &spoofed)).await;
    let (code, denied) = refused(check(proxy.address, &told("/out", OFFICE, &spoofed)).await);

    assert!(allows(&answer));
    let Some(HttpResponse::Ok(ok)) = answer.http_response else {
        panic!("it allows");
    };
    assert_eq!(pairs(&ok.headers), [("x-user", "ada")]);
    for name in ["x_user", "x-groups", "x_groups"] {
        assert!(ok.headers_to_remove.iter().any(|one| one == name), "{name}");
    }
    assert!(!ok.headers_to_remove.iter().any(|one| one == "x-user"));
    assert_eq!(ok.response_headers_to_add.len(), 2);
    let metadata = answer.dynamic_metadata.unwrap();
    assert!(metadata.fields.contains_key("identity"));
    assert_eq!((code, &*denied.body), (302, "this way"));
    let fields = pairs(&denied.headers);
    assert!(
        fields.contains(&("location", "https://app.example.com/login")),
        "{fields:?}"
    );
    let cookies = fields.iter().filter(|(name, _)| *name == "set-cookie");
    assert_eq!(cookies.count(), 2);
    let http = question(&asked.received()[0])
        .request
        .unwrap()
        .http
        .unwrap();
    assert_eq!(http.headers["cookie"], "a=1; b=2");
    let spoofs = |value: &String| value == "mallory" || value == "root";
    assert!(!http.headers.values().any(spoofs));
}
