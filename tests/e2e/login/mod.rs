//! Browsers log in at a provider and come back; everything else is told where a login begins.

mod authorizers;
mod away;
mod begin;
mod callback;
mod choose;
mod client_key;
mod dead;
mod decision;
mod logout;
mod logout_alone;
mod logout_asked;
mod mix_up;
mod other_account;
mod pages;
mod refused;
mod spellings;
mod renewal;
mod step_up;

use crate::support::browser::{Browser, Page};
use crate::support::origin::Origin;
use crate::support::provider::{introduce, protected, provider_with};
use crate::support::proxy::{Proxy, Setup};
use edgespan::idp::{IdentityProvider, Pushed, Settings};

/// The site, as browsers know it.
pub const SITE: &str = "https://app.example.com";

/// A provider, an origin, and a proxy between them and a browser.
pub struct World {
    pub provider: IdentityProvider,
    pub origin: Origin,
    pub proxy: Proxy,
    pub browser: Browser,
}

pub async fn world(further: &str) -> World {
    let settings = Settings {
        pushed: Pushed::No,
        ..Settings::default()
    };
    world_with(further, settings, |setup| setup).await
}

pub async fn world_with(
    further: &str,
    settings: Settings,
    change: impl FnOnce(Setup) -> Setup,
) -> World {
    let provider = provider_with(settings).await;
    let origin = Origin::start().await;
    let proxy = change(protected(&provider, &origin, further)).start().await;
    introduce(&provider, &proxy);
    let browser = Browser::new().at(SITE, proxy.address);
    World {
        provider,
        origin,
        proxy,
        browser,
    }
}

impl World {
    /// Another browser of the same site.
    pub fn other_browser(&self) -> Browser {
        Browser::new().at(SITE, self.proxy.address)
    }

    /// Opens a page of the site, and logs in as ada where that is asked for.
    pub async fn log_in(&mut self, path: &str) -> Page {
        let page = self.browser.open(&format!("{SITE}{path}")).await;
        self.browser.log_in(&page, "ada").await
    }
}

/// What a browser sends in `Cookie` to the site.
pub fn cookie_line(browser: &Browser) -> String {
    let cookies = browser.cookies(SITE).into_iter();
    let pairs: Vec<String> = cookies
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.join("; ")
}

/// Names of the cookies of one kind.
pub fn cookies_of(browser: &Browser, kind: &str) -> Vec<String> {
    let names = browser.cookie_names(SITE).into_iter();
    names.filter(|name| name.contains(kind)).collect()
}
