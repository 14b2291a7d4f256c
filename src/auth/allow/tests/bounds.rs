//! What an expression may cost, and what it may not say at all.

use super::*;
use crate::auth::allow::TEXT_BYTES_MAX;
use std::time::Duration;

fn takes(expression: &str) {
    if let Err(faults) = Allow::compile(expression) {
        panic!("{expression}: {faults:?}");
    }
}

#[test]
fn an_expression_has_a_longest_length() {
    let of = |length: usize| format!("true{}", " ".repeat(length - 4));

    takes(&of(TEXT_BYTES_MAX));
    refused(
        &of(TEXT_BYTES_MAX + 1),
        "this expression is longer than 4096 bytes",
        &of(TEXT_BYTES_MAX + 1),
    );
    refused("  ", "this expression is empty", "  ");
}

#[test]
fn whatever_is_nested_from_end_to_end_is_refused_and_nothing_breaks() {
    let chains = [
        ("", "(", ""),
        ("", "!", "true"),
        ("", "-", "1"),
        ("", "[", ""),
        ("", "{", ""),
        ("", "true?", ""),
        ("", "true?true:", "true"),
        ("claims", ".b", ""),
        ("claims.b", "[0]", ""),
        ("claims.b", ".filter(x,true)", ""),
        ("1", "+1", "==1"),
        ("claims.a", ".size()", "==1"),
        ("has(", "has(", ""),
        ("", "'", ""),
        ("\"", "\\", ""),
        ("", "a.exists(b,", ""),
        ("", "matches(", ""),
        ("", "\u{0}", ""),
        ("", "@", ""),
    ];
    for (head, link, tail) in chains {
        let count = (TEXT_BYTES_MAX - head.len() - tail.len()) / link.len();
        let text = format!("{head}{}{tail}", link.repeat(count));
        // A chain of members alone is flat, and a claim; two negations are none.
        let is_flat = matches!(link, ".b" | "!");
        assert_eq!(Allow::compile(&text).is_ok(), is_flat, "{head}{link}{tail}");
    }
}

#[test]
fn what_is_long_but_flat_is_taken() {
    let terms: Vec<String> = (0..100)
        .map(|n| format!("request.path == '/{n}'"))
        .collect();

    takes(&terms.join(" || "));
    assert_eq!(Request::to("/99").ask(&terms.join(" || ")), Ok(()));
}

#[test]
fn comprehensions_nest_twice_and_stand_sixteen_times() {
    takes("claims.a.exists(a, claims.b.all(b, a == b))");
    refused(
        "claims.a.exists(a, claims.b.all(b, claims.c.exists(c, true)))",
        "more than 2 of `exists` and its like are nested",
        "exists",
    );
    let of = |count: usize| vec!["claims.a.exists(a, a)"; count].join("||");
    takes(&of(16));
    let faults = Allow::compile(&of(17)).unwrap_err();
    assert_eq!(
        faults[0].message,
        "there are more than 16 of `exists` and its like"
    );
}

#[test]
fn a_list_longer_than_its_bound_denies_whatever_else_holds() {
    let ask = |length: usize, expression: &str| {
        let names: Vec<String> = (0..length).map(|n| n.to_string()).collect();
        let request = Request::to("/").by(json!({"l": names}));
        request.ask(expression)
    };
    let long = Err(Refused::Failed(AllowError::ListTooLong));
    let flat = "claims.l.exists(x, x == '7')";
    let nested = "claims.l.exists(x, claims.l.exists(y, x == y))";

    assert_eq!(ask(1000, flat), Ok(()));
    assert_eq!(ask(1001, flat), long);
    assert_eq!(ask(100, nested), Ok(()));
    assert_eq!(ask(101, nested), long);
    for expression in [
        "claims.l.exists(x, x == '0') || true",
        "!claims.l.exists(x, false)",
        "'0' in claims.l",
        "claims.l[0] == '0'",
        "has(claims.l) && size(claims.l) > 0",
    ] {
        assert_eq!(ask(1000, expression), Ok(()), "{expression}");
        assert_eq!(ask(1001, expression), long, "{expression}");
    }
    assert_eq!(ask(1001, "has(claims.l)"), Ok(()));
}

#[test]
fn groups_and_lists_within_lists_and_maps_have_the_same_bound() {
    let long = Err(Refused::Failed(AllowError::ListTooLong));
    let mut request = Request::to("/").by(json!({}));
    let groups = |count: usize| (0..count).map(|n| Arc::from(n.to_string())).collect();
    let mut ask = |count: usize, expression: &str| {
        request.identity.as_mut().unwrap().groups = groups(count);
        request.ask(expression)
    };
    for expression in [
        "'7' in identity.groups",
        "claims.groups.exists(g, g == '7')",
    ] {
        assert_eq!(ask(1000, expression), Ok(()));
        assert_eq!(ask(1001, expression), long);
    }

    let within = |length: usize| {
        let map: Map<String, Value> = (0..length).map(|n| (n.to_string(), json!(n))).collect();
        let request = Request::to("/").by(json!({"l": [map]}));
        request.ask("claims.l.exists(m, has(m.x)) || true")
    };
    assert_eq!(within(1000), Ok(()));
    assert_eq!(within(1001), long);
}

#[test]
fn a_claim_has_a_largest_size_and_depth() {
    let large = Err(Refused::Failed(AllowError::ClaimTooLarge));
    let ask = |claim: Value| {
        let request = Request::to("/").by(json!({ "c": claim }));
        request.ask("size(claims.c) > 0 || true")
    };
    // One for the list, a thousand for its lists, and what is in these.
    let of = |values: usize| {
        let mut lists = vec![json!([0, 0, 0, 0, 0, 0, 0, 0, 0]); 1000];
        lists[0] = json!(vec![0; values - 1 - 1000 - 999 * 9]);
        json!(lists)
    };
    let deep = |depth: usize| (0..depth).fold(json!(1), |inner, _| json!([inner]));

    assert_eq!(ask(of(10_000)), Ok(()));
    assert_eq!(ask(of(10_001)), large);
    assert_eq!(ask(deep(32)), Ok(()));
    assert_eq!(ask(deep(33)), large);
}

#[test]
fn a_pattern_is_a_literal_and_searches_a_text_of_bounded_length() {
    refused(
        "request.path.matches(request.host)",
        "the pattern of `matches` is no literal",
        "matches",
    );
    refused(
        "request.path.matches('(')",
        "this pattern cannot be compiled",
        "'('",
    );
    refused(
        "request.path.matches()",
        "`matches` takes a text and a pattern",
        "matches",
    );
    let ask = |length: usize| {
        let value = vec![b'a'; length];
        let request = Request::to("/").with("x-long", &value);
        request.ask("request.headers['x-long'].matches('^a+$')")
    };
    assert_eq!(ask(16 << 10), Ok(()));
    assert_eq!(
        ask((16 << 10) + 1),
        Err(Refused::Failed(AllowError::Function))
    );
}

#[test]
fn additions_within_comprehensions_are_few() {
    takes("claims.a.exists(a, a == 'x' + 'y' + 'z' + '1' + '2')");
    refused(
        "claims.a.exists(a, a == 'x' + 'y' + 'z' + '1' + '2' + '3')",
        "there are more than four additions within `exists` and its like",
        "+",
    );
    takes("request.path == '1' + '2' + '3' + '4' + '5' + '6'");
}

#[test]
fn what_has_no_bound_or_no_use_is_refused() {
    refused("claims.a.map(x, x) == []", "`map` is not known", "map");
    refused(
        "(claims.a + claims.b).exists(x, x)",
        "this list is made here, so that nothing bounds its length",
        "exists",
    );
    for expression in [
        "{'a': 1}.a == 1",
        "Foo{a: 1} == 1",
        "b'x' == b'x'",
        "claims.?a",
        "claims[?'a']",
        "claims.a.exists(claims, true)",
        "claims.a.exists(x, claims.b.exists(x, true))",
        "claims.a.map(x, true, x + x).size() == 0",
        "dyn(1) == 1",
        "type(1) == int",
        "duration('1s') == duration('1s')",
        "optional.none() == null",
        "@matches(request.path, 'a')",
        "@0",
        "request",
        "claims[request.host] == 1",
        "request.host in request.headers",
        "identity == 'x'",
        ".claims.a == 1",
        "has(request)",
        "true &&",
        "1 2",
        "request.headers[''] == ''",
    ] {
        let compiled = Allow::compile(expression);
        assert!(compiled.is_err(), "{expression}");
    }
}

#[test]
fn what_can_never_be_true_or_false_is_refused() {
    refused(
        "request.path",
        "this expression is neither true nor false",
        "request.path",
    );
    refused(
        "1 + 1",
        "this expression is neither true nor false",
        "1 + 1",
    );
    refused("request.path == 1", "a text never equals a number", "==");
    refused(
        "request.path && true",
        "`&&` takes true or false, and this is a text",
        "&&",
    );
    refused(
        "!request.path",
        "`!` takes true or false, and this is a text",
        "!",
    );
    refused(
        "identity.groups.startsWith('a')",
        "`startsWith` takes a text, and this is a list",
        "startsWith",
    );
    refused(
        "size(1) == 1",
        "`size` takes a text or a list, and this is a number",
        "size",
    );
    refused(
        "request.path.exists(x, true)",
        "`exists` and its like go over a list, and this is a text",
        "exists",
    );
    refused(
        "identity.groups.exists(x, 'a')",
        "the condition is neither true nor false",
        "exists",
    );
    refused(
        "request.path in 'abc'",
        "`in` does not fit a text and a text",
        "in",
    );
    refused(
        "request.host < 1",
        "`<` does not fit a text and a number",
        "<",
    );
}

/// Long enough for a busy machine; without a budget some of these take minutes.
const AT_MOST: Duration = Duration::from_millis(500);

fn worst() -> Request {
    let long = vec![b'a'; 16 << 10];
    let names = |count: usize| -> Vec<String> { (0..count).map(|n| n.to_string()).collect() };
    let lists = vec![json!(vec!["x".repeat(60); 90]); 100];
    Request::to("/")
        .with("x-long", &long)
        .with("x-same", &long)
        .by(json!({"l": names(1000), "m": names(100), "deep": lists}))
}

fn nested(condition: &str) -> String {
    format!("claims.m.exists(x, claims.m.exists(y, {condition}))")
}

fn times(count: usize, one: &str) -> String {
    vec![one; count].join(" || ")
}

#[test]
fn what_would_take_too_long_is_refused_and_not_waited_for() {
    let request = worst();
    let long = "request.headers['x-long']";
    for expression in [
        times(
            16,
            &format!("claims.l.exists(x, {long}.matches('[ab]*a[ab]{{12}}c'))"),
        ),
        format!("{long}.matches('[ab]*a[ab]{{200}}c')"),
        format!("{long}.matches('(a?){{200}}b')"),
        format!("{long}.matches('(((a{{0,9}}){{0,9}}){{0,9}}b)')"),
        nested(&times(20, &format!("{long}.contains('aaaaaaaaaaaaaaab')"))),
        nested(&times(20, &format!("{long} < request.headers['x-same']"))),
        nested(&format!("{long}.lowerAscii().lowerAscii() == x")),
        nested("claims.deep == claims.m"),
        nested("claims.deep == claims.deep && x == 'q'"),
        nested("x + x + x + x == y + 'q'"),
        nested(&times(30, "x == 'q'")),
        times(16, "claims.l.exists(x, claims.l == x)"),
        times(16, "claims.l.exists(x, x in claims.l && x == 'q')"),
        times(16, &format!("claims.l.exists(x, {})", times(12, "x=='q'"))),
        times(8, &nested("x == y && x != y")),
        times(200, "claims.deep == 1"),
    ] {
        let began = crate::clock::instant();
        let said = request.ask(&expression);

        let shown = expression.get(..60).unwrap_or(&expression);
        assert!(began.elapsed() < AT_MOST, "{:?} {shown}", began.elapsed());
        let costly = Err(Refused::Failed(AllowError::TooCostly));
        assert_eq!(said, costly, "{shown}");
    }
}

#[test]
fn what_policies_say_of_common_sizes_is_within_the_budget() {
    let request = worst();
    let no = Err(Refused::NotAllowed);

    assert_eq!(request.ask(&nested("x == y + 'q'")), no);
    assert_eq!(request.ask("claims.l.exists(x, x == 'a' || x == 'b')"), no);
    assert_eq!(request.ask("'q' in claims.l"), no);
    let pattern = r"^/api/v[0-9]+/(orders|items|users)/[a-z0-9-]{1,64}$";
    let path = format!("/api/v1/orders/{}!", "a".repeat(2000));
    let longest = Request::to(&path).ask(&format!("request.path.matches('{pattern}')"));
    assert_eq!(longest, no);
    let each = format!("claims.l.exists(x, x.matches('{pattern}'))");
    assert_eq!(request.ask(&each), no);
}

#[test]
fn a_budget_that_did_not_do_refuses_whatever_else_holds() {
    let much = nested(&times(30, "x == 'q'"));
    for expression in [
        format!("{much} || true"),
        format!("!({much})"),
        format!("({much} ? false : true)"),
    ] {
        let said = worst().ask(&expression);
        assert_eq!(said, Err(Refused::Failed(AllowError::TooCostly)));
    }
}

#[test]
fn additions_are_few_in_all() {
    takes(&format!("request.path == {}", vec!["'a'"; 33].join(" + ")));
    let of = format!("request.path == {}", vec!["'a'"; 34].join(" + "));
    refused(&of, "there are more than 32 additions", "+");
}
