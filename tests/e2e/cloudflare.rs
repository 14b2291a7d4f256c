//! Behind Cloudflare: whose word counts, what spans say, and traces rooted from a stable id.

use crate::support::client::{get, raw};
use crate::support::collector::Collector;
use crate::support::origin::Origin;
use crate::support::proxy::{Proxy, Setup};
use crate::support::spans::SeenSpan;

const RAY: &str = "8f2a1c0de1b2c3d4-FRA";

/// What Cloudflare's edge sends, and with it what the client made up.
const EDGE: [(&str, &str); 8] = [
    ("cf-ray", RAY),
    ("cf-ipcountry", "DE"),
    ("cf-connecting-ip", "203.0.113.7"),
    ("cf-visitor", "{\"scheme\":\"https\"}"),
    ("x-forwarded-for", "6.6.6.6, 203.0.113.7"),
    ("x-forwarded-proto", "https"),
    ("cf_connecting_ip", "6.6.6.6"),
    ("cf-access-jwt-assertion", "eyJ.of.the-user"),
];

async fn behind(origin: &Origin, collector: &Collector, listener: &str) -> Proxy {
    rooted(origin, collector, listener, "[]").await
}

async fn rooted(origin: &Origin, collector: &Collector, listener: &str, from: &str) -> Proxy {
    Setup::front(origin)
        .with(&format!(
            "listeners: {{web: {{address: '127.0.0.1:0'{listener}}}}}\n\
             propagation: {{root_from: {from}}}"
        ))
        .export_to(collector)
        .start()
        .await
}

async fn server(collector: &Collector) -> SeenSpan {
    collector.next_edges().await.server().clone()
}

#[tokio::test]
async fn the_tunnel_on_this_machine_names_the_client_and_its_words_stand_on_the_span() {
    let (origin, collector) = (Origin::start().await, Collector::start().await);
    let proxy = behind(&origin, &collector, ", cloudflare: tunnel").await;

    get(proxy.address, "/", &EDGE).await;

    let span = server(&collector).await;
    assert_eq!(span.text("client.address"), Some("203.0.113.7"));
    assert_eq!(span.text("url.scheme"), Some("https"));
    assert_eq!(span.text("cloudflare.ray_id"), Some("8f2a1c0de1b2c3d4"));
    assert_eq!(span.text("cloudflare.colo"), Some("FRA"));
    assert_eq!(span.text("geo.country.iso_code"), Some("DE"));
    let received = origin.sole();
    assert_eq!(received.one("cf-connecting-ip"), "203.0.113.7");
    assert_eq!(received.one("cf-ray"), RAY);
    assert!(received.all("cf_connecting_ip").is_empty());
    assert_eq!(received.one("cf-access-jwt-assertion"), "eyJ.of.the-user");
    assert!(!format!("{:?}", collector.spans()).contains("eyJ.of"));
}

#[tokio::test]
async fn who_is_not_the_edge_cannot_speak_as_cloudflare() {
    for listener in [
        ", cloudflare: edge",
        ", cloudflare: {from: [192.0.2.0/24]}",
        // Trusted to forward, and still not Cloudflare.
        ", cloudflare: edge, trusted_proxies: [127.0.0.1]",
    ] {
        let (origin, collector) = (Origin::start().await, Collector::start().await);
        let proxy = rooted(&origin, &collector, listener, "[cf-ray]").await;

        get(proxy.address, "/", &EDGE).await;

        let span = server(&collector).await;
        let trusted = listener.contains("trusted_proxies");
        let client = if trusted { "203.0.113.7" } else { "127.0.0.1" };
        assert_eq!(span.text("client.address"), Some(client), "{listener}");
        for key in [
            "cloudflare.ray_id",
            "cloudflare.colo",
            "geo.country.iso_code",
            "edgespan.trace.root_from",
        ] {
            assert_eq!(span.text(key), None, "{listener}: {key}");
        }
        let received = origin.sole();
        for name in [
            "cf-ray",
            "cf-ipcountry",
            "cf-connecting-ip",
            "cf-visitor",
            "cf_connecting_ip",
        ] {
            assert!(received.all(name).is_empty(), "{listener}: {name}");
        }
        // It proves itself, wherever it comes from.
        assert_eq!(received.one("cf-access-jwt-assertion"), "eyJ.of.the-user");
    }
}

#[tokio::test]
async fn a_peer_at_cloudflares_addresses_is_the_edge() {
    let (origin, collector) = (Origin::start().await, Collector::start().await);
    let listener = ", cloudflare: edge, proxy_protocol: {from: [127.0.0.1]}";
    let proxy = behind(&origin, &collector, listener).await;
    let from = async |source: &str| {
        let request = format!(
            "PROXY TCP4 {source} 198.51.100.1 4711 443\r\nGET / HTTP/1.1\r\nhost: a\r\n\
             cf-connecting-ip: 203.0.113.7\r\ncf-ray: {RAY}\r\nx-forwarded-for: 6.6.6.6\r\n\
             connection: close\r\n\r\n"
        );
        raw(proxy.address, request.as_bytes()).await;
        let span = server(&collector).await;
        let text = |key| span.text(key).map(str::to_owned);
        (text("client.address"), text("cloudflare.ray_id").is_some())
    };

    let edge = from("104.16.132.229").await;
    let stranger = from("104.28.0.1").await;

    assert_eq!(edge, (Some("203.0.113.7".to_owned()), true));
    assert_eq!(stranger, (Some("104.28.0.1".to_owned()), false));
}

#[tokio::test]
async fn a_proxy_between_the_edge_and_us_is_followed_by_its_chain() {
    let (origin, collector) = (Origin::start().await, Collector::start().await);
    let listener = ", cloudflare: edge, trusted_proxies: [127.0.0.1]";
    let proxy = behind(&origin, &collector, listener).await;

    // The client made up the first, the edge added the second, the proxy the edge's own.
    let chain = [("x-forwarded-for", "6.6.6.6, 203.0.113.7, 104.16.132.229")];
    get(proxy.address, "/", &chain).await;

    let span = server(&collector).await;
    assert_eq!(span.text("client.address"), Some("203.0.113.7"));
}

#[tokio::test]
async fn replicas_that_see_the_same_ray_are_in_the_same_trace() {
    let mut traces = Vec::new();
    for _ in 0..2 {
        let (origin, collector) = (Origin::start().await, Collector::start().await);
        let from = "[cf-ray, x-request-id]";
        let proxy = rooted(&origin, &collector, ", cloudflare: tunnel", from).await;

        get(proxy.address, "/", &EDGE).await;

        let edges = collector.next_edges().await;
        let span = edges.server();
        assert_eq!(span.text("edgespan.trace.root_from"), Some("cf-ray"));
        assert_eq!(edges.client().trace_id(), span.trace_id());
        assert_eq!(span.parent_id(), "", "a root");
        let onward = origin.sole().one("traceparent");
        // Sampled, and not said to be random: the id is a function of the ray.
        assert!(
            onward.starts_with(&format!("00-{}-", span.trace_id())),
            "{onward}"
        );
        assert!(onward.ends_with("-01"), "{onward}");
        traces.push(span.trace_id());
    }
    assert_eq!(traces[0], traces[1]);
}

#[tokio::test]
async fn a_trace_that_comes_along_is_gone_on_with_and_without_an_id_a_fresh_one_begins() {
    let (origin, collector) = (Origin::start().await, Collector::start().await);
    let proxy = rooted(&origin, &collector, ", cloudflare: tunnel", "[cf-ray]").await;
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    get(
        proxy.address,
        "/",
        &[("cf-ray", RAY), ("traceparent", parent)],
    )
    .await;
    let joined = server(&collector).await;
    get(proxy.address, "/", &[("cf-ray", "short")]).await;
    let fresh = server(&collector).await;

    assert_eq!(joined.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
    for span in [joined, fresh] {
        assert_eq!(span.text("edgespan.trace.root_from"), None);
    }
    let received = origin.received();
    assert!(received[1].one("traceparent").ends_with("-03"), "random");
}

#[tokio::test]
async fn only_a_trusted_peer_chooses_a_trace() {
    for (listener, rooted_from) in [
        ("", None),
        (", trusted_proxies: [192.0.2.1]", None),
        (", trusted_proxies: [127.0.0.1]", Some("x-request-id")),
    ] {
        let (origin, collector) = (Origin::start().await, Collector::start().await);
        let proxy = rooted(&origin, &collector, listener, "[x-request-id]").await;

        get(
            proxy.address,
            "/",
            &[("x-request-id", "a-request-of-somebody")],
        )
        .await;

        let span = server(&collector).await;
        assert_eq!(
            span.text("edgespan.trace.root_from"),
            rooted_from,
            "{listener}"
        );
    }
}

#[tokio::test]
async fn the_share_that_is_kept_of_rooted_traces_is_the_one_asked_for() {
    let (origin, collector) = (Origin::start().await, Collector::start().await);
    let proxy = Setup::front(&origin)
        .with(
            "listeners: {web: {address: '127.0.0.1:0', trusted_proxies: [127.0.0.1]}}\n\
             propagation: {root_from: [x-request-id]}\nsampling: {default: 0.5}",
        )
        .export_to(&collector)
        .start()
        .await;

    for number in 0..200 {
        let id = format!("request-{number}");
        get(proxy.address, "/", &[("x-request-id", &id)]).await;
    }

    let kept =
        |received: &crate::support::origin::Received| received.one("traceparent").ends_with("-01");
    let received = origin.received();
    let kept = received.iter().filter(|one| kept(one)).count();
    // The ids are fixed, and so is the number.
    assert!((80..=120).contains(&kept), "{kept} of 200");
    for one in received {
        let state = one.all("tracestate");
        let sampled = one.one("traceparent").ends_with("-01");
        assert_eq!(
            state,
            if sampled {
                vec!["ot=th:8".to_owned()]
            } else {
                Vec::new()
            }
        );
    }
}
