//! Algorithms by which a token may be signed.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, VerificationAlgorithm,
};

/// `alg` of RFC 7518 and RFC 8037, as far as a public key verifies it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// ECDSA with P-256 and SHA-256.
    Es256,
    /// ECDSA with P-384 and SHA-384.
    Es384,
    /// Ed25519, under its old name `EdDSA` and its own (RFC 9864).
    EdDsa,
}

/// What kind of key verifies by an algorithm.
#[derive(Clone, Copy)]
pub(super) enum Verifies {
    Rsa(&'static RsaParameters),
    /// On the curve of this name, with coordinates of so many bytes.
    Ec(&'static str, usize, &'static dyn VerificationAlgorithm),
    Ed25519(&'static dyn VerificationAlgorithm),
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
    ];

    /// As tokens, keys and the configuration name it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }

    /// By its exact name.
    pub fn of(name: &str) -> Option<Self> {
        if name == "Ed25519" {
            return Some(Self::EdDsa);
        }
        Self::ALL.into_iter().find(|one| one.name() == name)
    }

    pub(super) fn verifies(self) -> Verifies {
        match self {
            Self::Rs256 => Verifies::Rsa(&RSA_PKCS1_2048_8192_SHA256),
            Self::Rs384 => Verifies::Rsa(&RSA_PKCS1_2048_8192_SHA384),
            Self::Rs512 => Verifies::Rsa(&RSA_PKCS1_2048_8192_SHA512),
            Self::Ps256 => Verifies::Rsa(&RSA_PSS_2048_8192_SHA256),
            Self::Ps384 => Verifies::Rsa(&RSA_PSS_2048_8192_SHA384),
            Self::Ps512 => Verifies::Rsa(&RSA_PSS_2048_8192_SHA512),
            Self::Es256 => Verifies::Ec("P-256", 32, &ECDSA_P256_SHA256_FIXED),
            Self::Es384 => Verifies::Ec("P-384", 48, &ECDSA_P384_SHA384_FIXED),
            Self::EdDsa => Verifies::Ed25519(&ED25519),
        }
    }
}
