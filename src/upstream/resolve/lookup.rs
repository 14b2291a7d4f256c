//! One question, asked: of `/etc/hosts` first, then of the name servers.

use super::addresses::{Service, Target, service_targets, targets};
use super::{DnsSettings, Families};
use crate::upstream::{EndpointSource, EndpointTarget};
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::{Hosts, Resolver, TokioResolver};
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// How long an answer in one family waits for that of the other.
const OTHER_FAMILY_MAX: Duration = Duration::from_millis(500);
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
}

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
    pub(super) async fn ask(&self, question: &Question) -> Result<Found, LookupError> {
        let made = self.made()?;
        let found = match question {
            Question::Host { name, port } => {
                let (found, ttl) = self.addresses(&made, name).await?;
                let targets = targets(name, *port, &found, self.settings.families);
                Found { targets, ttl }
            }
            Question::Service(name) => self.service(&made, name).await?,
        };
        if found.targets.is_empty() {
            return Err(LookupError::Nothing(None));
        }
        Ok(found)
    }

    async fn service(&self, made: &Made, name: &str) -> Result<Found, LookupError> {
        let lookup = made.resolver.lookup(name, RecordType::SRV).await;
        let lookup = lookup.map_err(LookupError::of)?;
        let mut ttl = Duration::MAX;
        let mut records = Vec::new();
        let mut failed = None;
        for record in lookup.answers() {
            ttl = ttl.min(Duration::from_secs(record.ttl.into()));
            let RData::SRV(srv) = &record.data else {
                continue;
            };
            // A target of `.` says that there is no such service.
            if srv.target.is_root() {
                continue;
            }
            let host = srv.target.to_ascii();
            match self.addresses(made, &host).await {
                Ok((addresses, host_ttl)) => {
                    ttl = ttl.min(host_ttl);
                    let service = Service {
                        host: Arc::from(host.trim_end_matches('.').to_ascii_lowercase()),
                        port: srv.port,
                        weight: srv.weight,
                        priority: srv.priority,
                    };
                    records.push((service, addresses));
                }
                // The others may be there; asked again at the usual time.
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            Some(error) if records.is_empty() => Err(error),
            _ => Ok(Found {
                targets: service_targets(&records, self.settings.families),
                ttl,
            }),
        }
    }

    /// Addresses of a host, and how long they may be used.
    async fn addresses(
        &self,
        made: &Made,
        host: &str,
    ) -> Result<(Vec<IpAddr>, Duration), LookupError> {
        let written = made.written_down(host);
        if !written.is_empty() {
            return Ok((written, self.settings.refresh_max));
        }
        let one = |kind: RecordType| async move {
            let lookup = made.resolver.lookup(host, kind).await;
            let lookup = lookup.map_err(LookupError::of)?;
            let answers = lookup.answers();
            let ttl = answers.iter().map(|record| record.ttl).min().unwrap_or(0);
            let found = answers.iter().filter_map(|record| record.data.ip_addr());
            Ok((found.collect::<Vec<_>>(), Duration::from_secs(ttl.into())))
        };
        match self.settings.families {
            Families::V4 => one(RecordType::A).await,
            Families::V6 => one(RecordType::AAAA).await,
            Families::Auto | Families::All => both(one(RecordType::A), one(RecordType::AAAA)).await,
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

impl Made {
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

type Answer = Result<(Vec<IpAddr>, Duration), LookupError>;

/// Both families at once. A server that is silent about one of them shall not hold up the other.
async fn both(v4: impl Future<Output = Answer>, v6: impl Future<Output = Answer>) -> Answer {
    let (mut v4, mut v6) = (std::pin::pin!(v4), std::pin::pin!(v6));
    let (first, second) = tokio::select! {
        first = &mut v4 => (first, tokio::time::timeout(OTHER_FAMILY_MAX, v6).await),
        first = &mut v6 => {
            // IPv4 is what is used where there are both: it is worth its wait.
            if first.is_ok() {
                (first, tokio::time::timeout(OTHER_FAMILY_MAX, v4).await)
            } else {
                return v4.await;
            }
        }
    };
    match (first, second) {
        (Ok((mut found, ttl)), Ok(Ok((more, other)))) => {
            found.extend(more);
            Ok((found, ttl.min(other)))
        }
        (Ok(found), _) | (Err(_), Ok(Ok(found))) => Ok(found),
        (Err(error), _) => Err(error),
    }
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

    #[tokio::test(start_paused = true)]
    async fn a_family_that_nobody_answers_for_does_not_hold_up_the_other() {
        let v4 = async { Ok((vec![IpAddr::from([10, 0, 0, 1])], Duration::from_secs(9))) };

        let (found, ttl) = both(v4, std::future::pending()).await.unwrap();

        assert_eq!((found.len(), ttl), (1, Duration::from_secs(9)));
    }

    #[tokio::test]
    async fn both_families_make_one_answer_with_the_shorter_time() {
        let v4 = async { Ok((vec![IpAddr::from([10, 0, 0, 1])], Duration::from_secs(9))) };
        let v6 = async {
            Ok((
                vec![IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])],
                Duration::from_secs(5),
            ))
        };

        let (found, ttl) = both(v4, v6).await.unwrap();

        assert_eq!((found.len(), ttl), (2, Duration::from_secs(5)));
    }

    #[tokio::test]
    async fn one_family_is_an_answer() {
        let no = || async { Err(LookupError::Nothing(None)) };
        let v4 = || async { Ok((vec![IpAddr::from([10, 0, 0, 1])], Duration::ZERO)) };

        assert!(both(v4(), no()).await.is_ok());
        assert!(both(no(), v4()).await.is_ok());
        assert!(both(no(), no()).await.is_err());
    }
}
