//! Certificates that are rotated or revoked while clients come back.

use super::certificates::{SHOP, client, connect, listener, replace, status, workload};
use crate::support::client::{get, request, send_over};
use crate::support::origin::Origin;
use crate::support::proxy::{Proxy, Setup};
use crate::tls::{Authority, Signed, provider};
use rcgen::{CertificateParams, CertificateRevocationListParams, RevokedCertParams, SerialNumber};
use rustls::ClientConfig;
use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;
use std::sync::{Arc, Mutex};

async fn resumes(config: &Arc<ClientConfig>, proxy: &Proxy) -> bool {
    let stream = connect(config, proxy).await.unwrap();
    let kind = stream.get_ref().1.handshake_kind();
    // Tickets of TLS 1.3 come with the answer.
    send_over(stream, request("GET", "/", &[])).await;
    kind == Some(rustls::HandshakeKind::Resumed)
}

#[tokio::test]
async fn sessions_survive_a_renewal() {
    let (authority, origin) = (Authority::new(), Origin::start().await);
    let server = authority.sign("app.example.com");
    let proxy = Setup::front(&origin)
        .with(&listener(&server, ""))
        .start()
        .await;
    let config = client(&authority, None);
    assert!(!resumes(&config, &proxy).await);
    assert!(resumes(&config, &proxy).await);

    let next = authority.sign_as(
        "next",
        &CertificateParams::new(vec!["app.example.com".to_owned()]).unwrap(),
    );
    replace(&server, &next);
    proxy.renew_certificates().await;

    assert!(resumes(&config, &proxy).await);
}

#[tokio::test]
async fn a_reload_that_changes_tls_does_not_tell_a_certificates_end_twice() {
    let (authority, origin) = (Authority::new(), Origin::start().await);
    let server = authority.sign("app.example.com");
    let setup = |more: &str| Setup::front(&origin).with(&listener(&server, more));
    let mut proxy = setup("").start().await;

    proxy.reload(setup("min_version: '1.3'")).await.unwrap();

    let page = get(proxy.admin, "/metrics", &[("host", "localhost")]).await;
    let page = page.text();
    let series = page
        .lines()
        .filter(|line| line.starts_with("edgespan_certificate_expiry_seconds{"));
    assert_eq!(series.count(), 1, "{page}");
}

/// A client whose certificate is rotated while it runs, as workloads' are.
#[derive(Debug)]
struct Rotating(Mutex<Arc<CertifiedKey>>);

impl Rotating {
    fn showing(shown: &Signed) -> Arc<CertifiedKey> {
        let chain = vec![shown.certificate.clone()];
        Arc::new(CertifiedKey::from_der(chain, shown.private.clone_key(), &provider()).unwrap())
    }
}

impl ResolvesClientCert for Rotating {
    fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.lock().unwrap()))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn a_clients_new_certificate_counts_and_no_ticket_of_the_old_one() {
    let (authority, origin) = (Authority::new(), Origin::start().await);
    let server = authority.sign("app.example.com");
    let (old, new) = (format!("{SHOP}/old"), format!("{SHOP}/new"));
    let tls = format!(
        "client: {{ca: '{}', header: x-forwarded-client-cert}}",
        authority.ca().display()
    );
    let proxy = Setup::front(&origin)
        .with(&listener(&server, &tls))
        .start()
        .await;
    let first = Rotating::showing(&workload(&authority, "old", &old));
    let rotating = Arc::new(Rotating(Mutex::new(first)));
    let mut config = ClientConfig::clone(&client(&authority, None));
    config.client_auth_cert_resolver = Arc::clone(&rotating) as Arc<_>;
    let config = Arc::new(config);

    assert!(!resumes(&config, &proxy).await);
    *rotating.0.lock().unwrap() = Rotating::showing(&workload(&authority, "new", &new));
    assert!(!resumes(&config, &proxy).await);

    let told: Vec<_> = origin
        .received()
        .iter()
        .map(|one| one.one("x-forwarded-client-cert").to_owned())
        .collect();
    assert!(told[0].ends_with(&format!("URI={old}")), "{told:?}");
    assert!(told[1].ends_with(&format!("URI={new}")), "{told:?}");
}

/// What an authority takes back, with one serial number in it.
fn revoking(authority: &Authority, serial: u8) -> String {
    let now = rcgen::date_time_ymd(2024, 1, 1);
    let parameters = CertificateRevocationListParams {
        this_update: now,
        next_update: rcgen::date_time_ymd(2090, 1, 1),
        crl_number: SerialNumber::from(1_u64),
        issuing_distribution_point: None,
        revoked_certs: vec![RevokedCertParams {
            serial_number: SerialNumber::from(vec![serial]),
            revocation_time: now,
            reason_code: None,
            invalidity_date: None,
        }],
        key_identifier_method: rcgen::KeyIdMethod::Sha256,
    };
    authority.revoke(parameters)
}

#[tokio::test]
async fn a_list_of_revocations_that_is_being_written_leaves_the_old_one_in_force() {
    let (authority, origin) = (Authority::new(), Origin::start().await);
    let server = authority.sign("app.example.com");
    let with_serial = |serial: u8| {
        let mut parameters = CertificateParams::new(vec!["shop.example.com".to_owned()]).unwrap();
        parameters.serial_number = Some(SerialNumber::from(vec![serial]));
        client(&authority, Some(&authority.sign_as("shop", &parameters)))
    };
    let (revoked, good) = (with_serial(7), with_serial(8));
    let list = authority.folder.path().join("revoked.pem");
    let whole = revoking(&authority, 7);
    std::fs::write(&list, &whole).unwrap();
    let tls = format!(
        "client: {{ca: '{}', crl: '{}'}}",
        authority.ca().display(),
        list.display()
    );
    let proxy = Setup::front(&origin)
        .with(&listener(&server, &tls))
        .start()
        .await;

    for written in ["", &whole[..whole.len() / 2], &whole] {
        std::fs::write(&list, written).unwrap();
        proxy.renew_certificates().await;
        assert_eq!(status(&revoked, &proxy).await, None);
        assert_eq!(status(&good, &proxy).await, Some(200));
    }
    // And it is read when it is there.
    std::fs::write(&list, revoking(&authority, 8)).unwrap();
    proxy.renew_certificates().await;
    assert_eq!(status(&revoked, &proxy).await, Some(200));
    assert_eq!(status(&good, &proxy).await, None);
}
