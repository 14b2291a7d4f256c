//! Tokens that are due: renewed once, whoever is still there to hear of it.

use super::{SITE, World, cookies_of, world_with};
use crate::support::until;
use edgespan::idp::{Endpoint, Faults, Pushed, Settings, Trouble};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

/// Tokens that end sooner than they are renewed before their end: every request finds them due.
async fn short_lived(further: &str) -> World {
    let settings = Settings {
        access_lifetime: Duration::from_secs(30),
        pushed: Pushed::No,
        ..Settings::default()
    };
    world_with(further, settings, |setup| setup).await
}

#[tokio::test]
async fn a_client_that_leaves_while_its_tokens_are_renewed_does_not_end_its_session() {
    let mut world = short_lived("").await;
    let page = world.log_in("/a").await;
    assert_eq!(page.status(), 200, "{}", page.text());
    let (asked, renewed) = (
        world.provider.count(Endpoint::Token),
        world.provider.refreshes(),
    );
    let slow = Trouble::Slow(Duration::from_millis(300));
    let faults = Faults::default().with(Endpoint::Token, slow);
    world.provider.set_faults(faults);
    let cookies = world.browser.cookies(SITE).into_iter();
    let cookies: Vec<String> = cookies
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let head = format!(
        "GET /left HTTP/1.1\r\nhost: app.example.com\r\nx-forwarded-proto: https\r\n\
         cookie: {}\r\n\r\n",
        cookies.join("; ")
    );
    let mut left = TcpStream::connect(world.proxy.address).await.unwrap();
    left.write_all(head.as_bytes()).await.unwrap();
    until("the provider to be asked", || {
        world.provider.count(Endpoint::Token) > asked
    })
    .await;
    drop(left);

    let page = world.browser.open(&format!("{SITE}/b")).await;

    assert_eq!((page.status(), page.url.path()), (200, "/b"));
    assert_eq!(world.provider.refreshes(), renewed + 1);
    let received = world.origin.received();
    assert!(received.iter().all(|one| one.uri.path() != "/left"));
}

/// The token that a session had before is used up by then.
#[tokio::test]
async fn a_session_whose_tokens_were_renewed_is_kept_also_where_its_person_may_not_pass() {
    let mut world = short_lived(", require: {groups: [nobody-is-in-it]}").await;

    let page = world.log_in("/a").await;

    assert_eq!(page.status(), 403, "{}", page.text());
    let told = &world.browser.last("/a").set;
    let is_session = |line: &&String| line.starts_with("__Host-edgespan-staff=");
    assert_eq!(told.iter().filter(is_session).count(), 1, "{told:?}");
    assert_eq!(cookies_of(&world.browser, "-staff").len(), 1);
    assert_eq!(world.provider.refreshes(), 1);
}
