//! What a SERVER span says of the certificate that its client showed: `tls.client.*` of the
//! semantic conventions.

use super::span::OpenSpan;

/// A client's certificate, verified.
#[derive(Clone, Copy, Debug)]
pub struct ClientCertificate<'a> {
    /// `tls.client.subject`, without e-mail addresses.
    pub subject: &'a str,
    /// `tls.client.issuer`
    pub issuer: &'a str,
    /// `tls.client.hash.sha256`, upper-case hex.
    pub sha256: &'a str,
    /// `edgespan.client.identity`: its first URI, else its first host name.
    pub identity: Option<&'a str>,
}

impl ClientCertificate<'_> {
    /// Writes what is not empty.
    pub fn write(&self, span: &mut OpenSpan) {
        for (key, value) in [
            ("tls.client.subject", self.subject),
            ("tls.client.issuer", self.issuer),
            ("tls.client.hash.sha256", self.sha256),
            (
                "edgespan.client.identity",
                self.identity.unwrap_or_default(),
            ),
        ] {
            if !value.is_empty() {
                span.str(key, value);
            }
        }
    }
}
