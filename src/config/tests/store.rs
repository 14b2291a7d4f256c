//! The store of recent traces: what a file means, and what it cannot mean.

use super::*;
use crate::config::StorePlan;

#[track_caller]
fn refuse(lines: &str, expected: &[(&str, &str)]) {
    let told = told(&format!("{BASE}{lines}\n"));
    let told: Vec<(&str, &str)> = told.iter().map(|(id, message)| (*id, &**message)).collect();
    assert_eq!(told.len(), expected.len(), "{lines}: {told:?}");
    for (told, expected) in told.iter().zip(expected) {
        assert_eq!(told.0, expected.0, "{lines}");
        assert!(told.1.contains(expected.1), "{lines}: {}", told.1);
    }
}

#[track_caller]
fn plan(lines: &str) -> StorePlan {
    let loaded = compile(&format!("{BASE}{lines}\n"));
    let loaded = loaded.map_err(|refused| refused.report.render(Look::default()));
    loaded
        .unwrap_or_else(|report| panic!("{lines}\n{report}"))
        .plan
        .store
}

#[test]
fn traces_are_kept_in_64_mib_and_nobody_else_sends_any_unless_the_file_says() {
    let expected = StorePlan {
        bytes_max: Some(64 << 20),
        otlp_grpc: None,
        otlp_http: None,
    };
    assert_eq!(plan(""), expected);
    assert_eq!(plan("store: {}"), expected);
}

#[test]
fn memory_is_a_size_from_one_mebibyte_on_or_off() {
    assert_eq!(plan("store: {memory: 1MiB}").bytes_max, Some(1 << 20));
    assert_eq!(plan("store: {memory: 1GiB}").bytes_max, Some(1 << 30));
    assert_eq!(plan("store: {memory: off}").bytes_max, None);
    refuse("store: {memory: 1048575}", &[("E0105", "too little")]);
    refuse("store: {memory: 0}", &[("E0105", "too little")]);
    refuse("store: {memory: lots}", &[("E0302", "")]);
}

#[test]
fn each_door_has_an_address_of_its_own() {
    let doors = plan("store: {otlp: {grpc: '127.0.0.1:4317', http: '127.0.0.1:4318'}}");
    assert_eq!(doors.otlp_grpc, "127.0.0.1:4317".parse().ok());
    assert_eq!(doors.otlp_http, "127.0.0.1:4318".parse().ok());
    // Ports that the system chooses are never the same.
    let chosen = plan("store: {otlp: {grpc: '127.0.0.1:0', http: '127.0.0.1:0'}}");
    assert!(chosen.otlp_grpc.is_some() && chosen.otlp_http.is_some());

    let same = "store: {otlp: {grpc: '127.0.0.1:4317', http: '127.0.0.1:4317'}}";
    refuse(
        same,
        &[("E0202", "`store.otlp.http` needs an address of its own")],
    );
    let admin = "store: {otlp: {grpc: '127.0.0.1:9901'}}";
    refuse(
        admin,
        &[("E0202", "`store.otlp.grpc` needs an address of its own")],
    );
    refuse("store: {otlp: {http: localhost}}", &[("E0303", "")]);
}

#[test]
fn a_door_to_a_store_that_is_off_stays_shut() {
    let lines = "store: {memory: off, otlp: {grpc: '127.0.0.1:4317'}}";
    let loaded = compile(&format!("{BASE}{lines}\n")).unwrap_or_else(|_| panic!("a plan"));

    assert_eq!(loaded.plan.store.otlp_grpc, None);
    let warned = loaded.warnings.render(Look::default());
    assert!(
        warned.contains("`store.otlp.grpc` has no effect here"),
        "{warned}"
    );
}
