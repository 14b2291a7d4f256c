//! Live objects out of a plan.

use super::login;
use super::parts::Clusters;
use crate::auth::assertion::Assertions;
use crate::auth::provider::Providers;
use crate::auth::{Policy, PolicySettings, Requirement, Resources};
use crate::config::Plan;
use crate::export::ExportError;
use crate::listener::ListenerSettings;
use crate::proxy::plan::{RouteAction, RoutePlan};
use crate::proxy::{LiveAction, LiveMirror, LiveRoute, LiveSplit, Snapshot, TraceRule};
use crate::ratelimit::RateLimits;
use crate::route::{RouteSpec, RouteTable};
use crate::server::MemoryPressure;
use crate::shared::{Line, StoreError};
use crate::telemetry::access_log::AccessLog;
use crate::telemetry::metrics::Metrics;
use crate::tls::{Acceptor, Keeper, Tickets, TlsFileError};
use crate::trace::flags::FeatureFlags;
use crate::trace::propagate::Propagators;
use crate::trace::redact::Redaction;
use crate::trace::sampler::HeadSampler;
use crate::trace::settings::{KnownMethods, TraceSettings};
use crate::trace::sink::SpanSink;
use crate::trace::span::SpanLimits;
use crate::verify::arrival::Desk;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

/// What an address was to be listened on for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Door {
    /// The data listener of this name.
    Listener(Arc<str>),
    /// The operator's whole interface.
    Admin,
    /// Health and metrics alone.
    Probes,
    /// OTLP of services over gRPC, for the store of traces.
    OtlpGrpc,
    /// The same over HTTP.
    OtlpHttp,
}

/// Why nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// Whose it is.
        door: Door,
        /// Which.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A certificate or key cannot be used.
    #[error("TLS of {owner} cannot be set up")]
    TlsFile {
        /// Whose: a listener or an upstream.
        owner: String,
        /// Why.
        #[source]
        source: TlsFileError,
    },
    /// An exporter cannot be made.
    #[error("spans cannot be exported")]
    Export(#[source] ExportError),
    /// The access log's writer cannot be started.
    #[error("the access log cannot be written")]
    AccessLog(#[source] io::Error),
    /// The Redis that limits and sessions share cannot be set up.
    #[error("nothing can be shared in Redis")]
    Redis(#[source] StoreError),
    /// It panicked.
    #[error("the configuration could not be made ready")]
    Panicked(#[source] tokio::task::JoinError),
    /// The routes contradict each other.
    #[error("routes cannot be served")]
    Routes(#[source] crate::route::BuildError),
    /// A route names a policy that the plan lacks.
    #[error("route {route} requires a policy that does not exist")]
    UnknownPolicy {
        /// The route.
        route: Arc<str>,
    },
    /// A route names an upstream that the plan lacks.
    #[error("route {route} goes to upstream {upstream}, which does not exist")]
    UnknownUpstream {
        /// The route.
        route: Arc<str>,
        /// The upstream.
        upstream: Arc<str>,
    },
}

/// What the requests of this plan read. What the snapshot `before` remembers of clients goes on.
pub(super) fn snapshot(
    plan: &Plan,
    clusters: &Clusters,
    metrics: &Arc<Metrics>,
    sinks: Vec<Arc<dyn SpanSink>>,
    access_log: Option<Arc<AccessLog>>,
    before: Option<&Snapshot>,
) -> Result<Snapshot, StartError> {
    let tracing = &plan.tracing;
    let trace = TraceSettings {
        limits: SpanLimits {
            attribute_count_max: tracing.attribute_count_max,
            attribute_value_max: tracing.attribute_value_max,
        },
        redaction: Redaction::new(tracing.redact_query.iter().map(AsRef::as_ref)),
        known_methods: KnownMethods::new(tracing.known_methods.clone()),
        peer_service: tracing.peer_service,
        synthetic: tracing.synthetic,
    };
    let redis = redis(plan, metrics, before)?;
    let limits = rate_limits(plan, redis.as_ref(), metrics, before);
    let providers = providers(plan, metrics, before);
    let sessions = login::sessions(plan, redis.as_ref(), metrics, before);
    let audit = login::audit(plan, sessions.as_ref(), metrics, before);
    let resources = Resources {
        cluster: None,
        providers: &providers,
        sessions: sessions.as_ref(),
        audit: audit.as_ref(),
    };
    let policies = policies(plan, clusters, resources, metrics, before);
    let logins = login::logins(plan, resources, &policies, before);
    let routes = plan
        .routes
        .iter()
        .map(|(spec, route)| {
            Ok((
                spec.clone(),
                live_route(spec, route, clusters, &policies, &limits, &trace)?,
            ))
        })
        .collect::<Result<Vec<_>, StartError>>()?;
    if let Some(before) = before {
        go_on_compressing(plan, before);
    }
    let in_order = plan.upstreams.iter();
    Ok(Snapshot {
        clusters: in_order
            .filter_map(|settings| clusters.get(&settings.name))
            .map(|made| Arc::clone(&made.cluster))
            .collect(),
        config: Arc::clone(&plan.text),
        routes: RouteTable::build(routes).map_err(StartError::Routes)?,
        unmatched: TraceRule {
            sampler: HeadSampler::new(&tracing.default_sampling),
            flags: FeatureFlags::new(&tracing.feature_flags, &trace.limits),
        },
        trace,
        recording: tracing.recording,
        propagators: Propagators::from_names(tracing.propagators.iter().map(AsRef::as_ref)),
        root_from: tracing.root_from.clone(),
        sinks,
        response_trace_id: tracing.response_trace_id,
        metrics: Arc::clone(metrics),
        redis,
        limits,
        memory: memory(plan, metrics, before),
        access_log,
        policies,
        providers,
        logins,
        audit,
        reserved: Arc::clone(&plan.reserved),
        assertion: assertion(plan, before),
        arrival: arrival(plan, before),
    })
}

/// The policies of a plan: those of `before` whose settings are still the same, and new ones.
fn policies(
    plan: &Plan,
    clusters: &Clusters,
    resources: Resources<'_>,
    metrics: &Metrics,
    before: Option<&Snapshot>,
) -> Vec<Arc<Policy>> {
    let made = |settings: &PolicySettings| {
        let cluster = settings.upstream().and_then(|name| clusters.get(name));
        let resources = Resources {
            cluster: cluster.map(|made| &made.cluster),
            ..resources
        };
        let mut before = before.iter().flat_map(|snapshot| &snapshot.policies);
        let kept = before.find(|policy| policy.is_of(settings, resources));
        kept.map_or_else(
            || {
                let counts = metrics.auth_policy(&settings.name);
                Policy::new(settings.clone(), resources, counts)
            },
            Arc::clone,
        )
    };
    plan.policies.iter().map(made).collect()
}

/// The issuers that the plan's policies have to know; what is known of them goes on.
fn providers(plan: &Plan, metrics: &Metrics, before: Option<&Snapshot>) -> Providers {
    let wanted = plan
        .policies
        .iter()
        .flat_map(PolicySettings::providers)
        .cloned();
    Providers::start(wanted, metrics, before.map(|snapshot| &snapshot.providers))
}

/// What signs assertions; what it signed already counts if its settings are the same.
fn assertion(plan: &Plan, before: Option<&Snapshot>) -> Option<Arc<Assertions>> {
    let settings = plan.assertion.as_ref()?;
    let before = before.and_then(|snapshot| snapshot.assertion.as_ref());
    let kept = before.filter(|assertions| assertions.settings() == settings);
    let made = || Arc::new(Assertions::new(settings.clone()));
    Some(kept.map_or_else(made, Arc::clone))
}

/// Who is told what arrived; questions that are open go on.
fn arrival(plan: &Plan, before: Option<&Snapshot>) -> Option<Desk> {
    let before = before.and_then(|snapshot| snapshot.arrival.as_ref());
    let settings = plan.arrival.clone();
    settings.map(|settings| Desk::new(settings, before))
}

/// The connection to Redis; that of `before` goes on if it is to the same one.
fn redis(
    plan: &Plan,
    metrics: &Metrics,
    before: Option<&Snapshot>,
) -> Result<Option<Arc<Line>>, StartError> {
    let Some(settings) = plan.redis.as_ref() else {
        return Ok(None);
    };
    let before = before.and_then(|snapshot| snapshot.redis.as_ref());
    if let Some(kept) = before.filter(|line| line.settings() == settings) {
        return Ok(Some(Arc::clone(kept)));
    }
    let line = Line::start(settings, metrics.redis()).map_err(StartError::Redis)?;
    Ok(Some(line))
}

fn rate_limits(
    plan: &Plan,
    redis: Option<&Arc<Line>>,
    metrics: &Metrics,
    before: Option<&Snapshot>,
) -> RateLimits {
    let before = before.map(|snapshot| &snapshot.limits);
    let mut limits = RateLimits::new(&plan.rate_limits, redis, metrics, before);
    for listener in &plan.listeners {
        limits.apply_to_listener(&listener.name, &listener.rate_limits);
    }
    limits
}

/// Answers that are compressed since before a reload are within the bounds of after it.
fn go_on_compressing(plan: &Plan, before: &Snapshot) {
    let compressing = before.routes.iter().filter_map(|(_, route)| {
        let rules = route.plan.compression.as_ref()?;
        Some((&*route.plan.name, &rules.streams))
    });
    let before: HashMap<&str, _> = compressing.collect();
    for (_, route) in &plan.routes {
        if let (Some(rules), Some(before)) = (&route.compression, before.get(&*route.name)) {
            rules.streams.go_on_from(before);
        }
    }
}

fn memory(plan: &Plan, metrics: &Metrics, before: Option<&Snapshot>) -> Arc<MemoryPressure> {
    let same = before
        .map(|snapshot| &snapshot.memory)
        .filter(|memory| memory.watermark() == plan.memory);
    same.map_or_else(
        || MemoryPressure::watch(plan.memory, metrics.memory()),
        Arc::clone,
    )
}

fn live_route(
    spec: &RouteSpec,
    route: &RoutePlan,
    clusters: &Clusters,
    policies: &[Arc<Policy>],
    limits: &RateLimits,
    trace: &TraceSettings,
) -> Result<Arc<LiveRoute>, StartError> {
    let cluster = |upstream: &Arc<str>| {
        let found = clusters.get(upstream).map(|made| Arc::clone(&made.cluster));
        found.ok_or_else(|| StartError::UnknownUpstream {
            route: Arc::clone(&route.name),
            upstream: Arc::clone(upstream),
        })
    };
    let action = match &route.action {
        RouteAction::Forward { upstream, rewrite } => LiveAction::Forward {
            cluster: cluster(upstream)?,
            rewrite: rewrite.clone(),
        },
        RouteAction::Split { split, rewrite } => {
            let branches = split.branches.iter().map(|branch| {
                let flags = FeatureFlags::new(&branch.feature_flags, &trace.limits);
                Ok((cluster(&branch.upstream)?, flags))
            });
            let branches = branches.collect::<Result<_, StartError>>()?;
            LiveAction::Split {
                split: LiveSplit::new(split, branches),
                rewrite: rewrite.clone(),
            }
        }
        RouteAction::Redirect(redirect) => LiveAction::Redirect(redirect.clone()),
        RouteAction::Answer {
            status,
            headers,
            body,
        } => LiveAction::Answer {
            status: *status,
            headers: headers.clone(),
            body: body.clone(),
        },
        RouteAction::Nothing => LiveAction::Nothing,
    };
    let mirror = route.mirror.as_ref().map(|mirror| {
        let cluster = cluster(&mirror.upstream)?;
        Ok(Arc::new(LiveMirror::new(mirror.clone(), cluster)))
    });
    let named = |name: &str| {
        let mut policies = policies.iter();
        policies.find(|one| *one.settings().name == *name).cloned()
    };
    let auth = route.auth.as_ref().map(|settings| {
        Requirement::new(settings, named).ok_or_else(|| StartError::UnknownPolicy {
            route: Arc::clone(&route.name),
        })
    });
    let named = limits.named(&route.rate_limits);
    let (identity_limits, limits) = named
        .into_iter()
        .partition(|rule| rule.settings().goes_by_identity());
    Ok(Arc::new(LiveRoute {
        auth: auth.transpose()?,
        mirror: mirror.transpose()?,
        action,
        trace: TraceRule {
            sampler: HeadSampler::new(&route.sampling),
            flags: FeatureFlags::new(&route.feature_flags, &trace.limits),
        },
        limits,
        identity_limits,
        template: spec.path.name().into(),
        plan: route.clone(),
    }))
}

/// The encoded resource of everything that is exported.
pub(super) fn resource(plan: &Plan) -> bytes::Bytes {
    let attributes = &plan.tracing.resource;
    bytes::Bytes::from(crate::trace::resource::encode_resource(attributes))
}

/// TLS of a listener, if it has any. Its files are watched from here on.
pub(super) fn acceptor(
    listener: &ListenerSettings,
    tickets: &Arc<Tickets>,
    keeper: &Keeper,
) -> Result<Option<Acceptor>, StartError> {
    let Some(settings) = &listener.tls else {
        return Ok(None);
    };
    let acceptor = Acceptor::new(settings.clone(), Arc::clone(tickets)).map_err(|source| {
        StartError::TlsFile {
            owner: format!("listener {}", listener.name),
            source,
        }
    })?;
    keeper.watch_listener(&listener.name, &acceptor);
    Ok(Some(acceptor))
}
