//! Host proxies ask whether requests may pass, each in its dialect.

use crate::support::client::{Reply, get, request, send};
use crate::support::collector::Collector;
use crate::support::proxy::{Proxy, Setup};
use std::net::SocketAddr;

const DIALECTS: [&str; 5] = ["nginx", "traefik", "caddy", "envoy", "haproxy"];

/// A decision listener on loopback whose routes are these, asked by loopback.
fn deciding(rest: &str) -> Setup {
    Setup::new(&format!(
        "listeners: {{authz: {{address: '127.0.0.1:0', mode: decision, \
         trusted_proxies: [127.0.0.0/8]}}}}\n{rest}\n"
    ))
}

/// Public below `/public`, for 192.0.2.0/24 below `/office`, for nobody that exists elsewhere.
const ROUTES: &str = "auth: {office: {ip: [192.0.2.0/24]}, nobody: {ip: [203.0.113.255]}}\n\
    routes:\n\
    - {name: public, match: {host: app.example.com, prefix: /public}}\n\
    - {name: office, match: {host: app.example.com, prefix: /office}, auth: office}\n\
    - {name: admin, match: {host: app.example.com, prefix: /admin}, auth: nobody}\n";

/// A request that a host tells of.
struct Told<'a> {
    method: &'a str,
    url: (&'a str, &'a str, &'a str),
    client: &'a str,
    fields: &'a [(&'a str, &'a str)],
}

fn told<'a>(host: &'a str, target: &'a str, client: &'a str) -> Told<'a> {
    Told {
        method: "GET",
        url: ("https", host, target),
        client,
        fields: &[],
    }
}

/// Asks as this host does.
async fn ask(to: SocketAddr, dialect: &str, told: &Told<'_>) -> Reply {
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

async fn status(proxy: &Proxy, dialect: &str, told: &Told<'_>) -> u16 {
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
