//! How upstreams stand: a page for people, and the same as JSON.

use crate::clock::{self, Timestamp};
use crate::telemetry::metrics::EndpointCondition;
use crate::telemetry::rfc3339;
use crate::upstream::{ClusterReading, EndpointReading};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// The page for people: an upstream a paragraph, an endpoint a line.
pub(super) fn text(clusters: &[ClusterReading]) -> String {
    let now = clock::wall();
    let mut out = String::new();
    if clusters.is_empty() {
        out.push_str("No upstreams.\n");
    }
    for (place, cluster) in clusters.iter().enumerate() {
        if place > 0 {
            out.push('\n');
        }
        let ClusterReading {
            name,
            in_flight,
            in_flight_max,
            endpoints,
            ..
        } = cluster;
        let usable = endpoints.iter().filter(|one| is_usable(one)).count();
        let all = endpoints.len();
        put(
            &mut out,
            format_args!(
                "{name}: {usable} of {all} endpoints usable, {in_flight} of at most \
                 {in_flight_max} requests in flight\n"
            ),
        );
        if cluster.is_panicking {
            out.push_str("  too few are well: requests go to all of them, well or not\n");
        }
        let names: Vec<String> = endpoints.iter().map(named).collect();
        let widest = names.iter().map(|name| name.chars().count()).max();
        let width = widest.unwrap_or(0);
        for (one, name) in endpoints.iter().zip(names) {
            let state = word(one);
            put(
                &mut out,
                format_args!(
                    "  {name:width$}  {state:10}  for {:>6}  {:>5.1} % of requests  {:>4} in flight",
                    ago(one.since, now),
                    one.share * 100.0,
                    one.in_flight
                ),
            );
            if let Some(zone) = &one.zone {
                put(&mut out, format_args!("  zone {zone}"));
            }
            if let Some(failure) = &one.last_failure {
                let at = ago(failure.at, now);
                put(
                    &mut out,
                    format_args!("  last failure {at} ago: {}", failure.reason),
                );
            }
            out.push('\n');
        }
    }
    out
}

/// The same for programs.
pub(super) fn json(clusters: &[ClusterReading]) -> String {
    let endpoint = |one: &EndpointReading| {
        json!({
            "endpoint": one.source,
            "address": one.address.map(|address| address.to_string()),
            "state": word(one),
            "healthy": one.is_healthy,
            "ejected": one.is_ejected,
            "since": rfc3339(one.since).to_string(),
            "in_flight": one.in_flight,
            "weight": one.weight,
            "share": one.share,
            "zone": one.zone.as_deref(),
            "last_failure": one.last_failure.as_ref().map(|failure| json!({
                "at": rfc3339(failure.at).to_string(),
                "reason": &*failure.reason,
            })),
        })
    };
    let all: Vec<Value> = clusters
        .iter()
        .map(|cluster| {
            let endpoints = cluster.endpoints.iter();
            json!({
                "name": &*cluster.name,
                "checked": cluster.is_checked,
                "panic": cluster.is_panicking,
                "in_flight": cluster.in_flight,
                "in_flight_max": cluster.in_flight_max,
                "endpoints": endpoints.map(endpoint).collect::<Vec<_>>(),
            })
        })
        .collect();
    format!("{:#}\n", json!({ "upstreams": all }))
}

fn is_usable(one: &EndpointReading) -> bool {
    one.state == EndpointCondition::Available
}

/// As configured, and the address where that says more.
fn named(one: &EndpointReading) -> String {
    match one.address {
        Some(address) if !one.source.contains(&address.to_string()) => {
            format!("{} ({address})", one.source)
        }
        _ => one.source.clone(),
    }
}

const fn word(one: &EndpointReading) -> &'static str {
    match one.state {
        EndpointCondition::Available => "available",
        EndpointCondition::Unhealthy => "unhealthy",
        EndpointCondition::Ejected => "ejected",
        EndpointCondition::Unresolved => "unresolved",
    }
}

/// How long ago, in its largest unit.
fn ago(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.since(then).as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String does not fail.
    out.write_fmt(text).unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::LastFailure;
    use std::net::SocketAddr;

    fn clusters() -> Vec<ClusterReading> {
        let endpoint = |port: u16, state| EndpointReading {
            source: "http://app:80".to_owned(),
            address: Some(SocketAddr::from(([10, 0, 0, 1], port))),
            state,
            is_healthy: state != EndpointCondition::Unhealthy,
            is_ejected: state == EndpointCondition::Ejected,
            since: Timestamp::from_unix_nanos(0),
            last_failure: (state == EndpointCondition::Unhealthy).then(|| LastFailure {
                at: Timestamp::from_unix_nanos(1_000_000_000),
                reason: "status 503".into(),
            }),
            in_flight: usize::from(port),
            weight: 1.0,
            share: 0.5,
            zone: Some("a".into()),
        };
        vec![ClusterReading {
            name: "content".into(),
            is_checked: true,
            is_panicking: true,
            in_flight: 3,
            in_flight_max: 10_000,
            endpoints: vec![
                endpoint(1, EndpointCondition::Available),
                endpoint(2, EndpointCondition::Unhealthy),
                endpoint(3, EndpointCondition::Ejected),
            ],
        }]
    }

    #[test]
    fn a_page_says_who_is_usable_and_why_the_others_are_not() {
        let page = text(&clusters());

        let lines: Vec<&str> = page.lines().collect();
        assert_eq!(
            lines[0],
            "content: 1 of 3 endpoints usable, 3 of at most 10000 requests in flight"
        );
        assert!(lines[1].starts_with("  too few are well"), "{page}");
        let first = "  http://app:80 (10.0.0.1:1)  available   for ";
        assert!(lines[2].starts_with(first), "{page}");
        assert!(
            lines[2].ends_with(" 50.0 % of requests     1 in flight  zone a"),
            "{page}"
        );
        assert!(lines[3].contains("unhealthy"), "{page}");
        assert!(lines[3].ends_with("ago: status 503"), "{page}");
        assert!(lines[4].contains("ejected"), "{page}");
    }

    #[test]
    fn json_says_the_same_with_times() {
        let page: Value = serde_json::from_str(&json(&clusters())).unwrap();

        let second = &page["upstreams"][0]["endpoints"][1];
        assert_eq!(second["state"], "unhealthy");
        assert_eq!(second["healthy"], false);
        let at = second["last_failure"]["at"].as_str().unwrap();
        assert!(at.starts_with("1970-01-01T00:00:01"), "{at}");
        assert_eq!(second["in_flight"], 2);
        assert_eq!(second["address"], "10.0.0.1:2");
        assert_eq!(page["upstreams"][0]["endpoints"][2]["ejected"], true);
    }
}
