//! A listening socket is made.

use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::SocketAddr;

/// Connections that may wait in the kernel; it cuts this down to its own limit.
const BACKLOG: i32 = 4096;

/// Binds and listens. `SO_REUSEADDR` is set, so that a restart need not wait for old connections;
/// another program on the same port still makes it fail.
///
/// # Errors
/// Those of the system: address in use, not available, not permitted.
pub fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
