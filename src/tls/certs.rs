//! Certificates and keys, from PEM files to what rustls serves by SNI.

use super::CertificateFiles;
use super::contents::Contents;
use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert, VerifierBuilderError};
use rustls::sign::CertifiedKey;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A PEM file that cannot be used. Names the file, never its content.
#[derive(Debug, thiserror::Error)]
pub enum TlsFileError {
    /// Not readable, or not PEM.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// PEM, but without a certificate.
    #[error("{} holds no certificate", path.display())]
    NoCertificate {
        /// Which file.
        path: PathBuf,
    },
    /// PEM, but without a revocation list.
    #[error("{} holds no revocation list", path.display())]
    NoRevocations {
        /// Which file.
        path: PathBuf,
    },
    /// The machine trusts no authority, and none is set.
    #[error("this machine has no trusted authorities; name one with `tls.ca`")]
    NoRoots,
    /// Certificate or key that TLS cannot use, or that do not belong together.
    #[error("cannot use {} for TLS", path.display())]
    Unusable {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// The authorities that sign clients, or what they revoked, make no rule.
    #[error("clients cannot be verified by {}", path.display())]
    Verifier {
        /// The first file of the authorities.
        path: PathBuf,
        /// Why.
        #[source]
        source: VerifierBuilderError,
    },
}

/// Picks a certificate by SNI, wildcards included; the first one serves names that none covers
/// and clients that name nothing.
pub(super) struct CertificateSource {
    served: Vec<Arc<Served>>,
}

impl CertificateSource {
    /// Takes every pair. A key that does not belong to its chain is an error.
    pub(super) fn of(
        files: &[CertificateFiles],
        contents: &Contents,
    ) -> Result<Self, TlsFileError> {
        let served = files
            .iter()
            .map(|pair| served(pair, contents).map(Arc::new))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self { served })
    }

    /// What is shown to a client that asks for `name`.
    pub(super) fn for_name(&self, name: Option<&str>) -> Option<&Arc<Served>> {
        let named = name.and_then(|name| self.served.iter().find(|served| served.covers(name)));
        named.or_else(|| self.served.first())
    }
}

/// One served certificate with what is needed to match names against it.
#[derive(Debug)]
pub struct Served {
    key: Arc<CertifiedKey>,
    leaf: CertificateDer<'static>,
}

impl Served {
    /// Whether it is valid for this host name or address.
    pub fn covers(&self, host: &str) -> bool {
        let Ok(name) = ServerName::try_from(host) else {
            return false;
        };
        ParsedCertificate::try_from(&self.leaf)
            .is_ok_and(|leaf| verify_server_name(&leaf, &name).is_ok())
    }
}

fn served(files: &CertificateFiles, contents: &Contents) -> Result<Served, TlsFileError> {
    let chain = contents.chain(&files.chain)?;
    let key = contents.key(&files.key)?;
    let leaf = chain.first().cloned();
    let unusable = |path: &Path, source| TlsFileError::Unusable {
        path: path.to_owned(),
        source,
    };
    let key = CertifiedKey::from_der(chain, key, &super::provider())
        .map_err(|source| unusable(&files.key, source))?;
    let leaf = leaf.ok_or_else(|| TlsFileError::NoCertificate {
        path: files.chain.clone(),
    })?;
    ParsedCertificate::try_from(&leaf).map_err(|source| unusable(&files.chain, source))?;
    Ok(Served {
        key: Arc::new(key),
        leaf,
    })
}

impl std::fmt::Debug for CertificateSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CertificateSource")
            .field("served", &self.served.len())
            .finish()
    }
}

impl ResolvesServerCert for CertificateSource {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.for_name(hello.server_name())
            .map(|served| Arc::clone(&served.key))
    }
}
