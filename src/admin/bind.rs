//! Opens the operator's doors, before anything else of the process is built.

use super::AdminSettings;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use tokio::net::TcpListener;

/// The doors, open but not served yet.
#[derive(Debug, Default)]
pub struct AdminListeners {
    pub(super) admin: Option<TcpListener>,
    pub(super) probes: Option<TcpListener>,
}

/// Sockets that are open already and to be used instead of new ones.
#[derive(Debug, Default)]
pub struct HandedDoors {
    /// For the whole interface.
    pub admin: Option<std::net::TcpListener>,
    /// For the probes.
    pub probes: Option<std::net::TcpListener>,
}

/// A door that cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("admin: cannot listen on {address}")]
pub struct BindError {
    /// Whether it is the door of the probes, and not the admin interface.
    pub is_probes: bool,
    /// Where.
    pub address: SocketAddr,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// Opens what the settings ask for. If the default admin address is taken, a free port of
/// 127.0.0.1 is used: two of us on one machine are no fault, and the address is printed.
///
/// # Errors
/// When an address that was asked for cannot be listened on.
pub async fn bind(
    settings: &AdminSettings,
    handed: HandedDoors,
) -> Result<AdminListeners, BindError> {
    let admin = match settings.address {
        None => None,
        Some(address) => match open(address, handed.admin).await {
            Err(error)
                if settings.address_is_default
                    && error.source.kind() == io::ErrorKind::AddrInUse =>
            {
                Some(listen((Ipv4Addr::LOCALHOST, 0).into()).await?)
            }
            bound => Some(bound?),
        },
    };
    let probes = match settings.probes {
        None => None,
        Some(address) => {
            let bound = open(address, handed.probes).await;
            Some(bound.map_err(|error| BindError {
                is_probes: true,
                ..error
            })?)
        }
    };
    Ok(AdminListeners { admin, probes })
}

async fn open(
    address: SocketAddr,
    handed: Option<std::net::TcpListener>,
) -> Result<TcpListener, BindError> {
    match handed.map(TcpListener::from_std) {
        Some(Ok(listener)) => Ok(listener),
        Some(Err(_)) | None => listen(address).await,
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| BindError {
            is_probes: false,
            address,
            source,
        })
}

impl AdminListeners {
    /// Where the whole interface is, with the port it really has.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref()?.local_addr().ok()
    }

    /// The sockets once more, to be handed on: the whole interface's and the probes'.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub fn sockets(&self) -> io::Result<HandedDoors> {
        let again = |listener: &Option<TcpListener>| {
            let again = listener
                .as_ref()
                .map(|one| one.as_fd().try_clone_to_owned());
            again.transpose().map(|fd| fd.map(Into::into))
        };
        Ok(HandedDoors {
            admin: again(&self.admin)?,
            probes: again(&self.probes)?,
        })
    }

    /// Where the probes are, with the port they really have.
    pub fn probes_address(&self) -> Option<SocketAddr> {
        self.probes.as_ref()?.local_addr().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

    async fn opened(
        address: Option<SocketAddr>,
        address_is_default: bool,
        probes: Option<SocketAddr>,
    ) -> Result<AdminListeners, BindError> {
        let settings = AdminSettings {
            address,
            address_is_default,
            probes,
        };
        bind(&settings, HandedDoors::default()).await
    }

    #[tokio::test]
    async fn a_default_address_that_is_taken_is_replaced_by_a_free_one() {
        let other = TcpListener::bind(LOOPBACK).await.unwrap();
        let taken = other.local_addr().unwrap();

        let listeners = opened(Some(taken), true, None).await.unwrap();

        let address = listeners.admin_address().unwrap();
        assert!(address.ip().is_loopback());
        assert_ne!(address, taken);
    }

    #[tokio::test]
    async fn an_address_that_was_named_is_never_replaced() {
        let other = TcpListener::bind(LOOPBACK).await.unwrap();
        let taken = other.local_addr().unwrap();

        let error = opened(Some(taken), false, None).await.unwrap_err();

        assert_eq!(error.address, taken);
        assert_eq!(error.source.kind(), io::ErrorKind::AddrInUse);
        assert_eq!(
            error.to_string(),
            format!("admin: cannot listen on {taken}")
        );
    }

    #[tokio::test]
    async fn doors_that_are_off_stay_shut() {
        let listeners = opened(None, true, Some(LOOPBACK)).await.unwrap();

        assert_eq!(listeners.admin_address(), None);
        assert!(
            listeners
                .probes_address()
                .is_some_and(|address| address.port() != 0)
        );
    }
}
