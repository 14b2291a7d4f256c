//! Logins: what a file means, what it cannot mean, and what it should know.

use super::*;

const OIDC: &str = "{oidc: {issuer: 'https://id.example', client_id: app}}";
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

fn document(policy: &str, login: &str) -> String {
    let name = policy;
    format!("{BASE}auth: {{{name}: {OIDC}}}\nlogin: {login}\n")
}

/// Ids of all that is told of a file, the environment holding a key.
fn ids(text: &str) -> Vec<&'static str> {
    let variables = [("KEY", KEY), ("SHORT", "AAAA"), ("WORD", "hunter2!")];
    let report = match compile_with(text, &variables) {
        Ok(loaded) => loaded.warnings,
        Err(refused) => refused.report,
    };
    let diagnostics = report.diagnostics().iter();
    diagnostics.map(|one| one.code.id()).collect()
}

#[track_caller]
fn check(policy: &str, login: &str, expected: &[&str]) {
    let redis = "redis: {url: 'redis://127.0.0.1'}\n";
    let text = format!("{}{redis}", document(policy, login));
    assert_eq!(ids(&text), expected, "{text}");
}

#[test]
fn keys_are_32_bytes_of_base64_and_nothing_else() {
    check("web", "{keys: [{env: KEY}]}", &[]);
    check("web", "{keys: [{env: KEY}, {env: SHORT}]}", &["E0313"]);
    check("web", "{keys: [{env: WORD}]}", &["E0313"]);
    check("web", "{keys: [{env: MISSING}]}", &["E0313"]);
    let keys = |count: usize| format!("{{keys: [{}]}}", vec!["{env: KEY}"; count].join(", "));
    check("web", &keys(8), &[]);
    check("web", &keys(9), &["E0105"]);
}

#[test]
fn names_are_such_as_cookies_have() {
    let keys = "keys: [{env: KEY}]";
    for (policy, expected) in [
        ("web-0", &[][..]),
        ("'a b'", &["E0306"]),
        ("a.0", &["E0306"]),
        ("flow-1", &["E0306"]),
        ("ticket-1", &["E0306"]),
        ("tries", &["E0306"]),
        ("choice", &["E0306"]),
        ("Flow-1", &["E0306"]),
        ("TRIES", &["E0306"]),
        ("flow", &[]),
        ("atries", &[]),
    ] {
        check(policy, &format!("{{{keys}}}"), expected);
    }
    for (cookie, expected) in [
        ("{name: app_1}", &[][..]),
        ("{name: 'a=b'}", &["E0306"]),
        ("{name: ''}", &["E0306"]),
        ("{name: __Host-app}", &["E0306"]),
        ("{name: __secure-app}", &["E0306"]),
        ("{name: _app}", &[]),
        ("{domain: Example.com}", &[]),
        ("{domain: .example.com}", &["E0310"]),
        ("{domain: localhost}", &["E0310"]),
        ("{domain: 127.0.0.1}", &["E0310"]),
        ("{domain: 'example.com; Secure'}", &["E0310"]),
    ] {
        check("web", &format!("{{{keys}, cookie: {cookie}}}"), expected);
    }
}

const SAFE: &str = "login: {keys: [{env: KEY}]}\nredis: {url: 'redis://127.0.0.1'}\n";

#[test]
fn no_two_policies_have_one_cookie_for_whoever_folds_case() {
    for (other, expected) in [
        ("Web", &["E0306"][..]),
        ("WEB", &["E0306"]),
        ("web-0", &[]),
        ("web_0", &[]),
    ] {
        let text = format!("{BASE}auth: {{web: {OIDC}, {other}: {OIDC}}}\n{SAFE}");
        assert_eq!(ids(&text), expected, "{text}");
    }
}

#[test]
fn providers_that_lead_back_to_one_address_are_told_of() {
    let policy = |issuer: &str, more: &str| {
        format!("{{oidc: {{issuer: 'https://{issuer}.example', client_id: app{more}}}}}")
    };
    let own = ", callback: own";
    for (policies, expected) in [
        ([policy("a", ""), policy("a", "")], &[][..]),
        ([policy("a", ""), policy("b", "")], &["W0433"]),
        ([policy("a", own), policy("b", "")], &[]),
        ([policy("a", ""), policy("b", own)], &[]),
        ([policy("a", own), policy("b", own)], &[]),
    ] {
        let [one, other] = policies;
        let text = format!("{BASE}auth: {{web: {one}, desk: {other}}}\n{SAFE}");
        assert_eq!(ids(&text), expected, "{text}");
    }
}

#[test]
fn a_policy_that_has_decided_before_is_told_of() {
    let strict = "{policy: web, require: {groups: [a]}}";
    for (sets, expected) in [
        ("[web, web]", &["W0402"][..]),
        (&format!("[web, {strict}]"), &["W0402"]),
        (&format!("[{strict}, web]"), &["W0402"]),
        ("[web, {all: [web, net]}]", &["W0402"]),
        ("[web, net]", &[]),
        // Who is known and elsewhere is left to the second one.
        (&format!("[{{all: [web, net]}}, {strict}]"), &[]),
        // Where a client is does not make up for a token that nobody knows.
        ("[net, {all: [web, net]}]", &[]),
        // It decides nothing.
        ("[tried, tried, web]", &[]),
    ] {
        let text = format!(
            "{BASE}auth: {{web: {OIDC}, net: {{ip: [10.0.0.0/8]}}, \
             tried: {{shadow: true, oidc: {{issuer: 'https://id.example', client_id: app}}}}}}\n\
             routes: [{{name: all, match: {{prefix: /}}, upstream: app, auth: {sets}}}, \
             {{name: rest, match: {{prefix: /rest}}, upstream: app, \
             auth: [{{all: [net, tried, web]}}]}}]\n{SAFE}"
        );
        assert_eq!(ids(&text), expected, "{text}");
    }
}

#[test]
fn what_holds_within_one_process_is_told() {
    let alone = document("web", "{}");
    assert_eq!(ids(&alone), ["W0430", "W0430"]);
    check("web", "{}", &["W0430"]);
    let keys = document("web", "{keys: [{env: KEY}]}");
    assert_eq!(ids(&keys), ["W0430"]);
    check(
        "web",
        "{keys: [{env: KEY}], callback_origin: 'https://login.example.com'}",
        &["E0318"],
    );
}

#[test]
fn sessions_in_cookies_behind_nginx_are_told_of() {
    let redis = "redis: {url: 'redis://127.0.0.1'}\n";
    for (decision, store, expected) in [
        ("", "cookie", &["W0431"][..]),
        ("", "redis", &[]),
        (", decision: {nginx: off}", "cookie", &[]),
    ] {
        let text = format!(
            "listeners: {{ask: {{address: '127.0.0.1:0', mode: decision, \
             trusted_proxies: [127.0.0.1]{decision}}}}}\n\
             auth: {{web: {OIDC}}}\n\
             routes: [{{name: all, match: {{prefix: /}}, auth: web}}]\n\
             login: {{keys: [{{env: KEY}}], session: {{store: {store}}}}}\n{redis}"
        );
        assert_eq!(ids(&text), expected, "{text}");
    }
}

#[test]
fn a_login_leads_back_to_no_whole_top_level() {
    let back = |to: &str| format!("{{keys: [{{env: KEY}}], return_to: ['{to}']}}");
    check("web", &back("*.example.com"), &[]);
    check("web", &back("*.localhost"), &[]);
    check("web", &back("*.com"), &["E0318"]);
    check("web", &back("*."), &["E0318"]);
}

/// What is told of an origin, in `callback_origin` or `return_to`: message, label and help.
fn words(login: &str) -> String {
    let text = format!(
        "{}redis: {{url: 'redis://127.0.0.1'}}\n",
        document("web", login)
    );
    let report = match compile_with(&text, &[("KEY", KEY)]) {
        Ok(loaded) => loaded.warnings,
        Err(refused) => refused.report,
    };
    let told = report
        .diagnostics()
        .iter()
        .find(|one| one.code.id() == "E0305");
    let told = told.unwrap_or_else(|| panic!("{login}"));
    let parts = [Some(&told.message), told.label.as_ref(), told.help.as_ref()];
    let parts: Vec<&str> = parts.into_iter().flatten().map(String::as_str).collect();
    parts.join("; ")
}

#[test]
fn what_is_no_origin_is_told_why_and_what_to_write() {
    for (written, why, remedy) in [
        (
            "login.example.com",
            "it has no scheme",
            "write `https://login.example.com`",
        ),
        (
            "login.example.com:8443",
            "no scheme",
            "write `https://login.example.com:8443`",
        ),
        (
            "//login.example.com/x",
            "no scheme",
            "write `https://login.example.com`",
        ),
        ("", "no scheme", "write `https://login.example.com`"),
        (
            "ftp://a.example.com",
            "do not log in by `ftp`",
            "write `https://a.example.com`",
        ),
        (
            "https://a.example.com/app",
            "more than an origin",
            "write `https://a.example.com`",
        ),
        (
            "https://a.example.com:8443/?x=1",
            "more than",
            "write `https://a.example.com:8443`",
        ),
        (
            "https://me@a.example.com",
            "more than",
            "write `https://a.example.com`",
        ),
        (
            "https://",
            "empty host",
            "such as `https://login.example.com`",
        ),
        (
            "https://a b.example.com",
            "this is no origin",
            "such as `https://login.example.com`",
        ),
    ] {
        for place in ["callback_origin: '@'", "return_to: ['@']"] {
            let place = place.replace('@', written);
            let told = words(&format!("{{keys: [{{env: KEY}}], {place}}}"));
            assert!(
                told.contains(why) && told.contains(remedy),
                "{written}: {told}"
            );
        }
    }
    let star = |place: &str| words(&format!("{{keys: [{{env: KEY}}], {place}}}"));
    let told = star("return_to: ['https://*.example.com']");
    assert!(told.contains("write `*.example.com`"), "{told}");
    let told = star("callback_origin: 'https://*.example.com'");
    assert!(told.contains("one host"), "{told}");
    let told = star("callback_origin: 'http://login.example.com'");
    assert!(told.contains("write `https://login.example.com`"), "{told}");
}

#[test]
fn whom_a_token_of_our_own_is_for_is_asked_only_where_one_is_signed() {
    let with = |more: &str| {
        let oidc = OIDC.replace("}}", &format!(", {more}}}}}"));
        let text = format!(
            "{BASE}auth: {{web: {oidc}}}\nlogin: {{keys: [{{env: KEY}}]}}\n\
             redis: {{url: 'redis://127.0.0.1'}}\n"
        );
        let pem = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
        let pem = pem.serialize_pem();
        let report = match compile_with(&text, &[("KEY", KEY), ("PEM", &pem)]) {
            Ok(loaded) => loaded.warnings,
            Err(refused) => refused.report,
        };
        let diagnostics = report.diagnostics().iter();
        diagnostics.map(|one| one.code.id()).collect::<Vec<_>>()
    };
    let key = "client_key: {env: PEM}";
    assert!(with(key).is_empty());
    assert!(with(&format!("{key}, client_audience: token_endpoint")).is_empty());
    assert_eq!(with("client_audience: issuer").len(), 1);
    assert_eq!(with("client_secret: s, client_audience: issuer").len(), 1);
}

#[test]
fn what_logins_cannot_share_is_told_before_anybody_logs_in() {
    let keys = "keys: [{env: KEY}]";
    for (login, expected) in [
        ("return_to: ['https://*.example.com']", &["E0305"][..]),
        ("return_to: ['https://app.example.com']", &[]),
        ("session: {idle: 9h, absolute: 8h}", &["W0402"]),
        ("session: {idle: 168h, absolute: 720h}", &[]),
        ("session: {absolute: 721h}", &["E0301"]),
        ("user_type: 'a..b'", &["E0318"]),
    ] {
        check("web", &format!("{{{keys}, {login}}}"), expected);
    }
}

#[test]
fn what_a_policy_cannot_mean_is_told_before_anybody_logs_in() {
    let keys = "keys: [{env: KEY}]";
    for (oidc, expected) in [
        (
            "issuer: 'https://id.example/.well-known/openid-configuration'",
            &["E0305"][..],
        ),
        ("issuer: 'https://id.example', prompt: none", &["E0318"]),
        ("issuer: 'https://id.example', prompt: login", &[]),
        (
            "issuer: 'https://id.example', parameters: {scope: groups}",
            &["E0318"],
        ),
        (
            "issuer: 'https://id.example', parameters: {hd: example.com}",
            &[],
        ),
        (
            "issuer: 'https://id.example', groups: 'realm..roles'",
            &["E0318"],
        ),
        (
            "issuer: 'https://id.example', client_secret: ''",
            &["E0313"],
        ),
        (
            "issuer: 'https://id.example', client_secret: $OIDC_SECRET",
            &["E0313"],
        ),
        ("issuer: 'https://id.example', client_secret: $ecret", &[]),
        (
            "issuer: 'https://id.example', client_secret: s, client_auth: none",
            &["W0402"],
        ),
        (
            "issuer: 'https://id.example', require: {emails: ['*@example.com']}",
            &["E0318"],
        ),
        (
            "issuer: 'https://id.example', pass: {access_token: x-user}",
            &["E0202"],
        ),
        (
            "issuer: 'https://id.example', pass: {access_token: x-token, id_token: X-Token}",
            &["E0202"],
        ),
        (
            "issuer: 'https://id.example', pass: {access_token: cookie}",
            &["E0306"],
        ),
        (
            "issuer: 'https://id.example', pass: {access_token: authorization}",
            &[],
        ),
    ] {
        let text = format!(
            "{BASE}auth: {{web: {{oidc: {{client_id: app, {oidc}}}}}}}\nlogin: {{{keys}}}\n\
             redis: {{url: 'redis://127.0.0.1'}}\nidentity: {{headers: {{X-User: subject}}}}\n"
        );
        assert_eq!(ids(&text), expected, "{text}");
    }
}

#[test]
fn a_login_that_can_begin_at_no_listener_is_told_of() {
    let trusted = "trusted_proxies: [10.0.0.0/8]";
    for (listeners, expected) in [
        ("{web: {address: '0.0.0.0:8080'}}", &["W0432"][..]),
        ("{web: {address: '127.0.0.1:8080'}}", &[]),
        ("{web: {address: '[::1]:8080'}}", &[]),
        (
            &format!("{{web: {{address: '0.0.0.0:8080', {trusted}}}}}"),
            &[],
        ),
        ("{web: {address: '0.0.0.0:8080', cloudflare: tunnel}}", &[]),
        (
            &format!("{{a: {{address: '0.0.0.0:80'}}, b: {{address: '[::]:81', {trusted}}}}}"),
            &[],
        ),
        (
            "{a: {address: '0.0.0.0:80'}, b: {address: '[::]:81'}}",
            &["W0432"],
        ),
    ] {
        let text = format!(
            "listeners: {listeners}\nupstreams: {{app: {{endpoints: ['http://127.0.0.1:3000']}}}}\n\
             auth: {{web: {OIDC}}}\nlogin: {{keys: [{{env: KEY}}]}}\n\
             redis: {{url: 'redis://127.0.0.1'}}\n"
        );
        assert_eq!(ids(&text), expected, "{text}");
    }
}

#[test]
fn a_policy_that_no_route_asks_is_told_of() {
    let route = |auth: &str| {
        format!("routes: [{{name: all, match: {{prefix: /}}, upstream: app, auth: {auth}}}]\n")
    };
    let file = |rest: &str| {
        let login = "{keys: [{env: KEY}]}";
        format!(
            "{}redis: {{url: 'redis://127.0.0.1'}}\n{rest}",
            document("web", login)
        )
    };
    assert_eq!(ids(&file(&route("web"))), [""; 0]);
    assert_eq!(ids(&file(&route("[{all: [web]}]"))), [""; 0]);
    assert_eq!(ids(&file(&route("[{policy: web}]"))), [""; 0]);
    assert_eq!(ids(&file(&route("off"))), ["W0402"]);
    let by_default = format!("default_auth: web\n{}", route("off"));
    assert_eq!(ids(&file(&by_default)), [""; 0]);
}
