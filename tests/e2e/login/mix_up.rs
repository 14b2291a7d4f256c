//! Several providers side by side: none of them gets at what is another one's. A provider that is not
//! to be trusted leads a browser on to another one, with the `state` of its own login, so that the
//! other one's code is redeemed at itself (RFC 9700, section 4.4).

use super::{SITE, cookies_of};
use crate::support::browser::{Browser, Page, parameter};
use crate::support::origin::Origin;
use crate::support::provider::{CLIENT, SECRET, client_at, provider_with};
use crate::support::proxy::{Proxy, Setup};
use edgespan::idp::{Endpoint, IdentityProvider, Pushed, Redirect, Settings};
use url::Url;

struct Two {
    /// Whose login begins.
    evil: IdentityProvider,
    /// Whose answer is brought.
    good: IdentityProvider,
    _proxy: Proxy,
    browser: Browser,
}

/// Two providers; whether each of them names itself, and its callback.
async fn two(evil: (bool, &str), good: (bool, &str)) -> Two {
    let settings = |names_itself| Settings {
        names_itself,
        pushed: Pushed::No,
        ..Settings::default()
    };
    let (first, second) = (
        provider_with(settings(evil.0)).await,
        provider_with(settings(good.0)).await,
    );
    let origin = Origin::start().await;
    let policy = |name: &str, provider: &IdentityProvider, callback: &str| {
        let issuer = provider.issuer();
        format!(
            "  {name}: {{oidc: {{issuer: '{issuer}', client_id: {CLIENT}, \
             client_secret: {SECRET}, callback: {callback}}}}}\n"
        )
    };
    let proxy = Setup::new(&format!(
        "listeners: {{web: {{address: '127.0.0.1:0', trusted_proxies: [127.0.0.1/32]}}}}\n\
         upstreams: {{origin: {{service: content, endpoints: ['http://${{origin}}']}}}}\n\
         auth:\n{}{}\
         routes:\n\
         - {{name: evil, match: {{prefix: /evil}}, upstream: origin, auth: evil}}\n\
         - {{name: good, match: {{prefix: /}}, upstream: origin, auth: good}}\n",
        policy("evil", &first, evil.1),
        policy("good", &second, good.1),
    ))
    .origin(&origin)
    .start()
    .await;
    for (name, provider) in [("evil", &first), ("good", &second)] {
        let mut client = client_at(SITE);
        let own = format!("{SITE}/oauth2/callback/{name}");
        client.redirects.push(Redirect::Exactly(own));
        provider.register(client);
    }
    let browser = Browser::new().at(SITE, proxy.address);
    Two {
        evil: first,
        good: second,
        _proxy: proxy,
        browser,
    }
}

impl Two {
    /// Begins a login on this path: its `state`.
    async fn begin(&mut self, path: &str) -> String {
        let page = self.browser.step(&format!("{SITE}{path}")).await;
        let to = page.reply.header("location").expect("a login begins");
        parameter(&Url::parse(to).unwrap(), "state").unwrap()
    }

    /// Brings an answer, and sees that nobody was told of its code.
    async fn brings(&mut self, answer: &str) -> Page {
        let page = self.browser.step(&format!("{SITE}{answer}")).await;
        for provider in [&self.evil, &self.good] {
            assert_eq!(provider.count(Endpoint::Token), 0, "{answer}");
        }
        assert!(cookies_of(&self.browser, "-good").is_empty(), "{answer}");
        assert!(cookies_of(&self.browser, "-evil").is_empty(), "{answer}");
        page
    }
}

#[tokio::test]
async fn an_answer_at_the_address_of_another_provider_is_redeemed_nowhere() {
    for (evil, good) in [("shared", "own"), ("own", "shared"), ("own", "own")] {
        let mut two = two((false, evil), (false, good)).await;
        let state = two.begin("/evil").await;
        let there = match good {
            "own" => "/oauth2/callback/good",
            _ => "/oauth2/callback",
        };

        let page = two
            .brings(&format!("{there}?code=stolen&state={state}"))
            .await;

        assert_eq!(page.status(), 502, "{evil} {good}: {}", page.text());
        assert!(page.text().contains("Try again"));
        let begun = cookies_of(&two.browser, "flow-");
        assert!(begun.is_empty(), "it is over: {begun:?}");
    }
}

#[tokio::test]
async fn an_error_at_the_address_of_another_provider_is_no_word_of_the_one_that_was_asked() {
    let mut two = two((false, "shared"), (false, "own")).await;
    let state = two.begin("/evil").await;

    let answer = format!("/oauth2/callback/good?error=access_denied&state={state}");
    let page = two.brings(&answer).await;

    assert_eq!(page.status(), 502, "{}", page.text());
}

/// RFC 9207: also where the one that was asked never names itself.
#[tokio::test]
async fn an_answer_that_names_another_provider_is_redeemed_nowhere() {
    let mut two = two((false, "shared"), (true, "shared")).await;
    let named = two.good.issuer().to_owned();
    let own = two.evil.issuer().to_owned();
    for iss in [
        format!("iss={named}"),
        "iss=".to_owned(),
        format!("iss={own}&iss={named}"),
        format!("iss={own}/"),
    ] {
        for answer in ["code=stolen", "error=access_denied"] {
            let state = two.begin("/evil").await;
            let answer = format!("/oauth2/callback?{answer}&state={state}&{iss}");
            let page = two.brings(&answer).await;
            assert_eq!(page.status(), 502, "{answer}: {}", page.text());
        }
    }
}

#[tokio::test]
async fn who_is_to_name_himself_and_does_not_is_another_one() {
    let mut two = two((true, "shared"), (false, "shared")).await;
    let state = two.begin("/evil").await;

    let page = two
        .brings(&format!("/oauth2/callback?code=stolen&state={state}"))
        .await;

    assert_eq!(page.status(), 502, "{}", page.text());
}

#[tokio::test]
async fn a_login_with_an_address_of_its_own_comes_back_there() {
    let mut two = two((false, "shared"), (false, "own")).await;

    let page = two.browser.open(&format!("{SITE}/a?b=c")).await;
    let page = two.browser.log_in(&page, "ada").await;

    assert_eq!(page.status(), 200, "{}", page.text());
    assert_eq!(page.url.as_str(), format!("{SITE}/a?b=c"));
    let back = two.browser.last("/oauth2/callback/good");
    assert_eq!(back.status, 302);
    assert_eq!(two.good.count(Endpoint::Token), 1);
    let shared = format!("{SITE}/oauth2/callback/evil");
    let elsewhere = two.browser.step(&shared).await;
    assert_eq!(elsewhere.status(), 200, "a path like any other");
}

/// Nobody was asked yet, so that no answer can be one.
#[tokio::test]
async fn a_login_that_waits_for_a_choice_takes_no_answer() {
    let mut two = two((false, "shared"), (false, "shared")).await;
    let page = two
        .browser
        .open(&format!("{SITE}/oauth2/start?policy=evil,good"))
        .await;
    let handle = page.parameter("flow").expect("a choice");

    let page = two
        .brings(&format!("/oauth2/callback?code=stolen&state={handle}"))
        .await;

    assert_eq!(page.status(), 400, "{}", page.text());
}
