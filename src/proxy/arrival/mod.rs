//! The account of what arrived, for whoever has the secret: before any route and any policy.
//!
//! To everybody else the path is one like any other. So the question is looked at first, and
//! before anything of the request is changed; without a valid signature nothing of it is here.

mod account;
mod lines;

use super::body::Body;
use super::context::RequestContext;
use super::error::ProxyError;
use super::gate::Gated;
use super::held;
use super::upgrade;
use crate::trace::hex;
use crate::upstream::Upgrade;
use crate::verify::arrival::{
    self, BODY_BYTES_MAX, Inquiry, PATH, REDIRECT_KEY, REDIRECTS_MAX, Refusal, SIGNATURE_HEADER,
    SharedSecret,
};
use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HOST, LOCATION};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::ext::Protocol;
use hyper::upgrade::OnUpgrade;
use lines::Lines;

/// How heads begin that are kept as they came.
pub(super) const HEADS: &[&str] = &[
    "GET /.well-known/edgespan/arrival",
    "POST /.well-known/edgespan/arrival",
];

/// For caches of content networks, which may follow it alone.
const CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");

/// A question that is believed, with the request as it arrived.
pub(super) struct Arriving {
    inquiry: Inquiry,
    secret: SharedSecret,
    method: Method,
    path: String,
    query: Option<String>,
    authority: Option<String>,
    lines: Lines,
}

/// The same, past the gate.
pub(super) struct Asked {
    arriving: Arriving,
    headers: HeaderMap,
    body: Incoming,
    socket: Option<(OnUpgrade, Box<Upgrade>)>,
}

/// Whether this request asks for an account and may have one. One look where nobody is answered.
pub(super) fn recognise<B>(
    context: &RequestContext,
    request: &Request<B>,
) -> Option<Box<Arriving>> {
    let desk = context.live.arrival.as_ref()?;
    let uri = request.uri();
    if uri.path() != PATH {
        return None;
    }
    let headers = request.headers();
    let is_socket = request.extensions().get::<Protocol>().is_some();
    let method = if is_socket {
        &Method::GET
    } else {
        request.method()
    };
    let (inquiry, secret) = desk.believe(headers, method)?;
    let authority = headers.get(HOST).map(HeaderValue::as_bytes);
    let authority = authority.or_else(|| uri.authority().map(|own| own.as_str().as_bytes()));
    Some(Box::new(Arriving {
        inquiry,
        secret: secret.clone(),
        method: request.method().clone(),
        path: uri.path().to_owned(),
        query: uri.query().map(str::to_owned),
        authority: authority.map(arrival::latin1),
        lines: Lines::of(
            headers,
            request.version(),
            context.place.take_head().as_ref(),
        ),
    }))
}

/// Lets it pass the gate.
pub(super) fn pass(
    context: &RequestContext,
    arriving: Box<Arriving>,
    mut parts: Parts,
    body: Incoming,
    protocol: Option<HeaderValue>,
) -> Gated {
    let socket = upgrade::ask(&mut parts, protocol, context.by_connect)
        .filter(|(_, asked)| asked.is_websocket() && asked.accept().is_some());
    Gated::Arrival(Box::new(Asked {
        arriving: *arriving,
        headers: parts.headers,
        body,
        socket,
    }))
}

/// Answers: the account, a redirect on the way to it, or why there is none now.
pub(super) async fn answer(
    context: &mut RequestContext,
    asked: Asked,
) -> Result<Response<Body>, ProxyError> {
    let result = answer_one(context, asked).await;
    let told = match &result {
        Ok(_) => "answered",
        Err(ProxyError::Arrival { reason }) => reason,
        Err(ProxyError::RateLimited { .. }) => "limited",
        Err(_) => "failed",
    };
    context.live.metrics.arrival(told);
    result
}

async fn answer_one(
    context: &mut RequestContext,
    asked: Asked,
) -> Result<Response<Body>, ProxyError> {
    admit(context, &asked.arriving.inquiry)?;
    let method = context.method.clone();
    if asked.socket.is_none() && method != Method::GET && method != Method::POST {
        return Ok(not_allowed());
    }
    if let Some(left) = redirects(asked.arriving.query.as_deref()) {
        return Ok(redirect(&method, left));
    }
    let Asked {
        arriving,
        headers,
        body,
        socket,
    } = asked;
    let secret = arriving.secret.clone();
    if let Some((stream, upgrade)) = socket {
        let account = account::account(context, arriving, Some("websocket".to_owned()), None);
        let (told, signature) = account.seal(&secret);
        let mut response = Response::new(Body::Empty);
        sign(response.headers_mut(), signature.clone());
        upgrade::tell(
            context,
            &mut response,
            stream,
            &upgrade,
            format!("{signature}\n{told}"),
        );
        return Ok(response);
    }
    let body = read(context, &headers, body).await?;
    let (told, signature) = account::account(context, arriving, None, body).seal(&secret);
    let mut response = Response::new(Body::from(Bytes::from(told)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    sign(headers, signature);
    Ok(response)
}

fn admit(context: &RequestContext, inquiry: &Inquiry) -> Result<(), ProxyError> {
    let Some(desk) = &context.live.arrival else {
        return Err(ProxyError::NoRoute);
    };
    let now = context.watch.started().as_unix_nanos() / 1_000_000_000;
    desk.admit(inquiry, now).map_err(|refusal| match refusal {
        Refusal::Busy(wait) => {
            let seconds = u32::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u32::MAX);
            ProxyError::RateLimited {
                rule: "arrival".into(),
                retry_after: seconds.max(1),
            }
        }
        Refusal::Stale | Refusal::Replayed => ProxyError::Arrival {
            reason: refusal.name(),
        },
    })
}

/// What caches and readers have to know of an account.
fn sign(headers: &mut HeaderMap, signature: String) {
    no_store(headers);
    if let Ok(signature) = HeaderValue::try_from(signature) {
        headers.insert(SIGNATURE_HEADER, signature);
    }
}

fn no_store(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CDN_CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

/// How many redirects are asked for; None: none any more.
fn redirects(query: Option<&str>) -> Option<u8> {
    let asked = query?.split('&').find_map(|pair| {
        let number = pair.strip_prefix(REDIRECT_KEY)?.strip_prefix('=')?;
        number.parse::<u8>().ok()
    })?;
    (asked > 0).then(|| asked.min(REDIRECTS_MAX))
}

/// To the same path, by a reference that no hop has to understand. POST stays POST.
fn redirect(method: &Method, left: u8) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = if *method == Method::GET {
        StatusCode::FOUND
    } else {
        StatusCode::TEMPORARY_REDIRECT
    };
    let headers = response.headers_mut();
    no_store(headers);
    if let Ok(location) = HeaderValue::try_from(format!("?{REDIRECT_KEY}={}", left - 1)) {
        headers.insert(LOCATION, location);
    }
    response
}

fn not_allowed() -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    let headers = response.headers_mut();
    headers.insert(ALLOW, HeaderValue::from_static("GET, POST"));
    response
}

/// Reads the request's body, up to [`BODY_BYTES_MAX`].
async fn read(
    context: &mut RequestContext,
    headers: &HeaderMap,
    body: Incoming,
) -> Result<Option<arrival::Body>, ProxyError> {
    if body.is_end_stream() {
        return Ok(None);
    }
    context.hand_over(context.watch.elapsed());
    let data = held::whole(context, headers, body, BODY_BYTES_MAX).await;
    context.take_back(context.watch.elapsed());
    let data = data?;
    let sum = digest(&SHA256, &data);
    Ok(Some(arrival::Body {
        bytes: data.len() as u64,
        sha256: hex::text(sum.as_ref()),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_counts_down_to_the_account_and_never_up() {
        for (query, expected) in [
            (None, None),
            (Some("redirect=0"), None),
            (Some("redirect=1"), Some(1)),
            (Some("a=b&redirect=5"), Some(5)),
            (Some("redirect=6"), Some(5)),
            (Some("redirect=255"), Some(5)),
            (Some("redirect=256"), None),
            (Some("redirect=-1"), None),
            (Some("xredirect=1"), None),
            (Some("redirect"), None),
        ] {
            assert_eq!(redirects(query), expected, "{query:?}");
        }
    }

    #[test]
    fn a_redirect_keeps_the_method_and_names_no_host() {
        for (method, status) in [(Method::GET, 302), (Method::POST, 307)] {
            let response = redirect(&method, 2);

            assert_eq!(response.status(), status);
            assert_eq!(response.headers()[LOCATION], "?redirect=1");
            assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
        }
    }

    #[test]
    fn kept_heads_are_those_of_the_path() {
        for head in HEADS {
            assert!(head.ends_with(PATH));
        }
    }
}
