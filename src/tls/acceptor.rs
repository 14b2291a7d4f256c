//! The TLS handshake of an arriving connection, under a deadline.

use super::certs::{CertificateSource, Served};
use super::contents::{Contents, Digest};
use super::keeper::{Expiry, Material};
use super::verify::AllowedClients;
use super::{CertificateFacts, ClientAuth, ClientIdentity, ServerTls, Tickets, TlsFileError};
use arc_swap::ArcSwap;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{ProtocolVersion, ServerConfig};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Accepts TLS and offers `h2` and `http/1.1` by ALPN (RFC 7301). Clones are the same one: when
/// its files change, all of them serve the new ones.
#[derive(Clone)]
pub struct Acceptor(Arc<Inner>);

struct Inner {
    settings: ServerTls,
    tickets: Arc<Tickets>,
    now: ArcSwap<Set>,
}

/// What was made of one reading of the files.
struct Set {
    config: Arc<ServerConfig>,
    certificates: Arc<CertificateSource>,
    expiries: Vec<Expiry>,
    digest: Digest,
}

/// A connection after its handshake.
pub struct Accepted {
    /// What is spoken over it.
    pub stream: TlsStream<TcpStream>,
    /// Who the client is, if it showed a certificate.
    pub client: Option<ClientIdentity>,
    /// The certificate it was shown, kept where requests for other hosts are refused.
    pub shown: Option<Arc<Served>>,
    /// What ALPN chose of what we offer.
    pub alpn: Option<&'static str>,
    /// `1.2` or `1.3`.
    pub version: Option<&'static str>,
}

/// Why a handshake came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The client took longer than the header deadline.
    #[error("TLS handshake took too long")]
    Timeout,
    /// It failed, or the client left.
    #[error("TLS handshake failed")]
    Failed(#[source] io::Error),
    /// The client's certificate was accepted and cannot be read.
    #[error("the client's certificate cannot be read")]
    Unreadable,
}

impl Acceptor {
    /// Reads the files. `tickets` are shared over reloads, so that sessions survive them.
    ///
    /// # Errors
    /// When a file cannot be used.
    pub fn new(settings: ServerTls, tickets: Arc<Tickets>) -> Result<Self, TlsFileError> {
        let set = Set::read(&settings, &tickets)?;
        Ok(Self(Arc::new(Inner {
            settings,
            tickets,
            now: ArcSwap::from_pointee(set),
        })))
    }

    /// Shakes hands within `deadline`.
    ///
    /// # Errors
    /// [`HandshakeError`]; an alert was sent if there was somebody to send it to.
    pub async fn accept(
        &self,
        stream: TcpStream,
        deadline: Duration,
    ) -> Result<Accepted, HandshakeError> {
        let set = self.0.now.load_full();
        let acceptor = TlsAcceptor::from(Arc::clone(&set.config));
        let stream = tokio::time::timeout(deadline, acceptor.accept(stream))
            .await
            .map_err(|_| HandshakeError::Timeout)?
            .map_err(HandshakeError::Failed)?;
        let session = stream.get_ref().1;
        let client = match (&self.0.settings.client, session.peer_certificates()) {
            (Some(policy), Some([leaf, ..])) => {
                let facts = CertificateFacts::read(leaf).ok_or(HandshakeError::Unreadable)?;
                Some(ClientIdentity::new(facts, leaf, policy.header))
            }
            _ => None,
        };
        let shown = if self.0.settings.refuses_misdirected {
            set.certificates.for_name(session.server_name()).cloned()
        } else {
            None
        };
        let alpn = match session.alpn_protocol() {
            Some(b"h2") => Some("h2"),
            Some(b"http/1.1") => Some("http/1.1"),
            Some(_) | None => None,
        };
        let version = match session.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => Some("1.2"),
            Some(ProtocolVersion::TLSv1_3) => Some("1.3"),
            Some(_) | None => None,
        };
        Ok(Accepted {
            stream,
            client,
            shown,
            alpn,
            version,
        })
    }

    /// What it was made from.
    pub fn settings(&self) -> &ServerTls {
        &self.0.settings
    }

    /// To be watched by a [`super::Keeper`].
    pub(super) fn material(&self) -> Arc<dyn Material> {
        Arc::clone(&self.0) as Arc<dyn Material>
    }
}

impl Set {
    fn read(settings: &ServerTls, tickets: &Tickets) -> Result<Self, TlsFileError> {
        let contents = Contents::read(paths(settings).map(PathBuf::as_path))?;
        let certificates = Arc::new(CertificateSource::of(&settings.certificates, &contents)?);
        let place = settings
            .certificates
            .first()
            .map_or(Path::new(""), |pair| &pair.chain);
        let unusable = |source| TlsFileError::Unusable {
            path: place.to_owned(),
            source,
        };
        let builder = ServerConfig::builder_with_provider(super::provider())
            .with_protocol_versions(settings.min_version.versions())
            .map_err(unusable)?;
        let builder = match &settings.client {
            None => builder.with_no_client_auth(),
            Some(client) => builder.with_client_cert_verifier(verifier(client, &contents)?),
        };
        let mut config = builder.with_cert_resolver(Arc::clone(&certificates) as Arc<_>);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // Tickets hold the session, so that nothing is kept for clients that do not come back.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        if settings.client.is_none() {
            config.ticketer = tickets.keys().map_err(unusable)?;
        }
        let mut expiries = Vec::new();
        for pair in &settings.certificates {
            expiries.extend(Expiry::of(&pair.chain, &contents)?);
        }
        for file in settings.client.iter().flat_map(|client| &client.ca) {
            expiries.extend(Expiry::of(file, &contents)?);
        }
        Ok(Self {
            config: Arc::new(config),
            certificates,
            expiries,
            digest: contents.digest(),
        })
    }
}

fn paths(settings: &ServerTls) -> impl Iterator<Item = &PathBuf> {
    let own = settings.certificates.iter();
    let own = own.flat_map(|pair| [&pair.chain, &pair.key]);
    let client = settings.client.iter();
    own.chain(client.flat_map(|client| client.ca.iter().chain(&client.crl)))
}

fn verifier(
    client: &ClientAuth,
    contents: &Contents,
) -> Result<Arc<dyn ClientCertVerifier>, TlsFileError> {
    let roots = Arc::new(contents.roots(&client.ca)?);
    let mut builder = WebPkiClientVerifier::builder_with_provider(roots, super::provider())
        .with_crls(contents.revocations(&client.crl)?);
    if !client.required {
        builder = builder.allow_unauthenticated();
    }
    let signed = builder.build().map_err(|source| TlsFileError::Verifier {
        path: client.ca.first().cloned().unwrap_or_default(),
        source,
    })?;
    Ok(Arc::new(AllowedClients {
        signed,
        allow: client.allow.clone(),
    }))
}

impl Material for Inner {
    fn digest(&self) -> Result<Digest, TlsFileError> {
        Contents::read(paths(&self.settings).map(PathBuf::as_path)).map(|read| read.digest())
    }

    fn used(&self) -> Digest {
        self.now.load().digest
    }

    fn renew(&self) -> Result<(), TlsFileError> {
        let set = Set::read(&self.settings, &self.tickets)?;
        self.now.store(Arc::new(set));
        Ok(())
    }

    fn expiries(&self) -> Vec<Expiry> {
        self.now.load().expiries.clone()
    }
}
