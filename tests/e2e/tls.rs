//! TLS on both sides: ALPN, SNI, own authorities, client certificates, Unix sockets.

use crate::support::client::{get, request, send, send_h2_over, send_over};
use crate::support::collector::Collector;
use crate::support::origin::{Origin, Speaks, text};
use crate::support::proxy::{Proxy, Setup};
use crate::support::websocket::{Http, WebSocketOrigin, echo, open_over};
use futures_util::{SinkExt, StreamExt};
use rcgen::{CertificateParams, CertificateRevocationListParams, CertifiedIssuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// An authority of its own, with a folder for what it signs.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    pub folder: TempDir,
}

pub struct Signed {
    pub chain: PathBuf,
    pub key: PathBuf,
    pub certificate: CertificateDer<'static>,
    pub private: PrivateKeyDer<'static>,
}

impl Authority {
    pub fn new() -> Self {
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let issuer =
            CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, folder }
    }

    pub fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    pub fn sign(&self, name: &str) -> Signed {
        self.sign_as(
            name,
            &CertificateParams::new(vec![name.to_owned()]).unwrap(),
        )
    }

    /// For whomever the parameters say; `name` is the file's.
    pub fn sign_as(&self, name: &str, parameters: &CertificateParams) -> Signed {
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap();
        let file = |end: &str| {
            self.folder
                .path()
                .join(format!("{}.{end}", name.replace('*', "wild")))
        };
        let (chain, key_file) = (file("crt"), file("key"));
        std::fs::write(&chain, certificate.pem()).unwrap();
        std::fs::write(&key_file, key.serialize_pem()).unwrap();
        Signed {
            chain,
            key: key_file,
            certificate: certificate.der().clone(),
            private: PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        }
    }

    /// A list of what it takes back, as PEM.
    pub fn revoke(&self, parameters: CertificateRevocationListParams) -> String {
        parameters.signed_by(&self.issuer).unwrap().pem().unwrap()
    }

    pub fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        roots
    }
}

pub fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

async fn connect(
    authority: &Authority,
    proxy: &Proxy,
    name: &str,
    alpn: &[&str],
) -> TlsStream<TcpStream> {
    connect_to(authority, proxy.address, name, alpn).await
}

/// The same, to a listener of the test's choice.
pub async fn connect_to(
    authority: &Authority,
    to: SocketAddr,
    name: &str,
    alpn: &[&str],
) -> TlsStream<TcpStream> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(authority.roots())
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|one| one.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(to).await.unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .unwrap()
}

fn with_certificates(origin: &Origin, signed: &[&Signed]) -> Setup {
    let pairs: Vec<String> = signed
        .iter()
        .map(|one| {
            format!(
                "{{chain: '{}', key: '{}'}}",
                one.chain.display(),
                one.key.display()
            )
        })
        .collect();
    Setup::front(origin).with(&format!(
        "listeners: {{web: {{address: '127.0.0.1:0', tls: {{certificates: [{}]}}}}}}",
        pairs.join(", ")
    ))
}

#[tokio::test]
async fn alpn_chooses_the_version() {
    let (authority, origin) = (Authority::new(), Origin::start().await);
    let collector = Collector::start().await;
    let signed = authority.sign("app.example.com");
    let proxy = with_certificates(&origin, &[&signed])
        .export_to(&collector)
        .start()
        .await;

    let stream = connect(&authority, &proxy, "app.example.com", &["h2", "http/1.1"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let reply = send_h2_over(stream, "https", request("GET", "/", &[])).await;
    assert_eq!(reply.status, 200);
    let edges = collector.next_edges().await;
    assert_eq!(edges.server().text("network.protocol.version"), Some("2"));
    assert_eq!(edges.server().text("url.scheme"), Some("https"));

    let stream = connect(&authority, &proxy, "app.example.com", &["http/1.1"]).await;
    assert_eq!(
        send_over(stream, request("GET", "/", &[])).await.status,
        200
    );
    let edges = collector.next_edges().await;
    assert_eq!(edges.server().text("network.protocol.version"), Some("1.1"));
    assert_eq!(origin.received()[0].one("x-forwarded-proto"), "https");
}

#[tokio::test]
async fn each_name_gets_its_certificate() {
    let (authority, origin) = (Authority::new(), Origin::start().await);
    let (first, wild, second) = (
        authority.sign("first.example"),
        authority.sign("*.wild.example"),
        authority.sign("second.example"),
    );
    let proxy = with_certificates(&origin, &[&first, &wild, &second])
        .start()
        .await;

    for (name, expected) in [
        ("first.example", &first),
        ("second.example", &second),
        ("a.wild.example", &wild),
    ] {
        let stream = connect(&authority, &proxy, name, &[]).await;
        let shown = stream.get_ref().1.peer_certificates().unwrap()[0].clone();
        assert_eq!(shown, expected.certificate, "{name}");
    }
}

pub async fn tls_origin(
    authority: &Authority,
    signed: &Signed,
    client_auth: bool,
    speaks: Speaks,
) -> Origin {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = if client_auth {
        let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(
            Arc::new(authority.roots()),
            provider(),
        );
        builder.with_client_cert_verifier(verifier.build().unwrap())
    } else {
        builder.with_no_client_auth()
    };
    let mut config = builder
        .with_single_cert(vec![signed.certificate.clone()], signed.private.clone_key())
        .unwrap();
    config.alpn_protocols = match speaks {
        Speaks::H2c => vec![b"h2".to_vec()],
        Speaks::Http1 => vec![b"http/1.1".to_vec()],
    };
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = Origin {
        address: listener.local_addr().unwrap(),
        ..Origin::detached()
    };
    let this = origin.clone();
    let answer = Arc::new(|_: &_| text(200, "secret"));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, this, answer) = (acceptor.clone(), this.clone(), Arc::clone(&answer));
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    this.connection(stream, speaks, answer).await;
                }
            });
        }
    });
    origin
}

pub fn to_tls(origin: &Origin, tls: &str) -> Setup {
    Setup::new(
        "upstreams: {origin: {endpoints: ['https://localhost:${port}'], tls: {${tls}}}}\n\
         routes: [{name: all, match: {prefix: /}, upstream: origin}]\n",
    )
    .fill("port", &origin.address.port().to_string())
    .fill("tls", tls)
}

#[tokio::test]
async fn an_https_upstream_is_verified_by_its_own_authority() {
    let authority = Authority::new();
    let signed = authority.sign("localhost");
    for speaks in [Speaks::Http1, Speaks::H2c] {
        let origin = tls_origin(&authority, &signed, false, speaks).await;
        let proxy = to_tls(&origin, &format!("ca: '{}'", authority.ca().display()))
            .start()
            .await;

        let reply = get(proxy.address, "/", &[]).await;

        assert_eq!((reply.status.as_u16(), &*reply.text()), (200, "secret"));
    }
}

#[tokio::test]
async fn a_stranger_is_no_upstream() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let collector = Collector::start().await;
    let origin = tls_origin(
        &authority,
        &stranger.sign("localhost"),
        false,
        Speaks::Http1,
    )
    .await;
    let proxy = to_tls(&origin, &format!("ca: '{}'", authority.ca().display()))
        .export_to(&collector)
        .start()
        .await;

    assert_eq!(get(proxy.address, "/", &[]).await.status, 502);
    assert_eq!(
        collector.next_edges().await.client().text("error.type"),
        Some("tls_error")
    );
    assert!(origin.received().is_empty());
}

#[tokio::test]
async fn a_client_certificate_is_shown_and_another_name_verified() {
    let authority = Authority::new();
    let (server, client) = (
        authority.sign("inner.example"),
        authority.sign("edge.example"),
    );
    let origin = tls_origin(&authority, &server, true, Speaks::Http1).await;
    let tls = format!(
        "ca: '{}', server_name: inner.example, certificate: {{chain: '{}', key: '{}'}}",
        authority.ca().display(),
        client.chain.display(),
        client.key.display()
    );
    let proxy = to_tls(&origin, &tls).start().await;

    assert_eq!(get(proxy.address, "/", &[]).await.text(), "secret");
}

#[tokio::test]
async fn an_upstream_may_listen_on_a_unix_socket() {
    let collector = Collector::start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let origin = Origin::detached();
    let this = origin.clone();
    let answer = Arc::new(|_: &_| text(200, "by file"));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(
                this.clone()
                    .connection(stream, Speaks::Http1, Arc::clone(&answer)),
            );
        }
    });
    let proxy = Setup::new(
        "upstreams: {origin: {endpoints: ['unix:${path}']}}\n\
         routes: [{name: all, match: {prefix: /}, upstream: origin}]\n",
    )
    .fill("path", &path.display().to_string())
    .export_to(&collector)
    .start()
    .await;

    let reply = send(proxy.address, request("GET", "/", &[])).await;

    assert_eq!(reply.text(), "by file");
    let address = path.display().to_string();
    assert_eq!(
        collector.next_edges().await.client().text("server.address"),
        Some(&*address)
    );
}

#[tokio::test]
async fn a_websocket_passes_to_an_endpoint_that_would_rather_speak_http2() {
    let authority = Authority::new();
    let signed = authority.sign("localhost");
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![signed.certificate.clone()], signed.private.clone_key())
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let stream = acceptor.accept(stream).await.unwrap();
                if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                    let answer = Arc::new(|_: &_| text(200, "not upgraded"));
                    Origin::detached()
                        .connection(stream, Speaks::H2c, answer)
                        .await;
                } else {
                    let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
                    let message = socket.next().await.unwrap().unwrap();
                    socket.send(message).await.unwrap();
                }
            });
        }
    });
    let proxy = Setup::new(&format!(
        "upstreams: {{origin: {{endpoints: ['https://localhost:{port}'], tls: {{ca: '{}'}}}}}}\n\
         routes: [{{name: all, match: {{prefix: /}}, upstream: origin}}]\n",
        authority.ca().display()
    ))
    .start()
    .await;

    // What is pooled for ordinary requests is not used for an upgrade.
    assert_eq!(get(proxy.address, "/", &[]).await.text(), "not upgraded");
    let stream = TcpStream::connect(proxy.address).await.unwrap();
    let (mut socket, _) = tokio_tungstenite::client_async("ws://app.example.com/", stream)
        .await
        .unwrap();
    socket.send("hello".into()).await.unwrap();

    let echo = socket.next().await.unwrap().unwrap();
    assert_eq!(echo.into_text().unwrap(), "hello");
}

#[tokio::test]
async fn a_websocket_is_a_stream_of_the_connection_where_http2_takes_it() {
    let authority = Authority::new();
    let signed = authority.sign("localhost");
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![signed.certificate.clone()], signed.private.clone_key())
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("localhost:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let origin = WebSocketOrigin::start(Http::Two).await;
    let behind = origin.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let stream = acceptor.accept(stream).await.unwrap();
            tokio::spawn(behind.clone().connection(stream, Http::Two));
        }
    });
    let own = authority.sign("app.example.com");
    let proxy = Setup::new(&format!(
        "upstreams: {{origin: {{endpoints: ['https://localhost:{port}'], tls: {{ca: '{}'}}}}}}\n\
         routes: [{{name: all, match: {{prefix: /}}, upstream: origin}}]\n\
         listeners: {{web: {{address: '127.0.0.1:0', tls: {{certificates: \
         [{{chain: '{}', key: '{}'}}]}}}}}}",
        authority.ca().display(),
        own.chain.display(),
        own.key.display(),
    ))
    .start()
    .await;

    for (alpn, client) in [("http/1.1", Http::One), ("h2", Http::Two)] {
        let stream = connect(&authority, &proxy, "app.example.com", &[alpn]).await;
        let opened = open_over(stream, "https", client, "/", &[]).await;
        echo(&mut opened.socket().await, "hello").await;
    }

    let asked = origin.asked.lock().unwrap().clone();
    for asked in &asked {
        assert_eq!(asked.protocol.as_deref(), Some("websocket"));
        assert_eq!(asked.scheme.as_deref(), Some("https"));
    }
    let page = get(proxy.admin, "/metrics", &[("host", "localhost")]).await;
    let opened = "edgespan_upstream_connections_opened_total{upstream=\"origin\"} 1\n";
    assert!(page.text().contains(opened), "{}", page.text());
}
