//! A question for another protocol, and the first bytes that are said in it.

use super::{Answer, Client, ClientError, Manner, Speak, Target};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncReadExt as _;

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
        let manner = Manner {
            speak: Speak::Http1,
            ..manner
        };
        let (method, nothing) = (Method::GET, Bytes::new());
        self.exchanged(target, method, headers, nothing, manner, Some(is_enough))
            .await
    }
}

/// What the server says first, until that is enough or the bound is reached.
pub(super) async fn said(
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
