//! Every page of a login as it is, in our own dress and in a template of the site's.
//!
//! The files beside hold them; `EDGESPAN_REGENERATE=1` writes them anew.

use super::{SITE, World};
use crate::support::browser::{Browser, Page};
use crate::support::origin::Origin;
use crate::support::provider::{CLIENT, SECRET, introduce, provider};
use crate::support::proxy::{Proxy, Setup};
use edgespan::idp::IdentityProvider;
use std::path::Path;

const TEMPLATE: &str =
    "<!doctype html><title>{{title}} - Acme</title><header>Acme</header>{{content}}";

struct Site {
    _other: IdentityProvider,
    world: World,
    _template: tempfile::TempDir,
}

/// A site with one provider below `/one` and the choice of two elsewhere; only staff passes below
/// `/staff`, and nobody below `/none`.
async fn site(is_dressed: bool) -> Site {
    let (provider, other) = (provider().await, provider().await);
    let origin = Origin::start().await;
    let template = tempfile::tempdir().unwrap();
    let path = template.path().join("page.html");
    std::fs::write(&path, TEMPLATE).unwrap();
    let dress = if is_dressed {
        format!(", template: '{}'", path.display())
    } else {
        String::new()
    };
    let policy = |name: &str, issuer: &str, label: &str| {
        format!(
            "  {name}: {{oidc: {{issuer: '{issuer}', client_id: {CLIENT}, \
             client_secret: {SECRET}, label: '{label}'}}}}\n"
        )
    };
    let route = |name: &str, prefix: &str, auth: &str| {
        format!(
            "  - {{name: {name}, match: {{prefix: {prefix}}}, upstream: origin, auth: {auth}}}\n"
        )
    };
    let proxy: Proxy = Setup::new(&format!(
        "listeners: {{web: {{address: '127.0.0.1:0', trusted_proxies: [127.0.0.1/32]}}}}\n\
         upstreams: {{origin: {{service: content, endpoints: ['http://${{origin}}']}}}}\n\
         auth:\n{}{}login: {{pages: {{site: 'Acme & Co'{dress}}}}}\nroutes:\n{}{}{}{}",
        policy("staff", provider.issuer(), "Staff"),
        policy("guests", other.issuer(), "Guests"),
        route("one", "/one", "staff"),
        route(
            "none",
            "/none",
            "[{policy: staff, require: {groups: [nobody-is-in-it]}}]"
        ),
        route(
            "strong",
            "/strong",
            "[{policy: staff, require: {acr: ['urn:edgespan:mfa']}}]"
        ),
        route("both", "/", "[staff, guests]"),
    ))
    .origin(&origin)
    .start()
    .await;
    introduce(&provider, &proxy);
    introduce(&other, &proxy);
    let browser = Browser::new().at(SITE, proxy.address);
    Site {
        _other: other,
        world: World {
            provider,
            origin,
            proxy,
            browser,
        },
        _template: template,
    }
}

/// The page without what is of this run alone: ids of traces and handles of logins.
fn steady(text: &str) -> String {
    let after = [
        ("<code>", "</code>", "TRACE"),
        ("flow=", "&amp;", "HANDLE"),
        ("name=\"proof\" value=\"", "\"", "PROOF"),
    ];
    let mut text = text.to_owned();
    for (before, behind, instead) in after {
        let pieces: Vec<&str> = text.split(before).collect();
        let mut steady = String::new();
        for (position, piece) in pieces.iter().enumerate() {
            match piece.split_once(behind) {
                Some((_, rest)) if position > 0 => {
                    steady.push_str(&format!("{before}{instead}{behind}{rest}"));
                }
                _ => steady.push_str(piece),
            }
        }
        text = steady;
    }
    text
}

fn is_as_written(name: &str, is_dressed: bool, page: &Page) {
    let text = steady(&page.text());
    assert!(!text.contains("<script"), "{text}");
    assert_eq!(page.reply.header("cache-control"), Some("no-store"));
    // A button that another site frames is one that it has people press.
    let policy = page.reply.header("content-security-policy").unwrap();
    assert!(
        policy.contains("frame-ancestors 'none'"),
        "{name}: {policy}"
    );
    assert!(text.len() < 4 * 1024, "{name} has {} bytes", text.len());
    let dress = if is_dressed { "template" } else { "own" };
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/e2e/login/pages")
        .join(format!("{name}.{dress}.html"));
    if std::env::var_os("EDGESPAN_REGENERATE").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(text, written, "{name}.{dress}.html");
}

async fn pages(is_dressed: bool) {
    let mut site = site(is_dressed).await;
    let world = &mut site.world;

    let chooser = world.browser.open(&format!("{SITE}/a?b=c")).await;
    is_as_written("chooser", is_dressed, &chooser);

    // As if it had begun in another browser.
    let state = "A".repeat(32);
    let again = format!("{SITE}/oauth2/callback?code=x&state={state}");
    let chooser = world.browser.open(&again).await;
    is_as_written("chooser-again", is_dressed, &chooser);

    let asked = world.browser.open(&format!("{SITE}/one")).await;
    let refused = world.browser.submit(&asked, &[("cancel", "yes")]).await;
    assert_eq!(refused.status(), 403, "{}", refused.text());
    is_as_written("refused", is_dressed, &refused);

    let none = format!("{SITE}/oauth2/choose?flow={state}");
    let error = world.browser.step(&none).await;
    assert_eq!(error.status(), 400);
    is_as_written("error", is_dressed, &error);

    let page = world.log_in("/one").await;
    assert_eq!(page.status(), 200, "{}", page.text());
    let denied = world.browser.open(&format!("{SITE}/none?a=b")).await;
    assert_eq!(denied.status(), 403);
    is_as_written("denied", is_dressed, &denied);

    // Bob has no second factor: the provider lets him in all the same, and says how.
    let mut bob = world.other_browser();
    let asked = bob.open(&format!("{SITE}/strong")).await;
    let weak = bob.log_in(&asked, "bob").await;
    assert_eq!((weak.status(), weak.url.path()), (403, "/oauth2/callback"));
    assert!(weak.text().contains("bob@example.com"), "{}", weak.text());
    is_as_written("too-weak", is_dressed, &weak);

    let cross = [("sec-fetch-site", "cross-site")];
    let logout = format!("{SITE}/oauth2/logout");
    let asks = world.browser.step_with(&logout, &cross).await;
    is_as_written("log-out", is_dressed, &asks);
    let out = world.browser.open(&logout).await;
    assert_eq!(out.url.path(), "/oauth2/logout", "{}", out.text());
    is_as_written("logged-out", is_dressed, &out);
}

#[tokio::test]
async fn the_pages_are_as_written() {
    pages(false).await;
}

#[tokio::test]
async fn the_pages_stand_in_the_sites_template() {
    pages(true).await;
}

#[tokio::test]
async fn a_program_that_may_not_gets_no_page_and_no_name() {
    let mut site = site(false).await;
    let page = site.world.log_in("/one").await;
    assert_eq!(page.status(), 200, "{}", page.text());

    let none = format!("{SITE}/none");
    let told = site.world.browser.fetch(&none, &[]).await;

    assert_eq!(told.status(), 403);
    let text = told.text();
    assert!(text.contains("\"code\":\"forbidden\""), "{text}");
    assert!(!text.contains("ada"), "{text}");
}
