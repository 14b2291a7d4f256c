//! Logins where a host proxy asks: refusals lead to the provider, and our own paths are served on
//! the decision listener.

use super::{SITE, cookies_of};
use crate::decision::{DIALECTS, ask, deciding, told};
use crate::support::browser::Browser;
use crate::support::client::get;
use crate::support::provider::{CLIENT, SECRET, introduce, provider};
use crate::support::proxy::Proxy;
use edgespan::idp::IdentityProvider;

async fn proxy(provider: &IdentityProvider) -> Proxy {
    let proxy = deciding(&format!(
        "auth: {{staff: {{oidc: {{issuer: '{}', client_id: {CLIENT}, \
         client_secret: {SECRET}}}}}}}\n\
         routes:\n\
         - {{name: app, match: {{host: app.example.com, prefix: /}}, auth: staff}}\n",
        provider.issuer()
    ))
    .start()
    .await;
    introduce(provider, &proxy);
    proxy
}

const NAVIGATES: [(&str, &str); 3] = [
    ("accept", "text/html"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-dest", "document"),
];

#[tokio::test]
async fn a_browser_logs_in_through_every_dialect() {
    for dialect in DIALECTS {
        let provider = provider().await;
        let proxy = proxy(&provider).await;
        let mut browser = Browser::new().at(SITE, proxy.address);
        let mut question = told("app.example.com", "/a?b=c", "198.51.100.1");
        question.fields = &NAVIGATES;

        let refused = ask(proxy.address, dialect, &question).await;

        let expected = if dialect == "nginx" { 401 } else { 302 };
        assert_eq!(refused.status, expected, "{dialect}");
        let to = refused.header("location").unwrap().to_owned();
        assert!(to.starts_with(provider.issuer()), "{dialect}: {to}");
        let set: Vec<_> = refused.headers.get_all("set-cookie").iter().collect();
        assert_eq!(set.len(), 1, "{dialect}");
        assert!(browser.set_cookie(SITE, set[0].to_str().unwrap()));
        let page = browser.open(&to).await;
        let stop = browser.log_in_until(&page, "ada", "/oauth2/callback").await;
        assert_eq!(stop.status(), 302, "{dialect}: {}", stop.text());
        assert_eq!(
            stop.reply.header("location").unwrap(),
            format!("{SITE}/a?b=c")
        );

        let cookies: Vec<String> = browser
            .cookies(SITE)
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let cookie = cookies.join("; ");
        let fields = [("cookie", cookie.as_str())];
        question.fields = &fields;
        let passed = ask(proxy.address, dialect, &question).await;
        assert_eq!(passed.status, 200, "{dialect}");
        assert!(!cookies_of(&browser, "-staff").is_empty());
    }
}

#[tokio::test]
async fn programs_are_not_sent_anywhere_by_any_dialect() {
    let provider = provider().await;
    let proxy = proxy(&provider).await;
    for dialect in DIALECTS {
        let question = told("app.example.com", "/a", "198.51.100.1");
        let refused = ask(proxy.address, dialect, &question).await;
        assert_eq!(refused.status, 401, "{dialect}");
        assert!(refused.header("location").is_none(), "{dialect}");
        assert!(refused.header("edgespan-login").is_some(), "{dialect}");
    }
}

#[tokio::test]
async fn our_own_paths_give_no_leave_to_pass() {
    let provider = provider().await;
    let proxy = proxy(&provider).await;
    for dialect in DIALECTS {
        let question = told("app.example.com", "/oauth2/userinfo", "198.51.100.1");
        let refused = ask(proxy.address, dialect, &question).await;
        assert_ne!(refused.status, 200, "{dialect}");
    }
    let fields = [("host", "app.example.com"), ("x-forwarded-proto", "https")];
    let nobody = get(proxy.address, "/oauth2/userinfo", &fields).await;
    assert_eq!(nobody.status, 401);
    let out = get(proxy.address, "/oauth2/logout", &fields).await;
    assert_eq!(out.status, 200, "{}", out.text());
}
