//! One request, several calls of the service: 3 cases.
//!
//! As an ingress, edgespan cannot tell calls apart that a service without tracing makes with one
//! copied header: they share its parent there, and the same trace in both wirings.

use super::{Arrived, TRACE_ID, Wiring, lines, through_calls};
use std::collections::HashSet;

const CALLS: usize = 3;

fn check(wiring: Wiring, arrived: &[Arrived]) {
    let traces: HashSet<&str> = arrived.iter().map(|one| &*one.trace_id).collect();
    let parents: HashSet<&str> = arrived.iter().map(|one| &*one.parent_id).collect();
    match wiring {
        Wiring::Egress => assert_eq!(parents.len(), CALLS, "each call has its own span"),
        Wiring::Ingress => assert_eq!((traces.len(), parents.len()), (1, 1)),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_valid_traceparent_all_join_it() {
    let parent = format!("00-{TRACE_ID}-1234567890123456-01");
    through_calls(
        &lines(&[("traceparent", &parent)]),
        CALLS,
        |wiring, arrived| {
            check(wiring, arrived);
            arrived.iter().for_each(Arrived::joins);
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_traceparent_none_repeats_an_id() {
    through_calls(&lines(&[]), CALLS, check).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_an_illegal_traceparent_none_keeps_it() {
    let parent = format!("00-{TRACE_ID}-1234567890123456-1");
    through_calls(
        &lines(&[("traceparent", &parent)]),
        CALLS,
        |wiring, arrived| {
            check(wiring, arrived);
            arrived.iter().for_each(Arrived::starts_anew);
        },
    )
    .await;
}
