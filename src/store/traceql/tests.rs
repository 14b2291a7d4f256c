//! What is read, what is refused and in which words.

use super::Query;
use proptest::prelude::*;

/// The query as it is printed, or the error.
fn read(text: &str) -> String {
    match Query::parse(text) {
        Ok(query) => query.to_string(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn what_people_type_is_read() {
    for (typed, printed) in [
        ("{}", "{ }"),
        (
            r#"{ .flow = "escrow" && status = error }"#,
            r#"{ .flow = "escrow" && status = error }"#,
        ),
        (
            "{.http.response.status_code>=500}",
            "{ .http.response.status_code >= 500 }",
        ),
        (
            r#"{ resource.service.name="a" }"#,
            r#"{ resource.service.name = "a" }"#,
        ),
        (r#"{ span."a b".c = 1.0 }"#, r#"{ span."a b.c" = 1.0 }"#),
        ("{ 100ms < duration }", "{ duration > 100ms }"),
        ("{ span:duration > 1h30m }", "{ duration > 90m }"),
        ("{ trace:duration > 1.5s }", "{ traceDuration > 1500ms }"),
        (
            "{ kind = server || kind = client }",
            "{ kind = server || kind = client }",
        ),
        (
            "{ .a || .b && .c }",
            "{ (.a = true || .b = true) && .c = true }",
        ),
        ("{ !.a && !(.b = 1) }", "{ !(.a = true) && !(.b = 1) }"),
        ("{ .a != nil }", "{ .a != nil }"),
        ("{ name =~ `GET /\\d+` }", r#"{ name =~ "GET /\\d+" }"#),
        (
            "{ .a } && { .b } >> { .c }",
            "{ .a = true } && ({ .b = true } >> { .c = true })",
        ),
        ("{} !>> {} | count() > 2", "{ } !>> { } | count() > 2"),
        ("({} | count() > 2) && {}", "({ } | count() > 2) && { }"),
        (
            "{} | avg(duration) >= 1s | select(.a, span.b)",
            "{ } | avg(duration) >= 1s | select(.a, span.b)",
        ),
        ("{ true } with (most_recent=true)", "{ true }"),
        (
            "{ event:name = \"exception\" && link.a = -1 }",
            "{ event:name = \"exception\" && link.a = -1 }",
        ),
    ] {
        assert_eq!(read(typed), printed, "{typed}");
        assert_eq!(read(printed), printed, "printed is read again");
    }
}

#[test]
fn what_is_refused_says_where_and_what_would_be_right() {
    for (typed, said) in [
        (
            "",
            "a query begins with `{`, like `{ .flow = \"escrow\" }` (column 1)",
        ),
        ("{ .a = \"x }", "this quote is never closed (column 8)"),
        ("{ .a == 1 }", "`==` is written `=` in TraceQL (column 6)"),
        (
            "{ status = \"error\" }",
            "status is one of error, ok, unset, without quotes, not `\"error\"` (column 12)",
        ),
        (
            "{ duration > \"1s\" }",
            "duration is a duration like 1.5s or 300ms, without quotes, not `\"1s\"` (column 14)",
        ),
        (
            "{ name = GET }",
            "`GET` is not known: an attribute begins with a dot (`.GET`), a text stands in quotes (`\"GET\"`) (column 10)",
        ),
        (
            "{ durations > 1s }",
            "`durations` is not known; did you mean `duration`? (column 3)",
        ),
        (
            "{ .a = .b }",
            "two fields cannot be compared with each other here, only a field with a value (column 8)",
        ),
        ("{ .a + 1 = 2 }", "arithmetic is not supported (column 6)"),
        (
            "{ !.a = 1 }",
            "what `!` is the opposite of stands in parentheses: `!(.a = 1)` (column 4)",
        ),
        (
            "{ parent.a = 1 }",
            "`parent.` is no scope that is known here: write `.`, `span.`, `resource.`, `event.` or `link.` before an attribute's name (column 3)",
        ),
        (
            "{ .a =~ \"(\" }",
            "not a pattern: unclosed group (column 9)",
        ),
        (
            "{ .a > nil }",
            "`nil` has no order: use `=` or `!=` (column 8)",
        ),
        ("{ .a = 1", "`}` is missing here (column 9)"),
        (".a = 1", "conditions stand in braces: `{ … }` (column 1)"),
        (
            "{} | rate()",
            "metrics of traces are not supported: this is a search (column 6)",
        ),
        (
            "{} | by(.a)",
            "`by(…)` is not supported: spans are not grouped here; put the value into the braces, like `{ .key = \"value\" }` (column 6)",
        ),
        (
            "{} | avg(name) > 1",
            "`name` is no number: try duration (column 10)",
        ),
        (
            "{} {}",
            "the query should end here, or go on with `&&`, `||` or `|` (column 4)",
        ),
        (
            "{ .a = 1e9x }",
            "`1e9x` is neither a number nor a duration like 1.5s or 300ms (column 8)",
        ),
    ] {
        assert_eq!(read(typed), said, "{typed}");
    }
}

#[test]
fn each_bound_holds_at_the_bound_and_one_over() {
    let many = |count: usize, one: &str, join: &str| vec![one; count].join(join);

    assert!(Query::parse(&many(32, "{}", "&&")).is_ok());
    assert!(Query::parse(&many(33, "{}", "&&")).is_err());
    assert!(Query::parse(&format!("{{{}}}", many(64, ".a", "&&"))).is_ok());
    assert!(Query::parse(&format!("{{{}}}", many(65, ".a", "&&"))).is_err());
    let nested = |depth: usize| format!("{{{}.a{}}}", "(".repeat(depth), ")".repeat(depth));
    assert!(Query::parse(&nested(32)).is_ok());
    assert!(Query::parse(&nested(33)).is_err());
    assert!(Query::parse(&format!("{{}}{}", " ".repeat(8190))).is_ok());
    assert!(Query::parse(&format!("{{}}{}", " ".repeat(8191))).is_err());
}

#[test]
fn older_tags_become_conditions() {
    let read = |tags: &str| match Query::of_tags(tags) {
        Ok(Some(query)) => query.to_string(),
        Ok(None) => "nothing".to_owned(),
        Err(error) => error.to_string(),
    };

    assert_eq!(read("  "), "nothing");
    assert_eq!(
        read(r#"service.name=orders http.route="/a b" code=500 ok=true"#),
        "(({ .service.name = \"orders\" } && { .http.route = \"/a b\" }) \
         && { .code = \"500\" || .code = 500 }) && { .ok = \"true\" || .ok = true }"
    );
    assert_eq!(read("name=\"GET /\""), "{ name = \"GET /\" }");
    assert_eq!(read("a=\"b"), "this quote is never closed (column 1)");
    assert_eq!(read("a"), "a tag is written key=value (column 1)");
}

/// Pieces of queries, so that random ones go deep.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "{",
            "}",
            "(",
            ")",
            "&&",
            "||",
            "!",
            "|",
            ">>",
            "!>",
            "~",
            "&<",
            "=",
            "!=",
            "=~",
            "!~",
            ">",
            "<=",
            ".a",
            "span.b",
            "resource.service.name",
            "event.x",
            "name",
            "status",
            "error",
            "kind",
            "server",
            "duration",
            "1s",
            "-2",
            "1.5",
            "nil",
            "true",
            "\"x\"",
            "`y.*`",
            "count()",
            "avg(duration)",
            "select(.a)",
            "trace:id",
            ",",
        ])
        .prop_map(str::to_owned),
        ".{0,3}",
    ]
}

proptest! {
    #[test]
    fn nothing_typed_makes_the_reader_panic(text in ".{0,80}") {
        drop(Query::parse(&text));
        drop(Query::of_tags(&text));
    }

    #[test]
    fn what_is_read_and_printed_reads_the_same(pieces in prop::collection::vec(piece(), 0..14)) {
        let text = pieces.join(" ");
        if let Ok(query) = Query::parse(&text) {
            let printed = query.to_string();
            prop_assert_eq!(Query::parse(&printed), Ok(query), "{}", printed);
        }
    }
}
