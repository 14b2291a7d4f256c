//! Words for completions that only a running process knows: recent ids, routes, flows, services.
//!
//! Whoever presses a key waits for this, so it has a tenth of a second for everything; with nobody
//! there, or too late, there are no words, and no complaint.

use super::source::TOKEN_VARIABLE;
use crate::backend::{Access, Address, Backend, Query, Summary};
use crate::cli::runtime::runtime;
use crate::cli::style::process_variable;
use crate::cli::{duration, escape};
use crate::client::Client;
use crate::clock;
use clap_complete::engine::CompletionCandidate;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use std::ffi::OsStr;
use std::time::Duration;

/// For everything: finding out who is there, asking, reading.
const PATIENCE: Duration = Duration::from_millis(90);
/// Most ids offered.
const IDS_MAX: usize = 20;
/// Most words of another kind.
const WORDS_MAX: usize = 100;
/// How much of an id is offered.
const ID_COLUMNS: usize = 12;
const RECENT: Duration = Duration::from_secs(3600);
const DEFAULT: &str = "http://127.0.0.1:9901";

/// Ids of the newest traces, each with what it was.
pub fn ids(current: &OsStr) -> Vec<CompletionCandidate> {
    let found = ask(async |backend| {
        let now = clock::wall();
        let back = u64::try_from(RECENT.as_nanos()).unwrap_or(u64::MAX);
        let recent = Query {
            start: clock::Timestamp::from_unix_nanos(now.as_unix_nanos().saturating_sub(back)),
            end: now.plus(Duration::from_secs(60)),
            limit: IDS_MAX,
            ..Query::default()
        };
        backend.find(&recent).await.ok().map(|found| found.traces)
    });
    let typed = current.to_string_lossy();
    let ids = found.unwrap_or_default().into_iter().filter_map(|trace| {
        let id = trace.id.to_string();
        let short: String = id.chars().take(ID_COLUMNS.max(typed.len())).collect();
        let help = about(&trace);
        id.starts_with(&*typed)
            .then(|| CompletionCandidate::new(short).help(Some(help.into())))
    });
    ids.collect()
}

fn about(trace: &Summary) -> String {
    let name = trace.told_name();
    let name = escape::shown(&name);
    let outcome = match (trace.status, trace.is_error) {
        (Some(status), _) => format!(" {status}"),
        (None, Some(true)) => " error".to_owned(),
        (None, _) => String::new(),
    };
    let took = duration::duration_text(Duration::from_nanos(trace.duration));
    format!("{name}{outcome}, {took}")
}

/// Names of services.
pub fn services(current: &OsStr) -> Vec<CompletionCandidate> {
    let words = ask(async |backend| backend.services().await.ok());
    words_of(words, current)
}

/// Routes.
pub fn routes(current: &OsStr) -> Vec<CompletionCandidate> {
    let words = ask(async |backend| backend.values("span.http.route").await.ok());
    words_of(words, current)
}

/// Flows.
pub fn flows(current: &OsStr) -> Vec<CompletionCandidate> {
    let words = ask(async |backend| backend.values("span.flow").await.ok());
    words_of(words, current)
}

/// What drives a terminal or a shell is no word for a command line: shells put a word there as it
/// is, and anybody whose spans are kept chooses names of services and flows.
fn is_harmless(word: &str) -> bool {
    let plain = |one: char| one.is_alphanumeric() || "-_./:@%+,={}*".contains(one);
    word == escape::shown(word) && word.chars().all(plain) && !word.starts_with(['-', '='])
}

fn words_of(words: Option<Vec<String>>, current: &OsStr) -> Vec<CompletionCandidate> {
    let typed = current.to_string_lossy();
    let mut words = words.unwrap_or_default();
    words.retain(|word| word.starts_with(&*typed) && is_harmless(word));
    words.sort_unstable();
    words.truncate(WORDS_MAX);
    words.into_iter().map(CompletionCandidate::new).collect()
}

/// Asks the backend of the environment. What the command line says is not known here.
fn ask<T>(question: impl AsyncFnOnce(Backend) -> Option<T>) -> Option<T> {
    let url = process_variable("EDGESPAN_URL").filter(|url| !url.is_empty());
    let address: Address = url.as_deref().unwrap_or(DEFAULT).parse().ok()?;
    let mut headers = HeaderMap::new();
    if let Some(token) = process_variable(TOKEN_VARIABLE).filter(|token| !token.is_empty()) {
        let mut bearer = HeaderValue::from_str(&format!("Bearer {token}")).ok()?;
        bearer.set_sensitive(true);
        headers.insert(AUTHORIZATION, bearer);
    }
    let runtime = runtime().ok()?;
    runtime.block_on(async {
        let asked = async {
            // Reading the machine's authorities takes longer than all else.
            let client = if address.base.scheme() == "http" {
                Client::without_tls()
            } else {
                Client::new(&crate::client::ClientTlsSettings::default()).ok()?
            };
            let access = Access {
                client,
                headers,
                timeout: PATIENCE,
            };
            question(Backend::reach(&address, access).await.ok()?).await
        };
        tokio::time::timeout(PATIENCE, asked).await.ok().flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_that_begin_as_typed_and_drive_no_terminal() {
        let words = ["/orders/{id}", "/login", "/or\u{1b}[2J", "/orders"].map(str::to_owned);
        let found = words_of(Some(words.to_vec()), OsStr::new("/or"));
        let found: Vec<_> = found
            .iter()
            .map(|word| word.get_value().to_owned())
            .collect();
        assert_eq!(found, ["/orders", "/orders/{id}"]);
        assert!(words_of(None, OsStr::new("")).is_empty());
    }

    #[test]
    fn no_word_is_offered_that_a_shell_would_run() {
        let harmless = ["shop", "/orders/{id}/*", "a.b:8080", "größe", "user@host"];
        let words = [
            "$(reboot)",
            "`reboot`",
            "a;reboot",
            "a|sh",
            "a&b",
            "a>b",
            "a b",
            "'",
            "\"",
            "a\\b",
            "!1",
            "~root",
            "-x",
            "=ls",
            "#a",
            "a(b)",
        ];
        let all = words.into_iter().chain(harmless).map(str::to_owned);

        let found = words_of(Some(all.collect()), OsStr::new(""));

        let mut expected = harmless;
        expected.sort_unstable();
        let found: Vec<_> = found.iter().map(|word| word.get_value()).collect();
        assert_eq!(found, expected);
    }
}
