//! Names and values of attributes, for those who complete what is typed.

use super::index::Index;
use super::search::{kind_names, owned, root_name, root_service, status_message, status_names};
use super::segment::{HAS_EVENTS, HAS_LINKS, Row, Segment};
use super::traceql::ast::Intrinsic;
use super::wire::{Content, Fields, Raw, pair_key, pair_parts};
use super::{Listed, Scope};
use crate::view::Value;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// Names of attributes of a scope.
pub(super) fn names(index: &Index, scope: Scope, limit: usize) -> Listed<String> {
    let mut all = Gathered::new(limit);
    if scope == Scope::Intrinsic {
        for (name, _) in Intrinsic::SPELLINGS {
            all.add(name.to_owned(), ());
        }
        return all.names();
    }
    for segment in index.segments() {
        match scope {
            Scope::Resource => {
                for_resources(segment, |entry| all.bytes(pair_key(segment.pair(entry))));
            }
            Scope::Span => {
                // By number: millions of attributes are looked at.
                let mut is_used = vec![false; segment.keys().len()];
                for entry in segment.all_attributes() {
                    if let Some(place) = is_used.get_mut(*entry as usize) {
                        *place = true;
                    }
                }
                let used = segment.keys().iter().zip(is_used);
                let keys = used.filter(|(_, is_used)| *is_used).map(|(key, _)| *key);
                let keys: HashSet<u32> = keys.collect();
                keys.iter().for_each(|key| all.bytes(segment.text(*key)));
            }
            Scope::Event => for_parts(segment, 11, |pair| all.bytes(pair_key(pair))),
            Scope::Link => for_parts(segment, 13, |pair| all.bytes(pair_key(pair))),
            Scope::Intrinsic => {}
        }
    }
    all.names()
}

/// Values of an attribute.
pub(super) fn values(
    index: &Index,
    scope: Option<Scope>,
    name: &str,
    limit: usize,
) -> Listed<Value> {
    let mut all = Gathered::new(limit);
    if scope == Some(Scope::Intrinsic) {
        if let Some(intrinsic) = Intrinsic::named(name) {
            intrinsics(index, intrinsic, &mut all);
        }
        return all.values();
    }
    for segment in index.segments() {
        if matches!(scope, None | Some(Scope::Resource)) {
            for_resources(segment, |entry| all.pair(name, segment.pair(entry)));
        }
        match scope {
            None | Some(Scope::Span) => of_spans(segment, name, &mut all),
            Some(Scope::Event) => for_parts(segment, 11, |pair| all.pair(name, pair)),
            Some(Scope::Link) => for_parts(segment, 13, |pair| all.pair(name, pair)),
            Some(Scope::Resource | Scope::Intrinsic) => {}
        }
    }
    all.values()
}

/// Values that spans have: of every attribute of that key, those that a span uses, since a
/// resource may have one of the same key.
fn of_spans(segment: &Segment, name: &str, all: &mut Gathered<Value>) {
    let Some(key) = segment.find_text(name) else {
        return;
    };
    let keys = segment.keys().iter().zip(0_u32..);
    let mut entries: BTreeSet<u32> = keys
        .filter(|(one, _)| **one == key)
        .map(|(_, at)| at)
        .collect();
    let mut shared = BTreeSet::new();
    for_resources(segment, |entry| {
        if entries.remove(&entry) {
            shared.insert(entry);
        }
    });
    if !shared.is_empty() {
        let used = segment.all_attributes();
        entries.extend(used.filter(|entry| shared.contains(entry)));
    }
    for entry in entries {
        all.pair(name, segment.pair(entry));
    }
}

fn intrinsics(index: &Index, intrinsic: Intrinsic, all: &mut Gathered<Value>) {
    match intrinsic {
        Intrinsic::Status => status_names().for_each(|name| all.text(name)),
        Intrinsic::Kind => kind_names().for_each(|name| all.text(&name)),
        Intrinsic::RootName | Intrinsic::RootService => {
            let ask = if intrinsic == Intrinsic::RootName {
                root_name
            } else {
                root_service
            };
            let roots = index.traces().iter().filter_map(|trace| ask(index, trace));
            roots.for_each(|root| all.text(&root));
        }
        Intrinsic::Name => {
            for segment in index.segments() {
                let names: HashSet<u32> = segment.rows().iter().map(|row| row.name).collect();
                names.iter().for_each(|name| all.utf8(segment.text(*name)));
            }
        }
        Intrinsic::StatusMessage | Intrinsic::EventName => {
            for segment in index.segments() {
                for row in segment
                    .rows()
                    .iter()
                    .filter(|row| row.is_error() || row.has(HAS_EVENTS))
                {
                    rest_texts(segment, row, intrinsic, all);
                }
            }
        }
        Intrinsic::Duration
        | Intrinsic::SpanId
        | Intrinsic::ParentId
        | Intrinsic::TraceId
        | Intrinsic::TraceDuration
        | Intrinsic::LinkTraceId
        | Intrinsic::LinkSpanId => {}
    }
}

fn rest_texts(segment: &Segment, row: &Row, intrinsic: Intrinsic, all: &mut Gathered<Value>) {
    if intrinsic == Intrinsic::StatusMessage {
        let message = status_message(segment.rest(row));
        if !message.is_empty() {
            all.text(message);
        }
        return;
    }
    for field in Fields::of(segment.rest(row)) {
        if let (11, Content::Bytes(event)) = (field.number, field.content) {
            for field in Fields::of(event) {
                if let (2, Content::Bytes(name)) = (field.number, field.content) {
                    all.utf8(name);
                }
            }
        }
    }
}

fn for_resources(segment: &Segment, mut take: impl FnMut(u32)) {
    for source in 0..segment.sources().len() {
        let source = u16::try_from(source).unwrap_or(u16::MAX);
        segment
            .resource_attributes(source)
            .iter()
            .for_each(|entry| take(*entry));
    }
}

/// Attributes of events (field 11 of a span) or of links (13).
fn for_parts(segment: &Segment, message: u64, mut take: impl FnMut(&[u8])) {
    let (has, attributes) = if message == 11 {
        (HAS_EVENTS, 3)
    } else {
        (HAS_LINKS, 4)
    };
    for row in segment.rows().iter().filter(|row| row.has(has)) {
        for field in Fields::of(segment.rest(row)).filter(|field| field.number == message) {
            let Content::Bytes(part) = field.content else {
                continue;
            };
            for field in Fields::of(part).filter(|field| field.number == attributes) {
                if let Content::Bytes(pair) = field.content {
                    take(pair);
                }
            }
        }
    }
}

/// What was gathered, up to a limit.
struct Gathered<T> {
    all: BTreeMap<String, T>,
    limit: usize,
    is_complete: bool,
}

impl<T> Gathered<T> {
    fn new(limit: usize) -> Self {
        Self {
            all: BTreeMap::new(),
            limit,
            is_complete: true,
        }
    }

    fn add(&mut self, key: String, value: T) {
        if self.all.contains_key(&key) {
            return;
        }
        if self.all.len() < self.limit {
            self.all.insert(key, value);
        } else {
            self.is_complete = false;
        }
    }
}

impl Gathered<()> {
    fn bytes(&mut self, name: &[u8]) {
        let name = std::str::from_utf8(name).unwrap_or_default();
        if !name.is_empty() {
            self.add(name.to_owned(), ());
        }
    }

    fn names(self) -> Listed<String> {
        Listed {
            is_complete: self.is_complete,
            items: self.all.into_keys().collect(),
        }
    }
}

impl Gathered<Value> {
    fn text(&mut self, text: &str) {
        self.add(format!("text {text}"), Value::Text(text.to_owned()));
    }

    fn utf8(&mut self, text: &[u8]) {
        if let Ok(text) = std::str::from_utf8(text) {
            self.text(text);
        }
    }

    fn pair(&mut self, name: &str, pair: &[u8]) {
        let (key, value) = pair_parts(pair);
        if key == name.as_bytes() {
            self.value(&value);
        }
    }

    fn value(&mut self, value: &Raw<'_>) {
        match value {
            Raw::Text(text) => self.text(text),
            Raw::Bool(truth) => self.add(format!("bool {truth}"), owned(value)),
            Raw::Int(number) => self.add(format!("int {number:020}"), owned(value)),
            Raw::Float(number) => self.add(format!("float {number}"), owned(value)),
            Raw::List(list) => Raw::elements(list)
                .filter(|one| !matches!(one, Raw::List(_)))
                .for_each(|one| self.value(&one)),
            Raw::Other => {}
        }
    }

    fn values(self) -> Listed<Value> {
        Listed {
            is_complete: self.is_complete,
            items: self.all.into_values().collect(),
        }
    }
}
