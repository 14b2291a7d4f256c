//! The first text message of a WebSocket, out of the bytes that a server sent (RFC 6455
//! section 5.2). Servers do not mask.

/// Opcodes that matter here.
const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const CONTROL: u8 = 8;

/// Whether the first message is whole, or no text message will come.
pub(super) fn is_whole(bytes: &[u8]) -> bool {
    !matches!(read(bytes), Read::More)
}

/// The first text message, if it is whole.
pub(super) fn first(bytes: &[u8]) -> Option<String> {
    match read(bytes) {
        Read::Text(text) => Some(text),
        Read::More | Read::None => None,
    }
}

enum Read {
    Text(String),
    More,
    None,
}

fn read(mut bytes: &[u8]) -> Read {
    let mut text = Vec::new();
    loop {
        let Some((frame, rest)) = frame(bytes) else {
            return Read::More;
        };
        bytes = rest;
        match frame.opcode {
            TEXT | CONTINUATION => text.extend_from_slice(frame.payload),
            // A ping may stand before it; a close says that there is none.
            CONTROL.. if frame.opcode != CONTROL => continue,
            _ => return Read::None,
        }
        if frame.is_last {
            return String::from_utf8(text).map_or(Read::None, Read::Text);
        }
    }
}

struct Frame<'a> {
    is_last: bool,
    opcode: u8,
    payload: &'a [u8],
}

fn frame(bytes: &[u8]) -> Option<(Frame<'_>, &[u8])> {
    let (&[first, second], rest) = bytes.split_first_chunk::<2>()?;
    let (length, rest) = match second & 0x7f {
        126 => {
            let (length, rest) = rest.split_first_chunk()?;
            (u64::from(u16::from_be_bytes(*length)), rest)
        }
        127 => {
            let (length, rest) = rest.split_first_chunk()?;
            (u64::from_be_bytes(*length), rest)
        }
        short => (u64::from(short), rest),
    };
    let (payload, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    let frame = Frame {
        is_last: first & 0x80 != 0,
        opcode: first & 0x0f,
        payload,
    };
    Some((frame, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_message_is_read_from_its_frames() {
        assert_eq!(first(b"\x81\x05hello").unwrap(), "hello");
        assert_eq!(
            first(b"\x89\x00\x01\x03hel\x80\x02lo\x88\x00").unwrap(),
            "hello"
        );
        let long = "x".repeat(300);
        let mut bytes = b"\x81\x7e\x01\x2c".to_vec();
        bytes.extend_from_slice(long.as_bytes());
        assert_eq!(first(&bytes), Some(long));
        assert!(is_whole(b"\x88\x00") && first(b"\x88\x00").is_none());
        assert!(!is_whole(b"\x81\x05hell"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            prop_assert!(first(&bytes).is_none() || is_whole(&bytes));
        }
    }
}
