//! An explanation for machines.

use crate::app::explain::{AuthFact, Explanation, Fate, UpstreamFact};
use crate::config::Places;
use serde_json::{Value, json};

/// One object; keys stay, new ones may come.
pub(super) fn render(told: &Explanation, places: &Places) -> Value {
    let route = told.route.as_ref().map(|route| {
        json!({
            "name": route.name,
            "line": places.line("routes", &route.name),
            "template": route.template,
            "captures": pairs(&route.captures),
            "action": route.action,
            "also": route.also.iter().map(|(name, template)| json!({
                "name": name,
                "template": template,
                "line": places.line("routes", name),
            })).collect::<Vec<_>>(),
        })
    });
    json!({
        "schema": "edgespan.explain/1",
        "listener": {
            "name": &*told.listener,
            "line": places.line("listeners", &told.listener),
            "tls_name": told.tls_name,
        },
        "normalised": match &told.read_as {
            Ok(read) => json!({"host": read.host, "path": read.path}),
            Err(reason) => json!({"refused": reason}),
        },
        "route": route,
        "nearest": told.nearest.iter().map(|near| json!({
            "name": near.name,
            "missed": near.missed,
            "line": places.line("routes", &near.name),
        })).collect::<Vec<_>>(),
        "tells_arrivals": told.tells_arrivals,
        "trace": trace(told),
        "limits": told.limits.iter().map(|limit| (limit.key.clone(), limit.value.clone().into()))
            .collect::<serde_json::Map<String, Value>>(),
        "auth": told.auth.as_ref().map(|auth| self::auth(auth, places)),
        "upstream": told.upstream.as_ref().map(|upstream| self::upstream(upstream, places)),
        "headers": told.headers.iter().map(|change| json!({
            "name": change.name,
            "change": match change.fate {
                Fate::Kept => "kept",
                Fate::Added => "added",
                Fate::Changed => "changed",
                Fate::Removed => "removed",
            },
            "value": change.value,
            "reason": change.reason,
        })).collect::<Vec<_>>(),
        "answer": told.answer.as_ref().map(|answer| json!({
            "status": answer.status,
            "location": answer.location,
            "error_type": answer.error_type,
            "told": pairs(&answer.told),
        })),
        "spans": told.spans.iter().map(|span| json!({
            "kind": span.kind,
            "name": span.name,
            "attributes": pairs(&span.attributes),
        })).collect::<Vec<_>>(),
        "routes": told.routes,
    })
}

fn upstream(upstream: &UpstreamFact, places: &Places) -> Value {
    json!({
        "name": upstream.name,
        "line": places.line("upstreams", &upstream.name),
        "service": upstream.service,
        "endpoints": upstream.endpoints,
        "first_byte_ms": u64::try_from(upstream.first_byte.as_millis()).unwrap_or(u64::MAX),
        "retries": upstream.retries,
        "request": upstream.target,
    })
}

fn auth(auth: &AuthFact, places: &Places) -> Value {
    json!({
        "decision": auth.decision,
        "reason": auth.reason,
        "policy": auth.policy,
        "allow": auth.allow,
        "asked": auth.asked.iter().map(|asked| json!({
            "policy": asked.policy,
            "line": places.line("auth", &asked.policy),
            "means": asked.means,
            "decision": asked.decision,
            "assumed": asked.question.is_some(),
            "reason": asked.reason,
            "enforced": asked.enforced,
            "question": asked.question,
        })).collect::<Vec<_>>(),
    })
}

fn trace(told: &Explanation) -> Value {
    let trace = &told.trace;
    json!({
        "recording": trace.recording,
        "trace_id": trace.joins.as_ref().or(trace.root.as_ref().map(|(id, _)| id)),
        "root_from": trace.root.as_ref().map(|(_, name)| name),
        "caller_sampled": trace.caller_sampled,
        "reason": trace.reason,
        "rate": trace.rate,
        "kept": trace.kept,
        "flow": trace.flow,
        "feature_flags": trace.flags,
    })
}

fn pairs(pairs: &[(String, String)]) -> serde_json::Map<String, Value> {
    pairs
        .iter()
        .map(|(key, value)| (key.clone(), value.clone().into()))
        .collect()
}
