//! Who is told of refusals, and what is required that cannot be had.

use super::*;

const OIDC: &str = "{oidc: {issuer: 'https://id.example', client_id: app}}";
const JWT: &str = "{jwt: {issuer: 'https://id.example', audiences: app}}";
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const REDIS: &str = "redis: {url: 'redis://127.0.0.1'}\n";

fn loaded(text: &str) -> Loaded {
    let variables = [("KEY", KEY), ("HOOK", "s3cret")];
    compile_with(text, &variables).unwrap_or_else(|refused| panic!("{refused:?}\n{text}"))
}

fn ids(text: &str) -> Vec<&'static str> {
    let warnings = loaded(text).warnings;
    let diagnostics = warnings.diagnostics().iter();
    diagnostics.map(|one| one.code.id()).collect()
}

fn webhook(url: &str) -> String {
    format!("webhook: {{url: '{url}', secret: {{env: HOOK}}}}")
}

#[test]
fn refusals_are_told_of_without_a_login_where_the_file_asks_for_it() {
    let hook = webhook("https://siem.example/edgespan");
    for (login, is_told, expected) in [
        (&*hook, true, &[][..]),
        (
            &format!("{hook}, user_type: kind, keys: [{{env: KEY}}]"),
            true,
            &[],
        ),
        ("audit: {subject: plain}", true, &[]),
        ("user_type: kind", false, &["W0402"]),
        (&format!("{hook}, path: /sso"), true, &["W0402"]),
        (&format!("{hook}, cookie: {{name: app}}"), true, &["W0402"]),
        (&format!("{hook}, pages: {{site: Acme}}"), true, &["W0402"]),
    ] {
        let text = format!("{BASE}auth: {{api: {JWT}}}\nlogin: {{{login}}}\n");
        let plan = loaded(&text).plan;
        assert_eq!(plan.audit.is_some(), is_told, "{text}");
        assert!(plan.login.is_none());
        assert_eq!(ids(&text), expected, "{text}");
    }
    let nobody = format!("{BASE}login: {{{hook}}}\n");
    assert!(loaded(&nobody).plan.audit.is_none());
    assert_eq!(ids(&nobody), ["W0402"]);
    let unasked = format!("{BASE}auth: {{api: {JWT}}}\n");
    assert!(loaded(&unasked).plan.audit.is_none());
    let logs_in = format!("{BASE}auth: {{web: {OIDC}}}\n");
    assert!(loaded(&logs_in).plan.audit.is_some(), "as ever");
}

#[test]
fn a_webhook_that_others_can_read_is_told_of() {
    for (url, expected) in [
        ("http://siem.example/edgespan", &["W0422"][..]),
        ("http://10.0.0.7/edgespan", &["W0422"]),
        ("https://siem.example/edgespan", &[]),
        ("http://127.0.0.1:9/edgespan", &[]),
        ("http://[::1]:9/edgespan", &[]),
        ("http://siem.localhost/edgespan", &[]),
    ] {
        let hook = webhook(url);
        let api = format!("{BASE}auth: {{api: {JWT}}}\nlogin: {{{hook}}}\n");
        assert_eq!(ids(&api), expected, "{api}");
        let login = format!("login: {{{hook}, keys: [{{env: KEY}}]}}\n");
        let web = format!("{BASE}auth: {{web: {OIDC}}}\n{login}{REDIS}");
        assert_eq!(ids(&web), expected, "{web}");
    }
}

#[test]
fn what_a_policy_can_tell_of_nobody_is_told_of_where_it_is_required() {
    let text = |set: &str| {
        format!(
            "{BASE}auth: {{net: {{ip: [10.0.0.0/8]}}, api: {JWT}, \
             cert: {{client_cert: {{san: [a.example]}}}}}}\n\
             routes: [{{name: one, match: {{prefix: /one}}, upstream: app, auth: [{set}]}}, \
             {{name: all, match: {{prefix: /}}, upstream: app, auth: [{{all: [api, net, cert]}}]}}]\n"
        )
    };
    let told = |set: &str| {
        let warnings = loaded(&text(set)).warnings;
        let diagnostics = warnings.diagnostics().iter();
        let of_require = diagnostics.filter(|one| one.message == "nobody passes by this");
        of_require.count()
    };
    for (set, expected) in [
        ("{policy: net, require: {groups: [ops]}}", 1),
        ("{policy: cert, require: {emails: ['@example.com']}}", 1),
        ("{all: [api, net], require: {groups: [ops]}}", 1),
        ("{policy: api, require: {groups: [ops], scopes: [a]}}", 0),
        ("{policy: net, require: {}}", 0),
        ("{all: [api, net]}", 0),
    ] {
        assert_eq!(told(set), expected, "{set}");
    }
    let keys = tempfile::tempdir().unwrap();
    let path = keys.path().join("keys");
    std::fs::write(&path, format!("ci:{}:read\n", "a".repeat(64))).unwrap();
    for (require, expected) in [("{groups: [read]}", 0), ("{scopes: [read]}", 1)] {
        let text = format!(
            "{BASE}auth: {{key: {{api_key: {{file: '{}'}}}}}}\n\
             routes: [{{name: all, match: {{prefix: /}}, upstream: app, \
             auth: [{{policy: key, require: {require}}}]}}]\n",
            path.display()
        );
        let warnings = loaded(&text).warnings;
        let of_require = warnings.diagnostics().iter();
        let count = of_require.filter(|one| one.message == "nobody passes by this");
        assert_eq!(count.count(), expected, "{require}");
    }
}

#[test]
fn what_is_required_of_a_login_and_hardly_ever_there_is_told_of() {
    let login = format!("login: {{keys: [{{env: KEY}}]}}\n{REDIS}");
    let of_policy = |kind: &str, require: &str| {
        let policies =
            [OIDC, JWT].map(|one| one.replace("}}", &format!(", require: {require}}}}}")));
        let [web, api] = &policies;
        let policy = if kind == "web" { web } else { api };
        format!("{BASE}auth: {{web: {OIDC}, own: {policy}}}\n{login}")
    };
    let of_route = |set: &str| {
        format!(
            "{BASE}auth: {{web: {OIDC}, own: {JWT}}}\n{login}routes: [\
             {{name: one, match: {{prefix: /one}}, upstream: app, auth: [{set}]}}, \
             {{name: all, match: {{prefix: /}}, upstream: app, auth: [own, web]}}]\n"
        )
    };
    let by_default = |set: &str| {
        let routes = "routes: [{name: a, match: {prefix: /a}, upstream: app}, \
                      {name: all, match: {prefix: /}, upstream: app}]";
        format!("{BASE}auth: {{web: {OIDC}}}\n{login}default_auth: [{set}]\n{routes}\n")
    };
    for (text, expected) in [
        (of_policy("web", "{scopes: [a]}"), &["W0434"][..]),
        (of_policy("web", "{groups: [a]}"), &[]),
        (of_policy("web", "{}"), &["W0402"]),
        (of_policy("api", "{scopes: [a]}"), &[]),
        (of_policy("api", "{}"), &["W0402"]),
        (
            of_route("{policy: web, require: {scopes: [a]}}"),
            &["W0434"],
        ),
        (of_route("{policy: web, require: {acr: [a]}}"), &[]),
        (of_route("{policy: web, require: {}}"), &["W0402"]),
        (of_route("{policy: own, require: {scopes: [a]}}"), &[]),
        // Once, however many routes go by it.
        (
            by_default("{policy: web, require: {scopes: [a]}}"),
            &["W0434"],
        ),
    ] {
        assert_eq!(ids(&text), expected, "{text}");
    }
}
