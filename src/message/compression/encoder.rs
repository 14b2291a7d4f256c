//! The two encoders behind one face: bytes in, bytes out, flush, finish.

use super::{Algorithm, Effort};
use bytes::Bytes;
use flate2::write::GzEncoder;
use std::io::{self, Write};
use zstd::zstd_safe::CParameter;

/// What zstd may take for each answer, as powers of two: a window of 128 KiB and two tables of
/// 128 KiB at most. Left to itself it takes megabytes, and tens of them at the higher efforts.
const ZSTD_BOUNDS: [CParameter; 3] = [
    CParameter::WindowLog(17),
    CParameter::HashLog(15),
    CParameter::ChainLog(15),
];

/// An encoder that writes into memory.
pub(super) enum Encoder {
    Gzip(GzEncoder<Vec<u8>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Encoder {
    /// # Errors
    /// When the library has no memory for it.
    pub(super) fn new(algorithm: Algorithm, effort: Effort) -> io::Result<Self> {
        match algorithm {
            Algorithm::Gzip => {
                let level = match effort {
                    Effort::Fast => flate2::Compression::fast(),
                    Effort::Balanced => flate2::Compression::default(),
                    Effort::Best => flate2::Compression::best(),
                };
                Ok(Self::Gzip(GzEncoder::new(Vec::new(), level)))
            }
            Algorithm::Zstd => {
                let level = zstd_level(effort);
                let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), level)?;
                for bound in ZSTD_BOUNDS {
                    encoder.set_parameter(bound)?;
                }
                Ok(Self::Zstd(encoder))
            }
        }
    }

    pub(super) const fn algorithm(&self) -> Algorithm {
        match self {
            Self::Gzip(_) => Algorithm::Gzip,
            Self::Zstd(_) => Algorithm::Zstd,
        }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Gzip(encoder) => encoder.write_all(bytes),
            Self::Zstd(encoder) => encoder.write_all(bytes),
        }
    }

    /// Puts out all that was written so far, so that the other side can read it now.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Gzip(encoder) => encoder.flush(),
            Self::Zstd(encoder) => encoder.flush(),
        }
    }

    /// Puts out the end. Nothing may be written afterwards.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        match self {
            Self::Gzip(encoder) => encoder.try_finish(),
            Self::Zstd(encoder) => encoder.do_finish(),
        }
    }

    /// Bytes that wait to be taken.
    pub(super) fn ready(&self) -> usize {
        match self {
            Self::Gzip(encoder) => encoder.get_ref().len(),
            Self::Zstd(encoder) => encoder.get_ref().len(),
        }
    }

    pub(super) fn take(&mut self) -> Bytes {
        let ready = match self {
            Self::Gzip(encoder) => encoder.get_mut(),
            Self::Zstd(encoder) => encoder.get_mut(),
        };
        Bytes::from(std::mem::take(ready))
    }
}

const fn zstd_level(effort: Effort) -> i32 {
    match effort {
        Effort::Fast => 1,
        Effort::Balanced => 3,
        Effort::Best => 9,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zstd::zstd_safe::{CCtx, InBuffer, OutBuffer};

    #[test]
    fn zstd_takes_a_mebibyte_and_a_quarter_for_an_answer_at_most() {
        for effort in [Effort::Fast, Effort::Balanced, Effort::Best] {
            let mut context = CCtx::create();
            let level = CParameter::CompressionLevel(zstd_level(effort));
            for parameter in [level].into_iter().chain(ZSTD_BOUNDS) {
                context.set_parameter(parameter).unwrap();
            }
            let text = vec![b'x'; 1 << 20];
            let mut out = vec![0; 1 << 20];

            let mut read = InBuffer::around(&text);
            let mut written = OutBuffer::around(&mut out[..]);
            context.compress_stream(&mut written, &mut read).unwrap();

            assert!(
                context.sizeof() <= 5 << 18,
                "{effort:?}: {}",
                context.sizeof()
            );
        }
    }
}
