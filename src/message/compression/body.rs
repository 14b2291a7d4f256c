//! A body that is compressed as it goes by.
//!
//! It reads only when it is asked for more, so back-pressure is the client's as before. When the
//! origin pauses, what it has sent so far is flushed: a client waits for no byte that the origin
//! has sent. A piece of work is small, so that a large frame does not keep a thread from others.

use super::encoder::Encoder;
use super::head::{DIGESTS, Work};
use super::{Algorithm, StreamPlace};
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Most bytes that are compressed before other tasks have their turn: about a millisecond of gzip.
const PIECE_BYTES: usize = 32 * 1024;
/// Less is not handed on while more comes at once.
const OUT_BYTES: usize = 8 * 1024;

/// A body and its encoder.
pub struct Compressed<B> {
    inner: B,
    encoder: Encoder,
    /// What has been read and not compressed.
    pending: Bytes,
    /// Whether something was written since the last flush.
    dirty: bool,
    phase: Phase,
    bytes_in: u64,
    _place: StreamPlace,
}

enum Phase {
    Reading,
    /// The end is in the encoder's output; then these.
    Ending(Option<HeaderMap>),
    Done,
}

impl<B> Compressed<B> {
    /// `inner`, as the verdict on its head says.
    pub fn new(inner: B, work: Work) -> Self {
        Self {
            inner,
            encoder: work.encoder,
            pending: Bytes::new(),
            dirty: false,
            phase: Phase::Reading,
            bytes_in: 0,
            _place: work.place,
        }
    }

    /// How it is compressed.
    pub const fn algorithm(&self) -> Algorithm {
        self.encoder.algorithm()
    }

    /// Bytes of the body before, so far.
    pub const fn bytes_in(&self) -> u64 {
        self.bytes_in
    }
}

impl<B> Body for Compressed<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        let mut worked = 0;
        loop {
            let ready = this.encoder.ready();
            match &mut this.phase {
                Phase::Done => return Poll::Ready(None),
                Phase::Ending(_) if ready > 0 => {
                    return Poll::Ready(Some(Ok(Frame::data(this.encoder.take()))));
                }
                Phase::Ending(trailers) => {
                    let trailers = trailers.take();
                    this.phase = Phase::Done;
                    return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
                }
                Phase::Reading if ready >= OUT_BYTES => {
                    return Poll::Ready(Some(Ok(Frame::data(this.encoder.take()))));
                }
                Phase::Reading if worked >= PIECE_BYTES => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Phase::Reading if !this.pending.is_empty() => {
                    let length = this.pending.len().min(PIECE_BYTES - worked);
                    this.encoder.write(&this.pending.split_to(length))?;
                    this.dirty = true;
                    worked += length;
                }
                Phase::Reading => match Pin::new(&mut this.inner).poll_frame(cx) {
                    Poll::Ready(Some(Ok(frame))) => this.take_in(frame)?,
                    Poll::Ready(Some(Err(error))) => {
                        return Poll::Ready(Some(Err(error.into())));
                    }
                    Poll::Ready(None) => this.end(None)?,
                    Poll::Pending => {
                        if std::mem::take(&mut this.dirty) {
                            this.encoder.flush()?;
                        }
                        if this.encoder.ready() == 0 {
                            return Poll::Pending;
                        }
                        return Poll::Ready(Some(Ok(Frame::data(this.encoder.take()))));
                    }
                },
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.phase, Phase::Done)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

impl<B> Compressed<B> {
    fn take_in(&mut self, frame: Frame<Bytes>) -> std::io::Result<()> {
        match frame.into_data() {
            Ok(data) => {
                self.bytes_in += data.len() as u64;
                self.pending = data;
                Ok(())
            }
            Err(frame) => match frame.into_trailers() {
                Ok(mut trailers) => {
                    for name in &DIGESTS {
                        trailers.remove(name);
                    }
                    self.end(Some(trailers))
                }
                Err(_) => Ok(()),
            },
        }
    }

    fn end(&mut self, trailers: Option<HeaderMap>) -> std::io::Result<()> {
        self.encoder.finish()?;
        self.phase = Phase::Ending(trailers);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{CompressionRules, Verdict, Wanted, rules};
    use super::*;
    use http::{HeaderValue, Method, Response, Version};
    use http_body_util::BodyExt;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::collections::VecDeque;
    use std::io::{self, Read};
    use std::task::Waker;

    #[derive(Clone, Debug)]
    enum Step {
        Data(Vec<u8>),
        Pause,
        Trailers(HeaderMap),
        Break,
    }

    /// A body that does as a test says; it wakes at once after a pause.
    struct Scripted(VecDeque<Step>);

    impl Body for Scripted {
        type Data = Bytes;
        type Error = io::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
            Poll::Ready(match self.0.pop_front() {
                None => None,
                Some(Step::Data(data)) => Some(Ok(Frame::data(data.into()))),
                Some(Step::Trailers(trailers)) => Some(Ok(Frame::trailers(trailers))),
                Some(Step::Break) => Some(Err(io::Error::other("broken"))),
                Some(Step::Pause) => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
            })
        }
    }

    fn compressed(
        coding: &str,
        steps: Vec<Step>,
        rules: &CompressionRules,
    ) -> Compressed<Scripted> {
        let mut asked = HeaderMap::new();
        asked.insert("accept-encoding", HeaderValue::from_str(coding).unwrap());
        let wanted = Wanted::of(rules, &Method::GET, Version::HTTP_2, &asked);
        let (mut head, ()) = Response::new(()).into_parts();
        head.headers
            .insert("content-type", HeaderValue::from_static("text/plain"));
        match wanted.applies(rules, &mut head, None) {
            Verdict::Compress(work) => Compressed::new(Scripted(steps.into()), *work),
            Verdict::AsItIs | Verdict::NoPlace => panic!("not compressed"),
        }
    }

    fn decoded(coding: &str, bytes: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        match coding {
            "gzip" => flate2::read::MultiGzDecoder::new(bytes)
                .read_to_end(&mut plain)
                .unwrap(),
            _ => zstd::stream::read::Decoder::new(bytes)
                .unwrap()
                .read_to_end(&mut plain)
                .unwrap(),
        };
        plain
    }

    /// What can be read of a stream that has not ended.
    fn readable(coding: &str, bytes: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        // The end is missing, so that an error comes after what is there.
        drop(match coding {
            "gzip" => flate2::read::GzDecoder::new(bytes).read_to_end(&mut plain),
            _ => zstd::stream::read::Decoder::new(bytes)
                .unwrap()
                .read_to_end(&mut plain),
        });
        plain
    }

    #[test]
    fn what_the_origin_sent_before_it_paused_can_be_read() {
        for coding in ["gzip", "zstd"] {
            let steps = vec![Step::Data(b"first ".to_vec()), Step::Pause, Step::Pause];
            let mut body = compressed(coding, steps, &rules());
            let mut cx = Context::from_waker(Waker::noop());

            let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut body).poll_frame(&mut cx) else {
                panic!("{coding}: nothing came");
            };

            assert_eq!(readable(coding, &frame.into_data().unwrap()), b"first ");
            // Nothing new, so nothing more is put out, however often the origin pauses.
            assert!(Pin::new(&mut body).poll_frame(&mut cx).is_pending());
        }
    }

    #[test]
    fn a_large_frame_is_compressed_in_pieces() {
        for coding in ["gzip", "zstd"] {
            let steps = vec![Step::Data(vec![b'a'; 10 * PIECE_BYTES])];
            let mut body = compressed(coding, steps, &rules());
            let mut cx = Context::from_waker(Waker::noop());

            assert!(Pin::new(&mut body).poll_frame(&mut cx).is_pending());
            assert_eq!(body.pending.len(), 9 * PIECE_BYTES, "{coding}");
        }
    }

    #[tokio::test]
    async fn trailers_come_last_without_digests_that_do_not_hold() {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-checked", HeaderValue::from_static("yes"));
        trailers.insert("content-digest", HeaderValue::from_static("sha-256=:x:"));
        let steps = vec![Step::Data(b"abc".to_vec()), Step::Trailers(trailers)];
        let body = compressed("gzip", steps, &rules());

        let collected = body.collect().await.unwrap();

        let trailers = collected.trailers().unwrap();
        assert_eq!(trailers.len(), 1);
        assert_eq!(trailers.get("x-checked").unwrap(), "yes");
        assert_eq!(decoded("gzip", &collected.to_bytes()), b"abc");
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_stays_broken() {
        let steps = vec![Step::Data(b"abc".to_vec()), Step::Break];
        let rules = rules();
        let body = compressed("zstd", steps, &rules);

        assert!(body.collect().await.is_err());

        assert_eq!(
            rules
                .streams
                .count()
                .load(std::sync::atomic::Ordering::Relaxed),
            0
        );
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let data = prop_oneof![vec(any::<u8>(), 0..300), vec(Just(b'x'), 0..100_000)];
        vec(
            prop_oneof![3 => data.prop_map(Step::Data), 1 => Just(Step::Pause)],
            0..12,
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn what_comes_out_is_what_went_in(
            steps in steps(),
            coding in prop_oneof![Just("gzip"), Just("zstd")],
        ) {
            let sent: Vec<u8> = steps
                .iter()
                .flat_map(|step| match step {
                    Step::Data(data) => data.clone(),
                    Step::Pause | Step::Trailers(_) | Step::Break => Vec::new(),
                })
                .collect();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let mut body = compressed(coding, steps, &rules());

            let got = runtime.block_on(async {
                let mut got = Vec::new();
                while let Some(frame) = body.frame().await {
                    let data = frame.unwrap().into_data().unwrap();
                    assert!(!data.is_empty() && data.len() <= 256 * 1024);
                    got.extend_from_slice(&data);
                }
                got
            });

            prop_assert_eq!(decoded(coding, &got), &sent[..]);
            prop_assert_eq!(body.bytes_in(), sent.len() as u64);
            prop_assert!(body.is_end_stream());
        }
    }
}
