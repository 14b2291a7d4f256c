//! One trace through a login: refused request, callback, calls to the provider, repeated request.

use crate::decision::{DIALECTS, ask, deciding, told};
use crate::login::{SITE, World, cookies_of, world_with};
use crate::support::browser::{Browser, Page};
use crate::support::collector::Collector;
use crate::support::origin::{Origin, Received};
use crate::support::provider::{CLIENT, SECRET, introduce, provider};
use crate::support::spans::SeenSpan;
use crate::support::until;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use edgespan::idp::{Endpoint, Settings};
use opentelemetry_proto::tonic::trace::v1::span::Link;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const UNSAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
const OTHER: &str = "00-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-bbbbbbbbbbbbbbbb-01";
const STATE: &str = "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE";

/// A world whose spans can be looked at.
async fn traced(further: &str) -> (World, Collector) {
    let collector = Collector::start().await;
    let world = world_with(further, Settings::default(), |setup| {
        setup.export_to(&collector)
    });
    (world.await, collector)
}

/// The SERVER spans of this path and status, as many as are asked for.
async fn servers(collector: &Collector, path: &str, status: i64, count: usize) -> Vec<SeenSpan> {
    let found = || {
        let mut spans = collector.spans();
        spans.retain(|span| {
            span.is_server()
                && span.text("url.path") == Some(path)
                && span.int("http.response.status_code") == Some(status)
        });
        spans
    };
    until(&format!("{count} SERVER spans of {path}, {status}"), || {
        found().len() >= count
    })
    .await;
    found()
}

async fn server(collector: &Collector, path: &str, status: i64) -> SeenSpan {
    let mut found = servers(collector, path, status, 1).await;
    assert_eq!(found.len(), 1, "{path}, {status}");
    found.remove(0)
}

fn links(span: &SeenSpan) -> Vec<(String, String)> {
    let ids = |link: &Link| {
        let hex = crate::support::spans::hex;
        (hex(&link.trace_id), hex(&link.span_id))
    };
    span.0.links.iter().map(ids).collect()
}

fn is_linked(span: &SeenSpan, to: &SeenSpan) -> bool {
    links(span).contains(&(to.trace_id(), to.span_id()))
}

fn trace_of(received: &Received) -> String {
    received.one("traceparent")[3..35].to_owned()
}

/// Opens a page with these fields, and logs in.
async fn log_in(world: &mut World, path: &str, fields: &[(&str, &str)]) {
    let url = format!("{SITE}{path}");
    let page = world.browser.open_with(&url, fields).await;
    let page = world.browser.log_in(&page, "ada").await;
    assert_eq!(page.status(), 200, "{}", page.text());
}

/// Where the provider leads back to after a login on this page of its; nobody goes there.
async fn callback_of(world: &mut World, page: &Page) -> String {
    let stand_in = Origin::start().await;
    world.browser.find_at(SITE, stand_in.address);
    world.browser.log_in(page, "ada").await;
    world.browser.find_at(SITE, world.proxy.address);
    world.browser.last("/oauth2/callback").url.to_string()
}

#[tokio::test]
async fn the_repeated_request_reaches_the_origin_in_the_same_trace_with_the_same_bytes() {
    let (mut world, collector) = traced("").await;
    let first = "user=ada%20l;p=1 , tier=gold";
    let fields = [
        ("traceparent", PARENT),
        ("tracestate", STATE),
        ("baggage", first),
        ("baggage", "b=2"),
    ];

    log_in(&mut world, "/a?b=c", &fields).await;

    let received = world.origin.sole();
    assert_eq!(trace_of(&received), TRACE);
    assert!(received.one("traceparent").ends_with("-01"));
    assert_eq!(received.one("tracestate"), STATE);
    assert_eq!(received.all("baggage"), [first, "b=2"]);
    assert!(received.all("cookie").is_empty(), "the ticket is ours");
    assert!(cookies_of(&world.browser, "ticket").is_empty(), "and gone");

    let refused = server(&collector, "/a", 302).await;
    let callback = server(&collector, "/oauth2/callback", 302).await;
    let repeated = server(&collector, "/a", 200).await;
    for span in [&refused, &callback, &repeated] {
        assert_eq!(span.trace_id(), TRACE);
    }
    assert_eq!(refused.parent_id(), "00f067aa0ba902b7");
    assert_eq!(callback.parent_id(), refused.span_id());
    assert!(is_linked(&callback, &refused));
    assert_eq!(repeated.parent_id(), refused.span_id());
    assert!(is_linked(&repeated, &callback));
    for span in [&callback, &repeated] {
        assert_eq!(span.text("edgespan.login.trace"), Some("joined"));
    }
}

#[tokio::test]
async fn a_trace_that_began_with_the_refused_request_goes_on_after_the_login() {
    let (mut world, collector) = traced("").await;

    log_in(&mut world, "/a", &[]).await;

    let refused = server(&collector, "/a", 302).await;
    let received = world.origin.sole();
    assert_eq!(trace_of(&received), refused.trace_id());
    assert_eq!(received.one("tracestate"), refused.0.trace_state);
    assert_eq!(refused.parent_id(), "");
    let repeated = server(&collector, "/a", 200).await;
    assert_eq!(repeated.parent_id(), refused.span_id());
}

#[tokio::test]
async fn calls_to_the_provider_are_client_spans_of_the_callback_and_carry_its_trace() {
    let (mut world, collector) = traced(", userinfo: true").await;

    log_in(&mut world, "/a", &[("traceparent", PARENT)]).await;

    let callback = server(&collector, "/oauth2/callback", 302).await;
    let spans = collector.spans();
    let decisions: Vec<_> = spans
        .iter()
        .filter(|span| span.parent_id() == callback.span_id())
        .map(SeenSpan::span_id)
        .collect();
    for (path, endpoint) in [
        ("/token", Endpoint::Token),
        ("/userinfo", Endpoint::Userinfo),
    ] {
        let call = spans
            .iter()
            .find(|span| {
                let full = span.text("url.full").unwrap_or_default();
                span.is_client() && full.ends_with(path)
            })
            .unwrap_or_else(|| panic!("a CLIENT span of {path}"));
        assert_eq!(call.trace_id(), TRACE);
        assert!(decisions.contains(&call.parent_id()), "{path}");
        let calls = world.provider.calls();
        let asked = calls.iter().find(|call| call.endpoint == endpoint).unwrap();
        let told = asked.trace.iter().find(|(name, _)| name == "traceparent");
        let expected = format!("00-{TRACE}-{}-01", call.span_id());
        assert_eq!(told.map(|(_, value)| value.as_str()), Some(&*expected));
    }
}

/// The browser's way to the provider shows nothing of the trace, raw or in base64, and neither
/// does what it keeps.
#[tokio::test]
async fn nobody_on_the_way_sees_the_trace() {
    let (mut world, _collector) = traced("").await;
    let secret = "baggage-that-nobody-sees";
    let fields = [
        ("traceparent", PARENT),
        ("tracestate", STATE),
        ("baggage", secret),
    ];
    log_in(&mut world, "/a", &fields).await;

    let id: Vec<u8> = (0..16)
        .map(|at| u8::from_str_radix(&TRACE[2 * at..2 * at + 2], 16).unwrap())
        .collect();
    let mut needles = vec![
        TRACE.to_owned(),
        "00f067aa0ba902b7".to_owned(),
        STATE.to_owned(),
        secret.to_owned(),
    ];
    for plain in [TRACE.as_bytes(), &id, STATE.as_bytes(), secret.as_bytes()] {
        for skip in 0..3 {
            // Whatever stands before it, three bytes are four characters.
            let aligned = [vec![0; skip], plain.to_vec()].concat();
            for text in [
                STANDARD_NO_PAD.encode(&aligned),
                URL_SAFE_NO_PAD.encode(&aligned),
            ] {
                needles.push(text[4..text.len() - 4].to_owned());
            }
        }
    }
    let mut seen = 0;
    for hop in &world.browser.hops {
        let mut texts = vec![hop.url.to_string()];
        texts.extend(hop.location.clone());
        texts.extend(hop.set.clone());
        texts.extend(
            hop.cookies
                .iter()
                .map(|(name, value)| format!("{name}={value}")),
        );
        for text in texts {
            seen += 1;
            for needle in &needles {
                assert!(!text.contains(needle.as_str()), "{needle} in {text}");
            }
        }
    }
    assert!(seen > 10, "{seen}");
    let calls = world.provider.calls();
    let browsed = calls
        .iter()
        .filter(|call| call.endpoint == Endpoint::Authorization);
    for call in browsed {
        assert_eq!(call.trace, [], "the browser carries none");
    }
}

#[tokio::test]
async fn tabs_side_by_side_each_go_on_with_their_own_trace() {
    const TABS: usize = 7;
    let (mut world, collector) = traced("").await;
    let parent = |tab: usize| format!("00-{:032x}-00f067aa0ba902b7-01", tab + 1);
    let mut pages = Vec::new();
    for tab in 0..TABS {
        let (url, parent) = (format!("{SITE}/tab/{tab}"), parent(tab));
        let page = world
            .browser
            .open_with(&url, &[("traceparent", &parent)])
            .await;
        pages.push(page);
    }
    // All come back before any of them goes on.
    let mut stops = Vec::new();
    for page in pages.iter().rev() {
        let stop = world.browser.log_in_until(page, "ada", "/oauth2/callback");
        stops.push(stop.await);
    }
    assert_eq!(cookies_of(&world.browser, "ticket").len(), TABS);
    for stop in &stops {
        let page = world.browser.follow(stop).await;
        assert_eq!(page.status(), 200, "{}", page.text());
    }

    let callbacks = servers(&collector, "/oauth2/callback", 302, TABS).await;
    let received = world.origin.received();
    assert_eq!(received.len(), TABS);
    for tab in 0..TABS {
        let path = format!("/tab/{tab}");
        let refused = server(&collector, &path, 302).await;
        let repeated = server(&collector, &path, 200).await;
        assert_eq!(repeated.trace_id(), format!("{:032x}", tab + 1));
        let linked = callbacks.iter().filter(|one| is_linked(one, &refused));
        let linked: Vec<_> = linked.collect();
        assert_eq!(linked.len(), 1, "{path}");
        assert_eq!(linked[0].trace_id(), refused.trace_id());
        assert!(is_linked(&repeated, linked[0]));
        let own = received.iter().find(|one| one.uri.path() == path).unwrap();
        assert_eq!(trace_of(own), refused.trace_id());
    }
    assert!(cookies_of(&world.browser, "ticket").is_empty());
}

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
        // Each login of its own: the session of the one before is forgotten.
        let url = format!("{SITE}/tab/{tab}");
        for name in cookies_of(&world.browser, "staff") {
            let gone = format!("{name}=; Max-Age=0; Path=/; Secure");
            world.browser.set_cookie(SITE, &gone);
        }
        let page = world.browser.open(&url).await;
        let stop = world.browser.log_in_until(&page, "ada", "/oauth2/callback");
        assert_eq!(stop.await.status(), 302);
        let count = cookies_of(&world.browser, "ticket").len();
        assert_eq!(count, (tab + 1).min(8), "tab {tab}");
    }
}

#[tokio::test]
async fn what_was_not_sampled_is_not_sampled_after_the_login() {
    let (mut world, collector) = traced("").await;

    let fields = [("traceparent", UNSAMPLED), ("tracestate", STATE)];
    log_in(&mut world, "/a", &fields).await;

    let received = world.origin.sole();
    assert_eq!(trace_of(&received), TRACE);
    assert!(received.one("traceparent").ends_with("-00"));
    assert_eq!(received.one("tracestate"), STATE);
    assert!(collector.stays_silent().await);
    assert!(collector.spans().is_empty());
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

#[tokio::test]
async fn what_finds_no_room_is_left_out_whole_and_that_is_said() {
    let (mut world, collector) = traced("").await;
    let large = format!("large={}", "x".repeat(3_000));
    let fields = [
        ("traceparent", PARENT),
        ("tracestate", STATE),
        ("baggage", &large),
    ];

    log_in(&mut world, "/a", &fields).await;

    let received = world.origin.sole();
    assert_eq!(trace_of(&received), TRACE);
    assert_eq!(received.one("tracestate"), STATE);
    assert!(received.all("baggage").is_empty());
    let refused = server(&collector, "/a", 302).await;
    assert_eq!(refused.text("edgespan.login.carried"), Some("partial"));
}

#[tokio::test]
async fn login_spans_say_what_kind_of_login_it_was() {
    let collector = Collector::start().await;
    let login = "login: {user_type: groups}";
    let change = |setup: crate::support::proxy::Setup| setup.with(login).export_to(&collector);
    let mut world = world_with("", Settings::default(), change).await;
    assert!(
        world
            .browser
            .set_cookie(SITE, "rum.session_id=page-session-7; Path=/; Secure")
    );

    log_in(&mut world, "/a", &[]).await;

    let callback = server(&collector, "/oauth2/callback", 302).await;
    assert_eq!(callback.text("flow"), Some("login"));
    assert_eq!(callback.text("http.route"), Some("/oauth2/callback"));
    assert_eq!(callback.text("result"), Some("success"));
    assert_eq!(callback.text("auth_method"), Some("oidc"));
    assert_eq!(callback.text("edgespan.auth.policy"), Some("staff"));
    assert_eq!(callback.text("user_type"), Some("staff"));
    assert_eq!(callback.bool("mfa_enabled"), Some(true));
    assert_eq!(callback.text("rum.session_id"), Some("page-session-7"));
}

/// Everything that was exported, searched for what must not be in it.
#[tokio::test]
async fn no_span_says_who_somebody_is_or_how_to_be_them() {
    let (mut world, collector) = traced(", userinfo: true").await;
    log_in(&mut world, "/a", &[("traceparent", PARENT)]).await;
    let page = world.browser.open(&format!("{SITE}/oauth2/logout")).await;
    assert!(page.status() < 400, "{}", page.text());
    until("the logout's span", || {
        let spans = collector.spans();
        spans
            .iter()
            .any(|span| span.is_server() && span.text("url.path") == Some("/oauth2/logout"))
    })
    .await;

    let exported = format!("{:?}", collector.spans());
    let mut secrets = vec!["ada@example.com".to_owned(), "Ada Example".to_owned()];
    for hop in &world.browser.hops {
        secrets.extend(hop.cookies.iter().map(|(_, value)| value.clone()));
        let pairs = hop.url.query_pairs();
        let told = pairs.filter(|(name, _)| {
            ["code", "state", "id_token_hint", "nonce", "code_challenge"].contains(&&**name)
        });
        secrets.extend(told.map(|(_, value)| value.into_owned()));
    }
    secrets.retain(|secret| secret.len() > 8 && !secret.starts_with("http"));
    assert!(secrets.len() > 5, "{secrets:?}");
    for secret in secrets {
        assert!(!exported.contains(&secret), "{secret}");
    }
}

fn audits(collector: &Collector) -> Vec<SeenSpan> {
    let mut spans = collector.spans();
    spans.retain(|span| span.name() == "sso.audit");
    spans
}

#[tokio::test]
async fn logins_and_logouts_are_told_as_spans_and_to_the_webhook() {
    let collector = Collector::start().await;
    let hook = Origin::start().await;
    let login = format!(
        "login: {{webhook: {{url: 'http://{}/hook', secret: {{env: HOOK}}}}}}",
        hook.address
    );
    let change = |setup: crate::support::proxy::Setup| {
        setup
            .with(&login)
            .variable("HOOK", "s3cret")
            .export_to(&collector)
    };
    let mut world = world_with("", Settings::default(), change).await;

    log_in(&mut world, "/a", &[("traceparent", PARENT)]).await;
    world.browser.open(&format!("{SITE}/oauth2/logout")).await;
    until("two events", || hook.received().len() >= 2).await;
    until("two spans", || audits(&collector).len() >= 2).await;

    let told: Vec<serde_json::Value> = hook
        .received()
        .iter()
        .map(|one| serde_json::from_slice(&one.body).unwrap())
        .collect();
    let find = |event: &str| told.iter().find(|one| one["event"] == event).unwrap();
    let (login, logout) = (find("login"), find("logout"));
    assert_eq!(login["result"], "success");
    assert_eq!(login["policy"], "staff");
    assert_eq!(login["host"], "app.example.com");
    assert_eq!(login["trace_id"], TRACE);
    assert_eq!(logout["logout"], "rp_initiated");
    assert_eq!(login["subject"], logout["subject"]);
    assert_eq!(login["session"], logout["session"]);
    let text = format!("{told:?}");
    assert!(!text.contains("ada"), "{text}");
    for one in hook.received() {
        assert!(one.one("edgespan-signature").starts_with("t="));
        assert_eq!(one.method, "POST");
    }
    let callback = server(&collector, "/oauth2/callback", 302).await;
    let spans = audits(&collector);
    let own = spans
        .iter()
        .find(|span| span.parent_id() == callback.span_id())
        .unwrap();
    assert_eq!(own.text("edgespan.audit.event"), Some("login"));
    assert_eq!(own.text("flow"), Some("login"));
    assert_eq!(login["span_id"], own.span_id().as_str());
}

/// Where a host proxy asks, the cookies of the request asked about count, by its address and not
/// by that of the question.
#[tokio::test]
async fn a_decision_about_the_repeated_request_goes_on_with_the_trace_in_every_dialect() {
    for dialect in DIALECTS {
        let collector = Collector::start().await;
        let provider = provider().await;
        let setup = deciding(&format!(
            "auth: {{staff: {{oidc: {{issuer: '{}', client_id: {CLIENT}, \
             client_secret: {SECRET}}}}}}}\n\
             routes:\n\
             - {{name: app, match: {{host: app.example.com, prefix: /}}, auth: staff}}\n",
            provider.issuer()
        ));
        let proxy = setup.export_to(&collector).start().await;
        introduce(&provider, &proxy);
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
