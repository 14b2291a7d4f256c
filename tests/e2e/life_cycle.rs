//! Start, drain, end.

use crate::support::client::{begin, get, request, send, send_h2, whole};
use crate::support::collector::Collector;
use crate::support::origin::{Origin, streamed};
use crate::support::proxy::Setup;
use http_body::Frame;
use std::sync::Mutex;
use tokio::net::TcpStream;

#[tokio::test]
async fn a_drain_lets_requests_finish_and_takes_no_more() {
    let collector = Collector::start().await;
    let (frames, answer) = streamed();
    let answer = Mutex::new(Some(answer));
    let origin = Origin::answering(move |_| answer.lock().unwrap().take().unwrap()).await;
    let proxy = Setup::front(&origin).export_to(&collector).start().await;
    let address = proxy.address;
    let response = begin(address, request("GET", "/", &[])).await;

    let stopping = tokio::spawn(proxy.stop());
    // Nobody is let in any more.
    crate::support::client::patiently(async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    })
    .await;
    assert!(!stopping.is_finished());
    frames.send(Frame::data("late".into())).await.unwrap();
    drop(frames);

    assert_eq!(whole(response).await.text(), "late");
    let stopped = stopping.await.unwrap();
    assert!(stopped.clean);
    assert_eq!(stopped.accounts[0].exported, 2);
    assert_eq!(collector.spans().len(), 2);
}

#[tokio::test]
async fn what_outlives_the_drain_is_cut_off_with_its_spans() {
    let (collector, origin) = (Collector::start().await, Origin::that_never_answers().await);
    let proxy = Setup::front(&origin)
        .with("drain: {timeout: 50ms}")
        .export_to(&collector)
        .start()
        .await;
    let address = proxy.address;
    let asking = tokio::spawn(async move { begin(address, request("GET", "/", &[])).await });
    origin.wait_for_heads(1).await;

    let stopped = proxy.stop().await;

    assert!(!stopped.clean);
    assert_eq!(stopped.accounts[0].exported, 2, "{}", stopped.accounts[0]);
    asking.abort();
}

#[tokio::test]
async fn ready_says_no_while_draining() {
    let origin = Origin::that_never_answers().await;
    let proxy = Setup::front(&origin)
        .with("admin: {address: '127.0.0.1:0', probes: '127.0.0.1:0'}")
        .with("drain: {timeout: 300ms}")
        .start()
        .await;
    let (address, admin) = (proxy.address, proxy.admin);
    assert_eq!(
        get(admin, "/ready", &[("host", "localhost")]).await.status,
        200
    );
    assert_eq!(
        get(admin, "/live", &[("host", "localhost")]).await.status,
        200
    );
    let asking = tokio::spawn(async move { begin(address, request("GET", "/", &[])).await });
    origin.wait_for_heads(1).await;

    let stopping = tokio::spawn(proxy.stop());
    crate::support::client::patiently(async {
        while get(admin, "/ready", &[("host", "localhost")]).await.status != 503 {}
    })
    .await;
    assert_eq!(
        get(admin, "/live", &[("host", "localhost")]).await.status,
        200
    );

    stopping.await.unwrap();
    asking.abort();
}

#[tokio::test]
async fn the_operators_door_keeps_strangers_out() {
    let origin = Origin::start().await;
    let proxy = Setup::front(&origin).start().await;

    for headers in [
        &[("host", "evil.example")][..],
        &[("host", "localhost"), ("origin", "https://evil.example")],
    ] {
        let reply = get(proxy.admin, "/metrics", headers).await;
        assert!(
            reply.status.is_client_error(),
            "{headers:?}: {}",
            reply.status
        );
    }
    let reply = get(proxy.admin, "/drain", &[("host", "localhost")]).await;
    assert_eq!(reply.status, 405, "state changes by POST alone");
}

#[tokio::test]
async fn both_versions_are_served_on_one_port() {
    let origin = Origin::start().await;
    let proxy = Setup::front(&origin).start().await;

    assert_eq!(
        send(proxy.address, request("GET", "/", &[])).await.status,
        200
    );
    assert_eq!(
        send_h2(proxy.address, request("GET", "/", &[]))
            .await
            .status,
        200
    );
}
