//! W3C Trace Context level 2, every case of its public conformance harness, in both places where
//! a proxy can stand: *egress* (client → service that copies headers → edgespan → checker) and
//! *ingress* (client → edgespan → service that copies headers → checker).

mod flags;
mod several_calls;
mod traceparent;
mod tracestate;

use crate::support::client::{request, send};
use crate::support::origin::{Origin, text};
use crate::support::proxy::{Proxy, Setup};
use http::{HeaderName, HeaderValue};
use std::net::SocketAddr;
use std::sync::Arc;

const TRACE_ID: &str = "12345678901234567890123456789012";
const PARENT_ID: &str = "1234567890123456";

/// Where edgespan stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wiring {
    Egress,
    Ingress,
}

/// The context that arrived at the checker.
#[derive(Debug)]
struct Arrived {
    trace_id: String,
    parent_id: String,
    flags: u8,
    /// All `tracestate` lines joined, if there was one.
    state: Option<String>,
}

/// Header lines, written as the test writes them.
type Lines = Vec<(String, Vec<u8>)>;

fn lines(given: &[(&str, &str)]) -> Lines {
    given
        .iter()
        .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
        .collect()
}

/// Sends these headers through both wirings, `calls` calls to the checker each, and hands every
/// call's context to `check`.
async fn through_calls(given: &Lines, calls: usize, check: impl Fn(Wiring, &[Arrived])) {
    for wiring in [Wiring::Egress, Wiring::Ingress] {
        let checker = Origin::start().await;
        let arrived = match wiring {
            Wiring::Egress => {
                let edge = Setup::front(&checker).start().await;
                let stub = stub(edge.address, calls).await;
                call(stub.address, given).await;
                arrived_at(&checker, edge).await
            }
            Wiring::Ingress => {
                let stub = stub(checker.address, calls).await;
                let edge = Setup::front(&stub).start().await;
                call(edge.address, given).await;
                arrived_at(&checker, edge).await
            }
        };
        assert_eq!(arrived.len(), calls, "{wiring:?}");
        check(wiring, &arrived);
    }
}

async fn through(given: &[(&str, &str)], check: impl Fn(&Arrived)) {
    through_calls(&lines(given), 1, |_, arrived| check(&arrived[0])).await;
}

/// A service that copies context headers as they are, and knows nothing else of tracing.
async fn stub(onward: SocketAddr, calls: usize) -> Origin {
    let handle = tokio::runtime::Handle::current();
    let (sender, mut asked) = tokio::sync::mpsc::channel::<(Lines, std::sync::mpsc::Sender<()>)>(8);
    handle.spawn(async move {
        while let Some((copied, done)) = asked.recv().await {
            for _ in 0..calls {
                call(onward, &copied).await;
            }
            drop(done);
        }
    });
    let sender = Arc::new(sender);
    Origin::answering(move |received| {
        let copied = received
            .headers
            .iter()
            .filter(|(name, _)| matches!(name.as_str(), "traceparent" | "tracestate"))
            .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
            .collect();
        let (done, wait) = std::sync::mpsc::channel();
        sender.try_send((copied, done)).unwrap();
        // The stub answers once its own calls are through.
        tokio::task::block_in_place(|| wait.recv().unwrap_err());
        text(200, "copied")
    })
    .await
}

async fn call(to: SocketAddr, given: &Lines) {
    let mut request = request("POST", "/test", &[]);
    for (name, value) in given {
        request.headers_mut().append(
            HeaderName::try_from(name.as_str()).unwrap(),
            HeaderValue::from_bytes(value).unwrap(),
        );
    }
    assert_eq!(send(to, request).await.status, 200);
}

async fn arrived_at(checker: &Origin, edge: Proxy) -> Vec<Arrived> {
    let arrived = checker
        .received()
        .iter()
        .map(|received| {
            let parent = received.one("traceparent");
            let fields: Vec<&str> = parent.split('-').collect();
            assert_eq!(fields.len(), 4, "{parent}");
            assert_eq!(fields[0], "00", "{parent}");
            assert!(fields.iter().all(|field| is_lower_hex(field)), "{parent}");
            assert_eq!(
                (fields[1].len(), fields[2].len(), fields[3].len()),
                (32, 16, 2)
            );
            assert!(fields[1].contains(|digit| digit != '0'), "{parent}");
            assert!(fields[2].contains(|digit| digit != '0'), "{parent}");
            let states = received.all("tracestate");
            Arrived {
                trace_id: fields[1].to_owned(),
                parent_id: fields[2].to_owned(),
                flags: u8::from_str_radix(fields[3], 16).unwrap(),
                state: (!states.is_empty()).then(|| states.join(",")),
            }
        })
        .collect();
    edge.stop().await;
    arrived
}

fn is_lower_hex(text: &str) -> bool {
    text.bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

impl Arrived {
    /// The caller's trace, under another span.
    #[track_caller]
    fn joins(&self) {
        assert_eq!(self.trace_id, TRACE_ID);
        assert_ne!(self.parent_id, PARENT_ID);
    }

    /// A trace of its own, without the caller's state.
    #[track_caller]
    fn starts_anew(&self) {
        assert_ne!(self.trace_id, TRACE_ID);
        assert!(!self.has("foo"), "stale state: {:?}", self.state);
    }

    fn members(&self) -> Vec<(&str, &str)> {
        let state = self.state.as_deref().unwrap_or_default();
        state
            .split(',')
            .filter_map(|member| member.trim_matches([' ', '\t']).split_once('='))
            .collect()
    }

    fn has(&self, key: &str) -> bool {
        self.members().iter().any(|(name, _)| *name == key)
    }

    #[track_caller]
    fn has_state(&self, expected: &[(&str, &str)]) {
        assert_eq!(self.members(), expected);
    }

    /// What was wrong is gone.
    #[track_caller]
    fn has_no_state(&self) {
        assert_eq!(self.members(), []);
    }
}
