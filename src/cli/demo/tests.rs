//! The demo's services over real sockets, without the gateway.

use super::{Services, config_text, traffic};
use crate::cli::addresses::AdminAddress;
use crate::clock;
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

fn port(services: &Services, name: &str) -> u16 {
    let ports = services.ports();
    ports
        .iter()
        .find(|(service, _)| *service == name)
        .unwrap()
        .1
}

async fn ask(port: u16, method: Method, path: &str) -> Response<Bytes> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "demo");
    let request = request.body(Full::<Bytes>::default()).unwrap();
    let (head, body) = sender.send_request(request).await.unwrap().into_parts();
    Response::from_parts(head, body.collect().await.unwrap().to_bytes())
}

#[tokio::test]
async fn the_first_release_fails_and_the_next_one_goes_through() {
    let services = Services::start().await.unwrap();
    let port = port(&services, "payout");

    let first = ask(port, Method::POST, "/api/v1/orders/7/release").await;
    let second = ask(port, Method::POST, "/api/v1/orders/7/release").await;

    assert_eq!(
        (first.status(), second.status()),
        (502.try_into().unwrap(), 200.try_into().unwrap())
    );
    assert_eq!(first.headers()["x-order-state"], "held");
    assert_eq!(second.headers()["x-order-state"], "released");
}

#[tokio::test]
async fn every_flow_gets_the_headers_its_attributes_come_from() {
    let services = Services::start().await.unwrap();
    let text = config_text(&services, "127.0.0.1:8080".parse().unwrap(), None);
    let asked = [
        ("login", Method::POST, "/login"),
        ("orders", Method::POST, "/api/v1/orders"),
        ("orders", Method::GET, "/api/v1/orders/7"),
        ("orders", Method::POST, "/api/v1/orders/7/hold"),
        ("orders", Method::POST, "/api/v1/orders/7/refund"),
        ("payout", Method::POST, "/api/v1/orders/7/release"),
        ("chat", Method::POST, "/chat/threads/3/messages"),
        ("chat", Method::GET, "/chat/threads/3/events"),
        ("payout", Method::POST, "/payouts"),
        ("payout", Method::GET, "/payouts/5000"),
    ];
    for (service, method, path) in asked {
        let answer = ask(port(&services, service), method, path).await;
        let named: Vec<_> = answer
            .headers()
            .keys()
            .filter(|name| name.as_str().starts_with("x-"))
            .collect();
        assert!(!named.is_empty(), "{path}");
        for name in named {
            assert!(
                text.contains(&format!("response_header: {name}")),
                "{name} of {path}"
            );
        }
    }
}

#[tokio::test]
async fn events_come_one_by_one() {
    let services = Services::start().await.unwrap();

    let answer = ask(
        port(&services, "chat"),
        Method::GET,
        "/chat/threads/3/events",
    )
    .await;

    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let text = String::from_utf8(answer.into_body().to_vec()).unwrap();
    assert_eq!(text.matches("data: {").count(), 3);
}

#[tokio::test]
async fn the_page_tells_what_the_gateway_said_and_nothing_of_it_is_markup() {
    let services = Services::start().await.unwrap();
    let stream = TcpStream::connect(("127.0.0.1", port(&services, "login")))
        .await
        .unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::builder()
        .uri("/account")
        .header("host", "demo")
        .header("x-name", "<b>Ada</b>")
        .header("x-groups", "staff");
    let request = request.body(Full::<Bytes>::default()).unwrap();

    let answer = sender.send_request(request).await.unwrap();

    let page = answer.into_body().collect().await.unwrap().to_bytes();
    let page = String::from_utf8(page.to_vec()).unwrap();
    assert!(page.contains("Hello, &lt;b&gt;Ada&lt;/b&gt;"), "{page}");
    assert!(page.contains("<td>staff</td>"), "{page}");
    assert!(page.contains("<td>nothing</td>"), "{page}");
}

#[tokio::test]
async fn what_is_not_there_is_404_and_what_cannot_be_done_405() {
    let services = Services::start().await.unwrap();
    let orders = port(&services, "orders");
    for path in [
        "/",
        "/api/v1/orders/0",
        "/api/v1/orders/x",
        "/api/v1/orders/7/burn",
    ] {
        assert_eq!(ask(orders, Method::GET, path).await.status(), 404, "{path}");
    }
    assert_eq!(
        ask(orders, Method::DELETE, "/api/v1/orders").await.status(),
        405
    );
}

#[tokio::test]
async fn services_that_are_dropped_are_gone() {
    let services = Services::start().await.unwrap();
    let port = port(&services, "chat");

    drop(services);
    tokio::task::yield_now().await;
    tokio::time::sleep(Duration::from_millis(20)).await;

    assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());
}

#[tokio::test]
async fn the_first_sample_request_comes_at_once_and_the_next_half_a_second_later() {
    let gateway = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = gateway.local_addr().unwrap();
    let stop = CancellationToken::new();
    let started = clock::instant();
    let sending = tokio::spawn(traffic(address, stop.clone()));

    let mut heads = Vec::new();
    for _ in 0..2 {
        let (mut stream, _) = gateway.accept().await.unwrap();
        heads.push((started.elapsed(), first_line(&mut stream).await));
        stream
            .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
            .await
            .unwrap();
    }

    assert_eq!(heads[0].1, "GET /api/v1/orders/7 HTTP/1.1");
    assert_eq!(heads[1].1, "POST /api/v1/orders/7/release HTTP/1.1");
    assert!(heads[0].0 < Duration::from_millis(400));
    assert!(heads[1].0 >= Duration::from_millis(400));
    stop.cancel();
    sending.await.unwrap();
}

async fn first_line(stream: &mut TcpStream) -> String {
    let mut bytes = vec![0; 4096];
    let length = stream.read(&mut bytes).await.unwrap();
    let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
    text.lines().next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn the_configuration_names_the_real_ports() {
    let services = Services::start().await.unwrap();
    let listen = "127.0.0.1:8080".parse().unwrap();

    let text = config_text(&services, listen, Some(AdminAddress::Off));

    for (_, port) in services.ports() {
        assert!(text.contains(&format!("http://127.0.0.1:{port}")));
    }
    assert!(text.contains(&format!("issuer: \"{}\"", services.issuer())));
    assert!(text.contains("admin: {address: off}"));
    assert!(!config_text(&services, listen, None).contains("admin"));
}
