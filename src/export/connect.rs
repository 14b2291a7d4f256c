//! The way to a collector: TCP, and TLS if its address says `https`.
//!
//! Both wires connect here, so that certificates are read, checked and reported in one place.

use super::exporter::ExportError;
use super::settings::TlsSettings;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::path::Path;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// What both wires need of a connection.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection as hyper wants it.
pub(super) type Connection = TokioIo<Box<dyn Stream>>;

/// Where a collector is and how it is trusted.
#[derive(Clone)]
pub(super) struct Collector {
    host: String,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Collector {
    /// The collector at `endpoint`, speaking `alpn`. Certificates are read now.
    ///
    /// # Errors
    /// If the address cannot be connected to, or a certificate or key cannot be used.
    pub(super) fn new(
        endpoint: &url::Url,
        settings: &TlsSettings,
        alpn: &[u8],
    ) -> Result<Self, ExportError> {
        let refuse = |reason| Err(ExportError::endpoint(endpoint, reason));
        if !endpoint.username().is_empty() || endpoint.password().is_some() {
            return refuse("credentials belong into the headers");
        }
        let host = match endpoint.host() {
            Some(url::Host::Domain(name)) if !name.is_empty() => name.to_owned(),
            Some(url::Host::Ipv4(address)) => address.to_string(),
            Some(url::Host::Ipv6(address)) => address.to_string(),
            Some(url::Host::Domain(_)) | None => return refuse("there is no host"),
        };
        let Some(port) = endpoint.port_or_known_default() else {
            return refuse("there is no port");
        };
        let tls = match endpoint.scheme() {
            "http" => None,
            "https" => {
                let Ok(name) = ServerName::try_from(host.clone()) else {
                    return refuse("no certificate can be for this host");
                };
                let mut config = client_config(settings)?;
                config.alpn_protocols = vec![alpn.to_vec()];
                Some((TlsConnector::from(Arc::new(config)), name))
            }
            _ => return refuse("only http and https can be exported to"),
        };
        Ok(Self { host, port, tls })
    }

    /// A new connection. Has no deadline: the caller bounds the whole attempt.
    ///
    /// # Errors
    /// If no address of the host takes the connection, or the handshake fails.
    pub(super) async fn connect(&self) -> io::Result<Connection> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        stream.set_nodelay(true)?;
        let stream: Box<dyn Stream> = match &self.tls {
            None => Box::new(stream),
            Some((connector, name)) => Box::new(connector.connect(name.clone(), stream).await?),
        };
        Ok(TokioIo::new(stream))
    }
}

fn client_config(settings: &TlsSettings) -> Result<ClientConfig, ExportError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(ExportError::Tls)?
        .with_root_certificates(roots(settings.ca.as_deref())?);
    let Some((chain_file, key_file)) = &settings.identity else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = certificates(chain_file)?;
    let key = PrivateKeyDer::from_pem_slice(&read(key_file)?)
        .map_err(|_| ExportError::file(key_file, "it holds no private key in PEM"))?;
    builder
        .with_client_auth_cert(chain, key)
        .map_err(|error| ExportError::file(key_file, &format!("not the chain's key: {error}")))
}

/// The authorities of `file`, or of the machine.
fn roots(file: Option<&Path>) -> Result<RootCertStore, ExportError> {
    let mut roots = RootCertStore::empty();
    if let Some(file) = file {
        for certificate in certificates(file)? {
            roots
                .add(certificate)
                .map_err(|error| ExportError::file(file, &error.to_string()))?;
        }
    } else {
        // One bad file among the machine's roots is no reason to trust none of them.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            return Err(ExportError::NoRoots);
        }
    }
    Ok(roots)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, ExportError> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&read(file)?)
        .collect::<Result<_, _>>()
        .map_err(|error| ExportError::file(file, &error.to_string()))?;
    if chain.is_empty() {
        return Err(ExportError::file(file, "it holds no certificate in PEM"));
    }
    Ok(chain)
}

fn read(file: &Path) -> Result<Vec<u8>, ExportError> {
    std::fs::read(file).map_err(|source| ExportError::Read {
        file: file.to_owned(),
        source,
    })
}
