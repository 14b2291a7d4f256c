//! Zipkin's API v2: `/api/v2/traces`, `/api/v2/trace/{id}`.

use super::ask::Way;
use super::error::BackendError;
use super::query::{Found, Query};
use super::read;
use super::read::list;
use super::summary::Looked;
use http::StatusCode;
use opentelemetry::trace::TraceId;
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use serde_json::Value;

const NANOS_OF_MILLISECOND: u64 = 1_000_000;
/// Whether Zipkin answers there.
pub(super) async fn detect(way: &Way) -> Result<bool, BackendError> {
    let reply = way.get("/api/v2/services", &[]).await?;
    Ok(reply.json().is_ok_and(|document| document.is_array()))
}

/// The names of services that Zipkin has spans of.
pub(super) async fn services(way: &Way) -> Result<Vec<String>, BackendError> {
    let document = way.get("/api/v2/services", &[]).await?.json()?;
    let names = list(Some(&document)).iter();
    Ok(names.filter_map(Value::as_str).map(str::to_owned).collect())
}

/// The traces that `query` wants, newest first.
pub(super) async fn find(way: &Way, query: &Query) -> Result<Found, BackendError> {
    let mut looked = Looked::begin(query, "Zipkin")?;
    let fetched = looked.fetched;
    for asked in searches(query, fetched) {
        let document = way.get("/api/v2/traces", &asked).await?.json()?;
        let answers = list(Some(&document));
        if answers.len() >= fetched {
            looked.incomplete = Some(format!(
                "only the newest {fetched} traces were looked through"
            ));
        }
        for (id, groups) in answers.iter().filter_map(read::zipkin::trace) {
            looked.at(id, &groups);
        }
    }
    Ok(looked.found())
}

/// One search, or two: the service itself, and those that call it.
fn searches(query: &Query, fetched: usize) -> Vec<Vec<(&'static str, String)>> {
    let (start, end) = (query.start.as_unix_nanos(), query.end.as_unix_nanos());
    let lookback = end.saturating_sub(start).div_ceil(NANOS_OF_MILLISECOND);
    let all = vec![
        ("endTs", end.div_ceil(NANOS_OF_MILLISECOND).to_string()),
        ("lookback", lookback.max(1).to_string()),
        ("limit", fetched.to_string()),
    ];
    let mut conditions = Vec::new();
    let tags = query
        .tags
        .iter()
        .filter(|(key, _)| !key.starts_with("resource."));
    conditions.extend(tags.map(|(key, value)| {
        let key = key.strip_prefix("span.").unwrap_or(key);
        format!("{}={value}", key.trim_start_matches('.'))
    }));
    conditions.extend(
        query
            .route
            .as_ref()
            .map(|route| format!("http.route={route}")),
    );
    conditions.extend(query.flow.as_ref().map(|flow| format!("flow={flow}")));
    conditions.extend(query.error.then(|| "error".to_owned()));
    // ` and ` parts conditions: a value that has it cannot be asked for, and is looked at here.
    conditions.retain(|condition| !condition.contains(" and "));
    let by = |service: Option<(&'static str, &String)>, also: Option<String>| {
        let mut conditions = conditions.clone();
        conditions.extend(also);
        let mut asked = all.clone();
        asked.extend(service.map(|(name, service)| (name, service.to_lowercase())));
        if !conditions.is_empty() {
            asked.push(("annotationQuery", conditions.join(" and ")));
        }
        asked
    };
    match &query.service {
        None => vec![by(None, None)],
        Some(service) => vec![
            by(Some(("serviceName", service)), None),
            by(None, Some(format!("service.peer.name={service}"))),
            by(Some(("remoteServiceName", service)), None),
        ],
    }
}

/// Everything that is known of a trace.
pub(super) async fn trace(
    way: &Way,
    id: TraceId,
) -> Result<Option<Vec<ResourceSpans>>, BackendError> {
    let reply = way.get(&format!("/api/v2/trace/{id}"), &[]).await?;
    if reply.status == StatusCode::NOT_FOUND {
        return Ok(None);
    }
    Ok(read::zipkin::trace(&reply.json()?).map(|(_, groups)| groups))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    #[test]
    fn a_service_is_looked_for_as_the_one_that_records_and_as_the_one_that_is_called() {
        let query = Query {
            service: Some("Payout".to_owned()),
            flow: Some("escrow".to_owned()),
            error: true,
            start: Timestamp::from_unix_nanos(1_000_000_000),
            end: Timestamp::from_unix_nanos(2_000_500_000),
            limit: 20,
            ..Query::default()
        };
        let searches = searches(&query, 80);
        let shown = searches.iter().map(|asked| {
            let asked = asked.iter().map(|(name, value)| format!("{name}={value}"));
            asked.collect::<Vec<_>>().join("&")
        });
        assert_eq!(
            shown.collect::<Vec<_>>(),
            [
                "endTs=2001&lookback=1001&limit=80&serviceName=payout&annotationQuery=flow=escrow and error",
                "endTs=2001&lookback=1001&limit=80&annotationQuery=flow=escrow and error and service.peer.name=Payout",
                "endTs=2001&lookback=1001&limit=80&remoteServiceName=payout&annotationQuery=flow=escrow and error",
            ]
        );
    }
}
