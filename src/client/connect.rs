//! The way to a server: TCP, and TLS if its address says `https`.

use super::{Client, ClientError, Speak, Target};
use crate::net;
use hyper_util::rt::TokioIo;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// Which certificates are trusted, and which is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientTlsSettings {
    /// Authorities in PEM; None: the machine's.
    pub ca: Option<PathBuf>,
    /// Chain and key of our own.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// What is read and written, with TLS or without.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection, and what is known of it.
pub(super) struct Connected {
    pub(super) io: TokioIo<Box<dyn Stream>>,
    pub(super) peer: SocketAddr,
    /// Whether both sides speak HTTP/2.
    pub(super) http2: bool,
}

impl Client {
    /// A new connection. Has no deadline: the caller bounds the whole exchange.
    pub(super) async fn connect(
        &self,
        target: &Target,
        speak: Speak,
    ) -> Result<Connected, ClientError> {
        let unreachable = |source| ClientError::Connect {
            authority: target.shown(),
            source,
        };
        let address = (target.host.as_str(), target.port);
        let stream = TcpStream::connect(address).await.map_err(unreachable)?;
        net::tune(&stream).map_err(unreachable)?;
        let peer = stream.peer_addr().map_err(unreachable)?;
        if !target.tls {
            let io: Box<dyn Stream> = Box::new(stream);
            return Ok(Connected {
                io: TokioIo::new(io),
                peer,
                http2: speak == Speak::Http2,
            });
        }
        let connectors = self.tls.as_ref().ok_or_else(|| ClientError::Tls {
            authority: target.shown(),
            source: io::Error::other("this client was made for plain HTTP"),
        })?;
        let connector = match speak {
            Speak::Any => &connectors.any,
            Speak::Http1 => &connectors.http1,
            Speak::Http2 => &connectors.http2,
        };
        let secured = connector.connect(&target.host, stream).await;
        let secured = secured.map_err(|source| not_agreed(target, speak, source))?;
        let http2 = secured.get_ref().1.alpn_protocol() == Some(b"h2");
        if speak == Speak::Http2 && !http2 {
            return Err(ClientError::NoHttp2 {
                authority: target.shown(),
            });
        }
        let io: Box<dyn Stream> = Box::new(secured);
        Ok(Connected {
            io: TokioIo::new(io),
            peer,
            http2,
        })
    }
}

/// A server that knows ALPN and not `h2` ends the handshake (RFC 7301 section 3.2).
fn not_agreed(target: &Target, speak: Speak, source: io::Error) -> ClientError {
    let authority = target.shown();
    let tls = source
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let refused = rustls::AlertDescription::NoApplicationProtocol;
    if speak == Speak::Http2 && tls == Some(&rustls::Error::AlertReceived(refused)) {
        return ClientError::NoHttp2 { authority };
    }
    ClientError::Tls { authority, source }
}
