//! Certificates of clients and servers: who they are, what upstreams are told, and renewal.

use super::{counted, cut};
use crate::support::PATIENCE;
use crate::support::client::{get, request, send_over};
use crate::support::collector::Collector;
use crate::support::origin::{Origin, Speaks};
use crate::support::proxy::{Proxy, Setup};
use crate::tls::{Authority, Signed, provider, tls_origin, to_tls};
use rcgen::{CertificateParams, DnType, SanType};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::io;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub(super) const SHOP: &str = "spiffe://prod.example/ns/shop";

/// Of a workload, by its URI.
pub(super) fn workload(authority: &Authority, file: &str, uri: &str) -> Signed {
    let mut parameters = CertificateParams::new(Vec::new()).unwrap();
    parameters.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters
        .distinguished_name
        .push(DnType::CommonName, "shop");
    authority.sign_as(file, &parameters)
}

pub(super) fn listener(server: &Signed, more: &str) -> String {
    format!(
        "listeners: {{web: {{address: '127.0.0.1:0', tls: {{certificates: [{{chain: '{}', key: '{}'}}], {more}}}}}}}",
        server.chain.display(),
        server.key.display()
    )
}

pub(super) fn client(authority: &Authority, shown: Option<&Signed>) -> Arc<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(authority.roots());
    Arc::new(match shown {
        None => builder.with_no_client_auth(),
        Some(shown) => builder
            .with_client_auth_cert(vec![shown.certificate.clone()], shown.private.clone_key())
            .unwrap(),
    })
}

pub(super) async fn connect(
    config: &Arc<ClientConfig>,
    proxy: &Proxy,
) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(proxy.address).await.unwrap();
    let name = ServerName::try_from("app.example.com").unwrap();
    TlsConnector::from(Arc::clone(config))
        .connect(name, stream)
        .await
}

/// The status of one request, or None if there is no connection to be had. With TLS 1.3 a client
/// learns only when it reads that it was turned away.
pub(super) async fn status(config: &Arc<ClientConfig>, proxy: &Proxy) -> Option<u16> {
    let stream = connect(config, proxy).await.ok()?;
    let io = hyper_util::rt::TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.ok()?;
    tokio::spawn(connection);
    let asked = sender.send_request(request("GET", "/", &[]));
    let answer = tokio::time::timeout(PATIENCE, asked).await.unwrap();
    Some(answer.ok()?.status().as_u16())
}

#[tokio::test]
async fn a_client_is_who_its_certificate_says() {
    let (authority, origin) = (Authority::new(), Origin::start().await);
    let collector = Collector::start().await;
    let server = authority.sign("app.example.com");
    let shop = workload(&authority, "shop", SHOP);
    let tls = format!(
        "client: {{ca: '{}', allow: ['spiffe://prod.example/ns/*'], header: x-forwarded-client-cert}}",
        authority.ca().display()
    );
    let proxy = Setup::front(&origin)
        .with(&listener(&server, &tls))
        .export_to(&collector)
        .start()
        .await;
    let stream = connect(&client(&authority, Some(&shop)), &proxy)
        .await
        .unwrap();

    // What it says of itself in the header, under whatever spelling, does not get through.
    let lies = [
        (
            "x-forwarded-client-cert",
            "URI=spiffe://prod.example/ns/root",
        ),
        (
            "x_forwarded_client_cert",
            "URI=spiffe://prod.example/ns/root",
        ),
        ("client-cert", ":AAAA:"),
        ("connection", "x-forwarded-client-cert"),
    ];
    let reply = send_over(stream, request("GET", "/", &lies)).await;

    assert_eq!(reply.status, 200);
    let received = &origin.received()[0];
    let told = received.one("x-forwarded-client-cert");
    assert!(told.starts_with("Hash="), "{told}");
    assert!(
        told.ends_with(&format!(";Subject=\"CN=shop\";URI={SHOP}")),
        "{told}"
    );
    assert!(!received.headers.contains_key("x_forwarded_client_cert"));
    assert!(!received.headers.contains_key("client-cert"));
    let edges = collector.next_edges().await;
    let span = edges.server();
    assert_eq!(span.text("edgespan.client.identity"), Some(SHOP));
    assert_eq!(span.text("tls.client.subject"), Some("CN=shop"));
    assert_eq!(span.text("tls.client.hash.sha256").unwrap().len(), 64);
}

#[tokio::test]
async fn who_is_not_allowed_gets_no_connection() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let origin = Origin::start().await;
    let server = authority.sign("app.example.com");
    let shop = workload(&authority, "shop", SHOP);
    let other = workload(&authority, "other", "spiffe://prod.example/other");
    let forged = workload(&stranger, "forged", SHOP);
    let rule = |mode: &str| {
        let ca = authority.ca();
        format!(
            "client: {{ca: '{}', mode: {mode}, allow: ['{SHOP}']}}",
            ca.display()
        )
    };
    let start = |mode: &str| Setup::front(&origin).with(&listener(&server, &rule(mode)));
    let (required, optional) = (
        start("required").start().await,
        start("optional").start().await,
    );

    for (shown, by_required, by_optional) in [
        (Some(&shop), Some(200), Some(200)),
        (Some(&other), None, None),
        (Some(&forged), None, None),
        (None, None, Some(200)),
    ] {
        let config = client(&authority, shown);
        assert_eq!(status(&config, &required).await, by_required);
        assert_eq!(status(&config, &optional).await, by_optional);
    }
    let refused = "edgespan_connection_errors_total{listener=\"web\",error_type=\"tls_error\"}";
    assert!(counted(&required, refused).await >= 3.0);
}

#[tokio::test]
async fn an_upstream_is_known_by_an_allowed_name_alone() {
    let authority = Authority::new();
    let signed = workload(&authority, "shop", SHOP);
    for (allow, expected) in [
        ("spiffe://prod.example/ns/*", 200),
        ("spiffe://prod.example/ns/bank", 502),
        ("localhost", 502),
    ] {
        let origin = tls_origin(&authority, &signed, false, Speaks::Http1).await;
        let tls = format!("ca: '{}', allow: ['{allow}']", authority.ca().display());
        let proxy = to_tls(&origin, &tls).start().await;

        assert_eq!(
            get(proxy.address, "/", &[]).await.status,
            expected,
            "{allow}"
        );
    }
}

/// Puts the files of one certificate in the place of another's.
pub(super) fn replace(old: &Signed, new: &Signed) {
    std::fs::copy(&new.chain, &old.chain).unwrap();
    std::fs::copy(&new.key, &old.key).unwrap();
}

fn shown(stream: &TlsStream<TcpStream>) -> Vec<u8> {
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

#[tokio::test]
async fn a_renewed_certificate_is_served_and_no_connection_is_dropped() {
    let (authority, origin) = (Authority::new(), Origin::start().await);
    let server = authority.sign("app.example.com");
    let next = authority.sign_as(
        "next",
        &CertificateParams::new(vec!["app.example.com".to_owned()]).unwrap(),
    );
    let setup = Setup::front(&origin).with(&listener(&server, ""));
    let proxy = setup.start().await;
    let anybody = client(&authority, None);
    let before = connect(&anybody, &proxy).await.unwrap();
    let old = shown(&before);

    replace(&server, &next);
    proxy.renew_certificates().await;

    let after = connect(&client(&authority, None), &proxy).await.unwrap();
    assert_eq!(old, server.certificate.to_vec());
    assert_eq!(shown(&after), next.certificate.to_vec());
    for stream in [before, after] {
        assert_eq!(
            send_over(stream, request("GET", "/", &[])).await.status,
            200
        );
    }
    assert!(
        counted(
            &proxy,
            "edgespan_certificate_reloads_total{result=\"taken\"}"
        )
        .await
            >= 1.0
    );
    let expiry = "edgespan_certificate_expiry_seconds{owner=\"listener web\"";
    assert!(counted(&proxy, expiry).await > 1.7e9);
}

#[tokio::test]
async fn a_reload_looks_at_certificates_whose_paths_have_not_changed() {
    let (authority, origin) = (Authority::new(), Origin::start().await);
    let server = authority.sign("app.example.com");
    let next = authority.sign_as(
        "next",
        &CertificateParams::new(vec!["app.example.com".to_owned()]).unwrap(),
    );
    let setup = || Setup::front(&origin).with(&listener(&server, ""));
    let mut proxy = setup().start().await;

    replace(&server, &next);
    proxy.reload(setup()).await.unwrap();

    let stream = connect(&client(&authority, None), &proxy).await.unwrap();
    assert_eq!(shown(&stream), next.certificate.to_vec());
}

#[tokio::test]
async fn a_pair_that_does_not_fit_leaves_the_old_one_in_place() {
    let (authority, origin) = (Authority::new(), Origin::start().await);
    let server = authority.sign("app.example.com");
    let next = authority.sign("next.example.com");
    let setup = Setup::front(&origin).with(&listener(&server, ""));
    let proxy = setup.start().await;
    let refused = "edgespan_certificate_reloads_total{result=\"refused\"}";

    // The chain alone: a key may follow. Told only when it is still so at the next look.
    std::fs::copy(&next.chain, &server.chain).unwrap();
    proxy.renew_certificates().await;
    assert!(counted(&proxy, refused).await < 1.0);
    proxy.renew_certificates().await;
    proxy.renew_certificates().await;
    let refusals = counted(&proxy, refused).await;
    assert!(
        (1.0..2.0).contains(&refusals),
        "told once, not {refusals} times"
    );
    let stream = connect(&client(&authority, None), &proxy).await.unwrap();
    assert_eq!(shown(&stream), server.certificate.to_vec());

    std::fs::copy(&next.key, &server.key).unwrap();
    proxy.renew_certificates().await;
    assert!(
        counted(
            &proxy,
            "edgespan_certificate_reloads_total{result=\"taken\"}"
        )
        .await
            >= 1.0
    );
}

/// As Kubernetes does it: a file is a link through `..data`, which is swapped.
#[cfg(unix)]
fn publish(folder: &Path, generation: &str, signed: &Signed) {
    use std::os::unix::fs::symlink;
    let home = folder.join(generation);
    std::fs::create_dir(&home).unwrap();
    std::fs::copy(&signed.chain, home.join("tls.crt")).unwrap();
    std::fs::copy(&signed.key, home.join("tls.key")).unwrap();
    let next = folder.join("..data_tmp");
    symlink(generation, &next).unwrap();
    std::fs::rename(&next, folder.join("..data")).unwrap();
    for file in ["tls.crt", "tls.key"] {
        drop(symlink(format!("..data/{file}"), folder.join(file)));
    }
}

#[tokio::test]
async fn a_swapped_symlink_is_a_renewal_that_is_seen_unasked() {
    let (authority, origin) = (Authority::new(), Origin::start().await);
    let folder = tempfile::tempdir().unwrap();
    let mut first = authority.sign("app.example.com");
    publish(folder.path(), "..one", &first);
    let next = authority.sign_as(
        "next",
        &CertificateParams::new(vec!["app.example.com".to_owned()]).unwrap(),
    );
    first.chain = folder.path().join("tls.crt");
    first.key = folder.path().join("tls.key");
    let proxy = Setup::front(&origin)
        .with(&listener(&first, ""))
        .start()
        .await;

    publish(folder.path(), "..two", &next);

    let seen = tokio::time::timeout(3 * PATIENCE, async {
        loop {
            let stream = connect(&client(&authority, None), &proxy).await.unwrap();
            if shown(&stream) == next.certificate.to_vec() {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    });
    seen.await.expect("the new certificate");
}

#[tokio::test]
async fn a_host_that_the_certificate_does_not_cover_is_misdirected_where_that_is_asked_for() {
    let (authority, origin) = (Authority::new(), Origin::start().await);
    let server = authority.sign("app.example.com");
    let strict = Setup::front(&origin).with(&listener(&server, "misdirected: refuse"));
    let lax = Setup::front(&origin).with(&listener(&server, ""));
    let (strict, lax) = (strict.start().await, lax.start().await);

    for (proxy, host, expected) in [
        (&strict, "app.example.com", 200),
        (&strict, "app.example.com:8443", 200),
        (&strict, "other.example.com", 421),
        (&lax, "other.example.com", 200),
    ] {
        let stream = connect(&client(&authority, None), proxy).await.unwrap();
        let reply = send_over(stream, request("GET", "/", &[("host", host)])).await;
        assert_eq!(reply.status, expected, "{host}");
        if expected == 421 {
            assert_eq!(reply.json()["code"], "misdirected");
        }
    }
}

#[tokio::test]
async fn an_old_version_is_not_spoken_where_a_newer_one_is_asked_for() {
    let (authority, origin) = (Authority::new(), Origin::start().await);
    let server = authority.sign("app.example.com");
    let proxy = Setup::front(&origin)
        .with(&listener(&server, "min_version: '1.3'"))
        .start()
        .await;
    let of = |version| {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[version])
            .unwrap();
        Arc::new(
            builder
                .with_root_certificates(authority.roots())
                .with_no_client_auth(),
        )
    };

    assert_eq!(
        status(&of(&rustls::version::TLS13), &proxy).await,
        Some(200)
    );
    assert_eq!(status(&of(&rustls::version::TLS12), &proxy).await, None);
    // No handshake was cut for what it sent.
    assert!(
        !get(proxy.admin, "/metrics", &[("host", "localhost")])
            .await
            .text()
            .contains(&cut("x"))
    );
}

#[tokio::test]
async fn a_policy_knows_a_client_by_a_name_of_its_certificate() {
    let (authority, origin) = (Authority::new(), Origin::start().await);
    let server = authority.sign("app.example.com");
    let shop = workload(&authority, "shop", SHOP);
    let other = workload(&authority, "other", "spiffe://prod.example/other");
    let tls = format!(
        "client: {{ca: '{}', mode: optional}}",
        authority.ca().display()
    );
    let proxy = Setup::front(&origin)
        .with(&listener(&server, &tls))
        .with(&format!(
            "auth: {{mesh: {{client_cert: {{san: ['{SHOP}']}}}}}}"
        ))
        .with("default_auth: mesh")
        .start()
        .await;

    assert_eq!(
        status(&client(&authority, Some(&shop)), &proxy).await,
        Some(200)
    );
    assert_eq!(
        status(&client(&authority, Some(&other)), &proxy).await,
        Some(403)
    );
    assert_eq!(status(&client(&authority, None), &proxy).await, Some(403));
}
