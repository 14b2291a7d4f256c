//! Proof by a token: a JWT that an issuer signed, or an opaque one that it is asked about.

mod settings;

pub use settings::{Introspection, JwtIssuer, JwtSettings, TokenPlace};

use super::provider::{Provider, Providers};
use super::{Asked, DecisionSpan, Reason, Verdict};
use std::sync::Arc;

/// What verifies the tokens of a policy. Remembers what it verified.
pub struct Tokens {
    issuers: Vec<Arc<Provider>>,
}

impl Tokens {
    /// Makes it; its issuers are among `providers`.
    pub fn new(settings: &JwtSettings, providers: &Providers) -> Self {
        let issuers = settings.issuers.iter();
        Self {
            issuers: issuers
                .filter_map(|issuer| providers.find(&issuer.provider))
                .collect(),
        }
    }

    /// Whether it verifies by these issuers, so that a reload may keep it.
    pub fn is_of(&self, settings: &JwtSettings, providers: &Providers) -> bool {
        let wanted = settings
            .issuers
            .iter()
            .map(|issuer| providers.find(&issuer.provider));
        let own = self.issuers.iter().map(|own| Some(Arc::clone(own)));
        self.issuers.len() == settings.issuers.len()
            && own.zip(wanted).all(|(own, wanted)| match (own, wanted) {
                (Some(own), Some(wanted)) => Arc::ptr_eq(&own, &wanted),
                _ => false,
            })
    }

    /// Decides about a request by its token.
    pub async fn check(
        &self,
        _name: &Arc<str>,
        _settings: &JwtSettings,
        _asked: &Asked<'_>,
        _span: &mut DecisionSpan<'_, '_>,
    ) -> Verdict {
        std::future::ready(Verdict::abstain(Reason::NoCredential)).await
    }
}
