//! What the spans of a WebSocket say of its session. The semantic conventions have no words for
//! it yet, so these are edgespan's own.

use super::span::{AttrValue, OpenSpan};
use crate::clock::Timestamp;

/// What went one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Whole messages.
    pub messages: u64,
    /// Bytes on the wire, frame headers included.
    pub bytes: u64,
}

/// A session that has ended.
#[derive(Clone, Copy, Debug)]
pub struct SessionEnd {
    /// What came to the span's side of edgespan.
    pub received: Traffic,
    /// What left from it.
    pub sent: Traffic,
    /// The code of the close (RFC 6455 section 7.4); 1005 for none, 1006 for a lost connection.
    pub close_code: u16,
    /// Who closed it, or whose connection was lost.
    pub closed_by: &'static str,
    /// Why edgespan did, if it did.
    pub close_cause: Option<&'static str>,
    /// Who sent what is no frame; messages were no longer counted then.
    pub malformed: Option<&'static str>,
}

impl SessionEnd {
    /// The same session, seen from the other span.
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self {
            received: self.sent,
            sent: self.received,
            ..self
        }
    }

    /// Writes it.
    pub fn write(&self, span: &mut OpenSpan) {
        for (key, number) in [
            (
                "edgespan.websocket.messages_received",
                self.received.messages,
            ),
            ("edgespan.websocket.messages_sent", self.sent.messages),
            ("edgespan.websocket.bytes_received", self.received.bytes),
            ("edgespan.websocket.bytes_sent", self.sent.bytes),
        ] {
            span.int(key, i64::try_from(number).unwrap_or(i64::MAX));
        }
        span.int("edgespan.websocket.close_code", self.close_code.into());
        span.str("edgespan.websocket.closed_by", self.closed_by);
        if let Some(cause) = self.close_cause {
            span.str("edgespan.websocket.close_cause", cause);
        }
        if let Some(sender) = self.malformed {
            span.str("edgespan.websocket.malformed", sender);
        }
    }
}

/// One message, as an event of the SERVER span.
pub fn message_event(
    span: &mut OpenSpan,
    at: Timestamp,
    received: bool,
    kind: &'static str,
    bytes: u64,
) {
    let direction = if received { "received" } else { "sent" };
    let size = AttrValue::Int(i64::try_from(bytes).unwrap_or(i64::MAX));
    let attributes = [
        (
            "edgespan.websocket.message.direction",
            AttrValue::Str(direction),
        ),
        ("edgespan.websocket.message.type", AttrValue::Str(kind)),
        ("edgespan.websocket.message.size", size),
    ];
    span.event("edgespan.websocket.message", at, &attributes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::oracle::{ended, lines, open};
    use crate::trace::span::SpanLimits;

    #[test]
    fn a_session_is_told_from_where_its_span_stands() {
        let end = SessionEnd {
            received: Traffic {
                messages: 2,
                bytes: 30,
            },
            sent: Traffic {
                messages: 1,
                bytes: 7,
            },
            close_code: 1001,
            closed_by: "edgespan",
            close_cause: Some("idle"),
            malformed: None,
        };
        let mut span = open(&SpanLimits::default());

        end.reversed().write(&mut span);

        assert_eq!(
            lines(&ended(span)),
            [
                "edgespan.websocket.messages_received=1",
                "edgespan.websocket.messages_sent=2",
                "edgespan.websocket.bytes_received=7",
                "edgespan.websocket.bytes_sent=30",
                "edgespan.websocket.close_code=1001",
                "edgespan.websocket.closed_by=edgespan",
                "edgespan.websocket.close_cause=idle",
            ]
        );
    }
}
