//! The program's own log reaches a collector.

use super::program::edgespan;
use crate::support::client::get;
use crate::support::collector::Collector;
use crate::support::spans::find;
use crate::support::until;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use tokio::net::TcpListener;

fn body(record: &LogRecord) -> String {
    match record.body.as_ref().and_then(|body| body.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_failure_is_a_log_record_of_its_request_and_a_failed_export_is_none() {
    let collector = Collector::start().await;
    let dead = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = dead.local_addr().unwrap();
    drop(dead);
    let text = format!(
        "listeners: {{web: {{address: '127.0.0.1:0'}}}}\n\
         upstreams: {{app: {{endpoints: ['http://{address}']}}}}\n\
         routes: [{{name: all, upstream: app}}]\n\
         sampling: {{default: 1.0}}\n\
         export: [{{otlp: {{endpoint: 'http://{address}', queue: {{delay: 5ms}}}}}}]\n\
         telemetry: {{logs: {{otlp: {{endpoint: 'http://{}', queue: {{delay: 5ms}}}}}}}}\n",
        collector.address
    );
    let program = edgespan(&["run", "--admin", "127.0.0.1:0", "--config"])
        .file("edgespan.yaml", &text)
        .start();
    let front = program.address_behind("listening").await;

    let reply = get(front, "/", &[]).await;
    program.tells("export failed").await;
    until("the request's failure", || {
        collector
            .logs()
            .iter()
            .any(|one| body(one) == "request failed")
    })
    .await;
    program.interrupt();
    program.ended().await;

    let logs = collector.logs();
    let failed = logs
        .iter()
        .find(|one| body(one) == "request failed")
        .unwrap();
    assert_eq!(failed.severity_text, "WARN");
    let trace_id = reply.json()["trace_id"].as_str().unwrap().to_owned();
    assert_eq!(crate::support::spans::hex(&failed.trace_id), trace_id);
    let Some(Value::StringValue(error)) = find(&failed.attributes, "exception.message") else {
        panic!("{failed:?}");
    };
    assert!(error.contains("no connection to upstream"), "{error}");
    let fault = find(&failed.attributes, "fault");
    assert_eq!(fault, Some(&Value::StringValue("upstream".to_owned())));
    let told: Vec<String> = logs.iter().map(body).collect();
    assert!(
        !told.iter().any(|one| one.contains("export failed")),
        "{told:?}"
    );
}
