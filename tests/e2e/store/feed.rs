//! What edgespan tells beyond Tempo: news, ids by their first digits, summaries.

use super::{HOST, PROTOBUF, ask, message, post};
use crate::support::client::{Reply, get};
use crate::support::origin::Origin;
use crate::support::proxy::Setup;
use prost::Message;
use serde_json::Value;

/// The lines of an answer, the last one apart.
fn lines(reply: &Reply) -> (Vec<Value>, Value) {
    let text = reply.text();
    let mut lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let last = lines.pop().unwrap();
    assert_eq!(last["schema"], "edgespan.feed/1");
    (lines, last)
}

#[tokio::test]
async fn who_waits_for_news_gets_them_once() {
    let origin = Origin::start().await;
    let proxy = Setup::front(&origin).start().await;
    get(proxy.address, "/before", &[]).await;
    let (none, now) = lines(&ask(&proxy, "/api/edgespan/tail").await);
    assert_eq!(none.len(), 0);
    let after = |last: &Value| last["sequence"].as_str().unwrap().to_owned();

    let waiting = format!("/api/edgespan/tail?after={}&wait=9s", after(&now));
    let (news, _) = tokio::join!(ask(&proxy, &waiting), async {
        get(proxy.address, "/after", &[]).await
    });

    let (news, last) = lines(&news);
    assert_eq!(news.len(), 1);
    assert_eq!(news[0]["spanCount"], 2);
    assert_eq!(news[0]["statusCode"], 200);
    assert_eq!(last["missed"], false);
    let quiet = format!("/api/edgespan/tail?after={}&wait=50ms", after(&last));
    let (none, again) = lines(&ask(&proxy, &quiet).await);
    assert_eq!((none.len(), after(&again)), (0, after(&last)));
    // Of another process, or of a store that is gone: from the start, and it says so.
    let (all, last) = lines(&ask(&proxy, "/api/edgespan/tail?after=99999&wait=1s").await);
    assert_eq!((all.len(), &last["missed"]), (2, &Value::Bool(true)));
}

#[tokio::test]
async fn ids_are_found_by_their_first_digits() {
    let origin = Origin::start().await;
    let proxy = Setup::front(&origin).start().await;
    for trace in [0x11, 0x12, 0x21] {
        let sent = message("billing", trace, 1, 0).encode_to_vec();
        post(proxy.admin, &[HOST, PROTOBUF], sent).await;
    }
    let ids = async |prefix: &str| {
        let target = format!("/api/edgespan/traces?prefix={prefix}");
        ask(&proxy, &target).await.json()["traceIDs"]
            .as_array()
            .unwrap()
            .len()
    };

    assert_eq!(ids("1").await, 2);
    assert_eq!(ids("1111").await, 1);
    assert_eq!(ids("").await, 3);
    assert_eq!(ids("ff").await, 0);
    assert_eq!(ids(&"11".repeat(16).to_uppercase()).await, 1);
}

#[tokio::test]
async fn a_summary_tells_what_tempo_does_not() {
    let origin = Origin::start().await;
    let proxy = Setup::front(&origin).start().await;
    get(proxy.address, "/", &[]).await;

    let found = ask(&proxy, "/api/edgespan/search?q=%7B%7D").await.json();

    assert_eq!(found["schema"], "edgespan.search/1");
    assert_eq!(found["complete"], true);
    let trace = &found["traces"][0];
    assert_eq!(
        (&trace["spanCount"], &trace["statusCode"]),
        (&2.into(), &200.into())
    );
    assert_eq!(trace["error"], false);
    assert_eq!(trace["urlPath"], "/");
    let nanos: u64 = trace["durationNano"].as_str().unwrap().parse().unwrap();
    assert_eq!(
        u64::from(trace["durationMs"].as_u64().unwrap() as u32),
        nanos / 1_000_000
    );
}
