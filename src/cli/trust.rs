//! Whose certificates the commands that ask over TLS believe.

use super::failure::{ExitStatus, Failure};
use crate::client::{Client, ClientTlsSettings};
use std::path::PathBuf;

/// The flag that `trace`, `probe` and `verify` share.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct TrustArgs {
    /// Authorities to trust, in PEM [default: the machine's]
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub ca: Option<PathBuf>,
}

impl TrustArgs {
    /// A client that trusts them.
    ///
    /// # Errors
    /// If they cannot be used.
    pub fn client(&self) -> Result<Client, Failure> {
        let settings = ClientTlsSettings {
            ca: self.ca.clone(),
            identity: None,
        };
        Client::new(&settings).map_err(|error| match &self.ca {
            Some(_) => {
                let message = "the authorities of --ca cannot be used";
                Failure::new(ExitStatus::Usage, message).because(error)
            }
            None => {
                let message = "this machine's authorities cannot be used";
                let failure = Failure::new(ExitStatus::Failed, message).because(error);
                failure.help("--ca names others")
            }
        })
    }

    /// The same, but a machine without authorities can still ask over plain HTTP: a container may
    /// have none.
    ///
    /// # Errors
    /// If those of `--ca` cannot be used.
    pub fn client_or_plain(&self) -> Result<Client, Failure> {
        match self.client() {
            Err(_) if self.ca.is_none() => Ok(Client::without_tls()),
            made => made,
        }
    }
}
