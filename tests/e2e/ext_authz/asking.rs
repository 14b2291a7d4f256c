//! An authorizer is asked over gRPC.

use super::{allowing, authorizer, field, question, refusing, replied};
use crate::support::client::{get, request, send, with_body};
use crate::support::collector::Collector;
use crate::support::origin::{Answer, Origin, Received, Speaks, streamed, text};
use crate::support::proxy::{Proxy, Setup};
use bytes::Bytes;
use edgespan::auth::ext_authz::CHECK_PATH;
use edgespan::auth::ext_authz::messages::{
    AppendAction, CheckResponse, HeaderValueOption, OkHttpResponse, QueryParameter,
};
use edgespan::message::grpc::unary;
use http_body::Frame;
use prost::Message as _;
use prost_types::value::Kind;
use prost_types::{Struct, Value};
use std::sync::Mutex;
use std::time::Duration;

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

/// How much time a question says that it leaves.
fn millis(asked: &Received) -> u64 {
    let text = asked.one("grpc-timeout");
    let (number, unit) = text.split_at(text.len() - 1);
    let number: u64 = number.parse().unwrap();
    match unit {
        "u" => number / 1000,
        "m" => number,
        other => panic!("{other}"),
    }
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
    assert!(millis(&asked) <= 5000);
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

fn tier(value: &str) -> Struct {
    let value = Value {
        kind: Some(Kind::StringValue(value.to_owned())),
    };
    Struct {
        fields: [("tier".to_owned(), value)].into(),
    }
}

#[tokio::test]
async fn what_is_remembered_is_the_same_on_its_span_and_made_by_each_requests_own_fields() {
    let authorizer = authorizer(|_| CheckResponse {
        dynamic_metadata: Some(tier("gold")),
        ..allowing(OkHttpResponse {
            headers: vec![HeaderValueOption {
                append_action: AppendAction::AddIfAbsent.into(),
                ..field("x-tenant", "7")
            }],
            ..OkHttpResponse::default()
        })
    })
    .await;
    let (origin, collector) = (Origin::start().await, Collector::start().await);
    let settings = "metadata_attributes: [tier], cache: {ttl: 1m, key: [{cookie: sid}]}";
    let proxy = guarded(&origin, &authorizer, settings, &collector).await;

    for (trace, fields) in [("1", &[][..]), ("2", &[("x-tenant", "8")])] {
        let parent = format!("00-{}-00f067aa0ba902b7-01", trace.repeat(32));
        let mut fields = fields.to_vec();
        fields.extend([("cookie", "sid=1"), ("traceparent", &parent)]);
        assert_eq!(get(proxy.address, "/", &fields).await.status, 200);
        let spans = collector.next_edges().await;
        let decision = spans.0.iter().find(|span| span.name() == "auth opa");
        let tier = decision.unwrap().text("edgespan.auth.metadata.tier");
        assert_eq!(tier, Some("gold"), "{trace}");
    }

    assert_eq!(authorizer.received().len(), 1);
    let tenants: Vec<_> = origin
        .received()
        .iter()
        .map(|one| one.one("x-tenant"))
        .collect();
    assert_eq!(tenants, ["7", "8"]);
}

#[tokio::test]
async fn trace_context_makes_no_question_of_its_own_where_all_is_told() {
    let authorizer = authorizer(|_| allowing(OkHttpResponse::default())).await;
    let (origin, collector) = (Origin::start().await, Collector::start().await);
    let proxy = guarded(&origin, &authorizer, "cache: {ttl: 1m}", &collector).await;

    for trace in ["1", "2"] {
        let parent = format!("00-{}-00f067aa0ba902b7-01", trace.repeat(32));
        let fields = [("traceparent", parent.as_str())];
        assert_eq!(get(proxy.address, "/", &fields).await.status, 200);
    }

    assert_eq!(authorizer.received().len(), 1);
}

#[tokio::test]
async fn who_waited_for_an_answer_that_is_anothers_asks_in_the_time_that_is_left() {
    let (frames, held) = streamed();
    let held = Mutex::new(Some(held));
    let cookie = allowing(OkHttpResponse {
        response_headers_to_add: vec![field("set-cookie", "a=1")],
        ..OkHttpResponse::default()
    });
    let message = unary::frame(&cookie.encode_to_vec());
    let again = message.clone();
    let authorizer = Origin::speaking(Speaks::H2c, move |_| {
        let mut answer = held.lock().unwrap().take();
        match &mut answer {
            Some(answer) => {
                let kind = "application/grpc".parse().unwrap();
                answer.headers_mut().insert("content-type", kind);
            }
            None => return replied(again.clone(), 0),
        }
        answer.unwrap()
    })
    .await;
    let (origin, collector) = (Origin::start().await, Collector::start().await);
    let proxy = guarded(&origin, &authorizer, "cache: {ttl: 1m}", &collector).await;

    let ask = || tokio::spawn(send(proxy.address, request("GET", "/", &[])));
    let leader = ask();
    authorizer.wait_for_heads(1).await;
    let waiter = ask();
    // It waits for as long as this, or asks for itself, if it comes so late.
    tokio::time::sleep(Duration::from_millis(500)).await;
    frames.send(Frame::data(message)).await.unwrap();
    let end = unary::status_fields(0, "");
    frames.send(Frame::trailers(end)).await.unwrap();
    drop(frames);

    assert_eq!(leader.await.unwrap().status, 200);
    assert_eq!(waiter.await.unwrap().status, 200);
    let asked = authorizer.received();
    assert_eq!(asked.len(), 2, "a cookie is of one client");
    let left: Vec<u64> = asked.iter().map(millis).collect();
    assert!(left.iter().any(|left| *left <= 4700), "{left:?}");
}

#[tokio::test]
async fn an_answer_of_endless_changes_lets_nobody_pass_and_breaks_nothing() {
    let authorizer = authorizer(|http| {
        let count = if http.path == "/many" { 40_000 } else { 1 };
        let headers = (0..count).map(|index| field(&format!("x-{index}"), "v"));
        refusing(403, headers.collect(), "no")
    })
    .await;
    let (origin, collector) = (Origin::start().await, Collector::start().await);
    let proxy = guarded(&origin, &authorizer, "", &collector).await;

    assert_eq!(get(proxy.address, "/many", &[]).await.status, 503);
    assert_eq!(get(proxy.address, "/", &[]).await.status, 403);
    assert!(origin.received().is_empty());
}
