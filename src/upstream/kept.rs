//! A request's head, kept until its answer begins, so that it can be sent once more when a
//! connection from the pool turns out to be closed.
//!
//! hyper takes the head apart while it writes it. A copy for every request must not cost an
//! allocation, so each connection has room of its own that its requests use one after the other.

use crate::message::request_body::RequestBody;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};

/// Room for the head of one request without a body.
#[derive(Debug, Default)]
pub(super) struct KeptHead {
    line: Option<(Method, Uri)>,
    fields: Vec<(HeaderName, HeaderValue)>,
}

impl KeptHead {
    /// Keeps a copy. Names and values are shared, not copied.
    pub(super) fn keep(&mut self, request: &Request<RequestBody>) {
        self.fields.clear();
        let fields = request.headers().iter();
        self.fields
            .extend(fields.map(|(name, value)| (name.clone(), value.clone())));
        self.line = Some((request.method().clone(), request.uri().clone()));
    }

    /// Forgets the copy and keeps the room.
    pub(super) fn forget(&mut self) {
        self.line = None;
        self.fields.clear();
    }

    /// The request once more, if a copy was kept.
    pub(super) fn restore(&mut self) -> Option<Request<RequestBody>> {
        let (method, uri) = self.line.take()?;
        let mut headers = HeaderMap::with_capacity(self.fields.len());
        for (name, value) in self.fields.drain(..) {
            headers.append(name, value);
        }
        let mut request = Request::new(RequestBody::Empty);
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        Some(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_comes_back_as_it_was_once() {
        let mut request = Request::new(RequestBody::Empty);
        *request.method_mut() = Method::DELETE;
        *request.uri_mut() = Uri::from_static("/a?b=c");
        for (name, value) in [("accept", "a"), ("cookie", "b=1"), ("cookie", "c=2")] {
            request
                .headers_mut()
                .append(name, HeaderValue::from_static(value));
        }
        let mut kept = KeptHead::default();

        kept.keep(&request);
        let again = kept.restore().unwrap();

        assert_eq!(
            (again.method(), again.uri()),
            (request.method(), request.uri())
        );
        assert_eq!(again.headers(), request.headers());
        assert!(kept.restore().is_none());
        kept.keep(&request);
        kept.forget();
        assert!(kept.restore().is_none());
    }
}
