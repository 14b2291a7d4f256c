//! Rate limits and overload: what a file means, and what it cannot mean.

use super::*;
use crate::ratelimit::{KeyPart, MissingKey, OnStoreFailure, Quota, RateLimitStore};
use crate::server::MemoryWatermark;
use std::time::Duration;

/// One problem, told with this id, of the base file and these lines.
#[track_caller]
fn refuse(lines: &str, id: &str) {
    let told = told(&format!("{BASE}{lines}\n"));
    let ids: Vec<_> = told.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, [id], "{lines}: {told:?}");
}

#[track_caller]
fn take(lines: &str) -> Loaded {
    let loaded = compile(&format!("{BASE}{lines}\n"));
    let loaded = loaded.map_err(|refused| refused.report.render(Look::default()));
    loaded.unwrap_or_else(|report| panic!("{lines}\n{report}"))
}

#[test]
fn a_limit_is_a_rate_and_everything_else_has_a_default() {
    let plan = take("rate_limits: {a: {rate: 600/m}}").plan;

    let limit = &plan.rate_limits[0];
    assert_eq!(limit.quota, Quota::new(600, Duration::from_secs(60), 600));
    assert_eq!(limit.key, [KeyPart::Address]);
    assert_eq!((limit.ipv6_prefix, limit.keys_max), (64, 65_536));
    assert_eq!(limit.store, RateLimitStore::Local);
    assert!(limit.enforce && limit.preflights);
    assert_eq!(plan.redis, None);
    assert_eq!(plan.memory, MemoryWatermark::OfControlGroup);
}

#[test]
fn a_key_is_made_of_parts_or_of_none() {
    let key = "[address, {header: X-Api-Key}, {cookie: sid}, route, listener]";
    let plan = take(&format!(
        "rate_limits: {{a: {{rate: 1/s, key: {key}, missing: pass}}, b: {{rate: 1/s, key: []}}}}"
    ))
    .plan;

    let [a, b] = plan.rate_limits.as_slice() else {
        panic!("two limits")
    };
    let parts = [
        KeyPart::Address,
        KeyPart::Header(http::HeaderName::from_static("x-api-key")),
        KeyPart::Cookie("sid".into()),
        KeyPart::Route,
        KeyPart::Listener,
    ];
    assert_eq!(a.key, parts);
    assert_eq!(a.missing, MissingKey::Pass);
    assert_eq!(b.key, []);
}

#[test]
fn a_limit_without_sense_is_refused() {
    refuse("rate_limits: {a: {}}", "E0102");
    refuse("rate_limits: {a: {rate: 100}}", "E0341");
    refuse("rate_limits: {a: {rate: 0/s}}", "E0341");
    refuse("rate_limits: {a: {rate: 1/s, burst: 0}}", "E0105");
    refuse("rate_limits: {a: {rate: 1/s, key: [adress]}}", "E0104");
    refuse("rate_limits: {a: {rate: 1/s, key: [{}]}}", "E0106");
    refuse(
        "rate_limits: {a: {rate: 1/s, key: [{header: 'x y'}]}}",
        "E0306",
    );
    refuse(
        "rate_limits: {a: {rate: 1/s, key: [{cookie: 'a=b'}]}}",
        "E0306",
    );
    refuse("rate_limits: {a: {rate: 1/s, ipv6_prefix: 129}}", "E0105");
    refuse("rate_limits: {a: {rate: 1/s, ipv6_prefix: 0}}", "E0105");
    refuse(
        "rate_limits: {a: {rate: 1/s, key: [route], ipv6_prefix: 64}}",
        "E0318",
    );
    refuse("rate_limits: {a: {rate: 1/s, on_failure: open}}", "E0318");
    refuse("rate_limits: {a: {rate: 1/s, store: redis}}", "E0201");
    refuse("overload: {memory: lots}", "E0302");
}

#[test]
fn routes_and_listeners_name_limits_that_exist() {
    let limits = "rate_limits: {per-client: {rate: 1/s}}";
    let route =
        |names| format!("{limits}\nroutes: [{{name: a, upstream: app, rate_limits: {names}}}]");
    refuse(&route("[per-clinet]"), "E0201");

    let plan = take(&route("[per-client, per-client]")).plan;

    assert_eq!(plan.routes[0].1.rate_limits.len(), 1);
    let text = "listeners: {web: {address: \"127.0.0.1:0\", rate_limits: [x]}}";
    let ids: Vec<_> = told(text).into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, ["E0201"]);
}

#[test]
fn a_redis_has_its_secret_beside_its_url() {
    let limit = "rate_limits: {a: {rate: 1/s, store: redis, on_failure: closed}}";
    let with = |redis: &str| format!("{limit}\nredis: {redis}");
    let plan = take(&with(
        "{url: 'rediss://cache:7000/3', password: hunter2, timeout: 20ms}",
    ))
    .plan;

    let redis = plan.redis.unwrap();
    assert_eq!(
        (&*redis.host, redis.port, redis.database),
        ("cache", 7000, 3)
    );
    assert!(redis.tls.is_some());
    assert_eq!(redis.timeout, Duration::from_millis(20));
    assert_eq!(&*redis.prefix, "{edgespan}:");
    assert!(!format!("{redis:?}").contains("hunter2"));
    let store = RateLimitStore::Redis {
        on_failure: OnStoreFailure::Closed,
    };
    assert_eq!(plan.rate_limits[0].store, store);
    refuse(&with("{url: 'http://cache'}"), "E0305");
    refuse(&with("{url: 'redis://:hunter2@cache'}"), "E0305");
    refuse(&with("{url: 'redis://cache', tls: {}}"), "E0318");
    refuse(&with("{}"), "E0102");
    refuse(
        &with("{url: 'redis://cache', password: {env: NONE}}"),
        "E0313",
    );
}

#[test]
fn a_redis_that_nothing_uses_is_told() {
    let loaded = take("redis: {url: 'redis://cache'}");

    let ids: Vec<_> = loaded
        .warnings
        .diagnostics()
        .iter()
        .map(|one| one.code.id())
        .collect();
    assert_eq!(ids, ["W0402"]);
    assert_eq!(loaded.plan.redis, None);
}

#[test]
fn a_watermark_is_a_size_or_off() {
    let memory = |text| take(&format!("overload: {{memory: {text}}}")).plan.memory;

    assert_eq!(memory("1GiB"), MemoryWatermark::Bytes(1 << 30));
    assert_eq!(memory("off"), MemoryWatermark::Off);
    assert_eq!(memory("1000000"), MemoryWatermark::Bytes(1_000_000));
}
