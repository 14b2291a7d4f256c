//! Where a redirected client is sent.

use super::context::RequestContext;
use super::plan::Redirect;
use crate::route::rewrite_path;
use http::{HeaderValue, Uri};

/// The `Location` of a redirect: absolute, with the client's query; a path alone if the client, as
/// HTTP/1.0 lets it, named no host. None if it cannot be written in a header.
pub(super) fn location(
    to: &Redirect,
    context: &RequestContext,
    uri: &Uri,
    prefix: Option<usize>,
) -> Option<HeaderValue> {
    let scheme = to.scheme.as_deref().unwrap_or(context.scheme);
    let host = match (&to.host, context.server_port) {
        (Some(host), _) => host.to_string(),
        // A new scheme is not spoken on the old port.
        (None, Some(port)) if to.scheme.is_none() => format!("{}:{port}", context.host),
        (None, _) => context.host.to_string(),
    };
    let path = match &to.path {
        Some(new) => rewrite_path(new, prefix, uri.path()),
        None => uri.path().into(),
    };
    let query = uri
        .query()
        .map_or_else(String::new, |query| format!("?{query}"));
    let origin = if host.is_empty() {
        String::new()
    } else {
        format!("{scheme}://{host}")
    };
    HeaderValue::try_from(format!("{origin}{path}{query}")).ok()
}
