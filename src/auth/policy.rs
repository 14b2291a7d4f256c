//! One policy: what is asked, and by which means.

use super::audit::Audit;
use super::forward::{BodyRule, FieldPattern, Forward, ForwardSettings};
use super::jwt::{JwtSettings, Tokens};
use super::oidc::{Oidc, OidcSettings, Refreshes};
use super::proof::{self, ApiKeySettings, BasicChecks, BasicSettings, ClientCertSettings};
use super::provider::{ProviderSettings, Providers};
use super::session::Sessions;
use super::{Asked, DecisionSpan, Grant, Reason, Recorder, Require, Verdict};
use crate::clock::Stopwatch;
use crate::net::TrustedPeers;
use crate::telemetry::metrics::{AuthCounts, AuthObservation, ExemplarIds};
use crate::upstream::Cluster;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};
use std::sync::Arc;
use std::time::Duration;

/// A policy as compiled from the configuration.
///
/// A reload compares: settings that are equal keep their policy with all that it remembers.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicySettings {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// How it decides.
    pub means: Means,
    /// What has to hold of a client beside.
    pub require: Option<Arc<Require>>,
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
    /// By a token that an issuer signed, or knows.
    Jwt(Box<JwtSettings>),
    /// By a login at an OpenID Provider.
    Oidc(Box<OidcSettings>),
}

impl Means {
    /// The key of the configuration that it is.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Ip(_) => "ip",
            Self::ApiKey(_) => "api_key",
            Self::Basic(_) => "basic",
            Self::ClientCert(_) => "client_cert",
            Self::Forward(_) => "forward",
            Self::Jwt(_) => "jwt",
            Self::Oidc(_) => "oidc",
        }
    }
}

impl PolicySettings {
    /// How it asks an authorizer, if it does.
    const fn forward(&self) -> Option<&ForwardSettings> {
        match &self.means {
            Means::Forward(forward) => Some(forward),
            Means::Ip(_)
            | Means::ApiKey(_)
            | Means::Basic(_)
            | Means::ClientCert(_)
            | Means::Jwt(_)
            | Means::Oidc(_) => None,
        }
    }

    /// The upstream that it asks, if it asks one.
    pub fn upstream(&self) -> Option<&Arc<str>> {
        self.forward().map(|forward| &forward.upstream)
    }

    /// The issuers that it has to know.
    pub fn providers(&self) -> Vec<&ProviderSettings> {
        match &self.means {
            Means::Jwt(jwt) => jwt.issuers.iter().map(|one| &one.provider).collect(),
            Means::Oidc(oidc) => vec![&oidc.provider],
            Means::Ip(_)
            | Means::ApiKey(_)
            | Means::Basic(_)
            | Means::ClientCert(_)
            | Means::Forward(_) => Vec::new(),
        }
    }

    /// The header fields in which its tokens go to origins, less `Authorization`, by which clients
    /// that others know prove who they are.
    pub fn token_headers(&self) -> impl Iterator<Item = &HeaderName> {
        let pass = match &self.means {
            Means::Oidc(oidc) => oidc.pass.as_slice(),
            Means::Ip(_)
            | Means::ApiKey(_)
            | Means::Basic(_)
            | Means::ClientCert(_)
            | Means::Forward(_)
            | Means::Jwt(_) => &[],
        };
        let headers = pass.iter().map(|pass| &pass.header);
        headers.filter(|header| **header != AUTHORIZATION)
    }

    /// The header fields that come from it and from nobody else, beside those made of an identity.
    pub fn identity_headers(&self) -> &[FieldPattern] {
        self.forward()
            .map_or(&[], |forward| &forward.identity_headers)
    }
}

/// A policy at work.
pub struct Policy {
    settings: PolicySettings,
    forward: Option<Forward>,
    basic: Option<BasicChecks>,
    tokens: Option<Tokens>,
    login: Option<(Arc<Oidc>, Arc<Sessions>)>,
    /// Whose cookies an authorizer does not get to see, where the file has logins.
    hides: Option<Arc<Sessions>>,
    counts: Arc<AuthCounts>,
}

/// What a policy works with beside its settings.
#[derive(Clone, Copy)]
pub struct Resources<'a> {
    /// The upstream that it asks, if it asks one.
    pub cluster: Option<&'a Arc<Cluster>>,
    /// The issuers of the file.
    pub providers: &'a Providers,
    /// Who is logged in, where the file has logins.
    pub sessions: Option<&'a Arc<Sessions>>,
    /// Who is told of logins, where the file has some.
    pub audit: Option<&'a Arc<Audit>>,
}

/// Counts a decision, also one that was given up because its client left.
struct Counting<'a> {
    policy: &'a Policy,
    watch: Stopwatch,
    began: Duration,
    /// None: it was given up.
    ended: Option<Duration>,
    exemplar: Option<ExemplarIds>,
    decision: &'static str,
    reason: &'static str,
}

impl Drop for Counting<'_> {
    fn drop(&mut self) {
        let now = self.ended.unwrap_or_else(|| self.watch.elapsed());
        self.policy.counts.decided(&AuthObservation {
            decision: self.decision,
            reason: self.reason,
            enforced: !self.policy.settings.shadow,
            duration: now.saturating_sub(self.began),
            ended: self.watch.started().plus(now),
            exemplar: self.exemplar,
        });
    }
}

impl Policy {
    /// Makes it. `counts` are the numbers of its name.
    pub fn new(
        settings: PolicySettings,
        resources: Resources<'_>,
        counts: Arc<AuthCounts>,
    ) -> Arc<Self> {
        let (mut forward, mut basic) = (None, None);
        let (mut tokens, mut login, mut hides) = (None, None, None);
        match &settings.means {
            Means::Forward(means) => {
                let cluster = resources.cluster.map(Arc::clone);
                forward = cluster.map(|cluster| Forward::new(means, cluster, &counts));
                hides = resources.sessions.map(Arc::clone);
            }
            Means::Basic(means) => basic = Some(BasicChecks::new(means, Arc::clone(&counts))),
            Means::Jwt(means) => {
                let own = (&*settings.name, settings.require.as_deref());
                let providers = resources.providers;
                tokens = Some(Tokens::new(own, means, providers, Arc::clone(&counts)));
            }
            Means::Oidc(means) => {
                let provider = resources.providers.find(&means.provider);
                let known = resources.sessions.zip(resources.audit);
                login = provider.zip(known).map(|(provider, (sessions, audit))| {
                    let oidc = Oidc {
                        settings: OidcSettings::clone(means),
                        provider,
                        name: Arc::clone(&settings.name),
                        audit: Arc::clone(audit),
                        refreshes: Refreshes::default(),
                    };
                    (Arc::new(oidc), Arc::clone(sessions))
                });
            }
            Means::Ip(_) | Means::ApiKey(_) | Means::ClientCert(_) => {}
        }
        Arc::new(Self {
            settings,
            forward,
            basic,
            tokens,
            login,
            hides,
            counts,
        })
    }

    /// Whether it is made of these settings and works with these, so that a reload may keep it.
    pub fn is_of(&self, settings: &PolicySettings, resources: Resources<'_>) -> bool {
        let own = self.forward.as_ref().map(Forward::cluster);
        let same_cluster = match (own, resources.cluster) {
            (Some(own), Some(other)) => Arc::ptr_eq(own, other),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        let same_issuers = match (&self.tokens, &settings.means) {
            (Some(tokens), Means::Jwt(means)) => tokens.is_of(means, resources.providers),
            (tokens, _) => tokens.is_none(),
        };
        let same_sessions = match (&self.login, resources.sessions) {
            (Some((oidc, own)), Some(sessions)) => {
                let provider = resources.providers.find(&oidc.settings.provider);
                Arc::ptr_eq(own, sessions)
                    && resources
                        .audit
                        .is_some_and(|audit| Arc::ptr_eq(audit, &oidc.audit))
                    && provider.is_some_and(|provider| Arc::ptr_eq(&provider, &oidc.provider))
            }
            (login, _) => login.is_none(),
        };
        let hides_alike = match (&self.forward, &self.hides, resources.sessions) {
            (None, _, _) | (Some(_), None, None) => true,
            (Some(_), Some(own), Some(other)) => Arc::ptr_eq(own, other),
            (Some(_), Some(_), None) | (Some(_), None, Some(_)) => false,
        };
        let same_means = same_cluster && same_issuers && same_sessions && hides_alike;
        same_means && self.settings == *settings
    }

    /// Its login, if it is one.
    pub fn login(&self) -> Option<&Arc<Oidc>> {
        self.login.as_ref().map(|(oidc, _)| oidc)
    }

    /// What it was made of.
    pub const fn settings(&self) -> &PolicySettings {
        &self.settings
    }

    /// Whether others may be waited for while it decides.
    pub fn waits(&self) -> bool {
        self.settings.upstream().is_some()
            || self.basic.is_some()
            || self.tokens.is_some()
            || self.login.is_some()
    }

    /// How much of a request's body it wants to see on this route; None: nothing.
    pub fn body_wanted(&self, route: &str) -> Option<BodyRule> {
        self.settings.forward()?.rules(route).body
    }

    /// Has the place of an API key or a token emptied, whoever allowed. One in shadow changes
    /// nothing.
    pub fn take_key_out(&self, grant: &mut Grant) {
        if self.settings.shadow {
            return;
        }
        match &self.settings.means {
            Means::ApiKey(settings) => settings.take_out(grant),
            Means::Jwt(settings) => settings.take_out(grant),
            Means::Ip(_)
            | Means::Basic(_)
            | Means::ClientCert(_)
            | Means::Forward(_)
            | Means::Oidc(_) => {}
        }
    }

    /// Whether what it allows says something of who the client is, and not only where it is.
    pub const fn knows_clients(&self) -> bool {
        !matches!(self.settings.means, Means::Ip(_))
    }

    /// Decides about a request, under a span of its own, from when its clock was last read.
    /// `beside` is what its route requires more.
    pub async fn check(
        &self,
        asked: &Asked<'_>,
        beside: Option<&Require>,
        recorder: &mut Recorder<'_>,
    ) -> Verdict {
        let name = &self.settings.name;
        let (watch, began) = (recorder.watch, recorder.read);
        let now = watch.started_instant() + began;
        let mut span = recorder.decision_begun(name);
        let mut counting = Counting {
            policy: self,
            watch,
            began,
            ended: None,
            exemplar: span.exemplar(),
            decision: "cancelled",
            reason: "",
        };
        let verdict = match &self.settings.means {
            Means::Ip(networks) => proof::ip(name, networks, asked),
            Means::ApiKey(settings) => proof::api_key(name, settings, asked),
            Means::ClientCert(settings) => proof::client_cert(name, settings, asked),
            Means::Basic(settings) => match &self.basic {
                Some(checks) => checks.check(name, settings, asked, &mut span).await,
                None => Verdict::deny(Reason::Unavailable),
            },
            Means::Forward(settings) => match &self.forward {
                Some(forward) => {
                    let hidden = self.hidden(asked);
                    let headers = hidden.as_ref().unwrap_or(asked.headers);
                    let asked = Asked { headers, ..*asked };
                    forward.check(name, settings, &asked, now, &mut span).await
                }
                None => Verdict::deny(Reason::Unavailable),
            },
            Means::Jwt(settings) => match &self.tokens {
                Some(tokens) => tokens.check(name, settings, asked, now, &mut span).await,
                None => Verdict::deny(Reason::Unavailable),
            },
            Means::Oidc(_) => match &self.login {
                // In a box: a renewal needs much room, and hardly any request one.
                Some((oidc, sessions)) => Box::pin(oidc.check(sessions, asked, &mut span)).await,
                None => Verdict::deny(Reason::Unavailable),
            },
        };
        let verdict = self.held_to(verdict, beside, &mut span);
        if self.settings.shadow
            && let Some(span) = span.span()
        {
            span.bool("edgespan.auth.enforced", false);
        }
        span.decide(&verdict);
        counting.ended = Some(recorder.read);
        counting.decision = verdict.name();
        counting.reason = verdict.reason().map_or("", Reason::name);
        verdict
    }

    /// The header fields that an authorizer may be told of, if those of the request are too many:
    /// whoever has a cookie of a login has the session.
    fn hidden(&self, asked: &Asked<'_>) -> Option<HeaderMap> {
        self.hides.as_ref()?.hidden(asked.headers)
    }

    /// A permission holds if nothing is lacking of the client; else it is a refusal. A login that
    /// may begin is asked at once for what is required of it, so that nobody logs in twice.
    fn held_to(
        &self,
        verdict: Verdict,
        beside: Option<&Require>,
        span: &mut DecisionSpan<'_, '_>,
    ) -> Verdict {
        let own = self.settings.require.as_deref();
        let all = own.into_iter().chain(beside);
        let grant = match verdict {
            Verdict::Allow(grant) => grant,
            Verdict::Abstain(mut denial) => {
                all.for_each(|one| one.ask_at_once(&mut denial));
                return Verdict::Abstain(denial);
            }
            Verdict::Deny(_) => return verdict,
        };
        let identity = grant.identity.as_deref();
        let mut lacking = all.filter_map(|one| Some((one, one.lacking(identity)?)));
        let Some((require, lack)) = lacking.next() else {
            return Verdict::Allow(grant);
        };
        if let Some(span) = span.span() {
            span.str("edgespan.auth.lacks", lack.name());
        }
        let denial = *require.denial(lack, &self.settings);
        Verdict::Deny(Box::new(denial.after(&grant)))
    }
}
