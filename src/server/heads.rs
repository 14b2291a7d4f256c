//! Heads of HTTP/1 requests kept as they came, for whoever has to tell exactly what arrived.
//!
//! hyper keeps neither the case of names nor the order of lines of different names. So where
//! somebody asks for it, bytes are copied as they pass, and only those of a head that begins with
//! one of a few texts; everything else costs a comparison of its first bytes.

use super::activity::Activity;
use bytes::Bytes;
use std::sync::Arc;

/// Longest head that is kept; a longer one is not.
const HEAD_BYTES_MAX: usize = 128 * 1024;

/// Copies the heads of one connection.
pub(super) struct HeadTee {
    activity: Arc<Activity>,
    begins: &'static [&'static str],
    /// What came of a head that may be one to keep.
    head: Vec<u8>,
    /// Whether what comes until the next request is of no interest.
    passes: bool,
    /// Which request all this is of, by how many are left.
    request: u64,
}

impl HeadTee {
    /// Keeps heads that begin with one of these.
    pub(super) fn new(activity: Arc<Activity>, begins: &'static [&'static str]) -> Self {
        let request = activity.requests_left();
        Self {
            activity,
            begins,
            head: Vec::new(),
            passes: false,
            request,
        }
    }

    /// Bytes were read. A head that came behind another request, which is still being served, is
    /// not looked for: nobody knows where it begins.
    pub(super) fn read(&mut self, bytes: &[u8]) {
        if self.activity.is_serving() {
            return;
        }
        let request = self.activity.requests_left();
        if std::mem::replace(&mut self.request, request) != request {
            self.passes = false;
            self.head = Vec::new();
        }
        if self.passes {
            return;
        }
        // Where the end was not found, it may lie across what came before and what comes now.
        let searched = self.head.len().saturating_sub(3);
        self.head.extend_from_slice(bytes);
        if !self.may_be_kept() {
            self.pass();
            return;
        }
        let unsearched = self.head.get(searched..).unwrap_or_default();
        let end = unsearched.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(end) = end {
            self.head.truncate(searched + end + 4);
            let head = std::mem::take(&mut self.head);
            self.activity.keep_head(head.into());
            self.passes = true;
        } else if self.head.len() > HEAD_BYTES_MAX {
            self.pass();
        }
    }

    fn may_be_kept(&self) -> bool {
        self.begins.iter().any(|begin| {
            let begin = begin.as_bytes();
            self.head.starts_with(begin) || begin.starts_with(&self.head)
        })
    }

    fn pass(&mut self) {
        self.passes = true;
        self.head = Vec::new();
    }
}

/// A head that was kept, until the request that it is of takes it.
pub(super) type KeptHead = std::sync::Mutex<Option<Bytes>>;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BEGINS: &[&str] = &["GET /kept", "POST /kept"];

    fn tee() -> (Arc<Activity>, HeadTee) {
        let activity = Activity::begin(None);
        let tee = HeadTee::new(Arc::clone(&activity), BEGINS);
        (activity, tee)
    }

    fn kept(activity: &Arc<Activity>) -> Option<Bytes> {
        activity.enter().take_head()
    }

    #[test]
    fn a_head_is_kept_by_how_it_begins() {
        let (activity, mut tee) = tee();

        tee.read(b"POST /other HTTP/1.1\r\n\r\nGET /kept HTTP/1.1\r\n\r\n");
        let other = activity.enter();
        assert_eq!(other.take_head(), None);
        drop(other);
        tee.read(b"POST /kept HTTP/1.1\r\nA: b\r\n\r\nbody");

        let head = kept(&activity);
        assert_eq!(
            head.as_deref(),
            Some(&b"POST /kept HTTP/1.1\r\nA: b\r\n\r\n"[..])
        );
    }

    #[test]
    fn what_comes_while_a_request_is_served_is_no_head() {
        let (activity, mut tee) = tee();
        tee.read(b"POST /other HTTP/1.1\r\n\r\n");
        let serving = activity.enter();

        tee.read(b"GET /kept HTTP/1.1\r\n\r\n");
        drop(serving);

        assert_eq!(kept(&activity), None);
    }

    #[test]
    fn a_head_that_never_ends_is_given_up() {
        let (activity, mut tee) = tee();
        tee.read(b"GET /kept HTTP/1.1\r\nA: ");
        tee.read(&vec![b'a'; HEAD_BYTES_MAX]);
        tee.read(b"\r\n\r\n");

        assert_eq!(kept(&activity), None);
        assert_eq!(tee.head.capacity(), 0);
    }

    proptest! {
        #[test]
        fn a_head_is_kept_in_whatever_pieces_it_comes(cuts in proptest::collection::vec(1_usize..9, 1..20)) {
            let head = b"GET /kept?a=b HTTP/1.1\r\nHost: a\r\nX-One: 1\r\nx-one:2\r\n\r\n";
            let (activity, mut tee) = tee();

            let mut rest = &head[..];
            for cut in cuts.iter().cycle() {
                let (piece, after) = rest.split_at((*cut).min(rest.len()));
                tee.read(piece);
                rest = after;
                if rest.is_empty() {
                    break;
                }
            }

            let kept = kept(&activity);
            prop_assert_eq!(kept.as_deref(), Some(&head[..]));
        }
    }
}
