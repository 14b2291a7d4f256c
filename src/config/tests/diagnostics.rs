//! What a person sees of a wrong file.

use super::*;
use proptest::prelude::*;

/// Three misspelt keys, two wrong types, a dangling reference.
const SIX: &str = "\
listeners:
  web:
    adress: 0.0.0.0:8443
    limits: {connections: many}
upstreams:
  content: {endpoints: [http://127.0.0.1:3000], timeouts: {conect: 1s}}
routes:
  - name: orders
    match: {path: \"/api/v1/orders/{order_id}\", methods: GET}
    upstream: contents
    sampeling: 0.5
";

/// The file of the left picture: a shape that is wrong in three ways.
const SHAPE: &str = "\
listeners:
  web:
    adress: 0.0.0.0:8443
    mode: gatway
upstreams:
  content:
    endpoints: [http://127.0.0.1:3000]
    timeouts: {connect: 1s, request: 15}
";

/// The file of the right picture: a meaning that is wrong, and a route that never matches.
const MEANING: &str = "\
listeners: {web: {address: 0.0.0.0:8443}}
upstreams:
  content: {endpoints: [http://127.0.0.1:3000]}
routes:
  - {name: order, upstream: content, match: {host: app.example.com, path: \"/api/v1/orders/{order_id}\", methods: [GET]}}
  - {name: order-get, upstream: content, match: {host: app.example.com, path: \"/api/v1/orders/{id}\", methods: [GET]}}
";

#[track_caller]
fn snapshots(name: &str, text: &str) {
    for width in [80, 60, 40] {
        let look = Look {
            width,
            ..Look::default()
        };
        insta::assert_snapshot!(format!("{name}_{width}"), shown(text, look));
        let look = Look {
            color: true,
            ..look
        };
        let escaped = shown(text, look).replace('\u{1b}', "\\e");
        insta::assert_snapshot!(format!("{name}_{width}_color"), escaped);
    }
}

#[test]
fn three_misspelt_keys_two_wrong_types_and_a_dangling_name_are_six_diagnostics() {
    assert_eq!(told(SIX).len(), 6);
    snapshots("six", SIX);
}

#[test]
fn a_wrong_shape_is_told_with_its_hints() {
    snapshots("shape", SHAPE);
}

#[test]
fn a_route_that_never_matches_is_warned_of() {
    assert_eq!(
        told(MEANING),
        [("W0401", "route `order-get` never matches".to_owned())]
    );
    snapshots("meaning", MEANING);
}

#[test]
fn twenty_problems_are_shown_and_the_rest_counted() {
    let keys: String = (0..34).map(|n| format!("unknown{n}: 1\n")).collect();
    let text = format!("{BASE}{keys}");

    let first = shown(&text, Look::default());
    let all = shown(
        &text,
        Look {
            all: true,
            ..Look::default()
        },
    );

    assert_eq!(first.matches("error:").count(), 20);
    assert!(first.contains("\u{2026} and 14 more (--all)\n"), "{first}");
    assert!(first.ends_with("edgespan.yaml: 34 errors; nothing was started (exit 78)\n"));
    assert_eq!(all.matches("error:").count(), 34);
}

#[test]
fn problems_come_in_line_order_whichever_pass_finds_them() {
    let text = "\
routes:
  - {name: a, upstream: nowhere}
  - {name: a, upstream: app, timeouts: {request: 5}}
upstreams: {app: {endpoints: [ftp://x]}}
listeners: {web: {adress: \"127.0.0.1:1\"}}
";
    let ids: Vec<_> = told(text).into_iter().map(|(id, _)| id).collect();

    assert_eq!(ids, ["E0201", "E0202", "E0301", "E0305", "E0101"]);
}

#[test]
fn a_misspelt_section_does_not_make_its_names_dangle() {
    let text = "\
listeners: {web: {address: \"127.0.0.1:0\"}}
upstrems: {app: {endpoints: [\"http://127.0.0.1:1\"]}, other: 5}
routes: [{name: a, upstream: app}, {name: b, upstream: other}, {name: c, upstream: apps}]
";
    let ids: Vec<_> = told(text).into_iter().map(|(id, _)| id).collect();

    assert_eq!(ids, ["E0101", "E0103", "E0201"]);
}

#[test]
fn a_missing_key_and_its_misspelling_are_one_error() {
    let one = told("listeners: {web: {adress: \"127.0.0.1:0\"}}");
    let other = told("listeners: {web: {mode: gateway}}");

    assert_eq!(one.len(), 1);
    assert_eq!(
        other,
        [("E0102", "`listeners.web` has no `address`".to_owned())]
    );
}

#[test]
fn syntax_is_told_at_its_place_and_with_a_hint() {
    insta::assert_snapshot!(shown(
        "listeners:\n  web: {address: ${ADDRESS}}\n",
        Look::default()
    ));
    insta::assert_snapshot!(shown("listeners:\n\tweb: 1\n", Look::default()));
    insta::assert_snapshot!(shown("listeners: [1, 2\n", Look::default()));
}

#[test]
fn machines_read_an_array() {
    let Err(refused) = compile(SHAPE) else {
        panic!("taken")
    };

    insta::assert_snapshot!(format!("{:#}", refused.report.to_json()));
}

#[test]
fn control_characters_of_a_file_never_reach_the_terminal() {
    let shown = shown(
        "listeners: {web: {address: \"127.0.0.1:0\"}}\n\"a\u{1b}[31mb\": 1\n",
        Look::default(),
    );

    assert!(!shown.contains('\u{1b}'), "{shown:?}");
}

#[test]
fn a_list_in_a_list_or_an_alias_bomb_is_bounded() {
    let deep = format!("a: {}{}", "[".repeat(100), "]".repeat(100));
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let below = format!("*a{},", level - 1).repeat(10);
        bomb.push_str(&format!("a{level}: &a{level} [{below}]\n"));
    }
    let mut chain = "a0: &a0 [[[[[[[[[[x]]]]]]]]]]\n".to_owned();
    for level in 1..200 {
        chain.push_str(&format!("a{level}: &a{level} [[[[[*a{}]]]]]\n", level - 1));
    }

    assert_eq!(told(&deep).first().unwrap().0, "E0003");
    assert_eq!(told(&bomb).first().unwrap().0, "E0003");
    assert_eq!(told(&chain).first().unwrap().0, "E0003");
}

#[test]
fn aliases_and_merge_keys_are_taken() {
    let text = "\
listeners: {web: {address: \"127.0.0.1:0\"}}
upstreams:
  a: &a {endpoints: [\"http://127.0.0.1:1\"], timeouts: {connect: 2s}}
  b: {<<: *a, service: other}
routes: []
";
    let plan = compile(text).unwrap().plan;

    assert_eq!(plan.upstreams[1].timeouts.connect.as_secs(), 2);
    assert_eq!(&*plan.upstreams[1].service, "other");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        prop_assert!(!shown(&text, Look::default()).is_empty() || compile(&text).is_ok());
    }

    #[test]
    fn no_yaml_makes_it_panic(
        text in "(listeners|routes|upstreams|export|flows|match|name|- |  |: |\\{|\\}|\\[|\\]|,|\"|\n|\\*a|&a |<<|[a-z0-9/$.]{1,4}){0,60}",
        width in 1_usize..100,
    ) {
        let look = Look { width, ..Look::default() };
        prop_assert!(!shown(&text, look).is_empty() || compile(&text).is_ok());
        prop_assert!(told(&text).iter().all(|(id, _)| *id != "E0399"), "{}", text);
    }

    #[test]
    fn no_change_of_a_right_file_makes_it_panic(at in 0_usize..4000, put in "[ -~\n]{0,3}") {
        let example = include_str!("../../../config/gateway.yaml");
        let at = at % example.len();
        let (before, after) = example.split_at_checked(at).unwrap_or((example, ""));
        let text = format!("{before}{put}{}", after.chars().skip(1).collect::<String>());
        prop_assert!(compile(&text).is_ok() || !shown(&text, Look::default()).is_empty());
        prop_assert!(told(&text).iter().all(|(id, _)| *id != "E0399"), "{}", text);
    }
}

#[test]
fn a_single_value_where_a_small_map_belongs_is_told_once_and_how_it_is_written() {
    let jwt = "issuer: 'https://id.example.com', audiences: a, jwks: 'https://id.example.com/keys'";
    let text = format!("{BASE}auth: {{api: {{jwt: {{{jwt}}}}}}}\n");

    let told = shown(&text, Look::default());

    assert!(
        told.contains("`auth.api.jwt.jwks` has to be a map"),
        "{told}"
    );
    assert!(
        told.contains("write `{url: ...}`; keys: url, file"),
        "{told}"
    );
    assert!(told.contains("1 error;"), "{told}");
}

#[test]
fn words_that_are_their_own_title_are_told_as_they_are() {
    let oidc = "{oidc: {issuer: 'https://id.example.com', client_id: a}}";
    let text = format!("{BASE}auth: {{web: {oidc}}}\nlogin: {{session: {{store: memory}}}}\n");

    let told = shown(&text, Look::default());

    assert!(
        told.contains("`memory` is not `cookie` or `redis`"),
        "{told}"
    );
    assert!(told.contains("values: cookie, redis"), "{told}");
}
