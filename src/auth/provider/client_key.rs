//! Keys by which a client proves who it is (`private_key_jwt`): those that sign assertions, and RSA,
//! which some providers take alone.

use crate::auth::assertion::{KeyError, SigningKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Map, Value, json};
use std::fmt;
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::RSAPublicKey;

/// Shortest RSA key that signs, in bytes of its modulus: 2048 bits (RFC 7518, section 3.3).
const MODULUS_BYTES_MIN: usize = 256;

/// A private key of a client, of which nothing but the name of its public half is ever shown.
pub struct ClientKey(Kind);

enum Kind {
    /// P-256 or Ed25519, each with the one algorithm that it has.
    Curve(SigningKey),
    Rsa(Box<Rsa>),
}

struct Rsa {
    pair: RsaKeyPair,
    kid: Box<str>,
}

/// Why a file is no key of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientKeyError {
    /// There is none, or none that can be read.
    #[error(transparent)]
    File(KeyError),
    /// It is of another kind, damaged, or too short.
    #[error("the key is neither P-256 nor Ed25519, nor RSA of 2048 bits or more")]
    Unsupported,
}

/// The algorithms of an RSA key, the one that is best first. What none of them is named for is
/// signed by the last, which every provider has to know (OpenID Connect Core 1.0, section 15.1).
const OF_RSA: [(&str, &dyn RsaEncoding); 2] =
    [("PS256", &RSA_PSS_SHA256), ("RS256", &RSA_PKCS1_SHA256)];

impl ClientKey {
    /// Reads a PEM file: PKCS#8 with a key of P-256, Ed25519 or RSA, or PKCS#1.
    ///
    /// # Errors
    /// Why it is none.
    pub fn from_pem(pem: &[u8]) -> Result<Self, ClientKeyError> {
        let rsa = match PrivateKeyDer::from_pem_slice(pem) {
            Ok(PrivateKeyDer::Pkcs1(der)) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
            Ok(PrivateKeyDer::Pkcs8(der)) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
            // Told apart below.
            Ok(_) | Err(_) => return Self::of_curve(pem),
        };
        match rsa {
            Ok(pair) => Self::of_rsa(pair).ok_or(ClientKeyError::Unsupported),
            Err(_) => Self::of_curve(pem),
        }
    }

    fn of_curve(pem: &[u8]) -> Result<Self, ClientKeyError> {
        let read = SigningKey::from_pem(pem).map_err(|error| match error {
            // What looked like RSA and is none, too.
            KeyError::Unsupported => ClientKeyError::Unsupported,
            KeyError::NotPkcs8 if is_pkcs1(pem) => ClientKeyError::Unsupported,
            KeyError::NoKey | KeyError::Encrypted | KeyError::NotPkcs8 => {
                ClientKeyError::File(error)
            }
        });
        read.map(|key| Self(Kind::Curve(key)))
    }

    fn of_rsa(pair: RsaKeyPair) -> Option<Self> {
        if pair.public_modulus_len() < MODULUS_BYTES_MIN {
            return None;
        }
        let (_, numbers) = RSAPublicKey::from_der(pair.public_key().as_ref()).ok()?;
        // DER has a zero in front where the first bit is set; a JWK has not (RFC 7518, 6.3.1.1).
        let number = |bytes: &[u8]| {
            let bytes = bytes.strip_prefix(&[0]).unwrap_or(bytes);
            URL_SAFE_NO_PAD.encode(bytes)
        };
        // In the order in which a thumbprint has them (RFC 7638, section 3.2).
        let members = json!({
            "e": number(numbers.exponent), "kty": "RSA", "n": number(numbers.modulus),
        });
        let thumbprint = digest(&SHA256, members.to_string().as_bytes());
        let kid = URL_SAFE_NO_PAD.encode(thumbprint.as_ref()).into_boxed_str();
        Some(Self(Kind::Rsa(Box::new(Rsa { pair, kid }))))
    }

    /// By what its tokens name it: the thumbprint of its public half (RFC 7638).
    pub fn kid(&self) -> &str {
        match &self.0 {
            Kind::Curve(key) => key.kid(),
            Kind::Rsa(rsa) => &rsa.kid,
        }
    }

    /// A token of these claims, by the first algorithm of this key that is among `accepted`; empty:
    /// nobody has said which are. None: it cannot be signed.
    pub(super) fn sign(&self, claims: &Map<String, Value>, accepted: &[String]) -> Option<String> {
        match &self.0 {
            Kind::Curve(key) => key.sign(claims),
            Kind::Rsa(rsa) => rsa.sign(claims, accepted),
        }
    }
}

impl Rsa {
    fn sign(&self, claims: &Map<String, Value>, accepted: &[String]) -> Option<String> {
        let mut known = OF_RSA.iter();
        let named = known.find(|(name, _)| accepted.iter().any(|one| one == name));
        let (name, encoding) = named.or(OF_RSA.last())?;
        let header = json!({"alg": name, "kid": &*self.kid, "typ": "JWT"});
        let mut text = [header.to_string(), serde_json::to_string(claims).ok()?]
            .map(|part| URL_SAFE_NO_PAD.encode(part))
            .join(".");
        let mut signature = vec![0; self.pair.public_modulus_len()];
        let random = SystemRandom::new();
        self.pair
            .sign(*encoding, &random, text.as_bytes(), &mut signature)
            .ok()?;
        text.push('.');
        text.push_str(&URL_SAFE_NO_PAD.encode(signature));
        Some(text)
    }
}

fn is_pkcs1(pem: &[u8]) -> bool {
    matches!(
        PrivateKeyDer::from_pem_slice(pem),
        Ok(PrivateKeyDer::Pkcs1(_))
    )
}

impl fmt::Debug for ClientKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ClientKey({})", self.kid())
    }
}

impl PartialEq for ClientKey {
    fn eq(&self, other: &Self) -> bool {
        self.kid() == other.kid()
    }
}

impl Eq for ClientKey {}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
    use aws_lc_rs::rsa::KeySize;
    use base64::engine::general_purpose::STANDARD;
    use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
    use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};

    /// A new key: the file as PKCS#8 and as PKCS#1, and its public half.
    fn rsa() -> (String, String, Vec<u8>) {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let public = pair.public_key().as_ref().to_vec();
        let pkcs8: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        let pkcs8 = pkcs8.as_ref();
        // Behind version and algorithm, both of fixed length, the inner key is an octet string.
        let inner = pkcs8.windows(2).skip(4).position(|two| two == [0x04, 0x82]);
        let pkcs1 = &pkcs8[inner.unwrap() + 4 + 4..];
        let text = |kind: &str, der: &[u8]| {
            let body = STANDARD.encode(der);
            format!("-----BEGIN {kind}-----\n{body}\n-----END {kind}-----\n")
        };
        (
            text("PRIVATE KEY", pkcs8),
            text("RSA PRIVATE KEY", pkcs1),
            public,
        )
    }

    fn claims() -> Map<String, Value> {
        let claims = json!({"iss": "app", "sub": "app", "exp": 4_000_000_000_u64});
        claims.as_object().unwrap().clone()
    }

    fn algorithm_of(token: &str) -> Algorithm {
        decode_header(token).unwrap().alg
    }

    #[test]
    fn an_rsa_key_is_read_in_both_its_forms_and_its_tokens_are_verified_by_others() {
        let (pkcs8, pkcs1, public) = rsa();
        let keys = [&pkcs8, &pkcs1].map(|pem| ClientKey::from_pem(pem.as_bytes()).unwrap());
        assert_eq!(keys[0], keys[1]);

        for (accepted, expected) in [
            (&[][..], Algorithm::RS256),
            (&["RS256"], Algorithm::RS256),
            (&["ES256", "PS256", "RS256"], Algorithm::PS256),
            (&["ES256", "PS384"], Algorithm::RS256),
        ] {
            let accepted: Vec<String> = accepted.iter().map(|one| (*one).to_owned()).collect();
            let token = keys[1].sign(&claims(), &accepted).unwrap();

            assert_eq!(algorithm_of(&token), expected, "{accepted:?}");
            assert_eq!(decode_header(&token).unwrap().kid.unwrap(), keys[0].kid());
            let mut rules = Validation::new(expected);
            rules.set_issuer(&["app"]);
            let key = DecodingKey::from_rsa_der(&public);
            let read = decode::<Map<String, Value>>(&token, &key, &rules).unwrap();
            assert_eq!(read.claims, claims());
        }
    }

    #[test]
    fn keys_of_curves_sign_by_the_one_algorithm_that_they_have() {
        for (kind, expected) in [
            (&PKCS_ECDSA_P256_SHA256, Algorithm::ES256),
            (&PKCS_ED25519, Algorithm::EdDSA),
        ] {
            let pem = KeyPair::generate_for(kind).unwrap().serialize_pem();
            let key = ClientKey::from_pem(pem.as_bytes()).unwrap();
            for accepted in [vec![], vec!["PS256".to_owned()]] {
                let token = key.sign(&claims(), &accepted).unwrap();
                assert_eq!(algorithm_of(&token), expected);
            }
        }
    }

    #[test]
    fn what_is_no_key_of_a_client_is_refused_in_words() {
        let p384 = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
        let (_, pkcs1, _) = rsa();
        let cut = pkcs1.replacen("MII", "AAA", 1);
        for (pem, expected) in [
            ("hello", ClientKeyError::File(KeyError::NoKey)),
            (
                "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
                ClientKeyError::File(KeyError::Encrypted),
            ),
            (
                "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n",
                ClientKeyError::File(KeyError::NotPkcs8),
            ),
            (&p384.serialize_pem(), ClientKeyError::Unsupported),
            (&cut, ClientKeyError::Unsupported),
        ] {
            let refused = ClientKey::from_pem(pem.as_bytes()).unwrap_err();
            assert_eq!(refused, expected, "{pem:.40}");
        }
    }

    #[test]
    fn the_debug_text_of_a_key_shows_its_public_name_alone() {
        let (pkcs8, ..) = rsa();
        let key = ClientKey::from_pem(pkcs8.as_bytes()).unwrap();
        assert_eq!(format!("{key:?}"), format!("ClientKey({})", key.kid()));
    }
}
