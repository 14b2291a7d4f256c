//! Tickets: for one request of one person, and whose trace counts.

use super::{OTHER, PARENT, TRACE, callback_of, is_linked, server, servers, trace_of, traced};
use crate::decision::{DIALECTS, ask, deciding, told};
use crate::login::{SITE, cookies_of, world_with};
use crate::support::browser::Browser;
use crate::support::collector::Collector;
use crate::support::provider::{CLIENT, SECRET, introduce, provider};
use crate::support::proxy::Proxy;
use crate::support::until;
use edgespan::idp::{IdentityProvider, Settings};

#[tokio::test]
async fn a_ninth_ticket_takes_the_place_of_the_oldest() {
    let (mut world, _collector) = traced("").await;
    let setup = "login: {flows_max: 20, attempts_max: 50}";
    world = {
        let collector = Collector::start().await;
        drop(world);
        world_with("", Settings::default(), |one| {
            one.with(setup).export_to(&collector)
        })
        .await
    };
    for tab in 0..10 {
        // Each login of its own: the session of the one before is forgotten here, and kept there.
        for name in cookies_of(&world.browser, "staff") {
            let gone = format!("{name}=; Max-Age=0; Path=/; Secure");
            world.browser.set_cookie(SITE, &gone);
        }
        let refused = world.browser.step(&format!("{SITE}/tab/{tab}")).await;
        let there = world.browser.follow(&refused).await;
        let stop = if there.reply.header("location").is_some() {
            world.browser.follow(&there).await
        } else {
            let stop = world
                .browser
                .log_in_until(&there, "ada", "/oauth2/callback");
            stop.await
        };
        assert_eq!(stop.status(), 302, "{}", stop.text());
        let count = cookies_of(&world.browser, "ticket").len();
        assert_eq!(count, (tab + 1).min(8), "tab {tab}");
    }
}

#[tokio::test]
async fn a_repeated_request_with_a_trace_of_its_own_keeps_it_and_gets_a_link() {
    let (mut world, collector) = traced("").await;
    let fields = [("traceparent", PARENT), ("baggage", "refused=1")];
    let page = world.browser.open_with(&format!("{SITE}/a"), &fields).await;
    let stop = world.browser.log_in_until(&page, "ada", "/oauth2/callback");
    let to = stop.await.reply.header("location").unwrap().to_owned();

    let own = [("traceparent", OTHER), ("tracestate", "own=1")];
    let page = world.browser.open_with(&to, &own).await;

    assert_eq!(page.status(), 200);
    let received = world.origin.sole();
    assert_eq!(trace_of(&received), OTHER[3..35]);
    assert_eq!(received.one("tracestate"), "own=1");
    assert!(received.all("baggage").is_empty(), "its own, which is none");
    let refused = server(&collector, "/a", 302).await;
    let repeated = server(&collector, "/a", 200).await;
    assert_eq!(repeated.trace_id(), OTHER[3..35]);
    assert!(is_linked(&repeated, &refused));
    assert_eq!(repeated.text("edgespan.login.trace"), Some("linked"));
    assert!(cookies_of(&world.browser, "ticket").is_empty());
}

#[tokio::test]
async fn a_callback_in_a_trace_of_its_own_keeps_it_and_the_repeated_request_goes_on_all_the_same() {
    let (mut world, collector) = traced("").await;
    let fields = [("traceparent", PARENT)];
    let page = world.browser.open_with(&format!("{SITE}/a"), &fields).await;
    let back = callback_of(&mut world, &page).await;

    let stop = world
        .browser
        .step_with(&back, &[("traceparent", OTHER)])
        .await;
    let page = world.browser.follow(&stop).await;

    assert_eq!(page.status(), 200, "{}", page.text());
    let refused = server(&collector, "/a", 302).await;
    let callback = server(&collector, "/oauth2/callback", 302).await;
    assert_eq!(callback.trace_id(), OTHER[3..35]);
    assert!(is_linked(&callback, &refused));
    assert_eq!(callback.text("edgespan.login.trace"), Some("linked"));
    let repeated = server(&collector, "/a", 200).await;
    assert_eq!(repeated.trace_id(), TRACE);
    assert_eq!(repeated.parent_id(), refused.span_id());
    assert!(is_linked(&repeated, &callback));
}

#[tokio::test]
async fn a_ticket_is_for_its_target_and_for_one_request() {
    let (mut world, collector) = traced("").await;
    let fields = [("traceparent", PARENT)];
    let page = world
        .browser
        .open_with(&format!("{SITE}/a?b=c"), &fields)
        .await;
    let stop = world
        .browser
        .log_in_until(&page, "ada", "/oauth2/callback")
        .await;
    let brought = world.browser.cookies(SITE);

    // Others come first, as a page's pictures do.
    for other in ["/a", "/a?b=d", "/b?b=c"] {
        world.browser.step(&format!("{SITE}{other}")).await;
    }
    assert_eq!(cookies_of(&world.browser, "ticket").len(), 1);
    world.browser.follow(&stop).await;
    assert!(cookies_of(&world.browser, "ticket").is_empty());
    // Whoever kept the cookie has nothing of it.
    let mut thief = world.other_browser();
    for (name, value) in brought {
        assert!(thief.set_cookie(SITE, &format!("{name}={value}; Path=/; Secure")));
    }
    let page = thief.step(&format!("{SITE}/a?b=c")).await;
    assert_eq!(page.status(), 200);

    let received = world.origin.received();
    let traces: Vec<_> = received.iter().map(trace_of).collect();
    assert_eq!(traces.len(), 5);
    let joined: Vec<_> = traces.iter().map(|trace| trace == TRACE).collect();
    assert_eq!(joined, [false, false, false, true, false]);
    let again = servers(&collector, "/a", 200, 4).await;
    let words: Vec<_> = again
        .iter()
        .map(|one| one.text("edgespan.login.trace"))
        .collect();
    assert!(words.contains(&Some("used")), "{words:?}");
}

#[tokio::test]
async fn a_ticket_is_nothing_with_the_session_of_somebody_else() {
    let (mut world, collector) = traced("").await;
    let fields = [("traceparent", PARENT)];
    let page = world.browser.open_with(&format!("{SITE}/a"), &fields).await;
    world
        .browser
        .log_in_until(&page, "ada", "/oauth2/callback")
        .await;
    let ticket = world.browser.cookies(SITE);
    let ticket = ticket
        .into_iter()
        .find(|(name, _)| name.contains("ticket"))
        .unwrap();

    let mut bob = world.other_browser();
    let page = bob.open(&format!("{SITE}/other")).await;
    assert_eq!(bob.log_in(&page, "bob").await.status(), 200);
    assert!(bob.set_cookie(SITE, &format!("{}={}; Path=/; Secure", ticket.0, ticket.1)));
    bob.step(&format!("{SITE}/a")).await;

    let span = server(&collector, "/a", 200).await;
    assert_ne!(span.trace_id(), TRACE);
    assert_eq!(span.text("edgespan.login.trace"), Some("other_session"));
}

#[tokio::test]
async fn a_forged_trace_in_a_query_or_a_cookie_means_nothing() {
    let (mut world, collector) = traced("").await;
    let forged = format!("{SITE}/a?traceparent={OTHER}&carried={OTHER}");
    let cookies = [
        format!("traceparent={OTHER}; Path=/; Secure"),
        format!("__Host-edgespan-ticket-AAAAAAAAAAAAAA={OTHER}; Path=/; Secure"),
    ];
    for cookie in &cookies {
        assert!(world.browser.set_cookie(SITE, cookie));
    }

    let page = world.browser.open(&forged).await;
    let back = callback_of(&mut world, &page).await;
    let stop = world
        .browser
        .step(&format!("{back}&traceparent={OTHER}"))
        .await;
    world.browser.follow(&stop).await;

    let refused = server(&collector, "/a", 302).await;
    let repeated = server(&collector, "/a", 200).await;
    assert_ne!(refused.trace_id(), OTHER[3..35]);
    assert_eq!(repeated.trace_id(), refused.trace_id());
    for span in collector.spans() {
        assert_ne!(span.trace_id(), OTHER[3..35]);
    }
}

#[tokio::test]
async fn a_callback_that_comes_twice_joins_nothing_the_second_time() {
    let (mut world, collector) = traced("").await;
    let fields = [("traceparent", PARENT)];
    let page = world.browser.open_with(&format!("{SITE}/a"), &fields).await;
    let back = callback_of(&mut world, &page).await;
    let mut copy = world.other_browser();
    for (name, value) in world.browser.cookies(SITE) {
        assert!(copy.set_cookie(SITE, &format!("{name}={value}; Path=/; Secure")));
    }
    assert_eq!(world.browser.step(&back).await.status(), 302);

    copy.step(&back).await;

    let callbacks = servers(&collector, "/oauth2/callback", 302, 2).await;
    let joined = callbacks.iter().filter(|one| one.trace_id() == TRACE);
    assert_eq!(joined.count(), 1);
    let linked = callbacks.iter().filter(|one| !one.0.links.is_empty());
    assert_eq!(linked.count(), 1);
}

/// A decision listener before a login, and its provider.
async fn deciding_for(collector: &Collector) -> (Proxy, IdentityProvider) {
    let provider = provider().await;
    let setup = deciding(&format!(
        "auth: {{staff: {{oidc: {{issuer: '{}', client_id: {CLIENT}, \
         client_secret: {SECRET}}}}}}}\n\
         routes:\n\
         - {{name: app, match: {{host: app.example.com, prefix: /}}, auth: staff}}\n",
        provider.issuer()
    ));
    let proxy = setup.export_to(collector).start().await;
    introduce(&provider, &proxy);
    (proxy, provider)
}

/// Where a host proxy asks, the cookies of the request asked about count, by its address and not
/// by that of the question.
#[tokio::test]
async fn a_decision_about_the_repeated_request_goes_on_with_the_trace_in_every_dialect() {
    for dialect in DIALECTS {
        let collector = Collector::start().await;
        let proxy = deciding_for(&collector).await;
        let (proxy, _provider) = &proxy;
        let mut browser = Browser::new().at(SITE, proxy.address);
        let navigates = [
            ("accept", "text/html"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
            ("traceparent", PARENT),
        ];
        let mut question = told("app.example.com", "/a?b=c", "198.51.100.1");
        question.fields = &navigates;

        let refused = ask(proxy.address, dialect, &question).await;
        let to = refused.header("location").unwrap().to_owned();
        let set = refused.header("set-cookie").unwrap();
        assert!(browser.set_cookie(SITE, set));
        let page = browser.open(&to).await;
        let stop = browser.log_in_until(&page, "ada", "/oauth2/callback").await;
        assert_eq!(stop.status(), 302, "{dialect}: {}", stop.text());
        let cookies = browser.cookies(SITE);
        let cookies: Vec<String> = cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let cookie = cookies.join("; ");
        let fields = [("cookie", cookie.as_str())];
        // Another request comes first, and leaves the ticket alone.
        let mut other = told("app.example.com", "/other", "198.51.100.1");
        other.fields = &fields;
        assert_eq!(ask(proxy.address, dialect, &other).await.status, 200);
        question.fields = &fields;
        let passed = ask(proxy.address, dialect, &question).await;

        assert_eq!(passed.status, 200, "{dialect}");
        let set: Vec<_> = passed.headers.get_all("set-cookie").iter().collect();
        let gone = set.iter().filter(|line| {
            let line = line.to_str().unwrap();
            line.starts_with("__Host-edgespan-ticket-") && line.contains("Max-Age=0")
        });
        assert_eq!(gone.count(), 1, "{dialect}: {set:?}");
        let decided = |path: &str| {
            let mut spans = collector.spans();
            spans.retain(|span| {
                span.is_server() && span.text("edgespan.original.path") == Some(path)
            });
            spans
        };
        until("three decisions", || {
            decided("/a").len() + decided("/other").len() == 3
        })
        .await;
        let about = decided("/a");
        assert!(
            about.iter().all(|span| span.trace_id() == TRACE),
            "{dialect}"
        );
        let joined = about
            .iter()
            .filter(|span| span.text("edgespan.login.trace") == Some("joined"));
        assert_eq!(joined.count(), 1, "{dialect}");
        assert_ne!(decided("/other")[0].trace_id(), TRACE, "{dialect}");
    }
}
