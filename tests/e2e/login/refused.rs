//! Answers of a provider that prove nothing: no session comes of them.

use super::{SITE, World, cookies_of, world, world_with};
use edgespan::idp::{BadIdToken, Endpoint, Faults, Settings, Trouble};
use http::StatusCode;

/// Logs in with this fault; the status that it ends with.
async fn ends_with(mut world: World, faults: Faults) -> (u16, String) {
    world.provider.set_faults(faults);
    let page = world.log_in("/a").await;
    assert_eq!(page.url.path(), "/oauth2/callback", "{}", page.text());
    assert!(cookies_of(&world.browser, "-staff").is_empty());
    assert!(world.origin.received().is_empty());
    let text = page.text();
    assert!(text.contains("Try again"), "{text}");
    assert!(!text.contains("eyJ"), "{text}");
    (page.status(), text)
}

fn id_token(bad: BadIdToken) -> Faults {
    Faults {
        id_token: Some(bad),
        ..Faults::default()
    }
}

#[tokio::test]
async fn an_id_token_that_is_not_ours_makes_no_session() {
    for bad in [
        BadIdToken::Missing,
        BadIdToken::Nonce,
        BadIdToken::NoNonce,
        BadIdToken::Audience,
        BadIdToken::Issuer,
        BadIdToken::Expired,
        BadIdToken::Future,
        BadIdToken::NoExpiry,
        BadIdToken::NoSubject,
        BadIdToken::AlgNone,
        BadIdToken::HmacOfPublicKey,
        BadIdToken::UnknownKey,
        BadIdToken::Signature,
        BadIdToken::AccessHash,
        BadIdToken::AuthorizedParty,
    ] {
        let (status, _) = ends_with(world("").await, id_token(bad.clone())).await;
        assert_eq!(status, 502, "{bad:?}");
    }
}

#[tokio::test]
async fn a_login_whose_age_is_not_told_is_as_old_as_can_be() {
    let world = world(", login_age_max: 1h").await;

    let (status, _) = ends_with(world, id_token(BadIdToken::NoAuthTime)).await;

    assert_eq!(status, 502);
}

/// RFC 9207: a mix-up of providers.
#[tokio::test]
async fn an_answer_in_the_name_of_another_provider_is_not_redeemed() {
    for issuer in ["https://other.example", ""] {
        let world = world("").await;
        let faults = Faults {
            answer_issuer: Some(issuer.to_owned()),
            ..Faults::default()
        };
        let (status, _) = ends_with(world, faults).await;
        assert_eq!(status, 502, "{issuer:?}");
    }
}

#[tokio::test]
async fn a_provider_that_never_names_itself_need_not() {
    let settings = Settings {
        names_itself: false,
        ..Settings::default()
    };
    let mut world = world_with("", settings, |setup| setup).await;

    let page = world.log_in("/a").await;

    assert_eq!(page.status(), 200, "{}", page.text());
}

#[tokio::test]
async fn userinfo_of_somebody_else_makes_no_session() {
    let world = world(", userinfo: true").await;
    let faults = Faults {
        userinfo_of_another: true,
        ..Faults::default()
    };

    let (status, _) = ends_with(world, faults).await;

    assert_eq!(status, 502);
}

#[tokio::test]
async fn a_token_endpoint_that_fails_is_a_page_and_never_leave_to_pass() {
    for (trouble, expected) in [
        (Trouble::Down, 503),
        (Trouble::Status(StatusCode::INTERNAL_SERVER_ERROR), 503),
        (Trouble::Garbage, 502),
        (Trouble::Flood, 502),
    ] {
        let faults = Faults::default().with(Endpoint::Token, trouble);
        let (status, text) = ends_with(world("").await, faults).await;
        assert!(
            status == expected || status == 502,
            "{trouble:?}: {status} {text}"
        );
    }
}

#[tokio::test]
async fn a_page_of_a_failed_login_is_for_its_reader_and_says_nothing_of_the_cause() {
    let mut world = world("").await;
    world.provider.set_faults(id_token(BadIdToken::Nonce));

    let page = world.log_in("/a").await;

    let text = page.text();
    assert!(text.len() < 3 * 1024, "{}", text.len());
    assert!(
        !text.contains("nonce") && !text.contains("ID token"),
        "{text}"
    );
    assert!(!text.contains("<script"), "{text}");
    assert_eq!(page.reply.header("cache-control"), Some("no-store"));
    assert_eq!(page.reply.header("referrer-policy"), Some("no-referrer"));
    let policy = page.reply.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'"), "{policy}");
    assert!(!page.url.as_str().contains(SITE) || page.url.path() == "/oauth2/callback");
}
