//! Host proxies ask whether requests may pass, each in its dialect.

use crate::support::client::{Reply, get, request, send, send_h2};
use crate::support::collector::Collector;
use crate::support::origin::{Origin, with_headers};
use crate::support::proxy::{Proxy, Setup};
use std::net::SocketAddr;

pub const DIALECTS: [&str; 5] = ["nginx", "traefik", "caddy", "envoy", "haproxy"];

/// A decision listener on loopback whose routes are these, asked by loopback.
pub fn deciding(rest: &str) -> Setup {
    Setup::new(&format!(
        "listeners: {{authz: {{address: '127.0.0.1:0', mode: decision, \
         trusted_proxies: [127.0.0.0/8]}}}}\n{rest}\n"
    ))
}

/// Public below `/public`, for 192.0.2.0/24 below `/office`, for nobody that exists elsewhere.
pub const ROUTES: &str = "auth: {office: {ip: [192.0.2.0/24]}, nobody: {ip: [203.0.113.255]}}\n\
    routes:\n\
    - {name: public, match: {host: app.example.com, prefix: /public}}\n\
    - {name: office, match: {host: app.example.com, prefix: /office}, auth: office}\n\
    - {name: admin, match: {host: app.example.com, prefix: /admin}, auth: nobody}\n";

/// A request that a host tells of.
pub struct Told<'a> {
    pub method: &'a str,
    pub url: (&'a str, &'a str, &'a str),
    pub client: &'a str,
    pub fields: &'a [(&'a str, &'a str)],
}

pub fn told<'a>(host: &'a str, target: &'a str, client: &'a str) -> Told<'a> {
    Told {
        method: "GET",
        url: ("https", host, target),
        client,
        fields: &[],
    }
}

/// Asks as this host does.
pub async fn ask(to: SocketAddr, dialect: &str, told: &Told<'_>) -> Reply {
    let (scheme, host, target) = told.url;
    let url = format!("{scheme}://{host}{target}");
    let envoy = format!("/auth/envoy{target}");
    let path = format!("/auth/{dialect}");
    let (method, path, mut fields) = match dialect {
        "nginx" => (
            "GET",
            path.as_str(),
            vec![("x-original-method", told.method), ("x-original-url", &url)],
        ),
        "envoy" => (
            told.method,
            envoy.as_str(),
            vec![("host", host), ("x-forwarded-proto", scheme)],
        ),
        _ => (
            "GET",
            path.as_str(),
            vec![
                ("x-forwarded-method", told.method),
                ("x-forwarded-proto", scheme),
                ("x-forwarded-host", host),
                ("x-forwarded-uri", target),
            ],
        ),
    };
    fields.push(("x-forwarded-for", told.client));
    fields.extend_from_slice(told.fields);
    send(to, request(method, path, &fields)).await
}

pub async fn status(proxy: &Proxy, dialect: &str, told: &Told<'_>) -> u16 {
    ask(proxy.address, dialect, told).await.status.as_u16()
}

#[tokio::test]
async fn every_dialect_allows_with_exactly_200_and_decides_by_what_its_host_told() {
    let proxy = deciding(ROUTES).start().await;

    for dialect in DIALECTS {
        let public = told("app.example.com", "/public/a?b=c", "198.51.100.1");
        let inside = told("app.example.com", "/office", "192.0.2.7");
        let outside = told("app.example.com", "/office", "198.51.100.1");
        let nowhere = told("app.example.com", "/elsewhere", "192.0.2.7");
        let nobodys = told("other.example.com", "/public", "192.0.2.7");

        assert_eq!(status(&proxy, dialect, &public).await, 200, "{dialect}");
        assert_eq!(status(&proxy, dialect, &inside).await, 200, "{dialect}");
        assert_eq!(status(&proxy, dialect, &outside).await, 403, "{dialect}");
        assert_eq!(status(&proxy, dialect, &nowhere).await, 403, "{dialect}");
        assert_eq!(status(&proxy, dialect, &nobodys).await, 403, "{dialect}");
    }
}

/// CVE-2026-40575
#[tokio::test]
async fn nothing_is_decided_for_who_is_no_trusted_proxy() {
    let proxy = Setup::new(&format!(
        "listeners: {{authz: {{address: '127.0.0.1:0', mode: decision, \
         trusted_proxies: [10.0.0.1]}}}}\n{ROUTES}"
    ))
    .start()
    .await;

    for dialect in DIALECTS {
        let public = told("app.example.com", "/public", "192.0.2.7");
        let reply = ask(proxy.address, dialect, &public).await;

        assert_eq!(reply.status, 403, "{dialect}");
        assert_eq!(reply.json()["code"], "untrusted_peer", "{dialect}");
    }
}

#[tokio::test]
async fn a_path_that_is_no_endpoint_is_never_leave_to_pass() {
    let proxy = deciding(ROUTES).start().await;

    for path in ["/", "/public", "/auth", "/auth/nginx/x", "/auth/envoy"] {
        let reply = get(proxy.address, path, &[("host", "app.example.com")]).await;

        assert_eq!(reply.status, 404, "{path}");
    }
}

#[tokio::test]
async fn the_span_of_a_decision_stands_under_the_hosts_and_tells_both_requests() {
    let collector = Collector::start().await;
    let proxy = deciding(ROUTES).export_to(&collector).start().await;
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let mut deleted = told("App.Example.com:8443", "/office/a?b=c&token=x", "192.0.2.7");
    deleted.method = "DELETE";
    let fields = [("traceparent", parent)];
    deleted.fields = &fields;

    let reply = ask(proxy.address, "nginx", &deleted).await;
    let edges = collector.next_edges().await;

    assert_eq!(reply.status, 200);
    let server = edges.server();
    assert_eq!(server.name(), "GET /auth/nginx");
    assert_eq!(server.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(server.parent_id(), "00f067aa0ba902b7");
    for (key, value) in [
        ("http.request.method", "GET"),
        ("http.route", "/auth/nginx"),
        ("url.path", "/auth/nginx"),
        ("url.scheme", "http"),
        ("client.address", "192.0.2.7"),
        ("edgespan.route", "office"),
        ("edgespan.decision.dialect", "nginx"),
        ("edgespan.original.method", "DELETE"),
        ("edgespan.original.scheme", "https"),
        ("edgespan.original.host", "app.example.com"),
        ("edgespan.original.path", "/office/a"),
        ("edgespan.original.query", "b=c&token=REDACTED"),
        ("edgespan.original.route", "/office/*"),
        ("edgespan.auth.decision", "allow"),
    ] {
        assert_eq!(server.text(key), Some(value), "{key}");
    }
}

/// An authorizer that knows cookies, and a listener that asks it about everything.
async fn with_authorizer(dialect: &str) -> (Origin, Proxy) {
    let authorizer = Origin::answering(|received| {
        let cookies = received.all("cookie").join("; ");
        let cookie = cookies
            .split("; ")
            .find(|one| one.starts_with("s="))
            .unwrap_or_default();
        match cookie {
            "s=alice" => with_headers(
                200,
                &[
                    ("x-auth-user", "alice"),
                    ("set-cookie", "s=2"),
                    ("set-cookie", "t=3"),
                ],
                "",
            ),
            "s=anonymous" => with_headers(200, &[], ""),
            "s=created" => with_headers(201, &[("x-auth-user", "alice")], ""),
            "s=page" => with_headers(
                302,
                &[
                    ("location", "../login?a=b"),
                    ("set-cookie", "state=1"),
                    ("set-cookie", "nonce=2"),
                ],
                "",
            ),
            "s=often" => with_headers(429, &[("retry-after", "7")], ""),
            "s=mallory" => with_headers(403, &[], "no"),
            _ => with_headers(401, &[("www-authenticate", "Bearer")], ""),
        }
    })
    .await;
    let proxy = deciding(&format!(
        "auth: {{login: {{forward: {{url: 'http://${{origin}}/auth', dialect: {dialect}, \
         timeout: 10s, identity_headers: [x-auth-user, x-auth-groups], \
         answer_headers: [set-cookie]}}}}}}\n\
         routes:\n\
         - {{name: public, match: {{path: /public}}}}\n\
         - {{name: all, match: {{prefix: /}}, auth: login}}"
    ))
    .origin(&authorizer)
    .start()
    .await;
    (authorizer, proxy)
}

async fn with_cookie(proxy: &Proxy, dialect: &str, cookie: &str) -> Reply {
    let fields = [("cookie", cookie)];
    let told = Told {
        fields: &fields,
        ..told("app.example.com", "/a/b?c=d", "192.0.2.7")
    };
    ask(proxy.address, dialect, &told).await
}

fn all(reply: &Reply, name: &str) -> Vec<String> {
    let values = reply.headers.get_all(name).iter();
    values
        .map(|value| value.to_str().unwrap().to_owned())
        .collect()
}

/// CVE-2026-30851
#[tokio::test]
async fn every_identity_header_is_told_also_if_nothing_was_proved() {
    let (_authorizer, proxy) = with_authorizer("auth_request").await;

    for dialect in DIALECTS {
        let alice = with_cookie(&proxy, dialect, "s=alice").await;
        let anonymous = with_cookie(&proxy, dialect, "s=anonymous").await;

        assert_eq!(
            (alice.status, anonymous.status),
            (200.try_into().unwrap(), 200.try_into().unwrap())
        );
        assert_eq!(all(&alice, "x-auth-user"), ["alice"], "{dialect}");
        assert_eq!(all(&alice, "x-auth-groups"), [""], "{dialect}");
        assert_eq!(all(&anonymous, "x-auth-user"), [""], "{dialect}");
        let removed = anonymous.header("x-envoy-auth-headers-to-remove");
        if dialect == "envoy" {
            let names: Vec<_> = removed.unwrap().split(',').collect();
            for name in [
                "x-auth-user",
                "x_auth_user",
                "x-auth_user",
                "x_auth-user",
                "x-auth-groups",
            ] {
                assert!(names.contains(&name), "{name} of {names:?}");
            }
            let names = alice.header("x-envoy-auth-headers-to-remove").unwrap();
            assert!(
                !names.split(',').any(|name| name == "x-auth-user"),
                "{names}"
            );
        } else {
            assert_eq!(removed, None, "{dialect}");
        }
    }
}

#[tokio::test]
async fn a_refusal_keeps_what_its_host_can_hand_on() {
    let (_authorizer, proxy) = with_authorizer("auth_request").await;

    for dialect in DIALECTS {
        let is_nginx = dialect == "nginx";
        let nobody = with_cookie(&proxy, dialect, "s=").await;
        assert_eq!(nobody.status, 401, "{dialect}");
        assert_eq!(
            nobody.header("www-authenticate"),
            Some("Bearer"),
            "{dialect}"
        );

        let page = with_cookie(&proxy, dialect, "s=page").await;
        assert_eq!(page.status, if is_nginx { 401 } else { 302 }, "{dialect}");
        let login = "https://app.example.com/login?a=b";
        assert_eq!(page.header("location"), Some(login), "{dialect}");
        let cookies = all(&page, "set-cookie");
        if is_nginx {
            assert_eq!(cookies, ["state=1"]);
            assert_eq!(page.header("x-edgespan-set-cookie-2"), Some("nonce=2"));
            assert_eq!(page.header("x-edgespan-status"), Some("302"));
        } else {
            assert_eq!(cookies, ["state=1", "nonce=2"], "{dialect}");
        }

        let often = with_cookie(&proxy, dialect, "s=often").await;
        assert_eq!(often.status, if is_nginx { 403 } else { 429 }, "{dialect}");
        assert_eq!(often.header("retry-after"), Some("7"), "{dialect}");
        assert_eq!(with_cookie(&proxy, dialect, "s=mallory").await.status, 403);
    }
}

/// CVE-2021-32637
#[tokio::test]
async fn nothing_but_a_permission_is_a_200() {
    let (authorizer, proxy) = with_authorizer("envoy").await;

    for dialect in DIALECTS {
        // To Envoy's dialect 201 is a refusal.
        assert_eq!(
            with_cookie(&proxy, dialect, "s=created").await.status,
            403,
            "{dialect}"
        );
        // A failure of gRPC is a 200 elsewhere.
        let fields = [("content-type", "application/grpc"), ("te", "trailers")];
        let call = Told {
            fields: &fields,
            ..told("app.example.com", "/a.B/C", "192.0.2.7")
        };
        assert_eq!(status(&proxy, dialect, &call).await, 401, "{dialect}");
        let nowhere = Told {
            fields: &fields,
            ..told("a b", "/a.B/C", "192.0.2.7")
        };
        assert!(status(&proxy, dialect, &nowhere).await >= 400, "{dialect}");
        for target in ["/a/../b", "/%", "/a%00", "/a\\b", "//a", "/a%2fb", "*"] {
            let strange = told("app.example.com", target, "192.0.2.7");
            if dialect != "envoy" || target.parse::<http::Uri>().is_ok() && target != "*" {
                let status = status(&proxy, dialect, &strange).await;
                assert!(
                    matches!(status, 400 | 401 | 403),
                    "{dialect} {target}: {status}"
                );
            }
        }
    }
    assert!(
        authorizer.received().len() < 3 * DIALECTS.len(),
        "nobody is asked about these"
    );
}

#[tokio::test]
async fn fields_that_tell_stand_exactly_once() {
    let proxy = deciding(ROUTES).start().await;

    for (name, more) in [
        ("x-forwarded-uri", "/public"),
        ("x-forwarded-method", "GET"),
        ("x-forwarded-host", "app.example.com"),
        ("x-forwarded-proto", "https"),
    ] {
        let fields = [(name, more)];
        let twice = Told {
            fields: &fields,
            ..told("app.example.com", "/public", "192.0.2.7")
        };
        assert_eq!(status(&proxy, "traefik", &twice).await, 400, "{name}");
    }
    let fields = [("x-original-url", "https://app.example.com/public")];
    let twice = Told {
        fields: &fields,
        ..told("app.example.com", "/admin", "192.0.2.7")
    };
    assert_eq!(status(&proxy, "nginx", &twice).await, 403);
    let none = get(proxy.address, "/auth/caddy", &[]).await;
    assert_eq!(none.status, 400);
    let detail = none.json()["detail"].to_string();
    assert!(detail.contains("does not tell what it asks"), "{detail}");
}

#[tokio::test]
async fn a_clients_query_behind_the_endpoint_decides_nothing() {
    let proxy = deciding(ROUTES).start().await;
    let fields = [
        ("x-forwarded-method", "GET"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "app.example.com"),
        ("x-forwarded-uri", "/admin?x-forwarded-uri=/public"),
    ];

    let asked = "/auth/caddy?x-forwarded-uri=/public&allowed_groups=all&rd=/public";
    let reply = get(proxy.address, asked, &fields).await;

    assert_eq!(reply.status, 403);
}

#[tokio::test]
async fn a_path_whose_spelling_has_another_route_is_not_decided() {
    let (_authorizer, proxy) = with_authorizer("auth_request").await;

    for dialect in DIALECTS {
        let plain = told("app.example.com", "/public", "192.0.2.7");
        let escaped = told("app.example.com", "/%70ublic", "192.0.2.7");

        assert_eq!(status(&proxy, dialect, &plain).await, 200, "{dialect}");
        let refused = if dialect == "nginx" { 403 } else { 400 };
        assert_eq!(
            status(&proxy, dialect, &escaped).await,
            refused,
            "{dialect}"
        );
    }
}

/// CVE-2026-34457
#[tokio::test]
async fn no_user_agent_gets_round_a_policy() {
    let (_authorizer, proxy) = with_authorizer("auth_request").await;

    for agent in ["GoogleHC/1.0", "kube-probe/1.30", "ELB-HealthChecker/2.0"] {
        for dialect in DIALECTS {
            let fields = [("user-agent", agent)];
            let probe = Told {
                fields: &fields,
                ..told("app.example.com", "/ping", "192.0.2.7")
            };
            assert_eq!(
                status(&proxy, dialect, &probe).await,
                401,
                "{dialect} {agent}"
            );
        }
    }
}

#[tokio::test]
async fn an_upgrade_is_a_plain_decision() {
    let (_authorizer, proxy) = with_authorizer("auth_request").await;
    let socket = |cookie: &'static str| {
        [
            ("connection", "upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("cookie", cookie),
        ]
    };

    for (cookie, expected) in [("s=alice", 200), ("s=", 401), ("s=page", 401)] {
        let fields = socket(cookie);
        // Most hosts take off what belongs to their client's connection.
        for fields in [&fields[..], &fields[2..]] {
            for dialect in ["nginx", "caddy", "traefik"] {
                let opening = Told {
                    fields,
                    ..told("app.example.com", "/ws", "192.0.2.7")
                };
                let reply = ask(proxy.address, dialect, &opening).await;
                assert_eq!(reply.status, expected, "{dialect} {fields:?}");
                assert!(!reply.headers.contains_key("location"), "{dialect}");
            }
        }
    }
}

#[tokio::test]
async fn rate_limits_go_by_who_is_asked_about() {
    let proxy = deciding(
        "rate_limits: {once: {rate: 1/h, key: [address]}}\n\
         routes: [{name: all, match: {prefix: /}, rate_limits: [once]}]",
    )
    .start()
    .await;
    let of = |client| told("app.example.com", "/", client);

    assert_eq!(status(&proxy, "traefik", &of("192.0.2.7")).await, 200);
    let again = ask(proxy.address, "nginx", &of("192.0.2.7")).await;
    assert_eq!(again.status, 403);
    assert_eq!(again.header("x-edgespan-status"), Some("429"));
    assert!(again.header("retry-after").is_some());
    assert_eq!(status(&proxy, "traefik", &of("192.0.2.7")).await, 429);
    assert_eq!(status(&proxy, "traefik", &of("192.0.2.8")).await, 200);
}

#[tokio::test]
async fn a_host_may_ask_over_http_2() {
    let proxy = deciding(ROUTES).start().await;
    let fields = [
        ("x-original-method", "GET"),
        ("x-original-url", "https://app.example.com/public"),
    ];

    let reply = send_h2(proxy.address, request("GET", "/auth/nginx", &fields)).await;

    assert_eq!(reply.status, 200);
}
