//! Which routes can never match.

use super::oracle::{asked, routes};
use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

/// Checks which route hides which, by name.
#[track_caller]
fn check(specs: &[RouteSpec], expected: &[(&str, &str)]) {
    let found: Vec<(&str, &str)> = shadowed(specs)
        .iter()
        .map(|shadow| (&*specs[shadow.route].name, &*specs[shadow.by].name))
        .collect();

    assert_eq!(found, expected);
}

#[test]
fn of_twins_the_later_name_never_matches() {
    check(
        &[at("/{y}").named("b"), at("/{x}").named("a")],
        &[("b", "a")],
    );
    check(
        &[
            at("/a").named("b").host("x").host("y").method(Method::GET),
            at("/a").named("a").host("y").host("x").method(Method::GET),
        ],
        &[("b", "a")],
    );
    check(&[at("prefix:/"), at("any")], &[("prefix:/", "any")]);
    check(
        &[at("regex:/a.").named("b"), at("regex:/a.").named("a")],
        &[("b", "a")],
    );
}

#[test]
fn a_more_specific_route_hides_nothing() {
    check(
        &[
            at("/a").named("get").method(Method::GET),
            at("/a").named("all"),
        ],
        &[],
    );
    check(&[at("/a"), at("/{x}"), at("prefix:/a"), at("any")], &[]);
    check(&[at("/a").named("b").host("x"), at("/a").named("a")], &[]);
    check(
        &[
            at("/a").named("b").host("x").host("y"),
            at("/a").named("a").host("x"),
        ],
        &[],
    );
}

#[test]
fn a_route_whose_methods_are_all_taken_never_matches() {
    let specs = [
        at("/a")
            .named("both")
            .method(Method::GET)
            .method(Method::POST),
        at("/a").named("get").method(Method::GET),
        at("/a").named("post").method(Method::POST),
    ];

    check(&specs, &[("both", "get")]);
    assert_eq!(
        shadowed(&specs)[0].reason,
        "takes every method of it, together with others"
    );
    check(&specs[..2], &[]);
}

#[test]
fn an_expression_below_a_prefix_never_matches() {
    check(
        &[at("regex:/api/v[0-9]+/.*"), at("prefix:/api")],
        &[("regex:/api/v[0-9]+/.*", "prefix:/api")],
    );
    check(
        &[at("regex:^/api/v1/x?"), at("/api/{rest...}")],
        &[("regex:^/api/v1/x?", "/api/{rest...}")],
    );
    for certain_of_nothing in [
        "regex:/api",
        "regex:/api.*",
        "regex:/api/?",
        "regex:/(api/)?x",
        "regex:/api/x|/b",
        "regex:(?i)/api/x",
        "regex:.*/api/x",
    ] {
        check(&[at(certain_of_nothing), at("prefix:/api")], &[]);
    }
    check(
        &[at("regex:/api/x.*"), at("prefix:/api").method(Method::GET)],
        &[],
    );
}

#[test]
fn ten_thousand_routes_for_one_path_are_checked_in_no_time() {
    let specs: Vec<RouteSpec> = (0..10_000)
        .map(|n| {
            let value = ValueRule::Exact(n.to_string().into());
            at("/a").named(&format!("r{n}")).header("x-a", value)
        })
        .collect();

    check(&specs, &[]);
}

proptest! {
    #[test]
    fn what_is_told_never_to_match_never_matches(
        (specs, _) in routes(),
        requests in vec(asked(), 32),
    ) {
        let table = table(&specs);

        for shadow in shadowed(&specs) {
            for asked in &requests {
                let found = table.find(&asked.request());
                let found = found.map(|found| found.value.as_str());
                prop_assert_ne!(found, Some(&*specs[shadow.route].name), "{:?}", asked);
            }
        }
    }
}
