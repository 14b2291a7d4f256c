//! The CLIENT span of one attempt upstream: HTTP semantic conventions 1.44.0, client spans.
//!
//! One span for each attempt; all of them stand under the SERVER span. It ends with the last byte
//! of the response's body, so that a body cut short is seen.

use super::address::AddressText;
use super::error_type::ErrorType;
use super::flags::FeatureFlags;
use super::rpc::{self, GrpcStatus, Messages};
use super::sampler::Head;
use super::settings::{TraceSettings, protocol_version};
use super::span::{OpenSpan, SpanIds};
use crate::clock::Timestamp;
use http::{Method, Version};
use opentelemetry::trace::{SpanId, SpanKind};
use std::net::SocketAddr;

/// What is known before an attempt.
#[derive(Clone, Copy, Debug)]
pub struct ClientStart<'a> {
    /// `http.request.method`
    pub method: &'a Method,
    /// The scheme towards the upstream: `http` or `https`.
    pub scheme: &'a str,
    /// `server.address`: the endpoint's host without brackets or port, or a Unix socket's path.
    pub server_address: &'a str,
    /// `server.port`; None on a Unix socket.
    pub server_port: Option<u16>,
    /// The path that is sent.
    pub path: &'a str,
    /// The query that is sent, not yet redacted.
    pub query: Option<&'a str>,
    /// `service.peer.name`: the upstream's service.
    pub service: Option<&'a str>,
    /// `http.request.resend_count`: how many attempts there were before; told from one on.
    pub resend_count: u32,
    /// `flow`
    pub flow: Option<&'a str>,
    /// `feature_flags` and its kin.
    pub flags: &'a FeatureFlags,
    /// `url.template`: the route's template, if it is that of the path that is sent, too.
    pub template: Option<&'a str>,
    /// Whether the request is gRPC, by its content type.
    pub is_grpc: bool,
    /// Whether it is a copy for a shadow, whose answer nobody gets.
    pub is_mirror: bool,
}

/// What is known after an attempt.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClientEnd<'a> {
    /// The status that was received.
    pub status: Option<u16>,
    /// What went wrong: a word of low cardinality.
    pub error_type: Option<&'a str>,
    /// The gRPC status that was received.
    pub grpc_status: Option<GrpcStatus>,
    /// Whether we gave the attempt up because our own client had left. That is no error.
    pub cancelled_by_client: bool,
    /// `network.protocol.version` of the response.
    pub version: Option<Version>,
    /// `network.peer.address` and `.port`, once connected; None on a Unix socket.
    pub peer: Option<SocketAddr>,
    /// Of a gRPC call, messages that went by.
    pub messages: Option<Messages>,
}

/// Opens the span of an attempt, under the SERVER span `parent`.
pub fn start_client(
    settings: &TraceSettings,
    head: &Head,
    span_id: SpanId,
    parent: Option<SpanId>,
    at: Timestamp,
    start: &ClientStart<'_>,
) -> OpenSpan {
    let ids = SpanIds {
        trace_id: head.trace_id,
        span_id,
        parent,
        parent_is_remote: false,
        flags: head.flags,
    };
    let method = settings.known_methods.text(start.method);
    let rpc_method = if start.is_grpc {
        rpc::method_of(start.path)
    } else {
        None
    };
    let name: &[&str] = match (rpc_method, start.template) {
        (Some(rpc), _) => &[rpc],
        (None, Some(template)) => &[method.in_name, " ", template],
        (None, None) => &[method.in_name],
    };
    let mut span = OpenSpan::start(
        SpanKind::Client,
        ids,
        &head.state,
        name,
        at,
        &settings.limits,
    );
    span.str("http.request.method", method.method);
    if let Some(original) = method.original {
        span.str("http.request.method_original", original);
    }
    write_url(&mut span, settings, start);
    if let Some(service) = start.service {
        span.str("service.peer.name", service);
        if settings.peer_service {
            span.str("peer.service", service);
        }
    }
    if start.resend_count > 0 {
        span.int("http.request.resend_count", start.resend_count.into());
    }
    if let Some(rpc_method) = rpc_method {
        span.str("rpc.system.name", "grpc");
        span.str("rpc.method", rpc_method);
    }
    if let Some(flow) = start.flow {
        span.str("flow", flow);
    }
    start.flags.write(&mut span);
    if start.is_mirror {
        span.bool("edgespan.mirror", true);
    }
    span
}

fn write_url(span: &mut OpenSpan, settings: &TraceSettings, start: &ClientStart<'_>) {
    let host = start.server_address.trim_matches(['[', ']']);
    span.str("server.address", host);
    let default_port = match start.scheme {
        "https" => 443,
        _ => 80,
    };
    let shown_port = start.server_port.filter(|&port| port != default_port);
    let port = shown_port.map(AddressText::port);
    let port = port.as_ref().map(AddressText::as_str).unwrap_or_default();
    let query = settings.redaction.query(start.query.unwrap_or_default());
    let mark = if start.query.is_some() { "?" } else { "" };
    // A host with a colon is IPv6; one with a slash is a socket's path, and no host at all.
    let (open, shown, close) = match host {
        _ if host.contains('/') => ("", "localhost", ""),
        _ if host.contains(':') => ("[", host, "]"),
        _ => ("", host, ""),
    };
    let url = [
        start.scheme,
        "://",
        open,
        shown,
        close,
        port,
        start.path,
        mark,
        &query,
    ];
    span.str_parts("url.full", &url);
    if let Some(port) = start.server_port {
        span.int("server.port", port.into());
    }
    if let Some(template) = start.template {
        span.str("url.template", template);
    }
}

/// Writes how the attempt went. The caller then ends the span.
pub fn end_client(span: &mut OpenSpan, end: &ClientEnd<'_>) {
    if let Some(status) = end.status {
        span.int("http.response.status_code", status.into());
    }
    if let Some(status) = end.grpc_status {
        span.str("rpc.response.status_code", status.name());
    }
    if let Some(version) = end.version.and_then(protocol_version) {
        span.str("network.protocol.version", version);
    }
    if let Some(peer) = end.peer {
        span.str("network.peer.address", AddressText::new(peer.ip()).as_str());
        span.int("network.peer.port", peer.port().into());
    }
    if let Some(messages) = end.messages {
        messages.write(span);
    }
    // Of an attempt that was given up because our client had left, only a status that had come
    // already makes an error.
    let cause = end.error_type.filter(|_| !end.cancelled_by_client);
    if let Some(error) = ErrorType::of_client(end.status, end.grpc_status, cause) {
        error.write(span);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::context::TraceState;
    use crate::trace::oracle::{START, ended, lines};
    use opentelemetry::trace::TraceId;
    use opentelemetry_proto::tonic::trace::v1::Span;

    fn start(flags: &FeatureFlags) -> ClientStart<'_> {
        ClientStart {
            method: &Method::POST,
            scheme: "http",
            server_address: "127.0.0.1",
            server_port: Some(3000),
            path: "/orders/7",
            query: None,
            service: None,
            resend_count: 0,
            flow: None,
            flags,
            template: None,
            is_grpc: false,
            is_mirror: false,
        }
    }

    fn span(start: &ClientStart<'_>, end: &ClientEnd<'_>) -> Span {
        let head = Head {
            trace_id: TraceId::from(1),
            parent_span_id: Some(SpanId::from(2)),
            flags: 3,
            state: TraceState::EMPTY,
            debug: false,
            record: true,
            reason: "parent",
            is_root: false,
        };
        let parent = Some(SpanId::from(3));
        let mut span = start_client(
            &TraceSettings::default(),
            &head,
            SpanId::from(4),
            parent,
            START,
            start,
        );
        end_client(&mut span, end);
        ended(span)
    }

    #[test]
    fn an_attempt_is_told_by_the_conventions_with_numbers_as_numbers() {
        let flags = FeatureFlags::default();
        let started = ClientStart {
            query: Some("q=1&sig=abc"),
            service: Some("logic-router"),
            resend_count: 1,
            flow: Some("escrow"),
            template: Some("/orders/{id}"),
            ..start(&flags)
        };
        let done = ClientEnd {
            status: Some(201),
            version: Some(Version::HTTP_11),
            peer: Some("127.0.0.1:3000".parse().unwrap()),
            ..ClientEnd::default()
        };

        let span = span(&started, &done);

        assert_eq!(
            lines(&span),
            [
                "http.request.method=POST",
                "server.address=127.0.0.1",
                "url.full=http://127.0.0.1:3000/orders/7?q=1&sig=REDACTED",
                "server.port=3000",
                "url.template=/orders/{id}",
                "service.peer.name=logic-router",
                "peer.service=logic-router",
                "http.request.resend_count=1",
                "flow=escrow",
                "http.response.status_code=201",
                "network.protocol.version=1.1",
                "network.peer.address=127.0.0.1",
                "network.peer.port=3000",
            ]
        );
        assert_eq!(
            (span.name.as_str(), span.kind, span.status),
            ("POST /orders/{id}", 3, None)
        );
        assert_eq!(
            (span.parent_span_id, span.flags),
            (SpanId::from(3).to_bytes().to_vec(), 0x103)
        );
    }

    #[track_caller]
    fn check_url(scheme: &str, host: &str, port: Option<u16>, query: Option<&str>, expected: &str) {
        let flags = FeatureFlags::default();
        let started = ClientStart {
            scheme,
            server_address: host,
            server_port: port,
            query,
            ..start(&flags)
        };
        let lines = lines(&span(&started, &ClientEnd::default()));
        assert!(lines.contains(&format!("url.full={expected}")), "{lines:?}");
    }

    #[test]
    fn a_url_is_whole_and_shows_no_default_port() {
        check_url(
            "http",
            "a.example",
            Some(80),
            None,
            "http://a.example/orders/7",
        );
        check_url(
            "https",
            "a.example",
            Some(443),
            None,
            "https://a.example/orders/7",
        );
        check_url(
            "https",
            "a.example",
            Some(80),
            None,
            "https://a.example:80/orders/7",
        );
        check_url("http", "::1", Some(1), None, "http://[::1]:1/orders/7");
        check_url("http", "[::1]", Some(1), None, "http://[::1]:1/orders/7");
        check_url(
            "http",
            "/run/app.sock",
            None,
            None,
            "http://localhost/orders/7",
        );
        check_url(
            "http",
            "a",
            None,
            Some("token=x"),
            "http://a/orders/7?token=REDACTED",
        );
        check_url("http", "a", None, Some(""), "http://a/orders/7?");
    }

    #[track_caller]
    fn check_error(end: ClientEnd<'_>, expected: Option<&str>) {
        let flags = FeatureFlags::default();
        let span = span(&start(&flags), &end);
        let error_type = lines(&span)
            .into_iter()
            .find_map(|line| line.strip_prefix("error.type=").map(str::to_owned));
        assert_eq!(error_type.as_deref(), expected);
        assert_eq!(span.status.map(|status| status.code), expected.map(|_| 2));
    }

    #[test]
    fn an_attempt_given_up_because_the_client_left_is_no_error() {
        let left = |status| ClientEnd {
            status,
            error_type: Some("cancelled"),
            cancelled_by_client: true,
            ..ClientEnd::default()
        };
        check_error(left(None), None);
        check_error(left(Some(200)), None);
        check_error(left(Some(500)), Some("500"));
    }

    #[test]
    fn every_grpc_status_but_ok_is_an_error_and_names_the_span_by_its_method() {
        let grpc = |number| ClientEnd {
            status: Some(200),
            grpc_status: Some(GrpcStatus::from_number(number)),
            ..ClientEnd::default()
        };
        check_error(grpc(0), None);
        check_error(grpc(5), Some("NOT_FOUND"));

        let flags = FeatureFlags::default();
        let started = ClientStart {
            is_grpc: true,
            path: "/shop.Orders/Get",
            ..start(&flags)
        };
        let span = span(&started, &grpc(0));

        assert_eq!(span.name, "shop.Orders/Get");
        let lines = lines(&span);
        for line in [
            "rpc.system.name=grpc",
            "rpc.method=shop.Orders/Get",
            "rpc.response.status_code=OK",
        ] {
            assert!(lines.contains(&line.to_owned()), "{line}");
        }
    }
}
