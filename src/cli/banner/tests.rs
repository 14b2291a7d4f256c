//! What is said, on terminals of every width, with and without colour.

use super::*;
use crate::cli::escape;
use crate::cli::style::{Glyphs, Paint};

static NOWHERE: Destinations = Destinations::To(Vec::new());

fn to(places: &[&str]) -> Destinations {
    Destinations::To(places.iter().map(|place| (*place).to_owned()).collect())
}

fn surface(columns: usize, colour: bool) -> Surface {
    Surface::fixed(columns, Paint::new(colour), Glyphs::UNICODE)
}

/// The same text on terminals of 80, 60 and 40 columns, one below the other.
fn on_all(render: impl Fn(&Surface) -> String) -> String {
    let texts = [80, 60, 40].map(|columns| {
        let text = render(&surface(columns, false));
        for line in text.lines() {
            assert!(escape::columns(line) <= columns, "too wide: {line}");
        }
        format!("--- {columns} columns\n{text}")
    });
    texts.concat()
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn listening(address: &str) -> Listening {
    Listening {
        name: "web".to_owned(),
        address: at(address),
        is_tls: false,
    }
}

fn run<'a>(listeners: &'a [Listening], reach: &'a Reach) -> RunBanner<'a> {
    RunBanner {
        listeners,
        to: Some(("http://127.0.0.1:3000", reach)),
        upstream: "127.0.0.1:3000",
        admin: Some(at("127.0.0.1:9901")),
        kept: Some(64 << 20),
        export: &NOWHERE,
    }
}

fn demo(export: &Destinations) -> DemoBanner<'_> {
    DemoBanner {
        gateway: at("127.0.0.1:8080"),
        admin: Some(at("127.0.0.1:9901")),
        kept: Some(64 << 20),
        services: &[
            ("login", 41001),
            ("orders", 41002),
            ("chat", 41003),
            ("payout", 41004),
        ],
        export,
        ready_after: Duration::from_millis(200),
        has_traffic: true,
    }
}

#[test]
fn the_demo_says_where_everything_is() {
    let lines = demo(&NOWHERE).render(&surface(80, false)).lines().count();
    assert!(lines < 10);
    insta::assert_snapshot!(on_all(|surface| demo(&NOWHERE).render(surface)));
}

#[test]
fn the_demo_in_colour() {
    let exported = to(&["http://127.0.0.1:4318/v1/traces (http/protobuf)"]);
    let surface = surface(80, true);
    let text = demo(&exported).render(&surface)
        + &demo_try(at("127.0.0.1:8080"), Some(at("127.0.0.1:9901")), &surface);
    insta::assert_snapshot!(text.replace('\u{1b}', "\\e"));
}

#[test]
fn run_says_where_it_listens_and_whether_the_upstream_answers() {
    let listeners = [listening("127.0.0.1:8080")];
    let reach = Reach::Answers(Duration::from_micros(1200));
    let banner = run(&listeners, &reach);
    insta::assert_snapshot!(on_all(|surface| banner.render(surface)));
    insta::assert_snapshot!(banner.render(&surface(80, true)).replace('\u{1b}', "\\e"));
}

#[test]
fn run_warns_of_an_upstream_that_is_not_there() {
    let listeners = [listening("127.0.0.1:8080")];
    let outcomes = [
        Reach::Refuses,
        Reach::Silent(Duration::from_millis(500)),
        Reach::Unknown,
        Reach::Fails("no such file or directory".to_owned()),
    ];
    let text = on_all(|surface| {
        let texts = outcomes
            .iter()
            .map(|reach| run(&listeners, reach).render(surface));
        texts.collect()
    });
    insta::assert_snapshot!(text);
}

#[test]
fn run_with_a_file_names_its_listeners() {
    let mut secure = listening("0.0.0.0:8443");
    secure.is_tls = true;
    let others = ["[::1]:80", "127.0.0.1:1", "127.0.0.1:2"].map(listening);
    let listeners: Vec<_> = std::iter::once(secure).chain(others).collect();
    let banner = RunBanner {
        to: None,
        export: &to(&["http://collector:4317 (grpc)"]),
        ..run(&listeners, &Reach::Refuses)
    };
    insta::assert_snapshot!(on_all(|surface| banner.render(surface)));
}

#[test]
fn where_traces_are_not_kept_the_door_is_for_metrics() {
    let listeners = [listening("127.0.0.1:8080")];
    let exported = to(&["http://collector:4317 (grpc)"]);
    let check = |kept, admin: Option<&str>, export, expected: &[&str]| {
        let banner = RunBanner {
            kept,
            admin: admin.map(at),
            export,
            ..run(&listeners, &Reach::Refuses)
        };
        let text = banner.render(&surface(80, false));
        let told = text.lines().filter(|line| {
            let words = ["traces ", "admin ", "export "];
            words.iter().any(|word| line.starts_with(word))
        });
        assert_eq!(told.collect::<Vec<_>>(), expected);
    };
    let door = Some("127.0.0.1:9901");
    let admin = "admin      http://127.0.0.1:9901   metrics, health";
    let none = "export     none; OTEL_EXPORTER_OTLP_ENDPOINT=URL sends the spans there";
    let kept = "traces     http://127.0.0.1:9901   kept here (64 MB, oldest go)";
    let only = "traces     http://127.0.0.1:9901   kept here (64 MB, oldest go), not exported";
    let sent = "export     http://collector:4317 (grpc)";
    check(Some(64 << 20), door, &NOWHERE, &[only]);
    check(Some(64 << 20), door, &exported, &[kept, sent]);
    check(None, door, &NOWHERE, &[admin, none]);
    check(Some(64 << 20), None, &NOWHERE, &[none]);
}

#[test]
fn what_to_try_names_the_door_only_where_it_is_not_the_usual_one() {
    let tried = |traces: Option<&str>| {
        let surface = surface(80, false);
        demo_try(at("127.0.0.1:8080"), traces.map(at), &surface)
    };
    assert!(tried(Some("127.0.0.1:9901")).ends_with("     edgespan trace find\n"));
    let elsewhere = "     edgespan trace find --url http://127.0.0.1:41000\n";
    assert!(tried(Some("127.0.0.1:41000")).ends_with(elsewhere));
    assert!(!tried(None).contains("trace find"));
}

#[test]
fn a_listener_open_to_others_is_not_called_local() {
    let listeners = [listening("0.0.0.0:8080")];
    let text = run(&listeners, &Reach::Refuses).render(&surface(80, false));
    assert!(!text.contains("this machine only"));
}

#[test]
fn where_spans_go_is_told_in_every_case() {
    let check = |export: &Destinations, expected: &str| {
        assert_eq!(export_text(export, "the spans"), expected);
    };
    let none = "none; OTEL_EXPORTER_OTLP_ENDPOINT=URL sends the spans there";
    check(&NOWHERE, none);
    check(&to(&["a"]), "a");
    check(&to(&["a", "the terminal"]), "a and the terminal");
    check(&to(&["a", "b", "c"]), "a and 2 more");
    check(
        &Destinations::Declined,
        "none, as OTEL_TRACES_EXPORTER says",
    );
    let off = "off, as OTEL_SDK_DISABLED says: no spans, context passes untouched";
    check(&Destinations::NotRecorded, off);
}

#[test]
fn a_time_is_never_told_as_nothing() {
    let check = |micros, expected: &str| {
        assert_eq!(seconds(Duration::from_micros(micros)), expected);
    };
    check(0, "1 ms");
    check(12_400, "12 ms");
    check(99_999, "99 ms");
    check(100_000, "0.1 s");
    check(412_000, "0.4 s");
}

#[test]
fn a_drain_counts_what_it_waits_for() {
    let ten = Duration::from_secs(10);
    let text = draining(3, ten) + &drained(Duration::from_millis(400), 0);
    assert_eq!(
        text,
        "draining 3 requests, up to 10 s (Ctrl-C again stops now) ... done in 0.4 s\n"
    );
    assert!(draining(1, ten).starts_with("draining 1 request, "));
    assert!(draining(0, ten).starts_with("draining, up to 10 s"));
    assert_eq!(drained(ten, 2), "2 requests cut off after 10.0 s\n");
}
