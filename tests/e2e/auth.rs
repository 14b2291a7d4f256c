//! Who may pass, and what comes of it.

use crate::support::client::get;
use crate::support::collector::Collector;
use crate::support::origin::Origin;
use crate::support::proxy::{Proxy, Setup};

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
