//! TLS towards upstreams and collectors.

use super::contents::{Contents, Digest};
use super::keeper::{Expiry, Material};
use super::verify::AllowedServers;
use super::{ClientTls, TlsFileError, TlsVersion};
use arc_swap::ArcSwap;
use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// What an upstream is offered (RFC 7301), the better one first.
const UPSTREAM_ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// A client configuration that trusts `ca` (else the machine's roots, read only), shows
/// `identity` (chain and key files) if asked, and offers `alpn` in that order.
///
/// # Errors
/// When a file cannot be used.
pub fn client_config(
    ca: Option<&Path>,
    identity: Option<&(PathBuf, PathBuf)>,
    alpn: &[&[u8]],
) -> Result<ClientConfig, TlsFileError> {
    let settings = ClientTls {
        ca: ca.map(Path::to_owned),
        identity: identity.cloned(),
        ..ClientTls::default()
    };
    let contents = Contents::read(paths(&settings).map(PathBuf::as_path))?;
    config(&settings, alpn, &contents)
}

fn paths(settings: &ClientTls) -> impl Iterator<Item = &PathBuf> {
    let identity = settings.identity.iter();
    let identity = identity.flat_map(|(chain, key)| [chain, key]);
    settings.ca.iter().chain(identity)
}

fn config(
    settings: &ClientTls,
    alpn: &[&[u8]],
    contents: &Contents,
) -> Result<ClientConfig, TlsFileError> {
    let roots = match &settings.ca {
        Some(path) => contents.roots(std::slice::from_ref(path))?,
        None => machine_roots()?,
    };
    let place = settings.ca.clone().unwrap_or_default();
    let unusable = |source| TlsFileError::Unusable {
        path: place.clone(),
        source,
    };
    let builder = ClientConfig::builder_with_provider(super::provider())
        .with_protocol_versions(settings.min_version.versions())
        .map_err(unusable)?;
    let builder = if settings.allow.is_empty() {
        builder.with_root_certificates(roots)
    } else {
        let signatures =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots.clone()), super::provider());
        let signatures = signatures
            .build()
            .map_err(|source| TlsFileError::Verifier {
                path: place.clone(),
                source,
            })?;
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AllowedServers {
                roots,
                allow: settings.allow.clone(),
                provider: super::provider(),
                signatures,
            }))
    };
    let mut config = match &settings.identity {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => builder
            .with_client_auth_cert(contents.chain(chain)?, contents.key(key)?)
            .map_err(|source| TlsFileError::Unusable {
                path: key.clone(),
                source,
            })?,
    };
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(config)
}

/// The machine's trust store. One bad file among its roots is no reason to trust none of them.
fn machine_roots() -> Result<RootCertStore, TlsFileError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(TlsFileError::NoRoots);
    }
    Ok(roots)
}

/// Speaks TLS to one server. Clones are the same one: when its files change, all of them use the
/// new ones for what they connect from then on.
#[derive(Clone)]
pub struct Connector {
    now: Now,
    /// HTTP/1.1 is offered alone.
    http1: bool,
}

#[derive(Clone)]
enum Now {
    /// Made once.
    Fixed(Arc<ClientConfig>),
    Files(Arc<Inner>),
}

struct Inner {
    settings: ClientTls,
    now: ArcSwap<Set>,
}

/// What was made of one reading of the files.
struct Set {
    any: Arc<ClientConfig>,
    http1: Arc<ClientConfig>,
    expiries: Vec<Expiry>,
    digest: Digest,
}

impl Connector {
    /// With `config` for good.
    pub fn new(config: ClientConfig) -> Self {
        Self {
            now: Now::Fixed(Arc::new(config)),
            http1: false,
        }
    }

    /// To an upstream: reads its files, and offers HTTP/2 and HTTP/1.1.
    ///
    /// # Errors
    /// When a file cannot be used.
    pub fn to_upstream(settings: &ClientTls) -> Result<Self, TlsFileError> {
        let set = Set::read(settings)?;
        Ok(Self {
            now: Now::Files(Arc::new(Inner {
                settings: settings.clone(),
                now: ArcSwap::from_pointee(set),
            })),
            http1: false,
        })
    }

    /// The same, offering HTTP/1.1 alone.
    #[must_use]
    pub fn http1_only(&self) -> Self {
        let now = match &self.now {
            Now::Fixed(config) => Now::Fixed(http1_alone(config)),
            Now::Files(inner) => Now::Files(Arc::clone(inner)),
        };
        Self { now, http1: true }
    }

    /// Shakes hands over `stream` as a client of `host`. The caller holds the deadline.
    ///
    /// # Errors
    /// If there is no TLS with it, or it is somebody else.
    pub async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        host: &str,
        stream: S,
    ) -> io::Result<TlsStream<S>> {
        let (config, server_name) = match &self.now {
            Now::Fixed(config) => (Arc::clone(config), None),
            Now::Files(inner) => {
                let set = inner.now.load();
                let config = if self.http1 { &set.http1 } else { &set.any };
                (Arc::clone(config), inner.settings.server_name.as_deref())
            }
        };
        let name = server_name.unwrap_or(host);
        let name = ServerName::try_from(name.to_owned())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        TlsConnector::from(config).connect(name, stream).await
    }

    /// To be watched by a [`super::Keeper`]; None if there is nothing to watch.
    pub(super) fn material(&self) -> Option<Arc<dyn Material>> {
        match &self.now {
            Now::Fixed(_) => None,
            Now::Files(inner) => Some(Arc::clone(inner) as Arc<dyn Material>),
        }
    }
}

fn http1_alone(config: &ClientConfig) -> Arc<ClientConfig> {
    let mut config = config.clone();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

impl Set {
    fn read(settings: &ClientTls) -> Result<Self, TlsFileError> {
        let contents = Contents::read(paths(settings).map(PathBuf::as_path))?;
        let any = config(settings, &UPSTREAM_ALPN, &contents)?;
        let mut expiries = Vec::new();
        let chain = settings.identity.iter().map(|(chain, _)| chain);
        for file in settings.ca.iter().chain(chain) {
            expiries.extend(Expiry::of(file, &contents)?);
        }
        Ok(Self {
            http1: http1_alone(&any),
            any: Arc::new(any),
            expiries,
            digest: contents.digest(),
        })
    }
}

impl Material for Inner {
    fn digest(&self) -> Result<Digest, TlsFileError> {
        Contents::read(paths(&self.settings).map(PathBuf::as_path)).map(|read| read.digest())
    }

    fn used(&self) -> Digest {
        self.now.load().digest
    }

    fn renew(&self) -> Result<(), TlsFileError> {
        self.now.store(Arc::new(Set::read(&self.settings)?));
        Ok(())
    }

    fn expiries(&self) -> Vec<Expiry> {
        self.now.load().expiries.clone()
    }
}

impl TlsVersion {
    pub(super) const fn versions(self) -> &'static [&'static SupportedProtocolVersion] {
        match self {
            Self::Tls12 => VERSIONS,
            Self::Tls13 => TLS13_ALONE,
        }
    }
}

static VERSIONS: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];
static TLS13_ALONE: &[&SupportedProtocolVersion] = &[&TLS13];
