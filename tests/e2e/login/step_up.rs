//! Routes that ask for more than a session: a stronger login.

use super::{SITE, World, world_with};
use crate::support::browser::parameter;
use crate::support::client::{request, send};
use crate::support::proxy::Setup;
use edgespan::idp::{ACR_MFA, Endpoint, Pushed, Settings};
use url::Url;

/// `/pay` asks for a second factor, the rest of the site for any login.
async fn paying() -> World {
    let settings = Settings {
        pushed: Pushed::No,
        ..Settings::default()
    };
    let pay = format!(
        "auth: staff}}, {{name: pay, match: {{prefix: /pay}}, upstream: origin, \
         auth: [{{policy: staff, require: {{acr: ['{ACR_MFA}']}}}}]}}]"
    );
    world_with("", settings, |setup: Setup| {
        setup.replace("auth: staff}]", &pay)
    })
    .await
}

/// What the provider was last asked for as `acr_values`.
fn asked_for(world: &World) -> Option<String> {
    let to = &world.browser.last("/authorize").url;
    parameter(to, "acr_values")
}

#[tokio::test]
async fn a_first_login_is_at_once_as_strong_as_its_page_requires() {
    let mut world = paying().await;

    let page = world.log_in("/pay?x=1").await;

    assert_eq!((page.status(), page.url.path()), (200, "/pay"));
    assert_eq!(asked_for(&world).as_deref(), Some(ACR_MFA));
    assert_eq!(world.provider.count(Endpoint::Token), 1, "one login");
}

#[tokio::test]
async fn who_is_logged_in_steps_up_and_comes_back_to_the_page() {
    let mut world = paying().await;
    world.log_in("/a").await;
    assert_eq!(asked_for(&world), None);

    let asked = world.browser.open(&format!("{SITE}/pay?x=1")).await;
    assert_eq!(asked_for(&world).as_deref(), Some(ACR_MFA));
    let page = world.browser.submit(&asked, &[("factor", "shown")]).await;

    assert_eq!(page.status(), 200, "{}", page.text());
    assert_eq!(page.url.as_str(), format!("{SITE}/pay?x=1"));
    let again = world.browser.open(&format!("{SITE}/pay")).await;
    assert_eq!(again.status(), 200, "the session is as strong now");
    assert_eq!(world.provider.count(Endpoint::Token), 2, "two logins");
}

#[tokio::test]
async fn who_cannot_step_up_is_told_so_and_stays_logged_in() {
    let mut world = paying().await;
    let asked = world.browser.open(&format!("{SITE}/a")).await;
    world.browser.log_in(&asked, "bob").await;

    let page = world.browser.open(&format!("{SITE}/pay")).await;

    assert_eq!((page.status(), page.url.path()), (403, "/oauth2/callback"));
    assert!(page.text().contains("stronger"), "{}", page.text());
    let still = world.browser.open(&format!("{SITE}/a")).await;
    assert_eq!((still.status(), still.url.path()), (200, "/a"));
}

/// A provider that says so itself (`unmet_authentication_requirements`), where ours lets in all the
/// same, and one whose reader gives up on the way.
#[tokio::test]
async fn whom_a_provider_refuses_is_told_as_whom_he_is_still_logged_in() {
    for (told, title) in [
        (
            "unmet_authentication_requirements",
            "A stronger login is needed",
        ),
        ("access_denied", "Login refused"),
    ] {
        let mut world = paying().await;
        world.log_in("/a").await;
        world.browser.open(&format!("{SITE}/pay")).await;
        let state = parameter(&world.browser.last("/authorize").url, "state").unwrap();

        let answer = format!("{SITE}/oauth2/callback?error={told}&state={state}");
        let page = world.browser.open(&answer).await;

        let text = page.text();
        assert_eq!(page.status(), 403, "{text}");
        for said in [
            title,
            "You are still logged in here as ada@example.com.",
            "Use another account",
            "prompt=select_account",
        ] {
            assert!(text.contains(said), "{said}: {text}");
        }
    }
}

#[tokio::test]
async fn a_program_is_told_where_the_stronger_login_begins() {
    let mut world = paying().await;
    world.log_in("/a").await;

    let fetched = world.browser.fetch(&format!("{SITE}/pay"), &[]).await;
    let host = ("host", "app.example.com");
    let stranger = request("GET", "/pay", &[host, ("x-forwarded-proto", "https")]);
    let stranger = send(world.proxy.address, stranger).await;

    for reply in [fetched.reply, stranger] {
        assert_eq!(reply.status, 401);
        let start = Url::parse(reply.header("edgespan-login").unwrap()).unwrap();
        assert_eq!(parameter(&start, "acr_values").as_deref(), Some(ACR_MFA));
    }
}
