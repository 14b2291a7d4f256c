//! Promises of probes: of their file, and of their schedule in a configuration.

use super::{BASE, compile, told as told_of_configuration};
use crate::config::{Environment, LoadedProbe, Look, Refused, load_probe};
use crate::probe::{Payload, Source, Taken, Test, Traces, What};
use std::time::Duration;

fn load_with(text: &str, variables: &[(&str, &str)]) -> Result<LoadedProbe, Refused> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("probe.yaml");
    std::fs::write(&path, text).unwrap();
    let environment: Environment = variables.iter().copied().collect();
    load_probe(&path, &environment, false)
}

fn load(text: &str) -> Result<LoadedProbe, Refused> {
    load_with(text, &[("TOKEN", "hunter22")])
}

fn told(text: &str) -> Vec<(&'static str, String)> {
    let report = match load(text) {
        Ok(loaded) => loaded.warnings,
        Err(refused) => refused.report,
    };
    let pair = |one: &crate::config::Diagnostic| (one.code.id(), one.message.clone());
    report.diagnostics().iter().map(pair).collect()
}

const WHOLE: &str = r#"
name: checkout
base: ${BASE_URL:-http://127.0.0.1:8080}
trace: run
spans: {from: "jaeger+http://127.0.0.1:16686", within: 3s}
variables:
  user: alice
  order: {generate: random, length: 8}
  greeting: "hello {{user}}"
  token: {env: TOKEN}
steps:
  - name: log in
    request:
      method: POST
      path: /login?next={{order}}
      headers: {authorization: "Bearer {{token}}", accept: [a/b, c/d]}
      query: {q: "{{greeting}}"}
      json: {user: "{{user}}", amount: 12.5, tags: [a, true, null], note: ~}
      http: 1.1
      timeout: 5s
      follow: 3
    capture:
      csrf: {regex: 'name="csrf" value="([^"]+)"'}
      id: {json: /order/id, secret: true}
      sid: {cookie: sid}
    expect:
      status: [200, 3xx]
      headers: {content-type: {matches: "^text/html"}, x-none: {absent: true}}
      json: {/order/id: 7, /order/state: {equals: null}, /items: {at_least: 1}}
      body: {contains: "{{user}}"}
      time: <500ms
      spans:
        - {kind: server, name: "POST /login", attributes: {http.route: /login, flow: "{{id}}"}}
        - {peer: payout, status: error, count: 0}
    retry: {every: 100ms, for: 2s}
  - name: log out
    always: true
    request: {url: "{{id}}"}
"#;

#[test]
fn everything_that_a_file_can_say_arrives() {
    let loaded = load(WHOLE).unwrap_or_else(|refused| {
        panic!("{}", refused.report.render(Look::default()));
    });
    let plan = loaded.plan;

    assert_eq!((plan.name.as_str(), plan.traces), ("checkout", Traces::Run));
    assert_eq!(plan.spans_within, Duration::from_secs(3));
    let names: Vec<&str> = plan
        .variables
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(names, ["user", "order", "greeting", "token"]);
    assert!(matches!(plan.variables[3].1, Source::Secret(_)));
    let step = &plan.steps[0];
    assert_eq!((step.place.line, step.place.column), (12, 5));
    let Payload::Json(json) = &step.request.payload else {
        panic!("another body");
    };
    let json = json.render(&crate::probe::Values::default()).to_string();
    assert_eq!(
        json,
        r#"{"user":"","amount":12.5,"tags":["a",true,null],"note":null}"#
    );
    assert!(step.captures[1].is_secret && step.captures[2].is_secret);
    assert!(matches!(step.captures[0].from, Taken::Regex(_, 1)));
    let whats: Vec<usize> = step
        .expect
        .answer
        .iter()
        .map(|one| one.place.line)
        .collect();
    assert_eq!(whats, [27, 28, 28, 29, 29, 29, 30, 31]);
    assert!(matches!(&step.expect.answer[7].what, What::Time(most) if most.as_millis() == 500));
    assert_eq!(step.expect.spans[1].at_most, Some(0));
    assert!(plan.steps[1].always);
    // Without a status any below 400 serves.
    let What::Status(ranges) = &plan.steps[1].expect.answer[0].what else {
        panic!("no status");
    };
    assert!(ranges.iter().any(|range| range.has(302)) && !ranges.iter().any(|one| one.has(400)));
    let What::Header(_, absent) = &step.expect.answer[2].what else {
        panic!("no header");
    };
    assert!(matches!(absent.0.as_slice(), [Test::Exists(false)]));
}

#[test]
fn every_problem_of_a_file_is_told_at_once_with_its_place() {
    let text = r#"
name: "check out"
steps:
  - name: a
    request: {path: orders, methd: GET, body: x, json: {a: "{{typo"}}
    capture: {"b c": {header: x, cookie: y}, n: {json: order.id}}
    expect:
      status: 2x
      headers: {x: {}}
      body: {matches: "("}
      spans: [{kind: srever, count: {at_least: 2, at_most: 1}}]
  - name: a
    request: {url: "http://127.0.0.1/{{ordr}}"}
    capture: {order: {header: location}}
"#;
    let refused = load(text).unwrap_err();
    let shown = refused.report.render(Look::default());
    let folder = shown.lines().find_map(|line| line.split_once("--> "));
    let (_, place) = folder.unwrap();
    let folder = place.split("probe.yaml").next().unwrap().to_owned();
    insta::assert_snapshot!(shown.replace(&folder, ""));
}

#[test]
fn what_fills_a_hole_has_to_be_known_by_then() {
    let text = |hole: &str| {
        format!(
            "name: a\nbase: http://127.0.0.1:1\nvariables: {{user: alice}}\nsteps:\n  \
             - name: one\n    request: {{path: \"/{{{{{hole}}}}}\"}}\n    \
             capture: {{later: {{header: x}}}}\n"
        )
    };
    assert_eq!(told(&text("user")), []);
    assert_eq!(
        told(&text("later")),
        [("E0201", "nothing is called `later` here".to_owned())]
    );
    let refused = load(&text("usr")).unwrap_err();
    let [diagnostic] = refused.report.diagnostics() else {
        panic!("{:?}", refused.report.diagnostics());
    };
    assert_eq!(diagnostic.replacement.as_deref(), Some("user"));
    let span = diagnostic.span.clone().unwrap();
    assert_eq!(text("usr").get(span), Some("usr"));
}

#[test]
fn secrets_are_shown_in_no_message_and_by_no_debug_text() {
    let text = WHOLE.replace("name: checkout", "name: check out");
    let refused = load(&text).unwrap_err();
    let shown = refused.report.render(Look {
        all: true,
        ..Look::default()
    });
    assert!(!shown.contains("hunter22"), "{shown}");
    let text = WHOLE.replace(
        "accept: [a/b, c/d]",
        "x-api-key: {env: TOKEN}, cookie: \"sid=hunter22\"",
    );
    let plan = load(&text).unwrap().plan;
    assert!(!format!("{plan:?}").contains("hunter22"));
}

#[test]
fn a_variable_of_the_environment_or_its_default_is_the_base() {
    let text = "name: a\nbase: ${BASE_URL:-http://127.0.0.1:8080}\nsteps: [{name: a, request: \
                {path: /}}]\n";
    assert!(load(text).is_ok());
    assert!(load_with(text, &[("BASE_URL", "nonsense")]).is_err());
    let without = "name: a\nsteps: [{name: a, request: {path: /}}]\n";
    assert_eq!(
        told(without),
        [("E0102", "a path needs a `base`".to_owned())]
    );
}

#[test]
fn so_many_steps_and_no_more() {
    let text = |count: usize| {
        let steps: String = (0..count)
            .map(|at| format!("  - {{name: s{at}, request: {{url: \"http://127.0.0.1:1/\"}}}}\n"))
            .collect();
        format!("name: a\nsteps:\n{steps}")
    };
    assert_eq!(told(&text(100)), []);
    assert_eq!(
        told(&text(101)),
        [("E0105", "a probe has at most 100 steps".to_owned())]
    );
    assert!(load("name: a\nsteps: []\n").is_err());
}

#[test]
fn a_configuration_has_probes_inline_and_in_files() {
    let inline = "probes:\n  - every: 1m\n    inline: {name: up, base: \"http://127.0.0.1:1\", \
                  steps: [{name: a, request: {path: /}}]}\n";
    let loaded = compile(&format!("{BASE}{inline}")).unwrap();
    let [schedule] = loaded.plan.probes.as_slice() else {
        panic!("one probe");
    };
    assert_eq!(schedule.every, Duration::from_secs(60));
    assert_eq!(schedule.plan.name, "up");

    let told = told_of_configuration(&format!(
        "{BASE}probes:\n  - {{every: 10ms, file: nowhere.yaml}}\n  - {{every: 1s}}\n"
    ));
    let ids: Vec<&str> = told.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, ["E0105", "E0391", "E0106"], "{told:?}");
}
