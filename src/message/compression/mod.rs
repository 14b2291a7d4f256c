//! Compression of answers, where the configuration asks for it (RFC 9110 section 8.4).
//!
//! [`Wanted`] is what a request says about it, [`Wanted::applies`] decides at the head of its
//! answer and rewrites that, [`Compressed`] is the body.

mod accept;
mod body;
mod encoder;
mod head;

pub use body::Compressed;
pub use head::{Verdict, Wanted, Work};

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// A content coding that edgespan can make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// RFC 8878.
    Zstd,
    /// RFC 1952.
    Gzip,
}

impl Algorithm {
    /// Its name in `Content-Encoding`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }
}

/// How much work goes into each byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Effort {
    /// As little as it takes.
    Fast,
    /// What each algorithm thinks right.
    #[default]
    Balanced,
    /// Slow, and a little smaller.
    Best,
}

/// Which answers are compressed, and how.
#[derive(Clone, Debug)]
pub struct CompressionRules {
    /// What is offered; of what a client likes equally, the first is taken. Never empty.
    pub algorithms: Vec<Algorithm>,
    /// Media types in lower case: `text/html`, or `text/*` for all of a kind.
    pub types: Vec<Box<str>>,
    /// A body that is known to be smaller stays as it is.
    pub bytes_min: u64,
    /// How much work goes into each byte.
    pub effort: Effort,
    /// Answers that may be compressed at once: what bounds the memory of it. One more goes as it
    /// is.
    pub streams_max: usize,
    /// How many are, at this moment.
    pub streams: StreamCount,
}

/// How many answers one bound lets be compressed at this moment.
#[derive(Clone, Debug)]
pub struct StreamCount {
    own: Arc<AtomicUsize>,
    /// That of the same bound in the configuration before, whose answers may still be on their way.
    before: Arc<OnceLock<Arc<AtomicUsize>>>,
    is_routes_own: bool,
}

impl StreamCount {
    /// Of a bound that one route has for itself, or of one that routes share.
    pub fn new(is_routes_own: bool) -> Self {
        Self {
            own: Arc::default(),
            before: Arc::default(),
            is_routes_own,
        }
    }

    /// Counts on from `before`, which was the bound of the same route, if it was one of the same
    /// kind. The first such call counts.
    pub fn go_on_from(&self, before: &Self) {
        if self.is_routes_own == before.is_routes_own {
            self.before.get_or_init(|| Arc::clone(before.count()));
        }
    }

    fn count(&self) -> &Arc<AtomicUsize> {
        self.before.get().unwrap_or(&self.own)
    }
}

impl CompressionRules {
    /// A place for one more stream, unless all are taken.
    fn enter(&self) -> Option<StreamPlace> {
        let count = self.streams.count();
        let before = count.fetch_add(1, Ordering::Relaxed);
        let place = StreamPlace(Arc::clone(count));
        (before < self.streams_max).then_some(place)
    }

    /// Whether answers of this media type are worth it. `content_type` may have parameters.
    fn takes(&self, content_type: &str) -> bool {
        let media = content_type.split(';').next().unwrap_or_default().trim();
        self.types
            .iter()
            .any(|wanted| match wanted.strip_suffix('*') {
                Some(kind) => media
                    .get(..kind.len())
                    .is_some_and(|start| start.eq_ignore_ascii_case(kind)),
                None => media.eq_ignore_ascii_case(wanted),
            })
    }
}

/// One stream's place. Dropping it gives the place back, on every way out.
#[derive(Debug)]
struct StreamPlace(Arc<AtomicUsize>);

impl Drop for StreamPlace {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
pub(in crate::message::compression) fn rules() -> CompressionRules {
    CompressionRules {
        algorithms: vec![Algorithm::Zstd, Algorithm::Gzip],
        types: ["text/*", "application/json"].map(Box::from).to_vec(),
        bytes_min: 100,
        effort: Effort::Balanced,
        streams_max: 2,
        streams: StreamCount::new(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_compared_without_case_and_parameters() {
        let rules = rules();

        assert!(rules.takes("text/html") && rules.takes("Text/CSS; charset=utf-8"));
        assert!(rules.takes("application/json ;v=1"));
        for other in [
            "application/jsonp",
            "image/png",
            "text",
            "",
            "textual/x",
            "é",
        ] {
            assert!(!rules.takes(other), "{other}");
        }
    }

    #[test]
    fn places_end_at_the_bound_and_come_back() {
        let rules = rules();

        let first = rules.enter();
        let second = rules.enter();
        assert!(first.is_some() && second.is_some() && rules.enter().is_none());
        drop(first);

        assert!(rules.enter().is_some());
    }

    #[test]
    fn a_bound_holds_over_a_reload_and_is_no_other_bounds() {
        let before = rules();
        let held = [before.enter(), before.enter()];
        assert!(held.iter().all(Option::is_some));
        let (shared, other) = (rules(), StreamCount::new(true));

        // Of routes that share a bound, each says so.
        shared.streams.go_on_from(&before.streams);
        shared.streams.go_on_from(&rules().streams);
        other.go_on_from(&before.streams);

        assert!(shared.enter().is_none() && rules().enter().is_some());
        assert_eq!(other.count().load(Ordering::Relaxed), 0);
        drop(held);
        assert!(shared.enter().is_some());
    }
}
