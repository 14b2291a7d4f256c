//! One harness for every end-to-end test: a proxy, an origin, a client and a collector, all over
//! real sockets on ports that the system chose.

pub mod client;
pub mod collector;
pub mod dns;
pub mod fleet;
pub mod origin;
pub mod proxy;
pub mod script;
pub mod spans;
pub mod websocket;

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
