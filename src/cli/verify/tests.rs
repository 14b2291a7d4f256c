//! What the report looks like: the mock-ups, on wide and narrow terminals, with colour and
//! without.

use super::{json, text, xml};
use crate::cli::holds::check;
use crate::cli::style::{Glyphs, Paint, Surface};
use crate::verify::check::{self, Check};
use crate::verify::compare::{Kind, compare};
use crate::verify::hops;
use crate::verify::obstacle::Obstacle;
use crate::verify::report::{Blocked, Report, Row};
use crate::verify::send::Reached;
use crate::verify::verdict::Verdict;
use crate::verify::way::{Column, Way};
use http::{HeaderMap, HeaderValue};
use std::time::Duration;

fn row(id: &str, of: impl Fn(Way) -> Verdict) -> Row {
    let checks = check::every(Vec::new());
    let check: Check = checks.into_iter().find(|check| check.id == id).unwrap();
    Row {
        check,
        verdicts: Way::ALL.map(|way| (way, of(way), 1)).into(),
        allowed: Vec::new(),
    }
}

/// A baggage of which a hop lets 4096 bytes through.
fn cut() -> Verdict {
    let members: Vec<String> = (0..63)
        .map(|number| format!("k{number:02}=aaaaaaaa"))
        .collect();
    let mut whole = members.join(",").replace("k62=aaaaaaaa", "k62=bbbbbbbb");
    let filler = "k=".to_owned() + &"v".repeat(4096 - (whole.len() - 5) - 3) + ",";
    whole.insert_str(0, &filler);
    let line = |value: &str| vec![("baggage".to_owned(), value.to_owned())];
    let (arrived, _) = whole.split_at(4096);
    compare(Kind::Baggage, &line(&whole), &line(arrived), &[])
}

fn mock_up() -> Report {
    let lost = |way: Way| match way.column() {
        Column::Http1 | Column::Redirect => Verdict::Intact,
        Column::Http2 | Column::WebSocket => Verdict::Lost,
    };
    let mut answer = HeaderMap::new();
    answer.insert("cf-ray", HeaderValue::from_static("8f2a1c-FRA"));
    let via = [("via".to_owned(), "1.1 nginx".to_owned())];
    Report {
        url: "https://app.example.com/".to_owned(),
        requests: 24,
        took: Duration::from_millis(1_810),
        reached: Some(Reached {
            listener: "web".to_owned(),
            version: "0.1.0".to_owned(),
            key: "7f3a".to_owned(),
            peer: "127.0.0.1:40000".to_owned(),
            http: "1.1".to_owned(),
        }),
        echoed: false,
        hops: hops::seen(&answer, &via),
        columns: Column::ALL.into(),
        rows: vec![
            row("traceparent", |_| Verdict::Intact),
            row("tracestate-lines", |_| Verdict::Merged),
            row("baggage-8k", |_| cut()),
            row("b3", lost),
        ],
        obstacles: Vec::new(),
    }
}

fn drawn(report: &Report, columns: usize, colour: bool) -> String {
    let surface = Surface::fixed(columns, Paint::new(colour), Glyphs::UNICODE);
    text::render(report, &surface).replace('\u{1b}', "\\e")
}

#[test]
fn the_report_is_the_one_of_the_mock_up() {
    insta::assert_snapshot!(drawn(&mock_up(), 80, false));
}

#[test]
fn colour_says_nothing_that_the_text_does_not() {
    let coloured = drawn(&mock_up(), 80, true);

    insta::assert_snapshot!(coloured);
    let plain = coloured.replace("\\e[31m", "").replace("\\e[0m", "");
    assert_eq!(plain, drawn(&mock_up(), 80, false));
}

#[test]
fn a_narrow_terminal_gets_a_line_a_header() {
    insta::assert_snapshot!(drawn(&mock_up(), 60, false));
    insta::assert_snapshot!(drawn(&mock_up(), 40, false));
    for columns in [60, 40, 24] {
        let widest = drawn(&mock_up(), columns, false);
        let widest = widest.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(columns), "{columns}");
    }
}

#[test]
fn a_terminal_without_utf_8_gets_ascii() {
    let surface = Surface::fixed(80, Paint::new(false), Glyphs::ASCII);
    assert!(text::render(&mock_up(), &surface).is_ascii());
}

fn blocked(obstacle: Obstacle, ways: &[Way], fails: bool) -> Report {
    let mut report = mock_up();
    for row in &mut report.rows {
        row.verdicts.retain(|(way, ..)| !ways.contains(way));
        row.verdicts
            .iter_mut()
            .for_each(|(_, verdict, _)| *verdict = Verdict::Intact);
    }
    report.obstacles.push(Blocked {
        obstacle,
        ways: ways.into(),
        times: ways.len(),
        fails,
    });
    report
}

#[test]
fn a_way_without_an_account_is_never_intact() {
    let report = blocked(Obstacle::NoUpgrade(403), &[Way::WebSocket], true);
    insta::assert_snapshot!(drawn(&report, 80, false));

    let without = blocked(Obstacle::NoHttp2, &[Way::Get2, Way::Post2], false);
    insta::assert_snapshot!(drawn(&without, 80, false));
}

#[test]
fn no_account_at_all_is_said_instead_of_a_table() {
    let mut report = blocked(Obstacle::CloudflareAccess, &Way::ALL, true);
    report.reached = None;
    insta::assert_snapshot!(drawn(&report, 80, false));
}

#[test]
fn machines_are_not_told_that_anything_survives_without_an_account() {
    let mut report = blocked(Obstacle::CloudflareAccess, &Way::ALL, true);
    report.reached = None;
    for row in &mut report.rows {
        row.verdicts.clear();
    }

    let document = check(&json::line(&report), json::schema());

    assert_eq!(document["survives"], false);
    for check in document["checks"].as_array().unwrap() {
        assert!(check["survives"].is_null(), "{check}");
        assert!(check["verdict"].is_null(), "{check}");
    }
}

#[test]
fn machines_get_everything_under_keys_that_stay() {
    let document = check(&json::line(&mock_up()), json::schema());

    assert_eq!(document["schema"], "edgespan.verify/1");
    assert_eq!(document["result"], "changed");
    assert_eq!(document["reached"]["key"], "7f3a");
    assert_eq!(document["seen"][0]["evidence"][0]["in"], "answer");
    let baggage = &document["checks"][2];
    assert_eq!(
        (&baggage["survives"], &baggage["verdict"]),
        (&false.into(), &"changed".into())
    );
    assert_eq!(baggage["change"]["at"], 4096);
    let merged = &document["checks"][1];
    assert_eq!(
        (&merged["survives"], &merged["allowed"]),
        (&true.into(), &true.into())
    );
    assert_eq!(document["checks"][3]["ways"][1]["failed"], 2);
    assert!(!json::line(&mock_up()).trim_end().contains('\n'));
}

#[test]
fn ci_gets_a_case_for_each_header_on_each_way() {
    let written = xml::suite(&mock_up()).render();

    assert!(written.contains("tests=\"16\" failures=\"6\""), "{written}");
    assert!(written.contains("<testcase classname=\"verify.HTTP/2\" name=\"b3\""));
    let without = blocked(Obstacle::NoHttp2, &[Way::Get2, Way::Post2], false);
    let written = xml::suite(&without).render();
    assert!(
        written.contains("failures=\"0\" errors=\"0\" skipped=\"4\""),
        "{written}"
    );
}

#[test]
fn a_hostile_value_drives_no_terminal() {
    let line = |value: &str| vec![("baggage".to_owned(), value.to_owned())];
    let hostile = compare(
        Kind::Baggage,
        &line("a=1"),
        &line("a=\u{1b}[2J\u{202e}"),
        &[],
    );
    let mut report = mock_up();
    report.rows = vec![row("baggage", |_| hostile.clone())];

    let surface = Surface::fixed(80, Paint::new(false), Glyphs::UNICODE);
    let drawn = text::render(&report, &surface);

    assert!(!drawn.contains(['\u{1b}', '\u{202e}']), "{drawn}");
}
