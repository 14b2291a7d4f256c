//! A copy of a request's body for a mirror: kept up to a bound while the body goes by.

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::Frame;
use tokio::sync::oneshot;

/// What became of the copy. Without a word the body was broken off.
#[derive(Debug)]
pub enum Kept {
    /// All of the body.
    Whole(KeptBody),
    /// It is longer than the bound; nothing is kept.
    TooLarge,
}

/// A whole body.
#[derive(Debug, Default)]
pub struct KeptBody {
    /// Its bytes.
    pub data: Bytes,
    /// Its trailers.
    pub trailers: Option<HeaderMap>,
}

/// Takes the copy. Dropping it before the end says that the body was broken off.
#[derive(Debug)]
pub(super) struct Tee {
    kept: BytesMut,
    trailers: Option<HeaderMap>,
    bytes_max: usize,
    told: Option<oneshot::Sender<Kept>>,
}

impl Tee {
    pub(super) fn new(bytes_max: usize) -> (Self, oneshot::Receiver<Kept>) {
        let (told, kept) = oneshot::channel();
        let tee = Self {
            kept: BytesMut::new(),
            trailers: None,
            bytes_max,
            told: Some(told),
        };
        (tee, kept)
    }

    /// A frame goes by.
    pub(super) fn take_in(&mut self, frame: &Frame<Bytes>) {
        if self.told.is_none() {
            return;
        }
        if let Some(trailers) = frame.trailers_ref() {
            self.trailers = Some(trailers.clone());
        }
        let Some(data) = frame.data_ref() else { return };
        if self.kept.len().saturating_add(data.len()) > self.bytes_max {
            self.kept = BytesMut::new();
            self.tell(Kept::TooLarge);
        } else {
            self.kept.extend_from_slice(data);
        }
    }

    /// The body has ended.
    pub(super) fn end(&mut self) {
        let data = std::mem::take(&mut self.kept).freeze();
        let trailers = self.trailers.take();
        self.tell(Kept::Whole(KeptBody { data, trailers }));
    }

    fn tell(&mut self, kept: Kept) {
        if let Some(told) = self.told.take() {
            // Whoever waited may have gone.
            drop(told.send(kept));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(frames: &[usize], ends: bool) -> Result<Kept, oneshot::error::TryRecvError> {
        let (mut tee, mut kept) = Tee::new(10);
        for &length in frames {
            tee.take_in(&Frame::data(vec![b'x'; length].into()));
        }
        if ends {
            tee.end();
        }
        drop(tee);
        kept.try_recv()
    }

    #[test]
    fn a_body_up_to_the_bound_is_kept_whole() {
        for frames in [&[][..], &[9], &[10], &[3, 0, 7]] {
            let Ok(Kept::Whole(body)) = after(frames, true) else {
                panic!("{frames:?} is not kept");
            };
            assert_eq!(body.data.len(), frames.iter().sum::<usize>());
        }
    }

    #[test]
    fn a_byte_more_is_too_much() {
        for frames in [&[11][..], &[10, 1], &[10, 1, 5]] {
            assert!(matches!(after(frames, true), Ok(Kept::TooLarge)));
        }
    }

    #[test]
    fn a_body_without_an_end_is_none() {
        assert!(after(&[5], false).is_err());
    }
}
