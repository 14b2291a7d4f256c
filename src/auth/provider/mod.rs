//! Whoever issues tokens: what it says of itself (OpenID Connect Discovery 1.0, RFC 8414), its
//! keys, and the calls that are made to it.
//!
//! One for each issuer of a file, shared by its policies and kept by a reload. It may be away when
//! edgespan starts: what is needed is fetched when it is there, ahead of time, once for all who
//! wait, and kept while it is down again.

mod calls;
mod metadata;
mod settings;

pub use calls::{ProviderError, Tokens};
pub use metadata::Metadata;
pub use settings::{ClientAuth, Endpoints, KeySource, OidcClient, ProviderSettings};

use super::DecisionSpan;
use super::jose::{KeySet, TokenHeader};
use std::sync::Arc;

/// Whoever issues tokens, at work.
pub struct Provider {
    settings: ProviderSettings,
}

/// The issuers of a file.
#[derive(Clone, Default)]
pub struct Providers(Vec<Arc<Provider>>);

impl Provider {
    /// Begins to fetch what it needs to know, in the background. Has to run inside the runtime.
    pub fn start(settings: ProviderSettings) -> Arc<Self> {
        Arc::new(Self { settings })
    }

    /// What it was made of.
    pub const fn settings(&self) -> &ProviderSettings {
        &self.settings
    }

    /// What it still lacks to verify tokens, in words; None: nothing.
    pub fn lacks(&self) -> Option<Arc<str>> {
        Some(Arc::from("its keys"))
    }

    /// What it says of itself. Waits for whoever fetches it, if nobody has yet.
    ///
    /// # Errors
    /// [`ProviderError`], if it never was there.
    pub async fn metadata(
        &self,
        _span: Option<&mut DecisionSpan<'_, '_>>,
    ) -> Result<Arc<Metadata>, ProviderError> {
        std::future::ready(Err(ProviderError::Unavailable(
            "nothing is known of it yet".into(),
        )))
        .await
    }

    /// Keys of which one is that of `header`, if there is one anywhere: keys that are not known
    /// are asked for anew, once for all who wait, and not again within the cool-down.
    ///
    /// # Errors
    /// [`ProviderError`], if there are no keys at all.
    pub async fn keys(
        &self,
        _header: &TokenHeader,
        _span: Option<&mut DecisionSpan<'_, '_>>,
    ) -> Result<Arc<KeySet>, ProviderError> {
        std::future::ready(Err(ProviderError::Unavailable("it has no keys yet".into()))).await
    }
}

impl Providers {
    /// Those of `wanted`; what `before` has of them goes on.
    pub fn start(wanted: impl Iterator<Item = ProviderSettings>, before: Option<&Self>) -> Self {
        let mut made: Vec<Arc<Provider>> = Vec::new();
        for settings in wanted {
            if made.iter().any(|one| one.settings == settings) {
                continue;
            }
            let kept = before.and_then(|before| before.find(&settings));
            made.push(kept.unwrap_or_else(|| Provider::start(settings)));
        }
        Self(made)
    }

    /// The one of these settings.
    pub fn find(&self, settings: &ProviderSettings) -> Option<Arc<Provider>> {
        self.0.iter().find(|one| one.settings == *settings).cloned()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Provider>> {
        self.0.iter()
    }
}
