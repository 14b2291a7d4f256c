//! What the environment and the command line decide.

use super::*;
use crate::config::Plan;
use crate::export::{Compression, Protocol};
use crate::trace::resource::ResourceValue;

const FILE_EXPORT: &str =
    "export: [{otlp: {endpoint: \"http://file:4317\", protocol: grpc, timeout: 3s}}]\n";

fn plan(lines: &str, variables: &[(&str, &str)]) -> Plan {
    let loaded = compile_with(&format!("{BASE}{lines}"), variables);
    loaded
        .map_err(|refused| refused.report.render(Look::default()))
        .unwrap()
        .plan
}

fn warnings(variables: &[(&str, &str)]) -> Vec<String> {
    let loaded = compile_with(BASE, variables).unwrap();
    loaded
        .warnings
        .diagnostics()
        .iter()
        .map(|one| one.message.clone())
        .collect()
}

fn resource(plan: &Plan, key: &str) -> Option<String> {
    let (_, value) = plan
        .tracing
        .resource
        .iter()
        .find(|(known, _)| &**known == key)?;
    let ResourceValue::String(text) = value else {
        return None;
    };
    Some(text.to_string())
}

#[test]
fn the_flag_wins_over_the_variable_and_that_over_the_file() {
    let file = "service: {name: file}\n";
    let name =
        |variables: &[(&str, &str)]| resource(&plan(file, variables), "service.name").unwrap();
    let attributes = (
        "OTEL_RESOURCE_ATTRIBUTES",
        "service.name=attributes,a=b%20c",
    );
    let variable = ("OTEL_SERVICE_NAME", "variable");

    assert_eq!(
        resource(&plan("", &[]), "service.name").unwrap(),
        "edgespan"
    );
    assert_eq!(name(&[]), "file");
    assert_eq!(name(&[attributes]), "attributes");
    assert_eq!(name(&[attributes, variable]), "variable");
    assert_eq!(resource(&plan(file, &[attributes]), "a").unwrap(), "b c");
    let environment = [variable].into_iter().collect();
    let overrides = Overrides {
        service: Some("flag".to_owned()),
        ..Overrides::default()
    };
    let plan = compile_text("a", BASE, &environment, &overrides)
        .unwrap()
        .plan;
    assert_eq!(resource(&plan, "service.name").unwrap(), "flag");
}

#[test]
fn the_downward_api_speaks_only_inside_a_cluster() {
    let pod = ("POD_NAME", "pod-1");
    let inside = ("KUBERNETES_SERVICE_HOST", "10.0.0.1");

    assert_eq!(resource(&plan("", &[pod]), "k8s.pod.name"), None);
    assert_eq!(
        resource(&plan("", &[pod, inside]), "k8s.pod.name").unwrap(),
        "pod-1"
    );
}

#[test]
fn an_injected_sampler_replaces_the_default_and_no_route_of_its_own() {
    let lines = "routes: [{name: a, upstream: app}, {name: b, upstream: app, match: {path: /b}, sampling: 0.9}]\n";
    let rule = |variables: &[(&str, &str)], route: usize| {
        let rule = plan(lines, variables).routes[route].1.sampling;
        (rule.ratio, rule.parent_based)
    };
    let off = [("OTEL_TRACES_SAMPLER", "always_off")];
    let ratio = [
        ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
    ];
    let debug = [("OTEL_TRACES_SAMPLER", "always_off"), ("TRACE_DEBUG", "1")];

    assert_eq!(rule(&[], 0), (1.0, true));
    assert_eq!(rule(&off, 0), (0.0, false));
    assert_eq!(rule(&off, 1), (0.9, true));
    assert_eq!(rule(&ratio, 0), (0.25, true));
    assert_eq!((rule(&debug, 0).0, rule(&debug, 1).0), (1.0, 1.0));
}

#[test]
fn a_disabled_sdk_records_nothing() {
    assert!(
        plan("", &[("OTEL_SDK_DISABLED", "false")])
            .tracing
            .recording
    );
    assert!(
        !plan("", &[("OTEL_SDK_DISABLED", "TRUE"), ("TRACE_DEBUG", "1")])
            .tracing
            .recording
    );
}

#[test]
fn an_endpoint_in_the_environment_is_an_exporter() {
    let endpoint = |variables: &[(&str, &str)]| {
        let export = plan("", variables).export;
        export
            .first()
            .map(|one| (one.endpoint.to_string(), one.protocol))
    };
    let base = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318/base/");
    let signal = (
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "http://c:4318/as/it/is",
    );
    let grpc = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    let http = Protocol::HttpProtobuf;

    assert_eq!(endpoint(&[]), None);
    assert_eq!(
        endpoint(&[base]),
        Some(("http://c:4318/base/v1/traces".to_owned(), http))
    );
    assert_eq!(
        endpoint(&[base, signal]),
        Some(("http://c:4318/as/it/is".to_owned(), http))
    );
    assert_eq!(
        endpoint(&[base, grpc]),
        Some(("http://c:4318/base/".to_owned(), Protocol::Grpc))
    );
    let otlp = ("OTEL_TRACES_EXPORTER", "otlp");
    assert_eq!(
        endpoint(&[otlp]),
        Some(("http://localhost:4318/v1/traces".to_owned(), http))
    );
    assert_eq!(endpoint(&[base, ("OTEL_TRACES_EXPORTER", "none")]), None);
}

#[test]
fn the_terminal_exports_where_the_environment_lets_it() {
    let check = |text: &str, chosen: &str, over_otlp: usize, on_terminal: bool| {
        let plan = plan(text, &[("OTEL_TRACES_EXPORTER", chosen)]);
        let seen = (plan.export.len(), plan.terminal_exports());
        assert_eq!(seen, (over_otlp, on_terminal), "{chosen} over {text:?}");
    };
    check("", "", 0, true);
    check("", "none", 0, false);
    check("", "console", 0, true);
    check("", "otlp", 1, false);
    check("", "otlp,console", 1, true);
    check("", "none,otlp", 1, false);
    check("", "jaeger", 0, true);
    check(FILE_EXPORT, "", 1, false);
    check(FILE_EXPORT, "none", 0, false);
    check(FILE_EXPORT, "console", 0, true);
}

#[test]
fn variables_win_over_the_first_exporter_of_the_file() {
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://variable:4317"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-a=b%20c,x-d=e"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "1500"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "100"),
        ("OTEL_BSP_SCHEDULE_DELAY", "250"),
    ];
    let plan = plan(FILE_EXPORT, &variables);
    let [first] = plan.export.as_slice() else {
        panic!("not one exporter")
    };

    assert_eq!(first.endpoint.as_str(), "http://variable:4317/");
    assert_eq!(first.protocol, Protocol::Grpc);
    assert_eq!(first.headers[0].1, "b c");
    assert!(first.headers.iter().all(|(_, value)| value.is_sensitive()));
    assert_eq!(first.timeout.as_millis(), 1500);
    assert_eq!(first.compression, Compression::Gzip);
    assert_eq!(
        (first.batch.queue_spans_max, first.batch.batch_spans_max),
        (100, 100)
    );
    assert_eq!(first.batch.delay.as_millis(), 250);
}

#[test]
fn a_variable_that_cannot_be_used_is_warned_of_and_ignored() {
    #[track_caller]
    fn check(name: &str, value: &str, expected: &str) {
        assert_eq!(warnings(&[(name, value)]), [expected]);
    }

    check(
        "OTEL_SDK_DISABLED",
        "yes",
        "OTEL_SDK_DISABLED: `yes` is not true or false",
    );
    check(
        "OTEL_TRACES_SAMPLER",
        "xray",
        "OTEL_TRACES_SAMPLER: `xray` is not a sampler known here",
    );
    check(
        "OTEL_PROPAGATORS",
        "jaeger",
        "OTEL_PROPAGATORS: `jaeger` is not a propagator known here",
    );
    check(
        "OTEL_BSP_MAX_QUEUE_SIZE",
        "-1",
        "OTEL_BSP_MAX_QUEUE_SIZE: `-1` is not a number above zero",
    );
    check(
        "OTEL_EXPORTER_OTLP_HEADERS",
        "hunter2",
        "OTEL_EXPORTER_OTLP_HEADERS: its value is not a list of key=value, percent-encoded",
    );
    check(
        "OTEL_RESOURCE_ATTRIBUTES",
        "a=%zz",
        "OTEL_RESOURCE_ATTRIBUTES: `a=%zz` is not a list of key=value, percent-encoded",
    );
    assert!(
        warnings(&[
            ("OTEL_TRACES_SAMPLER", ""),
            ("OTEL_BSP_MAX_QUEUE_SIZE", " ")
        ])
        .is_empty()
    );
}

#[test]
fn propagators_come_from_the_variable_or_the_file_or_are_the_default() {
    let names = |lines: &str, value: &str| {
        let plan = plan(lines, &[("OTEL_PROPAGATORS", value)]);
        plan.tracing
            .propagators
            .iter()
            .map(|one| one.to_string())
            .collect::<Vec<_>>()
    };
    let file = "propagation: {propagators: [b3multi]}\n";

    assert_eq!(names("", ""), ["tracecontext", "baggage"]);
    assert_eq!(names(file, ""), ["b3multi"]);
    assert_eq!(names(file, "b3,tracecontext,b3"), ["b3", "tracecontext"]);
    assert_eq!(names(file, "none"), Vec::<String>::new());
    assert_eq!(names(file, "xray"), ["b3multi"]);
}

#[test]
fn placeholders_are_typed_as_if_they_stood_without_quotes() {
    let lines = "access_log: \"${LOG}\"\nsampling: {default: \"${RATE:-0.5}\"}\n";

    let plan = plan(lines, &[("LOG", "false")]);

    assert_eq!(
        (plan.access_log, plan.tracing.default_sampling.ratio),
        (Some(false), 0.5)
    );
}

#[test]
fn all_missing_variables_are_told_at_once() {
    let text = format!("{BASE}service: {{name: \"${{A}}\", version: \"${{B}}-${{C}}\"}}\n");

    let ids: Vec<_> = told(&text).into_iter().map(|(id, _)| id).collect();

    assert_eq!(ids, ["E0007", "E0007", "E0007"]);
}

#[test]
fn a_collector_on_the_grpc_port_without_a_protocol_is_warned_of() {
    let hint = warnings(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317")]);

    assert_eq!(hint.len(), 1);
    assert!(hint[0].contains("4317"), "{hint:?}");
}

#[test]
fn span_limits_come_from_the_environment() {
    let tracing = plan(
        "",
        &[
            ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "10"),
            ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "200"),
            ("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", "GET, PURGE"),
        ],
    )
    .tracing;

    assert_eq!(
        (tracing.attribute_count_max, tracing.attribute_value_max),
        (10, Some(200))
    );
    assert_eq!(tracing.known_methods.unwrap().len(), 2);
}
