//! `traceparent`: 23 cases.

use super::{PARENT_ID, TRACE_ID, through};

fn parent(version: &str, trace: &str, span: &str, flags: &str) -> String {
    format!("{version}-{trace}-{span}-{flags}")
}

async fn joins(value: &str) {
    through(&[("traceparent", value)], |arrived| arrived.joins()).await;
}

async fn starts_anew(value: &str) {
    through(
        &[("traceparent", value), ("tracestate", "foo=1")],
        |arrived| arrived.starts_anew(),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_headers_missing_start_a_trace() {
    through(&[], |arrived| arrived.starts_anew()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn traceparent_alone_is_joined() {
    joins(&parent("00", TRACE_ID, PARENT_ID, "01")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicated_traceparent_starts_a_trace() {
    let first = parent("00", "12345678901234567890123456789011", PARENT_ID, "01");
    let second = parent("00", TRACE_ID, PARENT_ID, "01");
    let given = [
        ("traceparent", &*first),
        ("traceparent", &*second),
        ("tracestate", "foo=1"),
    ];
    through(&given, |arrived| {
        arrived.starts_anew();
        assert_ne!(arrived.trace_id, "12345678901234567890123456789011");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_are_nearly_traceparent_are_not_it() {
    let value = parent("00", TRACE_ID, PARENT_ID, "01");
    for name in ["trace-parent", "trace.parent"] {
        through(&[(name, &value)], |arrived| arrived.starts_anew()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_is_read_in_any_case() {
    let value = parent("00", TRACE_ID, PARENT_ID, "01");
    for name in ["TraceParent", "TrAcEpArEnT", "TRACEPARENT"] {
        through(&[(name, &value)], |arrived| arrived.joins()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn version_00_is_exactly_four_fields() {
    let value = parent("00", TRACE_ID, PARENT_ID, "01");
    for more in [".", "-", "-01", "-what-the-future-will-be-like"] {
        starts_anew(&format!("{value}{more}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_higher_version_may_have_more_fields() {
    let value = parent("cc", TRACE_ID, PARENT_ID, "01");
    joins(&value).await;
    joins(&format!("{value}-what-the-future-will-be-like")).await;
    starts_anew(&format!("{value}.what-the-future-will-not-be-like")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn version_ff_is_forbidden() {
    starts_anew(&parent("ff", TRACE_ID, PARENT_ID, "01")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn version_with_illegal_characters() {
    for version in [".0", "0.", "0G", "CC"] {
        starts_anew(&parent(version, TRACE_ID, PARENT_ID, "01")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn version_too_long() {
    for version in ["000", "0000"] {
        starts_anew(&parent(version, TRACE_ID, PARENT_ID, "01")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn version_too_short() {
    starts_anew(&parent("0", TRACE_ID, PARENT_ID, "01")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trace_id_all_zero() {
    let zero = "0".repeat(32);
    through(
        &[("traceparent", &parent("00", &zero, PARENT_ID, "01"))],
        |arrived| {
            assert_ne!(arrived.trace_id, "0".repeat(32));
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trace_id_with_illegal_characters() {
    for trace in [
        ".2345678901234567890123456789012",
        "1234567890123456789012345678901.",
    ] {
        starts_anew(&parent("00", trace, PARENT_ID, "01")).await;
    }
    starts_anew(&parent(
        "00",
        "1234567890123456789012345678901A",
        PARENT_ID,
        "01",
    ))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trace_id_too_long() {
    starts_anew(&parent("00", &format!("{TRACE_ID}3"), PARENT_ID, "01")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trace_id_too_short() {
    starts_anew(&parent("00", &TRACE_ID[1..], PARENT_ID, "01")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parent_id_all_zero() {
    starts_anew(&parent("00", TRACE_ID, "0000000000000000", "01")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parent_id_with_illegal_characters() {
    for span in [".234567890123456", "123456789012345.", "123456789012345A"] {
        starts_anew(&parent("00", TRACE_ID, span, "01")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parent_id_too_long() {
    starts_anew(&parent("00", TRACE_ID, &format!("{PARENT_ID}7"), "01")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parent_id_too_short() {
    starts_anew(&parent("00", TRACE_ID, &PARENT_ID[1..], "01")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn flags_with_illegal_characters() {
    for flags in [".0", "0.", "0A"] {
        starts_anew(&parent("00", TRACE_ID, PARENT_ID, flags)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn flags_too_long() {
    starts_anew(&parent("00", TRACE_ID, PARENT_ID, "001")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn flags_too_short() {
    starts_anew(&parent("00", TRACE_ID, PARENT_ID, "1")).await;
    starts_anew(&format!("00-{TRACE_ID}-{PARENT_ID}-")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn white_space_around_the_value_is_no_part_of_it() {
    let value = parent("00", TRACE_ID, PARENT_ID, "01");
    for padded in [
        format!(" {value}"),
        format!("\t{value}"),
        format!("{value} \t"),
    ] {
        joins(&padded).await;
    }
}
