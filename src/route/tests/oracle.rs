//! The table against a naive reading of the same ranking: look at every route, keep the best.

use super::*;
use crate::route::rank::Rank;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

/// How a rule takes a path, the best first: for each segment from the left 0 for literal text
/// and 1 for a capture, then how it ends. `None` if it does not take it.
fn path_rank(rule: &str, path: &str) -> Option<(u8, Vec<u8>)> {
    if matches!(rule, "any" | "prefix:/" | "/{rest...}") {
        return (rule == "any" || path.starts_with('/')).then_some((2, Vec::new()));
    }
    if let Some(source) = rule.strip_prefix("regex:") {
        let whole = regex::Regex::new(&format!("^(?:{source})$")).unwrap();
        return whole.is_match(path).then_some((1, Vec::new()));
    }
    let (template, prefix) = match rule.strip_prefix("prefix:") {
        Some(prefix) => (prefix, true),
        None => (rule, false),
    };
    let (template, rest) = match template.strip_suffix("/{rest...}") {
        Some(template) => (template, true),
        None => (template, false),
    };
    let wanted: Vec<&str> = template.split('/').skip(1).collect();
    let given: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
    if given.len() < wanted.len() {
        return None;
    }
    let mut marks = Vec::new();
    for (wanted, given) in wanted.iter().zip(&given) {
        match wanted.starts_with('{') {
            true if given.is_empty() => return None,
            true => marks.push(1),
            false if wanted != given => return None,
            false => marks.push(0),
        }
    }
    let more = given.len() > wanted.len();
    match (prefix, rest) {
        (true, _) => marks.push(3),
        (_, true) if more => marks.push(2),
        (false, false) if !more => marks.push(0),
        _ => return None,
    }
    Some((0, marks))
}

fn host_rank(spec: &RouteSpec, host: &str) -> Option<u8> {
    let ranks = spec.hosts.iter().filter(|pattern| pattern.takes(host));
    let best = ranks.map(|pattern| match pattern {
        HostPattern::Exact(_) => 0,
        HostPattern::Wildcard(_) => 1,
    });
    match best.min() {
        None if spec.hosts.is_empty() => Some(2),
        best => best,
    }
}

/// `rules` are the texts that the paths of `specs` were made of.
fn oracle<'s>(specs: &'s [RouteSpec], rules: &[&str], asked: &Asked) -> Option<&'s str> {
    specs
        .iter()
        .zip(rules)
        .filter(|(spec, _)| {
            (spec.methods.is_empty() || spec.methods.contains(&asked.method))
                && spec.headers.iter().all(|rule| rule.holds(&asked.headers))
                && spec
                    .query
                    .iter()
                    .all(|rule| rule.holds(asked.query.as_deref()))
        })
        .filter_map(|(spec, rule)| {
            let host = host_rank(spec, &asked.host)?;
            let path = path_rank(rule, &asked.path)?;
            Some((host, path, Rank::of(spec), &*spec.name))
        })
        .min()
        .map(|(_, _, _, name)| name)
}

fn rule() -> impl Strategy<Value = String> {
    let segment = || select(vec!["a", "b", "{x}", "{y}"]);
    let template = |segments: Vec<&str>, end: &str| {
        // A name may stand once.
        let mut text = String::new();
        for (at, segment) in segments.iter().enumerate() {
            match segment.strip_prefix('{') {
                Some(_) => text.push_str(&format!("/{{c{at}}}")),
                None => text.push_str(&format!("/{segment}")),
            }
        }
        text + end
    };
    prop_oneof![
        4 => vec(segment(), 1..4).prop_map(move |segments| template(segments, "")),
        1 => vec(segment(), 0..3).prop_map(move |segments| template(segments, "/{rest...}")),
        1 => vec(segment(), 0..3).prop_map(move |segments| template(segments, "/")),
        2 => vec(select(vec!["a", "b"]), 1..3).prop_map(|segments| format!("prefix:/{}", segments.join("/"))),
        1 => select(vec!["regex:/a(/.*)?", "regex:/[ab]/b", "regex:.*/a"]).prop_map(str::to_owned),
        1 => select(vec!["any", "prefix:/"]).prop_map(str::to_owned),
    ]
}

pub(super) fn conditions() -> impl Strategy<Value = RouteSpec> {
    let values = || {
        select(vec![
            ValueRule::Present,
            ValueRule::Exact("1".into()),
            ValueRule::regex("[0-9]").unwrap(),
        ])
    };
    (
        subsequence(vec!["a.x", "b.x", "*.x"], 0..3),
        subsequence(vec![Method::GET, Method::POST], 0..=2),
        vec((select(vec!["x-a", "x-b"]), values()), 0..2),
        vec((select(vec!["p", "q"]), values()), 0..2),
    )
        .prop_map(|(hosts, methods, headers, query)| {
            let mut spec = route("", PathRule::Any);
            spec.methods = methods;
            for host in hosts {
                spec = spec.host(host);
            }
            for (name, value) in headers {
                spec = spec.header(name, value);
            }
            for (name, value) in query {
                spec = spec.query(name, value);
            }
            spec
        })
}

/// Routes with the texts of their paths.
pub(super) fn routes() -> impl Strategy<Value = (Vec<RouteSpec>, Vec<String>)> {
    vec((rule(), conditions()), 1..24).prop_map(|routes| {
        let named = |(at, (rule, conditions)): (usize, (String, RouteSpec))| {
            let mut spec = conditions.named(&format!("r{:02}", (at * 7) % 24));
            spec.path = super::at(&rule).path;
            (spec, rule)
        };
        routes.into_iter().enumerate().map(named).unzip()
    })
}

pub(super) fn asked() -> impl Strategy<Value = Asked> {
    (
        select(vec!["a.x", "c.x", "x", ""]),
        vec(select(vec!["a", "b", "c"]), 0..4),
        select(vec!["", "/"]),
        select(vec!["", "?p=1", "?q=2", "?p=x&q=1"]),
        select(vec![Method::GET, Method::POST, Method::PUT]),
        subsequence(vec![("x-a", "1"), ("x-a", "2"), ("x-b", "x")], 0..=3),
    )
        .prop_map(|(host, segments, slash, query, method, headers)| {
            let mut path: String = segments.iter().flat_map(|segment| ["/", segment]).collect();
            if path.is_empty() || !slash.is_empty() {
                path.push('/');
            }
            let asked = Asked::get(host, &(path + query)).method(method);
            headers
                .into_iter()
                .fold(asked, |asked, (name, value)| asked.header(name, value))
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_table_finds_what_a_look_at_every_route_finds(
        (specs, rules) in routes(),
        requests in vec(asked(), 1..16),
    ) {
        let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
        let table = table(&specs);

        for asked in &requests {
            let found = table.find(&asked.request());
            let found = found.map(|found| found.value.as_str());
            prop_assert_eq!(found, oracle(&specs, &rules, asked), "{:?}", asked);
        }
    }

    #[test]
    fn a_request_that_finds_a_route_is_near_to_all_the_others(
        (specs, _) in routes(),
        asked in asked(),
    ) {
        let table = table(&specs);

        let near = table.near(&asked.request());

        prop_assert!(near.len() <= 3);
        if let Some(found) = table.find(&asked.request()) {
            prop_assert!(near.iter().all(|miss| miss.route != found.value));
        } else {
            prop_assert_eq!(near.len(), specs.len().min(3));
        }
    }
}
