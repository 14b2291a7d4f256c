//! What a client of a host proxy can write to get leave that nobody gave. The classes of mistakes
//! that other deciders made are named tests here and in `decision`.

use crate::decision::{DIALECTS, ROUTES, Told, ask, deciding, status, told};
use crate::identity::folded;
use crate::support::client::{raw, request, send, send_h2};
use crate::support::collector::Collector;
use crate::support::origin::{Origin, with_headers};
use crate::support::proxy::{Proxy, Setup};
use crate::support::until;

/// CVE-2024-45410 for those who decide: what `Connection` names is a host's to delete. If it were
/// gone here, the host would not be told to take it off.
#[tokio::test]
async fn what_connection_nominates_is_still_told_to_be_taken_off() {
    let authorizer = Origin::start().await;
    let proxy = deciding(
        "auth: {login: {forward: {url: 'http://${origin}/', identity_headers: [x-auth-*, x-team]}}}\n\
         routes: [{name: all, match: {prefix: /}, auth: login}]",
    )
    .origin(&authorizer)
    .start()
    .await;
    let fields = [
        ("connection", "upgrade, x-auth-admin, x.team"),
        ("upgrade", "websocket"),
        ("x-auth-admin", "mallory"),
        ("x.team", "mallory"),
    ];
    let hidden = Told {
        fields: &fields,
        ..told("app.example.com", "/", "192.0.2.7")
    };

    for dialect in DIALECTS {
        let reply = ask(proxy.address, dialect, &hidden).await;

        assert_eq!(reply.status, 200, "{dialect}");
        for name in ["x-auth-admin", "x.team"] {
            assert_eq!(reply.header(name), Some(""), "{dialect}: {name}");
        }
        if dialect == "envoy" {
            let removed = reply.header("x-envoy-auth-headers-to-remove").unwrap();
            let names: Vec<&str> = removed.split(',').collect();
            assert!(names.contains(&"x-auth-admin"), "{removed}");
            assert!(names.contains(&"x.team"), "{removed}");
        }
    }
}

#[tokio::test]
async fn a_route_that_forwards_nothing_is_no_leave_to_pass() {
    let proxy = deciding(
        "routes:\n\
         - {name: closed, match: {prefix: /closed}, answer: {status: 403, body: closed}}\n\
         - {name: gone, match: {prefix: /gone}, answer: {status: 410}}\n\
         - {name: fixed, match: {prefix: /fixed}, answer: {status: 200, body: ok}}\n\
         - {name: moved, match: {prefix: /old}, redirect: {path: /new, status: 308}}\n\
         - {name: all, match: {prefix: /}, answer: {status: 204}}",
    )
    .start()
    .await;

    for dialect in DIALECTS {
        let nginx = dialect == "nginx";
        for (path, plain, of_nginx) in [
            ("/closed/a", 403, 403),
            ("/gone", 410, 403),
            ("/fixed", 403, 403),
            ("/old/a", 308, 401),
            ("/a", 403, 403),
        ] {
            let told = told("app.example.com", path, "192.0.2.7");
            let reply = ask(proxy.address, dialect, &told).await;

            let expected = if nginx { of_nginx } else { plain };
            assert_eq!(reply.status, expected, "{dialect} {path}");
            let location = reply.header("location");
            let moved = path.starts_with("/old");
            assert_eq!(location.is_some(), moved, "{dialect} {path}");
        }
    }
}

/// CVE-2024-47070: where nobody can say who the client is, it is nobody, and not the host.
#[tokio::test]
async fn a_client_of_whom_nothing_is_told_has_no_network() {
    let proxy = deciding(
        "auth: {inside: {ip: [127.0.0.0/8, 10.0.0.0/8]}}\n\
         routes: [{name: all, match: {prefix: /}, auth: inside}]",
    )
    .start()
    .await;
    for dialect in DIALECTS {
        for (client, expected) in [
            ("10.1.2.3", 200),
            ("::ffff:10.1.2.3", 200),
            ("127.0.0.1", 200),
            ("192.0.2.7", 403),
            ("10.1.2.3, 192.0.2.7", 403),
            ("", 403),
            ("a", 403),
            ("10.1.2.3, unknown", 403),
            ("10.1.2.3,", 403),
            ("10.1.2.300", 403),
            ("127.1", 403),
            ("0x7f000001", 403),
        ] {
            let told = told("app.example.com", "/", client);
            let found = status(&proxy, dialect, &told).await;
            assert_eq!(found, expected, "{dialect} {client}");
        }
    }
    let silent = [
        ("x-original-method", "GET"),
        ("x-original-url", "https://app.example.com/"),
        ("x-real-ip", "10.1.2.3"),
        ("forwarded", "for=10.1.2.3"),
    ];
    let reply = send(proxy.address, request("GET", "/auth/nginx", &silent)).await;
    assert_eq!(reply.status, 403);
}

/// CVE-2026-48794: a host has many spellings, and each of them its rule or none.
#[tokio::test]
async fn no_way_of_writing_a_host_leads_to_another_rule() {
    let proxy = deciding(
        "auth: {nobody: {ip: [203.0.113.255]}}\n\
         routes:\n\
         - {name: admin, match: {host: admin.example.com, prefix: /}, auth: nobody}\n\
         - {name: six, match: {host: '[2001:db8::1]', prefix: /}, auth: nobody}\n\
         - {name: wild, match: {host: '*.example.org', prefix: /}, auth: nobody}\n\
         - {name: rest, match: {host: public.example.com, prefix: /}}",
    )
    .start()
    .await;
    for dialect in DIALECTS {
        for host in [
            "admin.example.com",
            "ADMIN.Example.COM",
            "admin.example.com.",
            "admin.example.com:443",
            "admin.example.com.:8443",
            "a.B.example.org",
            "xn--bcher-kva.example.org",
            "[2001:db8::1]",
            "[2001:DB8:0:0:0:0:0:1]:443",
            "public.example.com@admin.example.com",
            "admin.example.com@public.example.com",
            "public.example.com:80@admin.example.com",
            "public.example.com,admin.example.com",
            "public.example.com, admin.example.com",
            "public.example.com:x",
            "public.example.com:99999",
            "public.example.com\\admin.example.com",
            "public.example.com?x=",
            "public.example.com#x",
            "public%2eexample.com",
            ".public.example.com",
            "public.example.com..",
            "",
            ":443",
        ] {
            let told = told(host, "/", "192.0.2.7");
            let found = status(&proxy, dialect, &told).await;
            assert!(matches!(found, 400 | 403), "{dialect} {host}: {found}");
        }
    }
}

/// Hosts are asked over each version of HTTP, and by whoever reaches the port.
#[tokio::test]
async fn no_form_of_a_question_is_leave_to_pass() {
    let proxy = deciding(ROUTES).start().await;
    let long = "a/".repeat(20_000);
    let lines = "x-original-method: GET\r\nx-original-url: https://app.example.com/admin\r\n\
                 x-forwarded-method: GET\r\nx-forwarded-proto: https\r\n\
                 x-forwarded-host: app.example.com\r\nx-forwarded-uri: /admin\r\n\
                 connection: close\r\n";
    let host = "host: app.example.com\r\n";
    for (line, head) in [
        ("GET /auth/nginx HTTP/1.0", ""),
        ("GET /auth/nginx HTTP/1.0", host),
        ("GET /auth/nginx HTTP/1.1", ""),
        ("GET /auth/nginx HTTP/1.1", "host:\r\n"),
        ("GET /auth/nginx HTTP/1.1", "host: a\r\nhost: b\r\n"),
        ("HEAD /auth/nginx HTTP/1.1", host),
        ("OPTIONS /auth/traefik HTTP/1.1", host),
        ("OPTIONS * HTTP/1.1", host),
        ("TRACE /auth/caddy HTTP/1.1", host),
        ("CONNECT app.example.com:443 HTTP/1.1", host),
        ("PRI * HTTP/2.0", ""),
        (
            "POST /auth/caddy HTTP/1.1",
            "host: a\r\nexpect: 100-continue\r\ncontent-length: 9\r\n",
        ),
        (
            "GET /auth/caddy HTTP/1.1",
            "host: a\r\ntransfer-encoding: x\r\n",
        ),
        ("GET http://public/auth/nginx HTTP/1.1", host),
        ("GET http://app.example.com/auth/envoy/admin HTTP/1.1", host),
        ("GET /auth/envoy/admin HTTP/1.0", host),
        ("GET /auth/envoy/../public HTTP/1.1", host),
        ("GET /auth/envoy/admin/..;/public HTTP/1.1", host),
        ("GET /auth/envoy//public HTTP/1.1", host),
        ("GET /auth/envoy/%2e%2e/nginx HTTP/1.1", host),
        (
            "GET /auth/envoy/../../.well-known/edgespan/jwks.json HTTP/1.1",
            host,
        ),
        ("GET /%61uth/nginx HTTP/1.1", host),
        ("GET /auth/nginx?x-original-url=/public HTTP/1.1", host),
        ("GET /auth/nginx#/public HTTP/1.1", host),
        ("GET /auth/nginx/../envoy/public HTTP/1.1", host),
        (&format!("GET /auth/envoy/admin/{long} HTTP/1.1"), host),
        ("GET /auth/envoy/admin%00/public HTTP/1.1", host),
    ] {
        let asked = format!("{line}\r\n{head}{lines}\r\n");

        let answer = raw(proxy.address, asked.as_bytes()).await;

        let is_leave = ["1.0 1", "1.0 2", "1.1 1", "1.1 2"].iter();
        let is_leave = is_leave
            .clone()
            .any(|code| answer.starts_with(&format!("HTTP/{code}")));
        let shown: String = line.chars().take(80).collect();
        assert!(!is_leave, "{shown}: {answer}");
    }
    let fields = [
        ("x-original-method", "GET"),
        ("x-original-url", "https://a/admin"),
    ];
    for target in ["/auth/nginx", "/auth/envoy/admin", "/auth/nowhere"] {
        let reply = send_h2(proxy.address, request("GET", target, &fields)).await;
        assert!(reply.status.is_client_error(), "{target}: {}", reply.status);
    }
}

/// A value that is two values is one for whoever reads the first and another for the rest.
#[tokio::test]
async fn telling_fields_joined_by_commas_are_no_request() {
    let proxy = deciding(ROUTES).start().await;
    let good = [
        ("x-forwarded-method", "GET"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "app.example.com"),
        ("x-forwarded-uri", "/public"),
    ];
    for (name, value) in [
        ("x-forwarded-method", "GET, POST"),
        ("x-forwarded-method", ""),
        ("x-forwarded-proto", "https, http"),
        ("x-forwarded-proto", "HTTPS"),
        ("x-forwarded-proto", ""),
        ("x-forwarded-host", "app.example.com, app.example.com"),
        ("x-forwarded-host", ""),
        ("x-forwarded-uri", "/public, /admin"),
        ("x-forwarded-uri", "https://app.example.com/public"),
        ("x-forwarded-uri", "public"),
        ("x-forwarded-uri", ""),
        ("x-forwarded-uri", "/public\u{e4}"),
        ("x-forwarded-uri", "/public\tx"),
    ] {
        let fields = good.map(|(own, text)| (own, if own == name { value } else { text }));
        let reply = send(proxy.address, request("GET", "/auth/traefik", &fields)).await;
        assert_eq!(reply.status, 400, "{name}: {value}");
    }
}

/// Two sockets of one address: IPv4 within IPv6 is trusted like IPv4, and nobody else.
#[tokio::test]
async fn a_trusted_address_within_ipv6_is_trusted_and_no_other() {
    let listening = |trusted: &str| {
        Setup::new(&format!(
            "listeners: {{authz: {{address: '[::]:0', mode: decision, \
             trusted_proxies: ['{trusted}']}}}}\n{ROUTES}"
        ))
    };
    for (trusted, expected) in [
        ("127.0.0.1", 200),
        ("127.0.0.0/8", 200),
        ("::1", 403),
        ("10.0.0.0/8", 403),
        ("127.0.0.2", 403),
        ("2001:db8::/32", 403),
    ] {
        let proxy = listening(trusted).start().await;
        let mut address = proxy.address;
        address.set_ip([127, 0, 0, 1].into());
        let public = told("app.example.com", "/public", "192.0.2.7");

        let reply = ask(address, "traefik", &public).await;

        assert_eq!(reply.status, expected, "{trusted}");
    }
}

/// The PROXY protocol tells who asks; whoever that is has to be trusted, too.
#[tokio::test]
async fn who_asks_through_the_proxy_protocol_has_to_be_trusted() {
    let proxy = Setup::new(&format!(
        "listeners: {{authz: {{address: '127.0.0.1:0', mode: decision, \
         proxy_protocol: {{from: [127.0.0.0/8]}}, trusted_proxies: [10.0.0.1]}}}}\n{ROUTES}"
    ))
    .start()
    .await;
    let asked = "GET /auth/nginx HTTP/1.1\r\nhost: a\r\nx-original-method: GET\r\n\
                 x-original-url: https://app.example.com/public\r\nx-forwarded-for: 192.0.2.7\r\n\
                 connection: close\r\n\r\n";
    for (peer, expected) in [
        ("10.0.0.1", "HTTP/1.1 200"),
        ("10.0.0.2", "HTTP/1.1 403"),
        ("127.0.0.1", "HTTP/1.1 403"),
    ] {
        let sent = format!("PROXY TCP4 {peer} 10.0.0.9 4711 80\r\n{asked}");
        let answer = raw(proxy.address, sent.as_bytes()).await;
        assert!(answer.starts_with(expected), "{peer}: {answer}");
    }
    let answer = raw(proxy.address, asked.as_bytes()).await;
    assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
}

/// A front that does not clean `X-Forwarded-Host` hands on what its client wrote: the route goes by
/// `Host`, and so does everything that is decided.
#[tokio::test]
async fn policies_judge_by_the_host_that_the_route_was_found_by() {
    let (origin, authorizer) = (Origin::start().await, Origin::start().await);
    let proxy = Setup::new(
        "listeners: {web: {address: '127.0.0.1:0', trusted_proxies: [127.0.0.1]}}\n\
         upstreams: {origin: {endpoints: ['http://${origin}']}}\n\
         auth: {legacy: {forward: {url: 'http://${authorizer}/', dialect: envoy}}}\n\
         routes:\n\
         - {name: asked, match: {host: admin.example.com, prefix: /asked}, upstream: origin, auth: legacy}\n\
         - {name: all, match: {prefix: /}, upstream: origin, allow: 'request.host == \"public.example.com\"'}\n",
    )
    .origin(&origin)
    .fill("authorizer", &authorizer.address.to_string())
    .start()
    .await;
    let fields = [
        ("host", "admin.example.com"),
        ("x-forwarded-host", "public.example.com"),
    ];

    let reply = send(proxy.address, request("GET", "/", &fields)).await;
    send(proxy.address, request("GET", "/asked", &fields)).await;

    assert_eq!(reply.status, 403);
    assert_eq!(authorizer.sole().one("host"), "admin.example.com");
}

/// One SERVER span and one of the policy, however it ends.
#[tokio::test]
async fn each_decision_has_its_spans_exactly_once() {
    let collector = Collector::start().await;
    let proxy: Proxy = deciding(ROUTES).export_to(&collector).start().await;
    for (target, spans, decision) in [
        ("/office", 2, Some("allow")),
        ("/admin", 2, Some("deny")),
        ("/public", 1, None),
        ("/elsewhere", 1, None),
        ("/a/../b", 1, None),
    ] {
        let told = told("app.example.com", target, "192.0.2.7");
        ask(proxy.address, "traefik", &told).await;

        let edges = collector.next_edges().await;
        assert_eq!(edges.0.len(), spans, "{target}");
        let found = edges.server().text("edgespan.auth.decision");
        assert_eq!(found, decision, "{target}");
    }
}

/// CVE-2021-32637: whatever an authorizer comes to, only its word is leave to pass; and where a
/// failure shall let pass, it lets pass nobody in particular.
#[tokio::test]
async fn no_failure_of_an_authorizer_is_leave_to_pass() {
    let silent = Origin::that_never_answers().await;
    let garbage = Origin::raw(|_| Some(b"200 OK\r\n\r\n".to_vec())).await;
    let failing = Origin::answering(|_| with_headers(503, &[("x-auth-user", "ada")], "")).await;
    for (what, authorizer, meant) in [
        ("silent", silent, 504),
        ("garbage", garbage, 503),
        ("failing", failing, 503),
    ] {
        let proxy = deciding(
            "auth:\n\
             \x20 closed: {forward: {url: 'http://${origin}/', timeout: 100ms, \
             identity_headers: [x-auth-user]}}\n\
             \x20 open: {forward: {url: 'http://${origin}/', timeout: 100ms, \
             identity_headers: [x-auth-user], on_failure: open}}\n\
             routes:\n\
             - {name: closed, match: {prefix: /closed}, auth: closed}\n\
             - {name: open, match: {prefix: /open}, auth: open}",
        )
        .origin(&authorizer)
        .start()
        .await;
        for dialect in DIALECTS {
            let fields = [("x-auth-user", "mallory"), ("x_auth_user", "mallory")];
            let of = |target| Told {
                fields: &fields,
                ..told("app.example.com", target, "192.0.2.7")
            };

            let closed = ask(proxy.address, dialect, &of("/closed")).await;
            let open = ask(proxy.address, dialect, &of("/open")).await;

            let expected = if dialect == "nginx" { 403 } else { meant };
            assert_eq!(closed.status, expected, "{what} {dialect}");
            assert_eq!(open.status, 200, "{what} {dialect}");
            for name in ["x-auth-user", "x_auth_user"] {
                assert_eq!(open.header(name), Some(""), "{what} {dialect} {name}");
            }
        }
    }
}

/// Traefik writes its authorizer's own address before a `Location` that is not absolute.
#[tokio::test]
async fn a_location_beyond_ascii_becomes_absolute_like_any_other() {
    let authorizer = Origin::answering(|_| {
        let location = [
            ("location", "/login?to=\u{fc}"),
            ("location", "//evil.example"),
        ];
        with_headers(302, &location, "")
    })
    .await;
    let proxy = deciding(
        "auth: {login: {forward: {url: 'http://${origin}/'}}}\n\
         routes: [{name: all, match: {prefix: /}, auth: login}]",
    )
    .origin(&authorizer)
    .start()
    .await;

    for dialect in DIALECTS {
        let told = told("app.example.com", "/a", "192.0.2.7");
        let reply = ask(proxy.address, dialect, &told).await;

        let found: Vec<_> = reply.headers.get_all("location").iter().collect();
        assert_eq!(
            found,
            ["https://app.example.com/login?to=%C3%BC"],
            "{dialect}"
        );
    }
}

/// Copies, further attempts and upgrades carry the identity that was proved, and no other.
#[tokio::test]
async fn every_way_to_an_upstream_carries_the_one_identity() {
    let shadow = Origin::start().await;
    let mirrored = "upstreams: {origin: {endpoints: ['http://${origin}']}, \
         shadow: {endpoints: ['http://${shadow}']}}\n\
         identity: {headers: {x-user: subject}}\n\
         auth: {legacy: {forward: {url: 'http://${authorizer}/', \
         identity_headers: [x-auth-user], identity: {subject: x-auth-user}}}}\n\
         routes: [{name: all, match: {prefix: /}, upstream: origin, auth: legacy, \
         retries: {on: [503], backoff: {base: 1ms, max: 1ms}}, mirror: {upstream: shadow}}]\n";
    let origin = Origin::answering(|_| with_headers(503, &[], "")).await;
    let authorizer = Origin::answering(|_| with_headers(200, &[("x-auth-user", "ada")], "")).await;
    let proxy = Setup::new(mirrored)
        .origin(&origin)
        .fill("shadow", &shadow.address.to_string())
        .fill("authorizer", &authorizer.address.to_string())
        .start()
        .await;
    let fields = [
        ("x-user", "mallory"),
        ("x_user", "mallory"),
        ("X.Auth.User", "mallory"),
        ("connection", "x-user, x-auth-user"),
    ];

    send(proxy.address, request("GET", "/", &fields)).await;
    until("the copy", || !shadow.received().is_empty()).await;

    let got = origin.received();
    assert!(got.len() > 1, "a second attempt");
    let copies = shadow.received();
    for received in got.iter().chain(&copies) {
        for name in ["x-user", "x-auth-user"] {
            assert_eq!(folded(&received.headers, name), ["ada"], "{name}");
        }
    }
}
