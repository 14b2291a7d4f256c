//! How the request of a rehearsal is traced.

use super::facts::{Evidence, SpanFact};
use crate::proxy::plan::RoutePlan;
use crate::trace::sampler::HeadSampler;
use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::trace::TraceId;

/// How a request is traced.
#[derive(Clone, Debug)]
pub struct TraceFact {
    /// Whether spans are recorded at all.
    pub recording: bool,
    /// The caller's trace, if it named one.
    pub joins: Option<String>,
    /// The trace that begins here with an id made of one of the request's, and the header of that.
    pub root: Option<(String, String)>,
    /// Whether the caller sampled it.
    pub caller_sampled: Option<bool>,
    /// `parent`, `ratio`, `debug` or `unsampled_parent_record`, as on the span.
    pub reason: &'static str,
    /// The route's own rate.
    pub rate: f64,
    /// Whether this request's spans are kept; None where chance decides.
    pub kept: Option<bool>,
    /// The flow.
    pub flow: Option<String>,
    /// Feature flags, as `key=variant`.
    pub flags: Vec<String>,
}

/// Reads what the pipeline reads.
pub(super) fn trace_fact(
    evidence: &Evidence<'_>,
    route: Option<&RoutePlan>,
    server: Option<&SpanFact>,
) -> TraceFact {
    let rule = route.map_or(evidence.plan.tracing.default_sampling, |route| {
        route.sampling
    });
    let mut sent = HeaderMap::new();
    for (name, value) in evidence.question.fields() {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            sent.append(name, value);
        }
    }
    let inbound = evidence.live.propagators.extract(&sent);
    let parent = inbound.as_ref().and_then(|inbound| inbound.parent());
    let root = match parent {
        Some(_) => None,
        None => root_of(evidence, &sent),
    };
    let id = root.map(|(id, _)| id);
    let head = HeadSampler::new(&rule).decide_rooted(inbound.as_ref(), id);
    let by_chance = root.is_none()
        && head.reason == "ratio"
        && head.is_root
        && rule.ratio > 0.0
        && rule.ratio < 1.0;
    TraceFact {
        recording: evidence.plan.tracing.recording,
        joins: parent.map(|parent| parent.trace_id.to_string()),
        root: root.map(|(id, name)| (id.to_string(), name.to_string())),
        caller_sampled: parent.map(|parent| parent.flags & crate::trace::context::SAMPLED != 0),
        reason: head.reason,
        rate: rule.ratio,
        kept: (!by_chance).then_some(head.record),
        flow: server
            .and_then(|span| span.attribute("flow"))
            .map(str::to_owned),
        flags: server
            .and_then(|span| span.attribute("feature_flags"))
            .map(|flags| flags.split(", ").map(str::to_owned).collect())
            .unwrap_or_default(),
    }
}

/// The trace id that is made of one of the request's own, if its peer may choose one.
fn root_of<'e>(evidence: &Evidence<'e>, sent: &HeaderMap) -> Option<(TraceId, &'e HeaderName)> {
    let (listener, peer) = (evidence.listener, evidence.question.peer.ip());
    let found = evidence.live.root_from.find(sent)?;
    // Only the edge speaks as Cloudflare: from others such fields are gone before this.
    let is_edge = listener
        .cloudflare
        .as_ref()
        .is_none_or(|peers| peers.trusts(peer));
    let believed = is_edge || !found.1.as_str().starts_with("cf-");
    (listener.trusted_proxies.trusts(peer) && believed).then_some(found)
}
