//! What a newcomer met in the first hour with the program, and shall not meet again.

use crate::support::client::raw;
use crate::support::origin::Origin;
use crate::support::proxy::{Proxy, Setup};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn redirecting() -> Proxy {
    Setup::new("routes: [{name: old, match: {path: /old}, redirect: {path: /new}}]")
        .start()
        .await
}

#[tokio::test]
async fn an_answer_waits_for_nothing_that_comes_after_its_request() {
    let origin = Origin::start().await;
    let proxy = Setup::front(&origin).start().await;
    let (whole, half) = (
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\nx",
        "\r\nGET ",
    );

    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    stream
        .write_all(format!("{whole}{half}").as_bytes())
        .await
        .unwrap();
    let mut answer = [0; 15];
    let read = tokio::time::timeout(Duration::from_secs(5), stream.read_exact(&mut answer)).await;

    read.expect("an answer in time").unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
}

#[tokio::test]
async fn a_client_that_names_no_host_is_redirected_on_the_one_it_asked() {
    let proxy = redirecting().await;

    let answer = raw(proxy.address, b"GET /old?a=1 HTTP/1.0\r\n\r\n").await;

    assert!(answer.contains("\r\nlocation: /new?a=1\r\n"), "{answer}");
}
