//! Compression, split and mirror: what a file can say of them, and what it cannot.

use super::*;
use crate::message::compression::{Algorithm, CompressionRules, Effort};
use crate::proxy::plan::{RouteAction, RoutePlan, SplitPlan, Sticky};

/// Base, with a second upstream.
const TWO: &str = "\
listeners: {web: {address: \"127.0.0.1:0\"}}
upstreams: {app: {endpoints: [\"http://a:1\"]}, shadow: {endpoints: [\"http://b:1\"]}}
";

#[track_caller]
fn refuse(lines: &str, expected: &[&str]) {
    let told = told(&format!("{TWO}{lines}\n"));
    let ids: Vec<_> = told.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, expected, "{lines}: {told:?}");
}

#[track_caller]
fn route(lines: &str) -> RoutePlan {
    let loaded = compile(&format!("{TWO}{lines}\n"));
    let loaded = loaded.map_err(|refused| refused.report.render(Look::default()));
    loaded
        .unwrap_or_else(|report| panic!("{lines}\n{report}"))
        .plan
        .routes[0]
        .1
        .clone()
}

fn rules(lines: &str) -> CompressionRules {
    let plan = route(lines);
    CompressionRules::clone(&plan.compression.expect("compression"))
}

#[test]
fn a_route_says_what_differs_from_the_files_compression() {
    let plain = "routes: [{name: a, upstream: app}]";
    assert!(route(plain).compression.is_none());
    let file = "compression: {level: best, min_bytes: 2KiB, types: [Text/Plain]}\n";

    let inherited = rules(&format!("{file}{plain}"));
    let own = rules(&format!(
        "{file}routes: [{{name: a, upstream: app, compression: {{algorithms: [gzip]}}}}]"
    ));
    let alone = rules("routes: [{name: a, upstream: app, compression: {}}]");
    let off = format!("{file}routes: [{{name: a, upstream: app, compression: off}}]");

    assert_eq!(inherited.algorithms, [Algorithm::Zstd, Algorithm::Gzip]);
    assert_eq!(
        (inherited.bytes_min, inherited.effort),
        (2048, Effort::Best)
    );
    assert_eq!(inherited.types, [Box::from("text/plain")]);
    assert_eq!(own.algorithms, [Algorithm::Gzip]);
    assert_eq!((own.bytes_min, own.effort), (2048, Effort::Best));
    assert_eq!((alone.bytes_min, alone.streams_max), (1024, 500));
    assert!(route(&off).compression.is_none());
}

#[test]
fn compression_is_refused_where_it_cannot_be() {
    let routes = "\nroutes: [{name: a, upstream: app}]";
    for (keys, id) in [
        ("algorithms: []", "E0107"),
        ("algorithms: [br]", "E0104"),
        ("types: [html]", "E0380"),
        ("types: [text/event-stream]", "E0380"),
        ("min_bytes: small", "E0302"),
        ("level: 9", "E0104"),
        ("streams: 0", "E0105"),
    ] {
        refuse(&format!("compression: {{{keys}}}{routes}"), &[id]);
    }
    refuse(
        "routes: [{name: a, upstream: app, compression: on}]",
        &["E0104"],
    );
}

fn split(keys: &str) -> String {
    format!("routes: [{{name: a, split: {{{keys}}}}}]")
}

#[track_caller]
fn split_of(keys: &str) -> SplitPlan {
    let RouteAction::Split { split, .. } = route(&split(keys)).action else {
        panic!("no split: {keys}")
    };
    split
}

#[test]
fn a_branch_with_headers_has_no_weight_unless_it_says_so() {
    let split = split_of(
        "flag: checkout, sticky: {cookie: sid}, branches: [\
         {variant: new, upstream: shadow, headers: {x-canary: \"1\"}}, \
         {variant: old, upstream: app}, {variant: big, upstream: app, weight: 1000000}]",
    );

    let weights: Vec<u32> = split.branches.iter().map(|branch| branch.weight).collect();
    assert_eq!(weights, [0, 1, 1_000_000]);
    assert!(matches!(split.sticky, Some(Sticky::Cookie(name)) if &*name == "sid"));
    let [(key, variant)] = &*split.branches[0].feature_flags else {
        panic!("one flag")
    };
    assert_eq!((&**key, &**variant), ("checkout", "new"));
}

#[test]
fn a_split_that_cannot_work_is_refused() {
    let one = "{variant: a, upstream: app}";
    for (keys, ids) in [
        (format!("flag: f, branches: [{one}, {one}]"), &["E0202"][..]),
        ("flag: f, branches: []".to_owned(), &["E0107"]),
        (format!("branches: [{one}]"), &["E0102"]),
        (
            "flag: f, branches: [{variant: a, upstream: apq}]".to_owned(),
            &["E0201"],
        ),
        (
            "flag: f, branches: [{variant: a, upstream: app, weight: 0}]".to_owned(),
            &["E0381"],
        ),
        (
            "flag: f, branches: [{variant: a, upstream: app, weight: -1}]".to_owned(),
            &["E0105"],
        ),
        (
            "flag: f, branches: [{variant: a, upstream: app, weight: 1000001}]".to_owned(),
            &["E0105"],
        ),
        (format!("flag: \"a=b\", branches: [{one}]"), &["E0315"]),
        (
            format!("flag: f, sticky: session, branches: [{one}]"),
            &["E0104"],
        ),
        (
            format!("flag: f, sticky: {{}}, branches: [{one}]"),
            &["E0106"],
        ),
        (
            format!("flag: f, sticky: {{cookie: \"a b\"}}, branches: [{one}]"),
            &["E0306"],
        ),
    ] {
        refuse(&split(&keys), ids);
    }
    let both = format!("upstream: app, split: {{flag: f, branches: [{one}]}}");
    refuse(&format!("routes: [{{name: a, {both}}}]"), &["E0106"]);
}

#[test]
fn a_mirror_needs_an_upstream_that_is_there() {
    let mirror = |keys: &str| format!("routes: [{{name: a, upstream: app, mirror: {{{keys}}}}}]");

    let plan = route(&mirror("upstream: shadow, share: 0.1"))
        .mirror
        .unwrap();

    assert_eq!(
        (&*plan.upstream, plan.body_bytes_max),
        ("shadow", 64 * 1024)
    );
    assert!((plan.share - 0.1).abs() < f64::EPSILON);
    assert!(
        route(&mirror("upstream: shadow, body_bytes: 16MiB"))
            .mirror
            .is_some()
    );
    refuse(&mirror("upstream: nobody"), &["E0201"]);
    refuse(&mirror("share: 0.5"), &["E0102"]);
    refuse(&mirror("upstream: shadow, share: 1.1"), &["E0105"]);
    refuse(
        &mirror("upstream: shadow, body_bytes: 16777217"),
        &["E0105"],
    );
    refuse(&mirror("upstream: shadow, requests: 0"), &["E0105"]);
    refuse(&mirror("upstream: shadow, timeout: 0s"), &["E0301"]);
    refuse(
        "routes: [{name: a, answer: {status: 200}, mirror: {upstream: shadow}}]",
        &["E0318"],
    );
}
