//! What an authorizer is told of a request.

use super::{allow, routed, scene};
use crate::support::client::{begin, get, raw, request, send, with_body};
use crate::support::origin::{Origin, with_headers};
use crate::support::websocket::{KEY, WebSocketOrigin};
use http::StatusCode;

#[tokio::test]
async fn behind_nginx_it_is_a_get_that_tells_method_and_whole_url() {
    let scene = scene("", allow).await;

    let told = request(
        "POST",
        "/a/%62%2e/%c3%a4?x=1&x=2",
        &[("cookie", "session=1")],
    );
    let reply = send(scene.proxy.address, with_body(told, "{}")).await;

    let (asked, sent) = (scene.authorizer.sole(), scene.origin.sole());
    assert_eq!(reply.status, 200);
    assert_eq!(
        (asked.method.as_str(), asked.uri.to_string()),
        ("GET", "/auth".to_owned())
    );
    let target = sent.uri.to_string();
    assert_eq!(asked.one("x-original-method"), "POST");
    assert_eq!(
        asked.one("x-original-url"),
        format!("http://app.example.com{target}")
    );
    assert_eq!(asked.one("x-forwarded-method"), "POST");
    assert_eq!(asked.one("x-forwarded-uri"), target);
    assert_eq!(asked.one("x-forwarded-host"), "app.example.com");
    assert_eq!(asked.one("x-forwarded-proto"), "http");
    assert_eq!(asked.one("x-forwarded-for"), "127.0.0.1");
    assert_eq!(asked.one("host"), scene.authorizer.address.to_string());
    assert_eq!(asked.one("cookie"), "session=1");
    assert_eq!(asked.body, "", "without a setting no body leaves");
    assert!(asked.all("content-length").is_empty());
    assert_eq!(sent.body, "{}");
}

#[tokio::test]
async fn behind_traefik_there_are_its_five_fields_and_none_of_nginx() {
    let scene = scene("dialect: traefik", allow).await;

    send(scene.proxy.address, request("DELETE", "/a?b", &[])).await;

    let asked = scene.authorizer.sole();
    assert_eq!((asked.method.as_str(), asked.uri.path()), ("GET", "/auth"));
    assert_eq!(asked.one("x-forwarded-method"), "DELETE");
    assert_eq!(asked.one("x-forwarded-uri"), "/a?b");
    assert!(asked.all("x-original-url").is_empty());
}

#[tokio::test]
async fn behind_envoy_method_path_and_host_are_the_requests_own() {
    let scene = scene("dialect: envoy, request_headers: [authorization]", allow).await;

    let headers = [
        ("authorization", "Bearer x"),
        ("cookie", "a=1"),
        ("host", "A.Example.com:8080"),
    ];
    send(scene.proxy.address, request("PUT", "/x/y?q=%20", &headers)).await;

    let (asked, sent) = (scene.authorizer.sole(), scene.origin.sole());
    assert_eq!(
        (asked.method.as_str(), asked.uri.to_string()),
        ("PUT", format!("/auth{}", sent.uri))
    );
    assert_eq!(asked.one("host"), "a.example.com:8080");
    assert_eq!(asked.one("authorization"), "Bearer x");
    assert!(asked.all("cookie").is_empty(), "only what is named leaves");
    assert!(asked.all("x-original-url").is_empty());
}

#[tokio::test]
async fn what_a_client_says_for_others_never_reaches_it() {
    let scene = scene("request_headers: '*'", allow).await;
    let names = [
        "x-forwarded-prefix",
        "x-forwarded-port",
        "x-forwarded-user",
        "X_Forwarded_Uri",
        "x-original-foo",
        "X_Original_URL",
        "forwarded",
        "x-real-ip",
        "x-rewrite-url",
        "x-edgespan-body-partial",
        "x-envoy-auth-partial-body",
    ];
    let mut headers: Vec<(&str, &str)> = names.iter().map(|name| (*name, "mallory")).collect();
    headers.extend([
        ("x-forwarded-uri", "/healthz"),
        ("x-forwarded-host", "mallory"),
        ("x-forwarded-method", "mallory"),
        ("x-original-url", "http://mallory/"),
        ("x-original-method", "mallory"),
        ("x-forwarded-for", "6.6.6.6"),
    ]);

    get(scene.proxy.address, "/admin", &headers).await;

    let asked = scene.authorizer.sole();
    for (name, value) in &asked.headers {
        assert!(
            !value.to_str().unwrap().contains("mallory"),
            "{name} is the client's"
        );
    }
    assert_eq!(asked.one("x-forwarded-uri"), "/admin");
    assert_eq!(asked.one("x-forwarded-for"), "127.0.0.1");
}

#[tokio::test]
async fn repeated_fields_reach_it_as_often_as_the_origin() {
    let scene = scene("request_headers: ['*']", allow).await;
    let headers = [
        ("x-role", "user"),
        ("x-role", "admin"),
        ("cookie", "a=1"),
        ("cookie", "b=2"),
    ];

    get(scene.proxy.address, "/", &headers).await;

    let (asked, sent) = (scene.authorizer.sole(), scene.origin.sole());
    for name in ["x-role", "cookie"] {
        assert_eq!(asked.all(name), sent.all(name));
        assert_eq!(asked.all(name).len(), 2);
    }
}

#[tokio::test]
async fn conditions_ranges_and_the_connection_are_not_part_of_the_question() {
    let scene = scene("request_headers: '*'", allow).await;
    let headers = [
        ("if-none-match", "\"a\""),
        ("range", "bytes=0-1"),
        ("connection", "close, x-secret"),
        ("x-secret", "1"),
        ("te", "trailers"),
        ("x-kept", "1"),
    ];

    get(scene.proxy.address, "/", &headers).await;

    let asked = scene.authorizer.sole();
    for name in [
        "if-none-match",
        "range",
        "connection",
        "x-secret",
        "te",
        "via",
    ] {
        assert!(asked.all(name).is_empty(), "{name}");
    }
    assert_eq!(asked.one("x-kept"), "1");
}

#[tokio::test]
async fn trace_context_joins_the_calls_own_span_with_state_and_baggage_as_they_were() {
    let scene = scene("request_headers: [x-none]", allow).await;
    let headers = [
        (
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ),
        ("tracestate", "vendor=1,other=2"),
        ("baggage", "a=1,b=2"),
    ];

    get(scene.proxy.address, "/", &headers).await;

    let edges = scene.collector.next_edges().await;
    let asked = scene.authorizer.sole();
    let decision = edges
        .0
        .iter()
        .find(|span| span.name() == "auth legacy")
        .unwrap();
    let call = edges
        .clients()
        .into_iter()
        .find(|span| span.parent_id() == decision.span_id());
    let call = call.expect("a CLIENT span under the decision");
    let expected = format!("00-0af7651916cd43dd8448eb211c80319c-{}-01", call.span_id());
    assert_eq!(asked.one("traceparent"), expected);
    assert_eq!(asked.one("tracestate"), "vendor=1,other=2");
    assert_eq!(asked.one("baggage"), "a=1,b=2");
    assert_eq!(call.int("http.response.status_code"), Some(200));
    assert_eq!(decision.parent_id(), edges.server().span_id());
    assert_eq!(decision.text("edgespan.auth.decision"), Some("allow"));
}

#[tokio::test]
async fn no_credential_stands_on_a_span() {
    let scene = scene(
        "request_headers: '*', identity_headers: x-auth-user",
        |_| with_headers(200, &[("x-auth-user", "secret-user")], ""),
    )
    .await;
    let headers = [
        ("cookie", "session=secret-cookie"),
        ("authorization", "Bearer secret-token"),
    ];

    get(scene.proxy.address, "/", &headers).await;

    let edges = scene.collector.next_edges().await;
    assert_eq!(edges.clients().len(), 2);
    let all = format!("{edges:?}");
    assert!(!all.contains("secret-"), "{all}");
}

#[tokio::test]
async fn context_of_policy_and_route_goes_out_and_a_client_cannot_write_it() {
    let authorizer = Origin::answering(allow).await;
    let route = "auth: [{policy: legacy, context: {x-required-group: admins}}]";
    let settings = "request_headers: '*', context: {x-tenant: a, x-required-group: users}";
    let scene = routed(settings, route, authorizer).await;
    let spoofed = [
        ("x-required-group", "users"),
        ("X_Required_Group", "users"),
        ("x-tenant", "b"),
    ];

    get(scene.proxy.address, "/", &spoofed).await;

    let asked = scene.authorizer.sole();
    assert_eq!(asked.one("x-required-group"), "admins");
    assert_eq!(asked.one("x-tenant"), "a");
    assert!(asked.all("x_required_group").is_empty());
}

#[tokio::test]
async fn a_preflight_is_told_of_as_one_unless_it_passes_unasked() {
    let headers = [
        ("origin", "https://other.example"),
        ("access-control-request-method", "PUT"),
    ];
    let checked = scene("", allow).await;
    let passed = routed(
        "",
        "auth: legacy, auth_preflights: pass",
        Origin::answering(allow).await,
    )
    .await;

    send(checked.proxy.address, request("OPTIONS", "/", &headers)).await;
    send(passed.proxy.address, request("OPTIONS", "/", &headers)).await;
    get(passed.proxy.address, "/", &headers).await;

    let asked = checked.authorizer.sole();
    assert_eq!(
        (asked.method.as_str(), &*asked.one("x-forwarded-method")),
        ("GET", "OPTIONS")
    );
    assert_eq!(asked.one("origin"), "https://other.example");
    let asked = passed.authorizer.sole();
    assert_eq!(
        asked.one("x-forwarded-method"),
        "GET",
        "only the request itself was asked about"
    );
    assert_eq!(passed.origin.received().len(), 2);
}

/// The head of an upgrade.
fn upgrade() -> http::Request<crate::support::client::Sending> {
    request(
        "GET",
        "/socket?room=1",
        &[
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", KEY),
            ("cookie", "session=1"),
        ],
    )
}

#[tokio::test]
async fn an_upgrade_is_a_plain_question_and_goes_on_if_it_may() {
    use crate::support::websocket::Http;
    let authorizer = Origin::answering(allow).await;
    let socket = WebSocketOrigin::start(Http::One).await;
    let proxy = super::setup(
        "request_headers: '*'",
        "auth: legacy",
        &socket.plain(),
        &authorizer,
    )
    .start()
    .await;

    let answer = begin(proxy.address, upgrade()).await;

    assert_eq!(answer.status(), StatusCode::SWITCHING_PROTOCOLS);
    let asked = authorizer.sole();
    assert_eq!(asked.method, "GET");
    assert!(asked.all("upgrade").is_empty() && asked.all("connection").is_empty());
    assert_eq!(
        asked.one("x-original-url"),
        "http://app.example.com/socket?room=1"
    );
    assert_eq!(asked.one("cookie"), "session=1");
}

#[tokio::test]
async fn an_upgrade_that_would_be_sent_to_a_login_gets_401() {
    let scene = scene("", |_| {
        with_headers(302, &[("location", "https://login.example/")], "")
    })
    .await;

    let answer = begin(scene.proxy.address, upgrade()).await;

    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert!(answer.headers().get("location").is_none());
    assert!(scene.origin.received().is_empty());
}

#[tokio::test]
async fn a_fragment_in_the_target_means_the_same_to_authorizer_and_origin() {
    let scene = scene("", allow).await;

    raw(
        scene.proxy.address,
        b"GET /admin?a=1#/../public HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    )
    .await;

    assert_eq!(scene.authorizer.sole().one("x-forwarded-uri"), "/admin?a=1");
    assert_eq!(scene.origin.sole().uri, "/admin?a=1");
}

#[tokio::test]
async fn authorizer_and_origin_see_one_path_or_nobody_sees_any() {
    let scene = scene("dialect: envoy", allow).await;
    for path in [
        "/public/../admin",
        "/public/%2e%2e/admin",
        "/%61dmin",
        "/admin%2f..%2fpublic",
        "/a//b",
        "/a;x=1/b",
        "/a/./b",
        "/%2561dmin",
        "/a%00b",
        "/ä",
        "http://other.example/admin",
    ] {
        let head = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        raw(scene.proxy.address, head.as_bytes()).await;
        let (asked, sent) = (scene.authorizer.received(), scene.origin.received());
        assert_eq!(asked.len(), sent.len(), "{path}");
        if let (Some(asked), Some(sent)) = (asked.last(), sent.last()) {
            assert_eq!(
                asked.uri.to_string(),
                format!("/auth{}", sent.uri),
                "{path}"
            );
        }
    }
    assert!(!scene.origin.received().is_empty());
}

#[tokio::test]
async fn a_cookie_of_30_kb_reaches_it_whole() {
    let scene = scene("", allow).await;
    let cookie = "a=".to_owned() + &"x".repeat(30 * 1024);

    let reply = get(scene.proxy.address, "/", &[("cookie", &cookie)]).await;

    assert_eq!(reply.status, 200);
    assert_eq!(scene.authorizer.sole().one("cookie"), cookie);
}
