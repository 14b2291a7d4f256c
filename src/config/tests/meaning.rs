//! What a file means, and what it cannot mean.

use super::*;
use crate::proxy::plan::RouteAction;
use crate::route::PathRule;
use crate::trace::flow::FlowSource;
use crate::trace::sampler::UnsampledParent;

/// One problem, told with this id, of the base file and these lines.
#[track_caller]
fn refuse(lines: &str, id: &str) {
    let text = format!("{BASE}{lines}\n");
    let told = told(&text);
    let ids: Vec<_> = told.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, [id], "{lines}: {told:?}");
}

#[track_caller]
fn take(lines: &str) -> Loaded {
    let text = format!("{BASE}{lines}\n");
    let loaded = compile(&text).map_err(|refused| refused.report.render(Look::default()));
    loaded.unwrap_or_else(|report| panic!("{lines}\n{report}"))
}

#[track_caller]
fn refuse_route(keys: &str, id: &str) {
    refuse(&format!("routes: [{{name: a, {keys}}}]"), id);
}

#[track_caller]
fn take_route(keys: &str) -> Loaded {
    take(&format!("routes: [{{name: a, {keys}}}]"))
}

#[test]
fn a_route_does_exactly_one_thing() {
    refuse_route("match: {path: /a}", "E0106");
    refuse_route("upstream: app, answer: {status: 200}", "E0106");
    refuse_route("answer: {status: 200}, rewrite: {path: /b}", "E0318");
    refuse_route("answer: {status: 200}, timeouts: {request: 1s}", "E0318");
    refuse_route("redirect: {status: 301}", "E0317");
    refuse_route("redirect: {status: 304, host: b}", "E0311");
    refuse_route("answer: {status: 204, body: x}", "E0311");
    refuse_route("answer: {status: 700}", "E0105");
    let plan = take_route("redirect: {host: \"b:8443\"}").plan;
    let RouteAction::Redirect(redirect) = &plan.routes[0].1.action else {
        panic!("no redirect")
    };
    assert_eq!(
        (redirect.status.as_u16(), redirect.host.as_deref()),
        (308, Some("b:8443"))
    );
}

#[test]
fn a_route_asks_for_what_requests_can_have() {
    refuse_route("upstream: app, match: {path: a}", "E0308");
    refuse_route("upstream: app, match: {path: \"/{a}/{a}\"}", "E0308");
    refuse_route("upstream: app, match: {path: /a, prefix: /b}", "E0106");
    refuse_route("upstream: app, match: {regex: \"(\"}", "E0309");
    refuse_route("upstream: app, match: {host: \"https://a\"}", "E0310");
    refuse_route("upstream: app, match: {host: \"a.*.b\"}", "E0310");
    refuse_route("upstream: app, match: {methods: [get]}", "E0307");
    refuse_route("upstream: app, match: {headers: {\"a b\": c}}", "E0306");
    refuse_route("upstream: app, match: {headers: {a: {}}}", "E0106");
    refuse_route(
        "upstream: app, match: {headers: {a: {present: false}}}",
        "E0104",
    );
    refuse_route(
        "upstream: app, match: {query: {a: {regex: \"[\"}}}",
        "E0309",
    );
    let spec =
        &take_route("upstream: app, match: {host: [A.b, \"*.c\"], methods: [GET], query: {a: 1}}")
            .plan
            .routes[0]
            .0;
    assert_eq!(
        (spec.hosts.len(), spec.methods.len(), spec.query.len()),
        (2, 1, 1)
    );
    assert_eq!(spec.path, PathRule::Any);
}

#[test]
fn headers_that_frame_a_message_are_not_edited() {
    refuse_route(
        "upstream: app, headers: {request: {set: {host: a}}}",
        "E0306",
    );
    refuse_route(
        "upstream: app, headers: {request: {remove: [traceparent]}}",
        "E0306",
    );
    refuse_route(
        "upstream: app, headers: {response: {add: {content-length: 1}}}",
        "E0306",
    );
    refuse_route(
        "upstream: app, headers: {response: {add: {x-a: \"a\\nb\"}}}",
        "E0306",
    );
    let plan = take_route("upstream: app, headers: {request: {set: {x-a: 1.10}}}").plan;
    assert_eq!(plan.routes[0].1.request_headers.set[0].1, "1.10");
}

#[test]
fn cross_origin_rules_are_safe() {
    refuse_route(
        "upstream: app, cors: {origins: [\"*\"], credentials: true}",
        "E0312",
    );
    refuse_route(
        "upstream: app, cors: {origins: [\"*\", \"https://a\"]}",
        "E0312",
    );
    refuse_route("upstream: app, cors: {origins: [\"https://a/\"]}", "E0312");
    refuse_route(
        "upstream: app, cors: {origins: [\"https://a:443\"]}",
        "E0312",
    );
    refuse_route("upstream: app, cors: {origins: [a]}", "E0312");
    refuse_route("upstream: app, cors: {credentials: true}", "E0312");
    take_route("upstream: app, cors: {origins: \"https://a.example:8443\", credentials: true}");
    take_route("upstream: app, cors: {expose: [x-a]}");
    refuse_route("upstream: app, cors: {max_age: 1m}", "E0312");
}

#[test]
fn names_are_unique_and_known() {
    refuse(
        "routes: [{name: a, upstream: app}, {name: a, match: {path: /b}, upstream: app}]",
        "E0202",
    );
    refuse_route("upstream: ap", "E0201");
    refuse_route("upstream: app, flow: no", "E0201");
    refuse("routes: [{upstream: app}]", "E0102");
    let text = "listeners: {a: {address: \"127.0.0.1:1\"}, b: {address: \"127.0.0.1:1\"}}";
    assert_eq!(told(text)[0].0, "E0202");
    let listener = "listeners: {a: {address: \"127.0.0.1:1\"}}\n";
    let admin = |keys: &str| told(&format!("{listener}admin: {{{keys}}}"));
    assert_eq!(admin("address: \"127.0.0.1:1\"")[0].0, "E0202");
    assert_eq!(admin("probes: \"127.0.0.1:9901\"")[0].0, "E0202");
    assert!(admin("address: off, probes: \"127.0.0.1:9901\"").is_empty());
}

#[test]
fn a_flow_takes_what_its_routes_have() {
    let flow = "flows: {f: {attributes: {id: {path: id}}}}\n";
    refuse(
        &format!("{flow}routes: [{{name: a, upstream: app, flow: f, match: {{path: /b}}}}]"),
        "E0316",
    );
    refuse(
        &format!("{flow}routes: [{{name: a, upstream: app, flow: f}}]"),
        "E0316",
    );
    refuse(
        "flows: {f: {attributes: {http.route: {path: id}}}}",
        "E0315",
    );
    refuse(
        "flows: {f: {attributes: {flow: {request_header: x}}}}",
        "E0315",
    );
    refuse(
        "flows: {f: {attributes: {\"a b\": {request_header: x}}}}",
        "E0315",
    );
    refuse("flows: {f: {attributes: {a: {type: int}}}}", "E0106");
    refuse(
        "flows: {f: {attributes: {a: {path: x, request_header: y}}}}",
        "E0106",
    );
    refuse(
        "flows: {f: {attributes: {a: {request_header: x, type: integer}}}}",
        "E0104",
    );
    let plan = take(&format!(
        "{flow}routes: [{{name: a, upstream: app, flow: f, match: {{path: \"/{{id}}\"}}}}]"
    ))
    .plan;
    let flow = plan.routes[0].1.flow.as_ref().unwrap();
    assert!(matches!(&flow.attributes[0].source, FlowSource::Path(name) if &**name == "id"));
}

#[test]
fn addresses_and_limits_have_their_bounds() {
    let listener = |keys: &str| format!("listeners: {{web: {{address: \"127.0.0.1:0\", {keys}}}}}");
    let ids = |keys: &str| {
        told(&listener(keys))
            .into_iter()
            .map(|(id, _)| id)
            .collect::<Vec<_>>()
    };

    assert_eq!(ids("limits: {header_bytes: 1MiB}"), ["E0105"]);
    assert_eq!(ids("limits: {header_count: 501}"), ["E0105"]);
    assert_eq!(ids("limits: {connections: 0}"), ["E0105"]);
    assert_eq!(ids("limits: {body_bytes: 10M}"), ["E0302"]);
    assert_eq!(ids("timeouts: {idle: 0s}"), ["E0301"]);
    assert_eq!(ids("trusted_proxies: [10.0.0.1/8]"), ["E0304"]);
    assert_eq!(ids("tls: {certificates: []}"), ["E0107"]);
    assert_eq!(ids("tls:"), ["E0107"]);
    assert_eq!(ids("mode: sidecar"), ["E0104"]);
    assert_eq!(ids("client_address_header: x-a"), ["W0402"]);
    assert_eq!(
        told("listeners: {web: {address: \"localhost:80\"}}")[0].0,
        "E0303"
    );
    assert_eq!(told("listeners: {}")[0].0, "E0107");
    assert_eq!(told("upstreams: {}")[0].0, "E0102");
    assert_eq!(told("[]")[0].0, "E0006");
    assert_eq!(told("")[0].0, "E0006");
    assert_eq!(told("a: 1\n---\nb: 2\n")[0].0, "E0006");
    let twice = format!("{BASE}access_log: true\naccess_log: false");
    assert_eq!(told(&twice)[0].0, "E0005");
}

#[test]
fn what_a_route_says_of_sampling_stands_before_the_flow_and_that_before_the_environment() {
    let text = "\
service: {environment: staging}
sampling: {default: 0.01, environments: {staging: 0.2}, unsampled_parent: record}
flows: {f: {sampling: 0.5, unsampled_parent: respect}}
routes:
  - {name: a, upstream: app, match: {path: /a}}
  - {name: b, upstream: app, match: {path: /b}, flow: f}
  - {name: c, upstream: app, match: {path: /c}, flow: f, sampling: 0.9, unsampled_parent: record}
";
    let plan = take(text).plan;
    let rules: Vec<_> = plan
        .routes
        .iter()
        .map(|(_, route)| (route.sampling.ratio, route.sampling.unsampled_parent))
        .collect();

    let (record, respect) = (UnsampledParent::Record, UnsampledParent::Respect);
    assert_eq!(rules, [(0.2, record), (0.5, respect), (0.9, record)]);
    assert_eq!(plan.tracing.default_sampling.ratio, 0.2);
}

#[test]
fn a_plain_word_stays_as_it_was_written() {
    let text = "feature_flags: {a: on, b: yes, c: 1.10, d: null-ish}\nservice: {version: 1.10, name: off}\nroutes: [{name: a, upstream: app, feature_flags: {a: off}}]";
    let plan = take(text).plan;
    let flags: Vec<_> = plan.routes[0]
        .1
        .feature_flags
        .iter()
        .map(|(_, value)| &**value)
        .collect();

    assert_eq!(flags, ["off", "yes", "1.10", "null-ish"]);
    let version = plan
        .tracing
        .resource
        .iter()
        .find(|(key, _)| &**key == "service.version");
    assert_eq!(
        version.unwrap().1,
        crate::trace::resource::ResourceValue::String("1.10".into())
    );
}

#[test]
fn documented_defaults_are_the_real_ones() {
    let plan = take("routes: []").plan;
    let written = "\
listeners: {web: {address: \"127.0.0.1:0\", timeouts: {header: 10s, idle: 60s}, limits: {connections: 20000, requests: 20000, header_bytes: 64KiB, header_count: 100}, paths: {encoded_slash: refuse, empty_segment: refuse}}}
upstreams: {app: {service: app, endpoints: [\"http://127.0.0.1:3000\"], timeouts: {connect: 1s, first_byte: 15s, request: off, idle: 60s}, limits: {requests: 10000, idle_connections: 256}}}
drain: {timeout: 10s}
sampling: {default: 1.0, unsampled_parent: respect}
propagation: {propagators: [tracecontext, baggage], response_trace_id: false}
spans: {peer_service: true}
";
    let other = compile(written).unwrap().plan;

    let text = |plan: &crate::config::Plan| {
        format!(
            "{:?}{:?}{:?}{:?}",
            plan.listeners, plan.upstreams, plan.drain, plan.tracing
        )
    };
    assert_eq!(text(&plan), text(&other));
}
