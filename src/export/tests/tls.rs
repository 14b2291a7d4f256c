//! TLS and client certificates towards a collector, on both wires.

use crate::export::exporter::Exporter;
use crate::export::reply::FailureKind;
use crate::export::settings::{OtlpSettings, Protocol, TlsSettings};
use crate::export::testing::collector::{Collector, Setup};
use crate::export::testing::{FAST, finished, names, settings};
use crate::trace::sink::SpanSink as _;
use bytes::Bytes;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;

const BOTH: [Protocol; 2] = [Protocol::HttpProtobuf, Protocol::Grpc];

/// An authority, a collector's certificate for 127.0.0.1, and a client's, in a folder.
struct Certificates {
    folder: TempDir,
    acceptor: TlsAcceptor,
}

impl Certificates {
    fn make() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let issue = |name: &str| {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
            (params.signed_by(&key, &authority).unwrap(), key)
        };
        let (server, server_key) = issue("127.0.0.1");
        let (client, client_key) = issue("client");

        let folder = TempDir::new().unwrap();
        let write =
            |name: &str, pem: String| std::fs::write(folder.path().join(name), pem).unwrap();
        write("ca.pem", authority.pem());
        write("client.pem", client.pem());
        write("client.key", client_key.serialize_pem());
        write("other.key", server_key.serialize_pem());
        write("empty.pem", String::new());

        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone()).unwrap();
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()
                .unwrap();
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(
                vec![server.der().clone()],
                PrivateKeyDer::try_from(server_key.serialize_der()).unwrap(),
            )
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Self {
            folder,
            acceptor: TlsAcceptor::from(Arc::new(config)),
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn collector(&self) -> Collector {
        Collector::with(Setup {
            tls: Some(self.acceptor.clone()),
            ..Setup::default()
        })
        .await
    }

    fn settings(&self, collector: &Collector, protocol: Protocol) -> OtlpSettings {
        let endpoint = format!("https://{}/v1/traces", collector.address());
        OtlpSettings {
            tls: TlsSettings {
                ca: Some(self.file("ca.pem")),
                identity: Some((self.file("client.pem"), self.file("client.key"))),
            },
            ..settings(&endpoint, protocol)
        }
    }
}

#[tokio::test]
async fn spans_arrive_over_mutual_tls() {
    for protocol in BOTH {
        let certificates = Certificates::make();
        let collector = certificates.collector().await;
        let settings = certificates.settings(&collector, protocol);
        let exporter = Exporter::start_with(&settings, b"", FAST).unwrap();

        exporter.accept(&finished(0..5));

        assert_eq!(collector.names(5).await, names(0..5), "{protocol:?}");
    }
}

#[tokio::test]
async fn without_the_right_certificates_nothing_is_sent_and_nothing_is_lost() {
    for protocol in BOTH {
        let certificates = Certificates::make();
        let stranger = Certificates::make();
        let collector = certificates.collector().await;
        let mut untrusting = certificates.settings(&collector, protocol);
        untrusting.tls.ca = Some(stranger.file("ca.pem"));
        let mut anonymous = certificates.settings(&collector, protocol);
        anonymous.tls.identity = None;

        for settings in [untrusting, anonymous] {
            let exporter = Exporter::start_with(&settings, b"", FAST).unwrap();
            exporter.accept(&finished(0..5));
            tokio::time::sleep(Duration::from_millis(100)).await;

            assert!(collector.seen().is_empty());
            assert_eq!(exporter.account().snapshot().pending, 5, "{protocol:?}");
            let (kind, failed) = exporter.stats().failures[0];
            assert!(kind == FailureKind::Connection && failed > 0);
        }
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_named() {
    let certificates = Certificates::make();
    let collector = certificates.collector().await;
    let file = |name| certificates.file(name);
    let identity = |chain, key| Some((file(chain), file(key)));
    let ca = Some(file("ca.pem"));
    for (ca, identity, named) in [
        (Some(file("none.pem")), None, "none.pem"),
        (Some(file("empty.pem")), None, "empty.pem"),
        (ca.clone(), identity("client.pem", "empty.pem"), "empty.pem"),
        (ca.clone(), identity("none.pem", "client.key"), "none.pem"),
        (ca.clone(), identity("client.pem", "other.key"), "other.key"),
    ] {
        let mut settings = certificates.settings(&collector, Protocol::Grpc);
        settings.tls = TlsSettings { ca, identity };

        let error = Exporter::start(&settings, Bytes::new()).unwrap_err();

        let chain: Vec<String> =
            std::iter::successors(Some(&error as &dyn std::error::Error), |error| {
                error.source()
            })
            .map(ToString::to_string)
            .collect();
        assert!(chain.iter().any(|cause| cause.contains(named)), "{chain:?}");
        assert!(!format!("{chain:?}").contains("PRIVATE KEY"), "{chain:?}");
    }
}
