//! Who is picked, as a cluster picks.

use super::{Algorithm, BalanceSettings, HashSource};
use crate::telemetry::metrics::Metrics;
use crate::upstream::{
    Choice, Cluster, ClusterSettings, Endpoint, EndpointAddress, EndpointProtocol,
    EndpointSettings, EndpointTarget,
};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

fn at(port: u16) -> EndpointSettings {
    EndpointSettings::from(EndpointAddress {
        protocol: EndpointProtocol::Http1,
        target: EndpointTarget::Tcp {
            host: Arc::from("127.0.0.1"),
            port,
        },
    })
}

fn weighed(port: u16, weight: u32) -> EndpointSettings {
    EndpointSettings { weight, ..at(port) }
}

fn zoned(port: u16, zone: &str) -> EndpointSettings {
    EndpointSettings {
        zone: Some(Arc::from(zone)),
        ..at(port)
    }
}

fn cluster(endpoints: Vec<EndpointSettings>, balance: BalanceSettings) -> Arc<Cluster> {
    let settings = ClusterSettings {
        endpoints,
        balance,
        ..ClusterSettings::local([1])
    };
    Cluster::new(settings, &Metrics::new()).unwrap()
}

fn port(endpoint: &Endpoint) -> u16 {
    endpoint.server_port.unwrap()
}

fn picks(cluster: &Cluster, count: usize) -> Vec<u16> {
    let pick = |_| cluster.pick(&Choice::default()).map(|one| port(&one));
    (0..count).map(|at| pick(at).unwrap()).collect()
}

fn tally(picks: &[u16]) -> HashMap<u16, usize> {
    let mut tally = HashMap::new();
    for port in picks {
        *tally.entry(*port).or_default() += 1;
    }
    tally
}

fn endpoint(cluster: &Cluster, wanted: u16) -> Arc<Endpoint> {
    let all = cluster.states();
    let found = all.into_iter().find(|one| port(&one.endpoint) == wanted);
    found.unwrap().endpoint
}

fn least() -> BalanceSettings {
    BalanceSettings {
        algorithm: Algorithm::LeastRequest,
        ..BalanceSettings::default()
    }
}

fn hashing() -> BalanceSettings {
    BalanceSettings {
        algorithm: Algorithm::Hash(HashSource::Address),
        ..BalanceSettings::default()
    }
}

fn by_key(cluster: &Cluster, key: u64) -> u16 {
    let choice = Choice {
        hash: Some(key.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        tried: &[],
    };
    port(&cluster.pick(&choice).unwrap())
}

#[tokio::test]
async fn endpoints_of_one_weight_take_turns_in_their_order() {
    let cluster = cluster(vec![at(1), at(2), at(3)], BalanceSettings::default());

    assert_eq!(picks(&cluster, 7), [1, 2, 3, 1, 2, 3, 1]);
}

#[tokio::test]
async fn weights_are_kept_in_every_round() {
    let endpoints = vec![weighed(1, 3), weighed(2, 1)];
    let cluster = cluster(endpoints, BalanceSettings::default());

    for _ in 0..10 {
        assert_eq!(tally(&picks(&cluster, 4)), HashMap::from([(1, 3), (2, 1)]));
    }
}

#[tokio::test]
async fn an_endpoint_that_was_tried_is_not_picked_again_and_the_turn_does_not_go_on() {
    let cluster = cluster(vec![at(1), at(2), at(3)], BalanceSettings::default());
    let mut tried = Vec::new();

    let mut order = Vec::new();
    while let Some(endpoint) = cluster.pick(&Choice {
        hash: None,
        tried: &tried,
    }) {
        order.push(port(&endpoint));
        tried.push(endpoint);
    }

    assert_eq!(order, [1, 2, 3]);
    assert_eq!(picks(&cluster, 2), [2, 3]);
}

#[tokio::test]
async fn an_endpoint_that_is_not_available_gets_nothing_until_it_is_again() {
    let cluster = cluster(vec![at(1), at(2)], BalanceSettings::default());
    let ill = endpoint(&cluster, 1);

    ill.standing.set_healthy(false);
    assert_eq!(picks(&cluster, 3), [2, 2, 2]);

    ill.standing.set_healthy(true);
    assert_eq!(tally(&picks(&cluster, 4)), HashMap::from([(1, 2), (2, 2)]));
}

/// Of ten endpoints this many are ill, with a threshold of a half.
#[track_caller]
fn check_panic(ill: u16, panic: bool) {
    let cluster = cluster((1..=10).map(at).collect(), BalanceSettings::default());
    for port in 1..=ill {
        endpoint(&cluster, port).standing.set_ejected(true);
    }

    let tally = tally(&picks(&cluster, 100));

    assert_eq!(cluster.is_panicking(), panic, "{ill} ill");
    let used = if panic { 10 } else { 10 - usize::from(ill) };
    assert_eq!(tally.len(), used, "{ill} ill: {tally:?}");
}

#[tokio::test]
async fn below_the_panic_threshold_all_are_used() {
    check_panic(4, false);
    check_panic(5, false);
    check_panic(6, true);
    check_panic(10, true);
}

#[tokio::test]
async fn without_panic_nobody_is_picked_where_nobody_is_well() {
    let balance = BalanceSettings {
        panic_threshold: 0.0,
        ..BalanceSettings::default()
    };
    let cluster = cluster(vec![at(1), at(2)], balance);

    endpoint(&cluster, 1).standing.set_healthy(false);
    assert_eq!(picks(&cluster, 2), [2, 2]);
    endpoint(&cluster, 2).standing.set_healthy(false);

    assert!(cluster.pick(&Choice::default()).is_none());
}

#[tokio::test]
async fn the_less_busy_of_two_is_picked() {
    let cluster = cluster(vec![at(1), at(2)], least());

    let _load = endpoint(&cluster, 1).standing.enter();

    assert_eq!(tally(&picks(&cluster, 50)), HashMap::from([(2, 50)]));
}

#[tokio::test]
async fn load_counts_for_its_weight() {
    let cluster = cluster(vec![weighed(1, 4), weighed(2, 1)], least());

    let _loads: Vec<_> = (0..3)
        .map(|_| endpoint(&cluster, 1).standing.enter())
        .chain([endpoint(&cluster, 2).standing.enter()])
        .collect();

    assert_eq!(tally(&picks(&cluster, 50)), HashMap::from([(1, 50)]));
}

#[tokio::test]
async fn an_idle_upstream_is_used_as_its_weights_say() {
    let cluster = cluster(vec![weighed(1, 3), weighed(2, 1)], least());

    let tally = tally(&picks(&cluster, 4_000));

    assert!((2_700..3_300).contains(&tally[&1]), "{tally:?}");
}

#[tokio::test]
async fn a_key_stays_with_its_endpoint_and_comes_back_to_it() {
    let cluster = cluster((1..=5).map(at).collect(), hashing());
    let before: Vec<u16> = (0..2_000).map(|key| by_key(&cluster, key)).collect();

    endpoint(&cluster, 3).standing.set_healthy(false);
    let during: Vec<u16> = (0..2_000).map(|key| by_key(&cluster, key)).collect();
    endpoint(&cluster, 3).standing.set_healthy(true);
    let after: Vec<u16> = (0..2_000).map(|key| by_key(&cluster, key)).collect();

    assert_eq!(before, after);
    let mut heirs = HashMap::new();
    for (was, is) in before.iter().zip(&during) {
        if *was == 3 {
            *heirs.entry(*is).or_insert(0) += 1;
        } else {
            assert_eq!(was, is, "a key of another moved");
        }
    }
    assert_eq!(heirs.len(), 4, "{heirs:?}");
}

#[tokio::test]
async fn a_request_without_a_key_takes_its_turn() {
    let cluster = cluster(vec![at(1), at(2)], hashing());

    assert_eq!(tally(&picks(&cluster, 4)), HashMap::from([(1, 2), (2, 2)]));
}

#[tokio::test]
async fn every_endpoint_is_tried_under_a_key_too() {
    let cluster = cluster((1..=4).map(at).collect(), hashing());
    let mut tried = Vec::new();

    while let Some(endpoint) = cluster.pick(&Choice {
        hash: Some(7),
        tried: &tried,
    }) {
        tried.push(endpoint);
    }

    assert_eq!(tried.len(), 4);
}

fn in_zone(zone: &str) -> BalanceSettings {
    BalanceSettings {
        zone: Some(Arc::from(zone)),
        panic_threshold: 0.0,
        ..BalanceSettings::default()
    }
}

/// With ten endpoints here and ten elsewhere, of which this many here are well, this much goes
/// elsewhere.
#[track_caller]
fn check_zone(well: u16, elsewhere: f64) {
    let here = (1..=10).map(|port| zoned(port, "here"));
    let there = (11..=20).map(|port| zoned(port, "there"));
    let cluster = cluster(here.chain(there).collect(), in_zone("here"));
    for port in 1..=(10 - well) {
        endpoint(&cluster, port).standing.set_healthy(false);
    }

    let picks = picks(&cluster, 10_000);

    let far = picks.iter().filter(|port| **port > 10).count() as f64 / 10_000.0;
    assert!((far - elsewhere).abs() < 0.02, "{well} well: {far}");
}

#[tokio::test]
async fn the_own_zone_is_preferred_while_enough_of_it_is_well() {
    check_zone(10, 0.0);
    check_zone(8, 0.0);
    check_zone(7, 0.02);
    check_zone(5, 0.3);
    check_zone(1, 0.86);
    check_zone(0, 1.0);
}

#[tokio::test]
async fn a_zone_where_nobody_is_changes_nothing() {
    let cluster = cluster(vec![zoned(1, "a"), zoned(2, "b")], in_zone("c"));

    assert_eq!(picks(&cluster, 4), [1, 2, 1, 2]);
}

#[tokio::test]
async fn another_zone_is_tried_when_the_own_one_was() {
    let cluster = cluster(vec![zoned(1, "here"), zoned(2, "there")], in_zone("here"));
    let tried = [cluster.pick(&Choice::default()).unwrap()];

    let next = cluster.pick(&Choice {
        hash: None,
        tried: &tried,
    });

    assert_eq!(port(&tried[0]), 1);
    assert_eq!(port(&next.unwrap()), 2);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_well_again_gets_its_share_little_by_little() {
    let balance = BalanceSettings {
        slow_start: Some(Duration::from_secs(100)),
        ..BalanceSettings::default()
    };
    let cluster = cluster(vec![at(1), at(2)], balance);
    tokio::time::sleep(Duration::from_secs(100)).await;
    let ill = endpoint(&cluster, 1);
    ill.standing.set_healthy(false);
    ill.standing.set_healthy(true);

    let mut shares = Vec::new();
    for _ in 0..4 {
        let tally = tally(&picks(&cluster, 2_048));
        shares.push(tally[&1] as f64 / tally[&2] as f64);
        tokio::time::sleep(Duration::from_secs(40)).await;
    }

    let wanted = [0.1, 0.4, 0.8, 1.0];
    for (share, wanted) in shares.iter().zip(wanted) {
        assert!((share - wanted).abs() < 0.05, "{shares:?}");
    }
}

#[tokio::test]
async fn a_snapshot_says_who_gets_how_much() {
    let endpoints = vec![weighed(1, 3), zoned(2, "z"), at(3)];
    let cluster = cluster(endpoints, BalanceSettings::default());
    endpoint(&cluster, 3).standing.set_ejected(true);

    let states = cluster.states();

    let seen: Vec<_> = states
        .iter()
        .map(|one| (&*one.source, one.weight, one.share, one.zone.as_deref()))
        .collect();
    let expected = [
        ("http://127.0.0.1:1", 3.0, 0.75, None),
        ("http://127.0.0.1:2", 1.0, 0.25, Some("z")),
        ("http://127.0.0.1:3", 1.0, 0.0, None),
    ];
    assert_eq!(seen, expected);
    assert_eq!(states[0].address.unwrap().port(), 1);
}
