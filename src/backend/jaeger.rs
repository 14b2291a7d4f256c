//! Jaeger's HTTP APIs: the one of its own page (`/api/traces`), which every version before the end
//! of it can search by tags, and v3, which hands out OTLP.

use super::ask::Way;
use super::error::BackendError;
use super::query::{Found, Query};
use super::read::{self, list};
use super::summary::Looked;
use super::traceql;
use http::StatusCode;
use opentelemetry::trace::TraceId;
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Most services that are asked one after the other, for Jaeger looks for traces of one service.
const SERVICES_MAX: usize = 32;
/// Which of its APIs is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Api {
    /// The one of its page.
    Page,
    /// v3.
    V3,
}

/// Which API answers, if one does. Its page answers every path, so the answer is looked at.
pub(super) async fn detect(way: &Way) -> Result<Option<Api>, BackendError> {
    for (api, path) in [(Api::Page, "/api/services"), (Api::V3, "/api/v3/services")] {
        let reply = way.get(path, &[]).await?;
        let document = reply.json().unwrap_or_default();
        let is_api = match api {
            Api::Page => document.get("data").is_some() && document.get("errors").is_some(),
            Api::V3 => document.get("services").is_some(),
        };
        if is_api {
            return Ok(Some(api));
        }
    }
    Ok(None)
}

/// The names of services that Jaeger has spans of.
pub(super) async fn services(way: &Way, api: Api) -> Result<Vec<String>, BackendError> {
    let (path, member) = match api {
        Api::Page => ("/api/services", "data"),
        Api::V3 => ("/api/v3/services", "services"),
    };
    let document = way.get(path, &[]).await?.json()?;
    let names = list(document.get(member)).iter();
    Ok(names.filter_map(Value::as_str).map(str::to_owned).collect())
}

/// The traces that `query` wants, newest first.
pub(super) async fn find(way: &Way, api: Api, query: &Query) -> Result<Found, BackendError> {
    let mut looked = Looked::begin(query, "Jaeger")?;
    let mut names = services(way, api).await?;
    // The service itself first; of the others only those that call it.
    if let Some(service) = &query.service {
        names.sort_by_key(|name| name != service);
    }
    if names.len() > SERVICES_MAX {
        looked.incomplete = Some(format!(
            "{SERVICES_MAX} of {} services were searched: --service names one",
            names.len()
        ));
        names.truncate(SERVICES_MAX);
    }
    let fetched = looked.fetched;
    for name in &names {
        let calls = query.service.as_ref().filter(|service| *service != name);
        let answers = search(way, api, name, query, calls, fetched).await?;
        if answers.len() >= fetched {
            looked.incomplete.get_or_insert_with(|| {
                format!("of {name} only the newest {fetched} traces were looked through")
            });
        }
        for (id, groups) in answers {
            looked.at(id, &groups);
        }
    }
    Ok(looked.found())
}

/// Tags that one span of the service has to have, as far as Jaeger can be asked: those of spans
/// first, for they leave least over. The rest is looked at here.
fn tags(query: &Query, calls: Option<&String>) -> Map<String, Value> {
    let mut tags = Map::new();
    let mut add = |key: &str, value: &str| {
        tags.insert(key.to_owned(), json!(value));
    };
    let of_span = query
        .tags
        .iter()
        .filter(|(key, _)| !key.starts_with("resource."));
    for (key, value) in of_span {
        add(
            key.strip_prefix("span.")
                .unwrap_or(key)
                .trim_start_matches('.'),
            value,
        );
    }
    if query.error {
        add("error", "true");
    }
    if let Some(service) = calls {
        add("service.peer.name", service);
    }
    let says_enough = !tags.is_empty() || query.service.is_some();
    if !says_enough && let Some(route) = &query.route {
        tags.insert("http.route".to_owned(), json!(route));
    } else if !says_enough && let Some(flow) = &query.flow {
        tags.insert("flow".to_owned(), json!(flow));
    }
    tags
}

async fn search(
    way: &Way,
    api: Api,
    service: &str,
    query: &Query,
    calls: Option<&String>,
    fetched: usize,
) -> Result<Vec<(TraceId, Vec<ResourceSpans>)>, BackendError> {
    let tags = tags(query, calls);
    let tags = (!tags.is_empty()).then(|| Value::from(tags).to_string());
    let (start, end) = (query.start.as_unix_nanos(), query.end.as_unix_nanos());
    // Durations of spans: a trace lasts at least as long as its longest span, so only the upper
    // bound may be asked for.
    match api {
        Api::Page => {
            let mut asked = vec![
                ("service", service.to_owned()),
                ("start", (start / 1_000).to_string()),
                ("end", (end.div_ceil(1_000)).to_string()),
                ("limit", fetched.to_string()),
            ];
            asked.extend(tags.map(|tags| ("tags", tags)));
            asked.extend(query.max.map(|max| ("maxDuration", traceql::duration(max))));
            let document = way.get("/api/traces", &asked).await?.json()?;
            Ok(read::jaeger::traces(&document))
        }
        Api::V3 => {
            // Both spellings: versions before 2.20 know only the second.
            let asked = [
                ("serviceName", "service_name", service.to_owned()),
                ("startTimeMin", "start_time_min", rfc3339(start)),
                ("startTimeMax", "start_time_max", rfc3339(end)),
                ("searchDepth", "num_traces", fetched.to_string()),
            ];
            let asked = asked.into_iter().flat_map(|(camel, snake, value)| {
                [
                    (format!("query.{camel}"), value.clone()),
                    (format!("query.{snake}"), value),
                ]
            });
            let tags = tags.map(|tags| ("query.attributes".to_owned(), tags));
            let asked: Vec<_> = asked.chain(tags).collect();
            let asked: Vec<_> = asked
                .iter()
                .map(|(name, value)| (name.as_str(), value.clone()))
                .collect();
            let reply = way.get("/api/v3/traces", &asked).await?;
            if reply.status == StatusCode::NOT_FOUND {
                return Ok(Vec::new());
            }
            Ok(by_trace(documents(reply.success()?)))
        }
    }
}

fn rfc3339(nanos: u64) -> String {
    let moment = jiff::Timestamp::from_nanosecond(i128::from(nanos));
    moment.unwrap_or_default().to_string()
}

/// v3 streams: one document after the other, each in `result`.
fn documents(bytes: &[u8]) -> Vec<ResourceSpans> {
    let documents = serde_json::Deserializer::from_slice(bytes).into_iter::<Value>();
    let documents = documents.map_while(Result::ok);
    documents
        .flat_map(|document| read::otlp::groups(&document))
        .collect()
}

fn by_trace(groups: Vec<ResourceSpans>) -> Vec<(TraceId, Vec<ResourceSpans>)> {
    let mut traces: BTreeMap<[u8; 16], Vec<ResourceSpans>> = BTreeMap::new();
    for group in groups {
        let spans = group.scope_spans.iter().flat_map(|scope| &scope.spans);
        let ids = spans.filter_map(|span| span.trace_id.as_slice().try_into().ok());
        let ids: std::collections::BTreeSet<[u8; 16]> = ids.collect();
        for id in ids {
            traces.entry(id).or_default().push(group.clone());
        }
    }
    let traces = traces.into_iter();
    traces
        .map(|(id, groups)| (TraceId::from_bytes(id), groups))
        .collect()
}

/// Everything that is known of a trace: from v3, where values keep their types, else from the API
/// of the page.
pub(super) async fn trace(
    way: &Way,
    api: Api,
    id: TraceId,
) -> Result<Option<Vec<ResourceSpans>>, BackendError> {
    let reply = way.get(&format!("/api/v3/traces/{id}"), &[]).await?;
    if reply.status.is_success() {
        let groups = documents(&reply.bytes);
        if !groups.is_empty() {
            return Ok(Some(groups));
        }
    }
    if api == Api::V3 {
        return match reply.status {
            StatusCode::NOT_FOUND | StatusCode::OK => Ok(None),
            _ => reply.success().map(|_| None),
        };
    }
    let reply = way.get(&format!("/api/traces/{id}"), &[]).await?;
    if reply.status == StatusCode::NOT_FOUND {
        return Ok(None);
    }
    let traces = read::jaeger::traces(&reply.json()?);
    Ok(traces
        .into_iter()
        .find(|(found, _)| *found == id)
        .map(|(_, groups)| groups))
}
