//! Several providers on one route: the browser chooses.

use super::SITE;
use crate::support::browser::Browser;
use crate::support::origin::Origin;
use crate::support::provider::{CLIENT, SECRET, introduce, provider};
use crate::support::proxy::{Proxy, Setup};
use edgespan::idp::IdentityProvider;

async fn two() -> (IdentityProvider, IdentityProvider, Origin, Proxy, Browser) {
    let (one, other) = (provider().await, provider().await);
    let origin = Origin::start().await;
    let policy = |name: &str, issuer: &str, label: &str| {
        format!(
            "  {name}: {{oidc: {{issuer: '{issuer}', client_id: {CLIENT}, \
             client_secret: {SECRET}, label: '{label}'}}}}\n"
        )
    };
    let proxy = Setup::new(&format!(
        "listeners: {{web: {{address: '127.0.0.1:0', trusted_proxies: [127.0.0.1/32]}}}}\n\
         upstreams: {{origin: {{service: content, endpoints: ['http://${{origin}}']}}}}\n\
         auth:\n{}{}\
         login: {{pages: {{site: 'Acme & Co'}}}}\n\
         routes: [{{name: all, match: {{prefix: /}}, upstream: origin, \
         auth: [staff, guests]}}]\n",
        policy("staff", one.issuer(), "Staff <b>directory</b>"),
        policy("guests", other.issuer(), "Guests"),
    ))
    .origin(&origin)
    .start()
    .await;
    introduce(&one, &proxy);
    introduce(&other, &proxy);
    let browser = Browser::new().at(SITE, proxy.address);
    (one, other, origin, proxy, browser)
}

fn links(text: &str) -> Vec<String> {
    let links = text.split("href=\"").skip(1);
    let links = links.filter_map(|rest| rest.split('"').next());
    links.map(|link| link.replace("&amp;", "&")).collect()
}

#[tokio::test]
async fn a_browser_chooses_by_whom_and_the_last_choice_comes_first() {
    let (_one, other, origin, _proxy, mut browser) = two().await;

    let page = browser.open(&format!("{SITE}/a?b=c")).await;

    let text = page.text();
    assert_eq!(page.status(), 200, "{text}");
    assert!(text.contains("Log in to Acme &amp; Co"), "{text}");
    assert!(
        text.contains("Staff &lt;b&gt;directory&lt;/b&gt;"),
        "{text}"
    );
    let links = links(&text);
    assert_eq!(links.len(), 2);
    assert!(links[0].contains("policy=staff") && links[1].contains("policy=guests"));

    let page = browser.open(&format!("{SITE}{}", links[1])).await;
    assert!(page.url.as_str().starts_with(other.issuer()));
    let page = browser.log_in(&page, "ada").await;
    assert_eq!(page.url.as_str(), format!("{SITE}/a?b=c"));
    assert_eq!(page.status(), 200);
    assert_eq!(origin.received().len(), 1);

    for name in browser.cookie_names(SITE) {
        if name.ends_with("-guests") {
            browser.set_cookie(SITE, &format!("{name}=; Path=/; Secure; Max-Age=0"));
        }
    }
    let page = browser.open(&format!("{SITE}/again")).await;
    let links = self::links(&page.text());
    assert!(links[0].contains("policy=guests"), "{links:?}");
}

#[tokio::test]
async fn nobody_chooses_a_policy_that_was_not_offered() {
    let (_one, _other, _origin, _proxy, mut browser) = two().await;
    let page = browser.open(&format!("{SITE}/a")).await;
    let handle = page.parameter("flow").unwrap();

    let page = browser
        .step(&format!("{SITE}/oauth2/start?flow={handle}&policy=root"))
        .await;

    // As if no policy was named: the choice is offered again.
    assert_eq!(page.status(), 302);
    let to = page.reply.header("location").unwrap();
    assert!(
        to.starts_with(&format!("{SITE}/oauth2/choose?flow=")),
        "{to}"
    );
}

#[tokio::test]
async fn a_choice_without_a_login_that_began_is_explained() {
    let (_one, _other, _origin, _proxy, mut browser) = two().await;

    let page = browser
        .step(&format!("{SITE}/oauth2/choose?flow={}", "A".repeat(32)))
        .await;

    assert_eq!(page.status(), 400);
    assert!(page.text().contains("Try again"));
}
