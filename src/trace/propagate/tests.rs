//! Formats beside each other, B3, and properties of every parser.

use super::*;
use crate::trace::context::{Parent, SAMPLED};
use crate::trace::sampler::{HeadSampler, SamplingRule, UnsampledParent};
use proptest::prelude::*;

/// The caller's trace.
pub(super) const TRACE: &str = "12345678901234567890123456789012";
/// A valid traceparent in it.
pub(super) const VALID: &str = "00-12345678901234567890123456789012-1234567890123456-01";

fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let name: HeaderName = name.parse().unwrap();
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

/// The default of `OTEL_PROPAGATORS`.
pub(super) fn w3c() -> Propagators {
    Propagators::from_names(["tracecontext", "baggage"])
}

/// What leaves when `lines` came in, under the span `00000000000000aa`.
pub(super) fn through(propagators: &Propagators, lines: &[(&str, &str)]) -> HeaderMap {
    let mut headers = headers(lines);
    let inbound = propagators.extract(&headers);
    let rule = SamplingRule {
        ratio: 1.0,
        parent_based: true,
        unsampled_parent: UnsampledParent::Respect,
    };
    let head = HeadSampler::new(&rule).decide(inbound.as_ref());
    propagators.inject(&mut headers, &head.outgoing(SpanId::from(0xaa)));
    headers
}

/// All values of a header.
pub(super) fn values<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    headers
        .get_all(name)
        .iter()
        .map(|value| value.to_str().unwrap())
        .collect()
}

#[test]
fn baggage_is_never_touched() {
    let lines = [
        ("baggage", " b=2;p=1;q , a==x%20y"),
        ("traceparent", VALID),
        ("baggage", "not a member"),
    ];
    for names in [
        ["tracecontext", "baggage"],
        ["b3", "b3multi"],
        ["none", "none"],
    ] {
        let out = through(&Propagators::from_names(names), &lines);
        assert_eq!(
            values(&out, "baggage"),
            [" b=2;p=1;q , a==x%20y", "not a member"]
        );
    }
}

#[test]
fn headers_of_formats_that_are_not_enabled_pass() {
    let b3 = "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1";

    let w3c_only = through(&w3c(), &[("b3", b3)]);
    let b3_only = through(
        &Propagators::from_names(["b3"]),
        &[("traceparent", VALID), ("tracestate", "a=1")],
    );
    let none = through(
        &Propagators::from_names(["none"]),
        &[("traceparent", "garbage"), ("b3", b3)],
    );

    assert_eq!(values(&w3c_only, "b3"), [b3]);
    assert_eq!(
        (
            values(&b3_only, "traceparent"),
            values(&b3_only, "tracestate")
        ),
        (vec![VALID], vec!["a=1"])
    );
    assert_eq!(
        (values(&none, "traceparent"), values(&none, "b3")),
        (vec!["garbage"], vec![b3])
    );
}

#[test]
fn the_first_format_with_a_valid_context_counts() {
    let lines = [
        ("b3", "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-0"),
        ("traceparent", VALID),
    ];
    let trace_of = |names: [&'static str; 2]| {
        let inbound = Propagators::from_names(names)
            .extract(&headers(&lines))
            .unwrap();
        inbound.parent().unwrap().trace_id.to_string()
    };

    assert_eq!(trace_of(["tracecontext", "b3"]), TRACE);
    assert_eq!(
        trace_of(["b3", "tracecontext"]),
        "80f198ee56343ba864fe8b2a57d3eff7"
    );
    let both = through(&Propagators::from_names(["tracecontext", "b3"]), &lines);
    assert_eq!(values(&both, "b3"), [format!("{TRACE}-00000000000000aa-1")]);
}

#[track_caller]
fn check_b3(lines: &[(&str, &str)], expected: Option<&str>) {
    let inbound = Propagators::from_names(["b3"]).extract(&headers(lines));
    let told = inbound.map(|inbound| match inbound {
        Inbound::Parent(Parent {
            trace_id,
            span_id,
            flags,
            debug,
            deferred,
            ..
        }) => {
            let state = match (debug, deferred, flags & SAMPLED) {
                (true, _, _) => "d",
                (_, true, _) => "?",
                (_, _, SAMPLED) => "1",
                _ => "0",
            };
            format!("{trace_id}-{span_id}-{state}")
        }
        Inbound::Decision { sampled, debug } => format!("sampled={sampled} debug={debug}"),
    });
    assert_eq!(told.as_deref(), expected, "{lines:?}");
}

#[test]
fn b3_is_read_from_one_header() {
    let ids = "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1";
    let single = |rest: &str, expected: Option<&str>| {
        let expected = expected.map(|state| format!("{ids}-{state}"));
        check_b3(&[("b3", &format!("{ids}{rest}"))], expected.as_deref());
    };
    single("-1", Some("1"));
    single("-0", Some("0"));
    single("-d", Some("d"));
    single("", Some("?"));
    single("-1-05e3ac9a4f6e3b90", Some("1"));
    for rest in [
        "-",
        "-2",
        "-01",
        "-1-",
        "-1-05e3",
        "-1-05e3ac9a4f6e3b90-",
        "-D",
    ] {
        single(rest, None);
    }
    check_b3(
        &[("b3", "64fe8b2a57d3eff7-e457b5a2e4d86bd1-1")],
        Some("000000000000000064fe8b2a57d3eff7-e457b5a2e4d86bd1-1"),
    );
    check_b3(&[("b3", "0")], Some("sampled=false debug=false"));
    check_b3(&[("b3", "1")], Some("sampled=true debug=false"));
    check_b3(&[("b3", "d")], Some("sampled=true debug=true"));
    for bad in [
        "",
        "2",
        "-",
        "80F198EE56343BA864FE8B2A57D3EFF7-e457b5a2e4d86bd1-1",
        "0000000000000000-e457b5a2e4d86bd1-1",
    ] {
        check_b3(&[("b3", bad)], None);
    }
    let one = format!("{ids}-1");
    check_b3(&[("b3", &one), ("b3", &one)], None);
}

#[test]
fn b3_is_read_from_a_header_for_each_field() {
    let trace = ("X-B3-TraceId", "80f198ee56343ba864fe8b2a57d3eff7");
    let span = ("X-B3-SpanId", "e457b5a2e4d86bd1");
    let told = |state: &str| Some(format!("{}-{}-{state}", trace.1, span.1));
    check_b3(&[trace, span, ("X-B3-Sampled", "1")], told("1").as_deref());
    check_b3(
        &[trace, span, ("X-B3-Sampled", "true")],
        told("1").as_deref(),
    );
    check_b3(&[trace, span, ("X-B3-Sampled", "0")], told("0").as_deref());
    check_b3(&[trace, span, ("X-B3-Flags", "1")], told("d").as_deref());
    check_b3(&[trace, span, ("X-B3-Flags", "0")], told("?").as_deref());
    check_b3(&[trace, span], told("?").as_deref());
    check_b3(&[("X-B3-Sampled", "0")], Some("sampled=false debug=false"));
    check_b3(&[trace], None);
    check_b3(&[span, ("X-B3-Sampled", "1")], None);
    check_b3(&[trace, trace, span], None);
    check_b3(
        &[("b3", "0"), trace, span],
        Some("sampled=false debug=false"),
    );
    check_b3(&[("b3", "zz"), trace, span], told("?").as_deref());
}

#[test]
fn b3_is_written_in_one_encoding_and_nothing_of_the_callers_stays_beside_it() {
    let inbound = [
        ("X-B3-TraceId", "64fe8b2a57d3eff7"),
        ("X-B3-SpanId", "e457b5a2e4d86bd1"),
        ("X-B3-ParentSpanId", "05e3ac9a4f6e3b90"),
        ("X-B3-Flags", "1"),
        ("b3", "garbage"),
    ];
    let padded = "000000000000000064fe8b2a57d3eff7";

    let single = through(&Propagators::from_names(["b3"]), &inbound);
    let multi = through(&Propagators::from_names(["b3multi"]), &inbound);

    assert_eq!(
        (values(&single, "b3"), single.len()),
        (vec![&*format!("{padded}-00000000000000aa-d")], 1)
    );
    assert_eq!(values(&multi, "x-b3-traceid"), [padded]);
    assert_eq!(values(&multi, "x-b3-spanid"), ["00000000000000aa"]);
    assert_eq!((values(&multi, "x-b3-flags"), multi.len()), (vec!["1"], 3));
}

#[test]
fn every_header_we_read_or_write_is_safe_from_connection_nominations() {
    for name in [
        "traceparent",
        "TraceState",
        "baggage",
        "b3",
        "X-B3-TraceId",
        "x-b3-flags",
    ] {
        assert!(is_context_header(&name.parse().unwrap()), "{name}");
    }
    assert!(!is_context_header(&HeaderName::from_static("x-request-id")));
}

proptest! {
    #[test]
    fn any_header_bytes_are_read_without_harm(
        name in prop::sample::select(CONTEXT_HEADERS.to_vec()),
        values in prop::collection::vec(prop::collection::vec(prop_oneof![Just(b'-'), Just(b'='), Just(b','), 0x20_u8..=0xff], 0..80), 0..4),
    ) {
        let mut map = HeaderMap::new();
        for value in values {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                map.append(HeaderName::from_static(name), value);
            }
        }
        let all = Propagators::from_names(["tracecontext", "b3", "b3multi"]);
        if let Some(Inbound::Parent(parent)) = all.extract(&map) {
            prop_assert!(parent.trace_id != TraceId::INVALID && parent.span_id != SpanId::INVALID);
        }
    }

    #[test]
    fn near_misses_of_a_traceparent_are_valid_only_by_the_grammar(
        text in "[0-9a-fA-F]{2}-[0-9a-fA-F]{31,33}-[0-9a-f]{15,17}-[0-9a-f]{1,3}(-x)?",
    ) {
        let fields: Vec<&str> = text.splitn(5, '-').collect();
        let lower = |text: &str| !text.bytes().any(|byte| byte.is_ascii_uppercase());
        let expected = match fields[..] {
            [version, trace, span, flags, ref rest @ ..] => {
                [version, trace].into_iter().all(lower)
                    && version != "ff"
                    && (trace.len(), span.len(), flags.len()) == (32, 16, 2)
                    && (rest.is_empty() || version != "00")
            }
            _ => false,
        };
        prop_assert_eq!(w3c().extract(&headers(&[("traceparent", &text)])).is_some(), expected);
    }

    #[test]
    fn what_we_write_the_next_one_reads(trace_id in 1_u128.., span_id in 1_u64.., flags in 0_u8..4, debug: bool,
                                        state in "([a-z][a-z0-9]{0,9}=[!-+--<>-~]{1,20}(,[a-z]{1,4}@[a-z]=[a-z]{1,9}){0,30})?") {
        let state = headers(&[("traceparent", VALID), ("tracestate", &state)]);
        let state = w3c().extract(&state).unwrap().parent().unwrap().state.clone();
        let flags = if debug { flags | SAMPLED } else { flags };
        let (trace_id, span_id) = (TraceId::from(trace_id), SpanId::from(span_id));
        let outgoing = Outgoing { trace_id, span_id, flags, debug, state: &state };
        let read = |name| {
            let propagators = Propagators::from_names([name]);
            let mut headers = HeaderMap::new();
            propagators.inject(&mut headers, &outgoing);
            propagators.extract(&headers).unwrap().parent().unwrap().clone()
        };

        let sent = Parent { trace_id, span_id, flags, state: state.clone(), debug: false, deferred: false };
        prop_assert_eq!(read("tracecontext"), sent.clone());
        let sent = Parent { flags: flags & SAMPLED, state: TraceState::EMPTY, debug, ..sent };
        prop_assert_eq!(read("b3"), sent.clone());
        prop_assert_eq!(read("b3multi"), sent);
    }
}
