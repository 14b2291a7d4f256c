//! `policy=` ends one session; the others go on, also when the provider leads back.

use super::{SITE, World};
use crate::support::browser::{Browser, Page};
use crate::support::origin::Origin;
use crate::support::provider::{CLIENT, SECRET, introduce, provider_with};
use crate::support::proxy::Setup;
use edgespan::idp::{IdentityProvider, Pushed, Settings};

struct Two {
    _other: IdentityProvider,
    world: World,
}

/// A person who is logged in at two providers: by `one` below `/one`, by `two` elsewhere.
async fn two() -> Two {
    let settings = || Settings {
        pushed: Pushed::No,
        ..Settings::default()
    };
    let (provider, other) = (
        provider_with(settings()).await,
        provider_with(settings()).await,
    );
    let origin = Origin::start().await;
    let policy = |name: &str, label: &str, issuer: &str| {
        format!(
            "  {name}: {{oidc: {{issuer: '{issuer}', client_id: {CLIENT}, \
             client_secret: {SECRET}, label: {label}}}}}\n"
        )
    };
    let proxy = Setup::new(&format!(
        "listeners: {{web: {{address: '127.0.0.1:0', trusted_proxies: [127.0.0.1/32]}}}}\n\
         upstreams: {{origin: {{service: content, endpoints: ['http://${{origin}}']}}}}\n\
         auth:\n{}{}\
         routes:\n\
         - {{name: one, match: {{prefix: /one}}, upstream: origin, auth: one}}\n\
         - {{name: two, match: {{prefix: /}}, upstream: origin, auth: two}}\n",
        policy("one", "Staff", provider.issuer()),
        policy("two", "Guests", other.issuer()),
    ))
    .origin(&origin)
    .start()
    .await;
    introduce(&provider, &proxy);
    introduce(&other, &proxy);
    let browser = Browser::new().at(SITE, proxy.address);
    let mut world = World {
        provider,
        origin,
        proxy,
        browser,
    };
    for path in ["/one", "/two"] {
        let page = world.log_in(path).await;
        assert_eq!((page.status(), page.url.path()), (200, path));
    }
    Two {
        _other: other,
        world,
    }
}

impl Two {
    /// By a link of the site, to the provider and back, as a browser tells of each step.
    async fn log_out_of_one(&mut self, further: &str) -> Page {
        let browser = &mut self.world.browser;
        let logout = format!("{SITE}/oauth2/logout?policy=one{further}");
        let from = [("sec-fetch-site", "same-origin")];
        let away = browser.step_with(&logout, &from).await;
        let there = browser.follow(&away).await;
        browser.follow(&there).await
    }

    async fn goes_on(&mut self, path: &str) -> bool {
        let page = self.world.browser.step(&format!("{SITE}{path}")).await;
        page.status() == 200
    }
}

#[tokio::test]
async fn the_end_of_one_session_is_told_with_those_that_go_on() {
    let mut two = two().await;

    let page = two.log_out_of_one("").await;

    let text = page.text();
    assert_eq!((page.status(), page.url.path()), (200, "/oauth2/logout"));
    assert!(text.contains("<h1>Logged out</h1>"), "{text}");
    assert!(text.contains("Your login at Guests goes on."), "{text}");
    assert!(text.contains("Log out there, too"), "{text}");
    assert!(!two.goes_on("/one").await && two.goes_on("/two").await);
}

#[tokio::test]
async fn the_end_of_one_session_leads_on_to_where_it_should() {
    let mut two = two().await;

    let page = two.log_out_of_one("&rd=/two/bye%2520bye").await;

    let to = page.reply.header("location").unwrap();
    assert_eq!(to, format!("{SITE}/two/bye%20bye"));
    assert!(!two.goes_on("/one").await && two.goes_on("/two").await);
}

/// A browser says of the whole way that nobody's page began it.
#[tokio::test]
async fn the_end_of_one_session_by_the_address_bar_ends_no_other() {
    let mut two = two().await;

    let logout = format!("{SITE}/oauth2/logout?policy=one");
    let page = two.world.browser.open(&logout).await;

    assert!(page.text().contains("Logged out"), "{}", page.text());
    assert!(!two.goes_on("/one").await && two.goes_on("/two").await);
}
