//! Nobody is logged out by an address that somebody else has made the browser open.

use super::{SITE, World, cookie_line, cookies_of, world, world_with};
use crate::support::client::{Reply, request, send, with_body};
use crate::support::proxy::Setup;
use edgespan::idp::Settings;

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// Asks for a logout with the cookies of the world's browser and these fields alone, as a browser
/// does that knows no `Sec-Fetch-*`.
async fn ask(world: &World, method: &str, fields: &[(&str, &str)], body: &str) -> Reply {
    let cookies = cookie_line(&world.browser);
    let mut all = vec![
        ("host", "app.example.com"),
        ("x-forwarded-proto", "https"),
        ("accept", "text/html"),
        ("cookie", &*cookies),
    ];
    all.extend_from_slice(fields);
    let asked = request(method, "/oauth2/logout", &all);
    send(world.proxy.address, with_body(asked, body.to_owned())).await
}

fn is_asked(reply: &Reply) -> bool {
    let text = reply.text();
    reply.status == 200
        && text.contains("Log out?")
        && text.contains("method=\"post\"")
        && reply.header("set-cookie").is_none()
}

/// Whether the session is over, and its cookie gone.
fn is_out(reply: &Reply) -> bool {
    let mut set = reply.headers.get_all("set-cookie").iter();
    let takes_away = |line: &http::HeaderValue| {
        let line = line.to_str().unwrap();
        line.starts_with("__Host-edgespan-staff=;") && line.contains("Max-Age=0")
    };
    reply.status.is_redirection() && set.any(takes_away)
}

/// The proof in a page that asks.
fn proof(reply: &Reply) -> String {
    let text = reply.text();
    let (_, rest) = text.split_once("name=\"proof\" value=\"").expect("a proof");
    rest.split_once('"').unwrap().0.to_owned()
}

#[tokio::test]
async fn who_says_nothing_of_where_he_comes_from_is_asked_and_proves_by_the_page_that_he_was() {
    let mut world = world("").await;
    world.log_in("/a").await;

    let asked = ask(&world, "GET", &[], "").await;
    assert!(is_asked(&asked), "{}", asked.text());
    let asked_by_post = ask(&world, "POST", &[FORM], "").await;
    assert!(is_asked(&asked_by_post), "{}", asked_by_post.text());

    // The page keeps its address to itself, so that its form is sent by nobody's origin.
    let body = format!("proof={}", proof(&asked));
    let out = ask(&world, "POST", &[FORM, ("origin", "null")], &body).await;

    assert!(is_out(&out), "{} {}", out.status, out.text());
}

#[tokio::test]
async fn a_page_of_the_site_logs_out_without_a_question() {
    let own = "https://app.example.com";
    for (method, field) in [
        ("GET", ("referer", "https://app.example.com/menu")),
        ("GET", ("sec-fetch-site", "same-origin")),
        ("GET", ("sec-fetch-site", "none")),
        ("POST", ("origin", own)),
        ("POST", ("sec-fetch-site", "same-origin")),
    ] {
        let mut world = world("").await;
        world.log_in("/a").await;

        let reply = ask(&world, method, &[FORM, field], "").await;

        assert!(is_out(&reply), "{method} {field:?}: {}", reply.text());
    }
}

#[tokio::test]
async fn no_other_site_logs_anybody_out() {
    let mut world = world("").await;
    world.log_in("/a").await;
    for (method, fields) in [
        ("GET", &[("referer", "https://evil.example/")][..]),
        (
            "GET",
            &[("referer", "https://app.example.com.evil.example/")],
        ),
        ("GET", &[("referer", "http://app.example.com/")]),
        ("GET", &[("referer", "https://app.example.com:8443/")]),
        ("GET", &[("referer", "garbage")]),
        ("GET", &[("sec-fetch-site", "cross-site")]),
        ("GET", &[("sec-fetch-site", "same-site")]),
        ("GET", &[("sec-fetch-site", "")]),
        (
            "GET",
            &[("sec-fetch-site", "none"), ("sec-fetch-site", "cross-site")],
        ),
        ("POST", &[("origin", "null")]),
        ("POST", &[("origin", "https://evil.example")]),
        (
            "POST",
            &[
                ("sec-fetch-site", "cross-site"),
                ("origin", "https://app.example.com"),
            ],
        ),
    ] {
        let fields = [fields, &[FORM]].concat();
        for body in ["", "proof=", "proof=AAAA", "proof=A&proof=B"] {
            let reply = ask(&world, method, &fields, body).await;
            assert!(is_asked(&reply), "{method} {fields:?}: {}", reply.text());
        }
    }
    let there = world.browser.step(&format!("{SITE}/probe")).await;
    assert_eq!(there.status(), 200, "the session is still there");
}

/// Whoever is logged in here himself gets such a page, too.
#[tokio::test]
async fn the_proof_of_somebody_else_proves_nothing() {
    let mut world = world("").await;
    world.log_in("/a").await;
    let mut eve = world.other_browser();
    let page = eve.open(&format!("{SITE}/b")).await;
    assert_eq!(eve.log_in(&page, "bob").await.status(), 200);
    std::mem::swap(&mut world.browser, &mut eve);
    let hers = proof(&ask(&world, "GET", &[], "").await);
    std::mem::swap(&mut world.browser, &mut eve);

    let body = format!("proof={hers}");
    let reply = ask(&world, "POST", &[FORM, ("origin", "null")], &body).await;

    assert!(is_asked(&reply), "{}", reply.text());
}

#[tokio::test]
async fn hosts_that_share_a_session_share_its_logout() {
    let shares = "login: {cookie: {domain: example.com}}";
    let mut world = world_with("", Settings::default(), |setup| setup.with(shares)).await;
    world.log_in("/a").await;

    let reply = ask(&world, "GET", &[("sec-fetch-site", "same-site")], "").await;

    assert!(reply.status.is_redirection(), "{}", reply.text());
}

/// CVE-2025-55162: a logout that did not take the cookies from the browser, since browsers hold
/// whoever takes a cookie away to the attributes that it was set with.
#[tokio::test]
async fn a_logout_takes_every_cookie_of_the_session_from_the_browser() {
    for (name, login) in [
        ("__Host-edgespan-staff", ""),
        (
            "__Secure-edgespan-staff",
            "login: {cookie: {domain: example.com}}",
        ),
    ] {
        let mut settings = Settings {
            claims_in_id_token: false,
            ..Settings::default()
        };
        let story = "long ".repeat(1_000);
        let ada = &mut settings.people[0];
        ada.more.insert("story".to_owned(), story.into());
        let change = |setup: Setup| setup.with(login);
        let mut world = world_with(", userinfo: true", settings, change).await;
        assert_eq!(world.log_in("/a").await.status(), 200);
        let pieces = cookies_of(&world.browser, name);
        assert!(pieces.len() > 1, "a large session: {pieces:?}");

        world.browser.step(&format!("{SITE}/oauth2/logout")).await;

        assert!(world.browser.last("/oauth2/logout").refused.is_empty());
        let left = cookies_of(&world.browser, name);
        assert!(left.is_empty(), "{left:?}");
    }
}
