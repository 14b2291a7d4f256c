//! Somebody who may not goes on with another account, whatever the provider knows of choosing one.

use super::{SITE, world_with};
use edgespan::idp::{AccountChoice, Pushed, Settings};

#[tokio::test]
async fn another_account_is_a_click_away_at_every_provider() {
    for account_choice in [
        AccountChoice::Offered,
        AccountChoice::Refused,
        AccountChoice::NotTold,
    ] {
        for pushed in [Pushed::No, Pushed::Offered] {
            let settings = Settings {
                account_choice,
                pushed,
                ..Settings::default()
            };
            let admins = ", require: {groups: [admins]}";
            let mut world = world_with(admins, settings, |setup| setup).await;
            let refused = world.log_in("/a?x=1").await;
            assert_eq!(refused.status(), 403, "{}", refused.text());
            let text = refused.text();
            let link = text.split("href=\"").find(|one| one.contains("prompt="));
            let link = link.and_then(|one| one.split('"').next()).unwrap();

            let page = world.browser.open(&link.replace("&amp;", "&")).await;

            let what = format!("{account_choice:?} {pushed:?}: {}", page.text());
            assert!(page.text().contains("name=\"person\""), "{what}");
            let back = world.browser.log_in(&page, "bob").await;
            assert_eq!(back.url.as_str(), format!("{SITE}/a?x=1"), "{what}");
            assert!(back.text().contains("bob"), "{}", back.text());
        }
    }
}
