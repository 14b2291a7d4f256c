//! Requests in the words of the HTTP version they leave in, and answers freed of theirs.

use super::EndpointProtocol;
use crate::message::request_body::RequestBody;
use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderValue, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Request, Response, StatusCode, Uri, Version};
use http_body::Body;

/// Makes an HTTP/1.1 request of it (RFC 9112).
pub(super) fn for_http1(request: &mut Request<RequestBody>, host: &HeaderValue) {
    *request.version_mut() = Version::HTTP_11;
    if request.uri().scheme().is_some() {
        // An attempt on HTTP/2 before this one made it whole; only a proxy is asked like that.
        let path = request.uri().path_and_query().cloned();
        *request.uri_mut() = path.map(Uri::from).unwrap_or_default();
    }
    let empty = request.body().is_end_stream();
    let expects_body = [Method::POST, Method::PUT, Method::PATCH].contains(request.method());
    let headers = request.headers_mut();
    headers.insert(HOST, host.clone());
    if !headers.contains_key(CONTENT_LENGTH) {
        if !empty {
            // hyper takes a GET of unknown length for one without a body.
            headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        } else if expects_body {
            // Servers answer 411 to a POST that does not say that it is empty.
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
    }
    if headers.contains_key(TE) {
        // `TE` is for the next hop alone and has to be nominated (RFC 9110 section 10.1.4).
        let nominated = match headers.get(UPGRADE) {
            Some(_) => "upgrade, te",
            None => "te",
        };
        headers.insert(CONNECTION, HeaderValue::from_static(nominated));
    }
}

/// Makes an HTTP/2 request of it: nothing of the connection is in its headers (RFC 9113 section
/// 8.2.2), and its target is whole (section 8.3.1).
pub(super) fn for_http2(
    request: &mut Request<RequestBody>,
    protocol: EndpointProtocol,
    host: &HeaderValue,
) {
    *request.version_mut() = Version::HTTP_2;
    for name in [CONNECTION, EXPECT, HOST, TRANSFER_ENCODING, UPGRADE] {
        request.headers_mut().remove(name);
    }
    if let Some(uri) = absolute(request.uri(), protocol, host) {
        *request.uri_mut() = uri;
    }
}

/// `:scheme`, `:authority` and `:path` in one (RFC 9113 section 8.3.1).
fn absolute(uri: &Uri, protocol: EndpointProtocol, host: &HeaderValue) -> Option<Uri> {
    let scheme = match protocol {
        EndpointProtocol::Https => Scheme::HTTPS,
        EndpointProtocol::Http1 | EndpointProtocol::H2c => Scheme::HTTP,
    };
    let authority = Authority::try_from(host.as_bytes()).ok()?;
    let path = uri
        .path_and_query()
        .cloned()
        .unwrap_or_else(|| PathAndQuery::from_static("/"));
    Uri::builder()
        .scheme(scheme)
        .authority(authority)
        .path_and_query(path)
        .build()
        .ok()
}

/// Takes from an answer what only framed it on its connection, so that what is left is true on
/// the client's (RFC 9112 section 6.3).
///
/// # Errors
/// What makes it an answer that cannot be passed on.
pub(super) fn read_framing<B>(
    response: &mut Response<B>,
    upgrade: bool,
) -> Result<(), &'static str> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS && !upgrade {
        return Err("it switches protocols unasked");
    }
    let headers = response.headers_mut();
    if let Some(coding) = headers.remove(TRANSFER_ENCODING) {
        if !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
            return Err("its transfer coding is not chunked alone");
        }
        headers.remove(CONTENT_LENGTH); // `chunked` overrides it
    }
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    if let (Some(length), Some(_)) = (lengths.next().cloned(), lengths.next()) {
        headers.insert(CONTENT_LENGTH, length); // hyper has seen that they are equal
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_was_meant_for_http2_has_no_trace_of_it_on_http1() {
        let host = HeaderValue::from_static("app.example.com");
        for target in ["/", "/a/b?c=d", "/?x"] {
            let mut request = Request::new(RequestBody::Empty);
            *request.uri_mut() = target.parse().unwrap();
            for_http1(&mut request, &host);
            let (uri, headers) = (request.uri().clone(), request.headers().clone());

            for_http2(&mut request, EndpointProtocol::Https, &host);
            assert_eq!(request.uri().host(), Some("app.example.com"));
            for_http1(&mut request, &host);

            assert_eq!((request.uri(), request.headers()), (&uri, &headers));
            assert_eq!(request.version(), Version::HTTP_11);
        }
    }
}
