//! A request's body that can be sent again: what was read from the client is kept up to a bound.
//!
//! Attempts read it one after the other, or at the same time once it is whole. An attempt that was
//! given up reads nothing from the client any more.

use super::request_body::{BodyFault, RequestBody, RequestBodyError};
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

/// One request's body, for as many attempts as need it.
#[derive(Clone, Debug)]
pub struct ReplayBody(Arc<Mutex<Source>>);

#[derive(Debug)]
struct Source {
    client: RequestBody,
    /// Everything that was read, unless it was too much.
    kept: Vec<u8>,
    kept_bytes_max: usize,
    /// More was read than is kept: it cannot be sent again.
    outgrown: bool,
    trailers: Option<HeaderMap>,
    ended: bool,
    /// Bytes that the client has sent.
    read_bytes: u64,
    /// Which reader may read from the client: the one begun last.
    reader: u32,
    /// Who waits for the client, to be told when it is no longer its turn.
    waiting: Option<Waker>,
    length: Option<u64>,
}

/// One attempt's view of it.
#[derive(Debug)]
pub struct ReplayReader {
    source: Arc<Mutex<Source>>,
    number: u32,
    /// Bytes handed on so far.
    position: u64,
    finished: bool,
}

impl ReplayBody {
    /// Keeps up to `kept_bytes_max` bytes of `client`.
    pub fn new(client: RequestBody, kept_bytes_max: usize) -> Self {
        let length = client.size_hint().exact();
        Self(Arc::new(Mutex::new(Source {
            client,
            kept: Vec::new(),
            kept_bytes_max,
            outgrown: false,
            trailers: None,
            ended: false,
            read_bytes: 0,
            reader: 0,
            waiting: None,
            length,
        })))
    }

    fn source(&self) -> MutexGuard<'_, Source> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The body for one more attempt. Those before it read nothing from the client from now on.
    pub fn read(&self) -> RequestBody {
        let mut source = self.source();
        source.reader = source.reader.wrapping_add(1);
        let (number, superseded) = (source.reader, source.waiting.take());
        drop(source);
        // Nobody else would: the client's body wakes whoever asked it last.
        if let Some(superseded) = superseded {
            superseded.wake();
        }
        RequestBody::Replayed(Box::new(ReplayReader {
            source: Arc::clone(&self.0),
            number,
            position: 0,
            finished: false,
        }))
    }

    /// Whether it can be sent from its first byte.
    pub fn is_kept(&self) -> bool {
        !self.source().outgrown
    }

    /// Whether all of it is here, so that several attempts can send it at the same time.
    pub fn is_whole(&self) -> bool {
        let source = self.source();
        source.ended && !source.outgrown
    }
}

impl Source {
    fn keep(&mut self, data: &Bytes) {
        self.read_bytes += data.len() as u64;
        if self.outgrown {
            return;
        }
        if self.kept.len() + data.len() > self.kept_bytes_max {
            self.outgrown = true;
            self.kept = Vec::new();
        } else {
            self.kept.extend_from_slice(data);
        }
    }

    /// What was kept from `position` on; empty if nothing more was.
    fn rest(&self, position: u64) -> &[u8] {
        let position = usize::try_from(position).unwrap_or(usize::MAX);
        self.kept.get(position..).unwrap_or_default()
    }

    fn poll_client(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        let polled = Pin::new(&mut self.client).poll_frame(cx);
        let polled = match polled {
            Poll::Ready(polled) => polled,
            Poll::Pending => {
                self.waiting = Some(cx.waker().clone());
                return Poll::Pending;
            }
        };
        match &polled {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    self.keep(data);
                } else {
                    self.trailers = frame.trailers_ref().cloned();
                }
                self.ended = self.client.is_end_stream() || frame.is_trailers();
            }
            Some(Err(_)) => {
                // What broke off is never sent as if it were whole.
                self.outgrown = true;
                self.kept = Vec::new();
            }
            None => self.ended = true,
        }
        Poll::Ready(polled)
    }
}

impl ReplayReader {
    fn source(&self) -> MutexGuard<'_, Source> {
        self.source.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        if self.finished {
            return Poll::Ready(None);
        }
        let shared = Arc::clone(&self.source);
        let mut source = shared.lock().unwrap_or_else(PoisonError::into_inner);
        let rest = source.rest(self.position);
        if !rest.is_empty() {
            let data = Bytes::copy_from_slice(rest);
            self.position += data.len() as u64;
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if self.position != source.read_bytes {
            // What stood between is kept no more.
            return Poll::Ready(Some(Err(given_up())));
        }
        if source.ended {
            self.finished = true;
            let trailers = source.trailers.clone().map(Frame::trailers);
            return Poll::Ready(trailers.map(Ok));
        }
        if self.number != source.reader {
            return Poll::Ready(Some(Err(given_up())));
        }
        let polled = ready!(source.poll_client(cx));
        match &polled {
            Some(Ok(frame)) => {
                self.position += frame.data_ref().map_or(0, Bytes::len) as u64;
                self.finished = frame.is_trailers();
            }
            Some(Err(_)) => {}
            None => self.finished = true,
        }
        Poll::Ready(polled)
    }

    pub(super) fn is_end_stream(&self) -> bool {
        let source = self.source();
        self.finished
            || (source.ended && source.trailers.is_none() && self.position == source.read_bytes)
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        match self.source().length {
            Some(length) => SizeHint::with_exact(length.saturating_sub(self.position)),
            None => SizeHint::default(),
        }
    }
}

/// What an attempt gets that is read by nobody any more. No fault of the client's is noted.
const fn given_up() -> RequestBodyError {
    RequestBodyError(BodyFault::Client)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::request_body::BodyLimits;
    use http_body_util::BodyExt;
    use hyper_util::rt::TokioIo;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;
    use std::time::Duration;
    use tokio::io::{AsyncWriteExt, DuplexStream};
    use tokio::sync::mpsc;

    /// The body of a request whose bytes the test writes as it likes.
    async fn body_of(head: &str) -> (DuplexStream, RequestBody) {
        let (mut client, server) = tokio::io::duplex(1024);
        let (sender, mut requests) = mpsc::channel(1);
        tokio::spawn(async move {
            let service = hyper::service::service_fn(move |request| {
                let sender = sender.clone();
                async move {
                    sender.send(request).await.unwrap();
                    std::future::pending::<Result<http::Response<String>, std::io::Error>>().await
                }
            });
            let builder = hyper::server::conn::http1::Builder::new();
            drop(
                builder
                    .serve_connection(TokioIo::new(server), service)
                    .await,
            );
        });
        client.write_all(head.as_bytes()).await.unwrap();
        let request: http::Request<hyper::body::Incoming> = requests.recv().await.unwrap();
        let limits = BodyLimits {
            bytes_per_second_min: None,
            bytes_max: u64::MAX,
            idle: Duration::from_secs(60),
            gated: false,
        };
        (client, RequestBody::streamed(request.into_body(), limits).0)
    }

    async fn of_length(text: &str) -> (DuplexStream, RequestBody) {
        let length = text.len();
        body_of(&format!(
            "PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n{text}"
        ))
        .await
    }

    async fn read(body: RequestBody) -> Result<String, RequestBodyError> {
        let whole = body.collect().await?.to_bytes();
        Ok(String::from_utf8(whole.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn every_attempt_reads_the_same_up_to_the_bound_and_none_beyond_it() {
        for (text, kept) in [("abc", true), ("abcd", true), ("abcde", false)] {
            let (_client, body) = of_length(text).await;
            let replay = ReplayBody::new(body, 4);

            assert!(replay.is_kept() && !replay.is_whole());
            assert_eq!(
                read(replay.read()).await.unwrap(),
                text,
                "the first reads all"
            );
            assert_eq!((replay.is_kept(), replay.is_whole()), (kept, kept));
            let again = read(replay.read()).await;
            assert_eq!(again.ok().as_deref(), kept.then_some(text));
        }
    }

    #[tokio::test]
    async fn two_attempts_read_a_whole_body_at_the_same_time() {
        let (_client, body) = of_length("abcd").await;
        let replay = ReplayBody::new(body, 4);
        read(replay.read()).await.unwrap();

        let (one, other) = (replay.read(), replay.read());

        assert_eq!(one.size_hint().exact(), Some(4));
        let (one, other) = tokio::join!(read(one), read(other));
        assert_eq!((&*one.unwrap(), &*other.unwrap()), ("abcd", "abcd"));
    }

    #[derive(Default)]
    struct Task(AtomicUsize);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn an_attempt_that_waits_for_the_client_is_told_when_it_is_given_up() {
        let head = "PUT / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
        let (_client, body) = body_of(head).await;
        let replay = ReplayBody::new(body, 64);
        let tasks = [Arc::new(Task::default()), Arc::new(Task::default())];
        let wakers = tasks.clone().map(Waker::from);
        let [mut first, mut second] = wakers.each_ref().map(Context::from_waker);
        let woken = || tasks.each_ref().map(|task| task.0.load(Ordering::Relaxed));

        let mut given_up = replay.read();
        assert!(Pin::new(&mut given_up).poll_frame(&mut first).is_pending());
        assert_eq!(woken(), [0, 0]);
        let mut counts = replay.read();
        assert_eq!(woken(), [1, 0]);
        assert!(Pin::new(&mut counts).poll_frame(&mut second).is_pending());
        let polled = Pin::new(&mut given_up).poll_frame(&mut first);
        assert!(matches!(polled, Poll::Ready(Some(Err(_)))));

        drop(replay.read());
        assert_eq!(woken(), [1, 1]);
    }

    #[tokio::test]
    async fn a_body_that_its_client_broke_off_is_never_sent_again() {
        let head = "PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nab";
        let (client, body) = body_of(head).await;
        let replay = ReplayBody::new(body, 64);
        let mut reading = replay.read();
        let frame = reading.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), "ab");
        assert!(replay.is_kept());

        drop(client);
        assert!(reading.frame().await.unwrap().is_err());

        assert!(!replay.is_kept() && !replay.is_whole());
        assert!(read(replay.read()).await.is_err());
    }

    #[tokio::test]
    async fn an_attempt_that_was_given_up_takes_nothing_from_the_one_that_counts() {
        let head = "PUT / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
        let (mut client, body) = body_of(head).await;
        let replay = ReplayBody::new(body, 64);
        let mut given_up = replay.read();
        client.write_all(b"2\r\nab\r\n").await.unwrap();
        let frame = given_up.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), "ab");

        let counts = replay.read();
        assert!(given_up.frame().await.unwrap().is_err());
        client
            .write_all(b"2\r\ncd\r\n0\r\nx-end: 1\r\n\r\n")
            .await
            .unwrap();

        let whole = counts.collect().await.unwrap();
        assert_eq!(whole.trailers().unwrap()["x-end"], "1");
        assert_eq!(whole.to_bytes(), "abcd");
        let once_more = replay.read().collect().await.unwrap();
        assert_eq!(once_more.trailers().unwrap()["x-end"], "1");
        assert_eq!(once_more.to_bytes(), "abcd");
    }
}
