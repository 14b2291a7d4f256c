//! An answer of either wire, which holds its request's place until its last byte.

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use std::convert::Infallible;

/// The answer's body.
pub(super) type AnswerBody = UnsyncBoxBody<Bytes, Infallible>;

/// An answer that is whole already.
pub(super) struct WholeAnswer {
    pub(super) response: Response<Bytes>,
    pub(super) trailers: Option<HeaderMap>,
}

impl WholeAnswer {
    /// Without trailers.
    pub(super) const fn plain(response: Response<Bytes>) -> Self {
        Self {
            response,
            trailers: None,
        }
    }

    /// With `held` until its last byte has left.
    pub(super) fn holding<H: Send + 'static>(self, held: H) -> Response<AnswerBody> {
        let trailers = self.trailers;
        self.response.map(|bytes| {
            let body = Full::new(bytes).map_frame(move |frame| {
                let _until_here = &held;
                frame
            });
            match trailers {
                Some(trailers) => body
                    .with_trailers(std::future::ready(Some(Ok(trailers))))
                    .boxed_unsync(),
                None => body.boxed_unsync(),
            }
        })
    }
}
