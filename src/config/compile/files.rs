//! Files that a document names: certificates, keys, authorities, secrets.
//!
//! Only whether they can be read and hold what they should; whether a key fits its certificate is
//! found out where TLS is built.

use super::Compiler;
use crate::config::decode::Spanned;
use crate::config::diagnostic::{Code, Span};
use crate::config::raw;
use crate::config::scalar::Misread;
use crate::secret::Secret;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

/// Largest PEM file.
const PEM_BYTES_MAX: u64 = 4 << 20;
/// Largest file of a secret.
const SECRET_BYTES_MAX: u64 = 64 << 10;

impl Compiler<'_> {
    /// Chain and key of a certificate. None if one is missing or of no use, which was told.
    pub(super) fn certificate(
        &mut self,
        certificate: &raw::Certificate,
    ) -> Option<(PathBuf, PathBuf)> {
        let chain = certificate
            .chain
            .as_ref()
            .map(|file| self.pem(file, holds_certificates));
        let key = certificate
            .key
            .as_ref()
            .map(|file| self.pem(file, holds_key));
        Some((chain??, key??))
    }

    /// The file of an authority.
    pub(super) fn authority(&mut self, file: Option<&Spanned<raw::FileText>>) -> Option<PathBuf> {
        self.pem(file?, holds_certificates)
    }

    /// A file of revoked certificates.
    pub(super) fn revocations(&mut self, file: &Spanned<raw::FileText>) -> Option<PathBuf> {
        self.pem(file, holds_revocations)
    }

    /// A PEM file that holds what `holds` wants.
    fn pem(
        &mut self,
        file: &Spanned<raw::FileText>,
        holds: fn(&[u8]) -> Result<(), Misread>,
    ) -> Option<PathBuf> {
        let path = self.folder.join(&file.value.0);
        self.files.push(path.clone());
        let read = read(&path, PEM_BYTES_MAX).and_then(|bytes| holds(&bytes));
        self.value(&file.span, Code::File, read)?;
        Some(path)
    }

    /// A secret's value, from wherever it is kept.
    pub(super) fn secret(&mut self, span: &Span, written: &raw::SecretText) -> Option<Secret> {
        let source = match written {
            raw::SecretText::Inline(secret) => return Some(secret.clone()),
            raw::SecretText::Elsewhere(source) => source,
        };
        let keys = [
            ("file", source.file.is_some()),
            ("env", source.env.is_some()),
        ];
        self.exactly_one(span, &keys);
        match (&source.file, &source.env) {
            (Some(file), None) => {
                let path = self.folder.join(&file.value.0);
                self.files.push(path.clone());
                self.value(&file.span, Code::Secret, secret_file(&path))
            }
            (None, Some(name)) => {
                let value = self.environment.get(&name.value).map(Secret::new);
                let misread = || Misread::new(format!("the environment has no `{}`", name.value));
                self.value(&name.span, Code::Secret, value.ok_or_else(misread))
            }
            (Some(_), Some(_)) | (None, None) => None,
        }
    }
}

fn secret_file(path: &Path) -> Result<Secret, Misread> {
    let bytes = read(path, SECRET_BYTES_MAX)?;
    let text =
        String::from_utf8(bytes).map_err(|_| Misread::new("the secret's file is not UTF-8"))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(Secret::new(text.strip_suffix('\r').unwrap_or(text)))
}

/// Reads a file up to a bound. A device or pipe that never ends is not waited for.
pub(super) fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>, Misread> {
    let cannot = |reason: &str| {
        Misread::new(format!("cannot read {}", path.display())).label(reason.to_owned())
    };
    let metadata = std::fs::metadata(path).map_err(|error| cannot(reason(error.kind())))?;
    if metadata.is_dir() {
        return Err(cannot("it is a folder"));
    }
    if !metadata.is_file() {
        return Err(cannot("it is not a file"));
    }
    let file = File::open(path).map_err(|error| cannot(reason(error.kind())))?;
    let mut bytes = Vec::new();
    file.take(bytes_max + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| cannot(reason(error.kind())))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > bytes_max {
        return Err(cannot(&format!("it has more than {bytes_max} bytes")));
    }
    Ok(bytes)
}

/// Why a file cannot be read, in words.
pub(in crate::config) fn reason(kind: ErrorKind) -> &'static str {
    if kind == ErrorKind::NotFound {
        "it does not exist"
    } else if kind == ErrorKind::PermissionDenied {
        "permission denied"
    } else if kind == ErrorKind::NotADirectory {
        "a part of its path is not a folder"
    } else {
        "reading it failed"
    }
}

fn holds_certificates(bytes: &[u8]) -> Result<(), Misread> {
    let mut count = 0;
    for certificate in CertificateDer::pem_slice_iter(bytes) {
        certificate
            .map_err(|_| Misread::new("this is not a PEM file").label("cannot be decoded"))?;
        count += 1;
    }
    if count > 0 {
        return Ok(());
    }
    let misread = Misread::new("the file holds no certificate");
    Err(match PrivateKeyDer::from_pem_slice(bytes) {
        Ok(_) => misread.label("it holds a private key"),
        Err(_) => misread.label("no `BEGIN CERTIFICATE` in it"),
    })
}

fn holds_revocations(bytes: &[u8]) -> Result<(), Misread> {
    if CertificateRevocationListDer::from_pem_slice(bytes).is_ok() {
        return Ok(());
    }
    Err(Misread::new("the file holds no revocation list").label("no `BEGIN X509 CRL` in it"))
}

fn holds_key(bytes: &[u8]) -> Result<(), Misread> {
    if PrivateKeyDer::from_pem_slice(bytes).is_ok() {
        return Ok(());
    }
    let misread = Misread::new("the file holds no private key");
    Err(match CertificateDer::from_pem_slice(bytes) {
        Ok(_) => misread.label("it holds a certificate"),
        Err(_) => misread.label("no `BEGIN PRIVATE KEY` in it"),
    })
}
