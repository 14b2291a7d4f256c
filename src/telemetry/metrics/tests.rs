//! The page, read back by a small checker of the OpenMetrics grammar.

use super::*;
use opentelemetry::trace::{SpanId, TraceId};
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

/// Samples by what stands before their value; panics at the first line that is not OpenMetrics.
fn checked(page: &str) -> BTreeMap<String, f64> {
    assert!(page.ends_with("\n# EOF\n") && page.matches("# EOF").count() == 1);
    let mut samples = BTreeMap::new();
    let mut begun = HashSet::new();
    let mut family = (String::new(), String::new());
    for line in page.lines().filter(|line| *line != "# EOF") {
        if let Some(told) = line.strip_prefix("# TYPE ") {
            let (name, kind) = told.split_once(' ').unwrap();
            assert!(begun.insert(name.to_owned()), "{name} twice");
            family = (name.to_owned(), kind.to_owned());
        } else if let Some(told) = line.strip_prefix("# UNIT ") {
            let (name, unit) = told.split_once(' ').unwrap();
            assert!(
                name == family.0 && name.ends_with(&format!("_{unit}")),
                "{line}"
            );
        } else if let Some(told) = line.strip_prefix("# HELP ") {
            assert!(told.starts_with(&format!("{} ", family.0)), "{line}");
        } else {
            let (key, value) = checked_sample(line, &family);
            assert!(samples.insert(key, value).is_none(), "twice: {line}");
        }
    }
    samples
}

fn checked_sample(line: &str, (family, kind): &(String, String)) -> (String, f64) {
    let (sample, exemplar) = match line.split_once(" # ") {
        Some((sample, exemplar)) => (sample, Some(exemplar)),
        None => (line, None),
    };
    let (key, value) = sample.rsplit_once(' ').unwrap();
    let name = key.split('{').next().unwrap();
    let suffix = name
        .strip_prefix(family.as_str())
        .unwrap_or_else(|| panic!("{line}"));
    let suffixes: &[&str] = match kind.as_str() {
        "counter" => &["_total"],
        "gauge" => &[""],
        "info" => &["_info"],
        "histogram" => &["_bucket", "_count", "_sum"],
        other => panic!("{other}"),
    };
    assert!(suffixes.contains(&suffix), "{line}");
    if let Some(exemplar) = exemplar {
        assert_eq!(suffix, "_bucket", "{line}");
        let (labels, numbers) = exemplar
            .strip_prefix('{')
            .unwrap()
            .split_once("} ")
            .unwrap();
        assert!(labels.len() <= 128, "{line}");
        assert_eq!(
            numbers
                .split(' ')
                .filter(|text| text.parse::<f64>().is_ok())
                .count(),
            2
        );
    }
    (key.to_owned(), value.parse().unwrap())
}

fn page(metrics: &Metrics, format: TextFormat) -> String {
    let mut page = Exposition::new(format);
    metrics.render(&mut page);
    page.finish()
}

fn samples(metrics: &Metrics) -> BTreeMap<String, f64> {
    checked(&page(metrics, TextFormat::OpenMetrics))
}

fn at_second(second: u64) -> Timestamp {
    Timestamp::from_unix_nanos(second * 1_000_000_000)
}

fn request<'a>(route: &'a Arc<str>, millis: u64) -> ServerObservation<'a> {
    ServerObservation {
        route: Some(route),
        method: "GET",
        status: Some(200),
        scheme: "https",
        version: "2",
        error_type: None,
        duration: Duration::from_millis(millis),
        internal: Duration::from_micros(20),
        ended: at_second(1_763_734_022),
        exemplar: Some(ExemplarIds {
            trace_id: TraceId::from(0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736),
            span_id: SpanId::from(0x00f0_67aa_0ba9_02b7),
        }),
        request_bytes: 3,
        response_bytes: 50,
    }
}

const LABELS: &str = "http_request_method=\"GET\",http_route=\"/orders/{id}\",\
                      http_response_status_code=\"200\",url_scheme=\"https\",\
                      network_protocol_version=\"2\"";

#[test]
fn an_empty_page_is_whole() {
    let samples = samples(&Metrics::new());
    assert_eq!(samples["http_server_active_requests"], 0.0);
    assert_eq!(samples["edgespan_panics_total"], 0.0);
    assert!(samples["process_start_time_seconds"] > 1.7e9);
}

#[test]
fn a_request_is_counted_under_the_names_of_the_conventions() {
    let metrics = Metrics::new();
    let route: Arc<str> = "/orders/{id}".into();

    metrics.server_request(&request(&route, 7));
    metrics.server_request(&request(&route, 40));

    let samples = samples(&metrics);
    let bucket = |bound: &str| {
        samples[&format!("http_server_request_duration_seconds_bucket{{{LABELS},le=\"{bound}\"}}")]
    };
    assert_eq!(
        (bucket("0.005"), bucket("0.01"), bucket("0.05")),
        (0.0, 1.0, 2.0)
    );
    assert_eq!(
        (bucket("1.0"), bucket("10.0"), bucket("+Inf")),
        (2.0, 2.0, 2.0)
    );
    let of = |name: &str| samples[&format!("{name}{{{LABELS}}}")];
    assert_eq!(of("http_server_request_duration_seconds_count"), 2.0);
    assert_eq!(of("http_server_request_duration_seconds_sum"), 0.047);
    assert_eq!(of("edgespan_http_server_request_body_bytes_total"), 6.0);
    assert_eq!(of("edgespan_http_server_response_body_bytes_total"), 100.0);
    assert_eq!(
        samples["edgespan_request_internal_duration_seconds_count"],
        2.0
    );
}

#[test]
fn an_attempt_is_counted_by_upstream() {
    let metrics = Metrics::new();
    let upstream: Arc<str> = "payout".into();

    metrics.client_request(&ClientObservation {
        upstream: &upstream,
        method: "POST",
        status: None,
        error_type: Some("connection_refused"),
        duration: Duration::from_millis(1),
        ended: at_second(1),
        exemplar: None,
    });

    let key = "http_client_request_duration_seconds_count{upstream=\"payout\",\
               http_request_method=\"POST\",error_type=\"connection_refused\"}";
    assert_eq!(samples(&metrics)[key], 1.0);
}

#[test]
fn a_status_that_is_an_error_is_its_type_as_on_spans() {
    let metrics = Metrics::new();
    let (route, upstream): (Arc<str>, Arc<str>) = ("/orders/{id}".into(), "payout".into());

    for status in [404, 502] {
        metrics.server_request(&ServerObservation {
            status: Some(status),
            ..request(&route, 7)
        });
        metrics.client_request(&ClientObservation {
            upstream: &upstream,
            method: "POST",
            status: Some(status),
            error_type: None,
            duration: Duration::from_millis(1),
            ended: at_second(1),
            exemplar: None,
        });
    }

    let samples = samples(&metrics);
    let errors = |family: &str| {
        let labels = samples.keys().filter(|key| key.starts_with(family));
        let mut errors: Vec<&str> = labels
            .filter_map(|key| key.split_once("error_type=\"")?.1.split('"').next())
            .collect();
        errors.sort_unstable();
        errors
    };
    assert_eq!(
        errors("http_server_request_duration_seconds_count"),
        ["502"]
    );
    assert_eq!(
        errors("http_client_request_duration_seconds_count"),
        ["404", "502"]
    );
}

#[test]
fn a_bucket_shows_one_request_in_openmetrics_and_none_in_the_older_text() {
    let metrics = Metrics::new();
    let route: Arc<str> = "/orders/{id}".into();
    metrics.server_request(&request(&route, 7));

    let exemplar = "le=\"0.01\"} 1 # {trace_id=\"4bf92f3577b34da6a3ce929d0e0e4736\",\
                    span_id=\"00f067aa0ba902b7\"} 0.007 1763734022.000\n";
    assert!(page(&metrics, TextFormat::OpenMetrics).contains(exemplar));

    let older = page(&metrics, TextFormat::Prometheus);
    assert!(older.contains("le=\"0.01\"} 1\n") && older.contains("le=\"10\"} 1\n"));
    assert!(older.contains("# TYPE edgespan_build_info gauge\n"));
    assert!(!older.contains(" # ") && !older.contains("# UNIT") && !older.contains("# EOF"));
}

#[test]
fn the_same_route_after_a_reload_is_the_same_series() {
    let metrics = Metrics::new();
    for _ in 0..2 {
        let route: Arc<str> = "/orders/{id}".into();
        metrics.server_request(&request(&route, 7));
    }

    let key = format!("http_server_request_duration_seconds_count{{{LABELS}}}");
    assert_eq!(samples(&metrics)[&key], 2.0);
}

#[test]
fn label_sets_past_the_bound_share_the_overflow_series_and_none_is_lost() {
    let metrics = Metrics::new();
    for index in 0..5_000 {
        let route: Arc<str> = format!("/{index}").into();
        metrics.server_request(&request(&route, 7));
    }

    let samples = samples(&metrics);
    let count = "http_server_request_duration_seconds_count";
    let series: Vec<_> = samples
        .iter()
        .filter(|(key, _)| key.starts_with(count))
        .collect();
    assert_eq!(series.len(), 4_097);
    assert_eq!(
        series.iter().map(|(_, value)| **value).sum::<f64>(),
        5_000.0
    );
    assert_eq!(
        samples[&format!("{count}{{otel_metric_overflow=\"true\"}}")],
        904.0
    );
}

#[test]
fn what_is_open_is_counted_until_it_is_dropped() {
    let metrics = Metrics::new();
    let (web, content): (Arc<str>, Arc<str>) = ("web".into(), "content".into());

    let connection = metrics.connection(&web);
    let upstream = metrics.upstream_connection(&content);
    let request = metrics.active_request();
    let open = || {
        let samples = samples(&metrics);
        (
            samples["edgespan_connections_open{listener=\"web\"}"],
            samples["edgespan_upstream_connections_open{upstream=\"content\"}"],
            samples["http_server_active_requests"],
        )
    };
    assert_eq!(open(), (1.0, 1.0, 1.0));

    drop((connection, upstream, request));
    assert_eq!(open(), (0.0, 0.0, 0.0));
    let samples = samples(&metrics);
    assert_eq!(
        samples["edgespan_connections_opened_total{listener=\"web\"}"],
        1.0
    );
    assert_eq!(
        samples["edgespan_upstream_connections_opened_total{upstream=\"content\"}"],
        1.0
    );
}

#[test]
fn each_thing_that_goes_wrong_has_its_own_counter() {
    let metrics = Metrics::new();
    let (web, content): (Arc<str>, Arc<str>) = ("web".into(), "content".into());

    metrics.parse_error(&web);
    metrics.parse_error(&web);
    metrics.tls_error(&web);
    metrics.upstream_connect_failed(&content);
    metrics.upstream_connection_reused(&content);
    metrics.shed("requests_max");
    metrics.panicked();

    let samples = samples(&metrics);
    let listener = |error: &str| {
        let labels = format!("{{listener=\"web\",error_type=\"{error}\"}}");
        samples[&format!("edgespan_connection_errors_total{labels}")]
    };
    assert_eq!(listener("parse_error"), 2.0);
    assert_eq!(listener("tls_error"), 1.0);
    assert_eq!(listener("accept_error"), 0.0);
    assert_eq!(
        samples["edgespan_upstream_connections_failed_total{upstream=\"content\"}"],
        1.0
    );
    assert_eq!(
        samples["edgespan_upstream_connections_reused_total{upstream=\"content\"}"],
        1.0
    );
    assert_eq!(
        samples["edgespan_requests_shed_total{reason=\"requests_max\"}"],
        1.0
    );
    assert_eq!(samples["edgespan_panics_total"], 1.0);
}

#[test]
fn threads_lose_no_observation_and_pages_stay_consistent_meanwhile() {
    let metrics = Metrics::new();
    let routes: Vec<Arc<str>> = (0..16).map(|index| format!("/{index}").into()).collect();

    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for index in 0..25_000 {
                    metrics.server_request(&request(&routes[index % 16], 7));
                }
            });
        }
        for _ in 0..20 {
            samples(&metrics);
        }
    });

    let count = "http_server_request_duration_seconds_count";
    let samples = samples(&metrics);
    let counted: f64 = samples
        .iter()
        .filter(|(key, _)| key.starts_with(count))
        .map(|(_, value)| value)
        .sum();
    assert_eq!(counted, 100_000.0);
}
