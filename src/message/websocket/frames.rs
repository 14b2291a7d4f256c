//! Frames are counted as their bytes pass (RFC 6455 section 5).
//!
//! The counter sees bytes in whatever pieces they come and keeps no payload. With
//! `permessage-deflate` (RFC 7692) messages are counted alike, by FIN; sizes are those on the wire.

use super::close::CloseCode;

/// Longest header: two bytes, a length of eight, a mask of four.
const HEADER_BYTES_MAX: usize = 14;
/// Longest payload of a control frame (RFC 6455 section 5.5).
const CONTROL_BYTES_MAX: u64 = 125;

const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;

/// Whose frames are counted. A client masks its frames, a server does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// The side that asked for the WebSocket.
    Client,
    /// The side that was asked.
    Server,
}

/// What a message holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// Text.
    Text,
    /// Bytes.
    Binary,
}

/// The frame that just ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It ended a message.
    Message {
        /// What the message holds.
        kind: MessageKind,
        /// Payload bytes of all its frames, as they were on the wire.
        bytes: u64,
    },
    /// It ended the stream of frames.
    Close(CloseCode),
    /// A fragment, a ping or a pong.
    Other,
}

/// Follows one side's frames.
#[derive(Debug)]
pub struct FrameCounter {
    sender: Sender,
    header: [u8; HEADER_BYTES_MAX],
    header_bytes: usize,
    /// The frame whose payload is passing.
    frame: Option<Frame>,
    /// The message whose fragments are passing, and its bytes so far.
    message: Option<(MessageKind, u64)>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Counting,
    /// A Close frame was seen: nothing follows it.
    Closed,
    /// What came is no frame: nothing can be said of what follows.
    Malformed,
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    fin: bool,
    opcode: u8,
    mask: [u8; 4],
    length: u64,
    left: u64,
    /// The first two bytes of a Close frame, unmasked.
    code: [u8; 2],
}

impl FrameCounter {
    /// Before the first frame.
    pub const fn new(sender: Sender) -> Self {
        Self {
            sender,
            header: [0; HEADER_BYTES_MAX],
            header_bytes: 0,
            frame: None,
            message: None,
            state: State::Counting,
        }
    }

    /// Goes on to the end of the current frame, at most to the end of `bytes`. Tells how many
    /// bytes that was, and which frame ended there. After a Close frame, and after bytes that are
    /// no frame, takes everything without a word.
    pub fn advance(&mut self, bytes: &[u8]) -> (usize, Option<Seen>) {
        if self.state != State::Counting {
            return (bytes.len(), None);
        }
        let mut taken = 0;
        if self.frame.is_none() {
            taken = self.take_header(bytes);
            if self.state == State::Malformed {
                return (bytes.len(), None);
            }
        }
        let Some(frame) = &mut self.frame else {
            return (taken, None);
        };
        let rest = bytes.get(taken..).unwrap_or_default();
        taken += frame.take(rest);
        if frame.left > 0 {
            return (taken, None);
        }
        let ended = *frame;
        self.frame = None;
        (taken, Some(self.ended(&ended)))
    }

    /// Whether the next byte begins a frame, so that another frame could be put here.
    pub const fn is_at_boundary(&self) -> bool {
        matches!(self.state, State::Counting) && self.header_bytes == 0 && self.frame.is_none()
    }

    /// Whether a Close frame has passed.
    pub const fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// Whether something passed that is no frame.
    pub const fn is_malformed(&self) -> bool {
        matches!(self.state, State::Malformed)
    }

    /// Takes bytes of a header; once it is whole, `frame` is there or the state is malformed.
    fn take_header(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        for &byte in bytes {
            if let Some(place) = self.header.get_mut(self.header_bytes) {
                *place = byte;
            }
            self.header_bytes += 1;
            taken += 1;
            let [first, second, ..] = self.header;
            if self.header_bytes >= 2 && self.header_bytes >= header_length(second) {
                self.header_bytes = 0;
                self.frame = self.read_header(first, second);
                if self.frame.is_none() {
                    self.state = State::Malformed;
                }
                break;
            }
        }
        taken
    }

    /// None for what RFC 6455 section 5.2 does not allow. Reserved bits are extensions' business.
    /// A length that could have been written shorter has one meaning all the same.
    fn read_header(&self, first: u8, second: u8) -> Option<Frame> {
        let [_, _, rest @ ..] = &self.header;
        let (length, mask) = match second & 0x7f {
            126 => {
                let (length, rest) = rest.split_first_chunk::<2>()?;
                (u64::from(u16::from_be_bytes(*length)), rest)
            }
            127 => {
                let (length, rest) = rest.split_first_chunk::<8>()?;
                (u64::from_be_bytes(*length), rest)
            }
            short => (u64::from(short), rest.as_slice()),
        };
        let masked = second & 0x80 != 0;
        let (fin, opcode) = (first & 0x80 != 0, first & 0x0f);
        let fits = match opcode {
            CONTINUATION => self.message.is_some(),
            TEXT | BINARY => self.message.is_none(),
            CLOSE => fin && length <= CONTROL_BYTES_MAX && length != 1,
            PING | PONG => fin && length <= CONTROL_BYTES_MAX,
            _ => false,
        };
        let by_sender = masked == (self.sender == Sender::Client);
        (fits && by_sender && length >> 63 == 0).then_some(Frame {
            fin,
            opcode,
            mask: if masked { *mask.first_chunk()? } else { [0; 4] },
            length,
            left: length,
            code: [0; 2],
        })
    }

    fn ended(&mut self, frame: &Frame) -> Seen {
        match frame.opcode {
            CLOSE => {
                self.state = State::Closed;
                Seen::Close(match frame.length {
                    0 => CloseCode::NONE,
                    _ => CloseCode(u16::from_be_bytes(frame.code)),
                })
            }
            TEXT | BINARY | CONTINUATION => {
                let begun = match frame.opcode {
                    TEXT => (MessageKind::Text, 0),
                    BINARY => (MessageKind::Binary, 0),
                    _ => self.message.unwrap_or((MessageKind::Binary, 0)),
                };
                let (kind, before) = begun;
                let bytes = before.saturating_add(frame.length);
                if frame.fin {
                    self.message = None;
                    Seen::Message { kind, bytes }
                } else {
                    self.message = Some((kind, bytes));
                    Seen::Other
                }
            }
            _ => Seen::Other,
        }
    }
}

impl Frame {
    /// Takes bytes of the payload.
    fn take(&mut self, bytes: &[u8]) -> usize {
        let here = usize::try_from(self.left).map_or(bytes.len(), |left| left.min(bytes.len()));
        if self.opcode == CLOSE {
            let at = usize::try_from(self.length - self.left).unwrap_or(usize::MAX);
            let code = self.code.iter_mut().zip(self.mask).skip(at);
            for ((place, mask), byte) in code.zip(bytes) {
                *place = byte ^ mask;
            }
        }
        self.left -= here as u64;
        here
    }
}

/// How long a header is, by its second byte.
const fn header_length(second: u8) -> usize {
    let length = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    2 + length + mask
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tokio_tungstenite::tungstenite::protocol::frame::Frame as PeerFrame;
    use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};

    /// Everything that is seen in these pieces, and the counter as it is left.
    fn seen<'a>(
        sender: Sender,
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) -> (Vec<Seen>, FrameCounter) {
        let (mut counter, mut all) = (FrameCounter::new(sender), Vec::new());
        for mut piece in pieces {
            while !piece.is_empty() {
                let (taken, seen) = counter.advance(piece);
                assert!(taken > 0, "it gets on");
                all.extend(seen);
                piece = &piece[taken..];
            }
        }
        (all, counter)
    }

    /// A frame as a library writes it.
    fn frame(sender: Sender, opcode: OpCode, fin: bool, deflated: bool, payload: &[u8]) -> Vec<u8> {
        let mut frame = PeerFrame::message(payload.to_vec(), OpCode::Data(Data::Binary), fin);
        frame.header_mut().opcode = opcode;
        frame.header_mut().rsv1 = deflated;
        if sender == Sender::Client {
            frame.header_mut().mask = Some([7, 77, 0, 177]);
        }
        let mut bytes = Vec::new();
        frame.format(&mut bytes).unwrap();
        bytes
    }

    /// Messages of fragments with pings between them, as bytes, and what is to be seen in them.
    fn conversation(sender: Sender) -> impl Strategy<Value = (Vec<u8>, Vec<Seen>)> {
        let length = prop_oneof![0..4_usize, 120..132_usize, 65_530..65_540_usize];
        let message = (
            any::<bool>(),
            prop::collection::vec((length, any::<bool>()), 1..4),
        );
        prop::collection::vec(message, 0..5).prop_map(move |messages| {
            let (mut bytes, mut expected) = (Vec::new(), Vec::new());
            for (is_text, fragments) in messages {
                let (first, kind) = if is_text {
                    (Data::Text, MessageKind::Text)
                } else {
                    (Data::Binary, MessageKind::Binary)
                };
                let mut total = 0;
                for (at, (length, ping)) in fragments.iter().enumerate() {
                    let opcode = if at == 0 { first } else { Data::Continue };
                    let fin = at + 1 == fragments.len();
                    let payload = vec![0xa5; *length];
                    total += *length as u64;
                    let data = frame(sender, OpCode::Data(opcode), fin, at == 0, &payload);
                    bytes.extend(data);
                    expected.push(if fin {
                        Seen::Message { kind, bytes: total }
                    } else {
                        Seen::Other
                    });
                    if *ping {
                        let ping = OpCode::Control(Control::Ping);
                        bytes.extend(frame(sender, ping, true, false, b"?"));
                        expected.push(Seen::Other);
                    }
                }
            }
            (bytes, expected)
        })
    }

    proptest! {
        #[test]
        fn in_whatever_pieces_frames_come_the_same_messages_are_counted(
            (bytes, expected) in conversation(Sender::Client),
            piece in 1..70_000_usize,
        ) {
            let (found, counter) = seen(Sender::Client, bytes.chunks(piece));

            prop_assert_eq!(found, expected);
            prop_assert!(counter.is_at_boundary());
        }

        #[test]
        fn byte_by_byte_is_no_different(
            (bytes, expected) in conversation(Sender::Server),
        ) {
            let (found, _) = seen(Sender::Server, bytes.chunks(1));

            prop_assert_eq!(found, expected);
        }

        #[test]
        fn any_bytes_are_read_alike_in_any_pieces_and_never_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            piece in 1..20_usize,
        ) {
            for sender in [Sender::Client, Sender::Server] {
                let (whole, one) = seen(sender, [bytes.as_slice()]);
                let (pieces, other) = seen(sender, bytes.chunks(piece));

                prop_assert_eq!(whole, pieces);
                prop_assert_eq!(one.state, other.state);
                prop_assert_eq!(one.is_at_boundary(), other.is_at_boundary());
            }
        }
    }

    #[track_caller]
    fn check_close(sender: Sender, payload: &[u8], expected: CloseCode) {
        let close = OpCode::Control(Control::Close);
        let bytes = frame(sender, close, true, false, payload);

        for piece in 1..=bytes.len() {
            let (found, counter) = seen(sender, bytes.chunks(piece));

            assert_eq!(found, [Seen::Close(expected)]);
            assert!(counter.is_closed() && !counter.is_at_boundary());
        }
    }

    #[test]
    fn the_code_of_a_close_is_read_through_the_mask() {
        check_close(Sender::Client, &[], CloseCode::NONE);
        check_close(Sender::Client, &1000_u16.to_be_bytes(), CloseCode(1000));
        check_close(Sender::Server, b"\x03\xf3because", CloseCode(1011));
        check_close(Sender::Client, b"\x0f\xa0because", CloseCode(4000));
    }

    #[track_caller]
    fn check_malformed(sender: Sender, bytes: &[u8]) {
        let (found, counter) = seen(sender, [bytes]);

        assert!(counter.is_malformed(), "{bytes:x?} gave {found:?}");
        assert!(!counter.is_at_boundary() && !counter.is_closed());
    }

    #[test]
    fn what_is_no_frame_ends_the_counting() {
        let server = Sender::Server;
        check_malformed(server, &[0x83, 0]); // a reserved opcode
        check_malformed(server, &[0x8b, 0]); // a reserved control opcode
        check_malformed(server, &[0x80, 0]); // a continuation of nothing
        check_malformed(server, &[0x01, 0, 0x81, 0]); // a message inside of a message
        check_malformed(server, &[0x09, 0]); // a ping in fragments
        check_malformed(server, &[0x89, 126, 0, 126]); // a ping of 126 bytes
        check_malformed(server, &[0x88, 1, 3]); // half a code
        check_malformed(server, &[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0]); // a length past 63 bits
        check_malformed(server, &[0x82, 0x80, 0, 0, 0, 0]); // a server that masks
        check_malformed(Sender::Client, &[0x82, 0]); // a client that does not
        check_malformed(Sender::Client, b"HTTP/1.1 400 Bad Request\r\n");
    }

    #[test]
    fn a_ping_of_125_bytes_and_a_length_of_63_bits_are_frames() {
        let mut ping = vec![0x89, 125];
        ping.extend([0; 125]);
        assert_eq!(seen(Sender::Server, [&*ping]).0, [Seen::Other]);

        let endless = [0x82, 127, 0x7f, 255, 255, 255, 255, 255, 255, 255, 1];
        let (found, counter) = seen(Sender::Server, [&endless[..]]);
        assert_eq!(found, []);
        assert!(!counter.is_malformed() && !counter.is_at_boundary());
    }
}
