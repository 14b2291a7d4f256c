//! A wire that answers by a script, for tests that pause the time.

use crate::clock;
use crate::export::deliver::Wire;
use crate::export::reply::{Arrived, Reply};
use bytes::Bytes;
use opentelemetry_proto::tonic::trace::v1::ScopeSpans;
use prost::Message as _;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

/// What the collector at the other end does with one attempt.
pub(in crate::export) enum Act {
    /// Answers.
    Reply(Reply),
    /// Answers, but only after this long.
    Late(Duration, Reply),
    /// Never answers.
    Hang,
}

/// Acts in order; when they run out, everything arrives.
#[derive(Clone, Default)]
pub(in crate::export) struct Script(Arc<State>);

#[derive(Default)]
struct State {
    acts: Mutex<VecDeque<Act>>,
    attempts: Mutex<Vec<Instant>>,
    arrived: Mutex<Vec<Vec<String>>>,
}

impl Script {
    pub(in crate::export) fn of(acts: impl IntoIterator<Item = Act>) -> Self {
        let script = Self::default();
        script.0.acts.lock().unwrap().extend(acts);
        script
    }

    /// Forgets what it had still to do: from now on everything arrives.
    pub(in crate::export) fn recover(&self) {
        self.0.acts.lock().unwrap().clear();
    }

    /// When the attempts were made.
    pub(in crate::export) fn attempts(&self) -> Vec<Instant> {
        self.0.attempts.lock().unwrap().clone()
    }

    /// The names in each batch that arrived, in order of arrival.
    pub(in crate::export) fn batches(&self) -> Vec<Vec<String>> {
        self.0.arrived.lock().unwrap().clone()
    }

    /// The names that arrived, sorted.
    pub(in crate::export) fn names(&self) -> Vec<String> {
        let mut names = self.batches().concat();
        names.sort();
        names
    }
}

impl Wire for Script {
    async fn send(&self, records: Bytes) -> Reply {
        self.0.attempts.lock().unwrap().push(clock::instant());
        let act = self.0.acts.lock().unwrap().pop_front();
        let reply = match act {
            None => Ok(Arrived::default()),
            Some(Act::Reply(reply)) => reply,
            Some(Act::Late(after, reply)) => {
                tokio::time::sleep(after).await;
                reply
            }
            Some(Act::Hang) => std::future::pending().await,
        };
        if reply.is_ok() {
            let spans = ScopeSpans::decode(records).unwrap().spans;
            let names = spans.into_iter().map(|span| span.name).collect();
            self.0.arrived.lock().unwrap().push(names);
        }
        reply
    }
}
