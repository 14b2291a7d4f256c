//! The id of a trace that begins here, made of an id that the request already has.
//!
//! Where a hop before us loses trace context and keeps an id of its own, all who make the trace
//! id of that id agree on it: replicas, edgespans one behind the other, and retries of the hop.

use aws_lc_rs::digest::{Context, SHA256};
use http::{HeaderMap, HeaderName};
use opentelemetry::trace::TraceId;

/// What is digested before name and value, so that nobody else's digest of them is a trace id.
const LABEL: &[u8] = b"edgespan.trace.root/1";
/// Shorter ids are counters and the like: requests that have nothing in common share them.
const ID_BYTES_MIN: usize = 8;
/// Longer ones are no ids.
const ID_BYTES_MAX: usize = 256;

/// Headers in which a request may have an id of its own, the best one first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RootFrom(Vec<HeaderName>);

impl RootFrom {
    /// These. None of them: traces begin with fresh ids.
    pub const fn new(names: Vec<HeaderName>) -> Self {
        Self(names)
    }

    /// Whether no header is looked at.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The trace id of the first header that has a usable id, and its name. The caller sees to it
    /// that only a peer that is trusted chooses.
    pub fn find(&self, headers: &HeaderMap) -> Option<(TraceId, &HeaderName)> {
        self.0.iter().find_map(|name| {
            let mut values = headers.get_all(name).iter();
            let (value, None) = (values.next()?, values.next()) else {
                return None;
            };
            let id = trace_id(name, value.as_bytes().trim_ascii())?;
            Some((id, name))
        })
    }
}

/// The first 16 bytes of SHA-256 over label, name and id, with line feeds between them.
fn trace_id(name: &HeaderName, id: &[u8]) -> Option<TraceId> {
    let is_id = (ID_BYTES_MIN..=ID_BYTES_MAX).contains(&id.len());
    if !is_id || !id.iter().all(u8::is_ascii_graphic) {
        return None;
    }
    let mut digest = Context::new(&SHA256);
    for part in [LABEL, b"\n", name.as_str().as_bytes(), b"\n", id] {
        digest.update(part);
    }
    let digest = digest.finish();
    let (bytes, _) = digest.as_ref().split_first_chunk::<16>()?;
    let id = TraceId::from_bytes(*bytes);
    (id != TraceId::INVALID).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn root_from() -> RootFrom {
        RootFrom::new(vec![
            HeaderName::from_static("cf-ray"),
            HeaderName::from_static("x-request-id"),
        ])
    }

    fn found(lines: &[(&'static str, &str)]) -> Option<(String, String)> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        let root_from = root_from();
        let (id, name) = root_from.find(&headers)?;
        Some((id.to_string(), name.to_string()))
    }

    #[test]
    fn the_same_id_is_the_same_trace_for_ever() {
        // Replicas of different versions agree, so this never changes: printf
        // 'edgespan.trace.root/1\ncf-ray\n8f2a1c0de1b2c3d4-FRA' | sha256sum
        let (id, name) = found(&[("cf-ray", "8f2a1c0de1b2c3d4-FRA")]).unwrap();

        assert_eq!(
            (&*id, &*name),
            ("46ff7c97705a86ff6aa2b8be19ebfbe1", "cf-ray")
        );
    }

    #[test]
    fn the_first_header_that_has_an_id_counts() {
        let ray = found(&[("cf-ray", "8f2a1c0de1b2c3d4-FRA")]);
        let both = [
            ("x-request-id", "a-request"),
            ("cf-ray", "8f2a1c0de1b2c3d4-FRA"),
        ];
        assert_eq!(found(&both), ray);
        let short = [("cf-ray", "short"), ("x-request-id", "a-request")];
        assert_eq!(found(&short).unwrap().1, "x-request-id");
        let other_name = found(&[("x-request-id", "8f2a1c0de1b2c3d4-FRA")]);
        assert_ne!(other_name.unwrap().0, ray.unwrap().0);
    }

    #[test]
    fn what_is_no_id_roots_nothing() {
        let (long, longer) = ("a".repeat(ID_BYTES_MAX), "a".repeat(ID_BYTES_MAX + 1));
        assert!(found(&[("cf-ray", "12345678")]).is_some());
        assert!(found(&[("cf-ray", &long)]).is_some());
        for none in ["", "1234567", "two words", "ümlaut-ü", &longer] {
            assert_eq!(found(&[("cf-ray", none)]), None, "{none}");
        }
        assert_eq!(
            found(&[("cf-ray", "12345678"), ("cf-ray", "12345678")]),
            None
        );
        assert_eq!(found(&[]), None);
    }

    proptest! {
        #[test]
        fn different_ids_are_different_traces(one in "[!-~]{8,40}", other in "[!-~]{8,40}") {
            prop_assume!(one != other);
            prop_assert_ne!(found(&[("cf-ray", &one)]), found(&[("cf-ray", &other)]));
        }
    }
}
