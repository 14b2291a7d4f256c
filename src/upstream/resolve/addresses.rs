//! What an answer says: which addresses are endpoints, and by which of two one is reached.

use super::Families;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Most endpoints that one name may stand for. The rest of a longer answer is not used.
pub(super) const TARGETS_MAX: usize = 1_000;

/// One endpoint that a name stands for.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::upstream) struct Target {
    /// The host that has the address.
    pub(in crate::upstream) host: Arc<str>,
    /// Where it is.
    pub(in crate::upstream) address: SocketAddr,
    /// Where else the same host is, in the other family.
    pub(in crate::upstream) alternate: Option<SocketAddr>,
    /// Of its SRV record; 1 without one.
    pub(in crate::upstream) weight: f64,
    /// Of its SRV record; lower goes first.
    pub(in crate::upstream) priority: u16,
}

/// One SRV record (RFC 2782).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Service {
    pub(super) host: Arc<str>,
    pub(super) port: u16,
    pub(super) weight: u16,
    pub(super) priority: u16,
}

/// Endpoints at the addresses of one host, in a fixed order, each once.
pub(super) fn targets(
    host: &Arc<str>,
    port: u16,
    found: &[IpAddr],
    families: Families,
) -> Vec<Target> {
    let of = |v4: bool| -> BTreeSet<IpAddr> {
        found
            .iter()
            .copied()
            .filter(|ip| ip.is_ipv4() == v4)
            .collect()
    };
    let (v4, v6) = match families {
        Families::V4 => (of(true), BTreeSet::new()),
        Families::V6 => (BTreeSet::new(), of(false)),
        Families::Auto | Families::All => (of(true), of(false)),
    };
    let target = |address: IpAddr, alternate: Option<IpAddr>| Target {
        host: Arc::clone(host),
        address: SocketAddr::new(address, port),
        alternate: alternate.map(|ip| SocketAddr::new(ip, port)),
        weight: 1.0,
        priority: 0,
    };
    let pair = (v4.len() == 1 && v6.len() == 1)
        .then(|| v6.first().copied())
        .flatten();
    let used: Vec<IpAddr> = if families == Families::All || v4.is_empty() {
        v4.into_iter().chain(v6).collect()
    } else {
        v4.into_iter().collect()
    };
    let alternate = pair.filter(|_| families == Families::Auto);
    used.into_iter()
        .take(TARGETS_MAX)
        .map(|address| target(address, alternate))
        .collect()
}

/// Endpoints of SRV records, each with the addresses of its host. Among records with weights, one
/// of weight zero gets next to nothing, as RFC 2782 asks.
pub(super) fn service_targets(
    records: &[(Service, Vec<IpAddr>)],
    families: Families,
) -> Vec<Target> {
    let weighs = |priority: u16| {
        records
            .iter()
            .any(|(one, _)| one.priority == priority && one.weight > 0)
    };
    let mut all: Vec<Target> = Vec::new();
    for (record, found) in records {
        let weight = match record.weight {
            0 if weighs(record.priority) => 0.01,
            0 => 1.0,
            weight => f64::from(weight),
        };
        let of_host = targets(&record.host, record.port, found, families);
        // A host with several addresses is still one record's worth.
        let each = weight / of_host.len().max(1) as f64;
        all.extend(of_host.into_iter().map(|target| Target {
            weight: each,
            priority: record.priority,
            ..target
        }));
    }
    let key = |one: &Target| (one.priority, Arc::clone(&one.host), one.address);
    all.sort_by_key(key);
    all.dedup_by(|one, other| one.host == other.host && one.address == other.address);
    all.truncate(TARGETS_MAX);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[track_caller]
    fn check(found: &[&str], families: Families, expected: &[(&str, Option<&str>)]) {
        let targets = targets(&Arc::from("app"), 80, &ips(found), families);
        let seen: Vec<(String, Option<String>)> = targets
            .iter()
            .map(|one| {
                let other = one.alternate.map(|other| other.ip().to_string());
                (one.address.ip().to_string(), other)
            })
            .collect();
        let expected: Vec<(String, Option<String>)> = expected
            .iter()
            .map(|(one, other)| ((*one).to_owned(), other.map(str::to_owned)))
            .collect();
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_host_with_one_address_of_each_family_is_one_endpoint() {
        check(
            &["::1", "127.0.0.1"],
            Families::Auto,
            &[("127.0.0.1", Some("::1"))],
        );
    }

    #[test]
    fn several_addresses_are_several_endpoints_of_one_family() {
        let found = ["10.0.0.2", "10.0.0.1", "10.0.0.2", "fd00::1"];
        check(
            &found,
            Families::Auto,
            &[("10.0.0.1", None), ("10.0.0.2", None)],
        );
        check(
            &["fd00::2", "fd00::1"],
            Families::Auto,
            &[("fd00::1", None), ("fd00::2", None)],
        );
    }

    #[test]
    fn a_family_can_be_chosen() {
        let found = ["10.0.0.1", "fd00::1"];
        check(&found, Families::V4, &[("10.0.0.1", None)]);
        check(&found, Families::V6, &[("fd00::1", None)]);
        check(
            &found,
            Families::All,
            &[("10.0.0.1", None), ("fd00::1", None)],
        );
        check(&["10.0.0.1"], Families::V6, &[]);
    }

    #[test]
    fn an_answer_has_a_bound() {
        let many: Vec<IpAddr> = (0..=TARGETS_MAX as u32)
            .map(|index| IpAddr::from(std::net::Ipv4Addr::from(0x0a00_0000 + index)))
            .collect();

        let at =
            |count: usize| targets(&Arc::from("app"), 80, &many[..count], Families::Auto).len();

        assert_eq!(at(TARGETS_MAX - 1), TARGETS_MAX - 1);
        assert_eq!(at(TARGETS_MAX), TARGETS_MAX);
        assert_eq!(at(TARGETS_MAX + 1), TARGETS_MAX);
    }

    fn record(host: &str, weight: u16, priority: u16) -> Service {
        Service {
            host: Arc::from(host),
            port: 8080,
            weight,
            priority,
        }
    }

    #[test]
    fn weights_and_priorities_are_those_of_the_records() {
        let records = [
            (record("b", 0, 10), ips(&["10.0.0.2"])),
            (record("a", 60, 10), ips(&["10.0.0.1"])),
            (record("c", 0, 20), ips(&["10.0.0.3"])),
        ];

        let targets = service_targets(&records, Families::Auto);

        let seen: Vec<(&str, u16, f64)> = targets
            .iter()
            .map(|one| (&*one.host, one.priority, one.weight))
            .collect();
        assert_eq!(seen, [("a", 10, 60.0), ("b", 10, 0.01), ("c", 20, 1.0)]);
        assert!(targets.iter().all(|one| one.address.port() == 8080));
    }

    #[test]
    fn a_host_with_two_addresses_is_one_record_s_worth() {
        let records = [(record("a", 10, 0), ips(&["10.0.0.1", "10.0.0.2"]))];

        let targets = service_targets(&records, Families::Auto);

        assert_eq!(targets.iter().map(|one| one.weight).sum::<f64>(), 10.0);
        assert_eq!(targets.len(), 2);
    }
}
