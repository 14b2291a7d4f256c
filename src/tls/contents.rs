//! The files that one side of TLS is made from, read in one go.
//!
//! What is parsed is what the digest was taken of, so that a change between two looks is never
//! missed, whatever time the file system writes on it. A symlink that is swapped (Kubernetes) is
//! followed at each look.

use super::TlsFileError;
use aws_lc_rs::digest::{Context, SHA256};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::{RootCertStore, pki_types::pem};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Largest file.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// SHA-256 of paths and contents.
pub(super) type Digest = [u8; 32];

/// Paths with what stood there at one moment.
pub(super) struct Contents(Vec<(PathBuf, Vec<u8>)>);

impl Contents {
    /// Reads each of these. A file that is named twice is read once.
    ///
    /// # Errors
    /// When one cannot be read, or is longer than 4 MiB.
    pub(super) fn read<'p>(
        paths: impl IntoIterator<Item = &'p Path>,
    ) -> Result<Self, TlsFileError> {
        let mut files: Vec<(PathBuf, Vec<u8>)> = Vec::new();
        for path in paths {
            if files.iter().any(|(read, _)| read == path) {
                continue;
            }
            let bytes = read(path).map_err(|error| unreadable(path, pem::Error::Io(error)))?;
            files.push((path.to_owned(), bytes));
        }
        Ok(Self(files))
    }

    /// Of all files.
    pub(super) fn digest(&self) -> Digest {
        let mut context = Context::new(&SHA256);
        for (path, bytes) in &self.0 {
            for part in [path.as_os_str().as_encoded_bytes(), bytes] {
                context.update(&(part.len() as u64).to_be_bytes());
                context.update(part);
            }
        }
        context.finish().as_ref().try_into().unwrap_or_default()
    }

    fn bytes(&self, path: &Path) -> &[u8] {
        let found = self.0.iter().find(|(read, _)| read == path);
        found.map_or(&[], |(_, bytes)| bytes)
    }

    /// The certificates of a file, leaf first.
    pub(super) fn chain(&self, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFileError> {
        let chain = CertificateDer::pem_slice_iter(self.bytes(path))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| unreadable(path, error))?;
        if chain.is_empty() {
            return Err(TlsFileError::NoCertificate {
                path: path.to_owned(),
            });
        }
        Ok(chain)
    }

    /// The first private key of a file (PKCS #8, PKCS #1 or SEC 1).
    pub(super) fn key(&self, path: &Path) -> Result<PrivateKeyDer<'static>, TlsFileError> {
        PrivateKeyDer::from_pem_slice(self.bytes(path)).map_err(|error| unreadable(path, error))
    }

    /// The authorities of these files.
    pub(super) fn roots(&self, paths: &[PathBuf]) -> Result<RootCertStore, TlsFileError> {
        let mut roots = RootCertStore::empty();
        for path in paths {
            for certificate in self.chain(path)? {
                roots
                    .add(certificate)
                    .map_err(|source| TlsFileError::Unusable {
                        path: path.clone(),
                        source,
                    })?;
            }
        }
        Ok(roots)
    }

    /// The revocation lists of these files.
    pub(super) fn revocations(
        &self,
        paths: &[PathBuf],
    ) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsFileError> {
        let mut lists = Vec::new();
        for path in paths {
            let before = lists.len();
            for list in CertificateRevocationListDer::pem_slice_iter(self.bytes(path)) {
                lists.push(list.map_err(|error| unreadable(path, error))?);
            }
            // Without a list nothing would be revoked: a file being written must not open the door.
            if lists.len() == before {
                return Err(TlsFileError::NoRevocations { path: path.clone() });
            }
        }
        Ok(lists)
    }
}

fn unreadable(path: &Path, source: pem::Error) -> TlsFileError {
    TlsFileError::Read {
        path: path.to_owned(),
        source,
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}
