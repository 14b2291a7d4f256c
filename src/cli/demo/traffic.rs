//! Sample traffic: two requests a second through the gateway, the first one at once.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::json;
use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

const EVERY: Duration = Duration::from_millis(500);
/// Of a whole request: longer than any service of the demo takes.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// What is asked for, over and over. A success and a failure come within the first second.
const ROUND: [(Method, &str); 12] = [
    (Method::GET, "/api/v1/orders/7"),
    (Method::POST, "/api/v1/orders/7/release"),
    (Method::POST, "/login"),
    (Method::POST, "/chat/threads/3/messages"),
    (Method::POST, "/api/v1/orders"),
    (Method::POST, "/api/v1/orders/8/hold"),
    (Method::POST, "/payouts"),
    (Method::POST, "/api/v1/orders/8/release"),
    (Method::GET, "/chat/threads/3/events"),
    (Method::GET, "/payouts/5000"),
    (Method::GET, "/api/v1/orders"),
    (Method::POST, "/api/v1/orders/9/refund"),
];

/// Sends requests to the gateway until `stop`; one under way then is given up.
pub async fn traffic(gateway: SocketAddr, stop: CancellationToken) {
    stop.run_until_cancelled(send_all(reachable(gateway))).await;
}

async fn send_all(gateway: SocketAddr) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    for (method, path) in ROUND.iter().cycle() {
        ticks.tick().await;
        let sent = tokio::time::timeout(REQUEST_TIMEOUT, send(gateway, method, path)).await;
        // The gateway tells of its own requests; here is only what never got that far.
        match sent {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(error, path, "sample request failed"),
            Err(_) => tracing::debug!(path, "sample request took too long"),
        }
    }
}

/// One request on a connection of its own, its answer read to the end.
async fn send(
    gateway: SocketAddr,
    method: &Method,
    path: &str,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let stream = TcpStream::connect(gateway).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let exchange = async {
        let response = sender.send_request(request(gateway, method, path)?).await?;
        Limited::new(response.into_body(), ANSWER_BYTES_MAX)
            .collect()
            .await?;
        Ok(())
    };
    // The connection moves while the exchange waits, and ends with it.
    tokio::select! {
        biased;
        done = exchange => done,
        ended = connection => ended.map_err(Into::into),
    }
}

fn request(
    gateway: SocketAddr,
    method: &Method,
    path: &str,
) -> Result<Request<Full<Bytes>>, http::Error> {
    let body = if *method == Method::POST {
        Bytes::from(json!({"user": "ada", "text": "Still for sale?"}).to_string())
    } else {
        Bytes::new()
    };
    Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, gateway.to_string())
        .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
        .header("user-agent", "edgespan-demo")
        .body(Full::new(body))
}

/// Where to connect to reach what listens there.
pub(super) fn reachable(listens: SocketAddr) -> SocketAddr {
    let ip = match listens.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        named @ (IpAddr::V4(_) | IpAddr::V6(_)) => named,
    };
    SocketAddr::new(ip, listens.port())
}
