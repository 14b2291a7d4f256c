//! The other side: a host asks us. Its question becomes a request again, our decision its answer.

use super::messages::{
    AddressKind, AppendAction, CheckRequest, CheckResponse, DeniedHttpResponse, HeaderValue,
    HeaderValueOption, HttpResponse, HttpStatus, OkHttpResponse, Peer, QueryParameter, Status,
};
use super::metadata;
use crate::auth::{AnswerChange, Grant, Identity};
use http::header::{CONTENT_LENGTH, COOKIE, HOST};
use http::{HeaderMap, HeaderName, StatusCode};
use prost_types::Struct;
use serde_json::{Value, json};
use std::net::{IpAddr, SocketAddr};

/// `PERMISSION_DENIED` of `google.rpc.Code`
const PERMISSION_DENIED: i32 = 7;
/// How Envoy tells that it does not show all of a body: meant for us.
const PARTIAL_BODY: &str = "x-envoy-auth-partial-body";

/// A request as a host tells of it, not yet normalised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Its method.
    pub method: String,
    /// `http` or `https`
    pub scheme: String,
    /// Host and port, as in a `Host` header.
    pub host: String,
    /// Path and query.
    pub target: String,
    /// Its header fields, without a host.
    pub headers: HeaderMap,
    /// Its client, by the host's word.
    pub client: SocketAddr,
}

/// Why a question is about no request: a word for the span and the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable(pub &'static str);

/// Reads what is asked about.
///
/// # Errors
/// [`Unreadable`]; then nothing may be allowed.
pub fn subject(question: CheckRequest) -> Result<Subject, Unreadable> {
    let attributes = question.attributes.ok_or(Unreadable("attributes"))?;
    let http = attributes.request.and_then(|request| request.http);
    let http = http.ok_or(Unreadable("attributes"))?;
    let client = client(attributes.source.as_ref()).ok_or(Unreadable("source_address"))?;
    let mut headers = HeaderMap::new();
    match http.header_map.filter(|map| !map.headers.is_empty()) {
        Some(map) => {
            for HeaderValue {
                key,
                value,
                raw_value,
            } in &map.headers
            {
                let value = if raw_value.is_empty() {
                    value.as_bytes()
                } else {
                    raw_value
                };
                append(&mut headers, key, value)?;
            }
        }
        None => {
            for (key, value) in &http.headers {
                if key.eq_ignore_ascii_case(COOKIE.as_str()) {
                    append(&mut headers, key, apart(value).as_bytes())?;
                } else {
                    append(&mut headers, key, value.as_bytes())?;
                }
            }
        }
    }
    for name in [HOST, CONTENT_LENGTH, HeaderName::from_static(PARTIAL_BODY)] {
        headers.remove(name);
    }
    Ok(Subject {
        method: http.method,
        scheme: http.scheme,
        host: http.host,
        target: http.path,
        headers,
        client,
    })
}

/// The client's address. Without one there is nobody to judge by address, and Envoy's own, which
/// is trusted, must not stand in for it.
fn client(source: Option<&Peer>) -> Option<SocketAddr> {
    match source?.address.as_ref()?.address.as_ref()? {
        AddressKind::SocketAddress(address) => {
            let ip: IpAddr = address.address.parse().ok()?;
            let port = u16::try_from(address.port_value).ok()?;
            Some(SocketAddr::new(ip.to_canonical(), port))
        }
        AddressKind::Pipe(_) => None,
    }
}

fn append(headers: &mut HeaderMap, key: &str, value: &[u8]) -> Result<(), Unreadable> {
    // Pseudo headers stand in fields of their own.
    if key.starts_with(':') {
        return Ok(());
    }
    let name = HeaderName::from_bytes(key.as_bytes()).map_err(|_| Unreadable("header_name"))?;
    let value = http::HeaderValue::from_bytes(value).map_err(|_| Unreadable("header_value"))?;
    headers
        .try_append(name, value)
        .map_err(|_| Unreadable("header_count"))?;
    Ok(())
}

/// Several `Cookie` lines come joined by `,`, which is no separator of cookies: they are taken
/// apart where a name and `=` follow. A comma within a value stays, unless it looks just so; then
/// its client could have sent the second cookie as well.
fn apart(cookies: &str) -> String {
    let mut out = String::with_capacity(cookies.len() + 8);
    for (index, piece) in cookies.split(',').enumerate() {
        if index > 0 {
            out.push_str(if begins_cookie(piece) { "; " } else { "," });
        }
        let piece = if index > 0 && begins_cookie(piece) {
            piece.trim_start()
        } else {
            piece
        };
        out.push_str(piece);
    }
    out
}

/// Whether a text begins with a cookie's name and `=` (RFC 6265 section 4.1.1).
fn begins_cookie(text: &str) -> bool {
    let token = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
    };
    text.trim_start()
        .split_once('=')
        .is_some_and(|(name, _)| !name.is_empty() && name.bytes().all(token))
}

/// What a permission is made of.
#[derive(Clone, Copy, Debug)]
pub struct Permission<'a> {
    /// Names that the host has to set or take away.
    pub names: &'a [HeaderName],
    /// Names that it has to take away beside them: other spellings.
    pub aliases: &'a [String],
    /// The fields after the decision.
    pub headers: &'a HeaderMap,
    /// What policies granted.
    pub grant: Option<&'a Grant>,
}

/// The answer that allows.
pub fn allow(permission: &Permission<'_>) -> CheckResponse {
    let mut ok = OkHttpResponse::default();
    for name in permission.names {
        match line(permission.headers, name) {
            Some(value) => {
                let action = AppendAction::OverwriteIfExistsOrAdd;
                ok.headers.push(option(name.as_str(), &value, action));
            }
            None => ok.headers_to_remove.push(name.as_str().to_owned()),
        }
    }
    ok.headers_to_remove
        .extend(permission.aliases.iter().cloned());
    if let Some(grant) = permission.grant {
        ok.response_headers_to_add = answer_changes(grant);
        ok.query_parameters_to_set = grant
            .query_set
            .iter()
            .map(|(key, value)| QueryParameter {
                key: key.to_string(),
                value: value.to_string(),
            })
            .collect();
        ok.query_parameters_to_remove =
            grant.query_remove.iter().map(ToString::to_string).collect();
    }
    let identity = permission.grant.and_then(|grant| grant.identity.as_deref());
    CheckResponse {
        status: Some(Status::default()),
        http_response: Some(HttpResponse::Ok(ok)),
        dynamic_metadata: identity.map(told),
    }
}

/// All lines of a name as one: hosts of earlier versions keep only the last of several.
fn line(headers: &HeaderMap, name: &HeaderName) -> Option<Vec<u8>> {
    let mut values = headers.get_all(name).iter();
    let mut line = values.next()?.as_bytes().to_vec();
    let separator: &[u8] = if *name == COOKIE { b"; " } else { b"," };
    for value in values {
        line.extend_from_slice(separator);
        line.extend_from_slice(value.as_bytes());
    }
    Some(line)
}

fn answer_changes(grant: &Grant) -> Vec<HeaderValueOption> {
    let changes = grant.answer_changes.iter().map(|change| match change {
        AnswerChange::Set(name, value) => (name, value, AppendAction::OverwriteIfExistsOrAdd),
        AnswerChange::SetIfPresent(name, value) => (name, value, AppendAction::OverwriteIfExists),
        AnswerChange::AddIfAbsent(name, value) => (name, value, AppendAction::AddIfAbsent),
    });
    let additions = grant.answer.iter();
    let additions = additions.map(|(name, value)| (name, value, AppendAction::AppendIfExistsOrAdd));
    changes
        .chain(additions)
        .map(|(name, value, action)| option(name.as_str(), value.as_bytes(), action))
        .collect()
}

fn option(name: &str, value: &[u8], action: AppendAction) -> HeaderValueOption {
    let (value, raw_value) = match std::str::from_utf8(value) {
        Ok(text) => (text.to_owned(), Vec::new()),
        Err(_) => (String::new(), value.to_vec()),
    };
    HeaderValueOption {
        header: Some(HeaderValue {
            key: name.to_owned(),
            value,
            raw_value,
        }),
        append: None,
        append_action: action.into(),
        keep_empty_value: true,
    }
}

/// Who the client is, for the filters behind the host's.
fn told(identity: &Identity) -> Struct {
    let mut fields = Struct::default();
    let groups: Vec<&str> = identity.groups.iter().map(AsRef::as_ref).collect();
    let told = json!({
        "subject": identity.subject.as_deref(),
        "groups": groups,
        "claims": Value::Object(identity.claims.clone()),
        "proof": identity.proof.name(),
        "policy": &*identity.policy,
    });
    fields
        .fields
        .insert("identity".to_owned(), metadata::of_json(&told));
    fields
}

/// The answer that refuses. Its status is the client's; every field is kept.
pub fn deny(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> CheckResponse {
    let mut options = Vec::with_capacity(headers.len());
    for name in headers.keys().filter(|name| **name != CONTENT_LENGTH) {
        for (index, value) in headers.get_all(name).iter().enumerate() {
            // The first takes the place of what the host would say, the others come to it.
            let action = if index == 0 {
                AppendAction::OverwriteIfExistsOrAdd
            } else {
                AppendAction::AppendIfExistsOrAdd
            };
            options.push(option(name.as_str(), value.as_bytes(), action));
        }
    }
    CheckResponse {
        status: Some(Status {
            code: PERMISSION_DENIED,
            message: String::new(),
        }),
        http_response: Some(HttpResponse::Denied(DeniedHttpResponse {
            status: Some(HttpStatus {
                code: status.as_u16().into(),
            }),
            headers: options,
            body: String::from_utf8_lossy(body).into_owned(),
        })),
        dynamic_metadata: None,
    }
}
