//! Lines as they come out, and what happens when they cannot.

use super::*;
use crate::clock::Timestamp;
use crate::telemetry::metrics::{Exposition, TextFormat};
use opentelemetry::trace::{SpanId, TraceId};
use std::sync::mpsc;

const SOON: Duration = Duration::from_secs(10);

fn record() -> AccessRecord<'static> {
    AccessRecord {
        ended: Timestamp::from_unix_nanos(1_763_734_022_482_000_000),
        span: Some((
            TraceId::from(0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736),
            SpanId::from(0x00f0_67aa_0ba9_02b7),
        )),
        sampled: true,
        client_address: Some([203, 0, 113, 9].into()),
        method: "GET",
        path: "/api/v1/orders/7",
        query: Some("token=REDACTED"),
        status: Some(200),
        http_route: Some("/api/v1/orders/{order_id}"),
        route: Some("orders"),
        upstream: Some("content"),
        flow: Some("escrow"),
        auth: None,
        duration: Duration::from_micros(12_345),
        request_bytes: 0,
        response_bytes: 512,
        client_disconnected: false,
        error_type: None,
        user_agent: Some("curl/8.0"),
    }
}

/// Bytes written, shared with the test.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    fn lines(&self) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A reader that takes nothing until it is let.
struct Stuck {
    entered: mpsc::Sender<()>,
    released: mpsc::Receiver<()>,
    out: Shared,
}

impl Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.entered.send(()).unwrap();
        self.released.recv().unwrap();
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn lines(format: LogFormat, record: &AccessRecord<'_>) -> Vec<String> {
    let out = Shared::default();
    let log = AccessLog::start_with(format, &Metrics::new(), 1 << 20, out.clone()).unwrap();
    log.write(record);
    assert!(log.close(SOON));
    out.lines()
}

fn dropped(metrics: &Metrics) -> String {
    let mut page = Exposition::new(TextFormat::OpenMetrics);
    metrics.render(&mut page);
    let page = page.finish();
    let line = page
        .lines()
        .find(|line| line.starts_with("edgespan_access_log_dropped_total"));
    line.unwrap().to_owned()
}

#[test]
fn a_line_for_people_fits_a_glance() {
    assert_eq!(
        lines(LogFormat::Human, &record()),
        [
            "14:07:02 GET /api/v1/orders/7?token=REDACTED 200 12.3 ms orders -> content \
         (trace 4bf92f3577b3)"
        ]
    );
    let refused = AccessRecord {
        span: None,
        query: None,
        status: None,
        route: None,
        upstream: None,
        error_type: Some("timeout"),
        ..record()
    };
    assert_eq!(
        lines(LogFormat::Human, &refused),
        ["14:07:02 GET /api/v1/orders/7 - 12.3 ms error=timeout"]
    );
}

#[test]
fn a_client_that_left_is_told_in_both_forms() {
    let left = AccessRecord {
        client_disconnected: true,
        status: None,
        ..record()
    };

    let told = |format| lines(format, &left).concat();

    assert!(told(LogFormat::Human).contains(" - client left 12.3 ms"));
    assert!(told(LogFormat::Json).contains(r#""edgespan.client_disconnected":true"#));
}

#[test]
fn a_line_for_machines_has_the_keys_of_the_conventions() {
    assert_eq!(
        lines(LogFormat::Json, &record()),
        [concat!(
            r#"{"timestamp":"2025-11-21T14:07:02.482Z","#,
            r#""trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","span_id":"00f067aa0ba902b7","#,
            r#""sampled":true,"client.address":"203.0.113.9","http.request.method":"GET","#,
            r#""url.path":"/api/v1/orders/7","url.query":"token=REDACTED","#,
            r#""http.response.status_code":200,"http.route":"/api/v1/orders/{order_id}","#,
            r#""route":"orders","upstream":"content","flow":"escrow","duration_ms":12.345,"#,
            r#""http.request.body.size":0,"http.response.body.size":512,"#,
            r#""user_agent.original":"curl/8.0"}"#
        )]
    );
}

proptest::proptest! {
    #[test]
    fn nothing_a_client_sends_breaks_a_line(
        path in proptest::prelude::any::<String>(),
        agent in proptest::prelude::any::<String>(),
        micros in 0_u64..10_000_000_000,
    ) {
        let hostile = AccessRecord {
            path: &path,
            user_agent: Some(&agent),
            duration: Duration::from_micros(micros),
            ..record()
        };

        let mut json = String::new();
        hostile.json(&mut json);
        let read: serde_json::Value = serde_json::from_str(&json).unwrap();
        proptest::prop_assert_eq!(&read["url.path"], &path);
        proptest::prop_assert_eq!(&read["user_agent.original"], &agent);
        let millis = read["duration_ms"].as_f64().unwrap();
        proptest::prop_assert!((millis * 1000.0 - micros as f64).abs() < 0.01);

        let mut human = String::new();
        hostile.human(&mut human);
        proptest::prop_assert!(!human.chars().any(char::is_control));
    }
}

#[test]
fn lines_of_many_threads_all_come_out_whole() {
    let out = Shared::default();
    let metrics = Metrics::new();
    let log = AccessLog::start_with(LogFormat::Json, &metrics, 64 << 20, out.clone()).unwrap();

    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..2_500).for_each(|_| log.write(&record())));
        }
    });
    assert!(log.close(SOON));

    let lines = out.lines();
    assert_eq!(lines.len(), 10_000);
    assert!(lines.iter().all(|line| *line == lines[0]));
    assert_eq!(dropped(&metrics), "edgespan_access_log_dropped_total 0");
}

#[test]
fn a_slow_reader_costs_lines_and_never_a_request_its_time() {
    let (entered, is_stuck) = mpsc::channel();
    let (release, released) = mpsc::channel();
    let out = Shared::default();
    let stuck = Stuck {
        entered,
        released,
        out: out.clone(),
    };
    let metrics = Metrics::new();
    let log = AccessLog::start_with(LogFormat::Human, &metrics, 1_000, stuck).unwrap();
    log.write(&record());
    is_stuck.recv().unwrap();

    // Each line has 95 bytes: ten of them fit.
    (0..50).for_each(|_| log.write(&record()));
    assert_eq!(dropped(&metrics), "edgespan_access_log_dropped_total 40");
    assert!(!log.close(Duration::from_millis(1)));

    release.send(()).unwrap();
    release.send(()).unwrap();
    assert!(log.close(SOON));
    assert_eq!(out.lines().len(), 11);
}

#[test]
fn a_closed_pipe_ends_the_log_in_silence() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
            Err(io::Error::from(io::ErrorKind::BrokenPipe))
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let metrics = Metrics::new();
    let log = AccessLog::start_with(LogFormat::Human, &metrics, 1_000, Closed).unwrap();
    log.write(&record());
    assert!(log.close(SOON));
    (0..100).for_each(|_| log.write(&record()));

    assert_eq!(dropped(&metrics), "edgespan_access_log_dropped_total 0");
}
