//! One question, asked: of `/etc/hosts` first, then of the name servers.

use super::addresses::{Service, TARGETS_MAX, Target, service_targets, targets};
use super::memory::{Memory, Said, both};
use super::{DnsSettings, Families};
use crate::upstream::{EndpointSource, EndpointTarget};
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use hickory_resolver::{Hosts, Resolver, TokioResolver};
use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::task::JoinSet;

/// Hosts of a service that are asked for at the same time.
const HOSTS_AT_A_TIME: usize = 16;
/// Files whose change makes a new resolver.
const SYSTEM_FILES: [&str; 2] = ["/etc/resolv.conf", "/etc/hosts"];

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::upstream) enum Question {
    /// Addresses of a host.
    Host { name: Arc<str>, port: u16 },
    /// Records of a service, and the addresses of their hosts.
    Service(Arc<str>),
}

/// An answer.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) targets: Vec<Target>,
    /// How long it may be used.
    pub(super) ttl: Duration,
    /// Why not everything was said. What is missing is as it was said before.
    pub(super) missing: Option<LookupError>,
    denied: Option<LookupError>,
    is_news: bool,
}

type Asked = Result<Found, LookupError>;

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub(in crate::upstream) enum LookupError {
    /// The name servers say that there is nothing.
    #[error("the name has no address")]
    Nothing(#[source] Option<NetError>),
    /// They do not answer, or cannot.
    #[error("no answer from the name servers")]
    NoAnswer(#[source] NetError),
    /// There is nobody to ask.
    #[error("the system's resolver configuration cannot be used")]
    Unconfigured(#[source] NetError),
}

impl LookupError {
    /// Whether the answer was no, rather than none.
    pub(in crate::upstream) const fn is_negative(&self) -> bool {
        matches!(self, Self::Nothing(_))
    }

    fn of(error: NetError) -> Self {
        if error.is_no_records_found() || error.is_nx_domain() {
            Self::Nothing(Some(error))
        } else {
            Self::NoAnswer(error)
        }
    }
}

impl Question {
    /// What has to be asked for this endpoint. None: nothing, its address is known.
    pub(in crate::upstream) fn of(source: &EndpointSource) -> Option<Self> {
        match source {
            EndpointSource::Service { name, .. } => Some(Self::Service(Arc::clone(name))),
            EndpointSource::Address(address) => match &address.target {
                EndpointTarget::Unix(_) => None,
                EndpointTarget::Tcp { host, port } => known(host, *port, Families::Auto)
                    .is_empty()
                    .then(|| Self::Host {
                        name: Arc::clone(host),
                        port: *port,
                    }),
            },
        }
    }

    /// The name that is asked for.
    pub(in crate::upstream) fn name(&self) -> &Arc<str> {
        match self {
            Self::Host { name, .. } | Self::Service(name) => name,
        }
    }
}

/// Where an address or `localhost` (RFC 6761 section 6.3) is; nobody has to be asked.
pub(in crate::upstream) fn known(host: &Arc<str>, port: u16, families: Families) -> Vec<Target> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return targets(host, port, &[address], Families::All);
    }
    let name = host.trim_end_matches('.');
    if name == "localhost" || name.ends_with(".localhost") {
        let both = [
            IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
            IpAddr::V6(std::net::Ipv6Addr::LOCALHOST),
        ];
        return targets(host, port, &both, families);
    }
    Vec::new()
}

/// Asks for one upstream's names.
pub(in crate::upstream) struct Lookups {
    settings: DnsSettings,
    resolver: Mutex<Option<Arc<Made>>>,
}

struct Made {
    resolver: TokioResolver,
    hosts: Hosts,
    /// When the system's files were changed last.
    files: [Option<SystemTime>; 2],
}

impl Lookups {
    pub(in crate::upstream) const fn new(settings: DnsSettings) -> Self {
        Self {
            settings,
            resolver: Mutex::new(None),
        }
    }

    pub(super) const fn settings(&self) -> &DnsSettings {
        &self.settings
    }

    /// Asks once, with the repetitions that the resolver's configuration wants.
    /// What is not said is filled in from `memory`, which belongs to that question alone.
    pub(super) async fn ask(&self, question: &Question, memory: &mut Memory) -> Asked {
        let made = self.made()?;
        let found = match question {
            Question::Host { name, port } => {
                let patience = memory.has_v4(name);
                let said = made.addresses(name, &self.settings, patience).await;
                let heard = memory.hear(name, said, self.settings.families);
                Found {
                    targets: targets(name, *port, &heard.found, self.settings.families),
                    ttl: heard.ttl,
                    missing: heard.missing,
                    denied: heard.denied,
                    is_news: heard.is_news,
                }
            }
            Question::Service(name) => self.service(&made, name, memory).await?,
        };
        // What is only remembered is no answer: who heard it before has it.
        if found.is_news && !found.targets.is_empty() {
            return Ok(found);
        }
        let reason = found.missing.or(found.denied);
        Err(reason.unwrap_or(LookupError::Nothing(None)))
    }

    async fn service(&self, made: &Arc<Made>, name: &str, memory: &mut Memory) -> Asked {
        let lookup = made.resolver.lookup(name, RecordType::SRV).await;
        let lookup = lookup.map_err(LookupError::of)?;
        let (services, mut ttl) = services(lookup.answers());
        let said = self.all_addresses(made, &services, memory).await;
        memory.retain(|host| said.contains_key(host));
        let families = self.settings.families;
        let (mut heard, mut missing, mut denied) = (HashMap::new(), None, None);
        let mut is_news = false;
        for (host, said) in said {
            let of_host = memory.hear(&host, said, families);
            ttl = ttl.min(of_host.ttl);
            missing = missing.or(of_host.missing);
            denied = denied.or(of_host.denied);
            is_news |= of_host.is_news;
            heard.insert(host, of_host.found);
        }
        let found = |service: Service| {
            let found = heard.get(&service.host)?.clone();
            Some((service, found))
        };
        let records: Vec<_> = services.into_iter().filter_map(found).collect();
        Ok(Found {
            targets: service_targets(&records, families),
            ttl,
            missing,
            denied,
            is_news,
        })
    }

    /// What is said of the hosts of services, several asked for at a time.
    async fn all_addresses(
        &self,
        made: &Arc<Made>,
        services: &[Service],
        memory: &Memory,
    ) -> HashMap<Arc<str>, Said> {
        let hosts: BTreeSet<&Arc<str>> = services.iter().map(|one| &one.host).collect();
        let (mut hosts, mut asked) = (hosts.into_iter(), JoinSet::new());
        let mut all = HashMap::new();
        loop {
            while asked.len() < HOSTS_AT_A_TIME
                && let Some(host) = hosts.next()
            {
                let (made, host) = (Arc::clone(made), Arc::clone(host));
                let (settings, patience) = (self.settings.clone(), memory.has_v4(&host));
                asked.spawn(async move {
                    let said = made.addresses(&host, &settings, patience).await;
                    (host, said)
                });
            }
            match asked.join_next().await {
                Some(Ok((host, said))) => drop(all.insert(host, said)),
                Some(Err(_)) => {}
                None => return all,
            }
        }
    }

    /// The resolver, made anew where the system's files have changed.
    fn made(&self) -> Result<Arc<Made>, LookupError> {
        let files =
            SYSTEM_FILES.map(|path| std::fs::metadata(path).and_then(|it| it.modified()).ok());
        let mut held = self.resolver.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = held.as_ref().filter(|made| made.files == files) {
            return Ok(Arc::clone(made));
        }
        let resolver = resolver(&self.settings).map_err(LookupError::Unconfigured)?;
        let hosts = Hosts::from_system().unwrap_or_default();
        let made = Arc::new(Made {
            resolver,
            hosts,
            files,
        });
        *held = Some(Arc::clone(&made));
        Ok(made)
    }
}

/// Services of SRV records, those that are used, and how long the records may be used.
fn services(records: &[Record]) -> (Vec<Service>, Duration) {
    let ttl = records.iter().map(|record| record.ttl).min().unwrap_or(0);
    let mut services: Vec<Service> = records
        .iter()
        .filter_map(|record| {
            let RData::SRV(srv) = &record.data else {
                return None;
            };
            Some(srv)
        })
        // A target of `.` says that there is no such service.
        .filter(|srv| !srv.target.is_root())
        .map(|srv| {
            let host = srv.target.to_ascii().to_ascii_lowercase();
            Service {
                host: Arc::from(host.trim_end_matches('.')),
                port: srv.port,
                weight: srv.weight,
                priority: srv.priority,
            }
        })
        .collect();
    // Nobody is asked for whom there would be no room.
    services.sort_by_key(|one| (one.priority, Reverse(one.weight), Arc::clone(&one.host)));
    services.truncate(TARGETS_MAX);
    (services, Duration::from_secs(ttl.into()))
}

impl Made {
    /// What is said of a host in each family that is used; `patience` as in [`both`].
    async fn addresses(&self, host: &str, settings: &DnsSettings, patience: bool) -> Said {
        let written = self.written_down(host);
        if !written.is_empty() {
            return Said {
                v4: Some(Ok((written, settings.refresh_max))),
                v6: None,
            };
        }
        let one = |kind: RecordType| async move {
            let lookup = self.resolver.lookup(host, kind).await;
            let lookup = lookup.map_err(LookupError::of)?;
            let answers = lookup.answers();
            let ttl = answers.iter().map(|record| record.ttl).min().unwrap_or(0);
            let found = answers.iter().filter_map(|record| record.data.ip_addr());
            Ok((found.collect::<Vec<_>>(), Duration::from_secs(ttl.into())))
        };
        match settings.families {
            Families::V4 => Said {
                v4: Some(one(RecordType::A).await),
                v6: None,
            },
            Families::V6 => Said {
                v4: None,
                v6: Some(one(RecordType::AAAA).await),
            },
            Families::Auto | Families::All => {
                both(one(RecordType::A), one(RecordType::AAAA), patience).await
            }
        }
    }

    /// What `/etc/hosts` says.
    fn written_down(&self, host: &str) -> Vec<IpAddr> {
        let Ok(name) = Name::from_str(host) else {
            return Vec::new();
        };
        let kinds = [RecordType::A, RecordType::AAAA];
        let found = kinds.into_iter().filter_map(|kind| {
            let query = Query::query(name.clone(), kind);
            self.hosts.lookup_static_host(&query)
        });
        found
            .flat_map(|lookup| {
                let all = lookup.answers().iter().filter_map(|it| it.data.ip_addr());
                all.collect::<Vec<_>>()
            })
            .collect()
    }
}

fn resolver(settings: &DnsSettings) -> Result<TokioResolver, NetError> {
    let mut builder = if settings.servers.is_empty() {
        TokioResolver::builder_tokio()?
    } else {
        let servers = settings.servers.iter().map(server).collect();
        let config = ResolverConfig::from_name_servers(servers);
        Resolver::builder_with_config(config, TokioRuntimeProvider::default())
    };
    let options: &mut ResolverOpts = builder.options_mut();
    // We remember answers and ask when they run out; a second memory would only delay that.
    options.cache_size = 0;
    // Looked into by us: a name that it has in one family is not asked for in the other.
    options.use_hosts_file = ResolveHosts::Never;
    if let Some(timeout) = settings.timeout {
        options.timeout = timeout;
    }
    builder.build()
}

fn server(address: &SocketAddr) -> NameServerConfig {
    let mut ways = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
    for way in &mut ways {
        way.port = address.port();
    }
    NameServerConfig::new(address.ip(), true, ways.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::{EndpointAddress, EndpointProtocol};
    use std::path::PathBuf;

    fn question(target: EndpointTarget) -> Option<Question> {
        Question::of(&EndpointSource::Address(EndpointAddress {
            protocol: EndpointProtocol::Http1,
            target,
        }))
    }

    fn tcp(host: &str) -> EndpointTarget {
        EndpointTarget::Tcp {
            host: Arc::from(host),
            port: 80,
        }
    }

    #[test]
    fn addresses_localhost_and_sockets_need_no_question() {
        for host in [
            "127.0.0.1",
            "::1",
            "localhost",
            "app.localhost",
            "localhost.",
        ] {
            assert_eq!(question(tcp(host)), None, "{host}");
        }
        assert_eq!(
            question(EndpointTarget::Unix(PathBuf::from("/run/a"))),
            None
        );
        let host = question(tcp("notlocalhost")).unwrap();
        assert_eq!(&**host.name(), "notlocalhost");
    }
}
