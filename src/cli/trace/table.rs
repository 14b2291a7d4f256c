//! What `trace find` found: a table for a person, tab-separated lines for a pipe.

use super::super::duration::duration_text;
use super::super::escape;
use super::super::layout::Line;
use super::super::style::Surface;
use super::Canvas;
use super::zone::Precision;
use crate::backend::{Found, Summary};
use crate::clock::Timestamp;
use crate::telemetry::rfc3339;
use std::time::Duration;

/// Narrower terminals get two lines a trace.
const ROW_MIN: usize = 60;
/// From here on there is room for the number of spans.
const SPANS_MIN: usize = 72;
/// From here on there is room for the root's service.
const SERVICE_MIN: usize = 100;
/// From here on there is room for whole ids.
const WHOLE_ID_MIN: usize = 120;
const WHOLE_ID: usize = 32;
const SHORT_ID: usize = 12;
/// As much of an id as a command needs.
const PREFIX: usize = 8;
const DURATION: usize = 9;
const STATUS: usize = 6;
const SERVICE: usize = 14;
/// In less room the end of a path says more than its beginning.
const ROUTE_CUT: usize = 30;
/// A root that a backend has not seen yet, or never will.
const NO_ROOT: &str = "(root not here yet)";
/// Where a pipe gets no value.
const UNKNOWN: &str = "-";

/// The traces, newest first, each line ended. On a terminal a last line says how many they are,
/// that they came from `source`, and how one of them is shown. Nothing at all if none was found:
/// that is told on stderr.
pub fn draw(found: &Found, canvas: &Canvas<'_>, source: &str) -> String {
    if !canvas.surface.is_terminal {
        return found.traces.iter().map(piped).collect();
    }
    if found.traces.is_empty() {
        return String::new();
    }
    let layout = Layout::of(&found.traces, canvas);
    let mut out = layout.heading();
    for trace in &found.traces {
        out.push_str(&layout.row(trace, canvas));
    }
    out.push_str(&footer(found, canvas, source));
    out
}

/// A trace on one line, as it comes: for `trace tail`. In a pipe it is what [`draw`] writes there.
pub fn line(trace: &Summary, canvas: &Canvas<'_>) -> String {
    if !canvas.surface.is_terminal {
        return piped(trace);
    }
    Layout::of(std::slice::from_ref(trace), canvas).row(trace, canvas)
}

/// Start (UTC), nanoseconds, status, spans, service, name and whole id, parted by tabs; `-` where
/// nothing is known. Nothing in a value can part it.
fn piped(trace: &Summary) -> String {
    let known = |text: &str| match text {
        "" => UNKNOWN.to_owned(),
        text => escape::shown(text).into_owned(),
    };
    let status = match (trace.status, trace.is_error) {
        (Some(status), _) => status.to_string(),
        (None, Some(true)) => "error".to_owned(),
        (None, Some(false)) => "ok".to_owned(),
        (None, None) => UNKNOWN.to_owned(),
    };
    let spans = trace
        .spans
        .map_or_else(|| UNKNOWN.to_owned(), |n| n.to_string());
    format!(
        "{}\t{}\t{status}\t{spans}\t{}\t{}\t{}\n",
        rfc3339(Timestamp::from_unix_nanos(trace.start)),
        trace.duration,
        known(&trace.root_service),
        known(&trace.told_name()),
        trace.id
    )
}

/// Which columns there are, and how wide they are.
struct Layout {
    precision: Precision,
    total: usize,
    time: usize,
    duration: usize,
    status: usize,
    has_spans: bool,
    service: usize,
    route: usize,
    id: usize,
}

impl Layout {
    fn of(traces: &[Summary], canvas: &Canvas<'_>) -> Self {
        let columns = canvas.surface.columns();
        let moments = traces
            .iter()
            .map(|one| Timestamp::from_unix_nanos(one.start));
        let precision = canvas.zone.precision(moments);
        let widest = |of: &dyn Fn(&Summary) -> usize| traces.iter().map(of).max().unwrap_or(0);
        let duration = widest(&|one| duration(one).len() + 1).max(DURATION);
        let status = widest(&|one| escape::columns(&status(one, canvas.surface))).max(STATUS);
        let time = match precision {
            Precision::Clock => 8,
            Precision::Day => 14,
            Precision::Year => 19,
        };
        let mut layout = Self {
            precision,
            total: columns.saturating_sub(1),
            time,
            duration,
            status: status + 1,
            has_spans: columns >= SPANS_MIN,
            service: if columns >= SERVICE_MIN { SERVICE } else { 0 },
            route: 0,
            id: if columns >= WHOLE_ID_MIN {
                WHOLE_ID
            } else {
                SHORT_ID
            },
        };
        layout.route = if columns >= ROW_MIN {
            layout
                .total
                .saturating_sub(layout.before_route() + layout.id + 1)
        } else {
            0
        };
        layout
    }

    fn before_route(&self) -> usize {
        let spans = if self.has_spans { 6 } else { 0 };
        let service = if self.service > 0 {
            self.service + 1
        } else {
            0
        };
        self.time + 1 + self.duration + 1 + self.status + spans + service
    }

    const fn is_narrow(&self) -> bool {
        self.route == 0
    }

    fn heading(&self) -> String {
        if self.is_narrow() {
            return String::new();
        }
        let mut out = format!(
            "{:>time$} {:>duration$} {:<status$}",
            "TIME",
            "DURATION",
            "STATUS",
            time = self.time,
            duration = self.duration,
            status = self.status,
        );
        if self.has_spans {
            out.push_str("SPANS ");
        }
        if self.service > 0 {
            out.push_str(&format!("{:<width$} ", "SERVICE", width = self.service));
        }
        out.push_str(&format!("{:<width$} TRACE\n", "ROUTE", width = self.route));
        out
    }

    fn row(&self, trace: &Summary, canvas: &Canvas<'_>) -> String {
        if self.is_narrow() {
            return self.two_lines(trace, canvas);
        }
        let (surface, paint) = (canvas.surface, canvas.surface.paint);
        let at = Timestamp::from_unix_nanos(trace.start);
        let mut out = format!(
            "{:>time$} {:>duration$} ",
            canvas.zone.short(at, self.precision),
            duration(trace),
            time = self.time,
            duration = self.duration,
        );
        push(&mut out, &status(trace, surface), self.status, |text| {
            painted_status(text, trace, surface)
        });
        if self.has_spans {
            let spans = trace.spans.map(|count| count.to_string());
            out.push_str(&format!("{:>5} ", spans.unwrap_or_default()));
        }
        if self.service > 0 {
            let service = escape::shown(&trace.root_service);
            let service = surface.cut(&service, self.service);
            push(&mut out, &service, self.service + 1, |text| {
                paint.cyan(text).to_string()
            });
        }
        let name = if self.route < ROUTE_CUT {
            escape::shorten_name(&name(trace), self.route, surface.glyphs.ellipsis)
        } else {
            surface.cut(&name(trace), self.route)
        };
        push(&mut out, &name, self.route + 1, |text| {
            paint.bold(text).to_string()
        });
        let id: String = trace.id.to_string().chars().take(self.id).collect();
        out.push_str(&format!("{}\n", paint.dim(&id)));
        out
    }

    /// Name and outcome; below them when it was, its id, and how long it took.
    fn two_lines(&self, trace: &Summary, canvas: &Canvas<'_>) -> String {
        let (surface, paint) = (canvas.surface, canvas.surface.paint);
        let outcome = status(trace, surface);
        let outcome = outcome.trim_start();
        let room = self.total.saturating_sub(escape::columns(outcome) + 1);
        let name = escape::shorten_name(&name(trace), room, surface.glyphs.ellipsis);
        let mut out = String::new();
        push(&mut out, &name, room + 1, |text| {
            paint.bold(text).to_string()
        });
        out.truncate(if outcome.is_empty() {
            out.trim_end().len()
        } else {
            out.len()
        });
        out.push_str(&format!("{}\n", painted_status(outcome, trace, surface)));

        let at = Timestamp::from_unix_nanos(trace.start);
        let time = canvas.zone.short(at, self.precision);
        let duration = duration(trace);
        let left = self
            .total
            .saturating_sub(escape::columns(&time) + duration.len() + 4);
        let id: String = trace.id.to_string().chars().take(left.min(12)).collect();
        let fill = left.saturating_sub(id.len()) + 1;
        let id = paint.dim(&id);
        out.push_str(&format!("  {time} {id}{}{duration}\n", " ".repeat(fill)));
        out
    }
}

/// `text` painted, and spaces up to `columns`.
fn push(out: &mut String, text: &str, columns: usize, paint: impl Fn(&str) -> String) {
    out.push_str(&paint(text));
    out.push_str(&" ".repeat(columns.saturating_sub(escape::columns(text))));
}

fn duration(trace: &Summary) -> String {
    duration_text(Duration::from_nanos(trace.duration))
}

fn name(trace: &Summary) -> String {
    if trace.root_name.is_empty() {
        NO_ROOT.to_owned()
    } else {
        escape::shown(&trace.told_name()).into_owned()
    }
}

fn is_failure(trace: &Summary) -> bool {
    let by_status = trace.status.is_some_and(|status| status >= 500);
    trace.is_error.unwrap_or(by_status)
}

/// `✗ 502`, `✗ error`, `  200`; nothing where nothing is known.
fn status(trace: &Summary, surface: &Surface) -> String {
    let word = match (trace.status, trace.is_error) {
        (Some(status), _) => status.to_string(),
        (None, Some(true)) => "error".to_owned(),
        (None, Some(false)) => "ok".to_owned(),
        (None, None) => return String::new(),
    };
    let mark = if is_failure(trace) {
        surface.glyphs.cross
    } else {
        " "
    };
    format!("{mark} {word}")
}

fn painted_status(text: &str, trace: &Summary, surface: &Surface) -> String {
    if is_failure(trace) {
        surface.paint.red(text).to_string()
    } else if matches!(trace.status, Some(400..=499)) {
        surface.paint.yellow(text).to_string()
    } else {
        text.to_owned()
    }
}

/// `2 of 2, newest first, from http://127.0.0.1:9901; edgespan trace show 4bf92f35`
fn footer(found: &Found, canvas: &Canvas<'_>, source: &str) -> String {
    let count = found.traces.len();
    let count = match found.incomplete {
        None => format!("{count} of {count}"),
        Some(_) => format!("{count}, there may be more"),
    };
    let paint = canvas.surface.paint;
    let first = found
        .traces
        .first()
        .map(|trace| trace.id.to_string().chars().take(PREFIX).collect());
    let first: String = first.unwrap_or_default();
    let command = format!("{} trace show {first}", canvas.program);
    Line::new(2)
        .text(&format!("{count}, newest first, from "))
        .whole(paint.bold(&escape::shown(source)))
        .text("; ")
        .whole(paint.bold(&command))
        .render(canvas.surface)
}

#[cfg(test)]
mod tests {
    use super::super::fixtures;
    use super::*;
    use crate::cli::style::{Glyphs, Paint};
    use opentelemetry::trace::TraceId;

    const SOURCE: &str = "http://127.0.0.1:9901";

    fn summary(id: u128, before: Duration, duration: f64, name: &str, status: u16) -> Summary {
        Summary {
            id: TraceId::from(id),
            root_service: "edgespan".to_owned(),
            root_name: name.to_owned(),
            start: fixtures::START - u64::try_from(before.as_nanos()).unwrap(),
            duration: u64::try_from(Duration::from_secs_f64(duration).as_nanos()).unwrap(),
            spans: Some(6),
            is_error: Some(status >= 500),
            status: Some(status),
            flow: Some("escrow".to_owned()),
            path: Some("/favicon.ico".to_owned()),
        }
    }

    fn two() -> Found {
        let (now, earlier) = (Duration::ZERO, Duration::from_millis(314_442));
        let release = "POST /api/v1/orders/{order_id}/release";
        Found {
            traces: vec![
                summary(
                    0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736,
                    now,
                    0.4126,
                    release,
                    502,
                ),
                summary(
                    0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c,
                    earlier,
                    1.204,
                    "POST /api/v1/orders",
                    504,
                ),
            ],
            incomplete: None,
        }
    }

    /// What a backend may leave untold, and what a table has to take.
    fn odd() -> Found {
        let day = Duration::from_secs(86_400);
        let mut found = two();
        found.traces.extend([
            summary(3, day, 0.000_02, "GET", 404),
            summary(4, day, 86_400.0, "GET\t/\u{1b}[2J\u{202e}\n", 200),
            Summary {
                root_service: String::new(),
                root_name: String::new(),
                spans: None,
                is_error: Some(true),
                status: None,
                ..summary(5, day, 0.1, "", 0)
            },
            Summary {
                is_error: None,
                status: None,
                ..summary(6, day, 0.1, "batch", 0)
            },
        ]);
        found.incomplete = Some("the limit was reached".to_owned());
        found
    }

    fn drawn(found: &Found, surface: &Surface) -> String {
        let zone = fixtures::zone();
        let canvas = Canvas {
            surface,
            zone: &zone,
            program: "edgespan",
        };
        let drawn = draw(found, &canvas, SOURCE);
        if surface.is_terminal && !surface.paint.is_on() {
            for line in drawn.lines() {
                assert!(
                    escape::columns(line) <= surface.columns(),
                    "too wide: {line}"
                );
            }
        }
        drawn.replace('\u{1b}', "\\e")
    }

    fn surface(columns: usize, colour: bool) -> Surface {
        Surface::fixed(columns, Paint::new(colour), Glyphs::UNICODE)
    }

    #[test]
    fn what_was_found_looks_as_in_the_manual() {
        let manual = "    \
TIME  DURATION STATUS SPANS ROUTE                              TRACE
14:03:21  412.6 ms ✗ 502      6 POST /api/v1/orders/{order_id}/re… 4bf92f3577b3
13:58:07   1.204 s ✗ 504      6 POST /api/v1/orders                0af7651916cd
2 of 2, newest first, from http://127.0.0.1:9901; edgespan trace show 4bf92f35
";
        assert_eq!(drawn(&two(), &surface(80, false)), manual);
    }

    #[test]
    fn a_table_at_every_width() {
        let all = [120, 80, 60, 40].map(|columns| drawn(&odd(), &surface(columns, false)));
        insta::assert_snapshot!(all.join("\n"));
    }

    #[test]
    fn a_table_in_colour() {
        let all = [80, 60, 40].map(|columns| drawn(&odd(), &surface(columns, true)));
        insta::assert_snapshot!(all.join("\n"));
    }

    #[test]
    fn a_table_without_utf8_is_ascii_alone() {
        let ascii = Surface::fixed(80, Paint::new(false), Glyphs::ASCII);
        let table = drawn(&two(), &ascii);
        assert!(table.is_ascii(), "{table}");
    }

    #[test]
    fn a_pipe_gets_whole_values_parted_by_tabs() {
        let piped = surface(80, false).piped();
        let lines = drawn(&odd(), &piped);
        for line in lines.lines() {
            assert_eq!(line.split('\t').count(), 7, "{line}");
        }
        insta::assert_snapshot!(lines);
    }

    #[test]
    fn nothing_found_is_nothing_written() {
        assert_eq!(drawn(&Found::default(), &surface(80, false)), "");
        assert_eq!(drawn(&Found::default(), &surface(80, false).piped()), "");
    }

    #[test]
    fn a_trace_as_it_comes_is_a_row() {
        let zone = fixtures::zone();
        let row = |surface: &Surface| {
            let canvas = Canvas {
                surface,
                zone: &zone,
                program: "edgespan",
            };
            line(two().traces.first().unwrap(), &canvas)
        };
        assert_eq!(
            row(&surface(80, false)),
            "14:03:21  412.6 ms ✗ 502      6 POST /api/v1/orders/{order_id}/re… 4bf92f3577b3\n"
        );
        assert!(row(&surface(80, false).piped()).starts_with("2026-11-21T12:03:21.482Z\t"));
    }
}
