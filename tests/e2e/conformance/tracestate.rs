//! `tracestate`: 14 cases.

use super::{Arrived, through};

const PARENT: (&str, &str) = (
    "traceparent",
    "00-12345678901234567890123456789012-1234567890123456-00",
);

async fn with(states: &[&str], check: impl Fn(&Arrived)) {
    let mut given = vec![PARENT];
    given.extend(states.iter().map(|state| ("tracestate", *state)));
    through(&given, |arrived| {
        // Whatever is wrong with the state never affects the parent.
        arrived.joins();
        check(arrived);
    })
    .await;
}

async fn keeps(states: &[&str], expected: &[(&str, &str)]) {
    with(states, |arrived| arrived.has_state(expected)).await;
}

async fn discards(state: &str) {
    with(&[state], |arrived| arrived.has_no_state()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_traceparent_it_is_discarded() {
    through(&[("tracestate", "foo=1")], |arrived| arrived.starts_anew()).await;
    through(&[("tracestate", "foo=1,bar=2")], |arrived| {
        arrived.starts_anew();
        assert!(!arrived.has("bar"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_traceparent_it_is_kept() {
    keeps(&["foo=1,bar=2"], &[("foo", "1"), ("bar", "2")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_are_nearly_tracestate_are_not_it() {
    for name in ["trace-state", "trace.state"] {
        through(&[PARENT, (name, "foo=1")], |arrived| {
            arrived.joins();
            arrived.has_no_state();
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_is_read_in_any_case() {
    for name in ["TraceState", "TrAcEsTaTe", "TRACESTATE"] {
        through(&[PARENT, (name, "foo=1")], |arrived| {
            arrived.joins();
            arrived.has_state(&[("foo", "1")]);
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_header_is_left_out() {
    with(&[""], |arrived| {
        assert_ne!(arrived.state.as_deref(), Some(""))
    })
    .await;
    keeps(&["foo=1", ""], &[("foo", "1")]).await;
    keeps(&["", "foo=1"], &[("foo", "1")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_headers_are_joined_in_order() {
    keeps(
        &["foo=1,bar=2", "rojo=1,congo=2", "baz=3"],
        &[
            ("foo", "1"),
            ("bar", "2"),
            ("rojo", "1"),
            ("congo", "2"),
            ("baz", "3"),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicated_keys_are_kept_whole_or_discarded_whole() {
    for state in ["foo=1,foo=1", "foo=1,foo=2"] {
        with(&[state], |arrived| {
            let kept = arrived.state.as_deref() == Some(state);
            assert!(kept || arrived.members().is_empty(), "{:?}", arrived.state);
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_allowed_characters_are_kept() {
    let key = "abcdefghijklmnopqrstuvwxyz0123456789_-*/";
    let vendor = format!("{key}@a-z0123456789_-*/");
    let value: String = (0x20..=0x7e_u8)
        .map(char::from)
        .filter(|one| !matches!(one, ',' | '='))
        .collect();
    let value = format!("{}~", value.trim_end());
    for key in [key, &vendor] {
        with(&[&format!("{key}={value}")], |arrived| {
            assert_eq!(arrived.state.as_deref(), Some(&*format!("{key}={value}")));
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn white_space_around_members_is_no_part_of_them() {
    let expected = [("foo", "1"), ("bar", "2")];
    for state in [
        "foo=1 \t , \t bar=2, \t baz=3",
        "foo=1\t \t,\t \tbar=2,\t \tbaz=3",
    ] {
        keeps(&[state], &[("foo", "1"), ("bar", "2"), ("baz", "3")]).await;
    }
    for state in [
        " foo=1,bar=2",
        "\tfoo=1,bar=2",
        "foo=1,bar=2 ",
        "\t foo=1,bar=2 \t",
    ] {
        keeps(&[state], &expected).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_with_illegal_characters_discards_all() {
    for key in ["foo ", "FOO", "foo.bar", "föo"] {
        discards(&format!("{key}=1")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_begins_as_none_may_discards_all() {
    for key in ["@foo", "@", "_foo", "-foo", "*foo", "/foo"] {
        discards(&format!("{key}=1,bar=2")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_32_members_are_discarded() {
    let members = |count: usize| {
        (0..count)
            .map(|one| format!("bar{one:02}={one:02}"))
            .collect::<Vec<_>>()
            .join(",")
    };
    with(&[&members(32)], |arrived| {
        assert_eq!(arrived.members().len(), 32)
    })
    .await;
    discards(&members(33)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_more_than_256_characters_discards_all() {
    let key = "z".repeat(256);
    with(&[&format!("foo=1,{key}=1")], |arrived| {
        assert!(arrived.has(&key))
    })
    .await;
    discards(&format!("foo=1,{key}z=1")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_with_illegal_characters_discards_all() {
    for state in ["foo=bar=baz", "foo=,bar=3"] {
        discards(state).await;
    }
}
