//! A request that asks for another protocol, in the words of the HTTP version it leaves in, and
//! the answer that grants it (RFC 9110 section 7.8, RFC 6455 section 4, RFC 8441 section 5).

use super::pool::StreamPlace;
use crate::message::request_body::RequestBody;
use crate::message::websocket::handshake::{WEBSOCKET, accept_of, key_of, new_key};
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use hyper::ext::Protocol;
use hyper::upgrade::OnUpgrade;
use tokio::sync::OwnedSemaphorePermit;

/// What a client asks its connection to become.
#[derive(Clone, Debug)]
pub struct Upgrade {
    protocol: HeaderValue,
    /// Whether the client asked by extended CONNECT, on a stream of HTTP/2.
    by_connect: bool,
    /// Of a WebSocket: the client's key, or one of ours where HTTP/2 has none.
    key: Option<HeaderValue>,
}

/// How one attempt asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// By `Upgrade` on an HTTP/1.1 connection.
    Http1,
    /// By extended CONNECT on a stream of HTTP/2.
    Connect,
    /// Not at all: the connection could not carry it.
    Plain,
}

/// A connection that became what it was asked to.
pub struct Switched {
    /// What was asked for.
    pub upgrade: Box<Upgrade>,
    /// The stream, once hyper has let go of it.
    pub stream: OnUpgrade,
    /// Whether it is a stream of HTTP/2.
    pub on_http2: bool,
    /// To be held as long as the stream.
    pub held: Held,
}

/// What an upgraded stream takes up at its endpoint. Dropping it gives it back.
#[derive(Debug, Default)]
pub struct Held {
    /// A stream's place on its HTTP/2 connection.
    _stream: Option<StreamPlace>,
    /// A connection's place, where their number is bounded.
    _connection: Option<OwnedSemaphorePermit>,
}

impl Held {
    pub(super) const fn stream(place: Option<StreamPlace>) -> Self {
        Self {
            _stream: place,
            _connection: None,
        }
    }

    pub(super) const fn connection(place: Option<OwnedSemaphorePermit>) -> Self {
        Self {
            _stream: None,
            _connection: place,
        }
    }
}

impl Upgrade {
    /// To `protocol`, as the request with these headers asks.
    pub fn new(protocol: HeaderValue, headers: &HeaderMap, by_connect: bool) -> Self {
        let key = if by_connect {
            Some(new_key())
        } else {
            key_of(headers).filter(|_| is_websocket(&protocol))
        };
        Self {
            protocol,
            by_connect,
            key,
        }
    }

    /// Whether it is a WebSocket.
    pub fn is_websocket(&self) -> bool {
        is_websocket(&self.protocol)
    }

    /// What it is called.
    pub const fn protocol(&self) -> &HeaderValue {
        &self.protocol
    }

    /// What proves to an HTTP/1.1 client that its key was understood.
    pub fn accept(&self) -> Option<HeaderValue> {
        self.key.as_ref().map(accept_of)
    }

    /// Whether HTTP/2 has words for it: a WebSocket whose key we can answer.
    pub(super) const fn fits_http2(&self) -> bool {
        self.key.is_some()
    }

    /// Asks on HTTP/1.1.
    pub(super) fn ask_http1(&self, request: &mut Request<RequestBody>) {
        undo_connect(request);
        let headers = request.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, self.protocol.clone());
        if let Some(key) = &self.key {
            headers.insert(SEC_WEBSOCKET_KEY, key.clone());
        }
    }

    /// Asks on HTTP/2, or does not.
    pub(super) fn ask_http2(&self, request: &mut Request<RequestBody>, way: Way) {
        if way == Way::Connect {
            *request.method_mut() = Method::CONNECT;
            request.headers_mut().remove(SEC_WEBSOCKET_KEY);
            let protocol = Protocol::from_static(WEBSOCKET);
            request.extensions_mut().insert(protocol);
        } else {
            undo_connect(request);
            request.extensions_mut().remove::<Protocol>();
        }
    }

    /// Whether the answer grants it.
    ///
    /// # Errors
    /// What makes it an answer that cannot be passed on: to a client that asked by CONNECT any
    /// 2xx is a WebSocket.
    pub(super) fn granted<B>(
        &self,
        response: &Response<B>,
        way: Way,
    ) -> Result<bool, &'static str> {
        let granted = match way {
            Way::Http1 => response.status() == StatusCode::SWITCHING_PROTOCOLS,
            Way::Connect => response.status() == StatusCode::OK,
            Way::Plain => false,
        };
        if granted && way == Way::Http1 && self.by_connect {
            let headers = response.headers();
            let switches = headers.get(UPGRADE).is_some_and(is_websocket);
            let accepts = headers.get(SEC_WEBSOCKET_ACCEPT) == self.accept().as_ref();
            if !(switches && accepts) {
                return Err("it switches to something that is not the WebSocket asked for");
            }
        }
        let success = response.status().is_success();
        if !granted && success && (self.by_connect || way == Way::Connect) {
            return Err("it answers a WebSocket's handshake with something else");
        }
        Ok(granted)
    }

    /// Takes the stream from an answer that grants the upgrade.
    pub(super) fn take<B>(
        self: Box<Self>,
        response: &mut Response<B>,
        way: Way,
        held: Held,
    ) -> Switched {
        Switched {
            upgrade: self,
            stream: hyper::upgrade::on(response),
            on_http2: way == Way::Connect,
            held,
        }
    }
}

fn is_websocket(protocol: &HeaderValue) -> bool {
    protocol
        .as_bytes()
        .trim_ascii()
        .eq_ignore_ascii_case(WEBSOCKET.as_bytes())
}

/// An attempt before this one may have made it an extended CONNECT. Any other method is the
/// client's, by which it was routed.
fn undo_connect(request: &mut Request<RequestBody>) {
    if *request.method() == Method::CONNECT {
        *request.method_mut() = Method::GET;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn websocket(by_connect: bool) -> Upgrade {
        let mut headers = HeaderMap::new();
        let key = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");
        headers.insert(SEC_WEBSOCKET_KEY, key);
        let protocol = HeaderValue::from_static("WebSocket");
        Upgrade::new(protocol, &headers, by_connect)
    }

    fn answer(status: u16, accept: Option<HeaderValue>) -> Response<()> {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        let headers = response.headers_mut();
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.extend(accept.map(|accept| (SEC_WEBSOCKET_ACCEPT, accept)));
        response
    }

    #[test]
    fn a_clients_own_key_is_answered_and_http2_gets_one_of_ours() {
        let accept = websocket(false).accept();
        assert_eq!(accept.unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_ne!(websocket(true).key, websocket(true).key);
    }

    #[test]
    fn only_a_websocket_with_a_key_fits_http2() {
        let none = HeaderMap::new();
        let new = |protocol| Upgrade::new(HeaderValue::from_static(protocol), &none, false);
        assert!(websocket(false).fits_http2());
        assert!(!new("websocket").fits_http2());
        assert!(!new("tcp").fits_http2());
        assert!(!new("tcp").is_websocket());
    }

    #[test]
    fn a_request_can_be_asked_anew_in_the_other_version() {
        let upgrade = websocket(false);
        let mut request = Request::new(RequestBody::Empty);

        upgrade.ask_http2(&mut request, Way::Connect);
        assert_eq!(request.method(), Method::CONNECT);
        assert_eq!(request.headers().get(SEC_WEBSOCKET_KEY), None);

        upgrade.ask_http1(&mut request);
        assert_eq!(request.method(), Method::GET);
        let key = request.headers().get(SEC_WEBSOCKET_KEY).unwrap();
        assert_eq!(key, "dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(request.headers().get(UPGRADE).unwrap(), "WebSocket");
    }

    #[test]
    fn a_method_is_the_clients_own_whatever_version_it_leaves_in() {
        let upgrade = Upgrade::new(HeaderValue::from_static("tcp"), &HeaderMap::new(), false);
        for method in [Method::GET, Method::POST, Method::DELETE, Method::OPTIONS] {
            let mut request = Request::new(RequestBody::Empty);
            *request.method_mut() = method.clone();

            upgrade.ask_http1(&mut request);
            assert_eq!(request.method(), method);
            upgrade.ask_http2(&mut request, Way::Plain);
            assert_eq!(request.method(), method);
        }
    }

    #[test]
    fn a_client_of_http2_never_gets_a_success_that_is_no_websocket() {
        let (ours, theirs) = (websocket(true), websocket(false));
        let right = ours.accept();
        assert_eq!(ours.granted(&answer(101, right), Way::Http1), Ok(true));
        assert!(ours.granted(&answer(101, None), Way::Http1).is_err());
        assert!(
            ours.granted(&answer(101, theirs.accept()), Way::Http1)
                .is_err()
        );
        for way in [Way::Http1, Way::Plain] {
            assert!(ours.granted(&answer(200, None), way).is_err());
            assert_eq!(ours.granted(&answer(403, None), way), Ok(false));
            assert_eq!(theirs.granted(&answer(200, None), way), Ok(false));
        }
        assert_eq!(ours.granted(&answer(200, None), Way::Connect), Ok(true));
        assert_eq!(theirs.granted(&answer(200, None), Way::Connect), Ok(true));
        assert!(theirs.granted(&answer(204, None), Way::Connect).is_err());
        assert_eq!(theirs.granted(&answer(101, None), Way::Http1), Ok(true));
    }
}
