//! Logouts while the provider is away.

use super::{SITE, World, cookies_of, world};

#[tokio::test]
async fn who_logs_out_while_the_provider_is_away_is_out_here_and_told_so() {
    let mut world = world(", label: Example Corp.").await;
    world.log_in("/a").await;
    let World {
        provider,
        origin: _origin,
        proxy: _proxy,
        mut browser,
    } = world;
    drop(provider);

    let page = browser.open(&format!("{SITE}/oauth2/logout")).await;

    assert_eq!((page.status(), page.url.path()), (200, "/oauth2/logout"));
    let text = page.text();
    assert!(text.contains("You are logged out here."), "{text}");
    assert!(text.contains("Example Corp. cannot be reached"), "{text}");
    assert!(cookies_of(&browser, "-staff").is_empty());
}
