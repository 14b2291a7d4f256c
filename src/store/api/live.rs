//! What Tempo has not: the store's figures, ids by their first digits, and what is new.

use super::Api;
use super::parameters::Parameters;
use super::questions::Questions;
use super::reply::{LINES, Made, Refused, plain_json, takes_gzip};
use super::search::{query, summary};
use crate::clock;
use crate::store::{Changes, Search, TraceStore};
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode, Uri};
use opentelemetry::trace::TraceId;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

/// Ids in an answer if the question does not say.
const IDS: usize = 20;
/// Most ids in an answer.
const IDS_MAX: usize = 1_000;
/// Digits of a trace id.
const ID_DIGITS: usize = 32;

/// How long news are waited for, at most and if the question does not say. The admin listener
/// gives a connection 15 s.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// Spans of one trace come within moments of each other: so long they are gathered.
const GATHERED: Duration = Duration::from_millis(100);
/// Between two looks of one who waits for what seldom comes.
const LOOKS_EVERY: Duration = Duration::from_millis(500);
/// Traces in one answer if the question does not say.
const NEWS: usize = 100;
/// Most traces in one answer.
const NEWS_MAX: usize = 1_000;
/// Traces among which news are looked for: the newest.
const LOOKED_AT_MAX: usize = 5_000;

/// Those who wait for news, in the whole process.
static WAITERS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(WAITERS_MAX)));
/// How many may wait at a time.
const WAITERS_MAX: usize = 16;

/// `/api/edgespan/store`
pub(super) async fn figures(State(api): State<Api>) -> Result<Response, Refused> {
    let (stats, intake) = (api.store()?.stats(), api.intake.reading());
    let began = stats.began.map(|began| began.as_unix_nanos().to_string());
    Ok(plain_json(&json!({
        "schema": "edgespan.store/1",
        "traces": stats.traces.to_string(),
        "spans": stats.spans.to_string(),
        "bytes": stats.bytes.to_string(),
        "bytesMax": stats.bytes_max.to_string(),
        "evictedTraces": stats.evicted_traces.to_string(),
        "evictedSpans": stats.evicted_spans.to_string(),
        "refusedSpans": stats.refused_spans.to_string(),
        "takenSpans": intake.spans_taken.to_string(),
        "beganUnixNano": began,
    })))
}

/// `/api/edgespan/traces?prefix=4bf92f35`: the newest first.
pub(super) async fn by_prefix(State(api): State<Api>, uri: Uri) -> Result<Response, Refused> {
    let parameters = Parameters::of(&uri);
    let prefix = parameters.text("prefix").unwrap_or_default();
    let prefix = prefix.to_ascii_lowercase();
    if prefix.len() > ID_DIGITS || !prefix.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        let message = "invalid prefix: at most 32 hexadecimal digits";
        return Err(Refused::bad(message));
    }
    let limit = parameters.count("limit", IDS, IDS_MAX)?;
    let store = api.store()?;
    let ids = api
        .questions
        .work(move || store.ids_with_prefix(&prefix, limit))
        .await?;
    let ids: Value = ids.iter().map(|id| Value::from(id.to_string())).collect();
    Ok(plain_json(
        &json!({"schema": "edgespan.ids/1", "traceIDs": ids}),
    ))
}

/// `/api/edgespan/tail?after=SEQUENCE&q=TRACEQL&wait=10s&limit=100`: traces that got spans after
/// that, one a line, and a last line with the sequence number to ask with the next time. Without
/// `after` the answer is that line alone, at once.
pub(super) async fn tail(
    State(api): State<Api>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let parameters = Parameters::of(&uri);
    let wait = parameters.duration("wait")?.unwrap_or(WAIT_MAX);
    let limit = parameters.count("limit", NEWS, NEWS_MAX)?;
    let search = Search {
        query: query(&parameters)?,
        limit: LOOKED_AT_MAX,
        spans_max: 0,
        ..Search::default()
    };
    let after = parameters.number("after", u64::MAX)?;
    let store = api.store()?;
    let gzip = takes_gzip(&headers);
    let Some(after) = after else {
        let now = store.since(u64::MAX, 0).sequence;
        return Ok(lines(&[], &ended(now, false), gzip));
    };
    let Ok(_place) = Arc::clone(&WAITERS).try_acquire_owned() else {
        let message = "too many wait for news already; try again";
        let refused = Refused::new(StatusCode::TOO_MANY_REQUESTS, message);
        return Err(refused.retry_after(1));
    };
    let mut watch = Watch {
        store,
        questions: api.questions.clone(),
        search,
        after,
        limit,
        has_missed: false,
    };
    let found = watch.wait(wait.min(WAIT_MAX)).await?;
    let last = ended(watch.after, watch.has_missed);
    Ok(lines(&found, &last, gzip))
}

/// One who waits for news.
struct Watch {
    store: TraceStore,
    questions: Questions,
    search: Search,
    after: u64,
    limit: usize,
    has_missed: bool,
}

impl Watch {
    /// The traces that are new and wanted, by their start. None, once the time is over.
    async fn wait(&mut self, wait: Duration) -> Result<Vec<Value>, Refused> {
        let until = clock::instant() + wait;
        // Numbers of a store that is no more, or of another process.
        let newest = self.store.since(u64::MAX, 0).sequence;
        if self.after > newest {
            self.after = 0;
            self.has_missed = true;
        }
        loop {
            let left = until.saturating_duration_since(clock::instant());
            let Ok(_newest) = timeout(left, self.store.changed(self.after)).await else {
                return Ok(Vec::new());
            };
            sleep(GATHERED).await;
            let found = self.look().await?;
            let left = until.saturating_duration_since(clock::instant());
            if !found.is_empty() || left.is_zero() {
                return Ok(found);
            }
            sleep(LOOKS_EVERY.min(left)).await;
        }
    }

    async fn look(&mut self) -> Result<Vec<Value>, Refused> {
        let (store, search) = (self.store.clone(), self.search.clone());
        let (after, limit) = (self.after, self.limit);
        let looked = self.questions.work(move || {
            let changes = store.since(after, limit);
            let found = wanted(&store, &search, &changes);
            (changes, found)
        });
        let (changes, found) = looked.await?;
        self.after = changes.sequence;
        self.has_missed |= changes.missed || found.is_none();
        let found = found.unwrap_or_default();
        Ok(found)
    }
}

/// None: the search took too long.
fn wanted(store: &TraceStore, search: &Search, changes: &Changes) -> Option<Vec<Value>> {
    if changes.traces.is_empty() {
        return Some(Vec::new());
    }
    let news: HashSet<TraceId> = changes.traces.iter().copied().collect();
    let found = store.search(search);
    if found.is_cut_off {
        return None;
    }
    let mut hits = found.hits;
    hits.retain(|hit| news.contains(&hit.summary.id));
    hits.sort_by_key(|hit| hit.summary.start);
    Some(hits.iter().map(summary).collect())
}

fn ended(sequence: u64, has_missed: bool) -> Value {
    json!({
        "schema": "edgespan.feed/1",
        "sequence": sequence.to_string(),
        "missed": has_missed,
    })
}

fn lines(traces: &[Value], last: &Value, takes_gzip: bool) -> Response {
    let mut text = String::new();
    for line in traces.iter().chain(std::iter::once(last)) {
        text.push_str(&line.to_string());
        text.push('\n');
    }
    Made::new(LINES, text.into_bytes(), takes_gzip).response()
}
