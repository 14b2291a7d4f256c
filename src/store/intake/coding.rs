//! Content codings of a message, never read beyond its bound.

use super::messages::{MESSAGE_BYTES_MAX, Refusal};
use bytes::Bytes;
use std::io::Read;

/// How a message was packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Identity,
    Gzip,
    Zstd,
}

impl Coding {
    /// By its name in `content-encoding` or `grpc-encoding`; nothing is `identity`.
    pub(super) fn named(name: Option<&str>) -> Option<Self> {
        match name.map(str::trim) {
            None | Some("" | "identity") => Some(Self::Identity),
            Some(name) if name.eq_ignore_ascii_case("gzip") => Some(Self::Gzip),
            Some(name) if name.eq_ignore_ascii_case("zstd") => Some(Self::Zstd),
            Some(_) => None,
        }
    }

    /// The message itself.
    pub(super) fn unpack(self, packed: &Bytes) -> Result<Bytes, Refusal> {
        match self {
            Self::Identity if packed.len() > MESSAGE_BYTES_MAX => Err(Refusal::TooLarge),
            Self::Identity => Ok(packed.clone()),
            Self::Gzip => read(flate2::read::MultiGzDecoder::new(packed.as_ref())),
            Self::Zstd => read(zstd_reader(packed)?),
        }
    }
}

/// A frame that wants a larger window than a message may have is refused by the library, before it
/// gets the memory.
fn zstd_reader(packed: &[u8]) -> Result<impl Read + '_, Refusal> {
    let malformed = |_| Refusal::Malformed("the zstd data cannot be read".to_owned());
    let mut reader = zstd::stream::read::Decoder::with_buffer(packed).map_err(malformed)?;
    reader.window_log_max(23).map_err(malformed)?;
    Ok(reader)
}

fn read(reader: impl Read) -> Result<Bytes, Refusal> {
    // One byte more than the bound, to tell a message at it from one over it.
    let bound = u64::try_from(MESSAGE_BYTES_MAX).unwrap_or(u64::MAX) + 1;
    let mut message = Vec::new();
    let read = reader.take(bound).read_to_end(&mut message);
    if message.len() > MESSAGE_BYTES_MAX {
        return Err(Refusal::TooLarge);
    }
    read.map_err(|error| Refusal::Malformed(format!("the compressed data is broken: {error}")))?;
    Ok(message.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    fn gzip(message: &[u8]) -> Bytes {
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        writer.write_all(message).unwrap();
        writer.finish().unwrap().into()
    }

    #[test]
    fn a_message_at_the_bound_is_read_and_one_byte_more_is_not() {
        for (coding, pack) in [
            (
                Coding::Identity,
                (|plain: &[u8]| plain.to_vec().into()) as fn(&[u8]) -> Bytes,
            ),
            (Coding::Gzip, gzip),
            (Coding::Zstd, |plain| {
                zstd::encode_all(plain, 1).unwrap().into()
            }),
        ] {
            for (length, fits) in [
                (MESSAGE_BYTES_MAX - 1, true),
                (MESSAGE_BYTES_MAX, true),
                (MESSAGE_BYTES_MAX + 1, false),
            ] {
                let unpacked = coding.unpack(&pack(&vec![7; length]));
                let length_read = unpacked.as_ref().map(Bytes::len);
                if fits {
                    assert_eq!(length_read.ok(), Some(length), "{coding:?}");
                } else {
                    assert!(matches!(unpacked, Err(Refusal::TooLarge)), "{coding:?}");
                }
            }
        }
    }

    #[test]
    fn a_coding_that_we_do_not_know_is_none() {
        assert_eq!(Coding::named(None), Some(Coding::Identity));
        assert_eq!(Coding::named(Some("GZIP")), Some(Coding::Gzip));
        assert_eq!(Coding::named(Some("zstd")), Some(Coding::Zstd));
        assert_eq!(Coding::named(Some("br")), None);
        assert_eq!(Coding::named(Some("gzip, gzip")), None);
    }

    proptest! {
        #[test]
        fn whatever_comes_is_a_message_or_a_refusal(bytes in any::<Vec<u8>>()) {
            for coding in [Coding::Identity, Coding::Gzip, Coding::Zstd] {
                drop(coding.unpack(&Bytes::from(bytes.clone())));
            }
        }

        #[test]
        fn what_was_packed_comes_out(bytes in any::<Vec<u8>>()) {
            prop_assert_eq!(Coding::Gzip.unpack(&gzip(&bytes)).unwrap(), bytes);
        }
    }
}
