//! What the report looks like: on wide and narrow terminals, with colour and without.

use super::{Ran, json, progress, text, xml};
use crate::cli::style::{Glyphs, Paint, Surface};
use crate::config::{Environment, load_probe};
use crate::probe::{End, Failed, Outcome, Place, Plan, StepOutcome};
use std::time::Duration;

fn plan() -> Plan {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("probe.yaml");
    let step = |name: &str| format!("  - {{name: {name}, request: {{url: \"http://a/\"}}}}\n");
    let steps: String = ["log in", "release the money", "clean up"]
        .map(step)
        .concat();
    std::fs::write(&path, format!("name: checkout\nsteps:\n{steps}")).unwrap();
    load_probe(&path, &Environment::default(), false)
        .unwrap()
        .plan
}

fn step(name: &str, line: usize, status: Option<u16>, end: End) -> StepOutcome {
    StepOutcome {
        name: name.to_owned(),
        place: Place { line, column: 5 },
        method: "POST".to_owned(),
        url: Some(format!("http://127.0.0.1:8080/{line}")),
        status,
        took: Duration::from_micros(12_340),
        tries: 1,
        trace: Some("4bf92f3577b34da6a3ce929d0e0e4736".to_owned()),
        end,
    }
}

fn failed() -> Outcome {
    let one = |what: &str, expected: &str, got: &str, line| Failed {
        what: what.to_owned(),
        expected: expected.to_owned(),
        got: got.to_owned(),
        place: Place { line, column: 15 },
    };
    let failed = vec![
        one("status", "200", "502", 21),
        one(
            "span",
            "at least 1 with kind client, peer \"payout\"",
            "0 of 1: shop server POST /api/v1/orders/{id}/release",
            23,
        ),
    ];
    let mut second = step("release the money", 15, Some(502), End::Failed(failed));
    second.tries = 3;
    let skipped = StepOutcome {
        status: None,
        url: None,
        trace: None,
        tries: 0,
        ..step("clean up", 25, None, End::Skipped)
    };
    Outcome {
        steps: vec![step("log in", 3, Some(302), End::Held), second, skipped],
        took: Duration::from_millis(1_204),
    }
}

fn ran(plan: &Plan, outcome: Outcome) -> Ran<'_> {
    Ran {
        file: "checkout.yaml".to_owned(),
        plan,
        outcome,
    }
}

fn shown(outcome: Outcome, columns: usize, colour: bool, glyphs: Glyphs) -> String {
    let plan = plan();
    let surface = Surface::fixed(columns, Paint::new(colour), glyphs);
    let text = text::render(&ran(&plan, outcome), "edgespan", &surface);
    text.replace('\u{1b}', "\\e")
}

#[test]
fn what_did_not_hold_is_told_with_what_was_there_and_where_it_stands() {
    for columns in [80, 60, 40] {
        let text = shown(failed(), columns, false, Glyphs::UNICODE);
        for line in text.lines() {
            assert!(line.chars().count() <= columns, "{line}");
        }
        insta::assert_snapshot!(format!("failed_{columns}"), text);
    }
    insta::assert_snapshot!("failed_colour", shown(failed(), 80, true, Glyphs::ASCII));
}

#[test]
fn what_held_is_a_line_a_step() {
    let mut outcome = failed();
    for step in &mut outcome.steps {
        step.end = End::Held;
        step.status = Some(200);
    }
    insta::assert_snapshot!(shown(outcome, 80, false, Glyphs::UNICODE));
}

#[test]
fn machines_get_one_document() {
    let plan = plan();
    insta::assert_snapshot!(format!("{:#}", json::render(&ran(&plan, failed()))));
}

#[test]
fn ci_gets_a_case_a_step() {
    let plan = plan();
    insta::assert_snapshot!(xml::suite(&ran(&plan, failed())).render());
}

#[test]
fn names_and_values_from_elsewhere_drive_no_terminal() {
    let mut outcome = failed();
    outcome.steps[0].name = "a\u{1b}[2Jb".to_owned();
    outcome.steps[0].end = End::Unanswered {
        why: "\u{202e}x".to_owned(),
        is_unreachable: true,
    };
    let text = shown(outcome, 80, false, Glyphs::UNICODE);
    assert!(
        !text.contains("\\e") && !text.contains('\u{202e}'),
        "{text}"
    );
}

#[test]
fn a_trace_is_named_only_where_somebody_may_have_recorded_it() {
    for (is_unreachable, named) in [(true, false), (false, true)] {
        let mut outcome = failed();
        outcome.steps[1].status = None;
        outcome.steps[1].end = End::Unanswered {
            why: "127.0.0.1:1 cannot be reached".to_owned(),
            is_unreachable,
        };
        let text = shown(outcome, 80, false, Glyphs::UNICODE);
        assert_eq!(text.contains("trace show"), named, "{text}");
    }
}

#[test]
fn progress_is_one_line_of_any_terminal() {
    let plan = plan();
    for columns in [80, 40, 24] {
        let surface = Surface::fixed(columns, Paint::new(false), Glyphs::UNICODE);
        let line = progress::line(&plan, 1, Duration::from_millis(1_230), &surface);
        assert!(line.chars().count() < columns, "{line}");
    }
    let surface = Surface::fixed(80, Paint::new(false), Glyphs::UNICODE);
    let line = progress::line(&plan, 1, Duration::from_millis(1_230), &surface);
    assert_eq!(
        line,
        "checkout ██████............. 2 of 3 steps  release the money  1.2 s (Ctrl-C st…"
    );
}
