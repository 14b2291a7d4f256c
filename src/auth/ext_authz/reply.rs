//! What an authorizer's answer means.

use super::messages::{
    AppendAction, CheckResponse, DeniedHttpResponse, HeaderValueOption, HttpResponse,
    OkHttpResponse,
};
use crate::auth::{AnswerChange, Grant, HeaderChange, transport};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use prost_types::Struct;

/// Most changes that one answer makes. Each is a look at every field, and a map of fields has an
/// end.
const CHANGES_MAX: usize = 256;

/// What an authorizer says.
#[derive(Debug)]
pub(in crate::auth) enum Reply {
    /// It may pass.
    Allow(Allowed),
    /// It may not, and this is what the client gets.
    Deny(Response<Bytes>),
    /// The authorizer could not decide, and may have said what the client should get.
    Failed(Option<Response<Bytes>>),
}

/// What comes with a permission.
#[derive(Debug, Default)]
pub(in crate::auth) struct Allowed {
    pub(in crate::auth) grant: Grant,
    pub(super) metadata: Option<Struct>,
    /// How many of its changes are none of its business: framing, host, trace context.
    pub(super) ignored: usize,
}

/// Why an answer means nothing: it is treated as none, so never as a permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Nonsense {
    #[error("neither a status nor anything to go by")]
    Empty,
    #[error("the status and what comes with it contradict each other")]
    Contradiction,
    #[error("a header field that cannot be one")]
    Header,
    #[error("a status code that no answer has")]
    Status,
    #[error("more than {CHANGES_MAX} changes")]
    TooMany,
}

/// Reads an answer.
pub(super) fn read(answer: CheckResponse) -> Result<Reply, Nonsense> {
    let allows = match (&answer.status, &answer.http_response) {
        (Some(status), _) => status.code == 0,
        // To Envoy an answer without a status allows; so one has to say at least that it is OK.
        (None, Some(HttpResponse::Ok(_))) => true,
        (None, Some(HttpResponse::Denied(_) | HttpResponse::Error(_))) => false,
        (None, None) => return Err(Nonsense::Empty),
    };
    match (allows, answer.http_response) {
        (true, Some(HttpResponse::Ok(mut ok))) => {
            let metadata = ok.dynamic_metadata.take().or(answer.dynamic_metadata);
            let mut allowed = allowed(ok)?;
            allowed.metadata = metadata;
            Ok(Reply::Allow(allowed))
        }
        (true, None) => Ok(Reply::Allow(Allowed {
            metadata: answer.dynamic_metadata,
            ..Allowed::default()
        })),
        (true, Some(HttpResponse::Denied(_) | HttpResponse::Error(_)))
        | (false, Some(HttpResponse::Ok(_))) => Err(Nonsense::Contradiction),
        (false, Some(HttpResponse::Denied(denied))) => Ok(Reply::Deny(response(denied)?)),
        (false, None) => Ok(Reply::Deny(response(DeniedHttpResponse::default())?)),
        (false, Some(HttpResponse::Error(error))) => {
            let tells = error.status.is_some_and(|status| status.code != 0);
            let answer = tells.then(|| response(error)).transpose()?;
            Ok(Reply::Failed(answer))
        }
    }
}

fn allowed(ok: OkHttpResponse) -> Result<Allowed, Nonsense> {
    let changes = [
        ok.headers.len(),
        ok.headers_to_remove.len(),
        ok.response_headers_to_add.len(),
        ok.query_parameters_to_set.len(),
        ok.query_parameters_to_remove.len(),
    ];
    if changes.iter().sum::<usize>() > CHANGES_MAX {
        return Err(Nonsense::TooMany);
    }
    let mut allowed = Allowed::default();
    for option in &ok.headers {
        let Some((name, value)) = field(option, &mut allowed.ignored)? else {
            continue;
        };
        // What is there is seen when it is made: the answer may be remembered for other requests.
        allowed.grant.request.push(match request_action(option) {
            AppendAction::AppendIfExistsOrAdd => HeaderChange::Append(name, value),
            AppendAction::OverwriteIfExistsOrAdd => HeaderChange::Set(name, value),
            AppendAction::AddIfAbsent => HeaderChange::AddIfAbsent(name, value),
            AppendAction::OverwriteIfExists => HeaderChange::SetIfPresent(name, value),
        });
    }
    // As in Envoy after the changes above: what is both set and removed is gone.
    for name in &ok.headers_to_remove {
        match changeable(name)? {
            Some(name) => allowed.grant.request.push(HeaderChange::Remove(name)),
            None => allowed.ignored += 1,
        }
    }
    for option in &ok.response_headers_to_add {
        let Some((name, value)) = field(option, &mut allowed.ignored)? else {
            continue;
        };
        match answer_action(option) {
            AppendAction::AppendIfExistsOrAdd => allowed.grant.answer.push((name, value)),
            AppendAction::AddIfAbsent => {
                let change = AnswerChange::AddIfAbsent(name, value);
                allowed.grant.answer_changes.push(change);
            }
            AppendAction::OverwriteIfExistsOrAdd => {
                let change = AnswerChange::Set(name, value);
                allowed.grant.answer_changes.push(change);
            }
            AppendAction::OverwriteIfExists => {
                let change = AnswerChange::SetIfPresent(name, value);
                allowed.grant.answer_changes.push(change);
            }
        }
    }
    let set = ok.query_parameters_to_set.into_iter();
    allowed.grant.query_set = set
        .map(|parameter| (parameter.key.into(), parameter.value.into()))
        .collect();
    let remove = ok.query_parameters_to_remove.into_iter();
    allowed.grant.query_remove = remove.map(String::into_boxed_str).collect();
    Ok(allowed)
}

/// What becomes of the request's field. `append` decides where it is given; where nothing is said
/// the field is replaced, as the message's definition has it.
fn request_action(option: &HeaderValueOption) -> AppendAction {
    match (option.append, AppendAction::try_from(option.append_action)) {
        (Some(true), _) => AppendAction::AppendIfExistsOrAdd,
        (None, Ok(AppendAction::AddIfAbsent)) => AppendAction::AddIfAbsent,
        (None, Ok(AppendAction::OverwriteIfExists)) => AppendAction::OverwriteIfExists,
        (Some(false), _) | (None, Ok(_) | Err(_)) => AppendAction::OverwriteIfExistsOrAdd,
    }
}

/// What becomes of the answer's field; where nothing is said it is one more, so that two cookies
/// are two.
fn answer_action(option: &HeaderValueOption) -> AppendAction {
    match (option.append, AppendAction::try_from(option.append_action)) {
        (Some(true), _) => AppendAction::AppendIfExistsOrAdd,
        (None, Ok(action)) => action,
        (Some(false), _) | (None, Err(_)) => AppendAction::OverwriteIfExistsOrAdd,
    }
}

/// A field as it can be set; None, counted as ignored, if it is not the authorizer's to set.
fn field(
    option: &HeaderValueOption,
    ignored: &mut usize,
) -> Result<Option<(HeaderName, HeaderValue)>, Nonsense> {
    let header = option.header.as_ref().ok_or(Nonsense::Header)?;
    let Some(name) = changeable(&header.key)? else {
        *ignored += 1;
        return Ok(None);
    };
    let value = if header.value.is_empty() {
        header.raw_value.as_slice()
    } else {
        header.value.as_bytes()
    };
    let value = HeaderValue::from_bytes(value).map_err(|_| Nonsense::Header)?;
    Ok(Some((name, value)))
}

/// The name, unless it is one that carries framing, the host or trace context.
fn changeable(name: &str) -> Result<Option<HeaderName>, Nonsense> {
    if name.starts_with(':') {
        return Ok(None);
    }
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| Nonsense::Header)?;
    Ok((!transport::carries(&name)).then_some(name))
}

/// What the client gets. Every field is kept, also several of one name: `Set-Cookie` has to be.
fn response(denied: DeniedHttpResponse) -> Result<Response<Bytes>, Nonsense> {
    let status = match denied.status.map_or(0, |status| status.code) {
        0 => StatusCode::FORBIDDEN,
        code @ 200..=599 => u16::try_from(code)
            .ok()
            .and_then(|code| StatusCode::from_u16(code).ok())
            .ok_or(Nonsense::Status)?,
        _ => return Err(Nonsense::Status),
    };
    if denied.headers.len() > CHANGES_MAX {
        return Err(Nonsense::TooMany);
    }
    let mut headers = HeaderMap::new();
    let mut ignored = 0;
    for option in &denied.headers {
        if let Some((name, value)) = field(option, &mut ignored)? {
            headers.append(name, value);
        }
    }
    if !denied.body.is_empty() && !headers.contains_key(CONTENT_TYPE) {
        // A body that nobody named the type of is text, and is not guessed to be more.
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    }
    let mut response = Response::new(Bytes::from(denied.body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}
