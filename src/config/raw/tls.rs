//! TLS on both sides, and the PROXY protocol, as they are written.

use super::{FileText, HostText, NameText, NetworkText, OneOrMany};
use crate::config::decode::Spanned;
use schemars::JsonSchema;
use serde::Deserialize;

/// TLS of a listener.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["certificates"]))]
pub(in crate::config) struct ListenerTls {
    /// Certificates. Which one is shown is decided by the name that the client asks for (SNI);
    /// the first one serves clients that ask for none. Files that change are read again.
    #[schemars(length(min = 1))]
    pub(in crate::config) certificates: Vec<Spanned<Certificate>>,
    /// Certificates of clients. Without it none is asked for.
    pub(in crate::config) client: Option<ClientCertificates>,
    /// The oldest version.
    #[schemars(extend("default" = "1.2"))]
    pub(in crate::config) min_version: Option<TlsVersion>,
    /// What becomes of a request for a host that the certificate, chosen by another name, does
    /// not cover. Clients that name nothing (SNI) are always served.
    #[schemars(extend("default" = "serve"))]
    pub(in crate::config) misdirected: Option<Misdirected>,
}

/// A certificate and its key.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["chain", "key"]))]
pub(in crate::config) struct Certificate {
    /// PEM file of the certificate and its intermediates, leaf first.
    pub(in crate::config) chain: Option<Spanned<FileText>>,
    /// PEM file of the private key.
    pub(in crate::config) key: Option<Spanned<FileText>>,
}

/// Certificates of clients.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["ca"]))]
pub(in crate::config) struct ClientCertificates {
    /// PEM files of the authorities that sign them.
    pub(in crate::config) ca: OneOrMany<Spanned<FileText>>,
    /// PEM files of what these have revoked. A certificate whose authority has no list is refused.
    pub(in crate::config) crl: OneOrMany<Spanned<FileText>>,
    /// Whether there has to be one.
    #[schemars(extend("default" = "required"))]
    pub(in crate::config) mode: Option<ClientMode>,
    /// Names of which a certificate has to have one among its subject alternative names. Without
    /// it, whatever the authorities signed is good.
    pub(in crate::config) allow: Vec<Spanned<NameText>>,
    /// The header that tells upstreams who the client is. Without it nothing tells them; what a
    /// client says in these headers itself is removed either way.
    pub(in crate::config) header: Option<IdentityHeader>,
}

/// Whether a client has to show a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(title = "client certificate rule")]
pub(in crate::config) enum ClientMode {
    /// Nobody gets in without one.
    #[default]
    Required,
    /// One that is shown has to be good.
    Optional,
}

/// How upstreams are told who the client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(title = "certificate header")]
pub(in crate::config) enum IdentityHeader {
    /// Digest, subject and names, as Envoy writes them.
    XForwardedClientCert,
    /// The certificate itself (RFC 9440).
    ClientCert,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(title = "TLS version")]
pub(in crate::config) enum TlsVersion {
    /// RFC 5246, with forward secrecy and authenticated encryption alone.
    #[default]
    #[serde(rename = "1.2")]
    Tls12,
    /// RFC 8446.
    #[serde(rename = "1.3")]
    Tls13,
}

/// What becomes of a request that came to the wrong door.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(title = "misdirected rule")]
pub(in crate::config) enum Misdirected {
    /// It is served: right behind proxies that ask for another name than their clients.
    #[default]
    Serve,
    /// It gets 421.
    Refuse,
}

/// TLS towards an upstream.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct UpstreamTls {
    /// PEM file of the authority to trust instead of the machine's. Files that change are read
    /// again.
    pub(in crate::config) ca: Option<Spanned<FileText>>,
    /// The certificate that edgespan shows.
    pub(in crate::config) certificate: Option<Certificate>,
    /// The name to ask for and to verify, instead of the endpoint's host.
    pub(in crate::config) server_name: Option<Spanned<HostText>>,
    /// Names of which the server's certificate has to have one, instead of the name asked for:
    /// `spiffe://prod.example/ns/shop/*`.
    pub(in crate::config) allow: Vec<Spanned<NameText>>,
    /// The oldest version.
    #[schemars(extend("default" = "1.2"))]
    pub(in crate::config) min_version: Option<TlsVersion>,
}

/// Peers that begin a connection by saying for whom it is (PROXY protocol, version 1 or 2).
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["from"]))]
pub(in crate::config) struct ProxyProtocol {
    /// Who is believed.
    #[schemars(length(min = 1))]
    pub(in crate::config) from: Vec<Spanned<NetworkText>>,
    /// Whether nobody else gets in. With `false` other peers, and these without a header, speak
    /// for themselves.
    #[schemars(extend("default" = true))]
    pub(in crate::config) required: Option<bool>,
}
