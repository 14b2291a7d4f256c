//! Cross-origin rules of a route: preflights answered, answers opened, and trace context let
//! through (the Fetch standard's CORS protocol).

use super::body::Body;
use super::plan::{CorsOrigins, CorsPolicy};
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};

/// What a browser has to be allowed to send for a trace to begin in it.
const CONTEXT_HEADERS: [&str; 3] = ["traceparent", "tracestate", "baggage"];
/// What a script has to be allowed to read to know its trace.
const TRACE_ANSWERS: [&str; 2] = ["x-trace-id", "server-timing"];

/// The method that a preflight asks for; None if the request is no preflight.
pub(super) fn preflight_method(method: &Method, headers: &HeaderMap) -> Option<Method> {
    if method != Method::OPTIONS || !headers.contains_key(ORIGIN) {
        return None;
    }
    Method::from_bytes(headers.get(ACCESS_CONTROL_REQUEST_METHOD)?.as_bytes()).ok()
}

/// Whether the route answers preflights itself.
pub(super) const fn answers_preflights(policy: &CorsPolicy) -> bool {
    !matches!(policy.origins, CorsOrigins::Upstream)
}

/// The answer to a preflight. An origin that is not allowed gets none of the headers.
pub(super) fn preflight(policy: &CorsPolicy, asked: &HeaderMap) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.append(VARY, HeaderValue::from_static("origin"));
    headers.append(
        VARY,
        HeaderValue::from_static("access-control-request-method"),
    );
    headers.append(
        VARY,
        HeaderValue::from_static("access-control-request-headers"),
    );
    if allowed(policy, asked.get(ORIGIN)).is_none() {
        return response;
    }
    let methods = joined(policy.methods.iter().map(Method::as_str))
        .or_else(|| asked.get(ACCESS_CONTROL_REQUEST_METHOD).cloned());
    if let Some(methods) = methods {
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
    }
    let names = policy.headers.iter().map(HeaderName::as_str);
    let granted = match asked.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        Some(wanted) if policy.headers.is_empty() => Some(wanted.clone()),
        _ => joined(names.chain(CONTEXT_HEADERS)),
    };
    if let Some(granted) = granted {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, granted);
    }
    if let Some(age) = policy.max_age {
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from(age.as_secs()));
    }
    response
}

/// Opens an answer to the origins of `policy`; with the upstream's own rules, only adds trace
/// context to what they allow.
pub(super) fn amend(policy: &CorsPolicy, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
    if matches!(policy.origins, CorsOrigins::Upstream) {
        if headers.contains_key(ACCESS_CONTROL_ALLOW_HEADERS) {
            add_names(headers, ACCESS_CONTROL_ALLOW_HEADERS, &CONTEXT_HEADERS);
        }
    } else {
        if !headers.contains_key(VARY) || !matches!(policy.origins, CorsOrigins::Any) {
            add_names(headers, VARY, &["origin"]);
        }
        headers.remove(ACCESS_CONTROL_ALLOW_CREDENTIALS);
        match allowed(policy, origin) {
            Some(allowed) => {
                headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
                if policy.credentials {
                    let yes = HeaderValue::from_static("true");
                    headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
                }
            }
            None => {
                headers.remove(ACCESS_CONTROL_ALLOW_ORIGIN);
            }
        }
    }
    if headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) {
        let names: Vec<&str> = policy.expose.iter().map(HeaderName::as_str).collect();
        add_names(headers, ACCESS_CONTROL_EXPOSE_HEADERS, &names);
        add_names(headers, ACCESS_CONTROL_EXPOSE_HEADERS, &TRACE_ANSWERS);
    }
}

/// What `Access-Control-Allow-Origin` says to this origin.
fn allowed(policy: &CorsPolicy, origin: Option<&HeaderValue>) -> Option<HeaderValue> {
    let origin = origin?;
    match &policy.origins {
        CorsOrigins::Any => Some(HeaderValue::from_static("*")),
        CorsOrigins::List(list) => list.contains(origin).then(|| origin.clone()),
        CorsOrigins::Upstream => None,
    }
}

/// Adds names to a list header, but for those it has; `*` has them all, save with credentials,
/// where it is a name like any other (then they are added, too).
fn add_names(headers: &mut HeaderMap, header: HeaderName, names: &[&str]) {
    let credentials = headers.contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS);
    let present: Vec<String> = headers
        .get_all(&header)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    if present.iter().any(|name| name == "*") && !credentials {
        return;
    }
    let missing = names
        .iter()
        .copied()
        .filter(|name| !present.iter().any(|has| has == name));
    let all = present
        .iter()
        .map(String::as_str)
        .filter(|name| !name.is_empty())
        .chain(missing);
    if let Some(value) = joined(all) {
        headers.insert(header, value);
    }
}

fn joined<'a>(names: impl Iterator<Item = &'a str>) -> Option<HeaderValue> {
    let list: Vec<&str> = names.collect();
    if list.is_empty() {
        None
    } else {
        HeaderValue::try_from(list.join(", ")).ok()
    }
}
