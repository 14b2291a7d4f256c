//! What edgespan says about itself reaches a collector.

use crate::support::client::get;
use crate::support::collector::Collector;
use crate::support::origin::Origin;
use crate::support::proxy::Setup;
use crate::support::spans::{find, hex};
use crate::support::until;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{Histogram, number_data_point};

const DURATION: &str = "http.server.request.duration";

/// The last reading of the requests' histogram, if one has a point.
fn durations(collector: &Collector) -> Option<Histogram> {
    let metrics = collector.metrics();
    let last = metrics.into_iter().rev().find(|one| one.name == DURATION)?;
    let Some(Data::Histogram(histogram)) = last.data else {
        panic!("a histogram");
    };
    (!histogram.data_points.is_empty()).then_some(histogram)
}

#[tokio::test]
async fn metrics_reach_a_collector_with_exemplars_of_traces_that_it_has() {
    let (collector, origin) = (Collector::start().await, Origin::start().await);
    let proxy = Setup::front(&origin)
        .export_to(&collector)
        .with(&format!(
            "telemetry: {{metrics: {{otlp: {{endpoint: 'http://{}', queue: {{delay: 5ms}}}}, interval: 30ms}}}}",
            collector.address
        ))
        .with("service: {name: shop}")
        .start()
        .await;

    get(proxy.address, "/", &[]).await;
    let edges = collector.next_edges().await;
    until("a reading with the request", || {
        durations(&collector).is_some()
    })
    .await;

    let histogram = durations(&collector).unwrap();
    assert_eq!(histogram.aggregation_temporality, 2);
    let point = &histogram.data_points[0];
    assert_eq!(point.count, 1);
    assert!(point.start_time_unix_nano < point.time_unix_nano);
    let method = find(&point.attributes, "http.request.method");
    assert_eq!(method, Some(&Value::StringValue("GET".to_owned())));
    let status = find(&point.attributes, "http.response.status_code");
    assert_eq!(status, Some(&Value::IntValue(200)));
    let exemplar = &point.exemplars[0];
    assert_eq!(hex(&exemplar.trace_id), edges.server().trace_id());
    assert_eq!(hex(&exemplar.span_id), edges.server().span_id());
    let page = get(proxy.admin, "/metrics", &[("host", "localhost")])
        .await
        .text();
    let sent = "edgespan_telemetry_records_total{signal=\"metrics\",outcome=\"exported\"}";
    assert!(page.contains(sent), "{page}");
    let service = find(&collector.resource().attributes, "service.name").cloned();
    assert_eq!(service, Some(Value::StringValue("shop".to_owned())));
    let name = |one: &opentelemetry_proto::tonic::metrics::v1::Metric| one.name.clone();
    let names: Vec<String> = collector.metrics().iter().map(name).collect();
    assert!(
        names.iter().any(|one| one == "edgespan.upstream_endpoints"),
        "{names:?}"
    );
}

#[tokio::test]
async fn a_request_that_is_not_kept_is_no_exemplar() {
    let (collector, origin) = (Collector::start().await, Origin::start().await);
    let proxy = Setup::front(&origin)
        .with(&format!(
            "telemetry: {{metrics: {{otlp: {{endpoint: 'http://{}', queue: {{delay: 5ms}}}}, interval: 30ms}}}}",
            collector.address
        ))
        .with("sampling: {default: 0}")
        .start()
        .await;

    get(proxy.address, "/", &[]).await;
    until("a reading with the request", || {
        durations(&collector).is_some()
    })
    .await;

    assert!(
        durations(&collector).unwrap().data_points[0]
            .exemplars
            .is_empty()
    );
    let page = get(proxy.admin, "/metrics", &[("host", "localhost")])
        .await
        .text();
    assert!(!page.contains("trace_id"), "{page}");
}

#[tokio::test]
async fn what_was_counted_last_is_sent_at_the_end() {
    let (collector, origin) = (Collector::start().await, Origin::start().await);
    let proxy = Setup::front(&origin)
        .variable("OTEL_METRICS_EXPORTER", "otlp")
        .variable(
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
            &format!("http://{}/v1/metrics", collector.address),
        )
        .start()
        .await;
    get(proxy.address, "/", &[]).await;
    assert!(collector.metrics().is_empty());

    proxy.stop().await;

    let histogram = durations(&collector).unwrap();
    assert_eq!(histogram.data_points[0].count, 1);
    let active = collector
        .metrics()
        .into_iter()
        .find(|one| one.name == "http.server.active_requests");
    let Some(Data::Gauge(active)) = active.unwrap().data else {
        panic!("a gauge");
    };
    let value = active.data_points[0].value;
    assert_eq!(value, Some(number_data_point::Value::AsInt(0)));
}
