//! Whether somebody still reads what goes to stdout.
//!
//! A command that writes rarely would learn of a closed pipe only with its next line, which may
//! never come: `edgespan trace tail | head -1` has to end with `head`.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use std::io;
use std::thread;
use tokio::sync::oneshot;

/// Waits until nobody reads stdout any more: never, if it is a file.
pub(super) async fn gone() {
    let (tell, told) = oneshot::channel();
    // A thread that only waits in the kernel, and ends with the process if nobody goes. The runtime
    // cannot watch a stream that it does not own.
    let watch = || {
        wait_for_hangup();
        tell.send(()).unwrap_or_default();
    };
    let started = thread::Builder::new()
        .name("stdout".to_owned())
        .spawn(watch);
    if started.is_ok() && told.await.is_ok() {
        return;
    }
    std::future::pending().await
}

/// Returns when the reading end of stdout is closed. No event is asked for: what the kernel always
/// tells, an error or a hangup, is what is wanted.
fn wait_for_hangup() {
    let stdout = io::stdout();
    let mut watched = [PollFd::new(&stdout, PollFlags::empty())];
    while poll(&mut watched, None) == Err(Errno::INTR) {}
}
