//! Lines as they come out.

use super::*;
use std::error::Error;
use std::time::Duration;
use tracing::{debug, error, info, warn};

#[derive(Debug, thiserror::Error)]
#[error("connect to {endpoint}")]
struct Connect {
    endpoint: &'static str,
    #[source]
    source: io::Error,
}

fn refused() -> Connect {
    Connect {
        endpoint: "127.0.0.1:3000",
        source: io::Error::from(io::ErrorKind::ConnectionRefused),
    }
}

/// Lines without their time of day.
fn human(scope: impl FnOnce()) -> Vec<String> {
    let text = Captured::during(LogFormat::Human, "debug", scope).unwrap();
    text.lines().map(|line| line[9..].to_owned()).collect()
}

fn json(scope: impl FnOnce()) -> Vec<serde_json::Value> {
    let text = Captured::during(LogFormat::Json, "debug", scope).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Keeps the last event as a line.
#[derive(Clone, Default)]
struct Keep(Arc<Mutex<Option<LogLine>>>);

impl<S: Subscriber> Layer<S> for Keep {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        *self.0.lock().unwrap() = Some(LogLine::of(event));
    }
}

const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

#[test]
fn a_line_for_people_is_short() {
    let lines = human(|| {
        warn!(
            trace_id = TRACE_ID,
            "upstream payout: 3 of 3 endpoints refuse"
        );
        info!(port = 8080, host = "a b", "listening");
    });

    assert_eq!(
        lines,
        [
            "WARN upstream payout: 3 of 3 endpoints refuse (trace 4bf92f3577b3)",
            "INFO listening port=8080 host=\"a b\"",
        ]
    );
}

#[test]
fn a_time_of_day_opens_the_line_in_colour_or_without() {
    let write = |colour| {
        let captured = Captured::default();
        let log = Log::new(LogFormat::Human, colour, Box::new(captured.clone()));
        let capture = Keep::default();
        tracing::subscriber::with_default(Registry::default().with(capture.clone()), || warn!("w"));
        let line = capture.0.lock().unwrap().take().unwrap();
        log.write(&line, Timestamp::from_unix_nanos(50_822_000_000_000), None);
        captured.text()
    };

    assert_eq!(write(false), "14:07:02 WARN w\n");
    assert_eq!(
        write(true),
        "\u{1b}[2m14:07:02\u{1b}[0m \u{1b}[33mWARN\u{1b}[0m w\n"
    );
}

#[test]
fn a_line_for_machines_is_one_flat_object() {
    let lines = json(|| {
        warn!(
            trace_id = TRACE_ID,
            span_id = "00f067aa0ba902b7",
            attempts = 3,
            done = false,
            "x"
        );
    });

    let line = &lines[0];
    assert_eq!(line["level"], "WARN");
    assert_eq!(line["message"], "x");
    assert_eq!(line["target"], "edgespan::telemetry::log::tests");
    assert_eq!(line["trace_id"], TRACE_ID);
    assert_eq!(line["span_id"], "00f067aa0ba902b7");
    assert_eq!(line["attempts"], 3);
    assert_eq!(line["done"], false);
    let timestamp = line["timestamp"].as_str().unwrap();
    assert!(
        timestamp.ends_with('Z') && timestamp.len() == 24,
        "{timestamp}"
    );
}

#[test]
fn an_error_tells_its_causes_and_never_its_debug_form() {
    let failed = refused();
    let failed = &failed as &dyn Error;
    let lines = human(|| error!(error = failed, "request failed"));
    assert_eq!(
        lines,
        ["ERROR request failed: connect to 127.0.0.1:3000: connection refused"]
    );

    let lines = json(|| error!(error = failed, "request failed"));
    assert_eq!(
        lines[0]["error"],
        "connect to 127.0.0.1:3000: connection refused"
    );
    assert_eq!(lines[0]["message"], "request failed");
}

#[test]
fn a_cause_that_was_told_already_is_not_told_twice() {
    #[derive(Debug, thiserror::Error)]
    #[error("read: {0}")]
    struct Told(#[source] io::Error);

    let told = Told(io::Error::other("short"));
    let lines = human(|| error!(error = &told as &dyn Error));
    assert_eq!(lines, ["ERROR read: short"]);
}

#[test]
fn a_value_from_outside_cannot_make_a_second_line_or_drive_the_terminal() {
    let evil = "a\n14:07:02 ERROR forged \u{1b}[2J";
    let lines = human(|| warn!(agent = evil, "x {evil}"));
    assert_eq!(lines.len(), 1);
    assert!(!lines[0].contains('\u{1b}'), "{}", lines[0]);

    let lines = json(|| warn!(agent = evil, "x"));
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["agent"], evil);
}

#[test]
fn a_field_never_takes_the_place_of_the_lines_own_keys() {
    let lines = json(|| {
        warn!(
            level = "forged",
            timestamp = 1,
            infinite = f64::INFINITY,
            "x"
        )
    });
    assert_eq!(lines[0]["level"], "WARN");
    assert_eq!(lines[0]["field.level"], "forged");
    assert_eq!(lines[0]["field.timestamp"], 1);
    assert_eq!(lines[0]["infinite"], "inf");
}

#[test]
fn a_huge_value_is_cut_between_characters() {
    let lines = json(|| warn!(huge = "ü".repeat(10_000), "x"));
    let huge = lines[0]["huge"].as_str().unwrap();
    assert_eq!(huge.chars().count(), 2_049);
    assert!(huge.ends_with('…'));
}

#[test]
fn a_repeated_fault_is_told_once_whatever_its_request_and_then_counted() {
    let lines = human(|| {
        for id in 0..413_u32 {
            warn!(trace_id = %format_args!("{id:032x}"), "upstream payout: refused");
            info!("not a fault");
            debug!("not a fault either");
        }
        warn!("upstream other: refused");
    });

    assert_eq!(lines.len(), 413 * 2 + 3);
    assert_eq!(
        lines[0],
        "WARN upstream payout: refused (trace 000000000000)"
    );
    assert_eq!(
        lines[lines.len() - 1],
        "WARN upstream payout: refused (+412 in 0 s)"
    );

    let lines = json(|| (0..3).for_each(|_| warn!(trace_id = TRACE_ID, "refused")));
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[1]["repeated"], 2);
    assert_eq!(lines[1]["repeated_seconds"], 0);
    assert_eq!(lines[1].get("trace_id"), None);
}

#[test]
fn the_logs_thread_ends_when_the_log_does() {
    let log = Log::new(LogFormat::Human, false, Box::new(Captured::default()));
    let thread = std::thread::spawn({
        let log = Arc::clone(&log);
        move || log.tell_of_repetitions()
    });
    tracing::subscriber::with_default(subscriber(&log, "info").unwrap(), || warn!("w"));

    std::thread::sleep(Duration::from_millis(10));
    drop(LogGuard(log));

    thread.join().unwrap();
}

#[test]
fn a_wrong_filter_is_an_error_that_quotes_it() {
    let error = Captured::during(LogFormat::Human, "edgespan=loud", || {}).unwrap_err();
    assert_eq!(error.to_string(), "log filter `edgespan=loud`");
    assert!(error.source().is_some());
}

#[test]
fn a_closed_stderr_is_ignored() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
            Err(io::Error::from(io::ErrorKind::BrokenPipe))
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let log = Log::new(LogFormat::Human, false, Box::new(Closed));
    tracing::subscriber::with_default(subscriber(&log, "info").unwrap(), || warn!("w"));
}
