//! One policy: what is asked, and by which means.

use super::cache::DecisionCache;
use super::forward::{BodyRule, Forward, ForwardSettings};
use super::proof::{self, ApiKeySettings, BasicChecks, BasicSettings, ClientCertSettings};
use super::{Asked, Reason, Recorder, Verdict};
use crate::net::TrustedPeers;
use crate::telemetry::metrics::Metrics;
use crate::upstream::Cluster;
use std::sync::Arc;

/// A policy as compiled from the configuration.
///
/// A reload compares: settings that are equal keep their policy with all that it remembers.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicySettings {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// How it decides.
    pub means: Means,
    /// Whether it only decides and records, and never refuses.
    pub shadow: bool,
}

/// How a policy decides.
#[derive(Clone, Debug, PartialEq)]
pub enum Means {
    /// By the client's address.
    Ip(TrustedPeers),
    /// By an API key.
    ApiKey(Box<ApiKeySettings>),
    /// By name and password.
    Basic(Box<BasicSettings>),
    /// By the client's certificate.
    ClientCert(ClientCertSettings),
    /// By asking an external authorizer.
    Forward(Box<ForwardSettings>),
}

impl PolicySettings {
    /// The upstream that it asks, if it asks one.
    pub fn upstream(&self) -> Option<&Arc<str>> {
        match &self.means {
            Means::Ip(_) | Means::ApiKey(_) | Means::Basic(_) | Means::ClientCert(_) => None,
            Means::Forward(forward) => Some(&forward.upstream),
        }
    }
}

/// A policy at work.
pub struct Policy {
    settings: PolicySettings,
    forward: Option<Forward>,
    basic: Option<BasicChecks>,
}

impl Policy {
    /// Makes it. `cluster` is the upstream that it asks, if it asks one.
    pub fn new(
        settings: PolicySettings,
        cluster: Option<Arc<Cluster>>,
        metrics: &Metrics,
    ) -> Arc<Self> {
        let forward = match (&settings.means, cluster) {
            (Means::Forward(forward), Some(cluster)) => {
                let cache = forward.cache.clone();
                let counts = || metrics.auth_cache(&settings.name);
                Some(Forward {
                    cluster,
                    cache: cache.map(|cache| DecisionCache::new(cache, counts())),
                })
            }
            _ => None,
        };
        let basic = if let Means::Basic(basic) = &settings.means {
            Some(BasicChecks::new(basic, metrics.auth_cache(&settings.name)))
        } else {
            None
        };
        Arc::new(Self {
            settings,
            forward,
            basic,
        })
    }

    /// Whether it is made of these settings and asks this upstream, so that a reload may keep it.
    pub fn is_of(&self, settings: &PolicySettings, cluster: Option<&Arc<Cluster>>) -> bool {
        let own = self.forward.as_ref().map(|forward| &forward.cluster);
        let same_cluster = match (own, cluster) {
            (Some(own), Some(other)) => Arc::ptr_eq(own, other),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        same_cluster && self.settings == *settings
    }

    /// What it was made of.
    pub const fn settings(&self) -> &PolicySettings {
        &self.settings
    }

    /// How much of a request's body it wants to see on this route; None: nothing.
    pub fn body_wanted(&self, route: &str) -> Option<BodyRule> {
        match &self.settings.means {
            Means::Forward(settings) => settings.rules(route).body,
            Means::Ip(_) | Means::ApiKey(_) | Means::Basic(_) | Means::ClientCert(_) => None,
        }
    }

    /// Decides about a request, under a span of its own.
    pub async fn check(&self, asked: &Asked<'_>, recorder: &mut Recorder<'_>) -> Verdict {
        let name = &self.settings.name;
        let mut span = recorder.decision(name);
        let verdict = match &self.settings.means {
            Means::Ip(networks) => proof::ip(name, networks, asked),
            Means::ApiKey(settings) => proof::api_key(name, settings, asked),
            Means::ClientCert(settings) => proof::client_cert(name, settings, asked),
            Means::Basic(settings) => match &self.basic {
                Some(checks) => checks.check(name, settings, asked, &mut span).await,
                None => Verdict::deny(Reason::Unavailable),
            },
            Means::Forward(settings) => match &self.forward {
                Some(forward) => forward.check(name, settings, asked, &mut span).await,
                None => Verdict::deny(Reason::Unavailable),
            },
        };
        if self.settings.shadow
            && let Some(span) = span.span()
        {
            span.bool("edgespan.auth.enforced", false);
        }
        span.decide(&verdict);
        verdict
    }
}
