//! Proof by the client's certificate, which TLS has verified.
//!
//! Only alternative names count, never the common name (see `tls::names`). The certificate is that
//! of the connection: where a host proxy asks, it would be the host's, and there is none.

use super::{Asked, Identity, Proof, Reason, Verdict};
use crate::tls::{CertificateFacts, ClientIdentity, NamePattern};
use serde_json::{Map, Value};
use std::sync::Arc;

/// Whose certificates are taken. At least one of the two lists is not empty; of both, both count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertSettings {
    /// Names of which it bears one.
    pub names: Vec<NamePattern>,
    /// SHA-256 of which it has one, in upper-case hex.
    pub sha256: Vec<Box<str>>,
}

impl ClientCertSettings {
    /// A digest as it is written, with or without colons, in the form that is compared. None if it
    /// is none.
    pub fn digest(text: &str) -> Option<Box<str>> {
        let digits: String = text.chars().filter(|one| *one != ':').collect();
        super::keys::hex(&digits)?;
        Some(digits.to_ascii_uppercase().into())
    }
}

pub(super) fn check(
    policy: &Arc<str>,
    settings: &ClientCertSettings,
    asked: &Asked<'_>,
) -> Verdict {
    // There is no challenge for a certificate, and a 401 needs one (RFC 9110 section 15.5.2).
    let Some(certificate) = asked.certificate else {
        return Verdict::abstain(Reason::Forbidden);
    };
    let Some(subject) = subject(settings, certificate) else {
        return Verdict::abstain(Reason::Forbidden);
    };
    Verdict::allow(Identity {
        subject: subject.map(Arc::from),
        groups: Vec::new(),
        claims: claims(certificate),
        proof: Proof::ClientCert,
        policy: Arc::clone(policy),
    })
}

/// The name that it is known by, if it bears one. The outer None: it is not taken.
fn subject<'a>(
    settings: &ClientCertSettings,
    certificate: &'a ClientIdentity,
) -> Option<Option<&'a str>> {
    let facts = &certificate.facts;
    let digests = &settings.sha256;
    if !digests.is_empty() && !digests.contains(&certificate.sha256) {
        return None;
    }
    if settings.names.is_empty() {
        return (!digests.is_empty()).then(|| facts.identity());
    }
    let mut names = settings.names.iter();
    names.find_map(|pattern| pattern.name(facts)).map(Some)
}

fn claims(certificate: &ClientIdentity) -> Map<String, Value> {
    let CertificateFacts {
        uris,
        hosts,
        issuer,
        not_after,
        ..
    } = &certificate.facts;
    let names = uris.iter().chain(hosts);
    let names = names.map(|name| Value::from(&**name)).collect::<Vec<_>>();
    let mut claims = Map::new();
    claims.insert("san".into(), names.into());
    claims.insert("issuer".into(), (&**issuer).into());
    claims.insert("not_after".into(), (*not_after).into());
    let sha256 = certificate.sha256.to_ascii_lowercase();
    claims.insert("sha256".into(), sha256.into());
    claims
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::cache::tests::asked;
    use http::{HeaderMap, Method};

    fn certificate() -> ClientIdentity {
        ClientIdentity {
            facts: CertificateFacts {
                uris: vec!["spiffe://prod.example/ns/shop/pay".into()],
                hosts: vec!["pay.internal.example".into()],
                emails: Vec::new(),
                subject: "CN=admin.internal.example".into(),
                issuer: "CN=ca".into(),
                not_after: 7,
            },
            sha256: "AB".repeat(32).into(),
            header: None,
        }
    }

    /// Some(subject) of who is allowed.
    fn decide(names: &[&str], sha256: &[&str], with: Option<&ClientIdentity>) -> Option<String> {
        let settings = ClientCertSettings {
            names: names.iter().map(|name| name.parse().unwrap()).collect(),
            sha256: sha256
                .iter()
                .map(|text| ClientCertSettings::digest(text).unwrap())
                .collect(),
        };
        let (target, headers) = ("/".parse().unwrap(), HeaderMap::new());
        let asked_about = Asked {
            certificate: with,
            ..asked(&Method::GET, &target, &headers)
        };
        match check(&Arc::from("mesh"), &settings, &asked_about) {
            Verdict::Allow(grant) => {
                let identity = grant.identity.unwrap();
                assert_eq!(identity.proof, Proof::ClientCert);
                Some(identity.subject.as_deref().unwrap_or("?").to_owned())
            }
            Verdict::Abstain(denial) => {
                assert_eq!(denial.reason, Reason::Forbidden);
                None
            }
            Verdict::Deny(_) => panic!("it leaves it to others"),
        }
    }

    #[test]
    fn a_name_of_the_certificate_is_the_subject_and_its_common_name_is_none() {
        let own = certificate();
        let by = |names: &[&str]| decide(names, &[], Some(&own));

        let shop = "spiffe://prod.example/ns/shop/pay";
        assert_eq!(
            by(&["spiffe://prod.example/ns/shop/*"]).as_deref(),
            Some(shop)
        );
        assert_eq!(by(&[shop]).as_deref(), Some(shop));
        let host = "pay.internal.example";
        assert_eq!(by(&["*.internal.example"]).as_deref(), Some(host));
        assert_eq!(by(&["no.example", host]).as_deref(), Some(host));
        assert_eq!(by(&["admin.internal.example"]), None);
        assert_eq!(by(&["internal.example"]), None);
    }

    #[test]
    fn without_a_certificate_others_are_asked() {
        assert_eq!(decide(&["*.internal.example"], &[], None), None);
        assert_eq!(decide(&[], &[&"ab".repeat(32)], None), None);
    }

    #[test]
    fn a_digest_counts_beside_the_names() {
        let own = certificate();
        let (right, wrong) = ("ab".repeat(32), "cd".repeat(32));
        let with_colons = vec!["Ab"; 32].join(":");
        let by = |names: &[&str], sha256: &str| decide(names, &[sha256], Some(&own));

        let shop = "spiffe://prod.example/ns/shop/pay";
        assert_eq!(by(&[], &right).as_deref(), Some(shop));
        assert_eq!(by(&[], &with_colons).as_deref(), Some(shop));
        assert_eq!(by(&[], &wrong), None);
        let host = "pay.internal.example";
        assert_eq!(by(&["*.internal.example"], &right).as_deref(), Some(host));
        assert_eq!(by(&["*.internal.example"], &wrong), None);
        assert_eq!(by(&["other.example"], &right), None);
        assert_eq!(ClientCertSettings::digest("abc"), None);
    }
}
