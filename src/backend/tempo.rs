//! Tempo's HTTP API, which an edgespan speaks, too (`/api/search`, `/api/v2/traces/{id}`).

use super::Tailed;
use super::ask::{Reply, Way};
use super::error::BackendError;
use super::query::{Found, Query, Summary};
use super::read::{list, number, otlp, text, trace_id};
use crate::clock::Timestamp;
use http::StatusCode;
use opentelemetry::trace::TraceId;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, TracesData};
use prost::Message as _;
use serde_json::Value;
use std::time::Duration;

/// What a row of the list says beside what Tempo always tells.
const SELECT: &str = " | select(span.http.response.status_code, span.flow, span.url.path, status)";
/// What Tempo says for the root's name and service as long as there is none.
const NO_ROOT: &str = "<root span not yet received>";
const NANOS: u64 = 1_000_000_000;

/// Tempo's `tempopb.TraceByIDResponse`.
#[derive(Clone, PartialEq, prost::Message)]
struct TraceById {
    #[prost(message, optional, tag = "1")]
    trace: Option<TracesData>,
}

/// The traces that `query` wants of a Tempo, newest first.
pub(super) async fn find(way: &Way, query: &Query) -> Result<Found, BackendError> {
    let mut traceql = query.traceql();
    if query.traceql.is_none() {
        traceql.push_str(SELECT);
    }
    found(way, "/api/search", query, traceql).await
}

/// The same of an edgespan, which tells more of each without being asked to.
pub(super) async fn find_own(way: &Way, query: &Query) -> Result<Found, BackendError> {
    found(way, "/api/edgespan/search", query, query.traceql()).await
}

async fn found(
    way: &Way,
    path: &str,
    query: &Query,
    traceql: String,
) -> Result<Found, BackendError> {
    let document = way.get(path, &search(query, traceql)).await?.json()?;
    let mut found = Found {
        traces: list(document.get("traces"))
            .iter()
            .filter_map(summary)
            .collect(),
        incomplete: None,
    };
    found
        .traces
        .sort_by_key(|trace| std::cmp::Reverse(trace.start));
    found.cut(query.limit);
    // An edgespan says so, too, when its search ran out of time.
    if document.get("complete").and_then(Value::as_bool) == Some(false) {
        let early = || "the search ended early".to_owned();
        found.incomplete.get_or_insert_with(early);
    }
    Ok(found)
}

/// Times are whole seconds: the range is widened to them.
fn search(query: &Query, traceql: String) -> Vec<(&'static str, String)> {
    let (start, end) = (query.start.as_unix_nanos(), query.end.as_unix_nanos());
    vec![
        ("q", traceql),
        ("start", (start / NANOS).to_string()),
        (
            "end",
            end.div_ceil(NANOS).max(start / NANOS + 1).to_string(),
        ),
        ("limit", query.limit.max(1).to_string()),
        ("spss", "3".to_owned()),
    ]
}

/// One of `traces`.
pub(super) fn summary(value: &Value) -> Option<Summary> {
    let root_name = text(value.get("rootTraceName"));
    let milliseconds = number(value.get("durationMs")).unwrap_or(0);
    let exact = number(value.get("durationNano")).or_else(|| number(value.get("durationNanos")));
    let stats = value.get("serviceStats").and_then(Value::as_object);
    let sum = |name: &str| {
        let stats = stats?;
        let counts = stats
            .values()
            .map(|service| number(service.get(name)).unwrap_or(0));
        Some(counts.fold(0, u64::saturating_add))
    };
    // What an edgespan tells beyond Tempo stands in fields of its own.
    let spans = number(value.get("spanCount")).or_else(|| sum("spanCount"));
    let matched = Matched::of(value, root_name);
    let told = value.get("error").and_then(Value::as_bool);
    let has_errors = told.or_else(|| sum("errorCount").map(|errors| errors > 0));
    let status = number(value.get("statusCode")).and_then(|code| u16::try_from(code).ok());
    let flow = value.get("flow").and_then(Value::as_str).map(str::to_owned);
    let path = value
        .get("urlPath")
        .and_then(Value::as_str)
        .map(str::to_owned);
    // Without a root an edgespan also tells the first span, which an edge is known by.
    let known = |root: &str, first: &str| match text(value.get(root)) {
        "" | NO_ROOT => text(value.get(first)).to_owned(),
        name => name.to_owned(),
    };
    Some(Summary {
        id: trace_id(text(value.get("traceID")))?,
        root_service: known("rootServiceName", "firstServiceName"),
        root_name: known("rootTraceName", "firstSpanName"),
        start: number(value.get("startTimeUnixNano")).unwrap_or(0),
        duration: exact.unwrap_or_else(|| milliseconds.saturating_mul(1_000_000)),
        spans: spans
            .filter(|count| *count > 0)
            .map(|count| u32::try_from(count).unwrap_or(u32::MAX)),
        is_error: if matched.is_error {
            Some(true)
        } else {
            has_errors
        },
        status: status.or(matched.status),
        flow: flow.or(matched.flow),
        path: path.or(matched.path),
    })
}

/// What the spans that matched say of the trace.
#[derive(Default)]
struct Matched {
    status: Option<u16>,
    flow: Option<String>,
    /// Of the root, as far as it can be told: services behind it have paths of their own.
    path: Option<String>,
    is_error: bool,
}

impl Matched {
    /// Of all sets of spans; the root's status counts before that of another one.
    fn of(value: &Value, root_name: &str) -> Self {
        let sets = list(value.get("spanSets"))
            .iter()
            .chain(value.get("spanSet"));
        let spans = sets.flat_map(|set| list(set.get("spans")));
        let mut found = Self::default();
        let start = number(value.get("startTimeUnixNano"));
        let mut is_roots = false;
        for span in spans {
            let is_root = text(span.get("name")) == root_name;
            let is_first = number(span.get("startTimeUnixNano")) == start;
            for attribute in list(span.get("attributes")) {
                let value = attribute.get("value");
                let says = value.and_then(|value| value.get("stringValue"));
                match text(attribute.get("key")) {
                    "http.response.status_code" | "span.http.response.status_code"
                        if found.status.is_none() || (is_root && !is_roots) =>
                    {
                        let code = value.and_then(|value| number(value.get("intValue")));
                        found.status = code.and_then(|code| u16::try_from(code).ok());
                        is_roots = is_root;
                    }
                    "flow" | "span.flow" if found.flow.is_none() => {
                        found.flow = says.and_then(Value::as_str).map(str::to_owned);
                    }
                    "url.path" | "span.url.path" if is_root && is_first => {
                        found.path = says.and_then(Value::as_str).map(str::to_owned);
                    }
                    "status" => found.is_error |= text(says) == "error",
                    _ => {}
                }
            }
        }
        found
    }
}

/// Everything that is known of a trace.
pub(super) async fn trace(
    way: &Way,
    id: TraceId,
) -> Result<Option<Vec<ResourceSpans>>, BackendError> {
    let ask = |version: &str| format!("/api{version}/traces/{id}");
    let accept = "application/protobuf, application/json;q=0.5";
    let reply = way.get_as(accept, &ask("/v2"), &[]).await?;
    if reply.status != StatusCode::NOT_FOUND {
        return read(&reply, |bytes| {
            Some(TraceById::decode(bytes).ok()?.trace.unwrap_or_default())
        });
    }
    // Either the trace is not there, or version 2 of the API is not (before Tempo 2.7).
    let reply = way.get_as(accept, &ask(""), &[]).await?;
    if reply.status == StatusCode::NOT_FOUND {
        return Ok(None);
    }
    read(&reply, |bytes| TracesData::decode(bytes).ok())
}

fn read(
    reply: &Reply,
    decode: impl Fn(&[u8]) -> Option<TracesData>,
) -> Result<Option<Vec<ResourceSpans>>, BackendError> {
    let bytes = reply.success()?;
    let groups = if reply.content_type.contains("protobuf") {
        let decoded = decode(bytes).ok_or_else(|| reply.unreadable("it is no such message"))?;
        decoded.resource_spans
    } else {
        otlp::groups(&reply.json()?)
    };
    let has_spans = groups
        .iter()
        .flat_map(|group| &group.scope_spans)
        .any(|scope| !scope.spans.is_empty());
    Ok(has_spans.then_some(groups))
}

/// Values that an attribute or intrinsic has, as `/api/v2/search/tag/{tag}/values` tells them.
pub(super) async fn values(way: &Way, tag: &str) -> Result<Vec<String>, BackendError> {
    let document = way
        .get(&format!("/api/v2/search/tag/{tag}/values"), &[])
        .await?
        .json()?;
    let values = list(document.get("tagValues")).iter();
    // Version 1 of the API has texts, version 2 their types beside them.
    let value = |value: &Value| {
        let told = value.as_str().or_else(|| value.get("value")?.as_str());
        told.map(str::to_owned)
    };
    Ok(values.filter_map(value).collect())
}

/// What an edgespan's store says of itself: when the oldest trace in it began.
pub(super) async fn began(way: &Way) -> Result<Option<Timestamp>, BackendError> {
    let document = way.get("/api/edgespan/store", &[]).await?.json()?;
    let began = number(document.get("beganUnixNano"));
    Ok(began
        .filter(|began| *began > 0)
        .map(Timestamp::from_unix_nanos))
}

/// Ids of an edgespan's traces that begin with `prefix`.
pub(super) async fn ids(way: &Way, prefix: &str) -> Result<Vec<TraceId>, BackendError> {
    let query = [("prefix", prefix.to_owned())];
    let document = way.get("/api/edgespan/traces", &query).await?.json()?;
    let ids = list(document.get("traceIDs").or_else(|| document.get("traces"))).iter();
    let id = |one: &Value| trace_id(one.as_str().unwrap_or_else(|| text(one.get("traceID"))));
    Ok(ids.filter_map(id).collect())
}

/// Traces that an edgespan took in after `after`, waiting for some up to `wait`.
pub(super) async fn tail(
    way: &Way,
    after: Option<u64>,
    traceql: &str,
    wait: Duration,
) -> Result<Tailed, BackendError> {
    let mut query = vec![
        ("q", traceql.to_owned()),
        ("wait", super::traceql::duration(wait)),
    ];
    query.extend(after.map(|after| ("after", after.to_string())));
    // What waits may take that long and is no fault.
    let patience = wait.saturating_add(Duration::from_secs(5));
    let accept = "application/x-ndjson, application/json";
    let path = "/api/edgespan/tail";
    let reply = way.within(patience, accept, path, &query).await?;
    let lines = reply.success()?.split(|byte| *byte == b'\n');
    let mut tailed = Tailed {
        next: after,
        ..Tailed::default()
    };
    for line in lines.filter(|line| !line.trim_ascii().is_empty()) {
        let one: Value =
            serde_json::from_slice(line).map_err(|error| reply.unreadable(error.to_string()))?;
        match summary(&one) {
            Some(trace) => tailed.traces.push(trace),
            // The last line says where to go on.
            None => {
                tailed.next = number(one.get("sequence")).or(tailed.next);
                tailed.has_missed |= one.get("missed").and_then(Value::as_bool) == Some(true);
            }
        }
    }
    Ok(tailed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_row_says_what_tempo_and_the_spans_that_matched_say() {
        let found = summary(&json!({
            "traceID": "7a1d2dd4deaf177e0acf55b3c49032",
            "rootServiceName": "edgespan", "rootTraceName": "POST /orders",
            "startTimeUnixNano": "1795262601482000000", "durationMs": 412,
            "serviceStats": {"edgespan": {"spanCount": 5, "errorCount": 1}, "payout": {"spanCount": 1}},
            "spanSets": [{"matched": 2, "spans": [
                {"spanID": "01", "name": "POST", "attributes": [
                    {"key": "http.response.status_code", "value": {"intValue": "503"}}]},
                {"spanID": "03", "name": "POST /orders", "startTimeUnixNano": "1795262601482000001",
                 "attributes": [{"key": "url.path", "value": {"stringValue": "/behind"}}]},
                {"spanID": "02", "name": "POST /orders", "startTimeUnixNano": "1795262601482000000",
                 "attributes": [
                    {"key": "http.response.status_code", "value": {"intValue": "502"}},
                    {"key": "url.path", "value": {"stringValue": "/orders"}},
                    {"key": "flow", "value": {"stringValue": "escrow"}}]}]}],
        }))
        .unwrap();

        assert_eq!(found.id.to_string(), "007a1d2dd4deaf177e0acf55b3c49032");
        assert_eq!((found.duration, found.spans), (412_000_000, Some(6)));
        assert_eq!((found.is_error, found.status), (Some(true), Some(502)));
        assert_eq!(found.flow.as_deref(), Some("escrow"));
        assert_eq!(found.path.as_deref(), Some("/orders"));
    }

    #[test]
    fn a_root_that_is_not_there_yet_has_no_name() {
        let found = summary(&json!({"traceID": "1", "rootTraceName": NO_ROOT,
            "rootServiceName": NO_ROOT, "startTimeUnixNano": "1"}))
        .unwrap();
        assert_eq!(
            (found.root_name.as_str(), found.spans, found.is_error),
            ("", None, None)
        );
        assert_eq!(summary(&json!({"traceID": ""})), None);
    }

    #[test]
    fn a_range_is_widened_to_whole_seconds_and_never_empty() {
        let asked = |start, end| {
            let query = Query {
                start: Timestamp::from_unix_nanos(start),
                end: Timestamp::from_unix_nanos(end),
                limit: 20,
                ..Query::default()
            };
            let asked = search(&query, "{ }".to_owned());
            (asked[1].1.clone(), asked[2].1.clone())
        };
        assert_eq!(
            asked(1_500_000_000, 2_500_000_000),
            ("1".to_owned(), "3".to_owned())
        );
        assert_eq!(
            asked(1_000_000_000, 1_000_000_000),
            ("1".to_owned(), "2".to_owned())
        );
    }
}
