//! What keeps the proxy from starting, and how that is told.

use super::program::edgespan;
use std::net::TcpListener;

/// Three misspelt keys, two wrong types and a dangling reference.
const SIX_MISTAKES: &str = "\
listeners:
  web: {adress: '127.0.0.1:0'}
upstreams:
  content: {endpoints: [http://127.0.0.1:3000], timeouts: {conect: 1s, request: 15}}
routes:
  - {name: orders, match: {path: '/orders/{id}', methds: [GET]}, upstream: contents}
sampling: {default: often}
";

#[tokio::test]
async fn a_broken_configuration_is_told_whole_before_anything_starts() {
    let run = edgespan(&["run", "--config"]).file("edgespan.yaml", SIX_MISTAKES);

    let ended = run.ended().await;

    assert_eq!((ended.code, ended.stdout.as_str()), (Some(78), ""));
    assert_eq!(
        ended.stderr.matches("error: ").count(),
        6,
        "{}",
        ended.stderr
    );
    for part in [
        "error: unknown key `adress` in `listeners.web`\n --> edgespan.yaml:2:9\n",
        "^^^^^^ did you mean `address`?\n",
        "did you mean `connect`?\n",
        "did you mean `methods`?\n",
        "did you mean `content`?\n",
        "= help: write `15s`\n",
    ] {
        assert!(ended.stderr.contains(part), "{part} in {}", ended.stderr);
    }
    assert!(!ended.stderr.contains('\u{1b}'));
    assert_eq!(
        ended.last_word(),
        "edgespan.yaml: 6 errors; nothing was started (exit 78)"
    );
}

#[tokio::test]
async fn check_prints_the_same_report_as_its_answer() {
    let run = edgespan(&["run", "--config"]).file("edgespan.yaml", SIX_MISTAKES);
    let check = edgespan(&["check"]).file("edgespan.yaml", SIX_MISTAKES);
    let json = edgespan(&["check", "--json"]).file("edgespan.yaml", SIX_MISTAKES);

    let (run, check, json) = (run.ended().await, check.ended().await, json.ended().await);

    assert_eq!(check.code, Some(78));
    assert_eq!((check.stdout, check.stderr.as_str()), (run.stderr, ""));
    assert_eq!(json.code, Some(78));
    let problems: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(problems.as_array().unwrap().len(), 6);
}

#[tokio::test]
async fn a_file_that_is_not_there_is_one_sentence() {
    let ended = edgespan(&["run", "--config", "nowhere.yaml"]).ended().await;

    assert_eq!(ended.code, Some(78));
    assert_eq!(
        ended.stderr,
        "error: cannot read nowhere.yaml: it does not exist\n\
         nowhere.yaml: 1 error; nothing was started (exit 78)\n"
    );
}

#[tokio::test]
async fn the_configuration_may_come_from_the_environment_and_a_flag_wins() {
    let by_variable = edgespan(&["run"]).variable("EDGESPAN_CONFIG", "nowhere.yaml");
    let by_flag =
        edgespan(&["run", "--config", "other.yaml"]).variable("EDGESPAN_CONFIG", "nowhere.yaml");

    assert!(by_variable.ended().await.stderr.contains("nowhere.yaml"));
    assert!(by_flag.ended().await.stderr.contains("other.yaml"));
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_is_told_at_its_place() {
    let text = "listeners:\n  web:\n    address: '127.0.0.1:0'\n    tls: {certificates: \
                [{chain: web.pem, key: web.key}]}\n";
    let missing = edgespan(&["run", "--config"]).file("a.yaml", text);
    let junk = edgespan(&["run", "--config"])
        .beside("web.pem", "junk")
        .beside("web.key", "junk")
        .file("a.yaml", text);

    let (missing, junk) = (missing.ended().await, junk.ended().await);

    assert_eq!((missing.code, junk.code), (Some(78), Some(78)));
    assert!(
        missing
            .stderr
            .contains("error: cannot read web.pem\n --> a.yaml:4:34\n")
    );
    assert!(missing.stderr.contains("error: cannot read web.key\n"));
    assert!(
        junk.stderr
            .contains("error: the file holds no certificate\n")
    );
    assert!(
        junk.stderr
            .contains("error: the file holds no private key\n")
    );
}

#[tokio::test]
async fn a_taken_address_is_told_with_a_free_one_and_where_to_write_it() {
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = held.local_addr().unwrap().to_string();
    let to = ["--to", "http://127.0.0.1:1"];
    let run = ["run", to[0], to[1]];
    let file = format!("listeners: {{web: {{address: '{taken}'}}}}\n");
    let admin = format!(
        "{}admin: {{address: '{taken}'}}\n",
        "listeners: {web: {address: '127.0.0.1:0'}}\n"
    );
    let check = async |call: super::program::Call, what: &str| {
        let ended = call.ended().await;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let mut lines = ended.stderr.lines();
        let told = format!("error: cannot listen on {taken}: in use by another program");
        assert_eq!(lines.next(), Some(told.as_str()));
        let help = lines.next().unwrap();
        assert!(
            help.starts_with("  help: ") && help.contains(" is free: "),
            "{help}"
        );
        assert!(
            help.contains(what) && !help.contains(&taken),
            "{what} in {help}"
        );
        assert_eq!(lines.next(), None);
    };

    check(
        edgespan(&run).argument("--listen").argument(&taken),
        "add `--listen 127.0.0.1:",
    )
    .await;
    let demo = edgespan(&["demo", "--admin", "off"]);
    check(
        demo.argument("--listen").argument(&taken),
        "add `--listen 127.0.0.1:",
    )
    .await;
    let free = edgespan(&run).argument("--listen").argument("127.0.0.1:0");
    check(
        free.argument("--admin").argument(&taken),
        "add `--admin 127.0.0.1:",
    )
    .await;
    let config = || edgespan(&["run", "--admin", "off", "--config"]);
    check(config().file("a.yaml", &file), "at `listeners.web.address`").await;
    let config = || edgespan(&["run", "--config"]);
    check(config().file("a.yaml", &admin), "at `admin.address`").await;
}
