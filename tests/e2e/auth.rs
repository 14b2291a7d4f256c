//! Who may pass, and what comes of it.

use crate::identity::{Scene, folded, scene};
use crate::support::client::{get, request, send};
use crate::support::collector::Collector;
use crate::support::origin::Origin;
use crate::support::proxy::{Proxy, Setup};
use crate::support::spans::Edges;

/// An upstream, policies, and one route with these keys.
async fn guarded(origin: &Origin, collector: &Collector, auth: &str, route: &str) -> Proxy {
    Setup::new(&format!(
        "upstreams: {{origin: {{endpoints: ['http://${{origin}}']}}}}\n\
         auth: {auth}\n\
         routes: [{{name: all, match: {{prefix: /}}, upstream: origin, {route}}}]\n"
    ))
    .origin(origin)
    .export_to(collector)
    .start()
    .await
}

#[tokio::test]
async fn a_client_of_the_network_passes_and_another_is_refused_with_both_spans_saying_so() {
    let (origin, collector) = (Origin::start().await, Collector::start().await);
    let inside = guarded(
        &origin,
        &collector,
        "{net: {ip: [127.0.0.0/8]}}",
        "auth: net",
    )
    .await;
    let outside = guarded(
        &origin,
        &collector,
        "{net: {ip: [10.0.0.0/8]}}",
        "auth: net",
    )
    .await;

    let passed = get(inside.address, "/", &[]).await;
    let edges = collector.next_edges().await;
    let refused = get(outside.address, "/", &[]).await;

    assert_eq!(passed.status, 200);
    assert_eq!(edges.server().text("edgespan.auth.decision"), Some("allow"));
    assert_eq!(refused.status, 403);
    assert_eq!(refused.json()["code"], "forbidden");
    assert_eq!(origin.received().len(), 1);
}

#[tokio::test]
async fn the_span_says_that_a_client_claimed_to_be_somebody_and_who_it_is_only_if_told_to() {
    let scene = scene(
        "identity: {headers: {x-user: subject}}\n\
         routes:\n\
         - {name: open, match: {prefix: /open}, upstream: origin}\n\
         - {name: named, match: {prefix: /named}, upstream: origin, auth: legacy, \
            identity: {span_attribute: enduser.id}}\n\
         - {name: all, match: {prefix: /}, upstream: origin, auth: legacy}",
    )
    .await;
    let sent = [
        ("authorization", "letmein"),
        ("x-user", "mallory"),
        ("X_USER", "mallory"),
    ];

    scene.get("/", &sent).await;
    let silent = scene.collector.next_edges().await;
    scene.get("/named", &[("authorization", "letmein")]).await;
    let named = scene.collector.next_edges().await;
    let page = get(scene.proxy.admin, "/metrics", &[("host", "localhost")])
        .await
        .text();

    let server = silent.server();
    assert_eq!(server.int("edgespan.identity.stripped"), Some(2));
    assert_eq!(server.text("edgespan.auth.decision"), Some("allow"));
    assert_eq!(server.text("edgespan.auth.policy"), Some("legacy"));
    assert_eq!(server.text("enduser.id"), None);
    assert_eq!(named.server().text("enduser.id"), Some("ada"));
    assert_eq!(named.server().int("edgespan.identity.stripped"), None);
    assert_eq!(
        folded(&scene.got().headers, "x-user"),
        [""; 0],
        "the route's replaces the file's"
    );
    assert!(
        page.contains("edgespan_identity_stripped_total 1\n"),
        "{page}"
    );
    let decisions =
        "edgespan_auth_decisions_total{policy=\"legacy\",decision=\"allow\",enforced=\"true\"} 2\n";
    assert!(page.contains(decisions), "{page}");
}

#[tokio::test]
async fn a_policy_in_shadow_decides_on_its_span_and_changes_nothing() {
    let scene = scene(
        "identity: {headers: {x-user: subject, x-by: proof}}\n\
         routes:\n\
         - {name: alone, match: {prefix: /alone}, upstream: origin, auth: shadow}\n\
         - {name: first, match: {prefix: /first}, upstream: origin, auth: [shadow, legacy]}\n\
         - {name: both, match: {prefix: /}, upstream: origin, auth: {all: [shadow, legacy]}}",
    )
    .await;

    let alone = scene.get("/alone", &[]).await;
    let spans = scene.collector.next_edges().await;
    let first = scene.get("/first", &[]).await;
    let known = scene.get("/both", &[("authorization", "letmein")]).await;
    let page = get(scene.proxy.admin, "/metrics", &[("host", "localhost")])
        .await
        .text();

    assert_eq!(alone.status, 200);
    assert_eq!(spans.server().text("edgespan.auth.decision"), Some("allow"));
    assert_eq!(
        first.status, 401,
        "what it would let pass is not let pass by it"
    );
    assert_eq!(known.status, 200);
    assert_eq!(scene.got().one("x-user"), "ada");
    assert_eq!(scene.got().one("x-by"), "forward");
    assert!(
        page.contains(
            "policy=\"shadow\",decision=\"abstain\",reason=\"forbidden\",enforced=\"false\"} 3"
        ),
        "{page}"
    );
}

#[tokio::test]
async fn a_limit_by_identity_follows_a_client_over_its_addresses() {
    let scene = limited("{per-user: {rate: 2/h, key: [identity]}}", "[per-user]").await;
    let from = |address| [("authorization", "letmein"), ("x-forwarded-for", address)];

    let mut statuses = Vec::new();
    for address in ["192.0.2.1", "192.0.2.2", "192.0.2.3"] {
        statuses.push(scene.get("/", &from(address)).await.status.as_u16());
    }
    let refused = scene.get("/", &from("192.0.2.4")).await;
    let unknown = scene.get("/", &[("x-forwarded-for", "192.0.2.1")]).await;

    assert_eq!(statuses, [200, 200, 429]);
    assert_eq!(refused.json()["code"], "rate_limited");
    assert!(
        refused
            .header("ratelimit-policy")
            .unwrap()
            .contains("per-user")
    );
    assert_eq!(
        unknown.status, 401,
        "whoever may not pass takes from no bucket"
    );
}

#[tokio::test]
async fn the_first_limit_protects_whoever_decides_and_the_span_names_the_one_that_refused() {
    let scene = limited(
        "{per-address: {rate: 3/h}, per-user: {rate: 1/h, key: [identity]}}",
        "[per-user, per-address]",
    )
    .await;
    let sent = [("authorization", "letmein")];

    let passed = scene.get("/", &sent).await;
    let of_passed = scene.collector.next_edges().await;
    let by_user = scene.get("/", &sent).await;
    let of_user = scene.collector.next_edges().await;
    scene.get("/", &sent).await;
    let by_address = scene.get("/", &sent).await;

    let rule = |edges: &Edges| {
        let server = edges.server();
        (
            server.text("ratelimit.rule").unwrap().to_owned(),
            server.bool("ratelimit.allowed").unwrap(),
        )
    };
    assert_eq!(
        (passed.status.as_u16(), by_user.status.as_u16()),
        (200, 429)
    );
    assert_eq!(rule(&of_passed), ("per-user".to_owned(), true));
    assert_eq!(rule(&of_user), ("per-user".to_owned(), false));
    assert_eq!(by_address.status, 429);
    assert!(
        by_address
            .header("ratelimit-policy")
            .unwrap()
            .contains("per-address")
    );
    assert_eq!(
        scene.authorizer.received().len(),
        3,
        "the fourth asked nobody"
    );
}

#[tokio::test]
async fn a_client_without_a_name_shares_a_bucket_or_is_exempt() {
    for (missing, expected) in [("share", [200, 429]), ("pass", [200, 200])] {
        let origin = Origin::start().await;
        let proxy = Setup::new(&format!(
            "upstreams: {{origin: {{endpoints: ['http://${{origin}}']}}}}\n\
             auth: {{net: {{ip: [127.0.0.0/8]}}}}\n\
             rate_limits: {{per-user: {{rate: 1/h, key: [identity], missing: {missing}}}}}\n\
             routes: [{{name: all, upstream: origin, auth: net, rate_limits: [per-user]}}]\n"
        ))
        .origin(&origin)
        .start()
        .await;

        let mut statuses = Vec::new();
        for _ in 0..2 {
            statuses.push(get(proxy.address, "/", &[]).await.status.as_u16());
        }

        assert_eq!(statuses, expected, "{missing}");
    }
}

/// One guarded route with these limits, behind a proxy that tells of addresses.
async fn limited(limits: &str, of_route: &str) -> Scene {
    scene(&format!(
        "listeners: {{web: {{address: '127.0.0.1:0', trusted_proxies: [127.0.0.1]}}}}\n\
         rate_limits: {limits}\n\
         routes: [{{name: all, upstream: origin, auth: legacy, rate_limits: {of_route}}}]"
    ))
    .await
}

#[tokio::test]
async fn a_decision_that_its_client_did_not_wait_for_ends_and_is_counted() {
    let (origin, authorizer) = (Origin::start().await, Origin::that_never_answers().await);
    let collector = Collector::start().await;
    let proxy = Setup::new(
        "upstreams: {origin: {endpoints: ['http://${origin}']}}\n\
         auth: {legacy: {forward: {url: 'http://${authorizer}', timeout: 60s}}}\n\
         routes: [{name: all, upstream: origin, auth: legacy}]\n",
    )
    .origin(&origin)
    .fill("authorizer", &authorizer.address.to_string())
    .export_to(&collector)
    .start()
    .await;

    let asking = tokio::spawn(send(proxy.address, request("GET", "/", &[])));
    authorizer.wait_for_heads(1).await;
    asking.abort();
    let spans = collector.wait_for(3).await;
    let page = get(proxy.admin, "/metrics", &[("host", "localhost")])
        .await
        .text();

    let decision = spans
        .iter()
        .find(|span| span.name() == "auth legacy")
        .unwrap();
    assert_eq!(decision.text("edgespan.auth.decision"), Some("cancelled"));
    let server = spans.iter().find(|span| span.is_server()).unwrap();
    assert_eq!(server.bool("edgespan.client_disconnected"), Some(true));
    let internal = server.double("edgespan.internal.duration").unwrap();
    assert!(
        internal < 1.0,
        "waiting for it is not our own work: {internal}"
    );
    assert!(
        page.contains("policy=\"legacy\",decision=\"cancelled\",enforced=\"true\"} 1"),
        "{page}"
    );
    assert!(origin.received().is_empty());
}
