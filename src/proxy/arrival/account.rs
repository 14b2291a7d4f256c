//! What is told of a request that arrived, and what was made of it.

use super::Arriving;
use crate::message::forwarded;
use crate::proxy::context::RequestContext;
use crate::verify::arrival::{Account, Body, Client, Context, SCHEMA, Tls};
use http::Version;
use std::net::IpAddr;

/// All that is known of it.
pub(super) fn account(
    context: &RequestContext,
    arriving: Arriving,
    upgrade: Option<String>,
    body: Option<Body>,
) -> Account {
    let conn = &context.conn;
    let proxied = (conn.ends.peer != conn.socket_peer).then(|| conn.ends.peer.to_string());
    let client = client(context, &arriving);
    let head = context.head.as_ref();
    Account {
        schema: SCHEMA.to_owned(),
        nonce: arriving.inquiry.nonce.to_string(),
        unix_seconds: context.watch.now().as_unix_nanos() / 1_000_000_000,
        edgespan: env!("CARGO_PKG_VERSION").to_owned(),
        listener: conn.listener.name.to_string(),
        peer: conn.socket_peer.to_string(),
        proxied_peer: proxied,
        http: version(context.version).to_owned(),
        tls: conn.tls.as_ref().map(|tls| Tls {
            version: tls.version.map(str::to_owned),
            alpn: tls.alpn.map(str::to_owned),
            sni: tls.sni.as_deref().map(str::to_owned),
        }),
        method: arriving.method.to_string(),
        path: arriving.path,
        query: arriving.query,
        authority: arriving.authority,
        upgrade,
        headers: arriving.lines.told,
        fidelity: arriving.lines.fidelity,
        removed: arriving.lines.removed,
        body,
        client,
        context: Context {
            valid: head.is_some_and(|head| head.parent_span_id.is_some()),
            trace_id: head.map(|head| head.trace_id.to_string()),
            span_id: head.map(|_| context.server_id.to_string()),
            recorded: context.records(),
        },
    }
}

fn client(context: &RequestContext, arriving: &Arriving) -> Client {
    let listener = &context.conn.listener;
    let peer = context.conn.ends.peer.ip().to_canonical();
    let peer_trusted = listener.trusted_proxies.trusts(peer);
    let named = [
        listener
            .cloudflare
            .as_ref()
            .filter(|peers| peers.trusts(peer))
            .map(|_| "cf-connecting-ip"),
        listener
            .client_address_header
            .as_ref()
            .map(|name| name.as_str()),
        Some("x-forwarded-for"),
        Some("forwarded"),
    ];
    let by = named.into_iter().flatten().find(|name| {
        let lines = arriving.lines.told.iter();
        let mut lines = lines.filter(|(other, _)| other.eq_ignore_ascii_case(name));
        lines.any(|(_, value)| forwarded::names(value, context.client))
    });
    Client {
        address: context.client.to_string(),
        peer_trusted,
        by: by
            .filter(|_| peer_trusted && is_another(context.client, peer))
            .map(str::to_owned),
        scheme: context.scheme.to_owned(),
    }
}

fn is_another(client: IpAddr, peer: IpAddr) -> bool {
    client.to_canonical() != peer
}

const fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    }
}
