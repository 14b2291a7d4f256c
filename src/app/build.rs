//! Live objects out of a plan.

use super::parts::Clusters;
use crate::config::Plan;
use crate::export::ExportError;
use crate::listener::ListenerSettings;
use crate::proxy::plan::{RouteAction, RoutePlan};
use crate::proxy::{LiveAction, LiveRoute, Snapshot, TraceRule};
use crate::route::{RouteSpec, RouteTable};
use crate::telemetry::access_log::AccessLog;
use crate::telemetry::metrics::Metrics;
use crate::tls::{Acceptor, CertificateSource, TlsFileError};
use crate::trace::flags::FeatureFlags;
use crate::trace::propagate::Propagators;
use crate::trace::redact::Redaction;
use crate::trace::sampler::HeadSampler;
use crate::trace::settings::{KnownMethods, TraceSettings};
use crate::trace::sink::SpanSink;
use crate::trace::span::SpanLimits;
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
    /// The crypto library refuses.
    #[error("TLS of {owner} cannot be set up")]
    Tls {
        /// Whose.
        owner: String,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// An exporter cannot be made.
    #[error("spans cannot be exported")]
    Export(#[source] ExportError),
    /// The access log's writer cannot be started.
    #[error("the access log cannot be written")]
    AccessLog(#[source] io::Error),
    /// The routes contradict each other.
    #[error("routes cannot be served")]
    Routes(#[source] crate::route::BuildError),
    /// A route names an upstream that the plan lacks.
    #[error("route {route} goes to upstream {upstream}, which does not exist")]
    UnknownUpstream {
        /// The route.
        route: Arc<str>,
        /// The upstream.
        upstream: Arc<str>,
    },
}

/// What the requests of this plan read.
pub(super) fn snapshot(
    plan: &Plan,
    clusters: &Clusters,
    metrics: &Arc<Metrics>,
    sinks: Vec<Arc<dyn SpanSink>>,
    access_log: Option<Arc<AccessLog>>,
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
    };
    let routes = plan
        .routes
        .iter()
        .map(|(spec, route)| Ok((spec.clone(), live_route(spec, route, clusters, &trace)?)))
        .collect::<Result<Vec<_>, StartError>>()?;
    Ok(Snapshot {
        routes: RouteTable::build(routes).map_err(StartError::Routes)?,
        unmatched: TraceRule {
            sampler: HeadSampler::new(&tracing.default_sampling),
            flags: FeatureFlags::new(&tracing.feature_flags, &trace.limits),
        },
        trace,
        recording: tracing.recording,
        propagators: Propagators::from_names(tracing.propagators.iter().map(AsRef::as_ref)),
        sinks,
        response_trace_id: tracing.response_trace_id,
        metrics: Arc::clone(metrics),
        access_log,
    })
}

fn live_route(
    spec: &RouteSpec,
    route: &RoutePlan,
    clusters: &Clusters,
    trace: &TraceSettings,
) -> Result<Arc<LiveRoute>, StartError> {
    let action = match &route.action {
        RouteAction::Forward { upstream, rewrite } => LiveAction::Forward {
            cluster: clusters
                .get(upstream)
                .map(|made| Arc::clone(&made.cluster))
                .ok_or_else(|| StartError::UnknownUpstream {
                    route: Arc::clone(&route.name),
                    upstream: Arc::clone(upstream),
                })?,
            rewrite: rewrite.clone(),
        },
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
    };
    Ok(Arc::new(LiveRoute {
        action,
        trace: TraceRule {
            sampler: HeadSampler::new(&route.sampling),
            flags: FeatureFlags::new(&route.feature_flags, &trace.limits),
        },
        template: spec.path.name().into(),
        plan: route.clone(),
    }))
}

/// TLS of a listener, if it has certificates.
pub(super) fn acceptor(listener: &ListenerSettings) -> Result<Option<Acceptor>, StartError> {
    if listener.certificates.is_empty() {
        return Ok(None);
    }
    let owner = || format!("listener {}", listener.name);
    let files = listener
        .certificates
        .iter()
        .map(|pair| (&*pair.chain, &*pair.key));
    let certificates = CertificateSource::read(files).map_err(|source| StartError::TlsFile {
        owner: owner(),
        source,
    })?;
    Acceptor::new(certificates)
        .map(Some)
        .map_err(|source| StartError::Tls {
            owner: owner(),
            source,
        })
}
