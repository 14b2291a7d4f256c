//! The same check again and again, for a process that runs anyway.

use super::allow::Allowance;
use super::arrival::SharedSecret;
use super::changes::State;
use super::choice;
use super::report::Report;
use super::run::Run;
use super::send::{Behind, Sender};
use crate::client::{Client, ClientTlsSettings};
use crate::tls::TlsFileError;
use http::{HeaderName, HeaderValue};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Longest wait for the first run: what stands before this process has to find it first.
const FIRST_AFTER_MAX: Duration = Duration::from_secs(5);

/// A check of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchSettings {
    /// What the configuration calls it.
    pub name: Arc<str>,
    /// The public address.
    pub url: url::Url,
    /// The secret of the edgespan behind.
    pub secret: SharedSecret,
    /// From the end of one run to the next.
    pub every: Duration,
    /// For each request.
    pub timeout: Duration,
    /// Changes that are right.
    pub allowed: Vec<Allowance>,
    /// Checks and ways that are tried; empty: all.
    pub only: Vec<String>,
    /// Authorities in PEM; None: the machine's.
    pub ca: Option<PathBuf>,
    /// Sent with every request and not looked for, such as a service token.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl WatchSettings {
    /// The run. Words of `only` that name nothing, which the configuration refuses, name nothing
    /// here either.
    ///
    /// # Errors
    /// If the authorities cannot be used.
    fn run(&self) -> Result<Run, TlsFileError> {
        let only: Vec<&str> = self.only.iter().map(String::as_str).collect();
        let (checks, ways) = choice::chosen(&only, Vec::new(), false).unwrap_or_default();
        let settings = ClientTlsSettings {
            ca: self.ca.clone(),
            identity: None,
        };
        Ok(Run {
            sender: Sender {
                client: Client::new(&settings)?,
                url: self.url.clone(),
                behind: Behind::Edgespan(Box::new(self.secret.clone())),
                always: self.headers.clone(),
                timeout: self.timeout,
            },
            checks,
            ways,
            repeat: 1,
            allowed: self.allowed.clone(),
            needs_http2: only.iter().any(|word| word.eq_ignore_ascii_case("http/2")),
        })
    }

    /// Checks for ever. `told` gets each report; changes are logged, the first run's faults, too.
    pub async fn watch(self, told: impl Fn(&Report)) {
        let run = match self.run() {
            Ok(run) => run,
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(check = %self.name, error, "verify cannot begin");
                return;
            }
        };
        tokio::time::sleep(self.every.min(FIRST_AFTER_MAX)).await;
        let mut before: Option<State> = None;
        loop {
            let report = run.run().await;
            let now = State::of(&report);
            let lines = before
                .as_ref()
                .map_or_else(|| now.wrong(), |before| before.changes_to(&now));
            for line in lines {
                tracing::warn!(check = %self.name, "verify: {line}");
            }
            if before.is_some_and(|before| before.ending != now.ending) {
                tracing::info!(check = %self.name, result = now.ending.word(), "verify ends otherwise than before");
            }
            told(&report);
            before = Some(now);
            tokio::time::sleep(self.every).await;
        }
    }
}
