//! A first store: decoded traces in a list.

use super::{Changes, Hit, Kept, Listed, Scope, Search, SearchAnswer, StoreStats, Taken};
use crate::backend::Summary;
use crate::clock::Timestamp;
use crate::trace::resource::{SCHEMA_URL, encode_scope};
use crate::trace::sink::{FinishedSpans, SpanSink};
use crate::view::{Status, Trace, Value};
use bytes::Bytes;
use opentelemetry::trace::TraceId;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1 as otlp;
use prost::Message as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

#[derive(Debug)]
pub(super) struct Naive {
    bytes_max: AtomicUsize,
    inner: Mutex<Inner>,
    sequence: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Inner {
    traces: Vec<(TraceId, u64, Vec<otlp::ResourceSpans>)>,
    spans: u64,
    bytes: u64,
    evicted_traces: u64,
}

struct Own(Arc<Naive>, Bytes);

impl SpanSink for Own {
    fn accept(&self, spans: &FinishedSpans) {
        let mut scope_spans = otlp::ScopeSpans::decode(spans.bytes.as_slice()).unwrap_or_default();
        scope_spans.scope = opentelemetry_proto::tonic::common::v1::InstrumentationScope::decode(
            encode_scope().as_slice(),
        )
        .ok();
        scope_spans.schema_url = SCHEMA_URL.to_owned();
        self.0.take(vec![otlp::ResourceSpans {
            resource: Resource::decode(self.1.clone()).ok(),
            scope_spans: vec![scope_spans],
            schema_url: SCHEMA_URL.to_owned(),
        }]);
    }
}

impl Naive {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max: AtomicUsize::new(bytes_max),
            inner: Mutex::default(),
            sequence: watch::Sender::new(0),
        }
    }

    pub(super) fn sink(this: &Arc<Self>, resource: Bytes) -> Arc<dyn SpanSink> {
        Arc::new(Own(Arc::clone(this), resource))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn take(&self, groups: Vec<otlp::ResourceSpans>) -> Taken {
        let mut taken = Taken::default();
        let mut inner = self.lock();
        for group in groups {
            for scoped in &group.scope_spans {
                for span in &scoped.spans {
                    let Ok(id) = span.trace_id.as_slice().try_into() else {
                        taken.refused += 1;
                        continue;
                    };
                    taken.taken += 1;
                    let one = otlp::ResourceSpans {
                        resource: group.resource.clone(),
                        scope_spans: vec![otlp::ScopeSpans {
                            scope: scoped.scope.clone(),
                            spans: vec![span.clone()],
                            schema_url: scoped.schema_url.clone(),
                        }],
                        schema_url: group.schema_url.clone(),
                    };
                    inner.spans += 1;
                    inner.bytes += one.encoded_len() as u64;
                    let (id, number) = (TraceId::from_bytes(id), inner.spans);
                    match inner.traces.iter_mut().find(|(known, _, _)| *known == id) {
                        Some((_, last, groups)) => {
                            *last = number;
                            groups.push(one);
                        }
                        None => inner.traces.push((id, number, vec![one])),
                    }
                }
            }
        }
        self.evict(&mut inner);
        self.sequence.send_replace(inner.spans);
        taken
    }

    fn evict(&self, inner: &mut Inner) {
        let bytes_max = self.bytes_max.load(Ordering::Relaxed) as u64;
        while inner.bytes > bytes_max && !inner.traces.is_empty() {
            let (_, _, gone) = inner.traces.remove(0);
            inner.evicted_traces += 1;
            inner.bytes -= gone.iter().map(|one| one.encoded_len() as u64).sum::<u64>();
        }
    }

    pub(super) fn resize(&self, bytes_max: usize) {
        self.bytes_max.store(bytes_max, Ordering::Relaxed);
        self.evict(&mut self.lock());
    }

    pub(super) fn kept(&self, id: TraceId) -> Option<Kept> {
        let inner = self.lock();
        let found = inner.traces.iter().find(|(known, _, _)| *known == id)?;
        Some(Kept {
            groups: found.2.clone(),
            cut_spans: 0,
        })
    }

    pub(super) fn ids_with_prefix(&self, prefix: &str, limit: usize) -> Vec<TraceId> {
        let inner = self.lock();
        let ids = inner.traces.iter().rev().map(|(id, _, _)| *id);
        ids.filter(|id| id.to_string().starts_with(prefix))
            .take(limit)
            .collect()
    }

    pub(super) fn search(&self, search: &Search) -> SearchAnswer {
        let inner = self.lock();
        let mut hits: Vec<Hit> = inner
            .traces
            .iter()
            .filter_map(|(id, _, groups)| hit(&Trace::of_resource_spans(*id, groups)))
            .collect();
        hits.sort_by_key(|hit| std::cmp::Reverse(hit.summary.start));
        let is_complete = hits.len() <= search.limit;
        hits.truncate(search.limit);
        SearchAnswer {
            hits,
            is_complete,
            inspected_traces: inner.traces.len() as u64,
            inspected_bytes: inner.bytes,
        }
    }

    pub(super) fn tag_names(&self, _: Scope, _: usize) -> Listed<String> {
        Listed {
            items: Vec::new(),
            is_complete: true,
        }
    }

    pub(super) fn tag_values(&self, _: Option<Scope>, _: &str, _: usize) -> Listed<Value> {
        Listed {
            items: Vec::new(),
            is_complete: true,
        }
    }

    pub(super) fn stats(&self) -> StoreStats {
        let inner = self.lock();
        StoreStats {
            traces: inner.traces.len() as u64,
            spans: inner.spans,
            bytes: inner.bytes,
            bytes_max: self.bytes_max.load(Ordering::Relaxed) as u64,
            evicted_traces: inner.evicted_traces,
            began: inner.traces.first().map(|_| Timestamp::default()),
            ..StoreStats::default()
        }
    }

    pub(super) async fn changed(&self, after: u64) -> u64 {
        let mut seen = self.sequence.subscribe();
        match seen.wait_for(|now| *now > after).await {
            Ok(now) => *now,
            Err(_) => after,
        }
    }

    pub(super) fn since(&self, sequence: u64, limit: usize) -> Changes {
        let inner = self.lock();
        let touched = inner.traces.iter().filter(|(_, last, _)| *last > sequence);
        let mut traces: Vec<TraceId> = touched.map(|(id, _, _)| *id).collect();
        let missed = traces.len() > limit;
        traces.drain(..traces.len().saturating_sub(limit));
        Changes {
            sequence: inner.spans,
            traces,
            missed,
        }
    }
}

fn hit(trace: &Trace) -> Option<Hit> {
    let start = trace.spans.iter().map(|span| span.start).min()?;
    let end = trace.spans.iter().map(|span| span.end).max()?;
    let root = trace.spans.iter().find(|span| span.parent.is_none());
    Some(Hit {
        summary: Summary {
            id: trace.id,
            root_service: root.map_or_else(String::new, |root| root.service.to_string()),
            root_name: root.map_or_else(String::new, |root| root.name.clone()),
            start,
            duration: end - start,
            spans: u32::try_from(trace.spans.len()).ok(),
            is_error: Some(trace.spans.iter().any(|span| span.status == Status::Error)),
            status: None,
            flow: trace
                .spans
                .iter()
                .find_map(|span| span.text("flow").map(str::to_owned)),
        },
        matched: 0,
        spans: Vec::new(),
        services: Vec::new(),
    })
}
