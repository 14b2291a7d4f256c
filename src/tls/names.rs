//! Who a certificate says it is: subject alternative names (RFC 5280 section 4.2.1.6), and
//! patterns over them.
//!
//! A subject's common name is no name here: it has no type, so that `CN=spiffe://x` and a host
//! could not be told apart (RFC 9525 section 2).

use std::fmt;
use std::str::FromStr;
use x509_parser::extensions::GeneralName;
use x509_parser::oid_registry::OID_PKCS9_EMAIL_ADDRESS;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::X509Name;

/// What is read of a certificate. It is not verified here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateFacts {
    /// URIs, such as a SPIFFE id.
    pub uris: Vec<Box<str>>,
    /// Host names, in lower case; wildcards as they are.
    pub hosts: Vec<Box<str>>,
    /// E-mail addresses.
    pub emails: Vec<Box<str>>,
    /// Whose it is, without e-mail addresses: `CN=shop, O=Example`.
    pub subject: Box<str>,
    /// Who signed it, in the same form.
    pub issuer: Box<str>,
    /// Until when it is valid, in seconds since 1970.
    pub not_after: i64,
}

impl CertificateFacts {
    /// Reads a certificate in DER. None if it is none.
    pub fn read(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let mut facts = Self {
            subject: distinguished(certificate.subject()),
            issuer: distinguished(certificate.issuer()),
            not_after: certificate.validity().not_after.timestamp(),
            ..Self::default()
        };
        let names = certificate.subject_alternative_name().ok()?;
        for name in names.iter().flat_map(|names| &names.value.general_names) {
            if let GeneralName::URI(uri) = name {
                facts.uris.push((*uri).into());
            } else if let GeneralName::DNSName(host) = name {
                facts.hosts.push(host.to_ascii_lowercase().into());
            } else if let GeneralName::RFC822Name(email) = name {
                facts.emails.push((*email).into());
            }
        }
        Some(facts)
    }

    /// The name that tells a workload: the first URI, else the first host.
    pub fn identity(&self) -> Option<&str> {
        self.uris.first().or(self.hosts.first()).map(|name| &**name)
    }
}

/// A name as text, in the certificate's order. E-mail addresses are left out: spans carry none.
fn distinguished(name: &X509Name<'_>) -> Box<str> {
    let mut text = String::new();
    for attribute in name.iter_attributes() {
        let (kind, Ok(value)) = (attribute.attr_type(), attribute.as_str()) else {
            continue;
        };
        if *kind == OID_PKCS9_EMAIL_ADDRESS || value.contains('@') {
            continue;
        }
        if !text.is_empty() {
            text.push_str(", ");
        }
        let oid = kind.to_id_string();
        let short = match oid.as_str() {
            "2.5.4.3" => "CN",
            "2.5.4.5" => "serialNumber",
            "2.5.4.6" => "C",
            "2.5.4.7" => "L",
            "2.5.4.8" => "ST",
            "2.5.4.10" => "O",
            "2.5.4.11" => "OU",
            "0.9.2342.19200300.100.1.25" => "DC",
            "0.9.2342.19200300.100.1.1" => "UID",
            other => other,
        };
        text.push_str(short);
        text.push('=');
        for character in value.chars() {
            // RFC 4514 section 2.4.
            if matches!(character, ',' | '+' | '"' | '\\' | '<' | '>' | ';' | '=') {
                text.push('\\');
            }
            text.push(if character.is_control() {
                '?'
            } else {
                character
            });
        }
    }
    text.into()
}

/// Certificates by name: `spiffe://prod.example/ns/shop/*`, `*.internal.example`,
/// `deploy@example.com`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamePattern {
    kind: NameKind,
    /// Without the asterisk.
    fixed: Box<str>,
    open: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NameKind {
    /// Exact, or everything below a `/`.
    Uri,
    /// Exact, or everything one label below.
    Host,
    /// Exact.
    Email,
}

/// A text that is no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadPattern(pub &'static str);

impl FromStr for NamePattern {
    type Err = BadPattern;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(BadPattern("a name has no spaces and nothing beyond ASCII"));
        }
        let pattern = if let Some((scheme, _)) = text.split_once("://") {
            if scheme.is_empty() || scheme.contains('*') {
                return Err(BadPattern("the scheme is missing"));
            }
            Self::uri(text)
        } else if text.contains('@') {
            Self::exact(NameKind::Email, text)
        } else {
            Self::host(text)
        };
        if pattern.fixed.contains('*') {
            return Err(BadPattern(
                "`*` stands for one label at a host's beginning, or for all that follows a `/`",
            ));
        }
        Ok(pattern)
    }
}

impl NamePattern {
    fn exact(kind: NameKind, text: &str) -> Self {
        Self {
            kind,
            fixed: text.into(),
            open: false,
        }
    }

    fn uri(text: &str) -> Self {
        let below = text.strip_suffix('*').filter(|rest| rest.ends_with('/'));
        // `scheme://*` would take every authority.
        match below.filter(|rest| !rest.ends_with("://")) {
            Some(fixed) => Self {
                open: true,
                ..Self::exact(NameKind::Uri, fixed)
            },
            None => Self::exact(NameKind::Uri, text),
        }
    }

    fn host(text: &str) -> Self {
        let text = text.to_ascii_lowercase();
        match text.strip_prefix("*.") {
            Some(fixed) => Self {
                open: true,
                ..Self::exact(NameKind::Host, fixed)
            },
            None => Self::exact(NameKind::Host, &text),
        }
    }

    /// Whether one of the certificate's names is meant.
    pub fn matches(&self, facts: &CertificateFacts) -> bool {
        self.name(facts).is_some()
    }

    /// The first of the certificate's names that is meant.
    pub fn name<'a>(&self, facts: &'a CertificateFacts) -> Option<&'a str> {
        let names = match self.kind {
            NameKind::Uri => &facts.uris,
            NameKind::Host => &facts.hosts,
            NameKind::Email => &facts.emails,
        };
        let mut names = names.iter().map(|name| &**name);
        names.find(|name| self.is_meant(name))
    }

    fn is_meant(&self, name: &str) -> bool {
        if !self.open {
            return *self.fixed == *name;
        }
        match self.kind {
            NameKind::Uri => name
                .strip_prefix(&*self.fixed)
                .is_some_and(|rest| !rest.is_empty() && !climbs(rest)),
            NameKind::Host => name
                .split_once('.')
                .is_some_and(|(label, rest)| !label.is_empty() && *rest == *self.fixed),
            NameKind::Email => false,
        }
    }
}

/// Whether a path leaves the place where it begins.
fn climbs(path: &str) -> bool {
    path.split('/').any(|segment| matches!(segment, "." | ".."))
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.kind, self.open) {
            (NameKind::Uri, true) => write!(f, "{}*", self.fixed),
            (NameKind::Host, true) => write!(f, "*.{}", self.fixed),
            _ => f.write_str(&self.fixed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    fn facts(names: &[SanType], subject: &[(DnType, &str)]) -> CertificateFacts {
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.subject_alt_names = names.to_vec();
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, value) in subject {
            parameters.distinguished_name.push(kind.clone(), *value);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        CertificateFacts::read(certificate.der()).unwrap()
    }

    #[test]
    fn every_kind_of_name_is_read_and_the_subject_tells_no_e_mail_address() {
        let read = facts(
            &[
                SanType::DnsName("Shop.Example".try_into().unwrap()),
                SanType::URI("spiffe://prod.example/ns/shop".try_into().unwrap()),
                SanType::Rfc822Name("ops@example.com".try_into().unwrap()),
            ],
            &[
                (DnType::CommonName, "shop, the"),
                (DnType::OrganizationName, "Example"),
                (DnType::OrganizationalUnitName, "ops@example.com"),
            ],
        );

        assert_eq!(read.hosts, [Box::<str>::from("shop.example")]);
        assert_eq!(
            read.uris,
            [Box::<str>::from("spiffe://prod.example/ns/shop")]
        );
        assert_eq!(read.emails, [Box::<str>::from("ops@example.com")]);
        assert_eq!(&*read.subject, "CN=shop\\, the, O=Example");
        assert_eq!(read.identity(), Some("spiffe://prod.example/ns/shop"));
        assert!(read.not_after > 1_700_000_000);
    }

    #[track_caller]
    fn check(pattern: &str, name: &str, meant: bool) {
        let kind = |of: fn(&mut CertificateFacts) -> &mut Vec<Box<str>>| {
            let mut facts = CertificateFacts::default();
            of(&mut facts).push(name.into());
            facts
        };
        let facts = if name.contains("://") {
            kind(|facts| &mut facts.uris)
        } else if name.contains('@') {
            kind(|facts| &mut facts.emails)
        } else {
            kind(|facts| &mut facts.hosts)
        };
        let read: NamePattern = pattern.parse().unwrap();
        assert_eq!(read.matches(&facts), meant, "{pattern} {name}");
        assert_eq!(read.to_string(), pattern);
    }

    #[test]
    fn a_pattern_means_what_it_says_and_no_more() {
        check("spiffe://a.example/x", "spiffe://a.example/x", true);
        check("spiffe://a.example/x", "spiffe://a.example/xy", false);
        check("spiffe://a.example/*", "spiffe://a.example/x/y", true);
        check("spiffe://a.example/*", "spiffe://a.example/", false);
        check("spiffe://a.example/*", "spiffe://a.example.org/x", false);
        check("spiffe://a.example/x/*", "spiffe://a.example/x/../y", false);
        check("a.example", "a.example", true);
        check("a.example", "b.a.example", false);
        check("*.a.example", "b.a.example", true);
        check("*.a.example", "c.b.a.example", false);
        check("*.a.example", "a.example", false);
        check("ops@example.com", "ops@example.com", true);
        check("ops@example.com", "OPS@example.com", false);
        // A name of one kind is none of another.
        check("a.example", "spiffe://a.example", false);
    }

    #[test]
    fn what_means_too_much_is_no_pattern() {
        for text in [
            "",
            "*",
            "a.*",
            "*a.example",
            "**.a",
            "spiffe://*",
            "spiffe://*/x",
            "://x",
            "*://x/*",
            "spiffe://a/x*",
            "a b",
            "ä.example",
            "*@example.com",
        ] {
            assert!(text.parse::<NamePattern>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange_to_be_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            drop(CertificateFacts::read(&bytes));
        }

        #[test]
        fn no_text_is_too_strange_to_be_refused(text in ".{0,40}") {
            drop(text.parse::<NamePattern>());
        }

        #[test]
        fn a_certificate_cut_anywhere_is_none(at in 0_usize..200) {
            let key = KeyPair::generate().unwrap();
            let made = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
            let made = made.self_signed(&key).unwrap();
            prop_assert!(CertificateFacts::read(&made.der()[..at]).is_none());
        }
    }
}
