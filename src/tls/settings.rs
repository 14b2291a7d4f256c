//! What TLS is asked for on each side, as compiled from the configuration. Files are read when
//! TLS is built, and again when they change.

use super::NamePattern;
use http::HeaderName;
use std::path::PathBuf;
use std::sync::Arc;

/// PEM files of one certificate. Its names are read from the certificate itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// Chain, leaf first.
    pub chain: PathBuf,
    /// Private key.
    pub key: PathBuf,
}

/// The oldest version that is spoken. There is no older one than 1.2, and no suite without forward
/// secrecy and authenticated encryption, in either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsVersion {
    /// 1.2 (RFC 5246) and 1.3.
    #[default]
    Tls12,
    /// 1.3 alone (RFC 8446).
    Tls13,
}

/// TLS of a listener.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerTls {
    /// Never empty.
    pub certificates: Vec<CertificateFiles>,
    /// Who has to show a certificate, if clients are asked for one.
    pub client: Option<ClientAuth>,
    /// The oldest version.
    pub min_version: TlsVersion,
    /// Whether a request for a host that the shown certificate does not cover gets 421.
    pub refuses_misdirected: bool,
}

/// Certificates of clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientAuth {
    /// PEM files of the authorities that sign them. Never empty.
    pub ca: Vec<PathBuf>,
    /// PEM files of what these have revoked. Empty: nothing is asked about revocation.
    pub crl: Vec<PathBuf>,
    /// Whether a client without one is turned away.
    pub required: bool,
    /// Names of which a certificate has to have one; empty: whatever the authorities signed.
    pub allow: Vec<NamePattern>,
    /// The header that tells upstreams who the client is.
    pub header: Option<IdentityHeader>,
}

/// How upstreams are told of a client's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentityHeader {
    /// `X-Forwarded-Client-Cert`, in Envoy's form: digest, subject and names.
    ForwardedClientCert,
    /// `Client-Cert`: the certificate itself (RFC 9440).
    ClientCert,
}

impl IdentityHeader {
    /// Its name.
    pub const fn name(self) -> HeaderName {
        HeaderName::from_static(match self {
            Self::ForwardedClientCert => "x-forwarded-client-cert",
            Self::ClientCert => "client-cert",
        })
    }
}

/// TLS towards an upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientTls {
    /// PEM file of the authority to trust instead of the machine's roots.
    pub ca: Option<PathBuf>,
    /// PEM files of our certificate chain and key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Name to ask for and to verify, instead of the endpoint's host.
    pub server_name: Option<Arc<str>>,
    /// Names of which the server's certificate has to have one, instead of the one asked for.
    pub allow: Vec<NamePattern>,
    /// The oldest version.
    pub min_version: TlsVersion,
}
