//! A question for another protocol, and the first bytes that are said in it.

use super::exchange::{Driver, exchange, held};
use super::{Answer, Body, Client, ClientError, Manner, Speak, Target};
use crate::clock;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncReadExt as _;
use tokio::time::timeout;

impl Client {
    /// Asks by GET over HTTP/1.1 to go on in another protocol, which `headers` name. After 101
    /// the body of the answer is what the server says first in it: until `is_enough` says so, the
    /// connection ends, or the bound is reached. Other answers are as those of [`Self::ask`].
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn ask_upgrade(
        &self,
        target: &Target,
        headers: HeaderMap,
        manner: Manner,
        is_enough: fn(&[u8]) -> bool,
    ) -> Result<Answer, ClientError> {
        let began = clock::instant();
        let asked = async {
            let connected = self.connect(target, Speak::Http1).await?;
            let peer = connected.peer;
            let broke = |source| ClientError::Exchange {
                authority: target.shown(),
                source,
            };
            let (mut head, driver) =
                exchange(connected, target, Method::GET, headers, Bytes::new())
                    .await
                    .map_err(broke)?;
            let _driver = Driver(driver);
            let mut body = Body::default();
            if head.status() == StatusCode::SWITCHING_PROTOCOLS {
                let upgraded = hyper::upgrade::on(&mut head).await.map_err(broke)?;
                body.bytes = said(upgraded, manner.body_bytes_max, is_enough).await;
            }
            let (parts, incoming) = head.into_parts();
            if parts.status != StatusCode::SWITCHING_PROTOCOLS {
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

async fn said(
    upgraded: hyper::upgrade::Upgraded,
    bytes_max: usize,
    is_enough: fn(&[u8]) -> bool,
) -> Bytes {
    let mut stream = TokioIo::new(upgraded);
    let mut bytes = BytesMut::new();
    while bytes.len() < bytes_max && !is_enough(&bytes) {
        // What was said before the connection broke was said all the same.
        match stream.read_buf(&mut bytes).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
    }
    bytes.truncate(bytes_max);
    bytes.freeze()
}
