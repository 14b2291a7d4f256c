//! The head decision: the caller's flag leaves as it came, ours follows the rates.

use crate::support::client::get;
use crate::support::collector::Collector;
use crate::support::origin::Origin;
use crate::support::proxy::Setup;

const RATES: &str = "
upstreams: {content: {endpoints: ['http://${origin}']}}
flows: {escrow: {sampling: 1.0}, audit: {sampling: 0, unsampled_parent: record}}
routes:
  - {name: never, match: {prefix: /never}, upstream: content, sampling: 0}
  - {name: always, match: {prefix: /always}, upstream: content, sampling: 1.0}
  - {name: flow, match: {prefix: /flow}, upstream: content, flow: escrow}
  - {name: audit, match: {prefix: /audit}, upstream: content, flow: audit}
  - {name: half, match: {prefix: /half}, upstream: content, sampling: 0.5}
  - {name: rest, match: {prefix: /}, upstream: content}
sampling: {default: 0}
";

fn parent(flags: &str) -> String {
    format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}")
}

#[tokio::test]
async fn the_callers_decision_is_respected_whatever_our_rate_is() {
    let (collector, origin) = (Collector::start().await, Origin::start().await);
    let proxy = Setup::new(RATES)
        .origin(&origin)
        .export_to(&collector)
        .start()
        .await;

    for (path, flags) in [("/never", "01"), ("/never", "03"), ("/rest", "01")] {
        get(
            proxy.address,
            path,
            &[("traceparent", &parent(flags)), ("x-request-id", "17")],
        )
        .await;
        let edges = collector.next_edges().await;
        assert_eq!(edges.0.len(), 2, "{path} {flags}");
        assert_eq!(
            edges.server().text("edgespan.sampling.reason"),
            Some("parent")
        );
    }
    get(proxy.address, "/always", &[("traceparent", &parent("00"))]).await;
    assert!(collector.stays_silent().await, "unsampled stays unsampled");

    let flags: Vec<String> = origin
        .received()
        .iter()
        .map(|one| one.one("traceparent")[53..].to_owned())
        .collect();
    assert_eq!(flags, ["01", "03", "01", "00"]);
}

#[tokio::test]
async fn spans_under_an_unsampled_parent_can_be_recorded_and_the_flag_stays() {
    let (collector, origin) = (Collector::start().await, Origin::start().await);
    let proxy = Setup::new(RATES)
        .origin(&origin)
        .export_to(&collector)
        .start()
        .await;

    get(proxy.address, "/audit", &[("traceparent", &parent("00"))]).await;

    let edges = collector.next_edges().await;
    assert_eq!(edges.server().parent_id(), "b7ad6b7169203331");
    assert!(origin.sole().one("traceparent").ends_with("-00"));
}

#[tokio::test]
async fn roots_follow_the_rate_of_route_flow_and_default() {
    let (collector, origin) = (Collector::start().await, Origin::start().await);
    let proxy = Setup::new(RATES)
        .origin(&origin)
        .export_to(&collector)
        .start()
        .await;

    for path in ["/never", "/rest", "/always", "/flow"] {
        get(proxy.address, path, &[]).await;
    }

    let mut routes = Vec::new();
    for _ in 0..2 {
        routes.push(
            collector
                .next_edges()
                .await
                .server()
                .text("edgespan.route")
                .unwrap()
                .to_owned(),
        );
    }
    assert_eq!(routes, ["always", "flow"]);
    assert!(collector.stays_silent().await);
    let left: Vec<(String, Vec<String>)> = origin
        .received()
        .iter()
        .map(|one| {
            (
                one.one("traceparent")[53..].to_owned(),
                one.all("tracestate"),
            )
        })
        .collect();
    let sampled = ("03".to_owned(), vec!["ot=th:0".to_owned()]);
    let unsampled = ("02".to_owned(), Vec::new());
    assert_eq!(
        left,
        [unsampled.clone(), unsampled, sampled.clone(), sampled]
    );
}

#[tokio::test]
async fn a_ratio_is_kept_consistently_by_the_trace_ids_randomness() {
    let (collector, origin) = (Collector::start().await, Origin::start().await);
    let proxy = Setup::new(RATES)
        .origin(&origin)
        .export_to(&collector)
        .start()
        .await;

    for _ in 0..60 {
        get(proxy.address, "/half", &[]).await;
    }

    let mut kept = 0;
    for received in origin.received() {
        let parent = received.one("traceparent");
        let randomness = u64::from_str_radix(&parent[21..35], 16).unwrap();
        let sampled = parent.ends_with("-03");
        assert_eq!(sampled, randomness >= 1 << 55, "{parent}");
        assert_eq!(
            received.all("tracestate"),
            if sampled { vec!["ot=th:8"] } else { vec![] }
        );
        kept += usize::from(sampled);
    }
    assert!((10..=50).contains(&kept), "{kept} of 60");
    assert_eq!(collector.wait_for(kept * 2).await.len(), kept * 2);
}

#[tokio::test]
async fn a_sampler_variable_replaces_the_default_only() {
    let (collector, origin) = (Collector::start().await, Origin::start().await);
    let proxy = Setup::new(RATES)
        .origin(&origin)
        .variable("OTEL_TRACES_SAMPLER", "parentbased_always_on")
        .export_to(&collector)
        .start()
        .await;

    get(proxy.address, "/never", &[]).await;
    get(proxy.address, "/rest", &[]).await;

    let edges = collector.next_edges().await;
    assert_eq!(edges.server().text("edgespan.route"), Some("rest"));
    assert!(collector.stays_silent().await);
}

#[tokio::test]
async fn trace_debug_forces_everything() {
    let (collector, origin) = (Collector::start().await, Origin::start().await);
    let proxy = Setup::new(RATES)
        .origin(&origin)
        .variable("TRACE_DEBUG", "1")
        .export_to(&collector)
        .start()
        .await;

    for path in ["/never", "/rest"] {
        get(proxy.address, path, &[]).await;
        assert_eq!(collector.next_edges().await.0.len(), 2);
    }
}

#[tokio::test]
async fn the_environment_has_a_rate() {
    let origin = Origin::start().await;
    let proxy = Setup::front(&origin)
        .with("service: {environment: staging}")
        .with("sampling: {default: 1.0, environments: {staging: 0}}")
        .start()
        .await;

    get(proxy.address, "/", &[]).await;

    assert!(origin.sole().one("traceparent").ends_with("-02"));
}
