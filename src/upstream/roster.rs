//! From configured endpoints to live ones: a name's addresses come and go, and those that stay
//! keep their connections and their standing.

use super::balance::Member;
use super::breaker::Gate;
use super::pool::Pool;
use super::reach::{Addresses, Reach, Unresolved};
use super::resolve::{LookupError, Question, Target, known};
use super::{
    ClusterSettings, Endpoint, EndpointAddress, EndpointSettings, EndpointSource, EndpointTarget,
    Standing,
};
use crate::telemetry::metrics::Metrics;
use crate::tls::Connector;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// Makes endpoints of one upstream.
pub(super) struct Maker {
    pub(super) settings: Arc<ClusterSettings>,
    pub(super) tls: Option<Connector>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) changes: Arc<AtomicU64>,
    /// Requests that wait for a connection, of all endpoints together.
    pub(super) pending: Arc<Gate>,
}

impl Maker {
    fn endpoint(
        &self,
        address: EndpointAddress,
        tls_name: &Arc<str>,
        reach: Reach,
    ) -> Arc<Endpoint> {
        let settings = &self.settings;
        let pool = Pool::new(
            &settings.limits,
            settings.timeouts.idle,
            Arc::clone(&self.pending),
        );
        Arc::new(Endpoint::new(
            address,
            (Arc::clone(tls_name), reach),
            Arc::clone(&settings.name),
            pool,
            self.tls.clone(),
            Arc::clone(&self.metrics),
            Standing::counting(Arc::clone(&self.changes)),
        ))
    }
}

/// All configured endpoints of an upstream.
pub(super) struct Roster(Vec<Entry>);

/// One configured endpoint.
struct Entry {
    settings: EndpointSettings,
    label: Arc<str>,
    tls_name: Arc<str>,
    members: Vec<Member>,
    /// For a name: what stands for it while it has no address.
    absent: Option<(Arc<Unresolved>, Member)>,
}

impl Roster {
    pub(super) fn new(maker: &Maker) -> Self {
        let endpoints = maker.settings.endpoints.iter();
        Self(endpoints.map(|one| Entry::new(one, maker)).collect())
    }

    /// Names that have to be resolved, each with its place.
    pub(super) fn questions(&self) -> Vec<(usize, Question)> {
        let entries = self.0.iter().enumerate();
        entries
            .filter(|(_, entry)| entry.is_looked_up())
            .filter_map(|(place, entry)| Some((place, Question::of(&entry.settings.source)?)))
            .collect()
    }

    /// Everybody, in the order of the configuration.
    pub(super) fn members(&self) -> Box<[Member]> {
        self.0.iter().flat_map(Entry::members).cloned().collect()
    }

    /// Takes in the addresses of the name at `place`. True if anything is different now.
    pub(super) fn resolved(&mut self, place: usize, targets: &[Target], maker: &Maker) -> bool {
        self.0
            .get_mut(place)
            .is_some_and(|entry| entry.replace(targets, maker))
    }

    /// The name at `place` could not be resolved: what is known of it stays. Gives the number of
    /// endpoints that stay.
    pub(super) fn unresolved(&mut self, place: usize, error: LookupError) -> usize {
        let Some(entry) = self.0.get_mut(place) else {
            return 0;
        };
        if let Some((absent, _)) = &entry.absent {
            absent.fail(error);
        }
        entry.members.len()
    }
}

impl Entry {
    fn new(settings: &EndpointSettings, maker: &Maker) -> Self {
        let tls_name = tls_name(&settings.source);
        let mut entry = Self {
            settings: settings.clone(),
            label: Arc::from(settings.source.to_string()),
            tls_name,
            members: Vec::new(),
            absent: None,
        };
        if let Some(rehearsal) = &maker.settings.rehearsal {
            let reach = Reach::Memory(rehearsal.clone());
            let endpoint = maker.endpoint(settings.source.address(), &entry.tls_name, reach);
            entry.members = vec![entry.member(endpoint, 1.0, 0)];
            return entry;
        }
        match &settings.source {
            EndpointSource::Address(address) => match &address.target {
                EndpointTarget::Unix(_) => {
                    let endpoint = maker.endpoint(address.clone(), &entry.tls_name, Reach::Unix);
                    entry.members = vec![entry.member(endpoint, 1.0, 0)];
                }
                EndpointTarget::Tcp { host, port } => {
                    let targets = known(host, *port, maker.settings.dns.families);
                    if targets.is_empty() {
                        entry.absent(address.clone(), maker);
                    } else {
                        entry.replace(&targets, maker);
                    }
                }
            },
            EndpointSource::Service { .. } => entry.absent(settings.source.address(), maker),
        }
        entry
    }

    /// Whether its addresses come from DNS.
    fn is_looked_up(&self) -> bool {
        let in_memory = |one: &Member| matches!(one.endpoint.reach, Reach::Memory(_));
        !self.members.iter().any(in_memory)
    }

    fn absent(&mut self, address: EndpointAddress, maker: &Maker) {
        let unresolved: Arc<Unresolved> = Arc::default();
        let reach = Reach::Unresolved(Arc::clone(&unresolved));
        let endpoint = maker.endpoint(address, &self.tls_name, reach);
        self.absent = Some((unresolved, self.member(endpoint, 1.0, 0)));
    }

    fn members(&self) -> impl Iterator<Item = &Member> {
        let absent = self.absent.iter().map(|(_, member)| member);
        self.members
            .iter()
            .chain(absent.filter(|_| self.members.is_empty()))
    }

    fn replace(&mut self, targets: &[Target], maker: &Maker) -> bool {
        let fresh: Vec<Member> = targets
            .iter()
            .map(|target| {
                let endpoint = self.kept(target).unwrap_or_else(|| {
                    let addresses = Addresses::new(target.address, target.alternate);
                    let address = EndpointAddress {
                        protocol: self.settings.source.protocol(),
                        target: EndpointTarget::Tcp {
                            host: Arc::clone(&target.host),
                            port: target.address.port(),
                        },
                    };
                    maker.endpoint(address, &self.tls_name, Reach::At(addresses))
                });
                self.member(endpoint, target.weight, target.priority)
            })
            .collect();
        let same = |one: &Member, other: &Member| {
            Arc::ptr_eq(&one.endpoint, &other.endpoint)
                && one.weight == other.weight
                && one.priority == other.priority
        };
        let unchanged = fresh.len() == self.members.len()
            && fresh
                .iter()
                .zip(&self.members)
                .all(|(one, other)| same(one, other));
        self.members = fresh;
        !unchanged
    }

    /// The endpoint that is there already.
    fn kept(&self, target: &Target) -> Option<Arc<Endpoint>> {
        self.members.iter().find_map(|member| {
            let Reach::At(addresses) = &member.endpoint.reach else {
                return None;
            };
            let same_host = matches!(
                &member.endpoint.address.target,
                EndpointTarget::Tcp { host, .. } if *host == target.host
            );
            (same_host && addresses.first == target.address).then(|| {
                addresses.set_other(target.alternate);
                Arc::clone(&member.endpoint)
            })
        })
    }

    fn member(&self, endpoint: Arc<Endpoint>, weight: f64, priority: u16) -> Member {
        let name = match &endpoint.reach {
            Reach::At(addresses) => Arc::from(format!("{} {}", self.label, addresses.first)),
            Reach::Unix | Reach::Memory(_) | Reach::Unresolved(_) => Arc::clone(&self.label),
        };
        Member {
            endpoint,
            weight: weight * f64::from(self.settings.weight),
            zone: self.settings.zone.clone(),
            priority,
            source: Arc::clone(&self.label),
            name,
        }
    }
}

/// The name that a certificate has to have: the configured one, whatever DNS says. For SRV records
/// it is the domain that they are under (RFC 6125 section 6.2.1): who can forge an answer must not
/// choose whose certificate is believed.
fn tls_name(source: &EndpointSource) -> Arc<str> {
    match source {
        EndpointSource::Address(address) => match &address.target {
            EndpointTarget::Tcp { host, .. } => Arc::clone(host),
            EndpointTarget::Unix(_) => Arc::from("localhost"),
        },
        EndpointSource::Service { name, .. } => {
            let labels = name.split('.').skip_while(|label| label.starts_with('_'));
            Arc::from(labels.collect::<Vec<_>>().join("."))
        }
    }
}
