//! A secret's value appears nowhere.

use super::*;

const SECRET: &str = "hunter2";

#[track_caller]
fn check(text: &str) {
    let look = Look {
        all: true,
        width: 400,
        ..Look::default()
    };
    let report = match compile_with(text, &[("TOKEN", SECRET)]) {
        Ok(loaded) => loaded.warnings,
        Err(refused) => refused.report,
    };
    let all = format!("{}{}{report:?}", report.render(look), report.to_json());
    assert!(!report.diagnostics().is_empty(), "nothing was told");
    assert!(!all.contains(SECRET), "{all}");
}

#[test]
fn no_excerpt_shows_a_secret() {
    // At its place, with an error on the same line.
    check("export: [{otlp: {endpoint: 1, headers: {x-team: hunter2}}}]");
    // At its place, wrong itself.
    check("export: [{otlp: {endpoint: \"http://h\", headers: {x-team: \"hunter2\\n\"}}}]");
    check("export: [{otlp: {endpoint: \"http://h\", headers: {x-team: [hunter2]}}}]");
    // Under a misspelt key, and under one that resembles nothing.
    check("export: [{otlp: {endpoint: \"http://h\", heders: {x-team: hunter2}}}]");
    check("export: [{otlp: {endpoint: \"http://h\", banana: {x-team: hunter2}}}]");
    check("export: [{headers: {x-team: hunter2}}]");
    check("client_secret: hunter2");
    check("headers: {x-team: hunter2}");
    // In a route's header, by its name.
    check("routes: [{name: a, nme: 1, headers: {request: {set: {authorization: hunter2}}}}]");
    // In a key that stands twice.
    check("export: [{otlp: {endpoint: \"http://h\", headers: {x-team: a, x-team: hunter2}}}]");
    // In a URL.
    check("upstreams: {a: {endpoints: [\"http://me:hunter2@h:1\"]}}");
    check("export: [{otlp: {endpoint: \"http://me:hunter2@h\"}}]");
    // In a comment on the same line.
    check("access_log: nowhere # password: hunter2");
    // In a file that is not YAML.
    check("export:\n  - otlp:\n      headers:\n        x-team: hunter2\n      endpoint: [\n");
    check("a: [\nauthorization: hunter2\n");
    // Out of the environment, at a place that is quoted otherwise.
    check("listeners: {web: {address: \"127.0.0.1:0\", mode: \"${TOKEN}\"}}");
    check("routes: [{name: a, match: {methods: \"${TOKEN}\"}}]");
    check("access_log: \"${TOKEN}\"");
}

#[test]
fn a_secret_comes_from_text_file_or_variable() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "hunter2\r\n").unwrap();
    let text = |secret: &str| {
        format!(
            "{BASE}export: [{{otlp: {{endpoint: \"http://h:4318\", headers: {{x-a: {secret}}}}}}}]"
        )
    };
    let value = |secret: &str| {
        let plan = compile_with(&text(secret), &[("TOKEN", SECRET)]).map_err(|one| one.report);
        plan.unwrap().plan.export[0].headers[0].1.clone()
    };

    assert_eq!(value("hunter2"), SECRET);
    assert_eq!(value(&format!("{{file: {}}}", file.display())), SECRET);
    assert_eq!(value("{env: TOKEN}"), SECRET);
    assert_eq!(value("\"${TOKEN}\""), SECRET);
    assert_eq!(value("12"), "12");
    assert_eq!(told(&text("{env: NO}"))[0].0, "E0313");
    assert_eq!(told(&text("{file: /no}"))[0].0, "E0313");
    assert_eq!(told(&text("{file: /no, env: NO}"))[0].0, "E0106");
    assert_eq!(told(&text("{}"))[0].0, "E0106");
}
