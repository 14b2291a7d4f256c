//! One question and its answer.

use super::connect::Connected;
use super::upgrade::said;
use super::{Client, ClientError, Manner, Target};
use crate::clock;
use bytes::{Bytes, BytesMut};
use http::header::HOST;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The version that was spoken.
    pub version: Version,
    /// Header lines, equal names in their order.
    pub headers: HeaderMap,
    /// The body.
    pub body: Body,
    /// Who answered.
    pub peer: SocketAddr,
    /// From the first packet to the last byte.
    pub took: Duration,
}

/// A body that was held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body {
    /// Its bytes, up to the bound.
    pub bytes: Bytes,
    /// Whether there was more than the bound.
    pub is_cut: bool,
}

impl Client {
    /// Asks, over a connection of its own. `Host` is set unless `headers` have one; nothing else
    /// is added. Redirects are answers like others.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn ask(
        &self,
        target: &Target,
        method: Method,
        headers: HeaderMap,
        body: Bytes,
        manner: Manner,
    ) -> Result<Answer, ClientError> {
        // After 101 the connection speaks another protocol: there is no body to wait for.
        self.exchanged(target, method, headers, body, manner, None)
            .await
    }

    /// The same; after 101 what is said in the other protocol is held until `is_enough`.
    pub(super) async fn exchanged(
        &self,
        target: &Target,
        method: Method,
        headers: HeaderMap,
        body: Bytes,
        manner: Manner,
        is_enough: Option<fn(&[u8]) -> bool>,
    ) -> Result<Answer, ClientError> {
        let began = clock::instant();
        let asked = async {
            let connected = self.connect(target, manner.speak).await?;
            let peer = connected.peer;
            let broke = |source| ClientError::Exchange {
                authority: target.shown(),
                source,
            };
            let (mut head, driver) = exchange(connected, target, method, headers, body)
                .await
                .map_err(broke)?;
            let _driver = Driver(driver);
            let has_switched = head.status() == StatusCode::SWITCHING_PROTOCOLS;
            let mut body = Body::default();
            if has_switched && let Some(is_enough) = is_enough {
                let upgraded = hyper::upgrade::on(&mut head).await.map_err(broke)?;
                body.bytes = said(upgraded, manner.body_bytes_max, is_enough).await;
            }
            let (parts, incoming) = head.into_parts();
            if !has_switched {
                body = held(incoming, manner.body_bytes_max).await.map_err(broke)?;
            }
            Ok(Answer {
                status: parts.status,
                version: parts.version,
                headers: parts.headers,
                body,
                peer,
                took: began.elapsed(),
            })
        };
        let late = |_| ClientError::Late {
            authority: target.shown(),
            timeout: manner.timeout,
        };
        timeout(manner.timeout, asked).await.map_err(late)?
    }
}

/// The task that drives the connection; it ends with the answer.
pub(super) struct Driver(pub(super) JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn exchange(
    connected: Connected,
    target: &Target,
    method: Method,
    mut headers: HeaderMap,
    body: Bytes,
) -> Result<(http::Response<Incoming>, JoinHandle<()>), hyper::Error> {
    let uri = if connected.http2 {
        target.absolute_form()
    } else {
        target.origin_form()
    };
    // `url` has escaped what no URI may have.
    let uri = uri.unwrap_or_default();
    if !connected.http2 && !headers.contains_key(HOST) {
        let host = HeaderValue::from_str(target.authority.as_str());
        headers.extend(host.ok().map(|host| (HOST, host)));
    }
    let mut request = Request::new(Full::new(body));
    (
        *request.method_mut(),
        *request.uri_mut(),
        *request.headers_mut(),
    ) = (method, uri, headers);
    if connected.http2 {
        *request.version_mut() = Version::HTTP_2;
        let (mut sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .handshake(connected.io)
            .await?;
        let driver = tokio::spawn(async move { drop(connection.await) });
        Ok((sender.send_request(request).await?, driver))
    } else {
        let (mut sender, connection) = http1::handshake(connected.io).await?;
        let driver = tokio::spawn(async move { drop(connection.with_upgrades().await) });
        Ok((sender.send_request(request).await?, driver))
    }
}

pub(super) async fn held(mut incoming: Incoming, bytes_max: usize) -> Result<Body, hyper::Error> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = incoming.frame().await {
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        let room = bytes_max.saturating_sub(bytes.len());
        if data.len() > room {
            bytes.extend_from_slice(data.get(..room).unwrap_or_default());
            return Ok(Body {
                bytes: bytes.freeze(),
                is_cut: true,
            });
        }
        bytes.extend_from_slice(&data);
    }
    Ok(Body {
        bytes: bytes.freeze(),
        is_cut: false,
    })
}
