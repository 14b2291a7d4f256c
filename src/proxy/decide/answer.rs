//! What a host is told, in its dialect.
//!
//! Leave to pass is exactly 200, the one status that every host takes for it, and nothing but an
//! [`allow`] has it. Whatever else an answer came to be, an error of ours or the words of an
//! authorizer, is a refusal here and keeps a status that the host takes for one.

use super::{Asking, Decision, Published, grpc};
use crate::auth::{Grant, HeaderChange};
use crate::listener::Dialect;
use crate::proxy::body::Body;
use crate::proxy::context::RequestContext;
use http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, LOCATION, SET_COOKIE, TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

/// Headers that Envoy takes from the request, whatever a client sent in them.
const TO_REMOVE: HeaderName = HeaderName::from_static("x-envoy-auth-headers-to-remove");
/// The status that a client should get, where the host only knows 401 and 403.
const X_EDGESPAN_STATUS: HeaderName = HeaderName::from_static("x-edgespan-status");
/// Cookies after the first, which nginx would lose or break.
const MORE_COOKIES: [HeaderName; 3] = [
    HeaderName::from_static("x-edgespan-set-cookie-2"),
    HeaderName::from_static("x-edgespan-set-cookie-3"),
    HeaderName::from_static("x-edgespan-set-cookie-4"),
];
/// Spellings of one name that Envoy is told to remove, at most.
const ALIASES_MAX: usize = 15;

/// The request may pass. What policies changed of it, the host changes of its own.
pub(in crate::proxy) fn allow(context: &mut RequestContext, asking: &Asking) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    let grant = context.granted.as_deref();
    let reserved = context.live.reserved.names();
    let mut names = asserted(asking, grant, reserved);
    if context.live.logins.is_some() && !names.contains(&COOKIE) {
        // Told always: a host that copies it takes its client's own away where nothing is told.
        names.push(COOKIE);
    }
    if let Some(grant) = grant {
        for change in &grant.answer_changes {
            change.apply(response.headers_mut());
        }
        for (name, value) in &grant.answer {
            response.headers_mut().append(name.clone(), value.clone());
        }
    }
    for name in &names {
        let mut values = asking.parts.headers.get_all(name).iter();
        // Empty if there is none: hosts copy it, and so take away what the client sent.
        let first = values.next().cloned();
        let first = first.unwrap_or_else(|| HeaderValue::from_static(""));
        response.headers_mut().insert(name.clone(), first);
        for value in values {
            response.headers_mut().append(name.clone(), value.clone());
        }
    }
    let Some(decision) = &mut context.decision else {
        return never_leave(response);
    };
    decision.allowed = true;
    if decision.dialect == Dialect::EnvoyGrpc {
        let aliases = names.iter().flat_map(|name| aliases(name.as_str()));
        // One spelling's alias may be another field that is told.
        let aliases = aliases.filter(|alias| !names.iter().any(|name| name == alias.as_str()));
        return grpc::allow(context, asking, &names, &aliases.collect::<Vec<_>>());
    }
    if decision.dialect == Dialect::Envoy
        && let Some(list) = removals(&names, &asking.parts.headers)
    {
        response.headers_mut().insert(TO_REMOVE, list);
    }
    response
}

/// Names of what the host has to set or take away: what policies granted, whether the request had
/// it or not, whatever else they changed, and every name that only we write.
fn asserted(asking: &Asking, grant: Option<&Grant>, reserved: &[HeaderName]) -> Vec<HeaderName> {
    let (before, after) = (&asking.before, &asking.parts.headers);
    let granted = grant.map_or(&[][..], |grant| &grant.request);
    let granted = granted.iter().map(|change| match change {
        HeaderChange::Set(name, _)
        | HeaderChange::Append(name, _)
        | HeaderChange::AddIfAbsent(name, _)
        | HeaderChange::SetIfPresent(name, _)
        | HeaderChange::Remove(name) => name,
    });
    let changed = |name: &&HeaderName| !before.get_all(*name).iter().eq(after.get_all(*name));
    let gone = before.keys().filter(|name| !after.contains_key(*name));
    let changed = after.keys().filter(changed).chain(gone);
    let mut names = Vec::new();
    let reserved = reserved.iter().chain(&asking.reserved);
    for name in granted.chain(changed).chain(reserved) {
        if !is_framing(name) && !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

/// Whether a field of this name would frame our answer, not say something in it.
fn is_framing(name: &HeaderName) -> bool {
    [
        CONNECTION,
        CONTENT_LENGTH,
        CONTENT_TYPE,
        HOST,
        SET_COOKIE,
        TRANSFER_ENCODING,
    ]
    .contains(name)
}

/// What Envoy removes after it has set what we told: names without a value, and every name with
/// `_` for `-`, which it lets pass and which many servers take for the same.
fn removals(names: &[HeaderName], after: &HeaderMap) -> Option<HeaderValue> {
    let mut list = String::new();
    let mut add = |name: &str| {
        if !list.is_empty() {
            list.push(',');
        }
        list.push_str(name);
    };
    for name in names {
        if !after.contains_key(name) {
            add(name.as_str());
        }
        for alias in aliases(name.as_str()) {
            // One spelling's alias may be another field that is told.
            if !names.iter().any(|name| *name == *alias) {
                add(&alias);
            }
        }
    }
    (!list.is_empty())
        .then(|| HeaderValue::try_from(list).ok())
        .flatten()
}

/// A name with some or all of its `-` written as `_`.
fn aliases(name: &str) -> Vec<String> {
    let mut aliases = vec![String::new()];
    for character in name.chars() {
        if character == '-' && aliases.len() * 2 <= ALIASES_MAX + 1 {
            let other: Vec<String> = aliases.iter().map(|one| format!("{one}_")).collect();
            aliases.iter_mut().for_each(|one| one.push('-'));
            aliases.extend(other);
        } else {
            aliases.iter_mut().for_each(|one| one.push(character));
        }
    }
    aliases.retain(|alias| alias != name);
    let all = name.replace('-', "_");
    if all != name && !aliases.contains(&all) {
        aliases.push(all);
    }
    aliases
}

/// Says it as the host understands it.
pub(in crate::proxy) fn in_dialect(
    context: &mut RequestContext,
    mut response: Response<Body>,
) -> Response<Body> {
    let Some(decision) = &context.decision else {
        return match response.extensions_mut().remove::<Published>() {
            Some(Published) => response,
            None => never_leave(response),
        };
    };
    let is_call = decision.dialect == Dialect::EnvoyGrpc;
    if is_call && decision.allowed && response.status() == StatusCode::OK {
        return response;
    }
    if !(decision.allowed && response.status() == StatusCode::OK) {
        response = refusal(decision, never_leave(response));
        if is_call {
            return grpc::refusal(decision, response);
        }
    }
    if decision.dialect == Dialect::Nginx {
        let lost = spread_cookies(response.headers_mut());
        if lost > 0 {
            note_lost(context, lost);
        }
    }
    response
}

fn note_lost(context: &mut RequestContext, lost: usize) {
    if let Some(span) = &mut context.server {
        let lost = i64::try_from(lost).unwrap_or(i64::MAX);
        span.int("edgespan.decision.cookies_lost", lost);
    }
}

/// No refusal looks like leave: neither 2xx nor 1xx.
fn never_leave(mut response: Response<Body>) -> Response<Body> {
    if response.status().as_u16() < 300 {
        *response.status_mut() = StatusCode::FORBIDDEN;
    }
    response
}

fn refusal(decision: &Decision, mut response: Response<Body>) -> Response<Body> {
    absolute_location(decision, response.headers_mut());
    let status = response.status();
    let upgrades = decision.asked.as_ref().is_some_and(|asked| asked.upgrades);
    let told = match decision.dialect {
        Dialect::Nginx if status.is_redirection() => StatusCode::UNAUTHORIZED,
        Dialect::Nginx if status != StatusCode::UNAUTHORIZED => StatusCode::FORBIDDEN,
        // A client that wants to upgrade follows no redirect.
        Dialect::Traefik
        | Dialect::Caddy
        | Dialect::Envoy
        | Dialect::EnvoyGrpc
        | Dialect::Haproxy
            if upgrades && status.is_redirection() =>
        {
            StatusCode::UNAUTHORIZED
        }
        Dialect::Nginx
        | Dialect::Traefik
        | Dialect::Caddy
        | Dialect::Envoy
        | Dialect::EnvoyGrpc
        | Dialect::Haproxy => status,
    };
    if decision.dialect == Dialect::Nginx {
        let meant = HeaderValue::from(status.as_u16());
        response.headers_mut().insert(X_EDGESPAN_STATUS, meant);
    }
    *response.status_mut() = told;
    response
}

/// A relative `Location` is relative to the request asked about, not to ours: Traefik would put
/// our own address before it.
fn absolute_location(decision: &Decision, headers: &mut HeaderMap) {
    let Some(asked) = &decision.asked else { return };
    let Some(location) = headers.get(LOCATION) else {
        return;
    };
    // Beyond ASCII, too: left as it is, it would be relative to us.
    let location = String::from_utf8_lossy(location.as_bytes());
    let base = format!("{}{}", asked.origin, asked.target);
    let joined = url::Url::parse(&base).and_then(|base| base.join(&location));
    let absolute = joined.ok().map(String::from);
    match absolute.and_then(|text| HeaderValue::try_from(text).ok()) {
        Some(absolute) => headers.insert(LOCATION, absolute),
        None => headers.remove(LOCATION),
    };
}

/// nginx reads one `Set-Cookie` of an answer; others go by names of their own, for
/// `auth_request_set`. Tells how many found no place.
fn spread_cookies(headers: &mut HeaderMap) -> usize {
    let more = MORE_COOKIES;
    for name in &more {
        headers.remove(name);
    }
    let cookies: Vec<HeaderValue> = headers.get_all(SET_COOKIE).iter().cloned().collect();
    let names = std::iter::once(&SET_COOKIE).chain(&more);
    let places = 1 + more.len();
    for (name, cookie) in names.zip(&cookies) {
        headers.insert(name.clone(), cookie.clone());
    }
    cookies.len().saturating_sub(places)
}
