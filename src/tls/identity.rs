//! Who a client is, by the certificate that it proved to hold.

use super::{CertificateFacts, IdentityHeader};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue};

/// A client's certificate, verified. Made once for a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientIdentity {
    /// What it says.
    pub facts: CertificateFacts,
    /// SHA-256 of the certificate, in upper-case hex: `tls.client.hash.sha256`.
    pub sha256: Box<str>,
    /// What upstreams are told, if they are.
    pub header: Option<(HeaderName, HeaderValue)>,
}

impl ClientIdentity {
    pub(super) fn new(facts: CertificateFacts, der: &[u8], header: Option<IdentityHeader>) -> Self {
        let mut sha256 = String::with_capacity(64);
        for byte in digest(&SHA256, der).as_ref() {
            for digit in [byte >> 4, byte & 0x0f] {
                let hex = char::from_digit(digit.into(), 16).unwrap_or('0');
                sha256.push(hex.to_ascii_uppercase());
            }
        }
        let header = header.and_then(|header| {
            let value = match header {
                IdentityHeader::ClientCert => format!(":{}:", STANDARD.encode(der)),
                IdentityHeader::ForwardedClientCert => told(&facts, &sha256),
            };
            Some((header.name(), HeaderValue::try_from(value).ok()?))
        });
        Self {
            facts,
            sha256: sha256.into(),
            header,
        }
    }
}

/// An element of `X-Forwarded-Client-Cert` as Envoy writes it.
fn told(facts: &CertificateFacts, sha256: &str) -> String {
    let mut text = format!("Hash={}", sha256.to_ascii_lowercase());
    // The header is ASCII; a subject need not be.
    let subject: String = facts
        .subject
        .chars()
        .map(|one| {
            if one.is_ascii_graphic() || one == ' ' {
                one
            } else {
                '?'
            }
        })
        .collect();
    text.push_str(";Subject=");
    quote(&mut text, &subject);
    for (key, values) in [("URI", &facts.uris), ("DNS", &facts.hosts)] {
        for value in values {
            text.push(';');
            text.push_str(key);
            text.push('=');
            let plain = |byte: u8| byte.is_ascii_graphic() && !b",;=\"\\".contains(&byte);
            if value.bytes().all(plain) {
                text.push_str(value);
            } else {
                quote(&mut text, value);
            }
        }
    }
    text
}

fn quote(text: &mut String, value: &str) {
    text.push('"');
    for character in value.chars() {
        if matches!(character, '"' | '\\') {
            text.push('\\');
        }
        text.push(character);
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(uri: &str) -> CertificateFacts {
        CertificateFacts {
            uris: vec![uri.into()],
            hosts: vec!["shop.example".into()],
            subject: "CN=\"shop\", O=Ä".into(),
            ..CertificateFacts::default()
        }
    }

    fn header(uri: &str, kind: IdentityHeader) -> String {
        let identity = ClientIdentity::new(facts(uri), b"der", Some(kind));
        let (_, value) = identity.header.unwrap();
        value.to_str().unwrap().to_owned()
    }

    #[test]
    fn upstreams_read_it_as_envoy_writes_it() {
        let digest = "e256fe5f3ed6e5a9f41ba2a0a7d72b4d5d0bc9bd0a9ad3b5e5ccd4a5ab2f7f62";
        let told = header(
            "spiffe://prod.example/shop",
            IdentityHeader::ForwardedClientCert,
        );
        let (hash, rest) = told.split_once(';').unwrap();
        assert_eq!(hash.len(), "Hash=".len() + digest.len());
        assert_eq!(
            rest,
            "Subject=\"CN=\\\"shop\\\", O=?\";URI=spiffe://prod.example/shop;DNS=shop.example"
        );
    }

    #[test]
    fn no_name_ends_its_field_early() {
        let told = header(
            "spiffe://a/x;DNS=\"root\",",
            IdentityHeader::ForwardedClientCert,
        );
        assert!(
            told.contains(";URI=\"spiffe://a/x;DNS=\\\"root\\\",\";DNS=shop"),
            "{told}"
        );
    }

    #[test]
    fn the_certificate_itself_is_a_structured_field() {
        assert_eq!(header("spiffe://a", IdentityHeader::ClientCert), ":ZGVy:");
    }
}
