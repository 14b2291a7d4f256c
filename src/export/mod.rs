//! Spans leave here, each one accounted for.

mod settings;

pub use settings::{BatchSettings, Compression, OtlpSettings, Protocol, TlsSettings};
