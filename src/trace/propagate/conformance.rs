//! Each case of the W3C conformance harness, as far as a parser decides it.

use super::tests::{TRACE, VALID, through, values, w3c};

/// Under the caller's trace, with these flags.
#[track_caller]
fn check_continued(traceparent: &str, flags: &str) {
    let out = through(&w3c(), &[("traceparent", traceparent)]);
    assert_eq!(
        values(&out, "traceparent"),
        [format!("00-{TRACE}-00000000000000aa-{flags}")],
        "{traceparent}"
    );
}

/// A new trace, with nothing of the caller's tracestate.
#[track_caller]
fn check_new(lines: &[(&str, &str)]) {
    let mut with_state = lines.to_vec();
    with_state.push(("tracestate", "foo=1"));
    for lines in [lines, &with_state] {
        let out = through(&w3c(), lines);
        let [sent] = values(&out, "traceparent")[..] else {
            panic!("not one traceparent: {out:?}");
        };
        assert!(
            sent.starts_with("00-") && sent.ends_with("-00000000000000aa-03"),
            "{sent}"
        );
        assert!(!sent.contains(TRACE), "{lines:?} continued as {sent}");
        assert_eq!(values(&out, "tracestate"), ["ot=th:0"]);
    }
}

#[track_caller]
fn check_new_for(traceparent: &str) {
    check_new(&[("traceparent", traceparent)]);
}

/// The tracestate that leaves beside a valid traceparent, which nothing may affect.
#[track_caller]
fn check_state(tracestates: &[&str], expected: &[&str]) {
    let mut lines = vec![("traceparent", VALID)];
    lines.extend(tracestates.iter().map(|state| ("tracestate", *state)));
    let out = through(&w3c(), &lines);
    assert_eq!(
        values(&out, "traceparent"),
        [format!("00-{TRACE}-00000000000000aa-01")]
    );
    assert_eq!(values(&out, "tracestate"), expected, "{tracestates:?}");
}

#[test]
fn a_request_without_context_starts_a_trace() {
    check_new(&[]);
    check_new(&[("tracestate", "foo=1"), ("tracestate", "bar=2")]);
}

#[test]
fn a_valid_traceparent_is_continued_with_its_flags() {
    check_continued(VALID, "01");
    for (given, sent) in [
        ("00", "00"),
        ("02", "02"),
        ("03", "03"),
        ("ff", "03"),
        ("fc", "00"),
    ] {
        check_continued(&format!("00-{TRACE}-1234567890123456-{given}"), sent);
    }
}

#[test]
fn a_repeated_traceparent_starts_a_new_trace() {
    check_new(&[("traceparent", VALID), ("traceparent", VALID)]);
    check_new(&[
        ("traceparent", VALID),
        (
            "traceparent",
            "00-98765432109876543210987654321098-9876543210987654-01",
        ),
    ]);
}

#[test]
fn a_header_of_another_name_is_no_traceparent() {
    check_new(&[("trace-parent", VALID)]);
    check_new(&[("trace.parent", VALID)]);
}

#[test]
fn a_header_name_counts_in_any_case() {
    for name in ["TraceParent", "TrAcEpArEnT", "TRACEPARENT"] {
        let out = through(&w3c(), &[(name, VALID), ("TraceState", "foo=1")]);
        assert_eq!(
            values(&out, "traceparent"),
            [format!("00-{TRACE}-00000000000000aa-01")]
        );
        assert_eq!(values(&out, "tracestate"), ["foo=1"]);
    }
}

#[test]
fn version_00_ends_after_its_four_fields() {
    check_new_for(&format!("{VALID}."));
    check_new_for(&format!("{VALID}-"));
    check_new_for(&format!("{VALID}-what-the-future-will-be-like"));
}

#[test]
fn a_later_version_is_read_as_far_as_it_is_known_and_sent_as_00() {
    let later = VALID.replacen("00", "cc", 1);
    check_continued(&later, "01");
    check_continued(&format!("{later}-"), "01");
    check_continued(&format!("{later}-what-the-future-will-be-like"), "01");
    check_new_for(&format!("{later}.what-the-future-will-not-be-like"));
    check_continued(&VALID.replacen("00", "01", 1), "01");
}

#[test]
fn a_malformed_version_starts_a_new_trace() {
    for version in ["ff", ".0", "0.", "0x", "000", "0000", "0", "", "CC"] {
        check_new_for(&VALID.replacen("00", version, 1));
    }
}

#[test]
fn a_malformed_trace_id_starts_a_new_trace() {
    for id in [
        "00000000000000000000000000000000",
        ".2345678901234567890123456789012",
        "1234567890123456789012345678901.",
        "123456789012345678901234567890123",
        "1234567890123456789012345678901",
        "ABCDEF78901234567890123456789012",
        "",
    ] {
        check_new_for(&format!("00-{id}-1234567890123456-01"));
    }
}

#[test]
fn a_malformed_parent_id_starts_a_new_trace() {
    for id in [
        "0000000000000000",
        ".234567890123456",
        "123456789012345.",
        "12345678901234567",
        "123456789012345",
        "ABCDEF7890123456",
        "",
    ] {
        check_new_for(&format!("00-{TRACE}-{id}-01"));
    }
}

#[test]
fn malformed_flags_start_a_new_trace() {
    for flags in [".0", "0.", "001", "1", "", "0G", "0A"] {
        check_new_for(&format!("00-{TRACE}-1234567890123456-{flags}"));
    }
}

#[test]
fn space_around_a_traceparent_is_no_part_of_it() {
    for (before, after) in [
        (" ", ""),
        ("\t", ""),
        ("", " "),
        ("", "\t"),
        ("\t \t", " \t "),
    ] {
        check_continued(&format!("{before}{VALID}{after}"), "01");
    }
}

#[test]
fn a_valid_tracestate_leaves_byte_for_byte() {
    for state in [
        "foo=1",
        "foo=1,bar=2",
        "foo=1 \t , \t bar=2",
        "foo=1,foo=1",
        "foo=1,foo=2",
        "a= b",
    ] {
        check_state(&[state], &[state]);
    }
}

#[test]
fn several_tracestate_headers_leave_as_one_in_their_order() {
    check_state(
        &["foo=1,bar=2", "rojo=1,congo=2", "baz=3"],
        &["foo=1,bar=2,rojo=1,congo=2,baz=3"],
    );
    check_state(&["foo=1", ""], &["foo=1"]);
    check_state(&["", "foo=1"], &["foo=1"]);
    check_state(&["foo=1,", ",bar=2"], &["foo=1,bar=2"]);
    check_state(&["foo=1", "FOO=1"], &[]);
}

#[test]
fn an_empty_tracestate_is_not_sent() {
    check_state(&[], &[]);
    check_state(&[""], &[]);
    check_state(&["", " ", ","], &[]);
}

#[test]
fn a_tracestate_header_of_another_name_is_none() {
    let out = through(&w3c(), &[("traceparent", VALID), ("trace-state", "foo=1")]);
    assert_eq!(values(&out, "tracestate"), [""; 0]);
}

#[test]
fn every_character_the_grammar_has_is_accepted() {
    let key = "abcdefghijklmnopqrstuvwxyz0123456789_-*/";
    let value: String = (' '..='~')
        .filter(|character| !matches!(character, ',' | '='))
        .collect();
    check_state(
        &[&format!("{key}=1"), &format!("{key}@a-z0-9_-*/={}x", value)],
        &[&format!("{key}=1,{key}@a-z0-9_-*/={value}x")],
    );
    check_state(&["0a=1"], &["0a=1"]);
}

#[test]
fn a_bad_tracestate_never_affects_traceparent() {
    for state in [
        "foo =1",
        "FOO=1",
        "foo.bar=1",
        "@foo=1,bar=2",
        "_foo=1",
        "foo",
        "=1",
        "foo=,bar=3",
        "foo=bar=baz",
        "foo=ü",
        "foo=a\tb",
        "foo=1;bar=2=3",
        "foo=1,b\u{e4}r=2",
    ] {
        check_state(&[state], &[]);
        check_state(&["ok=1", state], &[]);
    }
}

#[test]
fn an_at_may_stand_anywhere_in_a_key_but_first() {
    for state in [
        "foo@=1,bar=2",
        "foo@@bar=1,bar=2",
        "foo@bar@baz=1,bar=2",
        "0@a=1",
    ] {
        check_state(&[state], &[state]);
    }
}

#[test]
fn keys_and_values_have_at_most_256_characters() {
    let (longest, longer) = ("z".repeat(256), "z".repeat(257));
    check_state(
        &[&format!("foo=1,{longest}=1")],
        &[&format!("foo=1,{longest}=1")],
    );
    check_state(&[&format!("foo=1,{longer}=1")], &[]);
    let vendor = format!("{}@{}=1", "t".repeat(241), "v".repeat(14));
    check_state(&[&vendor], &[&vendor]);
    check_state(&[&format!("{}@{}=1", "t".repeat(242), "v".repeat(14))], &[]);
    check_state(&[&format!("foo={longest}")], &[&format!("foo={longest}")]);
    check_state(&[&format!("foo={longer}")], &[]);
}

#[test]
fn thirty_two_members_are_kept_and_thirty_three_are_none() {
    let members = |count: usize| {
        (0..count)
            .map(|n| format!("bar{n:02}={n:02}"))
            .collect::<Vec<_>>()
            .join(",")
    };
    check_state(&[&members(32)], &[&members(32)]);
    check_state(&[&members(33)], &[]);
    check_state(&[&members(32), "one=more"], &[]);
    check_state(&[&format!("{},", members(32)), ""], &[&members(32)]);
}

#[test]
fn many_requests_under_one_trace_stay_there() {
    for _ in 0..3 {
        check_continued(VALID, "01");
    }
    let fresh: std::collections::HashSet<String> = (0..3)
        .map(|_| values(&through(&w3c(), &[("traceparent", "00-zz")]), "traceparent").concat())
        .collect();
    assert_eq!(fresh.len(), 3, "each is a trace of its own");
}
