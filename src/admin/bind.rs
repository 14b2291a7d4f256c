//! Opens the operator's doors, before anything else of the process is built.

use super::AdminSettings;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use tokio::net::TcpListener;

/// The doors, open but not served yet.
#[derive(Debug, Default)]
pub struct AdminListeners {
    pub(super) admin: Option<TcpListener>,
    pub(super) probes: Option<TcpListener>,
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
pub async fn bind(settings: &AdminSettings) -> Result<AdminListeners, BindError> {
    let admin = match settings.address {
        None => None,
        Some(address) => match listen(address).await {
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
            let bound = listen(address).await;
            Some(bound.map_err(|error| BindError {
                is_probes: true,
                ..error
            })?)
        }
    };
    Ok(AdminListeners { admin, probes })
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

    /// Where the probes are, with the port they really have.
    pub fn probes_address(&self) -> Option<SocketAddr> {
        self.probes.as_ref()?.local_addr().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

    async fn open(
        address: Option<SocketAddr>,
        address_is_default: bool,
        probes: Option<SocketAddr>,
    ) -> Result<AdminListeners, BindError> {
        let settings = AdminSettings {
            address,
            address_is_default,
            probes,
        };
        bind(&settings).await
    }

    #[tokio::test]
    async fn a_default_address_that_is_taken_is_replaced_by_a_free_one() {
        let other = TcpListener::bind(LOOPBACK).await.unwrap();
        let taken = other.local_addr().unwrap();

        let listeners = open(Some(taken), true, None).await.unwrap();

        let address = listeners.admin_address().unwrap();
        assert!(address.ip().is_loopback());
        assert_ne!(address, taken);
    }

    #[tokio::test]
    async fn an_address_that_was_named_is_never_replaced() {
        let other = TcpListener::bind(LOOPBACK).await.unwrap();
        let taken = other.local_addr().unwrap();

        let error = open(Some(taken), false, None).await.unwrap_err();

        assert_eq!(error.address, taken);
        assert_eq!(error.source.kind(), io::ErrorKind::AddrInUse);
        assert_eq!(
            error.to_string(),
            format!("admin: cannot listen on {taken}")
        );
    }

    #[tokio::test]
    async fn doors_that_are_off_stay_shut() {
        let listeners = open(None, true, Some(LOOPBACK)).await.unwrap();

        assert_eq!(listeners.admin_address(), None);
        assert!(
            listeners
                .probes_address()
                .is_some_and(|address| address.port() != 0)
        );
    }
}
