//! How upstreams stand: a page for people, the same as JSON, and as metrics.

use crate::clock::{self, Timestamp};
use crate::telemetry::metrics::{Exposition, Family, Kind};
use crate::telemetry::rfc3339;
use crate::upstream::{ClusterReading, EndpointReading};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Writes the gauge of endpoints.
pub(super) fn render(clusters: &[ClusterReading], page: &mut Exposition) {
    page.family(Family {
        name: "edgespan_upstream_endpoints",
        kind: Kind::Gauge,
        help: "Endpoints of upstreams by how they stand.",
    });
    for cluster in clusters {
        for state in EndpointReading::STATES {
            let standing = cluster.endpoints.iter().filter(|one| one.state() == state);
            let labels = [("upstream", &*cluster.name), ("state", state)];
            page.sample(&labels, standing.count());
        }
    }
}

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
        if usable == 0 {
            out.push_str("  no endpoint is well: requests go to any of them all the same\n");
        }
        let width = |of: fn(&EndpointReading) -> usize| endpoints.iter().map(of).max().unwrap_or(0);
        let address_width = width(|one| one.address.chars().count());
        for one in endpoints {
            let state = word(cluster, one);
            put(
                &mut out,
                format_args!(
                    "  {:address_width$}  {state:9}  for {:>6}  {:>4} in flight",
                    one.address,
                    ago(one.since, now),
                    one.in_flight
                ),
            );
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
    let endpoint = |cluster: &ClusterReading, one: &EndpointReading| {
        json!({
            "address": one.address,
            "state": word(cluster, one),
            "healthy": one.health != crate::upstream::Health::Unhealthy,
            "ejected": one.is_ejected,
            "since": rfc3339(one.since).to_string(),
            "in_flight": one.in_flight,
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
                "in_flight": cluster.in_flight,
                "in_flight_max": cluster.in_flight_max,
                "endpoints": endpoints.map(|one| endpoint(cluster, one)).collect::<Vec<_>>(),
            })
        })
        .collect();
    format!("{:#}\n", json!({ "upstreams": all }))
}

const fn is_usable(one: &EndpointReading) -> bool {
    !one.is_ejected && !matches!(one.health, crate::upstream::Health::Unhealthy)
}

/// Where nothing is checked, `unchecked` would sound like something amiss.
fn word(cluster: &ClusterReading, one: &EndpointReading) -> &'static str {
    match one.state() {
        "unchecked" if !cluster.is_checked => "in use",
        state => state,
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
    use crate::telemetry::metrics::TextFormat;
    use crate::upstream::{Health, LastFailure};

    fn clusters() -> Vec<ClusterReading> {
        let endpoint = |port: u16, health, is_ejected| EndpointReading {
            address: format!("http://127.0.0.1:{port}"),
            health,
            is_ejected,
            since: Timestamp::from_unix_nanos(0),
            last_failure: (health == Health::Unhealthy).then(|| LastFailure {
                at: Timestamp::from_unix_nanos(1_000_000_000),
                reason: "status 503".into(),
            }),
            in_flight: usize::from(port),
        };
        vec![ClusterReading {
            name: "content".into(),
            is_checked: true,
            in_flight: 3,
            in_flight_max: 10_000,
            endpoints: vec![
                endpoint(1, Health::Healthy, false),
                endpoint(2, Health::Unhealthy, false),
                endpoint(3, Health::Healthy, true),
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
        assert!(
            lines[1].starts_with("  http://127.0.0.1:1  healthy    for "),
            "{page}"
        );
        assert!(
            lines[2].contains("unhealthy") && lines[2].ends_with("ago: status 503"),
            "{page}"
        );
        assert!(lines[3].contains("ejected"), "{page}");
    }

    #[test]
    fn json_says_the_same_with_times() {
        let page: Value = serde_json::from_str(&json(&clusters())).unwrap();

        let second = &page["upstreams"][0]["endpoints"][1];
        assert_eq!(second["state"], "unhealthy");
        assert_eq!(second["healthy"], false);
        assert_eq!(second["last_failure"]["at"], "1970-01-01T00:00:01.000000Z");
        assert_eq!(second["in_flight"], 2);
        assert_eq!(page["upstreams"][0]["endpoints"][2]["ejected"], true);
    }

    #[test]
    fn every_state_is_a_number_even_when_nobody_is_in_it() {
        let mut page = Exposition::new(TextFormat::OpenMetrics);
        render(&clusters(), &mut page);

        let page = page.finish();
        for (state, count) in [
            ("healthy", 1),
            ("unchecked", 0),
            ("unhealthy", 1),
            ("ejected", 1),
        ] {
            let line = format!(
                "edgespan_upstream_endpoints{{upstream=\"content\",state=\"{state}\"}} {count}\n"
            );
            assert!(page.contains(&line), "{page}");
        }
    }
}
