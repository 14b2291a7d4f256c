//! Cookies of sessions that are over: nobody brings them for ever.

use super::{SITE, World, cookies_of, world};
use http::StatusCode;

/// `Set-Cookie` lines of the last request to this path that take a session away.
fn taken(world: &World, path: &str) -> Vec<String> {
    let lines = world.browser.last(path).set.iter();
    let taken = lines.filter(|line| line.contains("-staff") && line.contains("Max-Age=0"));
    taken.cloned().collect()
}

async fn with_dead_cookies() -> World {
    let mut world = world("").await;
    for name in ["staff.0", "staff.1"] {
        let line = format!("__Host-edgespan-{name}=2.garbage; Path=/; Secure; HttpOnly");
        assert!(world.browser.set_cookie(SITE, &line));
    }
    assert!(
        world
            .browser
            .set_cookie(SITE, "__Host-other-staff=kept; Path=/; Secure")
    );
    world
}

#[tokio::test]
async fn who_is_sent_to_log_in_leaves_what_is_of_no_use_behind() {
    let mut world = with_dead_cookies().await;

    let page = world.browser.step(&format!("{SITE}/a")).await;

    assert_eq!(page.status(), 302);
    assert_eq!(
        taken(&world, "/a").len(),
        2,
        "{:?}",
        world.browser.last("/a")
    );
    assert!(world.browser.last("/a").refused.is_empty());
    assert_eq!(cookies_of(&world.browser, "-staff"), ["__Host-other-staff"]);
    let begun = cookies_of(&world.browser, "-flow-");
    assert_eq!(begun.len(), 1, "and the login that began is there");
}

#[tokio::test]
async fn a_program_that_is_told_to_log_in_leaves_it_behind_too() {
    for path in ["/a", "/oauth2/userinfo"] {
        let mut world = with_dead_cookies().await;

        let told = world.browser.fetch(&format!("{SITE}{path}"), &[]).await;

        assert_eq!(told.reply.status, StatusCode::UNAUTHORIZED);
        assert_eq!(taken(&world, path).len(), 2, "{path}");
        assert_eq!(cookies_of(&world.browser, "-staff"), ["__Host-other-staff"]);
    }
}

#[tokio::test]
async fn a_session_that_its_provider_has_ended_leaves_its_browser() {
    let mut world = world("").await;
    world.log_in("/a").await;
    assert_eq!(cookies_of(&world.browser, "-staff").len(), 1);
    world.provider.log_out("ada").await;

    world.browser.step(&format!("{SITE}/b")).await;

    assert_eq!(taken(&world, "/b").len(), 1);
    assert!(cookies_of(&world.browser, "-staff").is_empty());
}

#[tokio::test]
async fn a_session_that_lives_is_taken_from_nobody() {
    let mut world = world("").await;
    world.log_in("/a").await;

    let page = world.browser.step(&format!("{SITE}/b")).await;

    assert_eq!(page.status(), 200);
    assert!(taken(&world, "/b").is_empty());
    assert_eq!(cookies_of(&world.browser, "-staff").len(), 1);
}
