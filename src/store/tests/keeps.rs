//! What goes in comes out.

use super::*;
use crate::store::{Changes, Kept, Scope, Taken};
use crate::view::Value as Seen;
use bytes::Bytes;
use proptest::prelude::*;
use std::time::Duration;

/// A span with everything a span can have.
fn rich() -> otlp::Span {
    let mut span = with(span(1, 1, 0, 10), "flow", text("escrow"));
    span.attributes.push(pair("n", Value::IntValue(-7)));
    span.attributes.push(pair("f", Value::DoubleValue(0.5)));
    span.attributes.push(pair("b", Value::BoolValue(false)));
    span.attributes
        .push(pair("bytes", Value::BytesValue(vec![0, 255])));
    span.trace_state = "a=b".to_owned();
    span.flags = 0x101;
    span.dropped_attributes_count = 3;
    span.events.push(otlp::span::Event {
        time_unix_nano: 11 * SECOND,
        name: "exception".to_owned(),
        attributes: vec![pair("exception.type", text("Oops"))],
        dropped_attributes_count: 1,
    });
    span.links.push(otlp::span::Link {
        trace_id: vec![9; 16],
        span_id: vec![8; 8],
        attributes: vec![pair("why", text("retry"))],
        ..otlp::span::Link::default()
    });
    span.status = Some(otlp::Status {
        message: "broke".to_owned(),
        code: 2,
    });
    span
}

#[test]
fn what_was_accepted_is_there_at_once_and_as_it_came() {
    let store = store();
    let sink = store.sink(Bytes::from(resource("orders").encode_to_vec()));

    sink.accept(&finished(vec![rich(), span(1, 2, 1, 10)]));

    let groups = store.trace(id(1)).unwrap();
    assert_eq!(groups.len(), 1);
    assert_eq!(groups[0].resource, Some(resource("orders")));
    assert_eq!(groups[0].schema_url, crate::trace::resource::SCHEMA_URL);
    let scope = groups[0].scope_spans[0].scope.as_ref().unwrap();
    assert_eq!(scope.name, "edgespan");
    assert_eq!(groups[0].scope_spans[0].spans, [rich(), span(1, 2, 1, 10)]);
    assert_eq!(store.trace(id(2)), None);
}

#[test]
fn an_attribute_whose_tag_is_written_longer_than_needed_is_an_attribute() {
    let store = store();
    let sink = store.sink(Bytes::new());
    let odd = pair("odd", text("x")).encode_to_vec();
    let spans = [1, 2].map(|number| with(span(1, number, 0, 10), "a", text("1")));
    for span in &spans {
        let mut bytes = span.encode_to_vec();
        // Field 9 of wire type 2, in two bytes.
        bytes.extend_from_slice(&[0xca, 0x00, odd.len() as u8]);
        bytes.extend_from_slice(&odd);
        let head = [0x12, bytes.len() as u8];
        sink.accept(&FinishedSpans {
            bytes: [head.as_slice(), bytes.as_slice()].concat(),
            count: 1,
        });
    }

    let groups = store.trace(id(1)).unwrap();

    let expected = spans.map(|span| with(span, "odd", text("x")));
    assert_eq!(groups[0].scope_spans[0].spans, expected);
}

#[test]
fn pieces_of_several_services_are_one_trace() {
    let store = store();
    let sink = store.sink(Bytes::from(resource("edge").encode_to_vec()));

    let taken = store.take(vec![of("orders", vec![span(1, 2, 1, 11)])]);
    sink.accept(&finished(vec![span(1, 1, 0, 10)]));
    store.take(vec![
        of("orders", vec![span(1, 3, 2, 12)]),
        of("payout", vec![span(1, 4, 3, 13)]),
    ]);

    assert_eq!(
        taken,
        Taken {
            taken: 1,
            refused: 0
        }
    );
    let groups = store.trace(id(1)).unwrap();
    let services: Vec<_> = groups
        .iter()
        .map(|group| group.resource.clone().unwrap())
        .collect();
    assert_eq!(
        services,
        [resource("orders"), resource("edge"), resource("payout")]
    );
    assert_eq!(groups[0].scope_spans[0].spans.len(), 2);
    let hits = store.search(&Search::default()).hits;
    assert_eq!(hits.len(), 1);
    let summary = &hits[0].summary;
    assert_eq!(
        (summary.root_service.as_str(), summary.root_name.as_str()),
        ("edge", "span 1")
    );
    assert_eq!(
        (summary.start, summary.duration, summary.spans),
        (10 * SECOND, 4 * SECOND, Some(4))
    );
    assert_eq!(hits[0].services.len(), 3);
}

#[test]
fn spans_without_valid_ids_are_refused_and_counted() {
    let store = store();
    let mut short = span(1, 1, 0, 10);
    short.span_id = vec![1; 7];
    let mut zero = span(1, 1, 0, 10);
    zero.trace_id = vec![0; 16];

    let taken = store.take(vec![of("a", vec![short, zero, span(2, 1, 0, 10)])]);

    assert_eq!(
        taken,
        Taken {
            taken: 1,
            refused: 2
        }
    );
    let stats = store.stats();
    assert_eq!((stats.traces, stats.spans, stats.refused_spans), (1, 1, 2));
    assert_eq!(stats.began.unwrap().as_unix_nanos(), 10 * SECOND);
}

#[test]
fn whoever_records_spans_is_written_down_once_in_a_segment() {
    let store = store();
    for round in 0..3 {
        for service in 0..100 {
            let one = span(service + 1, round + 1, 0, 10);
            store.take(vec![of(&format!("service {service}"), vec![one])]);
        }
    }

    let sources = store.0.read(|index| {
        let segments = index.segments().iter();
        segments.map(|one| one.sources().len()).collect::<Vec<_>>()
    });

    assert_eq!(sources, [100]);
}

#[test]
fn a_span_that_its_sender_sent_twice_is_there_once() {
    let store = store();
    for _ in 0..2 {
        store.take(vec![of("a", vec![span(1, 1, 0, 10)])]);
    }
    let mut other_end = span(1, 1, 0, 10);
    other_end.kind = 3;
    store.take(vec![of("b", vec![other_end])]);

    let groups = store.trace(id(1)).unwrap();

    let spans: usize = groups
        .iter()
        .map(|group| group.scope_spans[0].spans.len())
        .sum();
    assert_eq!(spans, 2, "the two ends of a call that share an id stay two");
}

#[test]
fn ids_are_found_by_how_they_begin_the_newest_first() {
    let store = store();
    for trace in [0x11, 0x12, 0x21] {
        store.take(vec![of("a", vec![span(trace, 1, 0, 10)])]);
    }

    assert_eq!(store.ids_with_prefix("1", 9), [id(0x12), id(0x11)]);
    assert_eq!(store.ids_with_prefix("1", 1), [id(0x12)]);
    assert_eq!(store.ids_with_prefix("3", 9), []);
    assert_eq!(store.ids_with_prefix("", 9).len(), 3);
}

#[tokio::test]
async fn whoever_waits_for_changes_gets_each_trace_once_and_misses_none() {
    let store = store();
    let sink = store.sink(Bytes::new());
    assert_eq!(store.since(0, 9), Changes::default());
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.changed(0).await }
    });
    tokio::task::yield_now().await;

    sink.accept(&finished(vec![span(1, 1, 0, 10), span(1, 2, 0, 10)]));
    let now = tokio::time::timeout(Duration::from_secs(10), waiting).await;
    sink.accept(&finished(vec![span(2, 1, 0, 10)]));
    sink.accept(&finished(vec![span(1, 3, 0, 10)]));

    assert_eq!(now.unwrap().unwrap(), 2);
    let changes = store.since(2, 9);
    assert_eq!((changes.sequence, changes.traces), (4, vec![id(2), id(1)]));
    let changes = store.since(0, 1);
    assert_eq!((changes.missed, changes.traces), (true, vec![id(2)]));
    assert_eq!(
        store.changed(3).await,
        4,
        "what is there already is not waited for"
    );
}

#[test]
fn names_and_values_are_told_by_scope() {
    let store = store();
    let two = with(span(2, 1, 0, 10), "flow", text("b"));
    let two = with(two, "service.name", text("of the span"));
    store.take(vec![of("orders", vec![rich(), two])]);
    let names = |scope| store.tag_names(scope, 99).items;
    let values = |scope, name| store.tag_values(scope, name, 99).items;
    let texts = |texts: &[&str]| -> Vec<Seen> {
        texts
            .iter()
            .map(|text| Seen::Text((*text).to_owned()))
            .collect()
    };

    assert_eq!(names(Scope::Resource), ["service.name"]);
    assert_eq!(
        names(Scope::Span),
        ["b", "bytes", "f", "flow", "n", "service.name"]
    );
    assert_eq!(names(Scope::Event), ["exception.type"]);
    assert_eq!(names(Scope::Link), ["why"]);
    assert!(names(Scope::Intrinsic).contains(&"rootName".to_owned()));
    assert_eq!(values(Some(Scope::Span), "flow"), texts(&["b", "escrow"]));
    assert_eq!(
        values(Some(Scope::Span), "service.name"),
        texts(&["of the span"])
    );
    assert_eq!(
        values(Some(Scope::Resource), "service.name"),
        texts(&["orders"])
    );
    assert_eq!(
        values(None, "service.name"),
        texts(&["of the span", "orders"])
    );
    assert_eq!(values(None, "n"), [Seen::Int(-7)]);
    assert_eq!(
        values(Some(Scope::Event), "exception.type"),
        texts(&["Oops"])
    );
    assert_eq!(values(Some(Scope::Link), "why"), texts(&["retry"]));
    let intrinsic = |name| values(Some(Scope::Intrinsic), name);
    assert_eq!(intrinsic("name"), texts(&["span 1"]));
    assert_eq!(intrinsic("statusMessage"), texts(&["broke"]));
    assert_eq!(intrinsic("event:name"), texts(&["exception"]));
    assert_eq!(intrinsic("rootServiceName"), texts(&["orders"]));
    assert_eq!(intrinsic("status"), texts(&["error", "ok", "unset"]));
    let one = store.tag_values(None, "flow", 1);
    assert_eq!((one.items.len(), one.is_complete), (1, false));
}

proptest! {
    #[test]
    fn no_bytes_accepted_make_the_store_panic(bytes: Vec<u8>, more: Vec<u8>) {
        let store = store();
        let sink = store.sink(Bytes::from(more));
        let mut torn = finished(vec![rich()]);
        torn.bytes.truncate(bytes.len() * 4);
        torn.bytes.extend_from_slice(&bytes);
        sink.accept(&torn);
        sink.accept(&FinishedSpans { bytes, count: 1 });
        let _ = store.search(&query("{ .flow = \"escrow\" || event.x != nil || name =~ \".*\" }"));
        let _ = store.trace(id(1));
        let _ = store.tag_values(None, "flow", 9);
    }

    #[test]
    fn every_span_that_was_taken_reads_back_the_same(
        spans in prop::collection::vec(super::searches::span_strategy(), 1..20)
    ) {
        let mut spans = spans;
        for (number, span) in spans.iter_mut().enumerate() {
            span.span_id = (number as u64 + 1).to_be_bytes().to_vec();
            span.trace_id = vec![1; 16];
        }
        let store = store();
        for span in &spans {
            store.take(vec![of("a", vec![span.clone()])]);
        }

        let Kept { groups, cut_spans } = store.kept(id(1)).unwrap();

        prop_assert_eq!(cut_spans, 0);
        prop_assert_eq!(&groups[0].scope_spans[0].spans, &spans);
    }
}
