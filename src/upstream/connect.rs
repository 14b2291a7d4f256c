//! A connection to an endpoint is made.

use super::reach::Reach;
use super::{EndpointAddress, EndpointProtocol, EndpointTarget};
use crate::net;
use crate::tls::Connector;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
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

/// How to get to an endpoint.
pub(super) struct Way<'a> {
    /// Where it is, as errors tell it.
    pub(super) address: &'a EndpointAddress,
    pub(super) reach: &'a Reach,
    /// The name that its certificate has to have.
    pub(super) tls_name: &'a str,
    pub(super) tls: Option<&'a Connector>,
}

/// Connects and shakes hands. The caller holds the deadline.
pub(super) async fn connect(way: &Way<'_>) -> Result<Connected, ConnectError> {
    let address = way.address;
    let stream = match (&address.target, way.reach) {
        (_, Reach::Memory(rehearsal)) => {
            return Ok(Connected {
                stream: Stream::Memory(rehearsal.connect(address)),
                peer: None,
                h2: address.protocol == EndpointProtocol::H2c,
            });
        }
        (EndpointTarget::Unix(path), _) => {
            let stream = UnixStream::connect(path).await;
            let stream = stream.map_err(|source| way.refused(source))?;
            let h2 = address.protocol == EndpointProtocol::H2c;
            return Ok(Connected {
                stream: Stream::Unix(stream),
                peer: None,
                h2,
            });
        }
        (EndpointTarget::Tcp { .. }, Reach::At(addresses)) => {
            let stream = addresses.connect().await;
            stream.map_err(|source| way.refused(source))?
        }
        (EndpointTarget::Tcp { host, .. }, Reach::Unresolved(absent)) => {
            return Err(ConnectError::Resolve {
                host: host.to_string(),
                source: absent.error(),
            });
        }
        (EndpointTarget::Tcp { .. }, Reach::Unix) => {
            return Err(way.refused(io::ErrorKind::Unsupported.into()));
        }
    };
    net::tune(&stream).map_err(|source| way.refused(source))?;
    let peer = stream.peer_addr().ok();
    match (address.protocol, way.tls) {
        (EndpointProtocol::Https, Some(tls)) => {
            let stream =
                tls.connect(way.tls_name, stream)
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

impl Way<'_> {
    fn refused(&self, source: io::Error) -> ConnectError {
        ConnectError::Connect {
            endpoint: self.address.to_string(),
            source,
        }
    }
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
