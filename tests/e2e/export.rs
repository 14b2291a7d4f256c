//! Spans reach a collector, or are accounted for.

use crate::support::client::get;
use crate::support::collector::Collector;
use crate::support::origin::Origin;
use crate::support::proxy::Setup;
use crate::support::until;
use std::time::{Duration, Instant};

#[tokio::test]
async fn an_endpoint_variable_is_enough() {
    let (collector, origin) = (Collector::start().await, Origin::start().await);
    let proxy = Setup::front(&origin)
        .variable(
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            &format!("http://{}", collector.address),
        )
        .variable(
            "OTEL_EXPORTER_OTLP_HEADERS",
            "x-tenant=a%20b,authorization=Bearer t0ken",
        )
        .variable("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
        .variable("OTEL_BSP_SCHEDULE_DELAY", "5")
        .start()
        .await;

    get(proxy.address, "/", &[]).await;

    assert_eq!(collector.next_edges().await.0.len(), 2);
    let headers = collector.headers().remove(0);
    assert_eq!(headers.get("x-tenant").unwrap(), "a b");
    assert_eq!(headers.get("content-encoding").unwrap(), "gzip");
    assert!(
        headers
            .get("user-agent")
            .unwrap()
            .to_str()
            .unwrap()
            .contains("edgespan")
    );
}

#[tokio::test]
async fn a_collector_that_fails_for_a_while_gets_everything_in_the_end() {
    let (collector, origin) = (Collector::start().await, Origin::start().await);
    collector.fail_with(&[503, 429, 502]);
    let proxy = Setup::front(&origin).export_to(&collector).start().await;

    for _ in 0..10 {
        get(proxy.address, "/", &[]).await;
    }
    collector.wait_for(20).await;
    let stopped = proxy.stop().await;

    let account = &stopped.accounts[0];
    assert_eq!(
        (account.accepted, account.exported, account.dropped.total()),
        (20, 20, 0)
    );
}

#[tokio::test]
async fn what_a_collector_refuses_for_good_is_dropped_and_said() {
    let (collector, origin) = (Collector::start().await, Origin::start().await);
    collector.fail_with(&[400; 50]);
    let proxy = Setup::front(&origin).export_to(&collector).start().await;

    get(proxy.address, "/", &[]).await;
    until("a refused export", || collector.requests() > 0).await;
    let stopped = proxy.stop().await;

    let account = &stopped.accounts[0];
    assert_eq!(
        (account.accepted, account.exported, account.dropped.total()),
        (2, 0, 2)
    );
    assert_eq!(
        account.to_string(),
        "spans accepted 2 = exported 0 + rejected 0 + dropped 2 (not_retryable 2) + pending 0"
    );
}

#[tokio::test]
async fn spans_are_flushed_at_the_end() {
    let (collector, origin) = (Collector::start().await, Origin::start().await);
    let proxy = Setup::front(&origin)
        .variable(
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            &format!("http://{}", collector.address),
        )
        .variable("OTEL_BSP_SCHEDULE_DELAY", "3600000")
        .start()
        .await;

    get(proxy.address, "/", &[]).await;
    assert!(collector.spans().is_empty());
    proxy.stop().await;

    assert_eq!(collector.spans().len(), 2);
}

#[tokio::test]
async fn the_account_is_a_metric() {
    let (collector, origin) = (Collector::start().await, Origin::start().await);
    let proxy = Setup::front(&origin).export_to(&collector).start().await;

    get(proxy.address, "/", &[]).await;
    collector.wait_for(2).await;

    let admin = proxy.admin;
    let metrics = || async move {
        get(admin, "/metrics", &[("host", "localhost")])
            .await
            .text()
    };
    let mut text = metrics().await;
    for _ in 0..100 {
        if text.contains("edgespan_spans_exported_total{exporter=\"otlp\"} 2") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        text = metrics().await;
    }
    assert!(
        text.contains("edgespan_spans_accepted_total{exporter=\"otlp\"} 2"),
        "{text}"
    );
    assert!(
        text.contains("edgespan_spans_exported_total{exporter=\"otlp\"} 2"),
        "{text}"
    );
}

#[tokio::test]
async fn collectors_that_say_nothing_hold_up_the_end_together_and_not_one_after_the_other() {
    let origin = Origin::start().await;
    // Connections come to stand in their backlogs.
    let silent: Vec<_> = (0..4)
        .map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap())
        .collect();
    let exports: Vec<_> = silent
        .iter()
        .map(|one| {
            let address = one.local_addr().unwrap();
            format!("{{otlp: {{endpoint: 'http://{address}', queue: {{delay: 5ms}}}}}}")
        })
        .collect();
    let export = format!("export: [{}]", exports.join(", "));
    let proxy = Setup::front(&origin).with(&export).start().await;
    get(proxy.address, "/", &[]).await;
    let began = Instant::now();

    let stopped = proxy.stop().await;

    assert_eq!(stopped.accounts.len(), 4);
    assert!(stopped.accounts.iter().all(|one| one.dropped.total() == 2));
    let took = began.elapsed();
    assert!(took < Duration::from_secs(14), "{took:?}"); // each has five seconds
}
