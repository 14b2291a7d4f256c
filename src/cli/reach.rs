//! Whether an upstream answers, told at the start instead of at the first request; and which
//! port is free when the one asked for is not.

use super::failure::{ExitStatus, Failure};
use crate::clock;
use crate::telemetry::plain_io;
use crate::upstream::{EndpointAddress, EndpointTarget};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpStream, UnixStream};

/// A start is not held up for longer.
const PATIENCE: Duration = Duration::from_millis(500);
/// How far from the port asked for a free one is looked for.
const PORTS_TRIED: u16 = 20;
/// Below this, Linux wants a privilege.
const PORTS_RESERVED: u16 = 1024;

/// What came of knocking at an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// It took the connection after this long.
    Answers(Duration),
    /// Nobody listens there.
    Refuses,
    /// Nothing came back for this long.
    Silent(Duration),
    /// Its name has no address.
    Unknown,
    /// Something else went wrong, in plain words.
    Fails(String),
}

/// Opens a connection and closes it again. Sends nothing: a request of ours might do something.
pub async fn knock(endpoint: &EndpointAddress) -> Reach {
    let started = clock::instant();
    match tokio::time::timeout(PATIENCE, connect(&endpoint.target)).await {
        Ok(Ok(())) => Reach::Answers(started.elapsed()),
        Ok(Err(reach)) => reach,
        Err(_) => Reach::Silent(PATIENCE),
    }
}

async fn connect(target: &EndpointTarget) -> Result<(), Reach> {
    match target {
        EndpointTarget::Unix(path) => UnixStream::connect(path)
            .await
            .map(drop)
            .map_err(|error| of(&error)),
        EndpointTarget::Tcp { host, port } => {
            let addresses = tokio::net::lookup_host((host.as_ref(), *port)).await;
            let addresses: Vec<_> = addresses.map_err(|_| Reach::Unknown)?.collect();
            let connected = TcpStream::connect(addresses.as_slice()).await;
            connected.map(drop).map_err(|error| of(&error))
        }
    }
}

fn of(error: &io::Error) -> Reach {
    let kind = error.kind();
    if kind == ErrorKind::ConnectionRefused {
        Reach::Refuses
    } else if kind == ErrorKind::TimedOut {
        Reach::Silent(PATIENCE)
    } else {
        Reach::Fails(plain_io(error))
    }
}

/// Who chose the address that cannot be had, and so where another is to be written.
#[derive(Clone, Debug)]
pub enum Chosen {
    /// A flag, or its default: `--listen`, `--admin`.
    Flag(&'static str),
    /// A key of the configuration: `listeners.web.address`.
    Key(String),
}

/// Why an address cannot be listened on, with another that can where there is one.
pub fn cannot_listen(address: SocketAddr, error: &io::Error, chosen: &Chosen) -> Failure {
    let kind = error.kind();
    let why = if kind == ErrorKind::AddrInUse {
        "in use by another program".to_owned()
    } else if kind == ErrorKind::AddrNotAvailable {
        "no interface of this machine has that address".to_owned()
    } else {
        plain_io(error)
    };
    let failure = Failure::new(
        ExitStatus::Failed,
        format!("cannot listen on {address}: {why}"),
    );
    let write = |other: SocketAddr| match chosen {
        Chosen::Flag(flag) => format!("add `{flag} {other}`"),
        Chosen::Key(key) => format!("write `{other}` at `{key}`"),
    };
    if kind == ErrorKind::AddrInUse
        && let Some(free) = free_address_after(address)
    {
        return failure.help(format!("{} is free: {}", free.port(), write(free)));
    }
    if kind == ErrorKind::PermissionDenied && address.port() < PORTS_RESERVED {
        let other = SocketAddr::new(address.ip(), 8080);
        return failure.help(format!(
            "ports below {PORTS_RESERVED} are the system's: {}, or give the program \
             CAP_NET_BIND_SERVICE",
            write(other)
        ));
    }
    failure
}

/// The next address on the same host whose port is free, if one of the next few is. Only looks:
/// nothing listens there, not even for a moment.
pub fn free_address_after(taken: SocketAddr) -> Option<SocketAddr> {
    let ports = (1..=PORTS_TRIED).filter_map(|step| taken.port().checked_add(step));
    ports
        .map(|port| SocketAddr::new(taken.ip(), port))
        .find(|address| is_free(*address).unwrap_or(false))
}

fn is_free(address: SocketAddr) -> io::Result<bool> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // Without this, a port with connections that closed a moment ago would count as taken.
    socket.set_reuse_address(true)?;
    Ok(socket.bind(&SockAddr::from(address)).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::style::{Glyphs, Paint, Surface};
    use crate::upstream::EndpointProtocol;
    use std::net::TcpListener;
    use std::path::PathBuf;

    fn at(target: EndpointTarget) -> EndpointAddress {
        EndpointAddress {
            protocol: EndpointProtocol::Http1,
            target,
        }
    }

    fn tcp(host: &str, port: u16) -> EndpointAddress {
        at(EndpointTarget::Tcp {
            host: host.into(),
            port,
        })
    }

    #[tokio::test]
    async fn an_upstream_that_listens_answers() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();

        let reach = knock(&tcp("127.0.0.1", port)).await;

        assert!(matches!(reach, Reach::Answers(_)), "{reach:?}");
    }

    #[tokio::test]
    async fn an_upstream_that_is_down_refuses() {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();

        assert_eq!(knock(&tcp("127.0.0.1", port)).await, Reach::Refuses);
    }

    #[tokio::test]
    async fn a_socket_that_is_not_there_is_told_in_plain_words() {
        let reach = knock(&at(EndpointTarget::Unix(PathBuf::from(
            "/nowhere/app.sock",
        ))))
        .await;

        assert_eq!(reach, Reach::Fails("no such file or directory".to_owned()));
    }

    #[test]
    fn a_taken_port_is_told_with_a_free_one() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = listener.local_addr().unwrap();
        let error = TcpListener::bind(taken).unwrap_err();
        let surface = Surface::fixed(80, Paint::new(false), Glyphs::UNICODE);

        let text = cannot_listen(taken, &error, &Chosen::Flag("--listen")).render(&surface);

        let (what, help) = text.split_once('\n').unwrap();
        assert_eq!(
            what,
            format!("error: cannot listen on {taken}: in use by another program")
        );
        assert!(
            help.contains(" is free: add `--listen 127.0.0.1:"),
            "{help}"
        );
    }

    #[test]
    fn a_port_of_the_systems_is_told_with_what_to_do() {
        let denied = io::Error::from_raw_os_error(13);
        let address = "0.0.0.0:80".parse().unwrap();
        let surface = Surface::fixed(80, Paint::new(false), Glyphs::UNICODE);

        let chosen = Chosen::Key("listeners.web.address".to_owned());
        let text = cannot_listen(address, &denied, &chosen).render(&surface);

        assert_eq!(
            text,
            "error: cannot listen on 0.0.0.0:80: permission denied\n  help: ports below 1024 are \
             the system's: write `0.0.0.0:8080` at `listeners.web.address`, or give the program \
             CAP_NET_BIND_SERVICE\n"
        );
    }
}
