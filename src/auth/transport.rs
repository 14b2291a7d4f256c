//! Header fields that are no authorizer's to change.

use crate::message::hop_by_hop;
use crate::trace::propagate::is_context_header;
use http::HeaderName;
use http::header::{CONTENT_LENGTH, HOST, TE, TRAILER};

/// Whether a field frames a message, names its host or carries trace context, under whatever
/// spelling: to some servers `Content_Length` is a length, too.
pub(super) fn carries(name: &HeaderName) -> bool {
    let fold = |byte: u8| {
        if byte.is_ascii_alphanumeric() {
            byte
        } else {
            b'-'
        }
    };
    let plain: Vec<u8> = name.as_str().bytes().map(fold).collect();
    HeaderName::from_bytes(&plain).is_ok_and(|plain| {
        [HOST, CONTENT_LENGTH, TE, TRAILER].contains(&plain)
            || hop_by_hop::ends_here(&plain)
            || is_context_header(&plain)
            || plain.as_str().starts_with("x-b3-")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_carries_a_message_does_so_in_every_spelling() {
        for (name, expected) in [
            ("content-length", true),
            ("content_length", true),
            ("Transfer_Encoding", true),
            ("transfer.encoding", true),
            ("host", true),
            ("x_b3_sampled", true),
            ("trace_parent", false),
            ("content-type", false),
            ("x-host", false),
        ] {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            assert_eq!(carries(&name), expected, "{name}");
        }
    }
}
