//! The way to a collector: TCP, and TLS if its address says `https`.
//!
//! Both wires connect here, so that certificates are read, checked and reported in one place.

use super::exporter::ExportError;
use super::settings::TlsSettings;
use crate::tls::{Connector, client_config};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use std::io;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

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
    tls: Option<Connector>,
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
                if ServerName::try_from(host.as_str()).is_err() {
                    return refuse("no certificate can be for this host");
                }
                let identity = settings.identity.as_ref();
                let config = client_config(settings.ca.as_deref(), identity, &[alpn])
                    .map_err(ExportError::Tls)?;
                Some(Connector::new(config))
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
            Some(connector) => Box::new(connector.connect(&self.host, stream).await?),
        };
        Ok(TokioIo::new(stream))
    }
}
