//! One question to a backend.

use super::address::Address;
use super::error::BackendError;
use crate::client::{Client, Manner, Target};
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::Value;
use std::time::Duration;

/// Most bytes of an answer. A trace of 20,000 spans has about ten million.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most bytes of a refusal that are quoted.
const QUOTED_BYTES_MAX: usize = 200;

/// What a backend is asked with.
#[derive(Clone)]
pub struct Access {
    /// Asks.
    pub client: Client,
    /// Sent with every question: credentials, a tenant.
    pub headers: HeaderMap,
    /// Longest of one question and its answer.
    pub timeout: Duration,
}

/// The way to one backend.
#[derive(Clone)]
pub(super) struct Way {
    pub(super) address: Address,
    access: Access,
}

/// What it answered.
pub(super) struct Reply {
    pub(super) url: String,
    pub(super) status: StatusCode,
    pub(super) content_type: String,
    pub(super) bytes: Bytes,
}

impl Way {
    pub(super) const fn new(address: Address, access: Access) -> Self {
        Self { address, access }
    }

    /// Asks for JSON, whatever the status of the answer.
    pub(super) async fn get(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<Reply, BackendError> {
        self.get_as("application/json", path, query).await
    }

    /// The same for another form.
    pub(super) async fn get_as(
        &self,
        accept: &'static str,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<Reply, BackendError> {
        self.within(self.access.timeout, accept, path, query).await
    }

    /// The same with a deadline of its own.
    pub(super) async fn within(
        &self,
        timeout: Duration,
        accept: &'static str,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<Reply, BackendError> {
        let url = self.address.below(path, query);
        let target = Target::of(&url).map_err(BackendError::Url)?;
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        let agent = concat!("edgespan/", env!("CARGO_PKG_VERSION"));
        headers.insert(USER_AGENT, HeaderValue::from_static(agent));
        headers.extend(self.access.headers.clone());
        let manner = Manner {
            timeout,
            body_bytes_max: ANSWER_BYTES_MAX,
            ..Manner::default()
        };
        let client = &self.access.client;
        let asked = client.ask(&target, Method::GET, headers, Bytes::new(), manner);
        let answer = asked.await.map_err(|source| BackendError::Ask {
            url: self.address.shown(),
            source,
        })?;
        // A query may hold what its writer would not see in a log; the path is enough.
        let url = self.address.below(path, &[]).to_string();
        if answer.body.is_cut {
            return Err(BackendError::TooLong { url });
        }
        let content_type = answer.headers.get(CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok());
        Ok(Reply {
            url,
            status: answer.status,
            content_type: content_type.unwrap_or_default().to_ascii_lowercase(),
            bytes: answer.body.bytes,
        })
    }
}

impl Reply {
    /// Its JSON, if it is a success that has some.
    pub(super) fn json(&self) -> Result<Value, BackendError> {
        let bytes = self.success()?;
        serde_json::from_slice(bytes).map_err(|error| self.unreadable(error.to_string()))
    }

    /// Its bytes, if it is a success.
    pub(super) fn success(&self) -> Result<&Bytes, BackendError> {
        if self.status.is_success() {
            return Ok(&self.bytes);
        }
        Err(BackendError::Refused {
            url: self.url.clone(),
            status: self.status,
            said: quoted(&self.bytes),
        })
    }

    pub(super) fn unreadable(&self, why: impl Into<String>) -> BackendError {
        BackendError::Unreadable {
            url: self.url.clone(),
            why: why.into(),
        }
    }
}

/// The first line of what was said, cut: an answer may be a whole page.
fn quoted(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes.get(..QUOTED_BYTES_MAX).unwrap_or(bytes));
    // Jaeger's errors are JSON whose `msg` is what a person needs.
    let told = serde_json::from_slice::<Value>(bytes).ok();
    let told = told.as_ref().and_then(|told| {
        let first = told
            .pointer("/errors/0/msg")
            .or_else(|| told.pointer("/error/message"));
        first?.as_str().map(str::to_owned)
    });
    let line = told.unwrap_or_else(|| text.into_owned());
    let line = line.trim().lines().next().unwrap_or_default();
    line.chars().take(QUOTED_BYTES_MAX).collect()
}
