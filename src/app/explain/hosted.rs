//! A request as a host proxy tells of it.

use super::{ExplainError, Question};
use crate::listener::{Dialect, ListenerSettings};
use std::net::SocketAddr;

/// The host's own request: what edgespan gets.
pub(super) fn outer(
    question: &Question,
    dialect: Dialect,
    listener: &ListenerSettings,
) -> Result<Question, ExplainError> {
    let settings = listener
        .decision
        .as_ref()
        .ok_or(ExplainError::Host("the listener is not in mode: decision"))?;
    let endpoint = settings
        .path_of(dialect)
        .ok_or(ExplainError::Host("its dialect is off"))?;
    let peer = listener
        .trusted_proxies
        .first()
        .ok_or(ExplainError::Host("the listener has no trusted_proxies"))?;
    let scheme = if question.secure { "https" } else { "http" };
    let named = |(name, _): &&(String, String)| name.eq_ignore_ascii_case("host");
    let host = question.headers.iter().find(named);
    let host = host.map_or(&question.authority, |(_, host)| host).clone();
    let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let (method, path, told) = match dialect {
        Dialect::Nginx => {
            let url = format!("{scheme}://{host}{}", question.path);
            let told = vec![
                field("x-original-method", &question.method),
                field("x-original-url", &url),
            ];
            ("GET", endpoint.to_string(), told)
        }
        Dialect::Traefik | Dialect::Caddy | Dialect::Haproxy => {
            let told = vec![
                field("x-forwarded-method", &question.method),
                field("x-forwarded-proto", scheme),
                field("x-forwarded-host", &host),
                field("x-forwarded-uri", &question.path),
            ];
            ("GET", endpoint.to_string(), told)
        }
        Dialect::EnvoyGrpc => {
            return Err(ExplainError::Host(
                "a question over gRPC is not rehearsed; `envoy` asks the same over HTTP",
            ));
        }
        Dialect::Envoy => {
            let path = format!("{endpoint}{}", question.path);
            let told = vec![field("x-forwarded-proto", scheme), field("host", &host)];
            (question.method.as_str(), path, told)
        }
    };
    // A host replaces what its client sent in these, and speaks for itself on its connection.
    let replaced = |name: &str| {
        let own = ["host", "connection", "upgrade", "content-length"];
        own.iter().any(|one| name.eq_ignore_ascii_case(one))
            || told.iter().any(|(one, _)| name.eq_ignore_ascii_case(one))
    };
    let mut headers: Vec<_> = question.headers.clone();
    headers.retain(|(name, _)| !replaced(name));
    headers.extend(told.iter().cloned());
    headers.push(field("x-forwarded-for", &question.peer.ip().to_string()));
    Ok(Question {
        method: method.to_owned(),
        secure: listener.is_secure(),
        authority: "edgespan".to_owned(),
        path,
        headers,
        listener: question.listener.clone(),
        peer: SocketAddr::new(peer, question.peer.port()),
        host_proxy: None,
    })
}
