//! Which route a request finds, in tables.

use super::*;

/// Checks in both orders which route a request finds.
#[track_caller]
fn check(specs: &[RouteSpec], asked: &Asked, expected: Option<&str>) {
    let mut reversed = specs.to_vec();
    reversed.reverse();

    for specs in [specs, &reversed] {
        let table = table(specs);
        let found = table.find(&asked.request());
        let found = found.map(|found| found.value.as_str());
        assert_eq!(found, expected, "{asked:?}");
    }
}

/// Checks among several paths which one a path finds.
#[track_caller]
fn check_path(rules: &[&str], path: &str, expected: Option<&str>) {
    let specs: Vec<RouteSpec> = rules.iter().map(|rule| at(rule)).collect();
    check(&specs, &Asked::get("a", path), expected);
}

#[test]
fn literal_text_goes_before_captures_segment_by_segment() {
    let rules = ["/a/{x}", "/{x}/b", "/{x}/{y}", "/a/{x}/c"];

    check_path(&rules, "/a/b", Some("/a/{x}"));
    check_path(&rules, "/c/b", Some("/{x}/b"));
    check_path(&rules, "/c/d", Some("/{x}/{y}"));
    check_path(&rules, "/a/b/c", Some("/a/{x}/c"));
    check_path(&rules, "/a", None);
    check_path(&rules, "/a/", None);
    check_path(&rules, "/a/b/", None);
}

#[test]
fn a_lookup_comes_back_when_literal_text_leads_nowhere() {
    check_path(
        &["/a/b/c", "/a/{x}/d", "/{x}/b/e"],
        "/a/b/d",
        Some("/a/{x}/d"),
    );
    check_path(
        &["/a/b/c", "/a/{x}/d", "/{x}/b/e"],
        "/a/b/e",
        Some("/{x}/b/e"),
    );
    check_path(&["/a/b/c", "prefix:/a"], "/a/b/x", Some("prefix:/a"));
}

#[test]
fn a_prefix_takes_whole_segments() {
    check_path(&["prefix:/static"], "/static", Some("prefix:/static"));
    check_path(&["prefix:/static"], "/static/", Some("prefix:/static"));
    check_path(&["prefix:/static"], "/static/x/y", Some("prefix:/static"));
    check_path(&["prefix:/static"], "/staticx", None);
    check_path(&["prefix:/static/"], "/static", Some("prefix:/static/"));
    check_path(&["prefix:/"], "/", Some("prefix:/"));
    check_path(&["prefix:/"], "/x", Some("prefix:/"));
}

#[test]
fn the_rest_of_a_path_begins_after_a_slash() {
    check_path(&["/a/{rest...}"], "/a", None);
    check_path(&["/a/{rest...}"], "/a/", Some("/a/{rest...}"));
    check_path(&["/a/{rest...}"], "/a/b/c", Some("/a/{rest...}"));
    check_path(&["/{rest...}"], "/", Some("/{rest...}"));
}

#[test]
fn closed_paths_go_before_open_ones_and_longer_before_shorter() {
    let rules = ["prefix:/a", "/a/{rest...}", "/a/{x}", "prefix:/a/b", "/a"];

    check_path(&rules, "/a", Some("/a"));
    check_path(&rules, "/a/x", Some("/a/{x}"));
    check_path(&rules, "/a/x/y", Some("/a/{rest...}"));
    check_path(&rules, "/a/b/y", Some("prefix:/a/b"));
    check_path(&["prefix:/a", "/a/{rest...}"], "/a", Some("prefix:/a"));
}

#[test]
fn expressions_come_after_templates_and_before_what_takes_every_path() {
    for every in ["any", "prefix:/", "/{rest...}"] {
        let rules = [every, "regex:/v[0-9]+/.*", "/v1/{x}"];

        check_path(&rules, "/v1/a", Some("/v1/{x}"));
        check_path(&rules, "/v2/a", Some("regex:/v[0-9]+/.*"));
        check_path(&rules, "/v/a", Some(every));
    }
}

#[test]
fn only_any_path_takes_the_asterisk() {
    let asterisk = Asked::get("a", "*").method(Method::OPTIONS);

    check(&[at("any")], &asterisk, Some("any"));
    check(&[at("prefix:/")], &asterisk, None);
    check(&[at("/{rest...}")], &asterisk, None);
}

#[test]
fn a_closer_host_goes_first_and_a_farther_one_is_the_fallback() {
    let specs = [
        at("/a").named("exact").host("app.example.com"),
        at("/{x}").named("wildcard").host("*.example.com"),
        at("prefix:/").named("any"),
    ];

    check(&specs, &Asked::get("app.example.com", "/a"), Some("exact"));
    check(
        &specs,
        &Asked::get("app.example.com", "/b"),
        Some("wildcard"),
    );
    check(&specs, &Asked::get("app.example.com", "/b/c"), Some("any"));
    check(&specs, &Asked::get("x.example.com", "/a"), Some("wildcard"));
    check(&specs, &Asked::get("x.y.example.com", "/a"), Some("any"));
    check(&specs, &Asked::get("example.com", "/a"), Some("any"));
    check(&specs, &Asked::get("", "/a"), Some("any"));
}

#[test]
fn a_method_that_is_not_taken_leaves_the_request_to_the_next_route() {
    let specs = [
        at("/a/b").named("literal").method(Method::GET),
        at("/a/{x}").named("capture").method(Method::POST),
        at("prefix:/a").named("prefix"),
    ];

    check(&specs, &Asked::get("a", "/a/b"), Some("literal"));
    check(
        &specs,
        &Asked::get("a", "/a/b").method(Method::POST),
        Some("capture"),
    );
    check(
        &specs,
        &Asked::get("a", "/a/b").method(Method::PUT),
        Some("prefix"),
    );
}

#[test]
fn of_routes_for_one_path_the_one_with_more_conditions_goes_first() {
    let present = || ValueRule::Present;
    let exact = |value: &str| ValueRule::Exact(value.into());
    let specs = [
        at("/a").named("bare"),
        at("/a").named("get").method(Method::GET),
        at("/a")
            .named("head")
            .method(Method::GET)
            .method(Method::HEAD),
        at("/a").named("header").header("x-a", present()),
        at("/a").named("value").header("x-a", exact("1")),
        at("/a")
            .named("two")
            .header("x-a", present())
            .header("x-b", present()),
        at("/a")
            .named("query")
            .query("q", ValueRule::regex("[0-9]+").unwrap()),
    ];
    let post = |target: &str| Asked::get("a", target).method(Method::POST);

    check(
        &specs,
        &Asked::get("a", "/a?q=1").header("x-a", "1"),
        Some("get"),
    );
    check(
        &specs,
        &Asked::get("a", "/a").method(Method::HEAD),
        Some("head"),
    );
    check(&specs, &post("/a"), Some("bare"));
    check(&specs, &post("/a?q=x"), Some("bare"));
    check(&specs, &post("/a?q=%31"), Some("query"));
    check(&specs, &post("/a?q=x&q=2"), Some("query"));
    check(&specs, &post("/a?q=1").header("x-a", "2"), Some("header"));
    check(
        &specs,
        &post("/a").header("x-a", "2").header("x-a", "1"),
        Some("value"),
    );
    check(
        &specs,
        &post("/a").header("x-a", "1").header("x-b", ""),
        Some("two"),
    );
}

#[test]
fn twins_are_told_apart_by_name() {
    let specs = [at("/{x}").named("b"), at("/{y}").named("a")];

    check(&specs, &Asked::get("a", "/1"), Some("a"));
}

#[test]
fn captures_hold_the_raw_text() {
    let table = table(&[
        at("/a/{x}/b/{rest...}"),
        at("regex:/r/(?<id>[0-9]+)(?<no>x)?"),
    ]);
    let path = "/a/%20y/b/c/d";

    let found = table.find(&Asked::get("h", path).request()).unwrap();
    let by_expression = table.find(&Asked::get("h", "/r/42").request()).unwrap();

    assert_eq!(found.captures.get("x", path), Some("%20y"));
    assert_eq!(found.captures.get("rest", path), Some("c/d"));
    assert_eq!(found.captures.get("y", path), None);
    assert_eq!(found.template, "/a/{x}/b/{rest...}");
    assert_eq!(by_expression.captures.get("id", "/r/42"), Some("42"));
    assert_eq!(by_expression.captures.get("no", "/r/42"), None);
    assert_eq!(by_expression.template, "/r/(?<id>[0-9]+)(?<no>x)?");
}

#[test]
fn a_capture_that_led_nowhere_is_forgotten() {
    let table = table(&[at("/{a}/{b}/x"), at("/{c}/{rest...}")]);

    let found = table.find(&Asked::get("h", "/1/2/y").request()).unwrap();

    let captures: Vec<_> = found.captures.iter("/1/2/y").collect();
    assert_eq!(captures, [("c", "1"), ("rest", "2/y")]);
}

#[test]
fn only_a_prefix_tells_what_it_matched() {
    let table = table(&[at("prefix:/static/"), at("prefix:/"), at("/a/{x}")]);
    let length = |path: &str| {
        let asked = Asked::get("h", path);
        let found = table.find(&asked.request()).unwrap();
        (found.template, found.matched_prefix_len)
    };

    assert_eq!(length("/static/x"), ("/static/*", Some(7)));
    assert_eq!(length("/x"), ("/*", Some(0)));
    assert_eq!(length("/a/b"), ("/a/{x}", None));
}

#[test]
fn two_routes_of_one_name_are_refused() {
    let built = RouteTable::build(vec![(at("/a"), ()), (at("/a"), ())]);

    assert_eq!(built.err(), Some(BuildError::RepeatedName("/a".into())));
}

#[test]
fn the_three_nearest_routes_are_told_with_what_they_missed() {
    let table = table(&[
        at("/a/b/c").named("path"),
        at("/a/b").named("method").method(Method::POST),
        at("/a/b").named("header").header("x-a", ValueRule::Present),
        at("/a/b").named("host").host("other"),
        at("/z").named("far").host("other"),
    ]);

    let near = table
        .near(&Asked::get("h", "/a/b").request())
        .iter()
        .map(|miss| format!("{}: {}", miss.route, miss.missed))
        .collect::<Vec<_>>();

    assert_eq!(near, ["header: header x-a", "method: method", "path: path"]);
}
