//! What a route's captures took.

use std::ops::Range;

/// Most captures of one path rule. They stand in the match itself, without allocation.
pub const CAPTURES_MAX: usize = 16;

/// Names of captures with the places in the path that they took.
///
/// Holds places and no text, so that the request may move on while it is kept.
#[derive(Clone, Debug)]
pub struct Captures<'t> {
    names: &'t [Box<str>],
    places: Places,
}

/// Places in a path, in the order of a rule's captures.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    ranges: [Range<u32>; CAPTURES_MAX],
    count: usize,
}

impl Places {
    /// Adds a place; what is beyond the bound was refused when the rule was parsed.
    pub(super) fn push(&mut self, start: usize, end: usize) {
        let range = (u32::try_from(start), u32::try_from(end));
        if let (Some(place), (Ok(start), Ok(end))) = (self.ranges.get_mut(self.count), range) {
            *place = start..end;
            self.count += 1;
        }
    }

    /// Adds a capture that took no part in the match: a place that no text has.
    pub(super) fn push_absent(&mut self) {
        self.push(1, 0);
    }

    pub(super) const fn count(&self) -> usize {
        self.count
    }

    /// Forgets all but the first `count` places.
    pub(super) fn truncate(&mut self, count: usize) {
        self.count = self.count.min(count);
    }
}

impl<'t> Captures<'t> {
    pub(super) const fn new(names: &'t [Box<str>], places: Places) -> Self {
        Self { names, places }
    }

    /// What the capture took of `path`, with its escapes; `path` is the one that was matched.
    pub fn get<'p>(&self, name: &str, path: &'p str) -> Option<&'p str> {
        self.iter(path)
            .find_map(|(candidate, text)| (candidate == name).then_some(text))
    }

    /// All captures with what they took of `path`, with its escapes.
    pub fn iter<'p>(&self, path: &'p str) -> impl Iterator<Item = (&'t str, &'p str)> {
        self.names
            .iter()
            .zip(self.places.ranges.iter().take(self.places.count))
            .filter_map(move |(name, place)| {
                let place = usize::try_from(place.start).ok()?..usize::try_from(place.end).ok()?;
                Some((&**name, path.get(place)?))
            })
    }

    /// Whether the rule captures nothing.
    pub const fn is_empty(&self) -> bool {
        self.places.count == 0
    }
}
