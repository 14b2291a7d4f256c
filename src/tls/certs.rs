//! Certificates and keys, from PEM files to what rustls serves by SNI.

use rustls::client::verify_server_name;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
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
}

/// The certificates of a PEM file, leaf first.
pub fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFileError> {
    let read = |source| TlsFileError::Read {
        path: path.to_owned(),
        source,
    };
    let chain = CertificateDer::pem_file_iter(path)
        .map_err(read)?
        .collect::<Result<Vec<_>, _>>()
        .map_err(read)?;
    if chain.is_empty() {
        return Err(TlsFileError::NoCertificate {
            path: path.to_owned(),
        });
    }
    Ok(chain)
}

/// The first private key of a PEM file (PKCS #8, PKCS #1 or SEC 1).
pub fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsFileError> {
    PrivateKeyDer::from_pem_file(path).map_err(|source| TlsFileError::Read {
        path: path.to_owned(),
        source,
    })
}

/// One served certificate with what is needed to match names against it.
struct Served {
    key: Arc<CertifiedKey>,
    leaf: CertificateDer<'static>,
}

/// Picks a certificate by SNI, wildcards included; the first one serves names that none covers
/// and clients that name nothing.
pub struct CertificateSource {
    served: Vec<Served>,
}

impl CertificateSource {
    /// Reads every `(chain, key)` pair. A key that does not belong to its chain is an error.
    pub fn read<'a>(
        files: impl IntoIterator<Item = (&'a Path, &'a Path)>,
    ) -> Result<Self, TlsFileError> {
        let served = files
            .into_iter()
            .map(|(chain, key)| served(chain, key))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self { served })
    }

    fn for_name(&self, name: Option<&str>) -> Option<&Served> {
        let named = name
            .and_then(|name| ServerName::try_from(name).ok())
            .and_then(|name| {
                self.served.iter().find(|served| {
                    ParsedCertificate::try_from(&served.leaf)
                        .is_ok_and(|leaf| verify_server_name(&leaf, &name).is_ok())
                })
            });
        named.or_else(|| self.served.first())
    }
}

fn served(chain_file: &Path, key_file: &Path) -> Result<Served, TlsFileError> {
    let chain = read_chain(chain_file)?;
    let key = read_key(key_file)?;
    let leaf = chain.first().cloned();
    let unusable = |path: &Path, source| TlsFileError::Unusable {
        path: path.to_owned(),
        source,
    };
    let key = CertifiedKey::from_der(chain, key, &super::provider())
        .map_err(|source| unusable(key_file, source))?;
    let leaf = leaf.ok_or_else(|| TlsFileError::NoCertificate {
        path: chain_file.to_owned(),
    })?;
    ParsedCertificate::try_from(&leaf).map_err(|source| unusable(chain_file, source))?;
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
