//! One trace through a login: refused request, callback, calls to the provider, repeated request.

mod refreshed;
mod refusals;
mod refused_without;
mod tickets;
mod told;

use crate::login::{SITE, World, cookies_of, world_with};
use crate::support::browser::Page;
use crate::support::collector::Collector;
use crate::support::origin::{Origin, Received};
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

fn audits(collector: &Collector) -> Vec<SeenSpan> {
    let mut spans = collector.spans();
    spans.retain(|span| span.name() == "sso.audit");
    spans
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
