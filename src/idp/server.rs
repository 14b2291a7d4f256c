//! The provider's endpoints over HTTP.

use super::ask::{Ask, Parameters, Reply, nothing};
use super::faults::Trouble;
use super::record::{Call, Endpoint};
use super::{Provider, ask, metadata};
use crate::server::read_plain;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use std::sync::Arc;

/// More than anybody wants to read.
const FLOOD_BYTES: usize = 4 * 1024 * 1024;

/// The connection closes without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the provider is down, as it was told to be")]
pub(super) struct Down;

/// Answers one request, or nothing at all where it is told to be down.
pub(super) async fn answer(
    provider: Arc<Provider>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Down> {
    let (head, body) = request.into_parts();
    let path = head.uri.path().strip_prefix(provider.prefix.as_str());
    let Some(endpoint) = path.and_then(Endpoint::of) else {
        return Ok(nothing(StatusCode::NOT_FOUND).map(Full::new));
    };
    let mut parameters = Parameters::default();
    parameters.read(head.uri.query().unwrap_or_default().as_bytes());
    if head.method == Method::POST {
        let Some(body) = read_plain(body).await else {
            return Ok(nothing(StatusCode::BAD_REQUEST).map(Full::new));
        };
        parameters.read(&body);
    }
    provider.note(Call {
        endpoint,
        method: head.method.clone(),
        trace: Call::trace_of(&head.headers),
        grant: parameters.get("grant_type").map(str::to_owned),
        parameters: parameters.names().into_iter().map(str::to_owned).collect(),
    });
    match provider.faults().trouble(endpoint) {
        Some(Trouble::Down) => return Err(Down),
        Some(Trouble::Slow(by)) => tokio::time::sleep(by).await,
        Some(Trouble::Status(status)) => return Ok(text(status, "no".into())),
        Some(Trouble::Garbage) => return Ok(text(StatusCode::OK, "\0{[garbage".into())),
        Some(Trouble::Flood) => {
            return Ok(text(StatusCode::OK, vec![b' '; FLOOD_BYTES].into()));
        }
        None => {}
    }
    let ask = Ask {
        method: head.method,
        headers: head.headers,
        parameters,
    };
    Ok(dispatch(&provider, endpoint, &ask).await.map(Full::new))
}

async fn dispatch(provider: &Provider, endpoint: Endpoint, ask: &Ask) -> Reply {
    let is_post = ask.method == Method::POST;
    if !is_post && ask.method != Method::GET {
        return nothing(StatusCode::METHOD_NOT_ALLOWED);
    }
    match endpoint {
        Endpoint::Discovery => ask::json(StatusCode::OK, &metadata::metadata(provider)),
        Endpoint::Keys => {
            let hides = provider.faults().hides_keys;
            ask::json(StatusCode::OK, &provider.keys().published(hides))
        }
        Endpoint::Authorization => provider.authorize(ask),
        Endpoint::Userinfo => provider.userinfo(ask),
        Endpoint::Logout => {
            let ended = provider.logout(ask);
            provider.tell(ended.tell).await;
            ended.reply
        }
        _ if !is_post => nothing(StatusCode::METHOD_NOT_ALLOWED),
        Endpoint::Login => provider.login(ask),
        Endpoint::Pushed => provider.push(ask),
        Endpoint::Token => provider.token(ask),
        Endpoint::Introspection => provider.introspect(ask),
        Endpoint::Revocation => provider.revoke(ask),
    }
}

fn text(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut reply = Response::new(Full::new(body));
    *reply.status_mut() = status;
    reply
}
