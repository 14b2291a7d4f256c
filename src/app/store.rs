//! The store of recent traces at work: what fills it, and the addresses at which services send to
//! it, over reloads.

use super::build::{Door, StartError};
use super::inherited::{Heirloom, HeirloomDoor, Inherited};
use crate::admin::StoreReading;
use crate::config::{Plan, StorePlan};
use crate::store::{
    Api, BoundDoor, Intake, OtlpDoor, StoreInForce, StoreSettings, TraceStore, routes,
};
use crate::telemetry::metrics::Metrics;
use crate::trace::sink::SpanSink;
use bytes::Bytes;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

/// The doors for services, with what else knows them by name.
const DOORS: [(&str, HeirloomDoor, Door); 2] = [
    ("store.otlp.grpc", HeirloomDoor::OtlpGrpc, Door::OtlpGrpc),
    ("store.otlp.http", HeirloomDoor::OtlpHttp, Door::OtlpHttp),
];

/// The store, what fills it, and its doors.
pub(super) struct StoreAtWork {
    in_force: StoreInForce,
    intake: Intake,
    doors: Vec<OtlpDoor>,
}

/// What another plan needs of it, ready and not at work yet.
pub(super) struct NextStore {
    store: Option<TraceStore>,
    doors: Vec<NextDoor>,
    bytes_max: Option<usize>,
}

enum NextDoor {
    /// The one that wants this name and address goes on.
    Keep(&'static str, SocketAddr),
    Open(BoundDoor),
}

/// Which doors there are: name and address as the plan has it.
pub(super) type KnownDoors = Vec<(Arc<str>, SocketAddr)>;

impl NextStore {
    /// Binds what is new. `before` is the store at work, whose traces stay as long as there is one.
    pub(super) fn make(
        plan: &StorePlan,
        before: Option<TraceStore>,
        known: &KnownDoors,
        inherited: &mut Inherited,
    ) -> Result<Self, StartError> {
        let asked = [plan.otlp_grpc, plan.otlp_http];
        let mut doors = Vec::new();
        for ((name, heirloom, door), address) in DOORS.into_iter().zip(asked) {
            let Some(address) = address else { continue };
            let same =
                |(known, asked): &(Arc<str>, SocketAddr)| **known == *name && *asked == address;
            if known.iter().any(same) {
                doors.push(NextDoor::Keep(name, address));
                continue;
            }
            let left = inherited.take_door(heirloom, address);
            let bound = BoundDoor::new(name, address, left);
            let bound = bound.map_err(|source| StartError::Listen {
                door,
                address,
                source,
            })?;
            doors.push(NextDoor::Open(bound));
        }
        let store = plan.bytes_max.map(|bytes_max| {
            before.unwrap_or_else(|| TraceStore::new(&StoreSettings { bytes_max }))
        });
        Ok(Self {
            store,
            doors,
            bytes_max: plan.bytes_max,
        })
    }

    /// What keeps the spans of finished requests, unless the store is off or nothing is recorded.
    pub(super) fn sink(&self, plan: &Plan, resource: Bytes) -> Option<Arc<dyn SpanSink>> {
        let store = self.store.as_ref().filter(|_| plan.tracing.recording)?;
        Some(store.sink(resource))
    }
}

impl StoreAtWork {
    /// From nothing.
    pub(super) fn start(next: NextStore, metrics: &Arc<Metrics>) -> Self {
        let in_force = StoreInForce::default();
        let mut this = Self {
            intake: Intake::new(in_force.clone()),
            in_force,
            doors: Vec::new(),
        };
        this.put_in_force(next, metrics);
        this
    }

    /// Cannot fail.
    pub(super) fn put_in_force(&mut self, next: NextStore, metrics: &Arc<Metrics>) {
        if let (Some(store), Some(bytes_max)) = (&next.store, next.bytes_max) {
            store.resize(&StoreSettings { bytes_max });
        }
        self.in_force.replace(next.store);
        let mut before = std::mem::take(&mut self.doors);
        for door in next.doors {
            match door {
                NextDoor::Open(bound) => self.doors.push(bound.open(&self.intake, metrics)),
                NextDoor::Keep(name, asked) => {
                    let same = |door: &OtlpDoor| *door.name == *name && door.asked == asked;
                    let at = before.iter().position(same);
                    self.doors.extend(at.map(|at| before.swap_remove(at)));
                }
            }
        }
        // Those that are left close as they are dropped.
    }

    /// The store at this moment.
    pub(super) fn store(&self) -> Option<TraceStore> {
        self.in_force.load()
    }

    /// Its doors, as a reload finds them.
    pub(super) fn known(&self) -> KnownDoors {
        let doors = self.doors.iter();
        doors
            .map(|door| (Arc::clone(&door.name), door.asked))
            .collect()
    }

    /// Its doors with the addresses they got.
    pub(super) fn addresses(&self) -> Vec<(Arc<str>, SocketAddr)> {
        let doors = self.doors.iter();
        doors
            .map(|door| (Arc::clone(&door.name), door.address))
            .collect()
    }

    /// The routes for the operator's door.
    pub(super) fn routes(&self) -> axum::Router {
        routes(Api::new(&self.intake))
    }

    /// Its figures as of the call; None while it is off.
    pub(super) fn reader(&self) -> Arc<dyn Fn() -> Option<StoreReading> + Send + Sync> {
        let (in_force, intake) = (self.in_force.clone(), self.intake.clone());
        Arc::new(move || {
            let (stats, intake) = (in_force.load()?.stats(), intake.reading());
            Some(StoreReading {
                traces: stats.traces,
                spans: stats.spans,
                bytes: stats.bytes,
                bytes_max: stats.bytes_max,
                evicted_traces: stats.evicted_traces,
                evicted_spans: stats.evicted_spans,
                refused_spans: stats.refused_spans,
                received_spans: intake.spans_taken,
                refused_messages: intake.messages_refused,
            })
        })
    }

    /// The sockets of its doors once more, for a successor.
    pub(super) fn heirlooms(&self) -> io::Result<Vec<Heirloom>> {
        let of = |door: &OtlpDoor| {
            let named = |(name, _, _): &&(&str, HeirloomDoor, Door)| **name == *door.name;
            let (name, heirloom, _) = DOORS.iter().find(named)?;
            Some(door.socket().map(|socket| Heirloom {
                door: *heirloom,
                name: (*name).into(),
                asked: door.asked,
                socket,
            }))
        };
        self.doors.iter().filter_map(of).collect()
    }

    /// Takes no spans of services any more: a successor does, or nobody.
    pub(super) fn shut(&mut self) {
        self.doors.clear();
    }
}
