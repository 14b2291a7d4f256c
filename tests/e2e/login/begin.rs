//! Who is sent to log in, and with what.

use super::{SITE, World, cookies_of, world, world_with};
use crate::support::browser::parameter;
use crate::support::client::{get, request, send, send_h2};
use crate::support::provider::CLIENT;
use crate::support::proxy::Setup;
use edgespan::idp::{Endpoint, Pushed, Settings};
use url::Url;

const HTML: (&str, &str) = ("accept", "text/html,*/*;q=0.8");

#[tokio::test]
async fn a_navigation_is_sent_to_the_provider_with_what_keeps_a_login_safe() {
    let mut world = world("").await;

    let page = world.browser.step(&format!("{SITE}/a?b=c")).await;

    assert_eq!(page.status(), 302);
    assert_eq!(page.reply.header("cache-control"), Some("no-store"));
    let to = Url::parse(page.reply.header("location").unwrap()).unwrap();
    let said = |name: &str| parameter(&to, name).unwrap_or_default();
    assert!(
        to.as_str()
            .starts_with(&world.provider.url(Endpoint::Authorization))
    );
    assert_eq!(said("response_type"), "code");
    assert_eq!(said("client_id"), CLIENT);
    assert_eq!(said("redirect_uri"), format!("{SITE}/oauth2/callback"));
    assert_eq!(said("scope"), "openid profile email");
    assert_eq!(said("code_challenge_method"), "S256");
    assert_eq!(said("code_challenge").len(), 43);
    assert!(said("state").len() >= 22, "128 bits");
    assert!(said("nonce").len() >= 22, "128 bits");
    let set = &world.browser.last("/a").set;
    assert_eq!(set.len(), 1, "nginx passes on one: {set:?}");
    assert!(set[0].starts_with("__Host-edgespan-flow-"));
    for attribute in [
        "HttpOnly",
        "Secure",
        "SameSite=Lax",
        "Path=/",
        "Max-Age=600",
    ] {
        assert!(set[0].contains(attribute), "{attribute}");
    }
    assert!(world.origin.received().is_empty());
}

/// What a provider and whoever reads the address see is a handle and nothing else.
#[tokio::test]
async fn neither_the_address_nor_the_cookie_says_where_the_login_leads() {
    let mut world = world("").await;

    let page = world.browser.step(&format!("{SITE}/a-secret-place")).await;

    let to = page.reply.header("location").unwrap();
    let set = page.reply.header("set-cookie").unwrap();
    for text in [to, set] {
        assert!(!text.contains("a-secret-place"));
        assert!(!text.contains("YS1zZWNyZXQtcGxhY2")); // The same in base64.
    }
}

async fn asked_by(world: &World, method: &str, fields: &[(&str, &str)]) -> (u16, Option<String>) {
    let mut all = vec![("host", "app.example.com"), ("x-forwarded-proto", "https")];
    all.extend_from_slice(fields);
    let reply = send(world.proxy.address, request(method, "/a", &all)).await;
    let login = reply.header("edgespan-login").map(str::to_owned);
    if reply.status == 401 {
        assert!(reply.header("www-authenticate").is_some());
        assert!(reply.header("location").is_none());
    }
    (reply.status.as_u16(), login)
}

#[tokio::test]
async fn programs_get_401_and_are_told_where_a_login_begins() {
    let world = world("").await;
    let start = "https://app.example.com/oauth2/start?\
                 rd=https%3A%2F%2Fapp.example.com%2Fa&policy=staff";
    for (method, fields) in [
        ("GET", vec![]),
        ("GET", vec![("accept", "*/*")]),
        ("GET", vec![HTML, ("x-requested-with", "XMLHttpRequest")]),
        ("GET", vec![HTML, ("sec-fetch-mode", "cors")]),
        (
            "GET",
            vec![("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "image")],
        ),
        (
            "GET",
            vec![
                HTML,
                ("connection", "upgrade"),
                ("upgrade", "websocket"),
                ("sec-websocket-version", "13"),
                ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ],
        ),
        ("POST", vec![("content-type", "application/json")]),
        ("DELETE", vec![]),
        (
            "OPTIONS",
            vec![
                ("origin", "https://other.example"),
                ("access-control-request-method", "GET"),
            ],
        ),
    ] {
        let (status, login) = asked_by(&world, method, &fields).await;
        assert_eq!(status, 401, "{method} {fields:?}");
        assert_eq!(login.as_deref(), Some(start), "{method} {fields:?}");
    }
    assert!(world.origin.received().is_empty());
}

/// CVE-2022-29226: any bearer token was taken for a session.
#[tokio::test]
async fn a_bearer_token_is_no_session() {
    let world = world("").await;
    for token in ["Bearer anything", "Bearer e30.e30.e30", "Basic YTpi"] {
        let (status, _) = asked_by(&world, "GET", &[("authorization", token)]).await;
        assert_eq!(status, 401, "{token}");
    }
}

/// CVE-2026-25748: a malformed cookie let a request pass without an identity.
#[tokio::test]
async fn a_cookie_that_is_no_session_lets_nobody_pass() {
    let world = world("").await;
    let long = format!("__Host-edgespan-staff={}", "A".repeat(3000));
    for cookie in [
        "__Host-edgespan-staff=",
        "__Host-edgespan-staff=AAAA",
        "__Host-edgespan-staff=%00",
        "__Host-edgespan-staff-0=A; __Host-edgespan-staff-99999999=A",
        "__Host-edgespan-staff=A; __Host-edgespan-staff=B",
        &long,
    ] {
        let (status, _) = asked_by(&world, "GET", &[("cookie", cookie)]).await;
        assert_eq!(status, 401, "{cookie}");
    }
    assert!(world.origin.received().is_empty());
}

#[tokio::test]
async fn a_grpc_call_gets_its_own_kind_of_refusal() {
    let world = world("").await;
    let fields = [
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        HTML,
    ];

    let reply = send_h2(
        world.proxy.address,
        request("POST", "/pkg.Service/Call", &fields),
    )
    .await;

    assert_eq!(reply.header("grpc-status"), Some("16"));
    assert!(reply.header("location").is_none());
}

#[tokio::test]
async fn a_form_is_not_kept_and_the_page_says_so() {
    let world = world("").await;
    let fields = [
        ("host", "app.example.com"),
        ("x-forwarded-proto", "https"),
        HTML,
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "document"),
        ("referer", "https://app.example.com/form?a=b"),
    ];

    let reply = send(world.proxy.address, request("POST", "/send", &fields)).await;

    assert_eq!(reply.status, 401);
    let text = reply.text();
    assert!(text.contains("was not taken, and it is not kept"), "{text}");
    assert!(text.contains("rd=https%3A%2F%2Fapp.example.com%2Fform%3Fa%3Db"));
    assert!(world.origin.received().is_empty());
}

#[tokio::test]
async fn a_login_over_http_is_refused_except_on_this_machine() {
    let mut world = world("").await;
    let own = format!("http://{}", world.proxy.address);

    let there = get(
        world.proxy.address,
        "/",
        &[("host", "app.example.com"), HTML],
    )
    .await;
    let here = world.browser.step(&own).await;

    assert_eq!(there.status, 403);
    assert!(there.text().contains("https"), "{}", there.text());
    assert!(there.header("set-cookie").is_none());
    assert_eq!(here.status(), 302);
    let set = here.reply.header("set-cookie").unwrap();
    assert!(set.starts_with("edgespan-flow-"), "{set}");
    assert!(!set.contains("Secure"));
}

/// A host that nobody trusts cannot say where a login leads back to.
#[tokio::test]
async fn who_leads_back_is_told_by_trusted_peers_alone() {
    let settings = Settings {
        pushed: Pushed::No,
        ..Settings::default()
    };
    let nobody = |setup: Setup| setup.replace("127.0.0.1/32", "192.0.2.1/32");
    let world = world_with("", settings, nobody).await;
    let fields = [
        ("host", "app.localhost"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "evil.example"),
        ("forwarded", "host=evil.example;proto=https"),
        ("x-original-host", "evil.example"),
        HTML,
    ];

    let reply = get(world.proxy.address, "/", &fields).await;

    let to = Url::parse(reply.header("location").unwrap()).unwrap();
    assert_eq!(
        parameter(&to, "redirect_uri").as_deref(),
        Some("http://app.localhost/oauth2/callback")
    );
}

#[tokio::test]
async fn a_request_is_left_beforehand_where_the_provider_offers_that() {
    for pushed in [Pushed::Offered, Pushed::Required] {
        let settings = Settings {
            pushed,
            ..Settings::default()
        };
        let mut world = world_with("", settings, |setup| setup).await;

        let page = world.browser.step(SITE).await;

        let to = Url::parse(page.reply.header("location").unwrap()).unwrap();
        assert!(parameter(&to, "request_uri").is_some(), "{to}");
        assert_eq!(to.query_pairs().count(), 2, "{to}");
        assert_eq!(world.provider.count(Endpoint::Pushed), 1);
    }
}

#[tokio::test]
async fn what_the_file_adds_goes_along() {
    let further = ", acr_values: [one, two], prompt: consent, login_age_max: 1h, \
                   parameters: {hd: example.com}";
    let mut world = world(further).await;

    let page = world.browser.step(SITE).await;

    let to = Url::parse(page.reply.header("location").unwrap()).unwrap();
    let said = |name: &str| parameter(&to, name).unwrap_or_default();
    assert_eq!(said("acr_values"), "one two");
    assert_eq!(said("prompt"), "consent");
    assert_eq!(said("max_age"), "3600");
    assert_eq!(said("hd"), "example.com");
}

/// MAO's state cookies, oauth2-proxy's one: the number is bounded, and the oldest gives way.
#[tokio::test]
async fn a_browser_has_begun_so_many_logins_at_most() {
    let mut world = world("").await;
    for number in 0..12 {
        world.browser.step(&format!("{SITE}/{number}")).await;
    }

    let begun = cookies_of(&world.browser, "flow-");

    assert_eq!(begun.len(), 7, "{begun:?}");
}

#[tokio::test]
async fn a_path_below_ours_that_is_none_of_ours_goes_on_to_the_origin() {
    let mut world = world("").await;

    let page = world
        .browser
        .step(&format!("{SITE}/oauth2/elsewhere"))
        .await;
    let wrong = world
        .browser
        .fetch(&format!("{SITE}/oauth2/backchannel"), &[])
        .await;

    assert_eq!(page.status(), 302, "it is protected like any other");
    assert_eq!(wrong.status(), 405);
    assert_eq!(wrong.reply.header("allow"), Some("POST"));
}

#[tokio::test]
async fn while_the_provider_is_away_a_page_says_so_and_offers_to_try_again() {
    let settings = Settings {
        pushed: Pushed::No,
        ..Settings::default()
    };
    let mut world = world_with(
        ", endpoints: {authorization: 'http://127.0.0.1:1/a'}, pushed: always",
        settings,
        |setup| setup,
    )
    .await;

    let page = world.browser.step(&format!("{SITE}/a")).await;

    assert_eq!(page.status(), 503);
    assert!(page.text().contains("Try again"), "{}", page.text());
    assert!(page.reply.header("retry-after").is_some());
    assert!(cookies_of(&world.browser, "flow-").is_empty());
}

/// A link of somebody else's making asks for less than the file does.
#[tokio::test]
async fn a_link_asks_for_a_newer_login_than_the_file_and_never_for_an_older_one() {
    let mut world = world(", login_age_max: 1h").await;
    for (asked, expected) in [("99999999", "3600"), ("60", "60"), ("-1", "3600")] {
        let start = format!("{SITE}/oauth2/start?policy=staff&max_age={asked}");
        let page = world.browser.step(&start).await;

        let to = Url::parse(page.reply.header("location").unwrap()).unwrap();
        assert_eq!(parameter(&to, "max_age").as_deref(), Some(expected));
    }
}

/// Names without `__Host-` are those of loopback hosts: over http anybody on the way may put a
/// cookie there, and a session of his own in it.
#[tokio::test]
async fn a_session_moved_to_the_names_of_http_counts_on_no_host_but_this_machine() {
    let mut world = world("").await;
    world.log_in("/a").await;
    let cookies = world.browser.cookies(SITE);
    let all: Vec<String> = cookies
        .iter()
        .map(|(name, value)| format!("{}={value}", name.trim_start_matches("__Host-")))
        .collect();
    let cookies = all.join("; ");
    let before = world.origin.received().len();

    let fields = [("host", "app.example.com"), ("cookie", &*cookies), HTML];
    let over_http = get(world.proxy.address, "/a", &fields).await;
    let fields = [&fields[..], &[("x-forwarded-proto", "https")]].concat();
    let over_https = get(world.proxy.address, "/a", &fields).await;

    assert_eq!(over_http.status, 403, "{}", over_http.text());
    assert_ne!(over_https.status, 200, "another name");
    assert_eq!(world.origin.received().len(), before);
}
