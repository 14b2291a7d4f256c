//! What is found.

use super::*;
use crate::backend;
use crate::clock::Timestamp;
use crate::view::{Trace, Value as Seen};
use bytes::Bytes;
use opentelemetry_proto::tonic::common::v1::ArrayValue;
use proptest::prelude::*;
use std::time::Duration;

/// Three traces: 1 is an escrow that failed, 2 one that did not, 3 has no root.
fn three() -> TraceStore {
    let store = store();
    let mut failed = with(span(1, 2, 1, 11), "flow", text("escrow"));
    failed
        .attributes
        .push(pair("http.response.status_code", Value::IntValue(502)));
    failed.status = Some(otlp::Status {
        message: "no".to_owned(),
        code: 2,
    });
    store.take(vec![of("orders", vec![span(1, 1, 0, 10), failed])]);
    let well = with(span(2, 1, 0, 20), "flow", text("escrow"));
    let well = with(well, "service.peer.name", text("payout"));
    store.take(vec![of("orders", vec![well])]);
    store.take(vec![of("payout", vec![span(3, 2, 1, 15)])]);
    store
}

#[test]
fn the_newest_come_first_and_the_limit_says_that_there_are_more() {
    let store = three();

    let all = store.search(&Search::default());
    let two = store.search(&Search {
        limit: 2,
        ..Search::default()
    });

    assert_eq!(found(&store, &Search::default()), [2, 3, 1]);
    assert_eq!((all.is_complete, all.inspected_traces), (true, 3));
    assert!(all.inspected_bytes > 0);
    assert_eq!((two.hits.len(), two.is_complete), (2, false));
    assert_eq!(two.hits[..], all.hits[..2]);
    let none = store.search(&Search {
        limit: 0,
        ..Search::default()
    });
    assert_eq!((none.hits.len(), none.is_complete), (0, false));
    assert_eq!(all.hits[1].summary.root_name, "", "the root is not there");
    assert_eq!(all.hits[1].first_name, "span 2");
    assert_eq!(all.hits[1].first_service, "payout");
}

#[test]
fn moments_and_durations_bound_what_is_found() {
    let store = three();
    let at = |second: u64| Some(Timestamp::from_unix_nanos(second * SECOND));
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    let search = Search::default;

    assert_eq!(
        found(
            &store,
            &Search {
                start: at(15),
                ..search()
            }
        ),
        [2, 3]
    );
    assert_eq!(
        found(
            &store,
            &Search {
                end: at(15),
                ..search()
            }
        ),
        [1]
    );
    assert_eq!(
        found(
            &store,
            &Search {
                min: seconds(2),
                ..search()
            }
        ),
        [1]
    );
    assert_eq!(
        found(
            &store,
            &Search {
                max: seconds(1),
                ..search()
            }
        ),
        [2, 3]
    );
}

#[test]
fn what_people_type_finds_what_they_mean() {
    let store = three();
    for (typed, ids) in [
        ("{ .flow = \"escrow\" }", &[2, 1][..]),
        ("{ .flow = \"escrow\" && status = error }", &[1]),
        (
            "{ resource.service.name = \"payout\" || span.service.peer.name = \"payout\" }",
            &[2, 3],
        ),
        ("{ .http.response.status_code >= 500 }", &[1]),
        ("{ .http.response.status_code = \"502\" }", &[]),
        ("{ .flow != \"escrow\" }", &[]),
        ("{ !(.flow = \"escrow\") }", &[3, 1]),
        ("{ .flow = nil }", &[3, 1]),
        ("{ .flow =~ \"esc.*\" }", &[2, 1]),
        ("{ .flow =~ \"esc\" }", &[]),
        ("{ traceDuration > 1s }", &[1]),
        ("{ rootServiceName = \"orders\" }", &[2, 1]),
        ("{ rootName = nil }", &[3]),
        ("{ statusMessage = \"no\" }", &[1]),
        ("{ name = \"span 1\" } > { status = error }", &[1]),
        ("{ status = error } > { }", &[]),
        ("{} | count() > 1", &[1]),
        (
            "{ kind = server } | avg(duration) < 2s | select(.flow)",
            &[2, 3, 1],
        ),
        ("{ trace:id = \"03030303030303030303030303030303\" }", &[3]),
    ] {
        assert_eq!(found(&store, &query(typed)), ids, "{typed}");
    }
}

#[test]
fn a_hit_tells_what_was_asked_about() {
    let store = three();

    let answer = store.search(&query(
        "{ .flow = \"escrow\" && status = error } | select(.http.response.status_code)",
    ));

    let hit = &answer.hits[0];
    assert_eq!((hit.matched, hit.spans.len()), (1, 1));
    assert_eq!(hit.spans[0].name, "span 2");
    assert_eq!(
        hit.spans[0].attributes,
        [
            ("http.response.status_code".to_owned(), Seen::Int(502)),
            ("flow".to_owned(), Seen::Text("escrow".to_owned())),
        ]
    );
    assert_eq!(hit.summary.flow.as_deref(), Some("escrow"));
    assert_eq!(hit.summary.is_error, Some(true));
    assert_eq!((hit.services[0].spans, hit.services[0].errors), (2, 1));
}

#[test]
fn the_conditions_of_a_command_hold_together() {
    let store = three();
    let asked = backend::Query {
        service: Some("payout".to_owned()),
        route: None,
        flow: None,
        tags: Vec::new(),
        error: false,
        min: None,
        max: None,
        traceql: None,
        start: Timestamp::from_unix_nanos(0),
        end: Timestamp::from_unix_nanos(99 * SECOND),
        limit: 9,
    };
    let ask = |query: &backend::Query| found(&store, &Search::of(query).unwrap());

    assert_eq!(ask(&asked), [2, 3], "of the resource or of the peer");
    let flow = backend::Query {
        flow: Some("escrow".to_owned()),
        ..asked.clone()
    };
    assert_eq!(ask(&flow), [2]);
    let error = backend::Query {
        service: None,
        error: true,
        ..flow.clone()
    };
    assert_eq!(ask(&error), [1]);
    let tag = ("http.response.status_code".to_owned(), "502".to_owned());
    let tags = backend::Query {
        service: None,
        tags: vec![tag],
        ..asked.clone()
    };
    assert_eq!(ask(&tags), [1], "a number that is written is a number, too");
    let typed = backend::Query {
        traceql: Some("{} | count() = 1".to_owned()),
        ..flow
    };
    assert_eq!(ask(&typed), [2]);
    let wrong = backend::Query {
        traceql: Some("{".to_owned()),
        ..asked
    };
    assert!(Search::of(&wrong).is_err());
}

fn value_strategy() -> impl Strategy<Value = Value> {
    let list = |texts: &[&str]| {
        let one = |one: &&str| AnyValue {
            value: Some(text(one)),
        };
        Value::ArrayValue(ArrayValue {
            values: texts.iter().map(one).collect(),
        })
    };
    prop_oneof![
        prop::sample::select(vec!["x", "y", "xy", ""]).prop_map(text),
        (-1_i64..3).prop_map(Value::IntValue),
        prop::sample::select(vec![0.5, 1.0]).prop_map(Value::DoubleValue),
        any::<bool>().prop_map(Value::BoolValue),
        Just(list(&["x", "y"])),
        Just(list(&[])),
    ]
}

fn pairs_strategy() -> impl Strategy<Value = Vec<KeyValue>> {
    let keys = prop::sample::subsequence(vec!["a", "b", "c"], 0..3);
    (keys, prop::collection::vec(value_strategy(), 3)).prop_map(|(keys, values)| {
        keys.into_iter()
            .zip(values)
            .map(|(key, value)| pair(key, value))
            .collect()
    })
}

/// A span; its parent is one of the ids that others may have.
pub(super) fn span_strategy() -> impl Strategy<Value = otlp::Span> {
    let times = (0..4_u64, 0..4_u64, 0..6_u8);
    let rest = (
        prop::option::of(pairs_strategy()),
        prop::option::of(pairs_strategy()),
        0..3_i32,
    );
    (0..3_u8, times, pairs_strategy(), rest).prop_map(
        |(name, (start, length, parent), pairs, (event, link, code))| {
            let mut one = span(1, 1, parent, start);
            one.name = format!("n{name}");
            one.kind = i32::from(name) + 1;
            one.end_time_unix_nano = (start + length) * SECOND;
            one.attributes = pairs;
            one.events = event
                .into_iter()
                .map(|attributes| otlp::span::Event {
                    name: format!("e{name}"),
                    attributes,
                    ..otlp::span::Event::default()
                })
                .collect();
            one.links = link
                .into_iter()
                .map(|attributes| otlp::span::Link {
                    trace_id: vec![9; 16],
                    span_id: vec![name + 1; 8],
                    attributes,
                    ..otlp::span::Link::default()
                })
                .collect();
            one.status = (code > 0).then(|| otlp::Status {
                message: format!("m{name}"),
                code,
            });
            one
        },
    )
}

fn compare_strategy() -> impl Strategy<Value = String> {
    let fields = vec![
        ".a",
        ".b",
        "span.a",
        "resource.a",
        ".service.name",
        "event.a",
        "link.b",
    ];
    let literals = vec!["\"x\"", "\"y\"", "1", "0", "0.5", "true", "nil", "1s"];
    let ops = vec!["=", "!=", "<", "<=", ">", ">="];
    let of = |fields: Vec<&'static str>, literals: Vec<&'static str>| {
        let ops = vec!["=", "!="];
        (
            prop::sample::select(fields),
            prop::sample::select(ops),
            prop::sample::select(literals),
        )
    };
    let said = |(field, op, literal): (&str, &str, &str)| format!("{field} {op} {literal}");
    let patterns = vec!["\"x|n1\"", "\".*y\"", "\"\""];
    let patterned = vec![".a", "name", "span.b", "event:name", "rootName"];
    prop_oneof![
        4 => (prop::sample::select(fields), prop::sample::select(ops.clone()), prop::sample::select(literals)).prop_map(said),
        1 => of(vec!["status"], vec!["error", "ok", "unset"]).prop_map(said),
        1 => of(vec!["kind"], vec!["server", "client"]).prop_map(said),
        1 => of(vec!["name", "rootName", "event:name", "statusMessage"], vec!["\"n1\"", "\"e1\"", "\"m1\"", "nil"]).prop_map(said),
        1 => of(vec!["rootServiceName", "span:parentID", "link:spanID"], vec!["\"s1\"", "\"0101010101010101\"", "nil"]).prop_map(said),
        1 => (prop::sample::select(vec!["duration", "traceDuration"]), prop::sample::select(ops), prop::sample::select(vec!["1s", "3s"])).prop_map(said),
        1 => (prop::sample::select(patterned), prop::sample::select(vec!["=~", "!~"]), prop::sample::select(patterns)).prop_map(said),
    ]
}

fn braces_strategy() -> impl Strategy<Value = String> {
    let condition = compare_strategy().prop_recursive(3, 8, 2, |inner| {
        let joined = (
            inner.clone(),
            prop::sample::select(vec!["&&", "||"]),
            inner.clone(),
        );
        prop_oneof![
            joined.prop_map(|(left, op, right)| format!("({left}) {op} ({right})")),
            inner.prop_map(|inner| format!("!({inner})")),
        ]
    });
    prop_oneof![
        1 => Just("{ }".to_owned()),
        5 => condition.prop_map(|inner| format!("{{ {inner} }}")),
    ]
}

fn query_strategy() -> impl Strategy<Value = String> {
    let ops = vec![
        "&&", "||", ">", ">>", "<", "<<", "~", "!>", "!>>", "!<", "!<<", "!~", "&>", "&>>", "&<",
        "&<<", "&~",
    ];
    let stages = vec![
        "",
        "",
        "",
        " | count() > 1",
        " | avg(duration) >= 2s",
        " | max(.a) > 0",
        " | min(.a) < 1",
        " | sum(span.b) = 1",
        " | select(.a)",
    ];
    let set = braces_strategy().prop_recursive(2, 4, 2, move |inner| {
        (inner.clone(), prop::sample::select(ops.clone()), inner)
            .prop_map(|(left, op, right)| format!("({left}) {op} ({right})"))
    });
    (
        set,
        prop::sample::select(stages),
        prop::option::of(braces_strategy()),
    )
        .prop_map(|(set, stage, more)| match more {
            Some(more) => format!("({set}{stage}) && {more} | {more}"),
            None => format!("{set}{stage}"),
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn a_search_finds_what_the_meaning_says(
        traces in prop::collection::vec(prop::collection::vec((span_strategy(), 0..3_usize), 1..8), 1..4),
        services in prop::collection::vec(pairs_strategy(), 3),
        typed in query_strategy(),
    ) {
        let Ok(parsed) = Query::parse(&typed) else {
            // Types that never fit are refused.
            return Ok(());
        };
        let store = TraceStore::new(&StoreSettings::default());
        for (number, spans) in traces.iter().enumerate() {
            for (at, (span, service)) in spans.iter().enumerate() {
                let mut span = span.clone();
                span.trace_id = vec![number as u8 + 1; 16];
                span.span_id = vec![at as u8 + 1; 8];
                let mut group = of(&format!("s{service}"), vec![span]);
                let resource = group.resource.as_mut().unwrap();
                resource.attributes.extend(services[*service].iter().cloned());
                if *service == 0 {
                    let resource = Bytes::from(resource.encode_to_vec());
                    let spans = group.scope_spans.remove(0).spans;
                    store.sink(resource).accept(&finished(spans));
                } else {
                    store.take(vec![group]);
                }
            }
        }

        let answer = store.search(&query(&typed));

        let mut expected = Vec::new();
        for number in 1..=traces.len() {
            let id = id(number as u8);
            let trace = Trace::of_resource_spans(id, &store.trace(id).unwrap());
            let selected = oracle::select(&parsed, &trace);
            if !selected.is_empty() {
                expected.push((id.to_string(), selected.len() as u32));
            }
        }
        let mut found: Vec<_> = answer.hits.iter()
            .map(|hit| (hit.summary.id.to_string(), hit.matched))
            .collect();
        found.sort();
        prop_assert_eq!(found, expected, "{}", parsed);
    }
}

#[test]
fn many_comparisons_are_told_apart_as_few_are() {
    let store = store();
    for trace in 1..=12 {
        let one = (1..=trace).fold(span(trace, 1, 0, 1), |one, key| {
            with(one, &format!("key {key}"), text("value"))
        });
        store.take(vec![of("shop", vec![one])]);
    }
    for count in [1, 8, 9, 12] {
        let compares: Vec<String> = (1..=count)
            .map(|key| format!(r#"span."key {key}" = "value""#))
            .collect();
        let asked = query(&format!("{{ {} }}", compares.join(" && ")));
        let expected: Vec<u8> = (count..=12).rev().collect();
        assert_eq!(found(&store, &asked), expected, "{count}");
    }
}

#[test]
fn a_search_ends_when_its_time_is_up_and_finds_nothing() {
    let store = store();
    for trace in 1..=40 {
        let long = "ab".repeat(16 * 1024) + &trace.to_string();
        let one = with(span(trace, 1, 0, 1), "key", text(&long));
        let named = otlp::Span { name: long, ..one };
        store.take(vec![of("shop", vec![named])]);
    }
    // So large that the engine cannot keep its states: it tries all of them on each byte.
    let slow = "(a|b)*a(a|b){1500}c";
    for asked in [
        format!(r#"{{ .key =~ "{slow}" }}"#),
        format!(r#"{{ name =~ "{slow}" }}"#),
        format!(r#"{{ rootName =~ "{slow}" }}"#),
    ] {
        let search = Search {
            within: std::time::Duration::from_millis(1),
            ..query(&asked)
        };

        let answer = store.search(&search);

        assert!(answer.is_cut_off && !answer.is_complete, "{asked}");
        assert_eq!(answer.hits, [], "{asked}");
    }
}

#[test]
fn no_pattern_is_tried_on_a_text_longer_than_64_kib() {
    let store = store();
    for (trace, length) in [(1, 64 * 1024), (2, 64 * 1024 + 1)] {
        let one = with(span(trace, 1, 0, 1), "key", text(&"a".repeat(length)));
        store.take(vec![of("shop", vec![one])]);
    }
    assert_eq!(found(&store, &query(r#"{ .key =~ "a+" }"#)), [1]);
    assert_eq!(found(&store, &query(r#"{ .key !~ "b" }"#)), [1]);
    assert_eq!(found(&store, &query("{ .key != nil }")), [2, 1]);
}
