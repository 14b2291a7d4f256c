//! How an authorizer's answer is read: what it allows, and what of it goes where.

use super::settings::{Dialect, ForwardRules, ForwardSettings, IdentityFields};
use super::{Asked, FieldPattern};
use crate::auth::{Denial, DenialAnswer, Grant, HeaderChange, Identity, Proof, Reason, transport};
use crate::message::{forwarded, hop_by_hop};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRAILER};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version};
use serde_json::Map;
use std::sync::Arc;

/// Names of fields that Envoy's authorizers want removed from the request.
const TO_REMOVE: HeaderName = HeaderName::from_static("x-envoy-auth-headers-to-remove");

/// What an answer says.
#[derive(Debug)]
pub(super) enum Reading {
    /// It may pass.
    Allow(Box<Grant>),
    /// It may not.
    Refuse(Box<Denial>),
    /// It says nothing of the request.
    Nothing(Reason),
}

/// Reads an answer.
pub(super) fn read(
    policy: &Arc<str>,
    settings: &ForwardSettings,
    rules: &ForwardRules,
    asked: &Asked<'_>,
    response: Response<Bytes>,
) -> Reading {
    let status = response.status();
    if allows(settings.dialect, status) {
        return grant(policy, settings, asked, response.headers());
    }
    // Above 599 there is no meaning that everybody knows.
    if status.is_informational() || status.as_u16() >= 600 {
        return Reading::Nothing(Reason::BadAnswer);
    }
    if status.is_server_error() && !rules.passes_server_errors {
        return Reading::Nothing(Reason::Unavailable);
    }
    Reading::Refuse(refusal(asked, response))
}

/// The refusal that this answer is.
pub(super) fn refusal(asked: &Asked<'_>, response: Response<Bytes>) -> Box<Denial> {
    let answer = if asked.upgrades && response.status().is_redirection() {
        // Nobody who opens a WebSocket can follow it to a login.
        DenialAnswer::OwnWith(StatusCode::UNAUTHORIZED)
    } else {
        DenialAnswer::Theirs(passed_on(response))
    };
    Box::new(Denial::new(Reason::Refused, answer))
}

fn allows(dialect: Dialect, status: StatusCode) -> bool {
    match dialect {
        Dialect::AuthRequest | Dialect::Traefik => status.is_success(),
        Dialect::Envoy => status == StatusCode::OK,
        // Its answers have a status of their own.
        Dialect::Grpc => false,
    }
}

/// A refusal as the client gets it: the authorizer's, without what was meant for our connection to
/// it.
fn passed_on(mut response: Response<Bytes>) -> Response<Bytes> {
    *response.version_mut() = Version::HTTP_11;
    response.extensions_mut().clear();
    let headers = response.headers_mut();
    hop_by_hop::strip_response(headers, &[]);
    for name in [CONTENT_LENGTH, TRAILER, TO_REMOVE] {
        headers.remove(name); // The body's own length is written when it leaves.
    }
    if matches!(response.status().as_u16(), 204 | 205 | 304) {
        response.body_mut().clear();
    }
    response
}

fn grant(
    policy: &Arc<str>,
    settings: &ForwardSettings,
    asked: &Asked<'_>,
    answer: &HeaderMap,
) -> Reading {
    let Some(identity) = identity(policy, &settings.identity, answer) else {
        return Reading::Nothing(Reason::BadAnswer);
    };
    let mut request = Vec::new();
    let unwanted = match settings.dialect {
        Dialect::Envoy => names_to_remove(answer),
        Dialect::AuthRequest | Dialect::Traefik | Dialect::Grpc => Vec::new(),
    };
    // First all that goes, then all that comes: removing one spelling removes every other.
    request.extend(unwanted.iter().cloned().map(HeaderChange::Remove));
    request.extend(removals(settings, asked.headers));
    for name in answer.keys() {
        let mut patterns = settings.identity_headers.iter();
        if unwanted.contains(name) || !patterns.any(|one| one.takes(name) && means(one, name)) {
            continue;
        }
        for (index, value) in lines(answer, name).into_iter().enumerate() {
            let (name, value) = (name.clone(), value.clone());
            request.push(if index == 0 {
                HeaderChange::Set(name, value)
            } else {
                HeaderChange::Append(name, value)
            });
        }
    }
    let for_client = settings.answer_headers.iter().flat_map(|name| {
        let values = answer.get_all(name).iter();
        values.map(move |value| (name.clone(), value.clone()))
    });
    Reading::Allow(Box::new(Grant {
        identity: Some(Arc::new(identity)),
        request,
        answer: for_client.collect(),
        ..Grant::default()
    }))
}

/// What a client may have sent in place of an identity.
pub(super) fn removals(settings: &ForwardSettings, headers: &HeaderMap) -> Vec<HeaderChange> {
    let mut patterns = settings.identity_headers.iter();
    if patterns.len() == 0 {
        return Vec::new();
    }
    let meant = |name: &&HeaderName| {
        let mut patterns = patterns.clone();
        patterns.any(|one| one.takes_folded(name) && means(one, name))
    };
    let found = headers.keys().filter(meant).cloned();
    let mut removals: Vec<_> = found.map(HeaderChange::Remove).collect();
    // Also those that nobody sent: another policy may have asserted one meanwhile.
    removals.extend(patterns.by_ref().filter_map(|pattern| match pattern {
        FieldPattern::Name(name) => Some(HeaderChange::Remove(name.clone())),
        FieldPattern::All | FieldPattern::Prefix(_) => None,
    }));
    removals
}

/// The fields that an answer wants removed. Host, framing and trace context are not for it to take.
fn names_to_remove(answer: &HeaderMap) -> Vec<HeaderName> {
    let lines = answer.get_all(TO_REMOVE).iter();
    lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok())
        .filter(|name| !transport::carries(name))
        .collect()
}

/// Whether a field that a pattern takes may be meant: not one that frames a message or describes its
/// body, nor, by its beginning alone, one that says where a request came from.
fn means(pattern: &FieldPattern, name: &HeaderName) -> bool {
    let of_the_message = matches!(
        name.as_str(),
        "content-encoding" | "content-type" | "date" | "server" | "set-cookie"
    );
    let is_named = match pattern {
        FieldPattern::Name(_) => true,
        FieldPattern::Prefix(prefix) => forwarded::is_claim(prefix),
        FieldPattern::All => false,
    };
    !of_the_message
        && !transport::carries(name)
        && (is_named || !forwarded::is_claim(name.as_str()))
}

/// The lines of a field, each once: one that stands twice says no more than once.
fn lines<'a>(answer: &'a HeaderMap, name: &HeaderName) -> Vec<&'a HeaderValue> {
    let mut lines = Vec::new();
    for line in answer.get_all(name) {
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}

/// Who the client is by an answer that allows. None: the answer names more than one.
pub(super) fn identity(
    policy: &Arc<str>,
    fields: &IdentityFields,
    answer: &HeaderMap,
) -> Option<Identity> {
    let text = |value| std::str::from_utf8(http::HeaderValue::as_bytes(value)).ok();
    let mut subject = None;
    if let Some(name) = &fields.subject {
        let mut values = lines(answer, name).into_iter();
        if let Some(value) = values.next() {
            subject = Some(text(value)?).filter(|subject| !subject.is_empty());
        }
        if values.next().is_some() {
            return None;
        }
    }
    let mut groups = Vec::new();
    if let Some(name) = &fields.groups {
        for line in lines(answer, name) {
            let told = text(line)?.split(',').map(str::trim);
            groups.extend(told.filter(|group| !group.is_empty()).map(Arc::from));
        }
    }
    Some(Identity {
        subject: subject.map(Arc::from),
        groups,
        claims: Map::new(),
        proof: Proof::Forward,
        policy: Arc::clone(policy),
    })
}
