//! A text message of ours, in one frame (RFC 6455 section 5.2).

/// As a server sends it: without a mask.
pub fn text_frame(text: &str) -> Vec<u8> {
    let length = text.len();
    let mut frame = Vec::with_capacity(length + 10);
    frame.push(0x81);
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ 0..=125), _) => frame.push(short),
        (_, Ok(medium)) => {
            frame.push(126);
            frame.extend(medium.to_be_bytes());
        }
        (_, Err(_)) => {
            frame.push(127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(text.as_bytes());
    frame
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::websocket::frames::{FrameCounter, MessageKind, Seen, Sender};

    #[test]
    fn a_text_of_any_length_is_one_message() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            let frame = text_frame(&"a".repeat(length));

            let seen = FrameCounter::new(Sender::Server).advance(&frame);

            let (kind, bytes) = (MessageKind::Text, length as u64);
            let message = Seen::Message { kind, bytes };
            assert_eq!(seen, (frame.len(), Some(message)), "{length}");
        }
    }
}
