//! `edgespan exec`: the command must not notice, and its span has to say how it went.

use super::program::{Call, edgespan};
use crate::support::collector::Collector;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use rustix::process::Signal;
use std::net::TcpListener;

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// `exec` of a script, its span sent to `collector`.
fn script(collector: &Collector, flags: &[&str], text: &str) -> Call {
    let mut call =
        edgespan(&["exec"]).variable("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint());
    for flag in flags {
        call = call.argument(flag);
    }
    for word in ["--", "/bin/sh", "-c", text] {
        call = call.argument(word);
    }
    call.variable("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
        .variable("PATH", "/usr/bin:/bin")
}

#[tokio::test]
async fn a_job_gets_a_root_span_and_the_command_gets_its_context() {
    let collector = Collector::start().await;

    let ended = script(
        &collector,
        &[
            "--job",
            "nightly",
            "--schedule",
            "15 3 * * *",
            "--trigger",
            "test",
            "-a",
            "rows=12",
        ],
        "echo $TRACEPARENT; echo \"$BAGGAGE\"; echo problem >&2; exit 3",
    )
    .variable("BAGGAGE", "a=1;p , b=%20")
    .ended()
    .await;

    assert_eq!(ended.code, Some(3));
    assert_eq!(ended.stderr, "problem\n");
    let span = &collector.wait_for(1).await[0];
    let traceparent = format!("00-{}-{}-03", span.trace_id(), span.span_id());
    assert_eq!(ended.stdout, format!("{traceparent}\na=1;p , b=%20\n"));
    assert_eq!(span.parent_id(), "");
    assert_eq!(span.name(), "nightly");
    assert_eq!(span.text("job.name"), Some("nightly"));
    assert_eq!(span.text("schedule"), Some("15 3 * * *"));
    assert_eq!(span.text("trigger"), Some("test"));
    assert_eq!(span.text("rows"), Some("12"));
    assert_eq!(span.int("process.exit.code"), Some(3));
    assert_eq!(span.text("error.type"), Some("3"));
    assert_eq!(span.text("process.executable.name"), Some("sh"));
    assert_eq!(span.text("process.command_args"), None);
    assert_eq!(span.status(), StatusCode::Error);
    assert!(span.0.end_time_unix_nano > span.0.start_time_unix_nano);
}

#[tokio::test]
async fn a_callers_trace_goes_on_and_links_stand_beside_it() {
    let collector = Collector::start().await;
    let other = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

    let ended = script(&collector, &["--link", other], "echo $TRACESTATE")
        .variable("TRACEPARENT", PARENT)
        .variable("TRACESTATE", "vendor=1,rojo=00f067aa0ba902b7")
        .ended()
        .await;

    assert_eq!(ended.stdout, "vendor=1,rojo=00f067aa0ba902b7\n");
    let span = &collector.wait_for(1).await[0];
    assert_eq!(span.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(span.parent_id(), "00f067aa0ba902b7");
    assert_eq!(span.0.trace_state, "vendor=1,rojo=00f067aa0ba902b7");
    assert_eq!(span.0.links.len(), 1);
    assert_eq!(span.status(), StatusCode::Unset);
}

#[tokio::test]
async fn a_caller_that_is_not_sampled_stays_so_and_a_context_that_is_not_valid_is_left() {
    let collector = Collector::start().await;
    let unsampled = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
    let call =
        |parent: &str| script(&collector, &[], "echo $TRACEPARENT").variable("TRACEPARENT", parent);

    let kept = call(unsampled).ended().await;
    assert!(
        kept.stdout
            .starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-")
    );
    assert!(kept.stdout.ends_with("-00\n"));

    call("not a context").ended().await;
    let spans = collector.wait_for(1).await;
    assert_eq!((spans.len(), spans[0].parent_id().as_str()), (1, ""));
}

#[tokio::test]
async fn the_streams_are_the_commands_own() {
    let collector = Collector::start().await;
    let bytes = "line one\nline two without its end";
    let call = script(&collector, &[], "cat input | cat; exec 1>&-; exit 0");

    let ended = call.beside("input", bytes).ended().await;

    assert_eq!(ended.stdout, bytes);
    assert_eq!(ended.stderr, "");
}

#[tokio::test]
async fn a_signal_reaches_the_command_and_its_end_is_told() {
    let collector = Collector::start().await;
    let waits = "trap 'echo caught; exit 7' TERM; echo ready; while :; do /bin/sleep 0.05; done";

    let program = script(&collector, &[], waits).start();
    program.shows("ready").await;
    program.signal(Signal::TERM);
    let ended = program.ended().await;

    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (Some(7), "ready\ncaught\n")
    );
    collector.wait_for(1).await;
}

#[tokio::test]
async fn a_command_that_a_signal_ends_leaves_the_code_that_shells_know() {
    let collector = Collector::start().await;

    let ended = script(&collector, &[], "kill -KILL $$").ended().await;

    assert_eq!(ended.code, Some(137));
    let span = &collector.wait_for(1).await[0];
    assert_eq!(span.text("edgespan.process.signal"), Some("SIGKILL"));
    assert_eq!(span.text("error.type"), Some("SIGKILL"));
    assert_eq!(span.int("process.exit.code"), Some(137));
}

#[tokio::test]
async fn a_command_that_cannot_be_run_is_126_or_127_and_has_its_span_too() {
    let collector = Collector::start().await;
    let call = |command: &str| {
        edgespan(&["exec", "--", command])
            .variable("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint())
            .variable("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
    };

    let absent = call("./absent").ended().await;
    assert_eq!(absent.code, Some(127));
    assert_eq!(
        absent.stderr,
        "error: cannot run absent\n  no such file or directory\n"
    );
    let denied = call("./plain").beside("plain", "").ended().await;
    assert_eq!(denied.code, Some(126));

    let spans = collector.wait_for(2).await;
    let mut kinds: Vec<_> = spans
        .iter()
        .filter_map(|span| span.text("error.type"))
        .collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["not_executable", "not_found"]);
}

#[tokio::test]
async fn a_collector_that_is_not_there_or_never_answers_changes_nothing_for_the_command() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    for endpoint in [
        "http://127.0.0.1:9".to_owned(),
        format!("http://{}", silent.local_addr().unwrap()),
        "http://name.invalid:4318".to_owned(),
        "https://127.0.0.1:9".to_owned(),
    ] {
        let ended = edgespan(&[
            "exec",
            "--flush",
            "50ms",
            "--",
            "/bin/sh",
            "-c",
            "echo out; exit 4",
        ])
        .variable("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)
        .variable("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
        .ended()
        .await;

        assert_eq!(ended.code, Some(4), "{endpoint}");
        assert_eq!(
            (ended.stdout.as_str(), ended.stderr.as_str()),
            ("out\n", ""),
            "{endpoint}"
        );
    }
}

#[tokio::test]
async fn what_kept_a_span_from_leaving_is_told_if_somebody_asks() {
    let ended = edgespan(&["exec", "--verbose", "--flush", "50ms", "--", "/bin/true"])
        .variable("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
        .variable("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
        .ended()
        .await;

    assert_eq!(
        ended.stderr,
        "edgespan: the span was not sent: 127.0.0.1 did not take it within 50ms\n"
    );
}

#[tokio::test]
async fn a_span_that_nobody_takes_is_told_of_if_somebody_asks() {
    let ended = edgespan(&["exec", "--verbose", "--", "/bin/true"])
        .ended()
        .await;

    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (
            Some(0),
            "edgespan: the span is sent nowhere: OTEL_EXPORTER_OTLP_ENDPOINT or EDGESPAN_URL names who \
             takes it, or a file by --config\n"
        )
    );
}

#[tokio::test]
async fn the_context_is_filled_into_arguments_and_other_braces_stay() {
    let collector = Collector::start().await;
    let call = script(&collector, &["--record-args"], "echo \"$1\" \"$2\"");

    let ended = call
        .argument("sh")
        .argument("traceparent: {traceparent}")
        .argument("{traceparents} {} --token=abc")
        .ended()
        .await;

    let span = &collector.wait_for(1).await[0];
    let traceparent = format!("00-{}-{}-03", span.trace_id(), span.span_id());
    let expected = format!("traceparent: {traceparent} {{traceparents}} {{}} --token=abc\n");
    assert_eq!(ended.stdout, expected);
    let recorded = span.texts("process.command_args");
    assert_eq!(recorded.first().map(String::as_str), Some("/bin/sh"));
}

#[tokio::test]
async fn a_step_of_a_workflow_says_which_one_it_is() {
    let collector = Collector::start().await;

    script(&collector, &[], ":")
        .variable("GITHUB_ACTIONS", "true")
        .variable("GITHUB_WORKFLOW", "release")
        .variable("GITHUB_JOB", "deploy")
        .variable("GITHUB_EVENT_NAME", "push")
        .variable("GITHUB_RUN_ID", "9")
        .ended()
        .await;

    let span = &collector.wait_for(1).await[0];
    assert_eq!(span.name(), "release");
    assert_eq!(span.text("trigger"), Some("push"));
    assert_eq!(span.text("cicd.pipeline.name"), Some("release"));
    assert_eq!(span.text("cicd.pipeline.task.name"), Some("deploy"));
    assert_eq!(span.text("cicd.pipeline.run.id"), Some("9"));
}

#[tokio::test]
async fn switched_off_it_is_not_there_at_all() {
    let collector = Collector::start().await;

    let ended = script(&collector, &[], "echo $TRACEPARENT; echo $TRACESTATE")
        .variable("OTEL_SDK_DISABLED", "true")
        .variable("TRACEPARENT", PARENT)
        .variable("TRACESTATE", "a=1")
        .ended()
        .await;

    assert_eq!(ended.stdout, format!("{PARENT}\na=1\n"));
    assert_eq!(collector.spans().len(), 0);
}

#[tokio::test]
async fn a_configuration_that_is_wrong_keeps_no_command_from_running() {
    let ended = edgespan(&[
        "exec",
        "--verbose",
        "--config",
        "edgespan.yaml",
        "--",
        "/bin/echo",
        "on",
    ])
    .beside("edgespan.yaml", "listeners: 7\n")
    .ended()
    .await;

    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "on\n"));
    assert!(
        ended.stderr.starts_with("edgespan: edgespan.yaml: "),
        "{}",
        ended.stderr
    );
}

#[tokio::test]
async fn without_a_command_it_is_wrong_usage() {
    let ended = edgespan(&["exec"]).ended().await;

    assert_eq!(ended.code, Some(64));
}
