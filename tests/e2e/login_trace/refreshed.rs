//! Tokens that are renewed: by one request for all, and where the others find it.

use super::{audits, is_linked};
use crate::login::{SITE, World, cookie_line, cookies_of, world_with};
use crate::support::client::get;
use crate::support::collector::Collector;
use crate::support::proxy::Setup;
use crate::support::spans::SeenSpan;
use crate::support::until;
use edgespan::idp::{Endpoint, Faults, Settings, Trouble};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

/// A world whose tokens are due as soon as they are there.
async fn due(change: impl FnOnce(Setup) -> Setup) -> (World, Collector) {
    let settings = Settings {
        access_lifetime: Duration::from_secs(30),
        ..Settings::default()
    };
    let collector = Collector::start().await;
    let further = ", pass: {access_token: x-token}";
    let world = world_with(further, settings, |setup| {
        change(setup).export_to(&collector)
    });
    let mut world = world.await;
    // The page after the login has the tokens renewed once.
    assert_eq!(world.log_in("/a").await.status(), 200);
    (world, collector)
}

/// The spans of decisions that say of a renewal what is asked for.
async fn decisions(collector: &Collector, word: &str, count: usize) -> Vec<SeenSpan> {
    let found = || {
        let mut spans = collector.spans();
        spans.retain(|span| span.text("edgespan.auth.refresh") == Some(word));
        spans
    };
    until(&format!("{count} decisions of {word}"), || {
        found().len() >= count
    })
    .await;
    found()
}

#[tokio::test]
async fn requests_that_wait_for_a_refresh_share_it_and_are_tied_to_it() {
    let (world, collector) = due(|setup| setup).await;
    let before = decisions(&collector, "success", 1).await.len();
    let asked = world.provider.refreshes();
    let slow = Trouble::Slow(Duration::from_millis(500));
    world
        .provider
        .set_faults(Faults::default().with(Endpoint::Token, slow));
    let cookies = cookie_line(&world.browser);
    let fields = [("cookie", &*cookies), ("x-forwarded-proto", "https")];

    let all = (0..5).map(|_| get(world.proxy.address, "/b", &fields));
    let replies = futures_util::future::join_all(all).await;

    for reply in &replies {
        assert_eq!(reply.status, 200, "{}", reply.text());
        let mut set = reply.headers.get_all("set-cookie").iter();
        let is_session = |line: &http::HeaderValue| {
            let line = line.to_str().unwrap();
            line.starts_with("__Host-edgespan-staff=") && !line.contains("Max-Age=0")
        };
        assert!(set.any(is_session), "each of them gets it");
    }
    // A second use of the old refresh token would have ended it for all.
    assert_eq!(world.provider.refreshes(), asked + 1);
    let received = world.origin.received();
    let tokens: Vec<_> = received
        .iter()
        .rev()
        .take(5)
        .map(|one| one.one("x-token"))
        .collect();
    assert!(tokens.iter().all(|token| *token == tokens[0]), "{tokens:?}");
    let done = decisions(&collector, "success", before + 1).await;
    let done = done.last().unwrap();
    let shared = decisions(&collector, "shared", 4).await;
    assert_eq!(shared.len(), 4);
    for one in &shared {
        assert!(is_linked(one, done), "{:?}", one.0.links);
        assert_ne!(one.trace_id(), done.trace_id());
    }
}

/// Whoever may not see one page goes on to the next, with the tokens that were renewed meanwhile: the
/// old ones are of no use any more.
#[tokio::test]
async fn tokens_that_were_renewed_reach_the_browser_with_a_refusal_too() {
    for (name, rule) in [
        (
            "of the route",
            "auth: [{policy: staff, require: {groups: [nobody]}}]",
        ),
        ("of another policy", "auth: [{all: [staff, nowhere]}]"),
        (
            "of an expression",
            "auth: staff, allow: 'identity.subject == \"nobody\"'",
        ),
        (
            "of a class",
            "auth: [{policy: staff, require: {acr: [nothing]}}]",
        ),
    ] {
        let closed = format!(
            "auth: staff}}, {{name: closed, match: {{prefix: /closed}}, upstream: origin, {rule}}}]"
        );
        let change = |setup: Setup| {
            let nowhere = "auth: {nowhere: {ip: [203.0.113.255]}, staff:";
            let setup = setup.replace("auth: staff}]", &closed);
            setup.replace("auth: {staff:", nowhere)
        };
        let (mut world, _collector) = due(change).await;
        let asked = world.provider.refreshes();

        let page = world.browser.step(&format!("{SITE}/closed")).await;

        assert_ne!(page.status(), 200, "{name}");
        assert_eq!(world.provider.refreshes(), asked + 1, "{name}");
        let hop = world.browser.last("/closed");
        let session = "__Host-edgespan-staff=";
        let set = hop.set.iter().filter(|line| line.starts_with(session));
        assert_eq!(set.count(), 1, "{name}: {:?}", hop.set);
        assert!(!cookies_of(&world.browser, "-staff").is_empty());
    }
}

#[tokio::test]
async fn a_refresh_that_is_refused_ends_the_session_and_a_login_begins() {
    let (mut world, collector) = due(|setup| setup).await;
    world.provider.set_faults(Faults {
        refuses_refresh: true,
        ..Faults::default()
    });

    let page = world.browser.step(&format!("{SITE}/b")).await;

    assert_eq!(page.status(), 302);
    let to = page.reply.header("location").unwrap();
    assert!(to.starts_with(world.provider.issuer()), "{to}");
    assert_eq!(decisions(&collector, "denied", 1).await.len(), 1);
    let told = audits(&collector);
    let word = |span: &SeenSpan| span.text("edgespan.audit.reason").map(str::to_owned);
    let words: Vec<_> = told.iter().filter_map(word).collect();
    assert_eq!(words, ["provider_refused"], "{told:?}");
}

/// The call goes on without it, and so does what is told of it.
#[tokio::test]
async fn a_refresh_whose_client_has_left_is_seen_in_its_trace() {
    let (world, collector) = due(|setup| setup).await;
    let asked = world.provider.count(Endpoint::Token);
    let slow = Trouble::Slow(Duration::from_millis(300));
    let faults = Faults::default().with(Endpoint::Token, slow);
    world.provider.set_faults(faults);
    let head = format!(
        "GET /left HTTP/1.1\r\nhost: app.example.com\r\nx-forwarded-proto: https\r\n\
         cookie: {}\r\n\r\n",
        cookie_line(&world.browser)
    );

    let mut client = TcpStream::connect(world.proxy.address).await.unwrap();
    client.write_all(head.as_bytes()).await.unwrap();
    until("the provider to be asked", || {
        world.provider.count(Endpoint::Token) > asked
    })
    .await;
    drop(client);

    let of = |wanted: &dyn Fn(&SeenSpan) -> bool| collector.spans().into_iter().find(wanted);
    let is_left = |span: &SeenSpan| span.is_server() && span.text("url.path") == Some("/left");
    until("the request's own spans", || of(&is_left).is_some()).await;
    let trace = of(&is_left).unwrap().trace_id();
    let is_decision =
        |span: &SeenSpan| span.trace_id() == trace && span.name().starts_with("auth ");
    let decision = of(&is_decision).unwrap().span_id();
    let is_call = |span: &SeenSpan| span.is_client() && span.parent_id() == decision;
    until("the call under its decision", || of(&is_call).is_some()).await;
    let is_told = |span: &SeenSpan| {
        span.trace_id() == trace && span.text("edgespan.audit.event") == Some("refresh")
    };
    assert!(of(&is_told).is_some(), "with what came of it");
}
