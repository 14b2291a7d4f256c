//! Bytes are decrypted, on both sides, by one library with one set of defaults.

mod acceptor;
mod certs;
mod connector;

pub use acceptor::{Acceptor, HandshakeError};
pub use certs::{CertificateSource, TlsFileError, read_chain, read_key};
pub use connector::{Connector, client_config};

use rustls::crypto::CryptoProvider;
use std::sync::Arc;

/// The one crypto library: TLS here, and signatures and sealing where those come.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}
