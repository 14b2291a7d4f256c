//! One public key (JWK, RFC 7517 section 4), prepared once for every algorithm that it verifies.

use super::Algorithm;
use super::algorithm::Verifies;
use aws_lc_rs::signature::{ParsedPublicKey, RsaPublicKeyComponents};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

/// Fewest and most bits of an RSA modulus. Fewer can be factored, more cost whoever verifies.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2_048..=8_192;
/// Most bytes of an RSA exponent. Larger ones only make verifying slow.
const RSA_EXPONENT_BYTES_MAX: usize = 4;
/// Longest name of a key that is compared, in bytes.
pub(super) const KID_BYTES_MAX: usize = 512;

/// A key that verifies signatures.
#[derive(Clone)]
pub(super) struct Key {
    pub(super) kid: Option<Box<str>>,
    /// Never empty. Several only for RSA, where the key says nothing of its algorithm.
    verifiers: Vec<(Algorithm, ParsedPublicKey)>,
}

impl Key {
    /// Reads one. None: it is for something else, of a kind that is not known, too weak, or a
    /// private key, which whoever reads this may use to sign.
    pub(super) fn read(jwk: &Map<String, Value>) -> Option<Self> {
        let verifies = |ops: &Value| {
            let ops = ops.as_array();
            ops.is_some_and(|ops| ops.iter().any(|op| op == "verify"))
        };
        let is_for_signatures = jwk.get("use").is_none_or(|one| one == "sig")
            && jwk.get("key_ops").is_none_or(verifies)
            && !jwk.contains_key("d");
        let kid = match jwk.get("kid") {
            None => None,
            Some(Value::String(kid)) if kid.len() <= KID_BYTES_MAX => {
                Some(kid.clone().into_boxed_str())
            }
            Some(_) => return None,
        };
        if !is_for_signatures {
            return None;
        }
        let bound = match jwk.get("alg") {
            None => None,
            Some(name) => Some(Algorithm::of(name.as_str()?)?),
        };
        let mut algorithms = Algorithm::ALL.to_vec();
        algorithms.retain(|one| bound.is_none_or(|bound| bound == *one));
        let prepared = |one: Algorithm| Some((one, prepare(one, jwk)?));
        let verifiers: Vec<_> = algorithms.into_iter().filter_map(prepared).collect();
        (!verifiers.is_empty()).then_some(Self { kid, verifiers })
    }

    /// Whether it verifies by this algorithm, and is the one that a token names. A token without a
    /// name may mean any, and a key without one may be meant by any.
    pub(super) fn fits(&self, algorithm: Algorithm, kid: Option<&str>) -> bool {
        let is_named = match (&self.kid, kid) {
            (Some(own), Some(named)) => **own == *named,
            (None, _) | (_, None) => true,
        };
        is_named && self.verifiers.iter().any(|(own, _)| *own == algorithm)
    }

    /// Whether the signature is its.
    pub(super) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let mut verifiers = self.verifiers.iter();
        verifiers
            .find(|(own, _)| *own == algorithm)
            .is_some_and(|(_, key)| key.verify_sig(message, signature).is_ok())
    }
}

fn prepare(algorithm: Algorithm, jwk: &Map<String, Value>) -> Option<ParsedPublicKey> {
    let kind = jwk.get("kty")?.as_str()?;
    let bytes = |name: &str| URL_SAFE_NO_PAD.decode(jwk.get(name)?.as_str()?).ok();
    let is_on = |curve: &str| jwk.get("crv").is_some_and(|one| one == curve);
    match algorithm.verifies() {
        Verifies::Rsa(parameters) if kind == "RSA" => {
            let (n, e) = (bytes("n")?, bytes("e")?);
            let (n, e) = (without_zeros(&n), without_zeros(&e));
            is_strong(n, e).then_some(())?;
            let components = RsaPublicKeyComponents { n, e };
            components.to_parsed_public_key(parameters).ok()
        }
        Verifies::Ec(curve, length, algorithm) if kind == "EC" && is_on(curve) => {
            let (x, y) = (bytes("x")?, bytes("y")?);
            (x.len() == length && y.len() == length).then_some(())?;
            // An uncompressed point (SEC 1, section 2.3.3); whether it is on the curve is checked.
            let point = [&[4], x.as_slice(), y.as_slice()].concat();
            ParsedPublicKey::new(algorithm, point).ok()
        }
        Verifies::Ed25519(algorithm) if kind == "OKP" && is_on("Ed25519") => {
            let x = bytes("x").filter(|x| x.len() == 32)?;
            ParsedPublicKey::new(algorithm, x).ok()
        }
        Verifies::Rsa(_) | Verifies::Ec(..) | Verifies::Ed25519(_) => None,
    }
}

/// Some write the sign byte of ASN.1 into a key.
fn without_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}

/// An even modulus or exponent is none, and with an exponent of 1 every text signs itself.
fn is_strong(n: &[u8], e: &[u8]) -> bool {
    let bits = n
        .first()
        .map_or(0, |first| n.len() * 8 - first.leading_zeros() as usize);
    let is_odd = |bytes: &[u8]| bytes.last().is_some_and(|last| last % 2 == 1);
    RSA_BITS.contains(&bits)
        && is_odd(n)
        && is_odd(e)
        && e != [1]
        && e.len() <= RSA_EXPONENT_BYTES_MAX
}
