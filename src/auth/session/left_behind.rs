//! Handles of sessions that their browsers left behind a moment ago, in this process: requests that
//! were under way then still bring them, and are not to take away what came in their place.

use aws_lc_rs::digest::{SHA256, digest};
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// Handles that are remembered; the oldest gives way. One that is not known any more is cleared
/// like any other that means nothing.
const ENTRIES_MAX: usize = 1_024;

/// Those handles.
#[derive(Default)]
pub(super) struct LeftBehind(Mutex<VecDeque<[u8; 16]>>);

impl LeftBehind {
    pub(super) fn put(&self, handle: &str) {
        let Some(key) = key(handle) else { return };
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() >= ENTRIES_MAX {
            held.pop_front();
        }
        held.push_back(key);
    }

    pub(super) fn holds(&self, handle: &str) -> bool {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        key(handle).is_some_and(|key| held.contains(&key))
    }
}

fn key(handle: &str) -> Option<[u8; 16]> {
    let sum = digest(&SHA256, handle.as_bytes());
    sum.as_ref().first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_handles_are_known_and_no_more_than_so_many() {
        let left = LeftBehind::default();
        for number in 0..=ENTRIES_MAX {
            left.put(&number.to_string());
        }

        assert!(!left.holds("0"));
        assert!(left.holds("1"));
        assert!(left.holds(&ENTRIES_MAX.to_string()));
        assert!(!left.holds("none"));
    }
}
