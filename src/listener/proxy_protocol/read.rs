//! A PROXY header is taken off a socket, and not a byte of what follows it.

use super::parse::{self, FIXED_BYTES, LINE_BYTES_MAX, SIGNATURE, WORD};
use super::{Header, ProxyProtocol, Told};
use std::io;
use std::net::IpAddr;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// How often a connection that may begin with a header, and has sent too little to tell, is looked
/// at again. The socket cannot be waited for: it has something to read already.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Why a connection's header was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum ProxyProtocolError {
    /// Only named peers may connect, and this is none of them.
    #[error("the peer is none of those that speak the PROXY protocol here")]
    Untrusted,
    /// There has to be a header, and there is something else.
    #[error("the connection does not begin with a PROXY header")]
    Missing,
    /// It is none that the specification knows.
    #[error("bad PROXY header: {0}")]
    Malformed(&'static str),
    /// It was not there in time.
    #[error("the PROXY header took too long")]
    Timeout,
    /// The connection ended before it.
    #[error("the connection ended before its PROXY header did")]
    Broken(#[source] io::Error),
}

/// Takes the header off a connection of `peer`, within `deadline`. None: the socket's own ends
/// count.
///
/// # Errors
/// [`ProxyProtocolError`]; the connection is to be closed without an answer.
pub async fn read(
    stream: &mut TcpStream,
    peer: IpAddr,
    settings: &ProxyProtocol,
    deadline: Duration,
) -> Result<Option<Told>, ProxyProtocolError> {
    if !settings.from.trusts(peer) {
        return if settings.required {
            Err(ProxyProtocolError::Untrusted)
        } else {
            Ok(None)
        };
    }
    tokio::time::timeout(deadline, take(stream, settings.required))
        .await
        .map_err(|_| ProxyProtocolError::Timeout)?
}

async fn take(stream: &mut TcpStream, required: bool) -> Result<Option<Told>, ProxyProtocolError> {
    use ProxyProtocolError::{Broken, Malformed, Missing};
    if !required && !is_announced(stream).await.map_err(Broken)? {
        return Ok(None);
    }
    // The shortest header of both versions is longer than this.
    let mut start = [0; SIGNATURE.len()];
    stream.read_exact(&mut start).await.map_err(Broken)?;
    let header = if start == SIGNATURE {
        let mut fixed = [0; FIXED_BYTES];
        stream.read_exact(&mut fixed).await.map_err(Broken)?;
        let mut rest = vec![0; parse::rest_length(fixed).map_err(Malformed)?];
        stream.read_exact(&mut rest).await.map_err(Broken)?;
        parse::binary(fixed, &rest).map_err(Malformed)?
    } else if start.starts_with(WORD) {
        let line = rest_of_line(stream, start.to_vec()).await?;
        parse::line(&line).map_err(Malformed)?
    } else {
        return Err(Missing);
    };
    Ok(match header {
        Header::Proxied(told) => Some(told),
        Header::Own => None,
    })
}

/// Reads up to the line's end.
async fn rest_of_line(
    stream: &mut TcpStream,
    mut line: Vec<u8>,
) -> Result<Vec<u8>, ProxyProtocolError> {
    use ProxyProtocolError::{Broken, Malformed};
    let mut seen = [0; LINE_BYTES_MAX];
    while !line.ends_with(b"\n") {
        let seen_bytes = stream.peek(&mut seen).await.map_err(Broken)?;
        let seen = seen.get(..seen_bytes).unwrap_or_default();
        let end = seen.iter().position(|&byte| byte == b'\n');
        let wanted = end.map_or(seen_bytes, |at| at + 1);
        if wanted == 0 {
            return Err(Broken(io::ErrorKind::UnexpectedEof.into()));
        }
        if line.len() + wanted > LINE_BYTES_MAX {
            return Err(Malformed("the line is too long"));
        }
        let before = line.len();
        line.resize(before + wanted, 0);
        let place = line.get_mut(before..).unwrap_or_default();
        stream.read_exact(place).await.map_err(Broken)?;
    }
    Ok(line)
}

/// Whether the connection begins with a header. Takes nothing off it.
async fn is_announced(stream: &TcpStream) -> io::Result<bool> {
    let mut start = [0; SIGNATURE.len()];
    loop {
        let count = stream.peek(&mut start).await?;
        let seen = start.get(..count).unwrap_or_default();
        let short_of = |whole: &[u8]| count < whole.len() && whole.starts_with(seen);
        if seen.is_empty() {
            return Ok(false); // it was closed, which is seen again where requests are read
        }
        if seen == SIGNATURE || seen.starts_with(WORD) {
            return Ok(true);
        }
        if !short_of(&SIGNATURE) && !short_of(WORD) {
            return Ok(false);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
