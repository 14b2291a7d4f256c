//! Searches: as Tempo answers them, and with what edgespan knows beyond it.

use super::Api;
use super::json::attribute;
use super::parameters::Parameters;
use super::reply::{Made, Refused, takes_gzip};
use crate::store::traceql::Query;
use crate::store::{Hit, HitSpan, Search, SearchAnswer};
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode, Uri};
use serde_json::{Map, Value, json};

/// Traces in an answer if the question does not say.
const LIMIT: usize = 20;
/// Most traces in an answer.
pub(super) const LIMIT_MAX: usize = 5_000;
/// Spans told of each trace if the question does not say.
const SPANS: usize = 3;
/// Most spans told of each trace.
const SPANS_MAX: usize = 100;
/// What Tempo writes where the root is not there.
const NO_ROOT: &str = "<root span not yet received>";

/// `/api/search`
pub(super) async fn tempo(
    State(api): State<Api>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    answer(&api, &uri, &headers, |found| {
        let traces: Value = found.hits.iter().map(metadata).collect();
        json!({"traces": traces, "metrics": metrics(found)})
    })
    .await
}

/// `/api/edgespan/search`
pub(super) async fn summaries(
    State(api): State<Api>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    answer(&api, &uri, &headers, |found| {
        let traces: Value = found.hits.iter().map(summary).collect();
        json!({
            "schema": "edgespan.search/1",
            "complete": found.is_complete,
            "traces": traces,
            "metrics": metrics(found),
        })
    })
    .await
}

async fn answer(
    api: &Api,
    uri: &Uri,
    headers: &HeaderMap,
    write: impl FnOnce(&SearchAnswer) -> Value + Send + 'static,
) -> Result<Response, Refused> {
    let search = asked(&Parameters::of(uri))?;
    let (store, gzip) = (api.store()?, takes_gzip(headers));
    let work = move || {
        let found = store.search(&search);
        (!found.is_cut_off).then(|| Made::json(&write(&found), gzip))
    };
    let made = api.questions.work(work).await?;
    made.map(Made::response).ok_or_else(|| {
        let message = "it took longer than 5 s; ask for a shorter time or more exactly";
        Refused::new(StatusCode::SERVICE_UNAVAILABLE, message)
    })
}

/// What the parameters ask for.
fn asked(parameters: &Parameters<'_>) -> Result<Search, Refused> {
    let (start, end) = parameters.range()?;
    let (min, max) = (
        parameters.duration("minDuration")?,
        parameters.duration("maxDuration")?,
    );
    if let (Some(min), Some(max)) = (min, max)
        && max < min
    {
        return Err(Refused::bad("invalid maxDuration: less than minDuration"));
    }
    // Zero spans of each means all of them.
    let spans_max = match parameters.number("spss", u64::MAX)? {
        None => SPANS,
        Some(0) => SPANS_MAX,
        Some(number) => usize::try_from(number).unwrap_or(SPANS_MAX).min(SPANS_MAX),
    };
    Ok(Search {
        query: query(parameters)?,
        min,
        max,
        start,
        end,
        limit: parameters.count("limit", LIMIT, LIMIT_MAX)?,
        spans_max,
        ..Search::default()
    })
}

/// The query, in TraceQL or as Tempo's older tags.
pub(super) fn query(parameters: &Parameters<'_>) -> Result<Option<Query>, Refused> {
    let read = match (parameters.text("q"), parameters.text("tags")) {
        (Some(_), Some(_)) => {
            return Err(Refused::bad("can't specify tags and q in the same query"));
        }
        (Some(text), None) => Query::parse(text).map(Some),
        (None, Some(tags)) => Query::of_tags(tags),
        (None, None) => return Ok(None),
    };
    let name = if parameters.text("q").is_some() {
        "q"
    } else {
        "tags"
    };
    read.map_err(|error| Refused::bad(format!("invalid {name}: {error}")))
}

/// `tempopb.TraceSearchMetadata`
fn metadata(hit: &Hit) -> Value {
    let summary = &hit.summary;
    let set = json!({
        "spans": hit.spans.iter().map(span).collect::<Value>(),
        "matched": hit.matched,
    });
    json!({
        "traceID": summary.id.to_string(),
        "rootServiceName": or_no_root(&summary.root_service),
        "rootTraceName": summary.root_name,
        "startTimeUnixNano": summary.start.to_string(),
        "durationMs": millis(summary.duration),
        "spanSet": set,
        "spanSets": [set],
        "serviceStats": services(hit),
    })
}

const fn or_no_root(service: &str) -> &str {
    if service.is_empty() { NO_ROOT } else { service }
}

/// In Tempo's 32 bits.
fn millis(nanos: u64) -> u32 {
    u32::try_from(nanos / 1_000_000).unwrap_or(u32::MAX)
}

fn span(span: &HitSpan) -> Value {
    let pairs = span.attributes.iter();
    json!({
        "spanID": span.id.to_string(),
        "name": span.name,
        "startTimeUnixNano": span.start.to_string(),
        "durationNanos": span.duration.to_string(),
        "attributes": pairs.map(|(key, value)| attribute(key, value)).collect::<Value>(),
    })
}

fn services(hit: &Hit) -> Value {
    let count = |one: &crate::store::ServiceCount| {
        let count = json!({"spanCount": one.spans, "errorCount": one.errors});
        (one.service.clone(), count)
    };
    Value::Object(hit.services.iter().map(count).collect())
}

/// A trace with what the store knows of it beyond Tempo: duration to the nanosecond, spans,
/// whether one is an error, status and path of the root, flow. What is not known is left out.
pub(super) fn summary(hit: &Hit) -> Value {
    let summary = &hit.summary;
    let mut members = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            members.insert(name.to_owned(), value);
        }
    };
    put("traceID", Some(summary.id.to_string().into()));
    put(
        "rootServiceName",
        Some(summary.root_service.as_str().into()),
    );
    put("rootTraceName", Some(summary.root_name.as_str().into()));
    // An edge's parent is often recorded elsewhere: then this is what the trace is known by.
    if summary.root_name.is_empty() {
        put("firstServiceName", Some(hit.first_service.as_str().into()));
        put("firstSpanName", Some(hit.first_name.as_str().into()));
    }
    put("startTimeUnixNano", Some(summary.start.to_string().into()));
    put("durationMs", Some(millis(summary.duration).into()));
    put("durationNano", Some(summary.duration.to_string().into()));
    put("spanCount", summary.spans.map(Value::from));
    put("error", summary.is_error.map(Value::from));
    put("statusCode", summary.status.map(Value::from));
    put("flow", summary.flow.as_deref().map(Value::from));
    put("urlPath", summary.path.as_deref().map(Value::from));
    put("matched", Some(hit.matched.into()));
    put("serviceStats", Some(services(hit)));
    Value::Object(members)
}

/// `tempopb.SearchMetrics`
fn metrics(found: &SearchAnswer) -> Value {
    json!({
        "inspectedTraces": found.inspected_traces,
        "inspectedBytes": found.inspected_bytes.to_string(),
        "completedJobs": 1,
        "totalJobs": 1,
    })
}
