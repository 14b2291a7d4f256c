//! The two encoders behind one face: bytes in, bytes out, flush, finish.

use super::{Algorithm, Effort};
use bytes::Bytes;
use flate2::write::GzEncoder;
use std::io::{self, Write};
use zstd::zstd_safe::CParameter;

/// The window of zstd as a power of two: 256 KiB. It bounds the memory on both sides; without a
/// bound the higher efforts take megabytes for each answer.
const ZSTD_WINDOW_LOG: u32 = 18;

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
                let level = match effort {
                    Effort::Fast => 1,
                    Effort::Balanced => 3,
                    Effort::Best => 12,
                };
                let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), level)?;
                encoder.set_parameter(CParameter::WindowLog(ZSTD_WINDOW_LOG))?;
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
