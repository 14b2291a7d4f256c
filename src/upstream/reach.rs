//! By which addresses an endpoint is reached.

use super::Rehearsal;
use super::resolve::LookupError;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;

/// How long the first address is tried before the second one is tried beside it, as RFC 8305
/// section 8 recommends.
const HEAD_START: Duration = Duration::from_millis(250);

/// How an endpoint is reached.
#[derive(Debug)]
pub(super) enum Reach {
    /// By its path.
    Unix,
    /// In memory.
    Memory(Rehearsal),
    /// By addresses.
    At(Addresses),
    /// Not at all: its name has no address.
    Unresolved(Arc<Unresolved>),
}

/// One address, and perhaps one in the other family.
#[derive(Debug)]
pub(super) struct Addresses {
    /// What the endpoint is known by.
    pub(super) first: SocketAddr,
    other: Mutex<Other>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Other {
    address: Option<SocketAddr>,
    /// Whether that one answered last, and is tried first.
    preferred: bool,
}

/// A name that has no address yet.
#[derive(Debug, Default)]
pub(super) struct Unresolved(Mutex<Option<Arc<LookupError>>>);

impl Unresolved {
    fn failure(&self) -> MutexGuard<'_, Option<Arc<LookupError>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers why.
    pub(super) fn fail(&self, error: LookupError) {
        *self.failure() = Some(Arc::new(error));
    }

    /// Whether no answer has come at all.
    pub(super) fn is_open(&self) -> bool {
        self.failure().is_none()
    }

    /// Why there is no address.
    pub(super) fn error(&self) -> io::Error {
        match &*self.failure() {
            Some(error) if error.is_negative() => {
                io::Error::new(io::ErrorKind::NotFound, Arc::clone(error))
            }
            Some(error) => io::Error::other(Arc::clone(error)),
            None => io::Error::new(io::ErrorKind::TimedOut, "no answer yet"),
        }
    }
}

impl Addresses {
    pub(super) fn new(first: SocketAddr, other: Option<SocketAddr>) -> Self {
        let addresses = Self {
            first,
            other: Mutex::default(),
        };
        addresses.set_other(other);
        addresses
    }

    fn other(&self) -> MutexGuard<'_, Other> {
        self.other.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in a later answer.
    pub(super) fn set_other(&self, address: Option<SocketAddr>) {
        let mut other = self.other();
        if other.address != address {
            *other = Other {
                address,
                preferred: false,
            };
        }
    }

    /// Connects by whichever works, beginning with the one that did last.
    pub(super) async fn connect(&self) -> io::Result<TcpStream> {
        let other = *self.other();
        let Some(second) = other.address else {
            return TcpStream::connect(self.first).await;
        };
        let order = if other.preferred {
            [second, self.first]
        } else {
            [self.first, second]
        };
        let stream = race(order).await?;
        let by_second = stream.peer_addr().is_ok_and(|peer| peer == second);
        if by_second != other.preferred {
            self.other().preferred = by_second;
        }
        Ok(stream)
    }
}

/// The first gets a head start; one that fails ends it. The error told is the first one's.
async fn race([first, second]: [SocketAddr; 2]) -> io::Result<TcpStream> {
    let mut first = std::pin::pin!(TcpStream::connect(first));
    let error = tokio::select! {
        connected = &mut first => match connected {
            Ok(stream) => return Ok(stream),
            Err(error) => Some(error),
        },
        () = tokio::time::sleep(HEAD_START) => None,
    };
    if let Some(error) = error {
        return TcpStream::connect(second).await.map_err(|_| error);
    }
    let mut second = std::pin::pin!(TcpStream::connect(second));
    tokio::select! {
        connected = &mut first => match connected {
            Ok(stream) => Ok(stream),
            Err(error) => second.await.map_err(|_| error),
        },
        connected = &mut second => match connected {
            Ok(stream) => Ok(stream),
            Err(_) => first.await,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    async fn listening() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    async fn dead() -> SocketAddr {
        listening().await.1
    }

    #[tokio::test]
    async fn the_second_address_serves_where_the_first_refuses_and_is_first_from_then_on() {
        let (_listener, alive) = listening().await;
        let addresses = Addresses::new(dead().await, Some(alive));

        let stream = addresses.connect().await.unwrap();

        assert_eq!(stream.peer_addr().unwrap(), alive);
        assert!(addresses.other().preferred);
        addresses.set_other(Some(alive));
        assert!(
            addresses.other().preferred,
            "the same answer changes nothing"
        );
        addresses.set_other(None);
        assert!(addresses.connect().await.is_err());
    }

    #[tokio::test]
    async fn where_both_refuse_the_first_one_s_error_is_told() {
        let addresses = Addresses::new(dead().await, Some(dead().await));

        let error = addresses.connect().await.unwrap_err();

        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn a_name_without_answer_differs_from_one_that_does_not_exist() {
        let unresolved = Unresolved::default();
        assert!(unresolved.is_open());
        assert_eq!(unresolved.error().kind(), io::ErrorKind::TimedOut);

        unresolved.fail(LookupError::Nothing(None));

        assert!(!unresolved.is_open());
        assert_eq!(unresolved.error().kind(), io::ErrorKind::NotFound);
    }
}
