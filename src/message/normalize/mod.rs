//! Gives a request exactly one reading, or refuses it.
//!
//! The first stage after the HTTP library. Everything later (routing, spans, the upstream) reads
//! what this leaves: an origin-form target with a normalised path, and one `Host` header.
//!
//! What the library decides before us cannot be refused here: it cuts a `#fragment` off, and it
//! drops a `Content-Length` that stands beside `Transfer-Encoding`. Either way the upstream gets
//! the one request that we read.

use super::authority::Authority;
use super::cookie;
use super::refusal::Refusal;
use super::target::{PathRules, check_query, normalize_path};
use super::websocket::handshake::is_extended_connect;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};
use std::borrow::Cow;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// What may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NormalizePolicy {
    /// What to do with paths that servers read in two ways.
    pub path: PathRules,
    /// Bytes of all header names and values together.
    pub header_bytes_max: usize,
    /// Number of header fields; a name that comes twice counts twice.
    pub header_count_max: usize,
}

/// What was read beside what stands in the request itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Normalized {
    authority: Option<Authority>,
    by_connect: bool,
}

impl Normalized {
    /// Host and port as one value; `None` for HTTP/1.0 without `Host`.
    pub const fn authority(&self) -> Option<&Authority> {
        self.authority.as_ref()
    }

    /// The host: lower case, without port and trailing dot; empty if none was named.
    pub fn host(&self) -> &str {
        self.authority.as_ref().map_or("", Authority::host)
    }

    /// Whether it asks for a WebSocket by extended CONNECT, and is a GET from here on.
    pub const fn asks_by_connect(&self) -> bool {
        self.by_connect
    }

    /// The port that the client named.
    pub fn port(&self) -> Option<u16> {
        self.authority.as_ref().and_then(Authority::port)
    }
}

/// Reads the request in the only way it can be read, and leaves it in that spelling: the target
/// holds path and query only (or `*`), `Host` stands exactly once and is canonical, equal
/// `Content-Length` lines are one. A WebSocket asked for by extended CONNECT (RFC 8441) becomes the
/// GET that asks for one on HTTP/1.1, so that routes and all that follows know one kind of it.
///
/// # Errors
/// [`Refusal`]; the request is then as it came.
pub fn normalize<B>(
    request: &mut Request<B>,
    policy: &NormalizePolicy,
) -> Result<Normalized, Refusal> {
    check_size(request.headers(), policy)?;
    let by_connect = is_extended_connect(request)?;
    let length_repeated = check_framing(request.version(), request.headers())?;
    let target = read_target(request.method(), request.uri(), policy.path)?;
    let authority = read_authority(request.version(), request.uri(), request.headers())?;

    if let Some(target) = target {
        *request.uri_mut() = target;
    }
    if by_connect {
        *request.method_mut() = Method::GET;
    }
    if length_repeated && let Some(length) = request.headers().get(CONTENT_LENGTH).cloned() {
        request.headers_mut().insert(CONTENT_LENGTH, length);
    }
    if request.version() >= Version::HTTP_2 {
        cookie::join(request.headers_mut());
    }
    if let Some(authority) = &authority
        && request.headers().get(HOST) != Some(authority.header())
    {
        request
            .headers_mut()
            .insert(HOST, authority.header().clone());
    }
    Ok(Normalized {
        authority,
        by_connect,
    })
}

fn check_size(headers: &HeaderMap, policy: &NormalizePolicy) -> Result<(), Refusal> {
    if headers.len() > policy.header_count_max {
        return Err(Refusal::TooManyHeaders);
    }
    let bytes: usize = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    if bytes > policy.header_bytes_max {
        return Err(Refusal::HeadersTooLarge);
    }
    Ok(())
}

/// RFC 9112 section 6 and RFC 9113 section 8.2.2. Tells whether equal lengths stand on several
/// lines.
fn check_framing(version: Version, headers: &HeaderMap) -> Result<bool, Refusal> {
    if version >= Version::HTTP_2 {
        let specific = [
            &CONNECTION,
            &KEEP_ALIVE,
            &PROXY_CONNECTION,
            &TRANSFER_ENCODING,
            &UPGRADE,
        ];
        let te_passes = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"trailers");
        if specific.iter().any(|name| headers.contains_key(*name))
            || !headers.get_all(TE).iter().all(te_passes)
        {
            return Err(Refusal::ConnectionHeader);
        }
    }
    let mut encodings = headers.get_all(TRANSFER_ENCODING).iter();
    if let Some(encoding) = encodings.next() {
        let chunked = encoding.as_bytes().eq_ignore_ascii_case(b"chunked");
        if !chunked || encodings.next().is_some() || version < Version::HTTP_11 {
            return Err(Refusal::TransferEncoding);
        }
        if headers.contains_key(CONTENT_LENGTH) {
            return Err(Refusal::LengthAndEncoding);
        }
    }
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let Some(length) = lengths.next() else {
        return Ok(false);
    };
    let digits = !length.is_empty() && length.as_bytes().iter().all(u8::is_ascii_digit);
    let mut repeated = false;
    for other in lengths {
        repeated = true;
        if other != length {
            return Err(Refusal::ContentLength);
        }
    }
    if digits {
        Ok(repeated)
    } else {
        Err(Refusal::ContentLength)
    }
}

/// RFC 9112 section 3.2 and RFC 9113 section 8.3.1, except that two names for one request are
/// refused where the RFCs let the target win.
fn read_authority(
    version: Version,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Option<Authority>, Refusal> {
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next().map(Authority::from_header).transpose()?;
    if hosts.next().is_some() {
        return Err(Refusal::HostRepeated);
    }
    let target = uri.authority().map(Authority::from_target).transpose()?;
    let default_port = match uri.scheme_str() {
        Some("http") => Some(80),
        Some("https") => Some(443),
        Some(_) => return Err(Refusal::Scheme),
        None => None,
    };
    match (target, host) {
        (Some(target), Some(host)) if !target.same_as(&host, default_port) => {
            Err(Refusal::HostMismatch)
        }
        (_, None) if version == Version::HTTP_11 => Err(Refusal::HostMissing),
        (_, Some(host)) => Ok(Some(host)),
        (Some(target), None) => Ok(Some(target)),
        (None, None) if version < Version::HTTP_11 => Ok(None),
        (None, None) => Err(Refusal::HostMissing),
    }
}

/// The target to use instead; `None` if it already is as it should be.
fn read_target(method: &Method, uri: &Uri, rules: PathRules) -> Result<Option<Uri>, Refusal> {
    let Some(target) = uri.path_and_query() else {
        return Err(Refusal::TargetForm); // `host:port`, which only CONNECT has
    };
    let origin_form = uri.scheme().is_none() && uri.authority().is_none();
    if uri.path() == "*" {
        if method != Method::OPTIONS || target.query().is_some() {
            return Err(Refusal::TargetForm);
        }
        return Ok((!origin_form).then(|| Uri::from(target.clone())));
    }
    if let Some(query) = target.query() {
        check_query(query)?;
    }
    match normalize_path(target.path(), rules)? {
        Cow::Borrowed(_) if origin_form => Ok(None),
        Cow::Borrowed(_) => Ok(Some(Uri::from(target.clone()))),
        Cow::Owned(path) => {
            let text = match target.query() {
                Some(query) => format!("{path}?{query}"),
                None => path,
            };
            let target = PathAndQuery::try_from(text).map_err(|_| Refusal::TargetCharacter)?;
            Ok(Some(Uri::from(target)))
        }
    }
}

#[cfg(test)]
mod tests;
