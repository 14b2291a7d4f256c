//! Listening sockets that are open already: from the service manager, or from the process that
//! runs before this one. Nothing that waits in their queues is lost.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

/// The name under which the operator's whole interface is handed over.
const ADMIN: &str = "admin";
/// The name under which the probes' listener is handed over.
const PROBES: &str = "probes";
/// The name under which the listener for OTLP over gRPC is handed over.
const OTLP_GRPC: &str = "otlp-grpc";
/// The name under which the listener for OTLP over HTTP is handed over.
const OTLP_HTTP: &str = "otlp-http";

impl HeirloomDoor {
    /// What an operator's door is called.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Activated | Self::Listener => "",
            Self::Admin => ADMIN,
            Self::Probes => PROBES,
            Self::OtlpGrpc => OTLP_GRPC,
            Self::OtlpHttp => OTLP_HTTP,
        }
    }
}

/// Sockets to be used instead of new ones.
#[derive(Debug, Default)]
pub struct Inherited(Vec<Heirloom>);

/// One socket.
#[derive(Debug)]
pub(super) struct Heirloom {
    pub(super) door: HeirloomDoor,
    /// What it was called.
    pub(super) name: Arc<str>,
    /// Where it was asked to listen.
    pub(super) asked: SocketAddr,
    pub(super) socket: TcpListener,
}

/// What a socket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeirloomDoor {
    /// What the service manager's unit says: by its name, else by its address.
    Activated,
    /// A data listener of the process before.
    Listener,
    /// The admin interface of the process before.
    Admin,
    /// Its probes.
    Probes,
    /// Where it takes OTLP over gRPC.
    OtlpGrpc,
    /// Where it takes OTLP over HTTP.
    OtlpHttp,
}

impl Inherited {
    /// What the service manager hands over (`LISTEN_FDS`, `LISTEN_FDNAMES`; sd_listen_fds(3)).
    /// To be called before there are threads: it takes the variables out of the environment.
    ///
    /// # Errors
    /// When one of them is no listening TCP socket.
    pub fn from_service_manager() -> io::Result<Self> {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut handed = listenfd::ListenFd::from_env();
        let mut heirlooms = Vec::new();
        for place in 0..handed.len() {
            let name = names.next().unwrap_or_default();
            if let Some(socket) = handed.take_tcp_listener(place)? {
                heirlooms.push(Heirloom {
                    door: HeirloomDoor::Activated,
                    name: name.into(),
                    asked: socket.local_addr()?,
                    socket,
                });
            }
        }
        Ok(Self(heirlooms))
    }

    /// Adds what another source has left.
    pub fn join(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub(super) const fn new(heirlooms: Vec<Heirloom>) -> Self {
        Self(heirlooms)
    }

    /// The socket for a data listener. The service manager's unit may move a listener by its name;
    /// of the process before, only the address counts, and the name where the system chose the
    /// port.
    pub(super) fn take(&mut self, name: &str, address: SocketAddr) -> Option<TcpListener> {
        let named = |one: &Heirloom| one.door == HeirloomDoor::Activated && &*one.name == name;
        let placed = |one: &Heirloom| match one.door {
            HeirloomDoor::Activated => {
                let here = one.socket.local_addr();
                here.is_ok_and(|here| is_same_place(here, address))
            }
            HeirloomDoor::Listener => {
                one.asked == address && (address.port() != 0 || &*one.name == name)
            }
            HeirloomDoor::Admin
            | HeirloomDoor::Probes
            | HeirloomDoor::OtlpGrpc
            | HeirloomDoor::OtlpHttp => false,
        };
        let at = self.0.iter().position(named);
        let at = at.or_else(|| self.0.iter().position(placed))?;
        self.taken(at)
    }

    /// The socket for an operator's door.
    pub(super) fn take_door(
        &mut self,
        door: HeirloomDoor,
        address: SocketAddr,
    ) -> Option<TcpListener> {
        let name = door.name();
        let fits = |one: &Heirloom| {
            (one.door == door && one.asked == address)
                || (one.door == HeirloomDoor::Activated && &*one.name == name)
        };
        let at = self.0.iter().position(fits)?;
        self.taken(at)
    }

    /// Names and addresses of what nobody took.
    pub(super) fn left(&self) -> impl Iterator<Item = (&str, SocketAddr)> {
        self.0.iter().map(|one| (&*one.name, one.asked))
    }

    fn taken(&mut self, at: usize) -> Option<TcpListener> {
        let socket = self.0.remove(at).socket;
        // Whoever bound it may have left it as it was.
        socket.set_nonblocking(true).ok()?;
        Some(socket)
    }
}

/// Whether a socket here serves an address there: `[::]:80`, as `ListenStream=80` makes it, serves
/// `0.0.0.0:80`.
fn is_same_place(here: SocketAddr, there: SocketAddr) -> bool {
    let everywhere = here.ip().is_unspecified() && there.ip().is_unspecified();
    here == there || (everywhere && here.port() == there.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heirloom(door: HeirloomDoor, name: &str) -> (Heirloom, SocketAddr) {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let asked = socket.local_addr().unwrap();
        let name = name.into();
        let heirloom = Heirloom {
            door,
            name,
            asked,
            socket,
        };
        (heirloom, asked)
    }

    #[test]
    fn an_activated_socket_is_found_by_name_and_else_by_address() {
        let (web, web_address) = heirloom(HeirloomDoor::Activated, "web");
        let (other, other_address) = heirloom(HeirloomDoor::Activated, "edgespan.socket");
        let mut inherited = Inherited::new(vec![other, web]);
        let elsewhere = "127.0.0.1:1".parse().unwrap();

        let by_name = inherited.take("web", elsewhere).unwrap();
        let by_address = inherited.take("api", other_address).unwrap();

        assert_eq!(by_name.local_addr().unwrap(), web_address);
        assert_eq!(by_address.local_addr().unwrap(), other_address);
        assert!(inherited.take("web", web_address).is_none());
    }

    #[test]
    fn a_predecessors_socket_is_found_by_its_address_alone() {
        let (web, address) = heirloom(HeirloomDoor::Listener, "web");
        let mut inherited = Inherited::new(vec![web]);

        assert!(
            inherited
                .take("web", "127.0.0.1:1".parse().unwrap())
                .is_none()
        );
        assert!(inherited.take("renamed", address).is_some());
        assert_eq!(inherited.left().count(), 0);
    }

    #[test]
    fn the_operators_socket_never_becomes_a_data_listener() {
        let (admin, address) = heirloom(HeirloomDoor::Admin, ADMIN);
        let mut inherited = Inherited::new(vec![admin]);

        assert!(inherited.take("admin", address).is_none());
        assert!(inherited.take_door(HeirloomDoor::Probes, address).is_none());
        assert!(inherited.take_door(HeirloomDoor::Admin, address).is_some());
    }

    #[test]
    fn a_socket_on_every_interface_serves_both_families() {
        let here = "[::]:80".parse().unwrap();
        assert!(is_same_place(here, "0.0.0.0:80".parse().unwrap()));
        assert!(!is_same_place(here, "0.0.0.0:81".parse().unwrap()));
        assert!(!is_same_place(here, "127.0.0.1:80".parse().unwrap()));
    }
}
