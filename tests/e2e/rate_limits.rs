//! How often a client may ask: each limit at its bound, one under and one over, and who is told what.

use crate::support::client::{Reply, get, request, send, send_h2};
use crate::support::collector::Collector;
use crate::support::origin::{Origin, with_headers};
use crate::support::proxy::{Proxy, Setup};

/// An upstream, limits, and one route with these keys.
fn limited(origin: &Origin, limits: &str, route: &str) -> Setup {
    Setup::new(&format!(
        "upstreams: {{origin: {{endpoints: ['http://${{origin}}']}}}}\n\
         rate_limits: {limits}\n\
         routes: [{{name: all, match: {{prefix: /}}, upstream: origin, {route}}}]\n"
    ))
    .origin(origin)
}

async fn statuses(proxy: &Proxy, times: usize, headers: &[(&str, &str)]) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..times {
        statuses.push(get(proxy.address, "/", headers).await.status.as_u16());
    }
    statuses
}

/// A metric's value, 0 if it is not there.
async fn metric(proxy: &Proxy, line: &str) -> f64 {
    let page = get(proxy.admin, "/metrics", &[("host", "localhost")]).await;
    let text = page.text();
    let found = text.lines().find_map(|one| one.strip_prefix(line));
    let value = found.and_then(|rest| rest.split_whitespace().next());
    value.map_or(0.0, |value| value.parse().unwrap())
}

#[tokio::test]
async fn a_burst_passes_and_one_more_is_429_with_the_time_to_wait() {
    let (origin, collector) = (Origin::start().await, Collector::start().await);
    let proxy = limited(
        &origin,
        "{per-client: {rate: 3/h}}",
        "rate_limits: [per-client]",
    )
    .export_to(&collector)
    .start()
    .await;

    assert_eq!(statuses(&proxy, 3, &[]).await, [200, 200, 200]);
    let refused = get(proxy.address, "/", &[]).await;

    assert_eq!(refused.status, 429);
    assert_eq!(refused.json()["code"], "rate_limited");
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1_190..=1_200).contains(&wait), "{wait}");
    assert_eq!(
        refused.header("ratelimit-policy"),
        Some("\"per-client\";q=3;w=3600")
    );
    assert!(
        refused
            .header("ratelimit")
            .unwrap()
            .starts_with("\"per-client\";r=0;t=")
    );
    assert_eq!(origin.received().len(), 3);
    let mut allowed = Vec::new();
    for _ in 0..4 {
        let edges = collector.next_edges().await;
        let server = edges.server();
        assert_eq!(server.text("ratelimit.rule"), Some("per-client"));
        assert_eq!(server.text("ratelimit.algorithm"), Some("gcra"));
        assert_eq!(server.int("ratelimit.limit"), Some(3));
        let left = server.int("ratelimit.remaining").unwrap();
        allowed.push((server.bool("ratelimit.allowed").unwrap(), left));
    }
    assert_eq!(allowed, [(true, 2), (true, 1), (true, 0), (false, 0)]);
    let counted = "edgespan_ratelimit_requests_total{rule=\"per-client\",outcome=\"refused\"} ";
    assert!((metric(&proxy, counted).await - 1.0).abs() < f64::EPSILON);
}

#[tokio::test]
async fn an_answer_tells_what_is_left_in_the_form_that_is_set() {
    let origin = Origin::start().await;
    let told = async |form: &str| -> Reply {
        let limits = format!("{{a: {{rate: 10/h, headers: {form}}}}}");
        let proxy = limited(&origin, &limits, "rate_limits: [a]").start().await;
        get(proxy.address, "/", &[]).await
    };

    let (draft, separate) = (told("draft").await, told("separate").await);
    let (both, off) = (told("both").await, told("'off'").await);

    assert_eq!(draft.header("ratelimit"), Some("\"a\";r=9;t=360"));
    assert_eq!(draft.header("ratelimit-policy"), Some("\"a\";q=10;w=3600"));
    assert_eq!(draft.header("ratelimit-limit"), None);
    let three = |reply: &Reply| {
        ["limit", "remaining", "reset"].map(|name| {
            let value = reply.header(&format!("ratelimit-{name}"));
            value.map(str::to_owned)
        })
    };
    assert_eq!(
        three(&separate).map(Option::unwrap),
        ["10", "9", "360"].map(str::to_owned)
    );
    assert_eq!(separate.header("ratelimit"), None);
    assert_eq!(three(&both), three(&separate));
    assert_eq!(both.header("ratelimit"), draft.header("ratelimit"));
    assert_eq!(three(&off), [None, None, None]);
    assert_eq!(off.header("ratelimit"), None);
}

#[tokio::test]
async fn what_an_upstream_tells_of_its_own_limit_stays() {
    let fields = [
        ("ratelimit", "\"origin\";r=1;t=1"),
        ("ratelimit-limit", "7"),
    ];
    let origin = Origin::answering(move |_| with_headers(200, &fields, "")).await;
    let proxy = limited(
        &origin,
        "{a: {rate: 10/h, headers: both}}",
        "rate_limits: [a]",
    )
    .start()
    .await;

    let reply = get(proxy.address, "/", &[]).await;

    let lines: Vec<_> = reply.headers.get_all("ratelimit").iter().collect();
    assert_eq!(lines, ["\"origin\";r=1;t=1", "\"a\";r=9;t=360"]);
    assert_eq!(reply.header("ratelimit-limit"), Some("7"));
    assert_eq!(reply.header("ratelimit-remaining"), None);
}

#[tokio::test]
async fn each_key_has_a_bucket_and_requests_without_one_share_theirs() {
    let origin = Origin::start().await;
    let limits = "{per-key: {rate: 2/h, key: [{header: x-api-key}]}}";
    let proxy = limited(&origin, limits, "rate_limits: [per-key]")
        .start()
        .await;

    let one = statuses(&proxy, 3, &[("x-api-key", "one")]).await;
    let other = statuses(&proxy, 1, &[("x-api-key", "other")]).await;
    let none = statuses(&proxy, 3, &[]).await;
    // A header that the connection takes away is none.
    let nominated = [("x-api-key", "new"), ("connection", "x-api-key")];
    let taken_away = statuses(&proxy, 1, &nominated).await;

    assert_eq!(one, [200, 200, 429]);
    assert_eq!(other, [200]);
    assert_eq!(none, [200, 200, 429]);
    assert_eq!(taken_away, [429]);
}

#[tokio::test]
async fn a_client_is_who_trusted_proxies_say_it_is() {
    let origin = Origin::start().await;
    let proxy = limited(&origin, "{a: {rate: 1/h}}", "rate_limits: [a]")
        .with("listeners: {web: {address: '127.0.0.1:0', trusted_proxies: [127.0.0.1]}}")
        .start()
        .await;
    let from = async |address: &str| statuses(&proxy, 1, &[("x-forwarded-for", address)]).await[0];

    assert_eq!(from("192.0.2.1").await, 200);
    assert_eq!(from("192.0.2.2").await, 200);
    assert_eq!(from("192.0.2.1").await, 429);
    assert_eq!(from("2001:db8::1").await, 200);
    assert_eq!(from("2001:db8::2").await, 429, "one client has a /64");
    assert_eq!(from("2001:db8:0:1::1").await, 200);
}

#[tokio::test]
async fn a_request_that_one_limit_refuses_is_charged_to_no_other() {
    let origin = Origin::start().await;
    let limits = "{wide: {rate: 3/h, key: []}, narrow: {rate: 1/h, key: [{header: x-user}]}}";
    let proxy = limited(&origin, limits, "rate_limits: [wide, narrow]")
        .start()
        .await;

    let first = statuses(&proxy, 3, &[("x-user", "a")]).await;
    let second = statuses(&proxy, 1, &[("x-user", "b")]).await;
    let third = statuses(&proxy, 1, &[("x-user", "c")]).await;
    let fourth = get(proxy.address, "/", &[("x-user", "d")]).await;

    assert_eq!(first, [200, 429, 429]);
    assert_eq!((second, third), (vec![200], vec![200]));
    assert_eq!(fourth.status, 429, "of `wide` three are used up now");
    assert!(
        fourth
            .header("ratelimit")
            .unwrap()
            .starts_with("\"wide\";r=0")
    );
}

#[tokio::test]
async fn a_limit_that_only_records_refuses_nothing_and_says_so() {
    let (origin, collector) = (Origin::start().await, Collector::start().await);
    let proxy = limited(
        &origin,
        "{a: {rate: 1/h, enforce: false}}",
        "rate_limits: [a]",
    )
    .export_to(&collector)
    .start()
    .await;

    assert_eq!(statuses(&proxy, 2, &[]).await, [200, 200]);

    let first = collector.next_edges().await;
    let second = collector.next_edges().await;
    assert_eq!(first.server().bool("ratelimit.allowed"), Some(true));
    assert_eq!(second.server().bool("ratelimit.allowed"), Some(false));
    assert_eq!(
        second.server().bool("edgespan.ratelimit.enforced"),
        Some(false)
    );
    let counted = "edgespan_ratelimit_requests_total{rule=\"a\",outcome=\"would_refuse\"} ";
    assert!((metric(&proxy, counted).await - 1.0).abs() < f64::EPSILON);
    assert_eq!(get(proxy.address, "/", &[]).await.header("ratelimit"), None);
}

#[tokio::test]
async fn a_listeners_limit_counts_what_has_no_route_too() {
    let origin = Origin::start().await;
    let proxy = Setup::new(
        "upstreams: {origin: {endpoints: ['http://${origin}']}}\n\
         rate_limits: {all: {rate: 3/h, key: [listener, address]}}\n\
         routes: [{name: a, match: {path: /a}, upstream: origin, rate_limits: [all]}]\n\
         listeners: {web: {address: '127.0.0.1:0', rate_limits: [all]}, \
                     other: {address: '127.0.0.1:0'}}\n",
    )
    .origin(&origin)
    .start()
    .await;
    let ask = async |listener, path| {
        get(proxy.listener(listener), path, &[])
            .await
            .status
            .as_u16()
    };

    assert_eq!(ask("web", "/none").await, 404);
    assert_eq!(
        ask("web", "/a").await,
        200,
        "charged once although named twice"
    );
    assert_eq!(ask("web", "/a").await, 200);
    assert_eq!(ask("web", "/a").await, 429);
    assert_eq!(ask("web", "/none").await, 429);
    assert_eq!(
        ask("other", "/a").await,
        200,
        "by `key`, each listener has its own"
    );
}

#[tokio::test]
async fn preflights_count_unless_they_are_left_out() {
    let origin = Origin::start().await;
    let preflight = [
        ("origin", "https://app.example.com"),
        ("access-control-request-method", "GET"),
    ];
    for (setting, expected) in [("true", [200, 429]), ("false", [200, 200])] {
        let limits = format!("{{a: {{rate: 2/h, preflights: {setting}}}}}");
        let route = "rate_limits: [a], cors: {origins: 'https://app.example.com'}";
        let proxy = limited(&origin, &limits, route).start().await;

        let asked = send(proxy.address, request("OPTIONS", "/", &preflight)).await;

        assert_eq!(asked.status, 204);
        assert_eq!(
            statuses(&proxy, 2, &[]).await,
            expected,
            "preflights: {setting}"
        );
    }
}

#[tokio::test]
async fn a_grpc_client_gets_resource_exhausted() {
    let origin = Origin::start().await;
    let proxy = limited(&origin, "{a: {rate: 1/h}}", "rate_limits: [a]")
        .start()
        .await;
    let call = || {
        request(
            "POST",
            "/shop.Orders/Get",
            &[("content-type", "application/grpc")],
        )
    };
    send_h2(proxy.address, call()).await;

    let refused = send_h2(proxy.address, call()).await;

    assert_eq!(refused.status, 200);
    assert_eq!(refused.header("grpc-status"), Some("8"));
    assert!(refused.header("retry-after").is_some());
}

#[tokio::test]
async fn answers_and_redirects_of_our_own_are_limited_too() {
    let proxy = Setup::new(
        "rate_limits: {a: {rate: 1/h}, b: {rate: 1/h}}\n\
         routes: [{name: a, match: {path: /a}, answer: {body: hello}, rate_limits: [a]},\
                  {name: b, match: {path: /b}, redirect: {path: /c}, rate_limits: [b]}]\n",
    )
    .start()
    .await;
    let ask = async |path| get(proxy.address, path, &[]).await.status.as_u16();

    assert_eq!([ask("/a").await, ask("/a").await], [200, 429]);
    assert_eq!([ask("/b").await, ask("/b").await], [308, 429]);
}

#[tokio::test]
async fn above_the_memory_watermark_requests_are_503_and_the_operator_is_served() {
    let (origin, collector) = (Origin::start().await, Collector::start().await);
    let proxy = Setup::front(&origin)
        .with("overload: {memory: 1MiB}")
        .export_to(&collector)
        .start()
        .await;

    let refused = get(proxy.address, "/", &[]).await;

    assert_eq!(refused.status, 503);
    assert_eq!(refused.json()["code"], "overloaded");
    assert_eq!(refused.header("retry-after"), Some("1"));
    let edges = collector.next_edges().await;
    assert_eq!(edges.server().text("edgespan.shed.reason"), Some("memory"));
    assert!(metric(&proxy, "edgespan_requests_shed_total{reason=\"memory\"} ").await > 0.0);
    assert!(metric(&proxy, "edgespan_memory_high ").await > 0.0);
    assert!(origin.received().is_empty());
}

/// A limit in a Redis that nobody is.
async fn without_redis(on_failure: &str, collector: &Collector) -> (Origin, Proxy) {
    let origin = Origin::start().await;
    // A port that was free a moment ago and is closed again.
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = closed.local_addr().unwrap().port();
    drop(closed);
    let limits = format!("{{a: {{rate: 2/h, store: redis, on_failure: {on_failure}}}}}");
    let proxy = limited(&origin, &limits, "rate_limits: [a]")
        .with(&format!(
            "redis: {{url: 'redis://127.0.0.1:{port}', timeout: 10s}}"
        ))
        .export_to(collector)
        .start()
        .await;
    (origin, proxy)
}

#[tokio::test]
async fn without_redis_an_open_limit_lets_pass_a_closed_one_refuses_and_a_local_one_limits_here() {
    for (on_failure, expected) in [
        ("open", [200, 200, 200]),
        ("closed", [503, 503, 503]),
        ("local", [200, 200, 429]),
    ] {
        let collector = Collector::start().await;
        let (_origin, proxy) = without_redis(on_failure, &collector).await;

        let began = std::time::Instant::now();
        assert_eq!(statuses(&proxy, 3, &[]).await, expected, "{on_failure}");

        assert!(
            began.elapsed().as_secs() < 8,
            "nobody waits for the time-out"
        );
        let edges = collector.next_edges().await;
        let server = edges.server();
        assert_eq!(server.text("edgespan.ratelimit.store.error"), Some("down"));
        let down = "edgespan_ratelimit_store_failures_total{error_type=\"down\"} ";
        assert!((metric(&proxy, down).await - 3.0).abs() < f64::EPSILON);
    }
}

#[tokio::test]
async fn a_limit_that_cannot_be_asked_and_is_closed_says_when_to_try_again() {
    let collector = Collector::start().await;
    let (origin, proxy) = without_redis("closed", &collector).await;

    let refused = get(proxy.address, "/", &[]).await;

    assert_eq!(refused.json()["code"], "rate_limit_unknown");
    assert_eq!(refused.header("retry-after"), Some("1"));
    let edges = collector.next_edges().await;
    let reason = edges.server().text("edgespan.shed.reason");
    assert_eq!(reason, Some("rate_limit_store"));
    assert!(origin.received().is_empty());
}
