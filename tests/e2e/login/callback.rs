//! The way back from a provider.

use super::{SITE, cookies_of, world, world_with};
use crate::support::browser::parameter;
use crate::support::client::get;
use crate::support::provider::CLIENT;
use crate::support::proxy::Setup;
use edgespan::idp::{Endpoint, Settings};
use url::Url;

#[tokio::test]
async fn a_first_login_leads_to_the_page_that_was_asked_for() {
    let mut world = world("").await;

    let page = world.log_in("/a/b?c=d&e=%20f").await;

    assert_eq!(page.status(), 200, "{}", page.text());
    assert_eq!(page.url.as_str(), format!("{SITE}/a/b?c=d&e=%20f"));
    let received = world.origin.sole();
    assert_eq!(received.uri.to_string(), "/a/b?c=d&e=%20f");
    assert!(received.all("cookie").is_empty(), "ours go no further");
    let names = world.browser.cookie_names(SITE);
    assert!(names.iter().any(|name| name == "__Host-edgespan-staff"));
    assert!(cookies_of(&world.browser, "flow-").is_empty());
    for hop in &world.browser.hops {
        assert!(hop.refused.is_empty(), "{:?}", hop.refused);
    }
}

#[tokio::test]
async fn who_is_logged_in_is_not_asked_again() {
    let mut world = world("").await;
    world.log_in("/a").await;
    let calls = world.provider.calls().len();

    let page = world.browser.step(&format!("{SITE}/b")).await;

    assert_eq!(page.status(), 200);
    assert_eq!(world.provider.calls().len(), calls);
}

#[tokio::test]
async fn tabs_that_log_in_side_by_side_each_reach_their_own_page() {
    let mut world = world("").await;
    let one = world.browser.open(&format!("{SITE}/one")).await;
    let two = world.browser.open(&format!("{SITE}/two")).await;

    let second = world.browser.log_in(&two, "ada").await;
    let first = world.browser.log_in(&one, "ada").await;

    assert_eq!(second.url.path(), "/two");
    assert_eq!(first.url.path(), "/one");
    assert_eq!((first.status(), second.status()), (200, 200));
}

/// Login CSRF and session fixation: a code that another browser got.
#[tokio::test]
async fn a_callback_without_the_cookie_of_its_login_is_refused_before_its_code_is_redeemed() {
    let mut world = world("").await;
    let page = world.browser.open(&format!("{SITE}/a")).await;
    let back = world.callback_of(&page).await;

    let mut victim = world.other_browser();
    let page = victim.step(&back).await;

    assert_eq!(world.provider.count(Endpoint::Token), 0);
    assert_eq!(page.status(), 302, "it starts over, once");
    assert!(cookies_of(&victim, "staff").is_empty());
}

#[tokio::test]
async fn a_browser_that_keeps_no_cookies_starts_over_once_and_is_then_told_why() {
    let mut world = world("").await;
    let page = world.browser.open(&format!("{SITE}/a")).await;
    let back = world.callback_of(&page).await;
    world.browser.forget();
    let again = world.browser.step(&back).await;
    assert_eq!(again.status(), 302);
    let to = Url::parse(again.reply.header("location").unwrap()).unwrap();
    let state = parameter(&to, "state").unwrap();
    world.browser.forget();

    let page = world
        .browser
        .step(&format!("{SITE}/oauth2/callback?code=x&state={state}"))
        .await;

    assert_eq!(page.status(), 400);
    let text = page.text();
    assert!(
        text.contains("Try again") && text.contains("trace_id"),
        "{text}"
    );
    assert_eq!(world.provider.count(Endpoint::Token), 0);
}

#[tokio::test]
async fn a_forged_state_redeems_nothing() {
    let mut world = world("").await;
    world.browser.step(&format!("{SITE}/a")).await;
    for state in ["", "x", "r.", &"A".repeat(32), &"A".repeat(5000)] {
        let page = world
            .browser
            .step(&format!("{SITE}/oauth2/callback?code=x&state={state}"))
            .await;
        assert!([302, 400].contains(&page.status()), "{state}");
    }
    assert_eq!(world.provider.count(Endpoint::Token), 0);
}

#[tokio::test]
async fn a_callback_that_comes_again_leads_to_the_page_and_redeems_nothing_again() {
    let mut world = world("").await;
    world.log_in("/a").await;
    let back = world.browser.last("/oauth2/callback").url.to_string();

    let page = world.browser.step(&back).await;

    assert_eq!(page.status(), 302);
    assert_eq!(page.reply.header("location"), Some(SITE));
    assert_eq!(world.provider.count(Endpoint::Token), 1);
}

#[tokio::test]
async fn a_state_is_used_once_even_by_who_kept_its_cookie() {
    let mut world = world("").await;
    let page = world.browser.open(&format!("{SITE}/a")).await;
    let flow: Vec<_> = world
        .browser
        .cookies(SITE)
        .into_iter()
        .filter(|(name, _)| name.contains("flow-"))
        .collect();
    world.browser.log_in(&page, "ada").await;
    let back = world.browser.last("/oauth2/callback").url.to_string();
    let mut thief = world.other_browser();
    let (name, value) = &flow[0];
    let line = format!("{name}={value}; Path=/; Secure; HttpOnly");
    assert!(thief.set_cookie(SITE, &line));

    let page = thief.step(&back).await;

    assert_eq!(world.provider.count(Endpoint::Token), 1);
    assert_eq!(page.status(), 302, "it starts over");
    assert!(
        page.reply
            .header("location")
            .unwrap()
            .contains("response_type")
    );
    assert!(cookies_of(&thief, "staff").is_empty());
}

#[tokio::test]
async fn a_login_that_took_too_long_starts_over_by_itself() {
    let change = |setup: crate::support::proxy::Setup| setup.with("login: {flow_ttl: 3s}");
    let mut world = world_with("", Settings::default(), change).await;
    let page = world.browser.open(&format!("{SITE}/late")).await;
    // The browser drops the cookie as the proxy would: it is looked at by its seal all the same.
    let kept: Vec<_> = world.browser.cookies(SITE);
    tokio::time::sleep(std::time::Duration::from_millis(4100)).await;
    for (name, value) in kept {
        let line = format!("{name}={value}; Path=/; Secure; HttpOnly");
        world.browser.set_cookie(SITE, &line);
    }

    let page = world.browser.log_in(&page, "ada").await;

    assert_eq!(page.url.path(), "/late", "{:?}", world.browser.paths());
    assert_eq!(page.status(), 200);
    let callbacks = world.browser.hops.iter();
    let callbacks = callbacks.filter(|hop| hop.url.path() == "/oauth2/callback");
    assert_eq!(callbacks.count(), 2);
}

#[tokio::test]
async fn a_provider_that_says_no_leaves_nobody_without_a_way_on() {
    let mut world = world("").await;
    let page = world.browser.step(&format!("{SITE}/a")).await;
    let to = Url::parse(page.reply.header("location").unwrap()).unwrap();
    let state = parameter(&to, "state").unwrap();
    let issuer = world.provider.issuer().to_owned();

    let page = world
        .browser
        .step(&format!(
            "{SITE}/oauth2/callback?error=access_denied&error_description=%3Cscript%3E\
             &state={state}&iss={issuer}"
        ))
        .await;

    let text = page.text();
    assert_eq!(page.status(), 403, "{text}");
    for words in ["Try again", "Use another account", "Log out", "trace_id"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(!text.contains("<script>"));
    assert_eq!(world.provider.count(Endpoint::Token), 0);
    assert!(cookies_of(&world.browser, "flow-").is_empty());
}

#[tokio::test]
async fn a_session_begins_anew_with_each_login() {
    let mut world = world("").await;
    world.log_in("/a").await;
    let before = world.browser.cookies(SITE);

    let page = world
        .browser
        .open(&format!("{SITE}/oauth2/start?rd=/b&prompt=login"))
        .await;
    let page = world.browser.log_in(&page, "bob").await;

    assert_eq!(page.url.path(), "/b");
    let after = world.browser.cookies(SITE);
    let of = |cookies: &[(String, String)]| {
        let mut all = cookies.iter();
        all.find(|(name, _)| name == "__Host-edgespan-staff")
            .cloned()
    };
    assert_ne!(of(&before), of(&after));
}

/// A browser that loses its session again and again is told so, and gets out.
#[tokio::test]
async fn logins_that_lead_to_logins_end_with_a_page() {
    let mut world = world("").await;
    world.log_in("/a").await;
    let mut sent_on = 0;
    let page = loop {
        for name in cookies_of(&world.browser, "-staff") {
            let gone = format!("{name}=; Path=/; Secure; Max-Age=0");
            world.browser.set_cookie(SITE, &gone);
        }
        let page = world.browser.step(&format!("{SITE}/a")).await;
        if page.status() != 302 {
            break page;
        }
        sent_on += 1;
        assert!(sent_on < 10, "it never ends: {:#?}", world.browser.hops);
        let mut page = world.browser.follow(&page).await;
        // The provider answers 303.
        while matches!(page.status(), 302 | 303) && page.url.path() != "/oauth2/callback" {
            page = world.browser.follow(&page).await;
        }
    };

    assert_eq!(sent_on, 4, "five in a row");
    assert_eq!(page.status(), 403);
    let text = page.text();
    assert!(text.contains("again=1"), "{text}");
    let again = world
        .browser
        .open(&format!("{SITE}/oauth2/start?rd=/a&policy=staff&again=1"))
        .await;
    assert_eq!(again.status(), 200);
}

#[tokio::test]
async fn tokens_go_to_the_origin_where_the_file_says_so_and_never_the_clients_own() {
    let mut world = world(", pass: {access_token: authorization, id_token: x-id-token}").await;
    world.log_in("/a").await;

    let fields = [("authorization", "Bearer mine"), ("x_id_token", "mine")];
    let page = world.browser.step_with(&format!("{SITE}/b"), &fields).await;

    assert_eq!(page.status(), 200);
    let received = world.origin.received();
    let last = received.last().unwrap();
    let bearer = last.one("authorization");
    assert!(bearer.starts_with("Bearer ") && bearer != "Bearer mine");
    assert_eq!(last.one("x-id-token").split('.').count(), 3);
    assert!(last.all("x_id_token").is_empty());
}

/// The origin believes the field, whatever the route.
#[tokio::test]
async fn nobody_writes_the_field_of_a_token_where_no_login_is_asked_for() {
    let open = |setup: Setup| {
        let more = "auth: staff}, {name: open, match: {path: /open}, upstream: origin}]";
        setup.replace("auth: staff}]", more)
    };
    let settings = Settings::default();
    let world = world_with(", pass: {id_token: x-id-token}", settings, open).await;
    let fields = [
        ("host", "app.example.com"),
        ("x-id-token", "mine"),
        ("x_id_token", "mine"),
    ];

    let reply = get(world.proxy.address, "/open", &fields).await;

    assert_eq!(reply.status, 200);
    let received = world.origin.received();
    let last = received.last().unwrap();
    assert!(last.all("x-id-token").is_empty());
    assert!(last.all("x_id_token").is_empty());
}

#[tokio::test]
async fn pages_of_the_site_learn_who_is_logged_in_and_no_token() {
    let mut world = world(", userinfo: true").await;
    let userinfo = format!("{SITE}/oauth2/userinfo");
    let nobody = world.browser.fetch(&userinfo, &[]).await;
    world.log_in("/a").await;

    let page = world
        .browser
        .fetch(&userinfo, &[("origin", "https://evil.example")])
        .await;

    assert_eq!(nobody.status(), 401);
    assert!(nobody.reply.header("edgespan-login").is_some());
    assert_eq!(page.status(), 200);
    assert!(page.reply.header("access-control-allow-origin").is_none());
    let told = page.reply.json();
    assert_eq!(told["subject"], "ada");
    assert_eq!(told["groups"], serde_json::json!(["staff"]));
    assert!(!page.text().contains("eyJ"), "{}", page.text());
    assert!(!page.text().contains(CLIENT) || told["claims"]["aud"] == CLIENT);
}

#[tokio::test]
async fn a_head_before_a_callback_takes_nothing() {
    let mut world = world("").await;
    let page = world.browser.open(&format!("{SITE}/a")).await;
    let back = world.callback_of(&page).await;
    let target = back.strip_prefix(SITE).unwrap();
    let fields = [("host", "app.example.com"), ("x-forwarded-proto", "https")];

    for method in ["HEAD", "POST"] {
        let asked = crate::support::client::request(method, target, &fields);
        let reply = crate::support::client::send(world.proxy.address, asked).await;
        assert_eq!(reply.status, 405, "{method}");
    }
    let page = world.browser.step(&back).await;

    assert_eq!(page.status(), 302);
    assert_eq!(page.reply.header("location").unwrap(), format!("{SITE}/a"));
}

/// MAO CVE-2025-31492: a body came along with the redirect.
#[tokio::test]
async fn nothing_of_the_origin_comes_with_a_redirect_or_a_page_of_ours() {
    let mut world = world("").await;

    let page = world.browser.step(&format!("{SITE}/a")).await;

    assert!(page.text().is_empty());
    assert!(world.origin.received().is_empty());
}

impl super::World {
    /// Where the provider leads back to after a login on this page of its; nobody goes there.
    async fn callback_of(&mut self, page: &crate::support::browser::Page) -> String {
        // The provider's form leads there by a redirect, which this browser follows nowhere.
        let proxy = self.proxy.address;
        let stand_in = crate::support::origin::Origin::start().await;
        self.browser.find_at(SITE, stand_in.address);
        self.browser.log_in(page, "ada").await;
        self.browser.find_at(SITE, proxy);
        self.browser.last("/oauth2/callback").url.to_string()
    }
}
