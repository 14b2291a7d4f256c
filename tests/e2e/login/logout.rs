//! Sessions end: here, at the provider, and at its word.

use super::{SITE, World, world, world_with};
use crate::support::browser::parameter;
use crate::support::client::{Reply, request, send, with_body};
use crate::support::proxy::Setup;
use edgespan::idp::{Endpoint, Settings};
use serde_json::{Map, Value, json};
use std::time::{SystemTime, UNIX_EPOCH};
use url::Url;

const LOGOUT: &str = "https://app.example.com/oauth2/logout";

async fn is_in(world: &mut World) -> bool {
    world.browser.step(&format!("{SITE}/probe")).await.status() == 200
}

#[tokio::test]
async fn a_logout_ends_the_session_here_and_at_the_provider() {
    let mut world = world("").await;
    world.log_in("/a").await;
    assert!(is_in(&mut world).await);

    let page = world.browser.step(LOGOUT).await;

    assert_eq!(page.status(), 302);
    let to = page.reply.header("location").unwrap();
    assert!(
        to.starts_with(&world.provider.url(Endpoint::Logout)),
        "{to}"
    );
    assert!(to.contains("id_token_hint="), "{to}");
    assert!(to.contains("post_logout_redirect_uri="), "{to}");
    for line in &world.browser.last("/oauth2/logout").set {
        assert!(
            line.contains("Secure") && line.contains("Max-Age=0"),
            "{line}"
        );
    }
    let back = world.browser.open(to).await;
    assert_eq!(back.url.path(), "/oauth2/logout", "{}", back.text());
    assert!(back.text().contains("Logged out"), "{}", back.text());
    assert!(!is_in(&mut world).await);
    assert_eq!(world.provider.count(Endpoint::Revocation), 1);
    let again = world.browser.open(&format!("{SITE}/a")).await;
    assert_ne!(again.url.path(), "/a", "the provider asks again");
}

#[tokio::test]
async fn a_logout_may_stay_here() {
    let mut world = world(", logout: {at_provider: false, revoke: false}").await;
    world.log_in("/a").await;

    let page = world.browser.step(&format!("{LOGOUT}?rd=/bye")).await;

    assert_eq!(
        page.reply.header("location").unwrap(),
        format!("{SITE}/bye")
    );
    assert!(!is_in(&mut world).await);
    assert_eq!(world.provider.count(Endpoint::Revocation), 0);
}

#[tokio::test]
async fn another_site_logs_nobody_out_without_being_asked_about() {
    let mut world = world("").await;
    world.log_in("/a").await;

    let page = world
        .browser
        .step_with(LOGOUT, &[("sec-fetch-site", "cross-site")])
        .await;

    assert_eq!(page.status(), 200);
    assert!(page.text().contains("method=\"post\""), "{}", page.text());
    assert!(is_in(&mut world).await);
    let page = world.browser.submit(&page, &[]).await;
    assert!(page.text().contains("Logged out"), "{}", page.text());
    assert!(!is_in(&mut world).await);
}

#[tokio::test]
async fn a_logout_leads_back_to_no_other_site() {
    let mut world = world(", logout: {at_provider: false}").await;
    world.log_in("/a").await;
    for away in ["//evil.example", "https://evil.example/", "/\\evil.example"] {
        let page = world.browser.step(&format!("{LOGOUT}?rd={away}")).await;
        let to = page.reply.header("location").unwrap().to_owned();
        assert!(to.starts_with(SITE), "{away} leads to {to}");
    }
}

#[tokio::test]
async fn a_session_that_ends_at_the_provider_is_dead_here() {
    let mut world = world("").await;
    world.log_in("/a").await;
    assert!(is_in(&mut world).await);

    let told = world.provider.log_out("ada").await;

    assert_eq!(told, 1, "the provider has told us, and we said yes");
    assert!(!is_in(&mut world).await);
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    since.as_secs()
}

fn logout_claims(world: &World) -> Value {
    json!({
        "iss": world.provider.issuer(),
        "aud": crate::support::provider::CLIENT,
        "iat": now(),
        "exp": now() + 120,
        "jti": "one",
        "sub": "ada",
        "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
    })
}

async fn tell(world: &World, typ: &str, claims: &Value) -> Reply {
    let header = Map::from_iter([("typ".to_owned(), json!(typ))]);
    let token = world.provider.sign(header, claims).unwrap();
    let fields = [("content-type", "application/x-www-form-urlencoded")];
    let asked = request("POST", "/oauth2/backchannel", &fields);
    send(
        world.proxy.address,
        with_body(asked, format!("logout_token={token}")),
    )
    .await
}

#[tokio::test]
async fn a_logout_token_counts_once_and_only_if_it_is_one() {
    let mut world = world("").await;
    world.log_in("/a").await;
    let with = |name: &str, value: Value| {
        let mut claims = logout_claims(&world);
        claims[name] = value;
        claims
    };
    let bad = [
        ("logout+jwt", with("nonce", json!("n"))),
        ("logout+jwt", with("events", json!({}))),
        ("logout+jwt", with("aud", json!("other"))),
        ("logout+jwt", with("iss", json!("https://other.example"))),
        ("logout+jwt", with("iat", json!(now() - 3600))),
        ("logout+jwt", with("exp", json!(now() - 3600))),
        ("logout+jwt", with("jti", Value::Null)),
        ("logout+jwt", with("sub", Value::Null)),
        ("at+jwt", logout_claims(&world)),
    ];
    for (typ, claims) in bad {
        let reply = tell(&world, typ, &claims).await;
        assert_eq!(reply.status, 400, "{typ} {claims}");
        assert_eq!(reply.header("cache-control"), Some("no-store"));
    }
    assert!(is_in(&mut world).await);

    let good = logout_claims(&world);
    assert_eq!(tell(&world, "logout+jwt", &good).await.status, 200);
    assert!(!is_in(&mut world).await);
    assert_eq!(tell(&world, "logout+jwt", &good).await.status, 400, "again");
}

/// Whoever has seen a `jti` must not keep its provider from saying it.
#[tokio::test]
async fn a_refused_logout_token_uses_nothing_up() {
    let mut world = world("").await;
    world.log_in("/a").await;
    let good = logout_claims(&world);
    let header = Map::from_iter([("typ".to_owned(), json!("logout+jwt"))]);
    let token = world.provider.sign(header, &good).unwrap();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let forged = signature.chars().rev().collect::<String>();
    for forged in [format!("{signed}.{forged}"), format!("{signed}.")] {
        let asked = request("POST", "/oauth2/backchannel", &[]);
        let body = with_body(asked, format!("logout_token={forged}"));
        let reply = send(world.proxy.address, body).await;
        assert_eq!(reply.status, 400, "{}", reply.text());
    }
    let mut elses = logout_claims(&world);
    elses["events"] = json!({});
    assert_eq!(tell(&world, "logout+jwt", &elses).await.status, 400);
    assert!(is_in(&mut world).await);

    assert_eq!(tell(&world, "logout+jwt", &good).await.status, 200);

    assert!(!is_in(&mut world).await);
}

#[tokio::test]
async fn a_logout_that_could_not_be_followed_is_told_again_and_not_taken_for_a_replay() {
    let away = "redis: {url: 'redis://127.0.0.1:1'}\nlogin: {session: {store: redis}}";
    let change = |setup: Setup| setup.with(away);
    let world = world_with("", Settings::default(), change).await;
    let good = logout_claims(&world);

    for _ in 0..2 {
        let reply = tell(&world, "logout+jwt", &good).await;
        assert_eq!(reply.status, 503, "{}", reply.text());
        assert!(reply.header("retry-after").is_some());
    }
}

#[tokio::test]
async fn garbage_in_place_of_a_logout_token_is_refused() {
    let world = world("").await;
    let large = format!("logout_token={}", "a".repeat(65 * 1024));
    for (body, expected) in [
        ("", 400),
        ("logout_token=", 400),
        ("logout_token=a.b.c", 400),
        ("logout_token=a&logout_token=b", 400),
        (&*large, 413),
    ] {
        let asked = request("POST", "/oauth2/backchannel", &[]);
        let reply = send(world.proxy.address, with_body(asked, body.to_owned())).await;
        assert_eq!(reply.status, expected, "{:.40}", body);
    }
}

#[tokio::test]
async fn the_end_of_one_session_at_the_provider_is_not_the_end_of_the_others_of_that_person() {
    let mut world = world("").await;
    world.log_in("/a").await;
    let mut claims = logout_claims(&world);
    claims["sid"] = json!("of another browser");

    let reply = tell(&world, "logout+jwt", &claims).await;

    assert_eq!(reply.status, 200, "{}", reply.text());
    assert!(is_in(&mut world).await);
}

/// Whoever may leave an ID token lying about has not said that somebody left.
#[tokio::test]
async fn an_id_token_is_no_logout_token() {
    let mut world = world("").await;
    world.log_in("/a").await;
    let page = world.browser.step(LOGOUT).await;
    let to = Url::parse(page.reply.header("location").unwrap()).unwrap();
    let token = parameter(&to, "id_token_hint").unwrap();
    // The provider still knows who it is.
    world.browser.open(&format!("{SITE}/a")).await;

    let fields = [("content-type", "application/x-www-form-urlencoded")];
    let asked = request("POST", "/oauth2/backchannel", &fields);
    let body = with_body(asked, format!("logout_token={token}"));
    let reply = send(world.proxy.address, body).await;

    assert_eq!(reply.status, 400, "{}", reply.text());
    assert!(is_in(&mut world).await);
}

#[tokio::test]
async fn nobody_is_logged_out_by_the_browser_at_the_word_of_a_stranger() {
    let mut world = world("").await;
    world.log_in("/a").await;
    let issuer = world.provider.issuer().to_owned();
    let large = "s".repeat(513);
    for (iss, sid, expected) in [
        ("https://other.example", "s", 400),
        (&*issuer, "", 400),
        (&*issuer, &*large, 400),
        (&*issuer, "s", 200),
    ] {
        let address = format!("{SITE}/oauth2/frontchannel?iss={iss}&sid={sid}");
        let page = world.browser.step(&address).await;
        assert_eq!(page.status(), expected, "{iss} {sid}");
    }
    assert!(is_in(&mut world).await);
}
