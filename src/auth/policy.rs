//! One policy: what is asked, and by which means.

use super::forward::{BodyRule, Forward, ForwardSettings};
use super::{Asked, Reason, Recorder, Verdict, ip};
use crate::net::TrustedPeers;
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
    /// By asking an external authorizer.
    Forward(Box<ForwardSettings>),
}

impl PolicySettings {
    /// The upstream that it asks, if it asks one.
    pub fn upstream(&self) -> Option<&Arc<str>> {
        match &self.means {
            Means::Ip(_) => None,
            Means::Forward(forward) => Some(&forward.upstream),
        }
    }
}

/// A policy at work.
pub struct Policy {
    settings: PolicySettings,
    forward: Option<Forward>,
}

impl Policy {
    /// Makes it. `cluster` is the upstream that it asks, if it asks one.
    pub fn new(settings: PolicySettings, cluster: Option<Arc<Cluster>>) -> Arc<Self> {
        let forward = cluster.map(|cluster| Forward { cluster });
        Arc::new(Self { settings, forward })
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
            Means::Ip(_) => None,
        }
    }

    /// Decides about a request, under a span of its own.
    pub async fn check(&self, asked: &Asked<'_>, recorder: &mut Recorder<'_>) -> Verdict {
        let name = &self.settings.name;
        let mut span = recorder.decision(name);
        let verdict = match &self.settings.means {
            Means::Ip(networks) => ip::check(name, networks, asked),
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
