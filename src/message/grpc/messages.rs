//! Counts gRPC's messages as their bytes go by: a prefix of five bytes (a flag and a length), then
//! as many bytes as it says. Whether a message is compressed does not matter to its count.

use super::Wire;

/// Bytes of a message's prefix.
const PREFIX_BYTES: u8 = 5;
/// The flag of grpc-web's last frame, which holds the trailers.
const TRAILERS_FLAG: u64 = 0x80;
/// Most of a trailers frame that is kept to be read; `grpc-status` usually comes first.
const TRAILERS_BYTES_MAX: usize = 8 * 1024;

/// Reads one direction of a call, in whatever pieces it comes.
#[derive(Debug)]
pub struct MessageReader {
    wire: Wire,
    messages: u64,
    /// The prefix so far, as a number, and how many bytes that is.
    prefix: u64,
    prefix_bytes: u8,
    /// Bytes of the message still to come.
    left: u64,
    in_trailers: bool,
    trailers: Vec<u8>,
    text: Base64,
}

impl MessageReader {
    /// Nothing read yet.
    pub const fn new(wire: Wire) -> Self {
        Self {
            wire,
            messages: 0,
            prefix: 0,
            prefix_bytes: 0,
            left: 0,
            in_trailers: false,
            trailers: Vec::new(),
            text: Base64::new(),
        }
    }

    /// The framing that is read.
    pub const fn wire(&self) -> Wire {
        self.wire
    }

    /// Messages that went by whole.
    pub const fn messages(&self) -> u64 {
        self.messages
    }

    /// Whether what comes next begins a message.
    pub const fn is_between_messages(&self) -> bool {
        self.left == 0 && self.prefix_bytes == 0 && self.text.is_between_groups()
    }

    /// Takes in bytes of a body.
    pub fn read(&mut self, data: &[u8]) {
        if self.wire == Wire::WebText {
            for &byte in data {
                let mut text = self.text;
                let decoded = text.decode(byte);
                self.text = text;
                self.read_binary(decoded.as_slice());
            }
        } else {
            self.read_binary(data);
        }
    }

    /// The `grpc-status` of grpc-web's trailers, once they are there. Text that is no number is
    /// `UNKNOWN`, 2, as its clients read it.
    pub fn status(&self) -> Option<u32> {
        let trailers = std::str::from_utf8(&self.trailers).ok()?;
        trailers.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let is_status = name.trim().eq_ignore_ascii_case("grpc-status");
            is_status.then(|| value.trim().parse().unwrap_or(2))
        })
    }

    fn read_binary(&mut self, mut data: &[u8]) {
        while let [first, after_first @ ..] = data {
            if self.left > 0 {
                let most = usize::try_from(self.left).unwrap_or(usize::MAX);
                let (message, rest) = data.split_at(most.min(data.len()));
                if self.in_trailers {
                    let room = TRAILERS_BYTES_MAX.saturating_sub(self.trailers.len());
                    let kept = message.get(..room).unwrap_or(message);
                    self.trailers.extend_from_slice(kept);
                }
                self.left -= message.len() as u64;
                self.count_if_whole();
                data = rest;
                continue;
            }
            self.prefix = (self.prefix << 8) | u64::from(*first);
            self.prefix_bytes += 1;
            data = after_first;
            if self.prefix_bytes == PREFIX_BYTES {
                let flag = self.prefix >> 32;
                self.left = self.prefix & u64::from(u32::MAX);
                self.in_trailers = self.wire != Wire::Grpc && flag & TRAILERS_FLAG != 0;
                (self.prefix, self.prefix_bytes) = (0, 0);
                self.count_if_whole();
            }
        }
    }

    const fn count_if_whole(&mut self) {
        if self.left == 0 && !self.in_trailers {
            self.messages += 1;
        }
    }
}

/// Base64 as grpc-web-text has it: groups of four, padding also between two groups.
#[derive(Clone, Copy, Debug)]
struct Base64 {
    bits: u32,
    sextets: u8,
}

/// Up to three decoded bytes.
struct Decoded([u8; 3], usize);

impl Decoded {
    const NONE: Self = Self([0; 3], 0);

    fn as_slice(&self) -> &[u8] {
        self.0.get(..self.1).unwrap_or_default()
    }
}

impl Base64 {
    const fn new() -> Self {
        Self {
            bits: 0,
            sextets: 0,
        }
    }

    const fn is_between_groups(self) -> bool {
        self.sextets == 0
    }

    /// Takes one character; bytes come with the last one of a group. What is no base64 is passed
    /// over.
    const fn decode(&mut self, byte: u8) -> Decoded {
        let sextet = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => return self.pad(),
            _ => return Decoded::NONE,
        };
        self.bits = (self.bits << 6) | sextet as u32;
        self.sextets += 1;
        if self.sextets == 4 {
            self.finish(3)
        } else {
            Decoded::NONE
        }
    }

    /// The end of a group that is short: two sextets are a byte, three are two. The second `=` of
    /// a pair finds no group.
    const fn pad(&mut self) -> Decoded {
        match self.sextets {
            2 => {
                self.bits <<= 12;
                self.finish(1)
            }
            3 => {
                self.bits <<= 6;
                self.finish(2)
            }
            _ => Decoded::NONE,
        }
    }

    const fn finish(&mut self, bytes: usize) -> Decoded {
        let [_, a, b, c] = self.bits.to_be_bytes();
        *self = Self::new();
        Decoded([a, b, c], bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn framed(flag: u8, message: &[u8]) -> Vec<u8> {
        let length = u32::try_from(message.len()).unwrap();
        [&[flag][..], &length.to_be_bytes(), message].concat()
    }

    fn read(wire: Wire, pieces: &[&[u8]]) -> MessageReader {
        let mut reader = MessageReader::new(wire);
        for piece in pieces {
            reader.read(piece);
        }
        reader
    }

    #[test]
    fn empty_and_compressed_messages_count_and_a_part_does_not() {
        let bytes = [framed(0, b""), framed(1, b"zip"), framed(0, b"abc")].concat();
        let (part, _) = bytes.split_at(bytes.len() - 1);

        assert_eq!(read(Wire::Grpc, &[&bytes]).messages(), 3);
        let cut = read(Wire::Grpc, &[part]);
        assert_eq!((cut.messages(), cut.is_between_messages()), (2, false));
    }

    #[test]
    fn a_web_call_ends_with_a_frame_of_trailers_that_is_no_message() {
        let trailers = framed(0x80, b"grpc-message:no\r\nGrpc-Status: 5\r\n");
        let bytes = [framed(0, b"abc"), trailers].concat();

        let reader = read(Wire::Web, &[&bytes]);

        assert_eq!((reader.messages(), reader.status()), (1, Some(5)));
        assert_eq!(read(Wire::Grpc, &[&bytes]).messages(), 2);
        assert_eq!(read(Wire::Grpc, &[&bytes]).status(), None);
    }

    #[test]
    fn a_long_frame_of_trailers_is_kept_in_part_and_a_bad_status_is_unknown() {
        let long = format!("grpc-status:x\r\nfill:{}\r\n", "y".repeat(100_000));

        let reader = read(Wire::Web, &[&framed(0x80, long.as_bytes())]);

        assert_eq!(reader.trailers.len(), TRAILERS_BYTES_MAX);
        assert_eq!(reader.status(), Some(2));
        assert!(reader.is_between_messages());
    }

    fn pieces(bytes: &[u8], cuts: &[usize]) -> Vec<Vec<u8>> {
        let mut rest = bytes;
        let mut pieces = Vec::new();
        for cut in cuts {
            let (piece, after) = rest.split_at((*cut).min(rest.len()));
            pieces.push(piece.to_vec());
            rest = after;
        }
        pieces.push(rest.to_vec());
        pieces
    }

    proptest! {
        #[test]
        fn the_count_does_not_depend_on_how_the_bytes_are_cut(
            messages in vec((any::<u8>(), vec(any::<u8>(), 0..40)), 0..12),
            cuts in vec(0_usize..9, 0..60),
        ) {
            // In the native framing no flag makes a frame anything but a message.
            let bytes: Vec<u8> =
                messages.iter().flat_map(|(flag, message)| framed(*flag, message)).collect();

            let cut = pieces(&bytes, &cuts);
            let cut: Vec<&[u8]> = cut.iter().map(Vec::as_slice).collect();

            prop_assert_eq!(read(Wire::Grpc, &cut).messages(), messages.len() as u64);
        }

        #[test]
        fn text_counts_like_the_bytes_that_it_stands_for(
            messages in vec(vec(any::<u8>(), 0..40), 0..12),
            cuts in vec(0_usize..9, 0..60),
        ) {
            // Each message is a group of its own with its padding, as servers write them.
            let mut text = String::new();
            for message in &messages {
                text.push_str(&BASE64_STANDARD.encode(framed(0, message)));
            }
            text.push_str(&BASE64_STANDARD.encode(framed(0x80, b"grpc-status:0\r\n")));

            let cut = pieces(text.as_bytes(), &cuts);
            let cut: Vec<&[u8]> = cut.iter().map(Vec::as_slice).collect();
            let reader = read(Wire::WebText, &cut);

            prop_assert_eq!(reader.messages(), messages.len() as u64);
            prop_assert_eq!(reader.status(), Some(0));
            prop_assert!(reader.is_between_messages());
        }

        #[test]
        fn no_bytes_make_the_reader_panic(
            bytes in vec(any::<u8>(), 0..200),
            wire in prop_oneof![Just(Wire::Grpc), Just(Wire::Web), Just(Wire::WebText)],
        ) {
            let reader = read(wire, &[&bytes]);
            prop_assert!(reader.messages() <= bytes.len() as u64);
            reader.status();
        }
    }
}
