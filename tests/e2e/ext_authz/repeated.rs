//! A login where a host asks over gRPC: the request that is repeated after it goes on with its trace,
//! once.

use super::host::{OFFICE, allows, check, deciding, refused, told};
use crate::login::{SITE, cookie_line};
use crate::support::browser::Browser;
use crate::support::collector::Collector;
use crate::support::provider::{CLIENT, SECRET, introduce, provider};
use crate::support::until;
use edgespan::auth::ext_authz::messages::{HeaderValueOption, HttpResponse};

/// What fields of this name say.
fn values(fields: &[HeaderValueOption], name: &str) -> Vec<String> {
    let fields = fields.iter().filter_map(|field| field.header.as_ref());
    let named = fields.filter(|field| field.key.eq_ignore_ascii_case(name));
    named
        .map(|field| {
            if field.raw_value.is_empty() {
                field.value.clone()
            } else {
                String::from_utf8(field.raw_value.clone()).unwrap()
            }
        })
        .collect()
}

#[tokio::test]
async fn a_request_that_is_repeated_after_a_login_goes_on_with_its_trace_once() {
    let (provider, collector) = (provider().await, Collector::start().await);
    let auth = format!(
        "{{staff: {{oidc: {{issuer: '{}', client_id: {CLIENT}, client_secret: {SECRET}}}}}}}",
        provider.issuer()
    );
    let routes = "[{name: app, match: {host: app.example.com, prefix: /}, auth: staff}]";
    let proxy = deciding(&auth, routes, &collector).await;
    introduce(&provider, &proxy);
    let mut browser = Browser::new().at(SITE, proxy.address);
    let navigates = [
        ("accept", "text/html"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "document"),
    ];

    let (status, denied) = refused(check(proxy.address, &told("/a?b=c", OFFICE, &navigates)).await);
    assert_eq!(status, 302);
    let set = values(&denied.headers, "set-cookie");
    assert!(browser.set_cookie(SITE, &set[0]), "{set:?}");
    let page = browser.open(&values(&denied.headers, "location")[0]).await;
    let stop = browser.log_in_until(&page, "ada", "/oauth2/callback").await;
    assert_eq!(stop.status(), 302, "{}", stop.text());
    let cookies = cookie_line(&browser);
    assert!(cookies.contains("-ticket-"), "{cookies}");
    let repeated = told("/a?b=c", OFFICE, &[("cookie", &*cookies)]);
    let first = check(proxy.address, &repeated).await;
    let again = check(proxy.address, &repeated).await;

    assert!(allows(&first) && allows(&again));
    let Some(HttpResponse::Ok(ok)) = first.http_response else {
        panic!("it allows");
    };
    let set = values(&ok.response_headers_to_add, "set-cookie");
    let gone = set
        .iter()
        .filter(|line| line.contains("-ticket-") && line.contains("Max-Age=0"));
    assert_eq!(gone.count(), 1, "{set:?}");
    let decided = || {
        let mut spans = collector.spans();
        spans.retain(|span| span.is_server() && span.text("edgespan.original.path") == Some("/a"));
        spans
    };
    until("three decisions", || decided().len() == 3).await;
    let said = |word: Option<&str>| {
        let mut spans = decided();
        spans.retain(|span| span.text("edgespan.login.trace") == word);
        assert_eq!(spans.len(), 1, "{word:?}");
        spans.remove(0).trace_id()
    };
    let refused = said(None);
    assert_eq!(said(Some("joined")), refused);
    assert_ne!(said(Some("used")), refused, "a ticket is used once");
}
