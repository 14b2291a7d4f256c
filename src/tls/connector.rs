//! TLS towards upstreams and collectors.

use super::{TlsFileError, read_chain, read_key};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A client configuration that trusts `ca` (else the machine's roots, read only), shows
/// `identity` (chain and key files) if asked, and offers `alpn` in that order.
pub fn client_config(
    ca: Option<&Path>,
    identity: Option<&(PathBuf, PathBuf)>,
    alpn: &[&[u8]],
) -> Result<ClientConfig, TlsFileError> {
    let roots = match ca {
        Some(path) => roots_of(path)?,
        None => machine_roots()?,
    };
    let place = ca.map_or_else(PathBuf::new, Path::to_owned);
    let builder = ClientConfig::builder_with_provider(super::provider())
        .with_safe_default_protocol_versions()
        .map_err(|source| TlsFileError::Unusable {
            path: place,
            source,
        })?
        .with_root_certificates(roots);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => builder
            .with_client_auth_cert(read_chain(chain)?, read_key(key)?)
            .map_err(|source| TlsFileError::Unusable {
                path: key.clone(),
                source,
            })?,
    };
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(config)
}

fn roots_of(path: &Path) -> Result<RootCertStore, TlsFileError> {
    let mut roots = RootCertStore::empty();
    for certificate in read_chain(path)? {
        roots
            .add(certificate)
            .map_err(|source| TlsFileError::Unusable {
                path: path.to_owned(),
                source,
            })?;
    }
    Ok(roots)
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

/// Speaks TLS to one server.
#[derive(Clone)]
pub struct Connector {
    tls: TlsConnector,
    server_name: Option<Arc<str>>,
}

impl Connector {
    /// With `config`; verifies `server_name` instead of the host if given.
    pub fn new(config: ClientConfig, server_name: Option<Arc<str>>) -> Self {
        Self {
            tls: TlsConnector::from(Arc::new(config)),
            server_name,
        }
    }

    /// The same, offering HTTP/1.1 alone.
    #[must_use]
    pub fn http1_only(&self) -> Self {
        let mut config = ClientConfig::clone(self.tls.config());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self::new(config, self.server_name.clone())
    }

    /// Shakes hands over `stream` as a client of `host`. The caller holds the deadline.
    pub async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        host: &str,
        stream: S,
    ) -> io::Result<TlsStream<S>> {
        let name = self.server_name.as_deref().unwrap_or(host);
        let name = ServerName::try_from(name.to_owned())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        self.tls.connect(name, stream).await
    }
}
