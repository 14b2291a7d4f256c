//! What edgespan itself answers on data listeners: the keys by which origins verify assertions.

use super::body::Body;
use super::snapshot::Snapshot;
use crate::auth::assertion::JWKS_PATH;
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Response, StatusCode};

/// The answer to a request for the published keys; None: it is for a route.
pub(super) fn answer(live: &Snapshot, method: &Method, path: &str) -> Option<Response<Body>> {
    let assertions = live.assertion.as_ref()?;
    if path != JWKS_PATH {
        return None;
    }
    let is_read = *method == Method::GET || *method == Method::HEAD;
    let mut response = if is_read {
        Response::new(Body::from(assertions.jwks()))
    } else {
        let mut response = Response::new(Body::from(bytes::Bytes::new()));
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        response
    };
    let headers = response.headers_mut();
    if is_read {
        let media_type = HeaderValue::from_static("application/jwk-set+json");
        headers.insert(CONTENT_TYPE, media_type);
        let age = HeaderValue::from_static("public, max-age=300");
        headers.insert(CACHE_CONTROL, age);
        // They are public, and pages verify, too.
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    } else {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    Some(response)
}
