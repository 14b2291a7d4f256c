//! The TLS handshake of an arriving connection, under a deadline.

use super::CertificateSource;
use rustls::ServerConfig;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Accepts TLS 1.2 and 1.3 and offers `h2` and `http/1.1` by ALPN (RFC 7301).
#[derive(Clone)]
pub struct Acceptor(TlsAcceptor);

/// Why a handshake came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The client took longer than the header deadline.
    #[error("TLS handshake took too long")]
    Timeout,
    /// It failed, or the client left.
    #[error("TLS handshake failed")]
    Failed(#[source] io::Error),
}

impl Acceptor {
    /// Serves these certificates.
    ///
    /// # Errors
    /// When the crypto library supports none of the protocol versions.
    pub fn new(certificates: CertificateSource) -> Result<Self, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(super::provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(certificates));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    /// Shakes hands within `deadline`.
    pub async fn accept(
        &self,
        stream: TcpStream,
        deadline: Duration,
    ) -> Result<TlsStream<TcpStream>, HandshakeError> {
        tokio::time::timeout(deadline, self.0.accept(stream))
            .await
            .map_err(|_| HandshakeError::Timeout)?
            .map_err(HandshakeError::Failed)
    }
}
