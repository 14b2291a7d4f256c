//! Bytes are decrypted, on both sides, by one library with one set of defaults.

mod acceptor;
mod certs;
mod connector;
mod contents;
mod identity;
mod keeper;
mod names;
mod settings;
mod tickets;
mod verify;

pub use acceptor::{Accepted, Acceptor, HandshakeError};
pub use certs::{Served, TlsFileError};
pub use connector::{Connector, client_config};
pub use identity::ClientIdentity;
pub use keeper::Keeper;
pub use names::{BadPattern, CertificateFacts, NamePattern};
pub use settings::{
    CertificateFiles, ClientAuth, ClientTls, IdentityHeader, ServerTls, TlsVersion,
};
pub use tickets::Tickets;

use rustls::crypto::CryptoProvider;
use std::sync::Arc;

/// The one crypto library: TLS here, and signatures and sealing where those come.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}
