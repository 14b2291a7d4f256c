//! TLS on both sides, and the PROXY protocol.

use super::Compiler;
use crate::config::decode::Spanned;
use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::raw;
use crate::config::scalar::{self, Misread};
use crate::listener::ProxyProtocol;
use crate::tls::{
    CertificateFiles, ClientAuth, ClientTls, IdentityHeader, NamePattern, ServerTls, TlsVersion,
};
use std::path::PathBuf;
use std::sync::Arc;

pub(super) fn listener(
    written: Option<&raw::ListenerTls>,
    compiler: &mut Compiler<'_>,
) -> Option<ServerTls> {
    let written = written?;
    let certificates: Vec<_> = written
        .certificates
        .iter()
        .filter_map(|certificate| compiler.certificate(&certificate.value))
        .map(|(chain, key)| CertificateFiles { chain, key })
        .collect();
    Some(ServerTls {
        certificates,
        client: written
            .client
            .as_ref()
            .map(|client| clients(client, compiler)),
        min_version: version(written.min_version),
        refuses_misdirected: written.misdirected == Some(raw::Misdirected::Refuse),
    })
}

fn clients(written: &raw::ClientCertificates, compiler: &mut Compiler<'_>) -> ClientAuth {
    let ca = written.ca.0.iter();
    let ca: Vec<PathBuf> = ca
        .filter_map(|file| compiler.authority(Some(file)))
        .collect();
    let crl = written.crl.0.iter();
    ClientAuth {
        crl: crl.filter_map(|file| compiler.revocations(file)).collect(),
        ca,
        required: written.mode.unwrap_or_default() == raw::ClientMode::Required,
        allow: names(&written.allow, compiler),
        header: written.header.map(|header| match header {
            raw::IdentityHeader::XForwardedClientCert => IdentityHeader::ForwardedClientCert,
            raw::IdentityHeader::ClientCert => IdentityHeader::ClientCert,
        }),
    }
}

pub(super) fn upstream(written: &raw::UpstreamTls, compiler: &mut Compiler<'_>) -> ClientTls {
    if let (Some(name), [_, ..]) = (&written.server_name, written.allow.as_slice()) {
        let message = "`server_name` verifies nothing beside `allow`";
        let diagnostic = Diagnostic::at(Code::NoEffect, &name.span, message);
        compiler.tell(diagnostic.label("it is asked for, and any allowed name may answer"));
    }
    ClientTls {
        ca: compiler.authority(written.ca.as_ref()),
        identity: written
            .certificate
            .as_ref()
            .and_then(|files| compiler.certificate(files)),
        server_name: written.server_name.as_ref().and_then(|name| {
            let read = scalar::host_name(&name.value.0);
            compiler.value(&name.span, Code::Host, read).map(Arc::from)
        }),
        allow: names(&written.allow, compiler),
        min_version: version(written.min_version),
    }
}

fn version(written: Option<raw::TlsVersion>) -> TlsVersion {
    match written.unwrap_or_default() {
        raw::TlsVersion::Tls12 => TlsVersion::Tls12,
        raw::TlsVersion::Tls13 => TlsVersion::Tls13,
    }
}

pub(super) fn names(
    written: &[Spanned<raw::NameText>],
    compiler: &mut Compiler<'_>,
) -> Vec<NamePattern> {
    let read = written.iter().filter_map(|name| {
        let pattern = name.value.0.parse::<NamePattern>();
        let pattern = pattern.map_err(|bad| {
            Misread::new("this is not a certificate's name")
                .label(bad.0)
                .help("such as `spiffe://prod.example/ns/shop/*` or `*.internal.example`")
        });
        compiler.value(&name.span, Code::Host, pattern)
    });
    read.collect()
}

pub(super) fn proxy_protocol(
    written: Option<&raw::ProxyProtocol>,
    compiler: &mut Compiler<'_>,
) -> Option<ProxyProtocol> {
    written.map(|written| ProxyProtocol {
        from: compiler.networks(&written.from),
        required: written.required.unwrap_or(true),
    })
}
