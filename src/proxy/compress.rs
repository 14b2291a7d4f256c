//! Compression of an answer on its way to the client, where its route asks for it.

use super::body::Body;
use super::context::RequestContext;
use crate::message::compression::{Compressed, Verdict, Wanted};
use http::{HeaderMap, Method, Response, Version};
use http_body::Body as _;

/// Notes at the request what it says of compression, if its route compresses.
pub(super) fn note(context: &mut RequestContext, headers: &HeaderMap) {
    let Some(rules) = context
        .route
        .as_ref()
        .and_then(|route| route.plan.compression.as_ref())
    else {
        return;
    };
    let (method, version): (&Method, Version) = (&context.method, context.version);
    context.compression = Some(Box::new(Wanted::of(rules, method, version, headers)));
}

/// Decides at the head of the answer; its body is compressed from here on.
pub(super) fn begin(context: &mut RequestContext, response: Response<Body>) -> Response<Body> {
    let Some(wanted) = context.compression.take() else {
        return response;
    };
    let Some(rules) = context
        .route
        .as_ref()
        .and_then(|route| route.plan.compression.as_ref())
    else {
        return response;
    };
    let (mut head, body) = response.into_parts();
    let body = match wanted.applies(rules, &mut head, body.size_hint().exact()) {
        Verdict::AsItIs => body,
        Verdict::NoPlace => {
            context.live.metrics.compression_refused();
            body
        }
        Verdict::Compress(work) => Body::Compressed(Box::new(Compressed::new(body, *work))),
    };
    Response::from_parts(head, body)
}
