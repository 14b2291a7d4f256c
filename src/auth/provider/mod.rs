//! Whoever issues tokens: what it says of itself (OpenID Connect Discovery 1.0, RFC 8414), its
//! keys, and the calls that are made to it.
//!
//! One for each issuer of a file, shared by its policies and kept by a reload. It may be away when
//! edgespan starts: what is needed is fetched when it is there, ahead of time, once for all who
//! wait, and kept while it is down again.

mod calls;
mod client_key;
mod desk;
mod document;
mod keep;
mod line;
mod metadata;
mod proof;
mod reply;
mod settings;

#[cfg(test)]
mod tests;

pub use calls::{ProviderError, Tokens};
pub use client_key::{ClientKey, ClientKeyError};
pub use metadata::Metadata;
pub use reply::error_word;
pub use settings::{Audience, ClientAuth, Endpoints, KeySource, OidcClient, ProviderSettings};

use super::DecisionSpan;
use super::jose::{KeySet, TokenHeader};
use crate::telemetry::metrics::{KeyMiss, Metrics, ProviderCounts};
use desk::Desk;
use document::Need;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::AbortHandle;

/// Whoever issues tokens, at work. Dropped, it is asked nothing any more.
pub struct Provider {
    desk: Arc<Desk>,
    keeper: AbortHandle,
    counts: Arc<ProviderCounts>,
}

/// The issuers of a file.
#[derive(Clone, Default)]
pub struct Providers(Vec<Arc<Provider>>);

impl Drop for Provider {
    fn drop(&mut self) {
        self.keeper.abort();
        self.counts.goes_out_of_force();
    }
}

impl Provider {
    /// Begins to fetch what it needs to know, in the background. Has to run inside the runtime.
    pub fn start(settings: ProviderSettings) -> Arc<Self> {
        let counts = ProviderCounts::unlisted(&settings.issuer);
        Self::go_on(settings, counts, None)
    }

    /// The same, with what `before` knows of the same issuer.
    fn go_on(
        settings: ProviderSettings,
        counts: Arc<ProviderCounts>,
        before: Option<&Self>,
    ) -> Arc<Self> {
        let before = before.map(|before| &*before.desk);
        let desk = Arc::new(Desk::new(settings, Arc::clone(&counts), before));
        counts.comes_into_force();
        let keeper = tokio::spawn(keep::keep(Arc::clone(&desk))).abort_handle();
        Arc::new(Self {
            desk,
            keeper,
            counts,
        })
    }

    /// What it was made of.
    pub fn settings(&self) -> &ProviderSettings {
        &self.desk.settings
    }

    /// What it still lacks to verify tokens, in words; None: nothing.
    pub fn lacks(&self) -> Option<String> {
        let desk = &self.desk;
        let is_silent = desk.discovers() && desk.metadata.known().is_none();
        let what = match (is_silent, desk.keys.known().is_some()) {
            (_, false) => "keys",
            (true, true) => "metadata",
            (false, true) => return None,
        };
        Some(format!("the {what} of {}", desk.settings.issuer))
    }

    /// Waits until its keys are there.
    pub async fn came(&self) {
        self.desk.keys.came().await;
    }

    /// What it says of itself. Waits for whoever fetches it, if nobody has yet.
    ///
    /// # Errors
    /// [`ProviderError`], if it never was there.
    pub async fn metadata(
        &self,
        span: Option<&mut DecisionSpan<'_, '_>>,
    ) -> Result<Arc<Metadata>, ProviderError> {
        if let Some(metadata) = self.desk.metadata.value() {
            return Ok(metadata);
        }
        self.desk.was_asked_for.store(true, Ordering::Relaxed);
        let need = Need::Request(Duration::ZERO);
        Box::pin(self.desk.fetch_metadata(need, span)).await
    }

    /// Keys of which one is that of `header`, if there is one anywhere: keys that are not known
    /// are asked for anew, once for all who wait, and not again within the cool-down.
    ///
    /// # Errors
    /// [`ProviderError`], if there are no keys at all.
    pub async fn keys(
        &self,
        header: &TokenHeader,
        span: Option<&mut DecisionSpan<'_, '_>>,
    ) -> Result<Arc<KeySet>, ProviderError> {
        let known = self.desk.keys.value();
        if let Some(keys) = &known
            && keys.has(header)
        {
            return Ok(Arc::clone(keys));
        }
        let need = match (&known, &self.settings().keys) {
            // Whoever looks at the file sees that it has changed.
            (Some(keys), KeySource::File(_)) => {
                self.counts.missed(KeyMiss::Resting);
                return Ok(Arc::clone(keys));
            }
            (Some(_), _) => Need::Request(self.settings().cooldown),
            (None, _) => Need::Request(Duration::ZERO),
        };
        let fetched = Box::pin(self.desk.fetch_keys(need, span)).await;
        fetched.or_else(|error| known.ok_or(error))
    }
}

impl Providers {
    /// Those of `wanted`; what `before` has of them goes on. Has to run inside the runtime.
    pub fn start(
        wanted: impl Iterator<Item = ProviderSettings>,
        metrics: &Metrics,
        before: Option<&Self>,
    ) -> Self {
        let mut made: Vec<Arc<Provider>> = Vec::new();
        for settings in wanted {
            if made.iter().any(|one| *one.settings() == settings) {
                continue;
            }
            let kept = before.and_then(|before| before.find(&settings));
            made.push(kept.unwrap_or_else(|| {
                let counts = metrics.provider(&settings.issuer);
                let of_issuer = before.and_then(|before| {
                    let mut of_issuer = before.0.iter();
                    of_issuer.find(|one| one.settings().issuer == settings.issuer)
                });
                Provider::go_on(settings, counts, of_issuer.map(|one| &**one))
            }));
        }
        Self(made)
    }

    /// The one of these settings.
    pub fn find(&self, settings: &ProviderSettings) -> Option<Arc<Provider>> {
        self.0
            .iter()
            .find(|one| one.settings() == settings)
            .cloned()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Provider>> {
        self.0.iter()
    }
}
