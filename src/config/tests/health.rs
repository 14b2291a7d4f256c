//! Health checks, outlier detection, and what edgespan sends about itself.

use super::*;
use crate::config::TelemetryPlan;
use crate::export::{OtlpSettings, Protocol};
use crate::upstream::{ClusterSettings, HealthCheck};
use std::time::Duration;

fn text(keys: &str) -> String {
    format!(
        "listeners: {{web: {{address: \"127.0.0.1:8080\"}}}}\n\
         upstreams: {{a: {{endpoints: [\"http://127.0.0.1:1\"], {keys}}}}}\n\
         routes: [{{name: a, upstream: a}}]\n"
    )
}

#[track_caller]
fn refuse(keys: &str, id: &str) {
    let told = told(&text(keys));
    let ids: Vec<_> = told.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, [id], "{keys}: {told:?}");
}

#[track_caller]
fn take(keys: &str) -> ClusterSettings {
    let loaded = compile(&text(keys)).map_err(|refused| refused.report.render(Look::default()));
    let loaded = loaded.unwrap_or_else(|report| panic!("{keys}\n{report}"));
    loaded.plan.upstreams[0].clone()
}

#[test]
fn a_check_is_exactly_one_of_three() {
    refuse("health: {interval: 1s}", "E0106");
    refuse("health: {http: {path: /}, tcp: true}", "E0106");
    refuse("health: {tcp: false}", "E0106");
    refuse("health: {http: {path: healthz}}", "E0308");
    refuse("health: {http: {host: \"http://a\"}}", "E0310");
    refuse("health: {http: {headers: {connection: close}}}", "E0306");
    refuse("health: {http: {statuses: 700}}", "E0105");
    refuse("health: {tcp: true, interval: 0s}", "E0301");
    refuse("health: {tcp: true, healthy: 0}", "E0105");
    assert!(matches!(
        take("health: {tcp: true}").health.unwrap().check,
        HealthCheck::Tcp
    ));
}

#[test]
fn a_check_says_what_it_asks_and_how_often() {
    let health = take(
        "health: {http: {path: \"/healthz?deep=1\", host: \"app:8443\", statuses: [200, 429], \
         headers: {x-check: 1}}, interval: 10s, timeout: 200ms, healthy: 1, unhealthy: 5}",
    )
    .health
    .unwrap();

    let HealthCheck::Http(check) = health.check else {
        panic!("no HTTP check");
    };
    assert_eq!(check.path, "/healthz?deep=1");
    assert_eq!(check.host.as_ref().unwrap(), "app:8443");
    assert_eq!(check.headers[0].1, "1");
    let passes = |status| check.passes(http::StatusCode::from_u16(status).unwrap());
    assert_eq!([200, 204, 429, 503].map(passes), [true, false, true, false]);
    assert_eq!(
        (health.interval, health.timeout),
        (Duration::from_secs(10), Duration::from_millis(200))
    );
    assert_eq!((health.healthy_after, health.unhealthy_after), (1, 5));
    let grpc = take("health: {grpc: {service: shop.Orders}}")
        .health
        .unwrap();
    assert!(matches!(grpc.check, HealthCheck::Grpc { service } if &*service == "shop.Orders"));
}

#[test]
fn outlier_detection_can_be_off_in_part_and_not_in_whole() {
    refuse("outlier: {consecutive_errors: 0}", "E0105");
    refuse("outlier: {consecutive_errors: none}", "E0105");
    refuse("outlier: {ejected_share: 2}", "E0105");
    refuse("outlier: {ejection: 30}", "E0301");

    let outlier = take(
        "outlier: {consecutive_errors: off, consecutive_failures: 3, \
         success_rate: {deviations: 2.5, attempts: 50}, ejection: 5s, ejected_share: 0.2}",
    )
    .outlier
    .unwrap();

    assert_eq!(outlier.consecutive_errors, None);
    assert_eq!(outlier.consecutive_failures, Some(3));
    let rate = outlier.success_rate.unwrap();
    assert!((rate.deviations - 2.5).abs() < 1e-9 && rate.attempts_min == 50);
    assert_eq!(outlier.ejection, Duration::from_secs(5));
    let loaded = compile(&text(
        "outlier: {consecutive_errors: off, consecutive_failures: off}",
    ));
    assert_eq!(loaded.unwrap().warnings.diagnostics().len(), 1);
    let written = take("outlier: {ejection: 5s}").outlier.unwrap();
    assert_eq!(written.consecutive_errors, Some(5));
    assert_eq!(written.success_rate, None);
}

fn telemetry(lines: &str, variables: &[(&str, &str)]) -> TelemetryPlan {
    let loaded = compile_with(&format!("{BASE}{lines}"), variables);
    let plan = loaded.map_err(|refused| refused.report.render(Look::default()));
    plan.unwrap().plan.telemetry
}

fn endpoint(settings: &OtlpSettings) -> String {
    settings.endpoint.to_string()
}

#[test]
fn metrics_and_logs_go_nowhere_unless_somebody_asks() {
    let silent = telemetry("", &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318")]);
    assert!(silent.metrics.is_none() && silent.logs.is_none());

    let file = "telemetry: {metrics: {otlp: {endpoint: \"http://m:4318\"}, interval: 15s}, \
                logs: {otlp: {endpoint: \"http://l:4317\", protocol: grpc}}}\n";
    let asked = telemetry(file, &[]);
    let (metrics, interval) = asked.metrics.unwrap();
    assert_eq!(endpoint(&metrics), "http://m:4318/v1/metrics");
    assert_eq!(interval, Duration::from_secs(15));
    let logs = asked.logs.unwrap();
    assert_eq!(endpoint(&logs), "http://l:4317/");
    assert_eq!(logs.protocol, Protocol::Grpc);
}

#[test]
fn variables_ask_and_win() {
    let base = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318/base");
    let asked = telemetry(
        "",
        &[
            base,
            ("OTEL_METRICS_EXPORTER", "otlp"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "1000"),
            ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://l/own"),
            ("OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", "gzip"),
            ("OTEL_BLRP_MAX_QUEUE_SIZE", "100"),
        ],
    );
    let (metrics, interval) = asked.metrics.unwrap();
    assert_eq!(endpoint(&metrics), "http://c:4318/base/v1/metrics");
    assert_eq!(interval, Duration::from_secs(1));
    let logs = asked.logs.unwrap();
    assert_eq!(endpoint(&logs), "http://l/own");
    assert_eq!(logs.batch.queue_spans_max, 100);
    assert_eq!(metrics.batch.queue_spans_max, 16_384);

    let file = "telemetry: {metrics: {otlp: {endpoint: \"http://m:4318\"}}}\n";
    assert!(
        telemetry(file, &[("OTEL_METRICS_EXPORTER", "none")])
            .metrics
            .is_none()
    );
    assert!(
        telemetry(file, &[("OTEL_SDK_DISABLED", "true")])
            .metrics
            .is_none()
    );
    let (metrics, _) = telemetry(file, &[("OTEL_METRICS_EXPORTER", "otlp"), base])
        .metrics
        .unwrap();
    assert_eq!(endpoint(&metrics), "http://c:4318/base/v1/metrics");
}

#[test]
fn the_text_for_operators_has_no_secret_and_no_value_of_a_variable() {
    let text = format!(
        "{BASE}# password: hunter2\n\
         service: {{name: \"${{NAME:-shop}}\"}}\n\
         export: [{{otlp: {{endpoint: \"http://h\", headers: {{x-team: hunter2, x-b: \"${{TOKEN}}\"}}}}}}]\n\
         telemetry: {{logs: {{otlp: {{endpoint: \"http://h\", headers: {{x-c: hunter2}}}}}}}}\n"
    );

    let plan = compile_with(&text, &[("TOKEN", "hunter2"), ("NAME", "hunter2")]);
    let shown = plan.map_err(|refused| refused.report).unwrap().plan.text;

    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(
        shown.contains("${NAME:-shop}") && shown.contains("endpoint: \"http://h\""),
        "{shown}"
    );
    assert!(shown.contains("x-team: *******"), "{shown}");
    assert_eq!(shown.lines().count(), text.lines().count());
}
