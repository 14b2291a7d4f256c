//! A connection to an endpoint is made.

use super::{EndpointAddress, EndpointProtocol, EndpointTarget, Rehearsal};
use crate::net;
use crate::tls::Connector;
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::client::TlsStream;

/// A stream to an endpoint.
pub(super) enum Stream {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Unix(UnixStream),
    /// See [`super::Rehearsal`].
    Memory(DuplexStream),
}

/// A stream that was just made, and what making it told.
pub(super) struct Connected {
    pub(super) stream: Stream,
    /// The other side; None for Unix sockets.
    pub(super) peer: Option<SocketAddr>,
    pub(super) h2: bool,
}

/// Why no connection could be made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The name has no address.
    #[error("cannot resolve {host}")]
    Resolve {
        /// The name.
        host: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The connection was refused, or broke off.
    #[error("cannot connect to {endpoint}")]
    Connect {
        /// Where to.
        endpoint: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// TLS failed.
    #[error("TLS with {endpoint} failed")]
    Tls {
        /// With whom.
        endpoint: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It took longer than allowed.
    #[error("connecting to {endpoint} took too long")]
    Timeout {
        /// Where to.
        endpoint: String,
    },
    /// The HTTP connection could not begin.
    #[error("HTTP with {endpoint} failed")]
    Handshake {
        /// With whom.
        endpoint: String,
        /// Why.
        #[source]
        source: hyper::Error,
    },
}

impl ConnectError {
    /// The low-cardinality `error.type` of a span.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Resolve { .. } => "name_resolution_error",
            Self::Connect { source, .. } if source.kind() == io::ErrorKind::ConnectionRefused => {
                "connection_refused"
            }
            Self::Connect { source, .. } if source.kind() == io::ErrorKind::TimedOut => "timeout",
            Self::Connect { .. } => "connect_error",
            Self::Tls { .. } => "tls_error",
            Self::Timeout { .. } => "timeout",
            Self::Handshake { .. } => "connect_error",
        }
    }
}

/// A connection in memory, in place of one to `address`: no TLS, and no name is looked up.
pub(super) fn rehearse(address: &EndpointAddress, rehearsal: &Rehearsal) -> Connected {
    Connected {
        stream: Stream::Memory(rehearsal.connect(address)),
        peer: None,
        h2: address.protocol == EndpointProtocol::H2c,
    }
}

/// Connects and shakes hands. The caller holds the deadline.
pub(super) async fn connect(
    address: &EndpointAddress,
    tls: Option<&Connector>,
) -> Result<Connected, ConnectError> {
    let (stream, host, peer) = match &address.target {
        EndpointTarget::Unix(path) => {
            let stream =
                UnixStream::connect(path)
                    .await
                    .map_err(|source| ConnectError::Connect {
                        endpoint: address.to_string(),
                        source,
                    })?;
            let h2 = address.protocol == EndpointProtocol::H2c;
            return Ok(Connected {
                stream: Stream::Unix(stream),
                peer: None,
                h2,
            });
        }
        EndpointTarget::Tcp { host, port } => {
            let stream = connect_tcp(host, *port, address).await?;
            let peer = stream.peer_addr().ok();
            (stream, host, peer)
        }
    };
    match (address.protocol, tls) {
        (EndpointProtocol::Https, Some(tls)) => {
            let stream = tls
                .connect(host, stream)
                .await
                .map_err(|source| ConnectError::Tls {
                    endpoint: address.to_string(),
                    source,
                })?;
            let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            Ok(Connected {
                stream: Stream::Tls(Box::new(stream)),
                peer,
                h2,
            })
        }
        (protocol, _) => {
            let h2 = protocol == EndpointProtocol::H2c;
            Ok(Connected {
                stream: Stream::Tcp(stream),
                peer,
                h2,
            })
        }
    }
}

async fn connect_tcp(
    host: &str,
    port: u16,
    address: &EndpointAddress,
) -> Result<TcpStream, ConnectError> {
    let stream = match host.parse::<IpAddr>() {
        Ok(ip) => TcpStream::connect(SocketAddr::new(ip, port)).await,
        Err(_) => {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host, port))
                .await
                .map_err(|source| ConnectError::Resolve {
                    host: host.to_owned(),
                    source,
                })?
                .collect();
            TcpStream::connect(found.as_slice()).await
        }
    };
    let refused = |source| ConnectError::Connect {
        endpoint: address.to_string(),
        source,
    };
    let stream = stream.map_err(refused)?;
    net::tune(&stream).map_err(refused)?;
    Ok(stream)
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, out),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, out),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, out),
            Self::Memory(stream) => Pin::new(stream).poll_read(cx, out),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Memory(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_write_vectored(cx, slices),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Memory(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
            Self::Unix(stream) => stream.is_write_vectored(),
            Self::Memory(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Self::Memory(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Memory(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
