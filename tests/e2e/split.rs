//! One route, several upstreams: who takes which branch, and what the spans say of it.

use crate::support::client::get;
use crate::support::collector::Collector;
use crate::support::origin::{Origin, text};
use crate::support::proxy::{Proxy, Setup};
use std::collections::HashSet;

/// A proxy that splits `/` over two origins that answer `new` and `old`.
async fn split(new: u32, old: u32, more: &str, collector: &Collector) -> (Proxy, [Origin; 2]) {
    let origins = [
        Origin::answering(|_| text(200, "new")).await,
        Origin::answering(|_| text(200, "old")).await,
    ];
    let proxy = Setup::new(&format!(
        "upstreams:\n  a: {{endpoints: ['http://${{a}}']}}\n  b: {{endpoints: ['http://${{b}}']}}\n\
         feature_flags: {{dark: on}}\n\
         routes:\n  - name: shop\n    match: {{prefix: /}}\n    split:\n      flag: checkout\n      \
         {more}\n      branches:\n        \
         - {{variant: new, upstream: a, weight: {new}, headers: {{x-canary: '1'}}}}\n        \
         - {{variant: old, upstream: b, weight: {old}}}\n"
    ))
    .fill("a", &origins[0].address.to_string())
    .fill("b", &origins[1].address.to_string())
    .export_to(collector)
    .start()
    .await;
    (proxy, origins)
}

#[tokio::test]
async fn a_header_takes_its_branch_and_both_spans_carry_the_variant() {
    let collector = Collector::start().await;
    let (proxy, _origins) = split(0, 1, "", &collector).await;

    for (headers, variant) in [
        (&[("x-canary", "1")][..], "new"),
        (&[("x-canary", "2")], "old"),
    ] {
        let reply = get(proxy.address, "/", headers).await;

        assert_eq!(reply.text(), variant);
        let edges = collector.next_edges().await;
        for span in [edges.server(), edges.client()] {
            let expected = [format!("checkout={variant}"), "dark=on".to_owned()];
            assert_eq!(span.texts("feature_flags"), expected);
            assert_eq!(span.text("feature_flags.checkout"), Some(variant));
        }
        let upstream = if variant == "new" { "a" } else { "b" };
        assert_eq!(edges.server().text("edgespan.upstream"), Some(upstream));
    }
}

#[tokio::test]
async fn without_a_weight_a_branch_is_never_drawn() {
    let collector = Collector::start().await;
    let (proxy, [new, _]) = split(0, 1, "", &collector).await;

    for _ in 0..50 {
        assert_eq!(get(proxy.address, "/", &[]).await.text(), "old");
    }

    assert!(new.received().is_empty());
}

#[tokio::test]
async fn weights_decide_how_many_go_where() {
    let collector = Collector::start().await;
    let (proxy, [new, old]) = split(3, 1, "", &collector).await;

    for _ in 0..200 {
        get(proxy.address, "/", &[]).await;
    }

    let (new, old) = (new.received().len(), old.received().len());
    assert_eq!(new + old, 200);
    // 150 are expected, with a standard deviation of six.
    assert!((100..190).contains(&new), "{new} of 200");
}

#[tokio::test]
async fn who_is_tied_to_a_branch_stays_there() {
    for (tie, name) in [
        ("sticky: {header: x-user}", "x-user"),
        ("sticky: {cookie: sid}", "cookie"),
        ("sticky: trace", "traceparent"),
    ] {
        let collector = Collector::start().await;
        let (proxy, _origins) = split(1, 1, tie, &collector).await;
        let mut taken = HashSet::new();

        for caller in 0..16 {
            let value = match name {
                "traceparent" => {
                    format!("00-{caller:032x}-00f067aa0ba902b7-01").replace("-0000", "-abcd")
                }
                "cookie" => format!("a=b; sid={caller}"),
                _ => caller.to_string(),
            };
            let branches: HashSet<String> = [
                get(proxy.address, "/", &[(name, &value)]).await.text(),
                get(proxy.address, "/x", &[(name, &value)]).await.text(),
                get(proxy.address, "/y", &[(name, &value)]).await.text(),
            ]
            .into();
            assert_eq!(branches.len(), 1, "{name} {value} has one branch");
            taken.extend(branches);
        }

        assert_eq!(taken.len(), 2, "{name}: callers are on both branches");
    }
}
