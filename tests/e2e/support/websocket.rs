//! WebSocket peers on both HTTP versions, made of a library that knows nothing of edgespan.

use super::client::patiently;
use super::origin::Origin;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{HeaderMap, Method, Request, Response, Version};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::ext::Protocol;
use hyper::service::service_fn;
use hyper::upgrade::Upgraded;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};
use tokio_tungstenite::tungstenite::{Error, Message};

pub type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// The key of every HTTP/1.1 client here.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// Which HTTP somebody speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Http {
    One,
    Two,
    /// HTTP/2 without extended CONNECT.
    TwoPlain,
}

/// A request's head as the origin got it.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: Method,
    pub path: String,
    pub scheme: Option<String>,
    pub version: Version,
    pub protocol: Option<String>,
    pub headers: HeaderMap,
}

/// A WebSocket origin.
#[derive(Clone)]
pub struct WebSocketOrigin {
    pub address: SocketAddr,
    pub asked: Arc<Mutex<Vec<Asked>>>,
    /// How each socket ended for the origin.
    pub closes: Arc<Mutex<Vec<Option<u16>>>>,
    /// What is answered instead of a grant.
    pub refusal: Option<u16>,
}

impl WebSocketOrigin {
    /// One that says everything back; `close <code>` makes it close, `vanish` makes it leave.
    pub async fn start(http: Http) -> Self {
        Self::refusing(http, None).await
    }

    /// One that answers with this status instead of granting.
    pub async fn refusing(http: Http, refusal: Option<u16>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = Self {
            address: listener.local_addr().unwrap(),
            asked: Arc::default(),
            closes: Arc::default(),
            refusal,
        };
        let this = origin.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(this.clone().connection(stream, http));
            }
        });
        origin
    }

    /// Serves one connection of any kind.
    pub async fn connection<S>(self, stream: S, http: Http)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = service_fn(move |request: Request<Incoming>| {
            let this = self.clone();
            async move { Ok::<_, Infallible>(this.answer(request)) }
        });
        let io = TokioIo::new(stream);
        if http == Http::One {
            let builder = hyper::server::conn::http1::Builder::new();
            drop(builder.serve_connection(io, service).with_upgrades().await);
        } else {
            let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            if http == Http::Two {
                builder.enable_connect_protocol();
            }
            drop(builder.serve_connection(io, service).await);
        }
    }

    fn answer(&self, mut request: Request<Incoming>) -> Response<Full<Bytes>> {
        let protocol = request.extensions().get::<Protocol>();
        self.asked.lock().unwrap().push(Asked {
            method: request.method().clone(),
            path: request.uri().path_and_query().unwrap().to_string(),
            scheme: request.uri().scheme_str().map(str::to_owned),
            version: request.version(),
            protocol: protocol.map(|protocol| protocol.as_str().to_owned()),
            headers: request.headers().clone(),
        });
        let on_http2 = request.version() == Version::HTTP_2;
        let asks = if on_http2 {
            request.method() == Method::CONNECT
        } else {
            request.headers().contains_key("upgrade")
        };
        let mut response = Response::new(Full::default());
        let refusal = self.refusal.or((!asks).then_some(426));
        if let Some(status) = refusal {
            *response.status_mut() = status.try_into().unwrap();
            *response.body_mut() = Full::from("no");
            response
                .headers_mut()
                .insert("x-why", "tired".parse().unwrap());
            return response;
        }
        let headers = response.headers_mut();
        for name in ["sec-websocket-protocol", "sec-websocket-extensions"] {
            if let Some(value) = request.headers().get(name) {
                headers.insert(name, value.clone());
            }
        }
        if !on_http2 {
            let key = request.headers()["sec-websocket-key"].as_bytes();
            headers.insert(
                "sec-websocket-accept",
                derive_accept_key(key).parse().unwrap(),
            );
            headers.insert("connection", "Upgrade".parse().unwrap());
            headers.insert("upgrade", "websocket".parse().unwrap());
            *response.status_mut() = http::StatusCode::SWITCHING_PROTOCOLS;
        }
        let closes = Arc::clone(&self.closes);
        tokio::spawn(async move {
            let upgraded = hyper::upgrade::on(&mut request).await.unwrap();
            let code = talk(from(upgraded, Role::Server).await).await;
            closes.lock().unwrap().push(code);
        });
        response
    }

    pub fn sole(&self) -> Asked {
        let asked = self.asked.lock().unwrap();
        assert_eq!(asked.len(), 1, "{asked:?}");
        asked[0].clone()
    }

    /// The same as an origin of the harness, to fill in its address.
    pub fn plain(&self) -> Origin {
        Origin {
            address: self.address,
            ..Origin::detached()
        }
    }
}

/// Says everything back. The code with which the other side closed; None without a Close frame.
async fn talk(mut socket: Socket) -> Option<u16> {
    loop {
        let text = match socket.next().await {
            Some(Ok(Message::Close(close))) => {
                while socket.next().await.is_some() {}
                return Some(close.map_or(1005, |close| close.code.into()));
            }
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Binary(bytes))) => {
                socket.send(Message::Binary(bytes)).await.unwrap();
                continue;
            }
            Some(Ok(_)) => continue,
            Some(Err(_)) | None => return None,
        };
        match text.split_once(' ') {
            Some(("close", code)) => {
                let code = code.parse::<u16>().unwrap().into();
                let reason = "a secret".into();
                socket
                    .close(Some(CloseFrame { code, reason }))
                    .await
                    .unwrap();
            }
            _ if text.as_str() == "vanish" => return None,
            _ => {
                if socket.send(Message::Text(text)).await.is_err() {
                    return None;
                }
            }
        }
    }
}

async fn from(upgraded: Upgraded, role: Role) -> Socket {
    WebSocketStream::from_raw_socket(TokioIo::new(upgraded), role, None).await
}

/// A client's answer: the head, and the stream if it was granted.
pub struct Opened {
    pub head: Response<()>,
    pub body: Bytes,
    pub stream: Option<Upgraded>,
}

impl Opened {
    #[track_caller]
    pub fn socket(self) -> impl Future<Output = Socket> {
        let stream = self.stream.expect("a granted upgrade");
        from(stream, Role::Client)
    }
}

/// Asks for a WebSocket.
pub async fn open(to: SocketAddr, http: Http, path: &str, headers: &[(&str, &str)]) -> Opened {
    let stream = TcpStream::connect(to).await.unwrap();
    open_over(stream, "http", http, path, headers).await
}

/// Asks for a WebSocket on a stream that is there.
pub async fn open_over<S>(
    stream: S,
    scheme: &str,
    http: Http,
    path: &str,
    headers: &[(&str, &str)],
) -> Opened
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut request = Request::new(Empty::<Bytes>::new());
    request
        .headers_mut()
        .insert("sec-websocket-version", "13".parse().unwrap());
    for (name, value) in headers {
        let name = http::HeaderName::try_from(*name).unwrap();
        request.headers_mut().append(name, value.parse().unwrap());
    }
    let io = TokioIo::new(stream);
    let mut response = patiently(async {
        if http == Http::One {
            let (mut sender, connection) = http1::handshake(io).await.unwrap();
            tokio::spawn(connection.with_upgrades());
            *request.uri_mut() = path.parse().unwrap();
            for (name, value) in [
                ("host", "app.example.com"),
                ("connection", "Upgrade"),
                ("upgrade", "websocket"),
                ("sec-websocket-key", KEY),
            ] {
                request.headers_mut().insert(name, value.parse().unwrap());
            }
            sender.send_request(request).await.unwrap()
        } else {
            let (mut sender, connection) =
                http2::handshake(TokioExecutor::new(), io).await.unwrap();
            tokio::spawn(connection);
            *request.method_mut() = Method::CONNECT;
            let target = format!("{scheme}://app.example.com{path}");
            *request.uri_mut() = target.parse().unwrap();
            let protocol = Protocol::from_static("websocket");
            request.extensions_mut().insert(protocol);
            sender.send_request(request).await.unwrap()
        }
    })
    .await;
    let granted = if http == Http::One { 101 } else { 200 };
    let stream = if response.status() == granted {
        Some(patiently(hyper::upgrade::on(&mut response)).await.unwrap())
    } else {
        None
    };
    let (head, body) = response.into_parts();
    let body = if stream.is_some() {
        Bytes::new()
    } else {
        patiently(body.collect()).await.unwrap().to_bytes()
    };
    Opened {
        head: Response::from_parts(head, ()),
        body,
        stream,
    }
}

/// Says something and waits for it to come back.
pub async fn echo(socket: &mut Socket, text: &str) {
    socket.send(Message::text(text)).await.unwrap();
    let answer = patiently(socket.next()).await.unwrap().unwrap();
    assert_eq!(answer, Message::text(text));
}

/// Waits for the other side's Close frame and then for the end.
pub async fn closed(socket: &mut Socket) -> Option<u16> {
    let mut code = None;
    loop {
        match patiently(socket.next()).await {
            Some(Ok(Message::Close(close))) => {
                code = Some(close.map_or(1005, |close| close.code.into()));
            }
            Some(Ok(_)) => {}
            Some(Err(Error::ConnectionClosed | Error::AlreadyClosed)) | None => return code,
            Some(Err(_)) => return code,
        }
    }
}
