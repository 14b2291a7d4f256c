//! What may be asked, how each command ends, and what wrong usage is told.

use super::program::{Ended, edgespan};

#[track_caller]
fn check_code(ended: &Ended, expected: i32) {
    assert_eq!(ended.code, Some(expected), "{ended:?}");
}

const RIGHT: &str = "listeners: {web: {address: '127.0.0.1:0'}}\n";
const WRONG: &str = "listeners: {web: {adress: '127.0.0.1:0'}}\n";

#[tokio::test]
async fn every_command_ends_with_the_code_that_its_help_lists() {
    let answers = [
        vec![],
        vec!["--help"],
        vec!["-h"],
        vec!["--version"],
        vec!["run", "--help"],
        vec!["demo", "-h"],
        vec!["schema"],
        vec!["schema", "--markdown"],
        vec!["schema", "--errors"],
        vec!["check", "--explain", "E0101"],
        vec!["completions", "bash"],
    ];
    for arguments in answers {
        let ended = edgespan(&arguments).ended().await;
        check_code(&ended, 0);
        assert!(
            !ended.stdout.is_empty() && ended.stderr.is_empty(),
            "{ended:?}"
        );
    }
    let wrong = [
        vec!["rum"],
        vec!["help"],
        vec!["run"],
        vec!["run", "--to", "3000"],
        vec!["run", "--to", "http://127.0.0.1:1", "--config", "a.yaml"],
        vec!["run", "--config", "a.yaml", "--listen", "127.0.0.1:1"],
        vec!["run", "--to", "http://127.0.0.1:1", "--log-level", "a=b=c"],
        vec!["demo", "--quiet=1"],
        vec!["demo", "--listen", "8080"],
        vec!["check"],
        vec!["check", "--explain", "E9999"],
        vec!["explain"],
        vec!["explain", "a.yaml"],
        vec!["explain", "a.yaml", "GET ftp://a/"],
        vec!["schema", "--markdown", "--errors"],
        vec!["completions"],
        vec!["completions", "tcsh"],
        vec!["--colour", "never"],
    ];
    for arguments in wrong {
        let ended = edgespan(&arguments).ended().await;
        check_code(&ended, 64);
        assert!(ended.stdout.is_empty(), "{ended:?}");
        assert!(ended.stderr.starts_with("error: "), "{ended:?}");
    }
    check_code(&edgespan(&["check"]).file("a.yaml", RIGHT).ended().await, 0);
    check_code(
        &edgespan(&["check"]).file("a.yaml", WRONG).ended().await,
        78,
    );
    check_code(&edgespan(&["check", "b.yaml"]).ended().await, 78);
}

#[tokio::test]
async fn without_a_command_it_says_what_it_is_and_what_to_try() {
    let ended = edgespan(&[]).called("edgespan").ended().await;

    assert_eq!(ended.stdout.lines().count(), 12);
    for line in [
        "  edgespan demo ",
        "  edgespan run --to http://127.0.0.1:3000 ",
        "  edgespan check edgespan.yaml ",
    ] {
        assert!(ended.stdout.contains(line), "{line} in {}", ended.stdout);
    }
}

#[tokio::test]
async fn hints_name_the_program_as_it_was_started() {
    let name = "./target/release/edgespan";

    let overview = edgespan(&[]).called(name).ended().await;
    let help = edgespan(&["demo", "--help"]).called(name).ended().await;
    let no_target = edgespan(&["run"]).called(name).ended().await;

    assert!(overview.stdout.contains(&format!("  {name} demo ")));
    assert!(help.stdout.contains(&format!("  {name} demo --no-traffic")));
    assert!(
        no_target
            .stderr
            .contains(&format!("{name} run --to http://127.0.0.1:3000"))
    );
}

#[tokio::test]
async fn a_mistyped_word_is_told_with_the_nearest_one() {
    let check = async |arguments: &[&str], nearest: &str| {
        let ended = edgespan(arguments).ended().await;
        assert!(ended.stderr.contains(nearest), "{nearest} in {ended:?}");
    };
    check(&["rum"], "'run'").await;
    check(&["dmeo"], "'demo'").await;
    check(&["demo", "--no-trafic"], "'--no-traffic'").await;
    check(&["run", "--configg", "a"], "'--config'").await;
    check(&["completions", "bsh"], "'bash'").await;
}

#[tokio::test]
async fn run_without_a_target_says_how_to_name_one() {
    let ended = edgespan(&["run"]).called("edgespan").ended().await;

    assert!(ended.stderr.starts_with("error: where do requests go?\n"));
    assert!(
        ended
            .stderr
            .contains("edgespan run --to http://127.0.0.1:3000\n")
    );
    assert!(
        ended
            .stderr
            .contains("edgespan run --config edgespan.yaml\n")
    );
}

#[tokio::test]
async fn long_help_has_examples_defaults_variables_and_exit_codes() {
    let check = async |command: &str, parts: &[&str]| {
        let arguments: Vec<_> = command.split_whitespace().chain(["--help"]).collect();
        let help = edgespan(&arguments).called("edgespan").ended().await.stdout;
        for part in parts
            .iter()
            .chain(&["Examples:\n", "Exit: 0 ", "[env: EDGESPAN_COLOR]"])
        {
            assert!(help.contains(part), "{part} in {help}");
        }
        assert!(
            help.lines().all(|line| line.chars().count() <= 100),
            "{help}"
        );
    };
    check("", &["  edgespan demo\n", "OTEL_*", "NO_COLOR"]).await;
    let listen = "[default: 127.0.0.1:8080]";
    let admin = "[default: 127.0.0.1:9901]";
    let level = "[env: EDGESPAN_LOG]";
    let config = "[env: EDGESPAN_CONFIG]";
    check(
        "run",
        &[
            listen,
            admin,
            level,
            config,
            "78 configuration",
            "130 second",
        ],
    )
    .await;
    check(
        "demo",
        &[listen, admin, level, "OTEL_EXPORTER_OTLP_ENDPOINT"],
    )
    .await;
    check("check", &["78 it is not", "edgespan check edgespan.yaml"]).await;
    check("schema", &["edgespan schema"]).await;
    check("completions", &["edgespan completions zsh"]).await;
}

#[tokio::test]
async fn an_answer_that_nobody_reads_to_its_end_is_no_failure() {
    for arguments in [
        vec!["schema"],
        vec!["completions", "zsh"],
        vec!["run", "--help"],
    ] {
        let ended = edgespan(&arguments).read_one_line().ended().await;
        check_code(&ended, 0);
        assert_eq!(ended.stderr, "");
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_written_is_a_failure_in_words() {
    for arguments in [
        vec![],
        vec!["schema"],
        vec!["--help"],
        vec!["completions", "fish"],
    ] {
        let ended = edgespan(&arguments).stdout_to("/dev/full").ended().await;
        check_code(&ended, 1);
        let told = "error: cannot write to standard output\n  no space left on device\n";
        assert_eq!(ended.stderr, told);
    }
}

#[tokio::test]
async fn a_request_is_explained_without_anything_being_sent() {
    let file = "\
listeners: {web: {address: '127.0.0.1:0'}}
upstreams: {app: {endpoints: ['https://nowhere.invalid']}}
routes: [{name: all, upstream: app}]
";
    let explain = edgespan(&["explain"]).file("a.yaml", file);

    let request = explain.argument("GET http://a.example/x");
    let ended = request.argument("--json").ended().await;

    check_code(&ended, 0);
    let told: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(told["route"]["name"], "all");
    assert_eq!(
        told["upstream"]["endpoints"][0],
        "https://nowhere.invalid:443"
    );
    assert_eq!(told["answer"], serde_json::Value::Null);
    check_code(
        &edgespan(&["explain"])
            .file("a.yaml", WRONG)
            .argument("GET http://a.example/x")
            .ended()
            .await,
        78,
    );
}
