//! Why a WebSocket was closed (RFC 6455 section 7.4), and the frame that says so.

/// A status code of a close.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CloseCode(pub u16);

impl CloseCode {
    /// What the connection was for is done.
    pub const DONE: Self = Self(1000);
    /// The other side leaves: a page that is left, a server that stops.
    pub const GOING_AWAY: Self = Self(1001);
    /// A Close frame without a code. Never sent.
    pub const NONE: Self = Self(1005);
    /// No Close frame came at all. Never sent.
    pub const LOST: Self = Self(1006);

    /// The low-cardinality `error.type` of a close that is a failure; None for one that is clean:
    /// done (1000), going away (1001), no code (1005), a restart (1012), and the codes of
    /// applications and libraries (3000 and above), which mean what only they know.
    pub const fn error_type(self) -> Option<&'static str> {
        match self.0 {
            1000 | 1001 | 1005 | 1012 | 3000.. => None,
            1002 => Some("websocket_1002"),
            1003 => Some("websocket_1003"),
            1006 => Some("connection_reset"),
            1007 => Some("websocket_1007"),
            1008 => Some("websocket_1008"),
            1009 => Some("websocket_1009"),
            1010 => Some("websocket_1010"),
            1011 => Some("websocket_1011"),
            1013 => Some("websocket_1013"),
            1014 => Some("websocket_1014"),
            _ => Some("websocket_other"),
        }
    }
}

/// A Close frame of ours. `mask` is there when it goes to a server (RFC 6455 section 5.3).
/// `reason` is cut to what a control frame holds.
pub fn close_frame(code: CloseCode, reason: &str, mask: Option<[u8; 4]>) -> Vec<u8> {
    let mut payload = code.0.to_be_bytes().to_vec();
    payload.extend(reason.bytes().take(123));
    let masked = if mask.is_some() { 0x80 } else { 0 };
    let length = u8::try_from(payload.len()).unwrap_or(125);
    let mut frame = vec![0x88, masked | length];
    if let Some(mask) = mask {
        frame.extend(mask);
        for (byte, mask) in payload.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= mask;
        }
    }
    frame.extend(payload);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::websocket::frames::{FrameCounter, Seen, Sender};

    #[test]
    fn a_close_is_a_failure_only_where_its_code_says_so() {
        for clean in [1000, 1001, 1005, 1012, 3000, 4999] {
            assert_eq!(CloseCode(clean).error_type(), None, "{clean}");
        }
        for failed in [1002, 1006, 1007, 1008, 1011, 1013, 1016, 999, 0] {
            assert!(CloseCode(failed).error_type().is_some(), "{failed}");
        }
    }

    #[test]
    fn our_close_frame_is_one_that_we_can_read_ourselves() {
        for (sender, mask) in [
            (Sender::Client, Some([1, 2, 3, 250])),
            (Sender::Server, None),
        ] {
            let frame = close_frame(CloseCode::GOING_AWAY, &"x".repeat(200), mask);

            let mut counter = FrameCounter::new(sender);
            let (taken, seen) = counter.advance(&frame);

            assert_eq!(taken, frame.len());
            assert_eq!(seen, Some(Seen::Close(CloseCode::GOING_AWAY)));
        }
    }
}
