//! What happens at the bound.

use super::*;
use bytes::Bytes;

/// A span of some hundred bytes that no other span shares.
fn distinct(number: u64) -> otlp::Span {
    let mut one = span(1, 1, 0, number);
    one.trace_id = [7_u64.to_be_bytes(), number.to_be_bytes()].concat();
    with(one, "unique", text(&format!("{number:0300}")))
}

fn trace_of(number: u64) -> TraceId {
    TraceId::from_bytes(distinct(number).trace_id.try_into().unwrap())
}

#[test]
fn the_oldest_traces_leave_whole_and_the_bound_holds() {
    let bytes_max = 1 << 20;
    let store = TraceStore::new(&StoreSettings { bytes_max });
    for number in 1..=10_000 {
        let mut child = distinct(number);
        child.span_id = vec![2; 8];
        store.take(vec![of("a", vec![distinct(number), child])]);
        if number % 500 == 0 {
            let stats = store.stats();
            assert!(stats.bytes <= bytes_max as u64 + (64 << 10), "{stats:?}");
        }
    }

    let stats = store.stats();

    assert!(
        stats.bytes > bytes_max as u64 / 2,
        "most of it is used: {stats:?}"
    );
    assert_eq!(stats.traces + stats.evicted_traces, 10_000);
    assert_eq!(stats.spans + stats.evicted_spans, 20_000);
    assert!(stats.evicted_traces > 5000, "{stats:?}");
    let oldest = stats.evicted_traces + 1;
    assert_eq!(store.trace(trace_of(oldest - 1)), None);
    assert_eq!(stats.began.unwrap().as_unix_nanos(), oldest * SECOND);
    for number in oldest..=10_000 {
        let groups = store.trace(trace_of(number)).unwrap();
        assert_eq!(groups[0].scope_spans[0].spans.len(), 2, "{number}");
    }
    let all = store.search(&Search {
        limit: 100_000,
        ..Search::default()
    });
    assert_eq!(all.hits.len() as u64, stats.traces);
    assert!(store.since(0, 9).missed, "some have left");
}

#[test]
fn a_trace_that_would_fill_the_store_is_cut_and_says_so() {
    let bytes_max = 1 << 20;
    let store = TraceStore::new(&StoreSettings { bytes_max });
    store.take(vec![of("a", vec![span(2, 1, 0, 10)])]);
    let mut refused = 0;
    for number in 1..=10_000_u64 {
        let mut one = distinct(1);
        one.span_id = number.to_be_bytes().to_vec();
        refused += store.take(vec![of("a", vec![one])]).refused;
    }

    let kept = store.kept(trace_of(1)).unwrap();

    let spans = kept.groups[0].scope_spans[0].spans.len() as u64;
    assert_eq!((spans + refused, kept.cut_spans), (10_000, refused));
    assert!(refused > 9000, "{refused}");
    assert!(store.trace(id(2)).is_some(), "other traces stay");
    assert_eq!(store.stats().refused_spans, refused);
}

#[test]
fn a_smaller_bound_holds_at_once_and_a_larger_one_keeps_more() {
    let store = TraceStore::new(&StoreSettings { bytes_max: 8 << 20 });
    for number in 1..=5000 {
        store.take(vec![of("a", vec![distinct(number)])]);
    }
    assert_eq!(store.stats().evicted_traces, 0);

    store.resize(&StoreSettings { bytes_max: 1 << 20 });

    let stats = store.stats();
    assert!(
        stats.bytes <= 1 << 20 && stats.evicted_traces > 0,
        "{stats:?}"
    );
    assert_eq!(stats.bytes_max, 1 << 20);
    store.resize(&StoreSettings { bytes_max: 8 << 20 });
    for number in 5001..=8000 {
        store.take(vec![of("a", vec![distinct(number)])]);
    }
    assert_eq!(store.stats().evicted_traces, stats.evicted_traces);
}

#[test]
fn spans_that_are_alike_share_their_attributes() {
    let store = store();
    for number in 1..=20_000 {
        let mut one = span(1, 1, 0, number);
        one.trace_id = [7_u64.to_be_bytes(), number.to_be_bytes()].concat();
        for key in 0..20 {
            one = with(one, &format!("key {key}"), text("value"));
        }
        store.take(vec![of("a", vec![one])]);
    }

    let stats = store.stats();

    // A row, a trace and its place in the table; 80 bytes more if each had its own list.
    assert_eq!(stats.traces, 20_000);
    assert!(stats.bytes / stats.traces < 170, "{stats:?}");
}

#[test]
fn a_span_that_alone_is_too_large_begins_no_trace() {
    let store = TraceStore::new(&StoreSettings { bytes_max: 1 << 20 });
    let large = with(span(1, 1, 0, 10), "large", text(&"x".repeat(1 << 17)));

    let taken = store.take(vec![of("a", vec![large])]);

    assert_eq!((taken.refused, store.stats().traces), (1, 0));
    assert_eq!(store.trace(id(1)), None);
}

#[test]
fn while_nobody_asks_the_store_sorts_in_by_itself_and_keeps_its_bound() {
    let store = TraceStore::new(&StoreSettings { bytes_max: 1 << 20 });
    let sink = store.sink(Bytes::new());
    for number in 1..=20_000 {
        sink.accept(&finished(vec![distinct(number)]));
    }

    let stats = store.stats();

    let known = stats.spans + stats.evicted_spans + stats.refused_spans;
    assert_eq!(
        known, 20_000,
        "every span is kept, was kept, or was refused: {stats:?}"
    );
    assert!(stats.bytes <= (1 << 20) + (64 << 10), "{stats:?}");
}

#[test]
fn spans_accepted_by_many_threads_during_searches_are_all_counted() {
    let store = store();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let sink = store.sink(Bytes::from(resource("edge").encode_to_vec()));
            scope.spawn(move || {
                for number in 0..500 {
                    sink.accept(&finished(vec![distinct(thread * 1000 + number)]));
                }
            });
        }
        for _ in 0..20 {
            store.search(&query("{ .unique != nil }"));
        }
    });

    let stats = store.stats();

    assert_eq!(stats.spans + stats.refused_spans, 2000);
    assert_eq!(
        store.search(&query("{ .unique != nil }")).inspected_traces,
        stats.traces
    );
}

#[test]
fn the_thread_of_the_store_outlives_a_panic() {
    let store = store();
    let name = || Some(std::thread::current().name()?.to_owned());

    let nothing: Option<u32> = store.0.write(|_| panic!("a test's own"));

    assert_eq!(nothing, None);
    assert_eq!(
        store.0.write(move |_| name()).as_deref(),
        Some("edgespan-store")
    );
    let taken = store.take(vec![of("shop", vec![span(1, 1, 0, 1)])]);
    assert_eq!((taken.taken, store.stats().spans), (1, 1));
}

#[test]
fn figures_wait_for_no_search() {
    let store = store();
    store.take(vec![of("shop", vec![span(1, 1, 0, 1)])]);
    let before = store.stats();
    let (tell, told) = std::sync::mpsc::channel();
    let (writing, asking) = (store.clone(), store.clone());

    let stats = store.0.read(|_| {
        // Waits for us; and whoever reads after it waits for it.
        std::thread::spawn(move || writing.take(vec![of("shop", vec![span(2, 1, 0, 1)])]));
        std::thread::spawn(move || tell.send(asking.stats()));
        told.recv_timeout(std::time::Duration::from_secs(30))
    });

    assert_eq!(stats, Ok(before));
}
