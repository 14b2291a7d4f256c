//! Routes as a configuration has them: specificity, rewrites, redirects, fixed answers.

use crate::support::client::{get, request, send};
use crate::support::origin::Origin;
use crate::support::proxy::Setup;

const ROUTES: &str = "
upstreams:
  origin: {endpoints: ['http://${origin}']}
  secure: {endpoints: ['http://${origin}']}
routes:
  - {name: rest, match: {prefix: /}, answer: {status: 200, body: rest}}
  - {name: order, match: {path: '/orders/{id}'}, answer: {status: 200, body: order}}
  - {name: new, match: {path: /orders/new}, answer: {status: 200, body: new}}
  - {name: orders, match: {prefix: /orders}, answer: {status: 200, body: orders}}
  - {name: digits, match: {regex: '/d/[0-9]+'}, answer: {status: 200, body: digits}}
  - {name: admin, match: {host: admin.example.com, prefix: /}, answer: {status: 200, body: admin}}
  - {name: wild, match: {host: '*.example.org', prefix: /}, answer: {status: 200, body: wild}}
  - {name: beta, match: {prefix: /, headers: {x-beta: '1'}}, answer: {status: 200, body: beta}}
  - {name: search, match: {path: /find, query: {kind: {regex: 'a.*'}}}, answer: {status: 200, body: search}}
  - {name: post, match: {path: /orders/new, methods: [POST]}, answer: {status: 201, headers: {x-made: yes}, body: made}}
  - {name: api, match: {prefix: /api/v1}, upstream: origin, rewrite: {path: /internal, host: inner.example}}
  - {name: old, match: {prefix: /old}, redirect: {status: 308, scheme: https, path: /new}}
";

#[tokio::test]
async fn the_most_specific_route_answers_whatever_the_order() {
    let proxy = Setup::new(ROUTES)
        .fill("origin", "127.0.0.1:9")
        .start()
        .await;

    for (path, headers, expected) in [
        ("/x", &[][..], "rest"),
        ("/orders/7", &[], "order"),
        ("/orders/new", &[], "new"),
        ("/orders/7/items", &[], "orders"),
        ("/ordersx", &[], "rest"),
        ("/%6Frders/7", &[], "order"),
        ("/x", &[("host", "admin.example.com:8080")], "admin"),
        ("/x", &[("host", "ADMIN.example.com")], "admin"),
        ("/x", &[("host", "a.example.org")], "wild"),
        ("/x", &[("host", "a.b.example.org")], "rest"),
        ("/x", &[("x-beta", "1")], "beta"),
        ("/find?kind=abc", &[], "search"),
        ("/find?kind=b", &[], "rest"),
    ] {
        assert_eq!(
            get(proxy.address, path, headers).await.text(),
            expected,
            "{path} {headers:?}"
        );
    }
    let made = send(proxy.address, request("POST", "/orders/new", &[])).await;
    assert_eq!(
        (made.status.as_u16(), &*made.text(), made.header("x-made")),
        (201, "made", Some("yes"))
    );
}

#[tokio::test]
async fn a_prefix_and_the_host_are_rewritten() {
    let origin = Origin::start().await;
    let proxy = Setup::new(ROUTES).origin(&origin).start().await;

    for path in ["/api/v1", "/api/v1/", "/api/v1/things?q=1"] {
        get(proxy.address, path, &[]).await;
    }

    let arrived: Vec<String> = origin
        .received()
        .iter()
        .map(|one| one.uri.to_string())
        .collect();
    assert_eq!(arrived, ["/internal", "/internal/", "/internal/things?q=1"]);
    assert_eq!(origin.received()[0].one("host"), "inner.example");
    assert_eq!(
        origin.received()[0].one("x-forwarded-host"),
        "app.example.com"
    );
}

#[tokio::test]
async fn a_redirect_keeps_what_it_does_not_name() {
    let proxy = Setup::new(ROUTES)
        .fill("origin", "127.0.0.1:9")
        .start()
        .await;

    let reply = get(proxy.address, "/old/things?q=1", &[]).await;

    assert_eq!(reply.status, 308);
    assert_eq!(
        reply.header("location"),
        Some("https://app.example.com/new/things?q=1")
    );
}

#[tokio::test]
async fn no_route_is_404() {
    let proxy = Setup::new("routes: [{name: a, match: {path: /a}, answer: {status: 200}}]\n")
        .start()
        .await;

    let reply = get(proxy.address, "/b", &[]).await;

    assert_eq!(
        (reply.status.as_u16(), reply.json()["code"].clone()),
        (404, "no_route".into())
    );
}
