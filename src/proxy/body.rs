//! The body of an answer on its way to the client. The request is over when it is.

use super::call;
use super::context::RequestContext;
use super::outcome::Outcome;
use crate::message::compression::Compressed;
use crate::server::BoxError;
use crate::upstream::AnswerBody;
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};

/// Where an answer's bytes come from.
#[derive(Default)]
pub(super) enum Body {
    /// Nowhere.
    #[default]
    Empty,
    /// One of our own.
    Full(Bytes),
    /// One of our own, with trailers behind it.
    Trailed(Box<(Bytes, HeaderMap)>),
    /// The upstream.
    Answer(Box<AnswerBody>),
    /// Another one, compressed.
    Compressed(Box<Compressed<Self>>),
}

impl Body {
    /// One of our own, with trailers behind it.
    pub(super) fn trailed(bytes: Bytes, trailers: HeaderMap) -> Self {
        Self::Trailed(Box::new((bytes, trailers)))
    }

    /// The bytes, if it is one of our own; an upstream's are not held here.
    pub(super) fn into_own(self) -> Bytes {
        match self {
            Self::Full(bytes) => bytes,
            Self::Trailed(own) => own.0,
            Self::Empty | Self::Answer(_) | Self::Compressed(_) => Bytes::new(),
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        if bytes.is_empty() {
            Self::Empty
        } else {
            Self::Full(bytes)
        }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                *self = Self::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Self::Trailed(own) => {
                let (bytes, trailers) = own.as_mut();
                if bytes.is_empty() {
                    let trailers = std::mem::take(trailers);
                    *self = Self::Empty;
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                }
                Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes)))))
            }
            Self::Answer(body) => Pin::new(body.as_mut())
                .poll_frame(cx)
                .map_err(|error| Box::new(error) as BoxError),
            Self::Compressed(body) => Pin::new(body.as_mut()).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(_) | Self::Trailed(_) => false,
            Self::Answer(body) => body.is_end_stream(),
            Self::Compressed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Trailed(own) => SizeHint::with_exact(own.0.len() as u64),
            Self::Answer(body) => body.size_hint(),
            Self::Compressed(body) => body.size_hint(),
        }
    }
}

/// An answer's body that ends its request's spans with its last byte.
pub struct TracedBody {
    inner: Body,
    context: Option<Box<RequestContext>>,
    /// Why the answer breaks off, until the client has what came before.
    broken: Option<BoxError>,
}

impl TracedBody {
    /// `inner`, whose end is the end of `context`; without a context somebody else ends it.
    pub(super) const fn new(inner: Body, context: Option<Box<RequestContext>>) -> Self {
        Self {
            inner,
            context,
            broken: None,
        }
    }

    fn end(&mut self, outcome: Outcome) {
        if let Some(mut context) = self.context.take() {
            if let Body::Compressed(body) = &self.inner {
                context.compressed = Some((body.algorithm().name(), body.bytes_in()));
            }
            context.end(outcome);
        }
    }
}

impl HttpBody for TracedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(error) = self.broken.take() {
            return Poll::Ready(Some(Err(error)));
        }
        if let Some(context) = &self.context {
            context.place.asked_for_frame();
        }
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        match &polled {
            Poll::Pending => {}
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(context) = &mut self.context {
                    context.place.handed_over_frame();
                    context.count(frame);
                }
                if self.inner.is_end_stream() {
                    self.end(Outcome::Complete);
                }
            }
            Poll::Ready(Some(Err(error))) => {
                let request = self
                    .context
                    .as_ref()
                    .and_then(|context| context.body_fault());
                let outcome = Outcome::of_answer_error(error.as_ref(), request);
                let context = self.context.as_deref_mut();
                let last = context.and_then(|context| call::last_words(context, error));
                self.end(outcome);
                if let Some(frame) = last {
                    self.inner = Body::Empty;
                    return Poll::Ready(Some(Ok(frame)));
                }
            }
            Poll::Ready(None) => self.end(Outcome::Complete),
        }
        match polled {
            Poll::Ready(Some(Err(error))) => {
                // On an error hyper throws away what it has not written yet, the head included.
                // One round of waiting lets it write that first.
                self.broken = Some(error);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Ready(frame) => Poll::Ready(frame),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.broken.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for TracedBody {
    fn drop(&mut self) {
        // hyper stops polling once `is_end_stream` is true, so the last `None` may never be seen.
        let outcome = if self.inner.is_end_stream() {
            Outcome::Complete
        } else {
            Outcome::Canceled
        };
        self.end(outcome);
    }
}
