//! An authorizer is asked over gRPC.

use super::{allowing, authorizer, field, question, refusing, replied};
use crate::support::client::{get, request, send, with_body};
use crate::support::collector::Collector;
use crate::support::origin::{Answer, Origin, Speaks, text};
use crate::support::proxy::{Proxy, Setup};
use bytes::Bytes;
use edgespan::auth::ext_authz::CHECK_PATH;
use edgespan::auth::ext_authz::messages::{CheckResponse, OkHttpResponse, QueryParameter};
use edgespan::message::grpc::unary;
use prost_types::value::Kind;
use prost_types::{Struct, Value};

async fn guarded(
    origin: &Origin,
    authorizer: &Origin,
    settings: &str,
    collector: &Collector,
) -> Proxy {
    Setup::new(&format!(
        "upstreams: {{origin: {{endpoints: ['http://${{origin}}']}}}}\n\
         auth: {{opa: {{forward: {{url: 'http://${{auth}}', dialect: grpc, timeout: 5s, \
         {settings}}}}}}}\n\
         routes: [{{name: all, match: {{prefix: /}}, upstream: origin, auth: opa}}]\n"
    ))
    .origin(origin)
    .fill("auth", &authorizer.address.to_string())
    .export_to(collector)
    .start()
    .await
}

#[tokio::test]
async fn an_authorizer_over_grpc_changes_headers_query_and_answer_of_what_it_allows() {
    let metadata = Struct {
        fields: [(
            "tier".to_owned(),
            Value {
                kind: Some(Kind::NumberValue(7.0)),
            },
        )]
        .into(),
    };
    let authorizer = authorizer(move |_| CheckResponse {
        dynamic_metadata: Some(metadata.clone()),
        ..allowing(OkHttpResponse {
            headers: vec![field("x-user", "ada"), field(":path", "/evil")],
            headers_to_remove: vec!["x-secret".to_owned(), "host".to_owned()],
            response_headers_to_add: vec![field("set-cookie", "a=1"), field("set-cookie", "b=2")],
            query_parameters_to_set: vec![QueryParameter {
                key: "user".to_owned(),
                value: "a b&c".to_owned(),
            }],
            query_parameters_to_remove: vec!["token".to_owned()],
            ..OkHttpResponse::default()
        })
    })
    .await;
    let (origin, collector) = (Origin::start().await, Collector::start().await);
    let settings =
        "context: {tenant: '7'}, metadata_attributes: [tier], identity: {subject: x-user}";
    let proxy = guarded(&origin, &authorizer, settings, &collector).await;
    let fields = [
        ("x_user", "mallory"),
        ("X-User", "mallory"),
        ("x-secret", "s"),
        ("cookie", "k=v"),
    ];

    let reply = get(proxy.address, "/a%2Db?token=t&user=m&z=1", &fields).await;
    let spans = collector.wait_for(4).await;

    assert_eq!(reply.status, 200);
    assert_eq!(reply.headers.get_all("set-cookie").iter().count(), 2);
    let received = origin.sole();
    assert_eq!(received.uri.to_string(), "/a-b?user=a%20b%26c&z=1");
    assert_eq!(received.all("x-user"), ["ada"]);
    assert!(received.all("x_user").is_empty());
    assert!(received.all("x-secret").is_empty());
    assert_eq!(received.one("host"), "app.example.com");
    let asked = authorizer.sole();
    assert_eq!(asked.uri.path(), CHECK_PATH);
    assert_eq!(asked.one("te"), "trailers");
    assert_eq!(asked.one("grpc-timeout"), "5000000u");
    let attributes = question(&asked);
    assert_eq!(attributes.context_extensions["tenant"], "7");
    let http = attributes.request.unwrap().http.unwrap();
    assert_eq!(http.path, "/a-b?token=t&user=m&z=1");
    assert_eq!(http.headers["cookie"], "k=v");
    let decision = spans.iter().find(|span| span.name() == "auth opa").unwrap();
    assert_eq!(decision.text("edgespan.auth.decision"), Some("allow"));
    assert_eq!(decision.int("edgespan.auth.metadata.tier"), Some(7));
    assert_eq!(decision.int("edgespan.auth.headers_ignored"), Some(2));
    let mut calls = spans
        .iter()
        .filter(|span| span.parent_id() == decision.span_id());
    let call = calls.next_back().unwrap();
    assert_eq!(call.name(), "envoy.service.auth.v3.Authorization/Check");
    assert_eq!(call.text("rpc.response.status_code"), Some("OK"));
    let context = asked.one("traceparent");
    assert!(context.contains(&call.span_id()), "{context}");
}

#[tokio::test]
async fn a_refusal_over_grpc_reaches_the_client_as_it_is() {
    let authorizer = authorizer(|_| {
        let headers = vec![
            field("location", "https://login.example.com/?rd=%2Fa"),
            field("set-cookie", "a=1"),
            field("set-cookie", "b=2"),
        ];
        refusing(302, headers, "this way")
    })
    .await;
    let (origin, collector) = (Origin::start().await, Collector::start().await);
    let proxy = guarded(&origin, &authorizer, "", &collector).await;

    let reply = get(proxy.address, "/a", &[]).await;

    assert_eq!((reply.status.as_u16(), &*reply.text()), (302, "this way"));
    let location = reply.header("location");
    assert_eq!(location, Some("https://login.example.com/?rd=%2Fa"));
    assert_eq!(reply.headers.get_all("set-cookie").iter().count(), 2);
    assert!(origin.received().is_empty());
}

/// What an authorizer answers, and what is made of it.
type Nonsense = (fn() -> Answer, &'static str);

#[tokio::test]
async fn an_authorizer_that_fails_or_talks_nonsense_lets_nobody_pass() {
    let (origin, collector) = (Origin::start().await, Collector::start().await);
    let answers: [Nonsense; 6] = [
        (|| replied(Bytes::new(), 13), "unavailable"),
        (|| replied(unary::frame(b"\xff\xff"), 0), "bad_answer"),
        (|| replied(unary::frame(b""), 0), "bad_answer"),
        (
            || replied(Bytes::from_static(b"\x01\0\0\0\0"), 0),
            "bad_answer",
        ),
        (
            || replied(Bytes::from_static(b"\0\0\0\0\x05"), 0),
            "bad_answer",
        ),
        (|| text(200, ""), "bad_answer"),
    ];
    for (answer, reason) in answers {
        let authorizer = Origin::speaking(Speaks::H2c, move |_| answer()).await;
        let collector_of_this = Collector::start().await;
        let proxy = guarded(&origin, &authorizer, "", &collector_of_this).await;

        let reply = get(proxy.address, "/", &[]).await;
        let spans = collector_of_this.wait_for(3).await;

        assert_eq!(reply.status, 503, "{reason}");
        let decision = spans.iter().find(|span| span.name() == "auth opa").unwrap();
        assert_eq!(decision.text("edgespan.auth.reason"), Some(reason));
    }
    // Asked again after `UNAVAILABLE`, and after nothing else.
    let authorizer = Origin::speaking(Speaks::H2c, |_| replied(Bytes::new(), 14)).await;
    let proxy = guarded(&origin, &authorizer, "retries: 1", &collector).await;

    assert_eq!(get(proxy.address, "/", &[]).await.status, 503);
    assert_eq!(authorizer.received().len(), 2);
    assert!(origin.received().is_empty());
}

#[tokio::test]
async fn an_authorizer_over_grpc_sees_a_body_and_the_origin_gets_it_whole() {
    let authorizer = authorizer(|http| {
        let partial = http.headers["x-envoy-auth-partial-body"] == "true";
        if http.body == "abcd" && partial {
            allowing(OkHttpResponse::default())
        } else {
            refusing(403, Vec::new(), &http.body)
        }
    })
    .await;
    let (origin, collector) = (Origin::start().await, Collector::start().await);
    let proxy = guarded(&origin, &authorizer, "body: {bytes: 4B}", &collector).await;

    let post = with_body(request("POST", "/", &[("content-length", "6")]), "abcdef");
    let reply = send(proxy.address, post).await;

    assert_eq!(
        (reply.status.as_u16(), &*origin.sole().body),
        (200, &b"abcdef"[..])
    );
}
