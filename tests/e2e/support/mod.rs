//! One harness for every end-to-end test: a proxy, an origin, a client and a collector, all over
//! real sockets on ports that the system chose.

pub mod authelia;
pub mod backends;
pub mod browser;
pub mod client;
pub mod collector;
pub mod dns;
pub mod fleet;
pub mod origin;
pub mod otlp_client;
pub mod provider;
pub mod proxy;
pub mod script;
pub mod spans;
pub mod websocket;

use socket2::{Domain, Socket, Type};
use std::net::SocketAddr;
use std::time::Duration;

/// Longest wait for anything. A test that needs it all has failed.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Waits until `condition` holds, and says what was waited for if it never does.
#[track_caller]
pub fn until(what: &str, condition: impl Fn() -> bool) -> impl Future<Output = ()> {
    let what = what.to_owned();
    let place = std::panic::Location::caller();
    async move {
        let waited = tokio::time::timeout(PATIENCE, async {
            while !condition() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
        assert!(waited.await.is_ok(), "waited in vain for {what} at {place}");
    }
}

/// An address where nobody takes a connection: its backlog is full.
pub fn unreachable() -> (Vec<Socket>, SocketAddr) {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener
        .bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
        .unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut held = vec![listener];
    for _ in 0..4 {
        let filler = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        filler.set_nonblocking(true).unwrap();
        drop(filler.connect(&address));
        held.push(filler);
    }
    (held, address.as_socket().unwrap())
}
