//! The store as its users share it: the inbox of requests, the index of readers, and the thread
//! that moves spans from one to the other.
//!
//! A request takes the lock of the inbox only, which is never held longer than a copy takes.
//! Readers share the index; it is written by the thread of the store alone, so that the allocator
//! gives it again what it freed: of one that another thread freed it would keep the pages.

use super::inbox::{Accepted, Inbox, records};
use super::index::{Index, trace_id};
use super::segment::SourceBytes;
use super::{Changes, StoreStats, Taken};
use crate::clock::Timestamp;
use crate::trace::sink::{FinishedSpans, SpanSink};
use bytes::Bytes;
use opentelemetry_proto::tonic::trace::v1 as otlp;
use prost::Message as _;
use std::collections::{HashSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak, mpsc};
use std::thread::Thread;
use std::time::Duration;
use tokio::sync::Notify;

/// Least bound: below it nothing useful is kept.
const BYTES_MIN: usize = 256 << 10;

/// How long one who waits for news waits for a search, or for spans to be sorted in.
const BUSY: Duration = Duration::from_millis(20);

/// How long one waits for a change of the index: longer than any search may take.
const CHANGED_WITHIN: Duration = Duration::from_secs(30);

/// What somebody wants done to the index, who waits for it.
type Job = Box<dyn FnOnce(&mut Index) + Send>;

/// What all clones of a store are.
pub(super) struct Shared {
    inbox: Mutex<Inbox>,
    index: RwLock<Index>,
    /// For the sorter. Bounded by those who wait.
    jobs: Mutex<VecDeque<Job>>,
    /// How many wait for [`Self::news`]: usually nobody, and then a request does not tell.
    waiting: AtomicUsize,
    news: Notify,
    /// Writes the index; None if the machine gave no thread, then everybody does.
    sorter: Option<Thread>,
    ended: Arc<AtomicBool>,
    /// How many have, or wait for, the index to read it.
    reading: AtomicUsize,
    /// Figures as they were told last.
    told: Mutex<StoreStats>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("TraceStore").finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn start(bytes_max: usize) -> Arc<Self> {
        let bytes_max = bytes_max.max(BYTES_MIN);
        let ended = Arc::new(AtomicBool::new(false));
        Arc::new_cyclic(|this| Self {
            inbox: Mutex::new(Inbox::new(bytes_max)),
            index: RwLock::new(Index::new(bytes_max)),
            jobs: Mutex::default(),
            waiting: AtomicUsize::new(0),
            news: Notify::new(),
            sorter: sorter(Weak::clone(this), Arc::clone(&ended)),
            ended,
            reading: AtomicUsize::new(0),
            told: Mutex::new(StoreStats {
                bytes_max: bytes_max as u64,
                ..StoreStats::default()
            }),
        })
    }

    pub(super) fn resize(&self, bytes_max: usize) {
        let bytes_max = bytes_max.max(BYTES_MIN);
        self.with_inbox(|inbox| inbox.resize(bytes_max));
        self.write(move |index| index.resize(bytes_max));
    }

    pub(super) fn sink(this: &Arc<Self>, resource: Bytes) -> Arc<dyn SpanSink> {
        let own = this.write(|index| index.own(resource));
        let store = Arc::clone(this);
        Arc::new(Sink { store, own })
    }

    /// Changes the index, with everything that was accepted before in it, and waits for that.
    pub(super) fn write<T>(&self, change: impl FnOnce(&mut Index) -> T + Send + 'static) -> T
    where
        T: Default + Send + 'static,
    {
        let Some(sorter) = &self.sorter else {
            return self.write_here(change);
        };
        let (tell, told) = mpsc::sync_channel(1);
        let job: Job = Box::new(move |index| {
            // Who asked may have given up.
            drop(tell.send(change(index)));
        });
        self.with_jobs(|jobs| jobs.push_back(job));
        sorter.unpark();
        told.recv_timeout(CHANGED_WITHIN).unwrap_or_default()
    }

    fn write_here<T>(&self, change: impl FnOnce(&mut Index) -> T) -> T {
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        self.sort_in(&mut index);
        change(&mut index)
    }

    /// What the sorter does whenever it is woken.
    fn work(&self) {
        self.write_here(|_| ());
        while let Some(job) = self.with_jobs(VecDeque::pop_front) {
            self.write_here(job);
        }
    }

    fn sort_in(&self, index: &mut Index) {
        // The lock of the index is held, so chunks are sorted in as they came.
        while let Some(chunk) = self.with_inbox(Inbox::pop) {
            for (own, _, records) in records(&chunk) {
                index.take_own(own, records);
            }
            self.with_inbox(|inbox| inbox.give_back(chunk));
        }
    }

    fn with_jobs<T>(&self, ask: impl FnOnce(&mut VecDeque<Job>) -> T) -> T {
        ask(&mut self.jobs.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn with_inbox<T>(&self, ask: impl FnOnce(&mut Inbox) -> T) -> T {
        ask(&mut self.inbox.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads, with everything that was accepted before.
    pub(super) fn read<T>(&self, ask: impl FnOnce(&Index) -> T) -> T {
        // What the sorter has taken out, it holds the index for: nothing is missed.
        if !self.with_inbox(|inbox| inbox.is_empty()) {
            self.write(|_| ());
        }
        let _counted = Counted::in_(&self.reading);
        ask(&self.index.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn take(&self, groups: Vec<otlp::ResourceSpans>) -> Taken {
        // Encoded before the lock is taken: that is most of the work.
        let mut pieces = Vec::new();
        for group in groups {
            let resource = group.resource.map(|one| one.encode_to_vec());
            let resource: Arc<[u8]> = resource.unwrap_or_default().into();
            let schema: Arc<str> = group.schema_url.into();
            for mut scoped in group.scope_spans {
                let scope = scoped.scope.take().map(|one| one.encode_to_vec());
                let scope_schema = std::mem::take(&mut scoped.schema_url);
                let records = scoped.encode_to_vec();
                let resource = (Arc::clone(&resource), Arc::clone(&schema));
                pieces.push((resource, scope.unwrap_or_default(), scope_schema, records));
            }
        }
        let (all, _pieces) = self.write(move |index| {
            let mut all = Taken::default();
            for ((resource, resource_schema), scope, scope_schema, records) in &pieces {
                let source = SourceBytes {
                    resource,
                    resource_schema,
                    scope,
                    scope_schema,
                };
                let taken = index.take(&source, records);
                all.taken += taken.taken;
                all.refused += taken.refused;
            }
            // Freed by whose thread made them.
            (all, pieces)
        });
        self.tell();
        all
    }

    pub(super) fn stats(&self) -> StoreStats {
        let refused = self.with_inbox(|inbox| inbox.refused_spans);
        // Figures are asked for where requests are served: they do not wait for a search to end,
        // nor behind somebody who waits for that. Sorting in is short, and is waited for.
        let now = if self.reading.load(Ordering::Acquire) == 0 {
            self.write(move |index| Some(figures(index, refused)))
        } else {
            let index = self.index.try_read();
            index.ok().map(|index| figures(&index, refused))
        };
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        *told = now.unwrap_or(*told);
        *told
    }

    /// The newest sequence number, and whether it is known that there is no newer one. Never waits
    /// for a search.
    fn sequence_now(&self) -> Option<(u64, bool)> {
        let is_all = self.with_inbox(|inbox| inbox.is_empty());
        if !is_all {
            match &self.sorter {
                Some(sorter) => sorter.unpark(),
                None => drop(
                    self.index
                        .try_write()
                        .map(|mut index| self.sort_in(&mut index)),
                ),
            }
        }
        let index = self.index.try_read().ok()?;
        Some((index.next_span, is_all))
    }

    fn tell(&self) {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            self.news.notify_waiters();
        }
    }

    pub(super) async fn changed(&self, after: u64) -> u64 {
        let _counted = Counted::in_(&self.waiting);
        loop {
            // Counted and listening before the look: what is accepted after the look is told.
            let news = self.news.notified();
            let mut news = std::pin::pin!(news);
            news.as_mut().enable();
            match self.sequence_now() {
                Some((now, _)) if now > after => return now,
                Some((_, true)) => news.await,
                // Spans are sorted in, or a search has the index: another look when that is done.
                Some(_) | None => tokio::time::sleep(BUSY).await,
            }
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        if let Some(sorter) = &self.sorter {
            sorter.unpark();
        }
    }
}

/// One of those who wait, or read.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn in_(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The thread that sorts in whenever it is woken, until the store is gone.
fn sorter(store: Weak<Shared>, ended: Arc<AtomicBool>) -> Option<Thread> {
    let work = move || {
        while !ended.load(Ordering::Acquire) {
            std::thread::park();
            if let Some(store) = store.upgrade() {
                // Whoever waits for a change gets none then, and the next one gets theirs.
                let _panicked = catch_unwind(AssertUnwindSafe(|| store.work()));
            }
        }
    };
    let thread = std::thread::Builder::new().name("edgespan-store".to_owned());
    let started = thread.spawn(work);
    started.ok().map(|handle| handle.thread().clone())
}

/// Takes edgespan's own spans.
struct Sink {
    store: Arc<Shared>,
    own: u32,
}

impl SpanSink for Sink {
    fn accept(&self, spans: &FinishedSpans) {
        let store = &*self.store;
        let accepted = store.with_inbox(|inbox| inbox.push(self.own, spans.count, &spans.bytes));
        if accepted != Accepted::Waiting
            && let Some(sorter) = &store.sorter
        {
            sorter.unpark();
        }
        store.tell();
    }
}

fn figures(index: &Index, refused: u64) -> StoreStats {
    StoreStats {
        traces: index.traces().len() as u64,
        spans: index.spans,
        bytes: index.memory() as u64,
        bytes_max: index.bytes_max() as u64,
        evicted_traces: index.evicted_traces,
        evicted_spans: index.evicted_spans,
        refused_spans: index.refused_spans + refused,
        began: index
            .traces()
            .get(0)
            .map(|trace| Timestamp::from_unix_nanos(trace.start)),
    }
}

/// Which traces got spans after `sequence`.
pub(super) fn since(index: &Index, sequence: u64, limit: usize) -> Changes {
    let oldest = index.segments().front().map_or(0, |one| one.first_span);
    let mut seen = HashSet::new();
    let mut traces = Vec::new();
    for segment in index.segments() {
        let last = segment.first_span + segment.rows().len() as u64;
        if last <= sequence {
            continue;
        }
        let known = sequence.saturating_sub(segment.first_span);
        let known = usize::try_from(known).unwrap_or(usize::MAX);
        for row in segment.rows().iter_from(known) {
            let trace = index.trace_of(segment, row.trace);
            if let Some(trace) = trace.and_then(|trace| index.traces().get(trace))
                && seen.insert(trace.id)
            {
                traces.push(trace_id(trace));
            }
        }
    }
    let over = traces.len().saturating_sub(limit);
    traces.drain(..over);
    Changes {
        sequence: index.next_span,
        traces,
        missed: over > 0 || sequence < oldest,
    }
}
