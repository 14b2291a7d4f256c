//! What a connection is doing, told by its socket and its requests to the watch that closes it.

use super::frames::Flood;
use super::heads::KeptHead;
use super::streams::Reading;
use bytes::Bytes;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError};

/// One connection's doings. Shared by its socket, its requests and its watch.
#[derive(Debug)]
pub(super) struct Activity {
    in_flight: AtomicU32,
    partial_head: AtomicBool,
    write_blocked: AtomicBool,
    /// Writes that got on; wraps round.
    writes: AtomicU32,
    /// HTTP/2: between requests come frames that are no part of a head.
    framed: AtomicBool,
    /// Requests that there may be yet; the last one says goodbye.
    requests_left: AtomicU64,
    flood: OnceLock<Flood>,
    /// The head of the request that comes next, where heads are kept.
    head: KeptHead,
}

impl Activity {
    /// A new connection: the deadline of its first head runs from here.
    pub(super) fn begin(requests_max: Option<u64>) -> Arc<Self> {
        Arc::new(Self {
            in_flight: AtomicU32::new(0),
            partial_head: AtomicBool::new(true),
            write_blocked: AtomicBool::new(false),
            writes: AtomicU32::new(0),
            framed: AtomicBool::new(false),
            requests_left: AtomicU64::new(requests_max.unwrap_or(u64::MAX)),
            flood: OnceLock::new(),
            head: KeptHead::default(),
        })
    }

    /// The connection turned out to be HTTP/2.
    pub(super) fn is_http2(&self) {
        self.framed.store(true, Ordering::Relaxed);
    }

    /// A request's head is complete. The place in flight is given back when the answer's last
    /// byte is handed over, or on any other way out.
    pub(super) fn enter(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.partial_head.store(false, Ordering::Relaxed);
        // One task serves a connection's heads, so nobody else counts meanwhile.
        let left = self.requests_left.load(Ordering::Relaxed).saturating_sub(1);
        self.requests_left.store(left, Ordering::Relaxed);
        InFlight {
            is_last: left == 0,
            activity: Arc::clone(self),
            reading: self.framed.load(Ordering::Relaxed).then(Arc::default),
        }
    }

    /// A head came that is one to keep.
    pub(super) fn keep_head(&self, head: Bytes) {
        *self.head.lock().unwrap_or_else(PoisonError::into_inner) = Some(head);
    }

    /// Whether requests are in flight.
    pub(super) fn is_serving(&self) -> bool {
        self.in_flight.load(Ordering::Relaxed) > 0
    }

    /// Changes with every request.
    pub(super) fn requests_left(&self) -> u64 {
        self.requests_left.load(Ordering::Relaxed)
    }

    /// Whether there have been as many requests as there may be.
    pub(super) fn is_used_up(&self) -> bool {
        self.requests_left() == 0
    }

    /// The client sent too much of what only makes work.
    pub(super) fn flooded(&self, flood: Flood) {
        self.flood.get_or_init(|| flood);
    }

    /// What it sent too much of, if it did.
    pub(super) fn flood(&self) -> Option<Flood> {
        self.flood.get().copied()
    }

    pub(super) fn bytes_read(&self) {
        if self.in_flight.load(Ordering::Relaxed) == 0 && !self.framed.load(Ordering::Relaxed) {
            self.partial_head.store(true, Ordering::Relaxed);
        }
    }

    pub(super) fn write(&self, blocked: bool) {
        self.write_blocked.store(blocked, Ordering::Relaxed);
        if !blocked {
            self.writes.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Changes whenever the client takes something.
    pub(super) fn writes(&self) -> u32 {
        self.writes.load(Ordering::Relaxed)
    }

    pub(super) fn doing(&self) -> Doing {
        if self.write_blocked.load(Ordering::Relaxed) {
            Doing::Blocked
        } else if self.in_flight.load(Ordering::Relaxed) > 0 {
            Doing::Serving
        } else if self.partial_head.load(Ordering::Relaxed) {
            Doing::ReadingHead
        } else {
            Doing::Idle
        }
    }
}

/// What a connection is doing at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    /// Bytes of a head came, the head is not complete. On HTTP/2 only before the first request.
    ReadingHead,
    /// Requests are in flight.
    Serving,
    /// The client does not read what we write.
    Blocked,
    /// Nothing.
    Idle,
}

/// One request's place in its connection. Dropping it gives the place back, on every way out.
#[derive(Debug)]
pub struct InFlight {
    activity: Arc<Activity>,
    is_last: bool,
    /// Of HTTP/2 alone: on HTTP/1 the connection's own watch sees who does not read.
    pub(super) reading: Option<Arc<Reading>>,
}

impl InFlight {
    /// Whether the connection ends with this request.
    pub const fn is_last(&self) -> bool {
        self.is_last
    }

    /// The request's head as it came, if heads like it are kept and it was to be had.
    pub fn take_head(&self) -> Option<Bytes> {
        let head = self.activity.head.lock();
        head.unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The client can take more of its answer.
    pub fn asked_for_frame(&self) {
        if let Some(reading) = &self.reading {
            reading.asked();
        }
    }

    /// It got a frame of it, and has to ask for the next one.
    pub fn handed_over_frame(&self) {
        if let Some(reading) = &self.reading {
            reading.handed_over();
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.activity.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
