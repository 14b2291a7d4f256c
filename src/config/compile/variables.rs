//! What the command line and the environment decide beside the file.

use super::sampling::Flags;
use crate::config::otel_env::OtelVariables;
use crate::config::plan::TracingPlan;
use crate::config::raw;
use crate::trace::resource::ResourceValue;
use crate::trace::root::RootFrom;
use crate::trace::sampler::SamplingRule;
use std::net::SocketAddr;
use std::sync::Arc;

/// What flags of the command line say; it wins over variables and over the file.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--service`: `service.name` of every span.
    pub service: Option<String>,
    /// `--admin`: `Some(None)` is `off`.
    pub admin: Option<Option<SocketAddr>>,
    /// `--listen`: the first listener's address.
    pub listen: Option<SocketAddr>,
}

/// How traces are made.
pub(super) fn tracing(
    config: &raw::Config,
    variables: OtelVariables,
    resource: Vec<(Arc<str>, ResourceValue)>,
    default_sampling: SamplingRule,
    feature_flags: Flags,
    root_from: RootFrom,
) -> TracingPlan {
    let keys = config.auth.iter();
    let keys = keys.filter_map(|(_, policy)| policy.api_key.as_ref()?.value.query.as_ref());
    let query = config.redaction.query.iter().chain(keys);
    TracingPlan {
        recording: !variables.disabled,
        resource,
        propagators: variables
            .propagators
            .unwrap_or_else(|| propagators(config.propagation.propagators.as_deref())),
        root_from,
        default_sampling,
        feature_flags,
        response_trace_id: config.propagation.response_trace_id.unwrap_or(false),
        redact_query: query
            .map(|key| Arc::from(key.value.to_lowercase()))
            .collect(),
        known_methods: variables.known_methods,
        attribute_count_max: variables.attribute_count_max,
        attribute_value_max: variables.attribute_value_max,
        peer_service: config.spans.peer_service.unwrap_or(true),
        synthetic: config.spans.synthetic.unwrap_or(true),
    }
}

fn propagators(
    written: Option<&[crate::config::decode::Spanned<raw::Propagator>]>,
) -> Vec<Arc<str>> {
    let Some(written) = written else {
        return vec![Arc::from("tracecontext"), Arc::from("baggage")];
    };
    let mut names: Vec<Arc<str>> = Vec::new();
    for propagator in written {
        let name = match propagator.value {
            raw::Propagator::TraceContext => "tracecontext",
            raw::Propagator::Baggage => "baggage",
            raw::Propagator::B3 => "b3",
            raw::Propagator::B3Multi => "b3multi",
        };
        if !names.iter().any(|known| &**known == name) {
            names.push(Arc::from(name));
        }
    }
    names
}
