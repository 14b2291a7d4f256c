//! Which endpoint gets a request, as clients and origins see it.

use crate::support::client::get;
use crate::support::collector::Collector;
use crate::support::fleet::Fleet;
use crate::support::origin::Origin;
use crate::support::proxy::{Proxy, Setup};
use std::collections::HashSet;

/// Endpoints as written, with `${port}` for the fleet's port, and more keys of the upstream.
async fn proxy(fleet: &Fleet, endpoints: &str, keys: &str) -> Proxy {
    let text = format!(
        "upstreams: {{origin: {{endpoints: [{endpoints}], {keys}}}}}\n\
         routes: [{{name: all, match: {{prefix: /}}, upstream: origin}}]\n"
    );
    let setup = Setup::new(&text).fill("port", &fleet.port.to_string());
    setup.start().await
}

async fn send(proxy: &Proxy, count: usize, headers: &[(&str, &str)]) {
    for _ in 0..count {
        let reply = get(proxy.address, "/", headers).await;
        assert_eq!(reply.status, 200);
    }
}

const THREE: &str = "'http://127.0.0.1:${port}', 'http://127.0.0.2:${port}', \
                     'http://127.0.0.3:${port}'";

#[tokio::test]
async fn weights_decide_how_often() {
    let fleet = Fleet::start(2).await;
    let endpoints = "{url: 'http://127.0.0.1:${port}', weight: 3}, 'http://127.0.0.2:${port}'";
    let proxy = proxy(&fleet, endpoints, "").await;

    send(&proxy, 12, &[]).await;

    assert_eq!(fleet.received(), [9, 3]);
}

#[tokio::test]
async fn the_less_busy_endpoint_gets_the_request() {
    let fleet = Fleet::start(1).await;
    let stuck = Origin::that_never_answers().await;
    let endpoints = format!("'http://127.0.0.1:${{port}}', 'http://{}'", stuck.address);
    let proxy = proxy(&fleet, &endpoints, "balance: least_request").await;
    let address = proxy.address;
    // Once the stuck one has a request, it is never the less busy of the two.
    let mut waiting = Vec::new();
    while *stuck.heads.lock().unwrap() == 0 {
        waiting.push(tokio::spawn(async move { get(address, "/", &[]).await }));
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let before = fleet.received()[0];

    send(&proxy, 20, &[]).await;

    assert_eq!(*stuck.heads.lock().unwrap(), 1);
    assert!(fleet.received()[0] >= before + 20);
    for task in waiting {
        task.abort();
    }
}

#[tokio::test]
async fn requests_with_one_key_go_to_one_endpoint() {
    let headers = |user: &str| {
        [
            ("x-user", user.to_owned()),
            ("cookie", format!("a=b; sid={user}")),
        ]
    };
    for hash in ["{hash: {header: x-user}}", "{hash: {cookie: sid}}"] {
        let fleet = Fleet::start(3).await;
        let proxy = proxy(&fleet, THREE, &format!("balance: {hash}")).await;
        let mut used = HashSet::new();

        for user in 0..12 {
            let headers = headers(&format!("user-{user}"));
            let headers: Vec<(&str, &str)> = headers
                .iter()
                .map(|(name, value)| (*name, &**value))
                .collect();
            let before = fleet.received();
            send(&proxy, 3, &headers).await;
            let after = fleet.received();
            let got = (0..3).find(|at| after[*at] == before[*at] + 3);
            used.insert(got.expect("one endpoint gets all three"));
        }

        assert!(used.len() > 1, "{hash}: users are spread");
    }
}

#[tokio::test]
async fn the_address_of_a_client_is_a_key() {
    let fleet = Fleet::start(3).await;
    let proxy = proxy(&fleet, THREE, "balance: {hash: address}").await;

    send(&proxy, 6, &[]).await;

    let received = fleet.received();
    assert!(received.contains(&6), "{received:?}");
}

#[tokio::test]
async fn the_own_zone_gets_all_while_it_is_well() {
    let collector = Collector::start().await;
    let fleet = Fleet::start(3).await;
    let proxy = Setup::new(
        "upstreams: {origin: {endpoints: [{url: 'http://127.0.0.1:${port}', zone: a}, \
         {url: 'http://127.0.0.2:${port}', zone: b}, {url: 'http://127.0.0.3:${port}', zone: b}]}}\n\
         routes: [{name: all, match: {prefix: /}, upstream: origin}]\n",
    )
    .fill("port", &fleet.port.to_string())
    .variable("OTEL_RESOURCE_ATTRIBUTES", "cloud.availability_zone=b")
    .export_to(&collector)
    .start()
    .await;

    send(&proxy, 6, &[]).await;

    assert_eq!(fleet.received(), [0, 3, 3]);
}
