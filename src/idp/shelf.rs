//! Things that are kept for a while under a handle that nobody guesses.

use crate::clock::{self, Timestamp};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// Things of one kind at a time; the oldest gives way.
const THINGS_MAX: usize = 4096;

/// Bytes of a handle.
const HANDLE_BYTES: usize = 24;

/// What cannot be guessed: 192 bits, in letters that need no escaping.
///
/// # Errors
/// If the machine has no randomness to give.
pub(super) fn handle() -> Result<String, Unspecified> {
    let mut bytes = [0; HANDLE_BYTES];
    rand::fill(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// Things of one kind.
#[derive(Debug)]
pub(super) struct Shelf<T> {
    lifetime: Duration,
    things: HashMap<String, (Timestamp, T)>,
    order: VecDeque<String>,
}

impl<T> Shelf<T> {
    /// Each is kept this long.
    pub(super) fn new(lifetime: Duration) -> Self {
        Self {
            lifetime,
            things: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    /// Keeps something under a handle of its own.
    pub(super) fn put(&mut self, thing: T) -> Result<String, Unspecified> {
        let handle = handle()?;
        self.put_as(handle.clone(), thing);
        Ok(handle)
    }

    /// Keeps something under this handle.
    pub(super) fn put_as(&mut self, handle: String, thing: T) {
        while self.order.len() >= THINGS_MAX {
            if let Some(oldest) = self.order.pop_front() {
                self.things.remove(&oldest);
            }
        }
        let until = clock::wall().plus(self.lifetime);
        self.order.push_back(handle.clone());
        self.things.insert(handle, (until, thing));
    }

    /// What is there, if its time has not passed.
    pub(super) fn get(&self, handle: &str) -> Option<&T> {
        let (until, thing) = self.things.get(handle)?;
        (clock::wall() < *until).then_some(thing)
    }

    /// When its time passes, in seconds since the Unix epoch.
    pub(super) fn until(&self, handle: &str) -> Option<u64> {
        let (until, _) = self.things.get(handle)?;
        Some(Duration::from_nanos(until.as_unix_nanos()).as_secs())
    }

    /// The same, to be changed.
    pub(super) fn get_mut(&mut self, handle: &str) -> Option<&mut T> {
        let (until, thing) = self.things.get_mut(handle)?;
        (clock::wall() < *until).then_some(thing)
    }

    /// The same, and it is gone.
    pub(super) fn take(&mut self, handle: &str) -> Option<T> {
        let (until, thing) = self.things.remove(handle)?;
        (clock::wall() < until).then_some(thing)
    }

    /// Takes away those for which it holds.
    pub(super) fn drain(&mut self, mut goes: impl FnMut(&T) -> bool) -> Vec<T> {
        let handles: Vec<String> = self
            .things
            .iter()
            .filter(|(_, (_, thing))| goes(thing))
            .map(|(handle, _)| handle.clone())
            .collect();
        let gone = handles.iter().filter_map(|one| self.things.remove(one));
        gone.map(|(_, thing)| thing).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_gives_way_at_the_bound() {
        let mut shelf = Shelf::new(Duration::from_secs(60));
        for number in 0..=THINGS_MAX {
            shelf.put_as(number.to_string(), number);
        }
        assert_eq!(shelf.get("0"), None);
        assert_eq!(shelf.get("1"), Some(&1));
        assert_eq!(shelf.things.len(), THINGS_MAX);
    }

    #[test]
    fn what_is_taken_is_gone_and_what_is_late_never_was() {
        let mut shelf = Shelf::new(Duration::from_secs(60));
        let handle = shelf.put(7).unwrap();
        assert_eq!(shelf.take(&handle), Some(7));
        assert_eq!(shelf.take(&handle), None);

        let mut late = Shelf::new(Duration::ZERO);
        let handle = late.put(7).unwrap();
        assert_eq!(late.get(&handle), None);
        assert_eq!(late.take(&handle), None);
    }
}
