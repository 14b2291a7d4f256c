//! What an authorizer's answer does to the request and to its client.

use super::{routed, scene};
use crate::support::client::{get, request, send, send_h2};
use crate::support::origin::{Origin, Received, text, with_headers};
use crate::support::proxy::Setup;
use crate::support::script::{Scripted, Step};

#[tokio::test]
async fn any_2xx_allows_behind_nginx_and_traefik_and_only_200_behind_envoy() {
    for (dialect, status, allowed) in [
        ("auth_request", 200, true),
        ("auth_request", 202, true),
        ("auth_request", 204, true),
        ("traefik", 202, true),
        ("envoy", 200, true),
        ("envoy", 201, false),
        ("envoy", 202, false),
        ("envoy", 204, false),
        ("auth_request", 300, false),
        ("auth_request", 401, false),
    ] {
        let scene = scene(&format!("dialect: {dialect}"), move |_| text(status, "")).await;

        let reply = get(scene.proxy.address, "/", &[]).await;

        let expected = if allowed { 200 } else { status };
        assert_eq!(reply.status, expected, "{dialect} {status}");
        assert_eq!(
            scene.origin.received().len(),
            usize::from(allowed),
            "{dialect} {status}"
        );
    }
}

#[tokio::test]
async fn a_refusal_reaches_the_client_as_it_is() {
    let headers = [
        ("set-cookie", "csrf=1; Path=/"),
        ("set-cookie", "next=2; Secure"),
        ("www-authenticate", "Basic realm=\"a\""),
        ("www-authenticate", "Bearer"),
        ("content-type", "text/html"),
        ("cache-control", "no-store"),
        ("x-anything", "at all"),
        ("connection", "x-internal"),
        ("x-internal", "1"),
        ("keep-alive", "timeout=5"),
    ];
    for status in [401, 403, 404, 418, 429] {
        let scene = scene("", move |_| with_headers(status, &headers, "<p>no</p>")).await;

        let reply = get(scene.proxy.address, "/", &[]).await;

        assert_eq!(
            (reply.status.as_u16(), &*reply.text()),
            (status, "<p>no</p>")
        );
        assert_eq!(reply.header("content-length"), Some("9"));
        assert_eq!(reply.header("content-type"), Some("text/html"));
        assert_eq!(reply.header("x-anything"), Some("at all"));
        let all = |name| reply.headers.get_all(name).iter().count();
        assert_eq!((all("set-cookie"), all("www-authenticate")), (2, 2));
        assert_eq!((all("x-internal"), all("keep-alive")), (0, 0));
        assert!(scene.origin.received().is_empty());
        let edges = scene.collector.next_edges().await;
        assert_eq!(edges.server().text("edgespan.auth.decision"), Some("deny"));
        assert_eq!(edges.server().text("edgespan.auth.reason"), Some("refused"));
        assert_eq!(
            edges.client().int("http.response.status_code"),
            Some(status.into())
        );
    }
}

#[tokio::test]
async fn absolute_and_relative_locations_stay_as_they_were_written() {
    for location in [
        "https://login.example/?rd=%2F",
        "/oauth2/start?rd=/a",
        "login",
        "//login.example/",
    ] {
        for status in [301, 302, 303, 307, 308] {
            let scene = scene("", move |_| {
                with_headers(
                    status,
                    &[("location", location), ("set-cookie", "state=1")],
                    "",
                )
            })
            .await;

            let reply = get(scene.proxy.address, "/a", &[]).await;

            assert_eq!(reply.status, status);
            assert_eq!(reply.header("location"), Some(location));
            assert_eq!(reply.header("set-cookie"), Some("state=1"));
            let edges = scene.collector.next_edges().await;
            assert_eq!(
                edges.server().text("edgespan.auth.decision"),
                Some("redirect")
            );
        }
    }
}

#[tokio::test]
async fn a_refused_head_request_gets_no_body() {
    for dialect in ["auth_request", "envoy"] {
        let scene = scene(&format!("dialect: {dialect}"), |_| text(403, "no")).await;

        let reply = send(scene.proxy.address, request("HEAD", "/", &[])).await;

        assert_eq!((reply.status.as_u16(), reply.body.len()), (403, 0));
        let over_h2 = send_h2(scene.proxy.address, request("GET", "/", &[])).await;
        assert_eq!((over_h2.status.as_u16(), &*over_h2.text()), (403, "no"));
    }
}

#[tokio::test]
async fn a_status_without_a_body_has_none() {
    for (dialect, status, headers) in [
        ("envoy", "204", "x-a: 1"),
        ("envoy", "205", "content-length: 2"),
        ("auth_request", "304", "etag: \"a\""),
    ] {
        let answer = format!("HTTP/1.1 {status} x\r\n{headers}\r\nconnection: close\r\n\r\n");
        let authorizer = Origin::raw(move |_| Some(answer.clone().into_bytes())).await;
        // 205 announces two bytes that never come: that is a broken answer.
        let scene = routed(
            &format!("dialect: {dialect}, retries: 0"),
            "auth: legacy",
            authorizer,
        )
        .await;

        let reply = get(scene.proxy.address, "/", &[]).await;

        let expected = if status == "205" { "503" } else { status };
        assert_eq!(reply.status.as_str(), expected);
        assert!(scene.origin.received().is_empty());
    }
}

fn user(request: &Received) -> crate::support::origin::Answer {
    match request.one("x-forwarded-uri").as_str() {
        "/known" => with_headers(
            200,
            &[
                ("x-auth-user", "alice"),
                ("x-auth-groups", "a"),
                ("x-auth-groups", "b"),
                ("x-other", "1"),
            ],
            "",
        ),
        _ => text(200, ""),
    }
}

const SPOOFS: [(&str, &str); 8] = [
    ("x-auth-user", "mallory"),
    ("X_Auth_User", "mallory"),
    ("x-auth_user", "mallory"),
    ("x-auth-user", "mallory2"),
    ("x-auth-groups", "root"),
    ("x_auth_groups", "root"),
    ("x-auth-unknown", "mallory"),
    ("connection", "close, x-auth-user, x-auth-groups"),
];

#[tokio::test]
async fn identity_headers_are_the_authorizers_and_a_clients_are_gone_in_every_spelling() {
    for identity in ["[x-auth-user, x-auth-groups, x-auth-unknown]", "'x-auth-*'"] {
        let scene = scene(&format!("identity_headers: {identity}"), user).await;

        get(scene.proxy.address, "/known", &SPOOFS).await;

        let sent = scene.origin.sole();
        assert_eq!(sent.one("x-auth-user"), "alice");
        assert_eq!(sent.all("x-auth-groups"), ["a", "b"]);
        let all = format!("{:?}", sent.headers);
        assert!(!all.contains("mallory") && !all.contains("root"), "{all}");
        assert!(
            sent.all("x-other").is_empty(),
            "only what is named comes back"
        );
    }
}

#[tokio::test]
async fn an_answer_without_the_identity_header_removes_the_clients() {
    for identity in ["[x-auth-user, x-auth-groups, x-auth-unknown]", "'x-auth-*'"] {
        let scene = scene(&format!("identity_headers: {identity}"), user).await;

        let reply = get(scene.proxy.address, "/unknown", &SPOOFS).await;

        assert_eq!(reply.status, 200);
        let all = format!("{:?}", scene.origin.sole().headers);
        assert!(!all.contains("mallory") && !all.contains("root"), "{all}");
    }
}

#[tokio::test]
async fn an_authorizer_of_envoy_says_which_headers_go() {
    let scene = scene("dialect: envoy, identity_headers: x-auth-user", |_| {
        let removed = "x-remove, x_auth_user , bad name,host,x-mixed";
        with_headers(
            200,
            &[
                ("x-auth-user", "alice"),
                ("x-envoy-auth-headers-to-remove", removed),
            ],
            "",
        )
    })
    .await;
    let headers = [
        ("x-remove", "1"),
        ("X_Remove", "1"),
        ("x-mixed", "1"),
        ("x-kept", "1"),
    ];

    get(scene.proxy.address, "/", &headers).await;

    let sent = scene.origin.sole();
    for gone in [
        "x-remove",
        "x_remove",
        "x-mixed",
        "x-envoy-auth-headers-to-remove",
    ] {
        assert!(sent.all(gone).is_empty(), "{gone}");
    }
    assert_eq!(sent.one("x-auth-user"), "alice");
    assert_eq!(
        (sent.one("x-kept"), sent.one("host")),
        ("1".into(), "app.example.com".into())
    );
}

#[tokio::test]
async fn set_cookie_on_allow_passes_if_it_is_named_and_each_stays_a_field_of_its_own() {
    let cookies = |_: &Received| {
        with_headers(
            200,
            &[
                ("set-cookie", "a=1, b"),
                ("set-cookie", "c=2"),
                ("x-hint", "1"),
            ],
            "",
        )
    };
    let named = scene("answer_headers: set-cookie", cookies).await;
    let unnamed = scene("", cookies).await;

    let with = get(named.proxy.address, "/", &[]).await;
    let without = get(unnamed.proxy.address, "/", &[]).await;

    let all: Vec<_> = with.headers.get_all("set-cookie").iter().collect();
    assert_eq!(all, ["a=1, b", "c=2"]);
    assert_eq!((with.header("x-hint"), &*with.text()), (None, "hello"));
    assert_eq!(without.header("set-cookie"), None);
}

#[tokio::test]
async fn in_shadow_a_refusal_is_recorded_and_nothing_of_an_answer_is_applied() {
    for status in [200, 403, 302, 500] {
        let authorizer = Origin::answering(move |_| {
            with_headers(
                status,
                &[
                    ("x-auth-user", "alice"),
                    ("set-cookie", "a=1"),
                    ("location", "/"),
                ],
                "",
            )
        })
        .await;
        let settings = "identity_headers: x-auth-user, answer_headers: set-cookie";
        let scene = routed(settings, "auth: tried", authorizer).await;

        let reply = get(scene.proxy.address, "/", &[("x-auth-user", "bob")]).await;

        assert_eq!(
            (reply.status.as_u16(), reply.header("set-cookie")),
            (200, None)
        );
        // Nobody says who it is: neither the answer, nor a client under a name that is reserved.
        assert!(scene.origin.sole().all("x-auth-user").is_empty());
        let edges = scene.collector.next_edges().await;
        let decision = edges
            .0
            .iter()
            .find(|span| span.name() == "auth tried")
            .unwrap();
        assert_eq!(decision.bool("edgespan.auth.enforced"), Some(false));
        let expected = match status {
            200 => "allow",
            302 => "redirect",
            500 => "error",
            _ => "deny",
        };
        assert_eq!(decision.text("edgespan.auth.decision"), Some(expected));
    }
}

#[tokio::test]
async fn an_answer_larger_than_the_bound_is_no_answer() {
    for (length, status) in [(1 << 20, 403), ((1 << 20) + 1, 503)] {
        let body = "x".repeat(length);
        let authorizer = Scripted::start([Step::Say(format!(
            "HTTP/1.1 403 no\r\ncontent-length: {length}\r\n\r\n{body}"
        ))])
        .await;
        let authorizer = Origin {
            address: authorizer.address,
            ..Origin::detached()
        };
        let scene = routed("retries: 0", "auth: legacy", authorizer).await;

        let reply = get(scene.proxy.address, "/", &[]).await;

        assert_eq!(reply.status, status, "{length}");
    }
}

#[tokio::test]
async fn a_plain_cgi_program_that_answers_200_is_an_authorizer() {
    let authorizer = Origin::raw(|_| {
        Some(
            b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nX-Auth-User: alice\r\n\r\nok\n"
                .to_vec(),
        )
    })
    .await;
    let scene = routed("identity_headers: x-auth-user", "auth: legacy", authorizer).await;

    let reply = get(scene.proxy.address, "/", &[]).await;

    assert_eq!(reply.status, 200);
    assert_eq!(scene.origin.sole().one("x-auth-user"), "alice");
}

#[tokio::test]
async fn fixed_answers_and_redirects_are_guarded_too() {
    let refusing = Origin::answering(|_| text(403, "no")).await;
    for action in ["answer: {body: secret}", "redirect: {path: /secret}"] {
        let proxy = Setup::new(&format!(
            "auth: {{legacy: {{forward: {{url: 'http://${{auth}}'}}}}}}\n\
             default_auth: legacy\n\
             routes: [{{name: all, {action}}}]\n"
        ));
        let proxy = proxy
            .fill("auth", &refusing.address.to_string())
            .start()
            .await;

        let reply = get(proxy.address, "/", &[]).await;

        assert_eq!(
            (reply.status.as_u16(), &*reply.text()),
            (403, "no"),
            "{action}"
        );
    }
}
