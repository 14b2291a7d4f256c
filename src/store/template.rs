//! The last span of each kind as it came, and the numbers that its attributes got.
//!
//! Spans of one edge are nearly alike: the same attributes in the same order, and most of them with
//! the same value. So a span is compared with the last one of its kind and name as a run of bytes.
//! Only where the two differ an attribute is read, hashed and looked up; where they do not, the
//! spans share their list of attributes, too.

use super::wire::{Content, Field, Fields, pair_key};

/// No number.
pub(super) const NOTHING: u32 = u32::MAX;

/// Field 9 of a span.
pub(super) const ATTRIBUTE: u8 = 9 << 3 | 2;

/// How many spans are remembered: a power of two.
const SLOTS: usize = 64;

/// Most bytes of what is remembered of a span.
const BYTES_MAX: usize = 4 << 10;

/// When so many attributes of a span were new ones, it is another kind of span: the rest of the
/// last one is given up, since each that comes before it moves it.
const NEW_MAX: u32 = 8;

/// The templates of a segment that is written.
#[derive(Debug, Default)]
pub(super) struct Templates(Vec<Template>);

impl Templates {
    /// Where a span of that kind and name has its template. Others may have it, too: then both
    /// are compared with what is less like them.
    #[inline]
    pub(super) fn slot(kind: u8, name: &[u8]) -> usize {
        let end = name.last_chunk().map_or(0, |end| u64::from_le_bytes(*end));
        let mixed = (end ^ name.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        // So the ends of one call, which often have one name, are never in one place.
        ((mixed >> 32) as usize + usize::from(kind) * 21) % SLOTS
    }

    /// The template at a slot.
    #[inline]
    pub(super) fn at(&mut self, slot: usize) -> Option<&mut Template> {
        if self.0.is_empty() {
            self.0.resize_with(SLOTS, Template::default);
        }
        self.0.get_mut(slot)
    }

    /// Gives up what is more than is remembered.
    #[inline]
    pub(super) fn shorten(&mut self, slot: usize) {
        if let Some(template) = self.0.get_mut(slot)
            && template.bytes.len() > BYTES_MAX
        {
            *template = Template::default();
        }
    }

    /// For the next segment, where all numbers are others: only the room is kept.
    pub(super) fn emptied(mut self) -> Self {
        self.0.iter_mut().for_each(Template::clear);
        self
    }

    /// Bytes of memory.
    pub(super) fn memory(&self) -> usize {
        let of_all = self.0.iter().map(Template::memory).sum::<usize>();
        of_all + self.0.capacity() * size_of::<Template>()
    }
}

/// A byte string and its number, if it has one.
#[derive(Debug)]
pub(super) struct Known {
    bytes: Vec<u8>,
    number: u32,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            number: NOTHING,
        }
    }
}

impl Known {
    /// The number of `bytes`: the known one, or what `ask` says.
    #[inline]
    pub(super) fn number(&mut self, bytes: &[u8], ask: impl FnOnce(&[u8]) -> u32) -> u32 {
        if self.number != NOTHING && self.bytes == bytes {
            return self.number;
        }
        let number = ask(bytes);
        self.bytes.clear();
        self.number = NOTHING;
        if bytes.len() <= BYTES_MAX {
            self.bytes.extend_from_slice(bytes);
            self.number = number;
        }
        number
    }
}

/// A span as it came last.
#[derive(Debug)]
pub(super) struct Template {
    /// Its name.
    pub(super) name: Known,
    /// The fields that are kept as they came.
    pub(super) rest: Known,
    /// Its attributes, tags and lengths too.
    bytes: Vec<u8>,
    /// How many bytes of these each attribute has.
    lengths: Vec<u32>,
    /// The number of each attribute.
    entries: Vec<u32>,
    /// Where the segment keeps these numbers; [`NOTHING`]: not yet.
    pub(super) at: u32,
}

impl Default for Template {
    fn default() -> Self {
        Self {
            name: Known::default(),
            rest: Known::default(),
            bytes: Vec::new(),
            lengths: Vec::new(),
            entries: Vec::new(),
            at: NOTHING,
        }
    }
}

/// How far a span and its template have been compared.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    /// The next attribute of the template.
    next: usize,
    /// Where it begins.
    at: usize,
    /// How many attributes the template did not have.
    new: u32,
}

impl Template {
    /// The numbers of the attributes of the span that was read last.
    pub(super) fn entries(&self) -> &[u32] {
        &self.entries
    }

    /// Reads attributes of a span as long as they follow each other, and becomes like them.
    /// `number` gives the number of an attribute that differs, an encoded `KeyValue`; it is told
    /// that of one with the same key, if there is one.
    #[inline]
    pub(super) fn read(
        &mut self,
        fields: &mut Fields<'_>,
        progress: &mut Progress,
        number: &mut impl FnMut(&[u8], Option<u32>) -> u32,
    ) {
        loop {
            let same = self.skip_equal(fields, progress);
            if fields.first() != Some(ATTRIBUTE) {
                return;
            }
            let has_same_key = self.has_key_of(fields.rest(), same, progress);
            if !has_same_key && self.lacks_one(fields.rest(), progress) {
                continue;
            }
            let Some(field) = fields.next() else {
                return;
            };
            self.differs(&field, has_same_key, progress, number);
        }
    }

    /// Goes on behind what is the same; how many bytes of the next attribute are, too.
    #[inline]
    fn skip_equal(&self, fields: &mut Fields<'_>, progress: &mut Progress) -> usize {
        let left = self.bytes.get(progress.at..).unwrap_or_default();
        let same = same_at_the_beginning(fields.rest(), left);
        if same == left.len() {
            progress.next = self.lengths.len();
            progress.at += same;
            fields.skip(same);
            return 0;
        }
        let mut skipped = 0;
        for length in self.lengths.iter().skip(progress.next) {
            let next = skipped + *length as usize;
            if next > same {
                break;
            }
            skipped = next;
            progress.next += 1;
        }
        progress.at += skipped;
        fields.skip(skipped);
        same - skipped
    }

    /// Whether the next attribute of the span has the key of the next one here; `same` of their
    /// bytes are the same.
    #[inline]
    fn has_key_of(&self, span: &[u8], same: usize, progress: &Progress) -> bool {
        match span {
            // Nearly all: every length has one byte, and the key is among what is the same.
            [_, 0..0x80, 0x0a, length @ 0..0x80, ..] if same >= 4 + usize::from(*length) => true,
            _ => {
                let here = self.record(progress);
                here.is_some_and(|here| key(here) == key(span))
            }
        }
    }

    /// The next attribute as it came.
    fn record(&self, progress: &Progress) -> Option<&[u8]> {
        let length = *self.lengths.get(progress.next)? as usize;
        self.bytes.get(progress.at..progress.at + length)
    }

    /// Whether the span only lacks the next attribute and goes on with the one behind it. Then
    /// the template lacks it from now on, too.
    fn lacks_one(&mut self, span: &[u8], progress: &Progress) -> bool {
        let behind = || {
            let at = progress.at + *self.lengths.get(progress.next)? as usize;
            let length = *self.lengths.get(progress.next + 1)? as usize;
            self.bytes.get(at..at + length)
        };
        if !behind().is_some_and(|behind| span.starts_with(behind)) {
            return false;
        }
        self.at = NOTHING;
        self.entries.remove(progress.next);
        let length = self.lengths.remove(progress.next) as usize;
        drop(self.bytes.drain(progress.at..progress.at + length));
        true
    }

    /// The span has another attribute here: in place of the next one if that has the same key,
    /// before it otherwise.
    pub(super) fn differs(
        &mut self,
        field: &Field<'_>,
        has_same_key: bool,
        progress: &mut Progress,
        number: &mut impl FnMut(&[u8], Option<u32>) -> u32,
    ) {
        let (Content::Bytes(pair), raw) = (field.content, field.raw) else {
            return;
        };
        self.at = NOTHING;
        let length = u32::try_from(raw.len()).unwrap_or(u32::MAX);
        let old = self.lengths.get(progress.next).filter(|_| has_same_key);
        let old = old.map(|length| *length as usize);
        let known = self.entries.get(progress.next).copied();
        let entry = number(pair, known.filter(|_| has_same_key));
        if let Some(old) = old {
            let range = progress.at..progress.at + old;
            match self.bytes.get_mut(range.clone()) {
                Some(same_place) if old == raw.len() => same_place.copy_from_slice(raw),
                _ => drop(self.bytes.splice(range, raw.iter().copied())),
            }
            if let Some(place) = self.entries.get_mut(progress.next) {
                *place = entry;
            }
            if let Some(place) = self.lengths.get_mut(progress.next) {
                *place = length;
            }
        } else {
            progress.new += 1;
            if progress.new > NEW_MAX {
                self.cut(progress);
            }
            let place = progress.at..progress.at;
            drop(self.bytes.splice(place, raw.iter().copied()));
            self.entries.insert(progress.next, entry);
            self.lengths.insert(progress.next, length);
        }
        progress.next += 1;
        progress.at += raw.len();
    }

    /// The span has no more attributes.
    #[inline]
    pub(super) fn end(&mut self, progress: &Progress) {
        if progress.next < self.entries.len() {
            self.cut(progress);
        }
    }

    fn cut(&mut self, progress: &Progress) {
        self.at = NOTHING;
        self.bytes.truncate(progress.at);
        self.entries.truncate(progress.next);
        self.lengths.truncate(progress.next);
    }

    fn clear(&mut self) {
        self.name.number = NOTHING;
        self.rest.number = NOTHING;
        self.cut(&Progress::default());
    }

    fn memory(&self) -> usize {
        let numbers = self.lengths.capacity() + self.entries.capacity();
        let bytes = self.bytes.capacity() + self.name.bytes.capacity();
        bytes + self.rest.bytes.capacity() + numbers * size_of::<u32>()
    }
}

/// The key of an attribute that is written here with its tag and length.
fn key(bytes: &[u8]) -> &[u8] {
    match Fields::of(bytes).next().map(|field| field.content) {
        Some(Content::Bytes(pair)) => pair_key(pair),
        _ => &[],
    }
}

/// How many bytes are the same at the beginning.
#[inline]
fn same_at_the_beginning(one: &[u8], other: &[u8]) -> usize {
    let (some, _) = one.as_chunks::<32>();
    let (others, _) = other.as_chunks::<32>();
    let chunks = some.iter().zip(others);
    let mut same = 32 * chunks.take_while(|(some, others)| some == others).count();
    let (some, _) = one.get(same..).unwrap_or_default().as_chunks::<8>();
    let (others, _) = other.get(same..).unwrap_or_default().as_chunks::<8>();
    for (some, others) in some.iter().zip(others) {
        let differ = u64::from_le_bytes(*some) ^ u64::from_le_bytes(*others);
        if differ != 0 {
            return same + (differ.trailing_zeros() / 8) as usize;
        }
        same += 8;
    }
    let tails = one.iter().skip(same).zip(other.iter().skip(same));
    same + tails.take_while(|(one, other)| one == other).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
    use opentelemetry_proto::tonic::trace::v1::Span;
    use proptest::prelude::*;
    use prost::Message as _;

    /// Numbers everything it is asked for, and counts how often that was.
    #[derive(Default)]
    struct Pairs(Vec<Vec<u8>>);

    impl Pairs {
        fn read(&mut self, template: &mut Template, attributes: &[KeyValue]) -> Vec<Vec<u8>> {
            let span = Span {
                attributes: attributes.to_vec(),
                ..Span::default()
            };
            let bytes = span.encode_to_vec();
            let (mut fields, mut progress) = (Fields::of(&bytes), Progress::default());
            if !attributes.is_empty() {
                let mut number = |pair: &[u8], alike: Option<u32>| {
                    if let Some(alike) = alike {
                        assert_eq!(pair_key(pair), pair_key(&self.0[alike as usize]));
                    }
                    self.0.push(pair.to_vec());
                    u32::try_from(self.0.len() - 1).unwrap()
                };
                template.read(&mut fields, &mut progress, &mut number);
            }
            assert_eq!(fields.first(), None);
            template.end(&progress);
            let entries = template.entries().iter();
            entries
                .map(|entry| self.0[*entry as usize].clone())
                .collect()
        }
    }

    fn pair(key: &str, value: &str) -> KeyValue {
        KeyValue {
            key: key.to_owned(),
            value: Some(AnyValue {
                value: Some(Value::StringValue(value.to_owned())),
            }),
            ..KeyValue::default()
        }
    }

    #[track_caller]
    fn check_asked(first: &[(&str, &str)], second: &[(&str, &str)], asked: usize) {
        let all = |some: &[(&str, &str)]| -> Vec<KeyValue> {
            some.iter().map(|(key, value)| pair(key, value)).collect()
        };
        let (mut template, mut pairs) = (Template::default(), Pairs::default());
        pairs.read(&mut template, &all(first));
        template.at = 7;
        let before = pairs.0.len();

        pairs.read(&mut template, &all(second));

        assert_eq!(pairs.0.len() - before, asked);
        assert_eq!(template.at == 7, first == second, "whether they share");
    }

    #[test]
    fn only_attributes_that_differ_from_the_last_span_are_looked_up() {
        let all = [("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")];
        check_asked(&all, &all, 0);
        check_asked(&all, &[all[0], ("b", "other"), all[2], all[3]], 1);
        check_asked(&all, &[all[0], all[2], all[3]], 0);
        check_asked(&all, &[all[0], ("new", ""), all[1], all[2], all[3]], 1);
        check_asked(&all, &all[..2], 0);
        check_asked(&all, &[], 0);
        check_asked(&all[..1], &all, 3);
        let long = "x".repeat(300);
        check_asked(&[("a", &long), all[1]], &[("a", "short"), all[1]], 1);
        check_asked(&[("a", "short"), all[1]], &[("a", &long), all[1]], 1);
    }

    #[test]
    fn a_span_of_another_kind_takes_the_place_of_the_last_one() {
        let some = |prefix: &str| -> Vec<KeyValue> {
            let keys = (0..40).map(|number| format!("{prefix}{number}"));
            keys.map(|key| pair(&key, "value")).collect()
        };
        let (mut template, mut pairs) = (Template::default(), Pairs::default());
        pairs.read(&mut template, &some("one"));

        let read = pairs.read(&mut template, &some("other"));

        assert_eq!((read.len(), pairs.0.len()), (40, 80));
        assert_eq!(
            template.bytes.len(),
            template.lengths.iter().sum::<u32>() as usize
        );
    }

    #[test]
    fn what_is_remembered_has_a_bound() {
        let mut templates = Templates::default();
        let mut pairs = Pairs::default();
        let large = "x".repeat(BYTES_MAX);
        pairs.read(templates.at(3).unwrap(), &[pair("a", &large)]);
        assert!(templates.memory() > BYTES_MAX);

        templates.shorten(3);

        assert_eq!(templates.memory(), SLOTS * size_of::<Template>());
        let mut known = Known::default();
        assert_eq!(known.number(large.as_bytes(), |_| 1), 1);
        assert_eq!(known.number(large.as_bytes(), |_| 2), 1, "at the bound");
        let larger = format!("{large}x");
        assert_eq!(known.number(larger.as_bytes(), |_| 3), 3);
        assert_eq!(known.number(larger.as_bytes(), |_| 4), 4, "over it");
        assert_eq!(known.number(b"", |_| 5), 5);
        assert_eq!(known.number(b"", |_| 6), 5);
    }

    proptest! {
        #[test]
        fn a_span_is_read_as_if_there_had_been_none_before(
            spans in prop::collection::vec(
                prop::collection::vec(("[a-e]", prop_oneof!["[xy]", "[xy]{120,140}"]), 0..14),
                1..12,
            )
        ) {
            let (mut template, mut pairs) = (Template::default(), Pairs::default());
            for span in &spans {
                let attributes: Vec<_> =
                    span.iter().map(|(key, value)| pair(key, value)).collect();
                let read = pairs.read(&mut template, &attributes);
                let expected: Vec<_> = attributes.iter().map(KeyValue::encode_to_vec).collect();
                prop_assert_eq!(read, expected);
            }
        }

        #[test]
        fn bytes_are_compared_up_to_the_first_that_differs(
            same in prop::collection::vec(any::<u8>(), 0..70),
            one in prop::collection::vec(any::<u8>(), 0..40),
            other in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let (one, other) = ([same.clone(), one].concat(), [same, other].concat());
            let expected = one.iter().zip(&other).take_while(|(one, other)| one == other).count();
            prop_assert_eq!(same_at_the_beginning(&one, &other), expected);
        }
    }
}
