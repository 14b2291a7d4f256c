//! Waterfalls as they are seen.

use super::super::fixtures::{self, SERVER};
use super::*;
use crate::cli::escape;
use crate::cli::style::{Glyphs, Paint, Surface};
use crate::view::Trace;

fn surface(columns: usize, colour: bool) -> Surface {
    Surface::fixed(columns, Paint::new(colour), Glyphs::UNICODE)
}

fn drawn_on(trace: &Trace, surface: &Surface, options: Options) -> String {
    let zone = fixtures::zone();
    let canvas = Canvas {
        surface,
        zone: &zone,
        program: "edgespan",
    };
    let drawn = draw(trace, &canvas, options);
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

fn drawn(trace: &Trace, columns: usize) -> String {
    drawn_on(trace, &surface(columns, false), Options::default())
}

#[test]
fn the_release_looks_as_in_the_manual() {
    let manual = "\
POST /api/v1/orders/{order_id}/release   ✗ 502   412.6 ms   escrow  kept: error
4bf92f3577b34da6a3ce929d0e0e4736  2026-11-21 14:03:21.482 +02:00  6 spans
  service  span                    0       138      275   413      time    self
  edgespan SERVER POST …/release   ██████████████████████████  412.6 ms    83.8
  edgespan ├ INTERNAL auth api     ▏                             0.3 ms     0.3
  edgespan ├ INTERNAL flags        ░                             0.4 ms     0.4
✗ payout   ├ CLIENT POST try 1 502 ███████                     108.1 ms   108.1
           │ ·· waiting to retry          ·····                 80.0 ms
✗ payout   └ CLIENT POST try 2 502             ██████████████  220.4 ms    31.0
✗ payout     └ psp.capture  error                ████████████  189.4 ms   189.4
time   payout 80 %, waiting 19 %, edgespan 1 %   █ critical path ░ beside it
error  payout answered 502 twice, gave up after 2 tries (span 53995c3f42cd8ad8)
";
    assert_eq!(drawn(&fixtures::release(), 80), manual);
}

#[test]
fn the_release_at_other_widths() {
    let widths = [60, 44, 40, 120];
    let all = widths.map(|columns| format!("{columns}:\n{}", drawn(&fixtures::release(), columns)));
    insta::assert_snapshot!(all.concat());
}

#[test]
fn a_long_error_leaves_the_name_of_its_row() {
    use crate::view::{Kind, Value};
    let call = fixtures::span(
        "edgespan",
        Kind::Internal,
        "render the invoice of the month",
        (2, SERVER),
        (10, 400),
    );
    let error = Value::Text("java.util.concurrent.CompletionException".to_owned());
    let call = fixtures::with(fixtures::failed(call, ""), &[("error.type", error)]);
    let trace = fixtures::trace(vec![fixtures::server(500, 200), call]);

    let row = |columns| {
        let drawn = drawn(&trace, columns);
        let row = drawn.lines().find(|line| line.contains("java"));
        row.expect("the row of the call").to_owned()
    };

    for columns in [80, 60, 44] {
        assert!(row(columns).contains("rende"), "{}", row(columns));
    }
}

#[test]
fn the_release_in_colour() {
    let all = [80, 60, 40].map(|columns| {
        drawn_on(
            &fixtures::release(),
            &surface(columns, true),
            Options::default(),
        )
    });
    insta::assert_snapshot!(all.concat());
}

#[test]
fn a_terminal_without_utf8_gets_ascii_alone() {
    let ascii = |columns| Surface::fixed(columns, Paint::new(false), Glyphs::ASCII);
    let all =
        [80, 40].map(|columns| drawn_on(&fixtures::release(), &ascii(columns), Options::default()));
    assert!(all.concat().is_ascii());
    insta::assert_snapshot!(all.concat());
}

#[test]
fn what_hangs_elsewhere_and_what_goes_on_later_is_told() {
    let all = [80, 60, 40].map(|columns| drawn(&fixtures::under_a_caller(), columns));
    insta::assert_snapshot!(all.concat());
}

#[test]
fn alike_siblings_are_one_row_with_their_errors() {
    let trace = fixtures::alike();
    let folded = [80, 60, 40].map(|columns| drawn(&trace, columns)).concat();
    let options = Options {
        fold: false,
        gaps: false,
    };
    let whole = drawn_on(&trace, &surface(80, false), options);
    assert_eq!(
        whole.lines().count(),
        drawn(&trace, 80).lines().count() + 11
    );
    insta::assert_snapshot!(folded);
}

#[test]
fn gaps_can_be_switched_off() {
    let options = Options {
        fold: true,
        gaps: false,
    };
    let without = drawn_on(&fixtures::release(), &surface(80, false), options);
    let with = drawn(&fixtures::release(), 80);
    assert!(with.contains("waiting to retry") && !without.contains("waiting to retry"));
    assert!(without.contains("waiting 19 %"));
}

#[test]
fn requests_whose_caller_is_elsewhere_stand_beside_each_other() {
    let all = [80, 40].map(|columns| drawn(&fixtures::without_a_root(), columns));
    insta::assert_snapshot!(all.concat());
}

#[test]
fn circles_and_nothing_at_all_are_drawn() {
    let all = [
        fixtures::circle(),
        fixtures::trace(Vec::new()),
        fixtures::trace(vec![fixtures::server(0, 200)]),
    ];
    let all = all.map(|trace| drawn(&trace, 80));
    insta::assert_snapshot!(all.concat());
}

#[test]
fn span_data_never_drives_the_terminal() {
    for columns in [24, 40, 60, 80, 200] {
        for piped in [false, true] {
            let surface = surface(columns, false);
            let surface = if piped { surface.piped() } else { surface };
            let drawn = drawn_on(&fixtures::hostile(), &surface, Options::default());
            let bad = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}' || c == '\u{9b}';
            assert!(!drawn.contains(bad), "{drawn:?}");
        }
    }
    let shown = drawn(&fixtures::hostile(), 80);
    for text in ["GET /\\u{1b}]0;title\\u{7}", "\\u{202e}", "alert(1)"] {
        assert!(shown.contains(text), "{text}: {shown}");
    }
}

#[test]
fn a_pipe_gets_a_line_a_span() {
    let piped = surface(80, false).piped();
    let trace = fixtures::release();
    let lines = drawn_on(&trace, &piped, Options::default());
    assert_eq!(lines.lines().count(), trace.spans.len());
    insta::assert_snapshot!(lines);
    let painted = surface(80, true).piped();
    let picture = drawn_on(&trace, &painted, Options::default());
    assert!(
        picture.contains("█"),
        "colour forced into a pipe: {picture}"
    );
}

#[test]
fn of_a_trace_that_is_too_long_the_path_and_the_errors_stay() {
    let trace = fixtures::large(20_000);
    let drawn = drawn(&trace, 80);
    let crosses = drawn.lines().filter(|line| line.starts_with('✗')).count();
    let errors = trace.spans.iter().filter(|span| span.is_error()).count();
    // The head's own is in the line above.
    assert_eq!(crosses, errors - 1);
    assert!(
        drawn.contains("… 19000 more spans; --json has all\n"),
        "{}",
        drawn.lines().count()
    );
}

#[test]
fn spans_that_hang_very_deep_keep_their_words() {
    let drawn = drawn(&fixtures::chain(5_000), 80);
    assert!(drawn.contains("level 999"), "{}", drawn.lines().count());
}
