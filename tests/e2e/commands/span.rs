//! `edgespan span`: the steps of a shell script.

use super::program::{BINARY, edgespan};
use crate::support::collector::Collector;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use std::process::Command;

/// A script as people write it; `edgespan` is on its PATH.
async fn script(collector: &Collector, text: &str) -> (String, String, bool) {
    let home = tempfile::tempdir().unwrap();
    let runtime = home.path().join("run");
    std::fs::create_dir(&runtime).unwrap();
    let folder = std::path::Path::new(BINARY).parent().unwrap();
    let mut command = Command::new("/bin/sh");
    command
        .args(["-eu", "-c", text])
        .env_clear()
        .env("PATH", format!("{}:/usr/bin:/bin", folder.display()))
        .env("XDG_RUNTIME_DIR", &runtime)
        .env("OTEL_SERVICE_NAME", "deployment")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint())
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");
    let done = tokio::task::spawn_blocking(move || command.output().unwrap());
    let done = done.await.unwrap();
    let left = std::fs::read_dir(runtime.join("edgespan"));
    let left = left.map_or(0, Iterator::count);
    assert_eq!(left, 0, "no open span is left");
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(done.stdout), text(done.stderr), done.status.success())
}

#[tokio::test]
async fn steps_of_a_script_nest_and_give_the_callers_context_back() {
    let collector = Collector::start().await;

    let (stdout, stderr, well) = script(
        &collector,
        "eval \"$(edgespan span start --name outer --job deploy)\"
         outer=$TRACEPARENT
         eval \"$(edgespan span start --name inner)\"
         test \"$TRACEPARENT\" != \"$outer\"
         edgespan span event 'tables locked' -a tables=12
         eval \"$(edgespan span end --exit-code 4)\"
         test \"$TRACEPARENT\" = \"$outer\"
         eval \"$(edgespan span end)\"
         echo \"${TRACEPARENT-unset} ${EDGESPAN_SPAN-unset}\"",
    )
    .await;

    assert_eq!(
        (stdout.as_str(), stderr.as_str(), well),
        ("unset unset\n", "", true)
    );
    let spans = collector.wait_for(2).await;
    let (inner, outer) = (&spans[0], &spans[1]);
    assert_eq!((inner.name(), outer.name()), ("inner", "outer"));
    assert_eq!(inner.parent_id(), outer.span_id());
    assert_eq!(inner.trace_id(), outer.trace_id());
    assert_eq!(inner.status(), StatusCode::Error);
    assert_eq!(inner.int("process.exit.code"), Some(4));
    let event = &inner.0.events[0];
    assert_eq!(
        (event.name.as_str(), event.attributes[0].key.as_str()),
        ("tables locked", "tables")
    );
    assert_eq!(outer.text("job.name"), Some("deploy"));
    assert!(outer.0.end_time_unix_nano >= inner.0.end_time_unix_nano);
}

#[tokio::test]
async fn a_workflow_gets_its_variables_by_its_file() {
    let collector = Collector::start().await;

    let (stdout, _, well) = script(
        &collector,
        "GITHUB_ENV=$XDG_RUNTIME_DIR/env; export GITHUB_ENV
         edgespan span start --name build --format github
         cat $GITHUB_ENV; . $GITHUB_ENV; export EDGESPAN_SPAN
         edgespan span end --format github",
    )
    .await;

    assert!(well);
    assert!(stdout.starts_with("TRACEPARENT=00-"), "{stdout}");
    assert!(stdout.contains("\nEDGESPAN_SPAN=/"), "{stdout}");
    collector.wait_for(1).await;
}

#[tokio::test]
async fn an_end_without_a_start_says_how_to_start() {
    let none = edgespan(&["span", "end"]).ended().await;
    assert_eq!(none.code, Some(64));
    assert!(
        none.stderr.contains("EDGESPAN_SPAN is not set"),
        "{}",
        none.stderr
    );

    let gone = edgespan(&["span", "event", "x"]).variable("EDGESPAN_SPAN", "/nonexistent");
    let gone = gone.ended().await;
    assert_eq!(gone.code, Some(1));
    assert!(
        gone.stderr.contains("it has ended already"),
        "{}",
        gone.stderr
    );
}
