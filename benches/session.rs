//! What a session costs a request: its cookie opened anew, and opened a moment before.
//!
//! `cargo bench --bench session`. Opening is to cost less than 5 µs. Whole requests of somebody
//! who is logged in: `cargo bench --bench pipeline`.

#![allow(clippy::unwrap_used, reason = "a bench stops where it cannot go on")]

mod visitor;

use divan::{AllocProfiler, Bencher, black_box};
use edgespan::auth::session::{Found, Sessions};
use edgespan::clock;
use http::HeaderMap;
use http::header::COOKIE;
use tokio::runtime::{Builder, Runtime};

#[global_allocator]
static ALLOC: AllocProfiler = AllocProfiler::system();

/// ID tokens of so many bytes: none at all, a usual one, and one that takes three cookies.
const TOKENS: [usize; 3] = [0, 800, 6_000];

fn main() {
    divan::main();
}

struct Visit {
    runtime: Runtime,
    headers: HeaderMap,
}

impl Visit {
    fn new(token_bytes: usize) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let cookies = visitor::cookies(&runtime, true, token_bytes);
        let theirs = "theme=dark; _ga=GA1.1.1203834873.1732100000";
        let line = format!("{theirs}; {cookies}").parse().unwrap();
        let headers = [(COOKIE, line)].into_iter().collect();
        Self { runtime, headers }
    }

    fn find(&self, sessions: &Sessions) {
        let headers = black_box(&self.headers);
        let found = sessions.find(headers, visitor::POLICY, true, clock::wall());
        let found = self.runtime.block_on(found);
        assert!(matches!(found, Found::Live { .. }));
    }
}

#[divan::bench(args = TOKENS)]
fn a_cookie_opened_a_moment_before(bencher: Bencher<'_, '_>, token_bytes: usize) {
    let visit = Visit::new(token_bytes);
    let sessions = visitor::sessions();
    bencher.bench_local(|| visit.find(&sessions));
}

/// Each time by sessions that have opened nothing yet.
#[divan::bench(args = TOKENS)]
fn a_cookie_opened_anew(bencher: Bencher<'_, '_>, token_bytes: usize) {
    let visit = Visit::new(token_bytes);
    bencher
        .with_inputs(visitor::sessions)
        .bench_local_refs(|sessions| visit.find(sessions));
}
