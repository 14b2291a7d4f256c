//! The SERVER span of a request received: HTTP semantic conventions 1.44.0, server spans.

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
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// How the `User-Agent` of `edgespan probe` begins.
pub const SYNTHETIC_AGENT: &str = "edgespan-probe/";

/// What is known when a request's head has been read and routed.
#[derive(Clone, Copy, Debug)]
pub struct ServerStart<'a> {
    /// `http.request.method`
    pub method: &'a Method,
    /// `url.scheme`, as the client used it.
    pub scheme: &'a str,
    /// `server.address`: the host the client asked for, without brackets or port.
    pub server_address: &'a str,
    /// `server.port`
    pub server_port: Option<u16>,
    /// `url.path`
    pub path: &'a str,
    /// `url.query`, not yet redacted.
    pub query: Option<&'a str>,
    /// `client.address`, as trusted peers tell it.
    pub client_address: Option<IpAddr>,
    /// `network.peer.address` and `.port`; None on a Unix socket.
    pub peer: Option<SocketAddr>,
    /// `network.protocol.version`
    pub version: Version,
    /// `user_agent.original`
    pub user_agent: Option<&'a str>,
    /// `http.route`: the matched route's template.
    pub route_template: Option<&'a str>,
    /// `edgespan.route`: the matched route's name.
    pub route_name: Option<&'a str>,
    /// The route's own span name.
    pub span_name: Option<&'a Arc<str>>,
    /// `flow`
    pub flow: Option<&'a str>,
    /// `feature_flags` and its kin.
    pub flags: &'a FeatureFlags,
    /// Whether the request is gRPC, by its content type.
    pub is_grpc: bool,
}

/// What is known when the last byte has gone, or never will.
#[derive(Clone, Copy, Debug, Default)]
pub struct ServerEnd<'a> {
    /// The status that was sent.
    pub status: Option<u16>,
    /// What went wrong, if it was not the client's doing: a word of low cardinality.
    pub error_type: Option<&'a str>,
    /// The gRPC status that was sent.
    pub grpc_status: Option<GrpcStatus>,
    /// Whether the client left before the end. Leaving is its right, so that is no error.
    pub client_disconnected: bool,
    /// The upstream that answered, or was to.
    pub upstream: Option<&'a str>,
    /// How many attempts were made upstream; told from the second on.
    pub attempts: u32,
    /// Time spent in edgespan itself: all but waiting for the upstream and for the client.
    pub internal: Duration,
    /// Bytes of the request's body that were read.
    pub request_body_bytes: u64,
    /// Bytes of the response's body that were sent.
    pub response_body_bytes: u64,
    /// Of a gRPC call, messages that went by.
    pub messages: Option<Messages>,
    /// If the response was compressed here: how, and the bytes of its body before.
    pub compression: Option<(&'static str, u64)>,
}

/// Opens the span of a request.
pub fn start_server(
    settings: &TraceSettings,
    head: &Head,
    span_id: SpanId,
    at: Timestamp,
    start: &ServerStart<'_>,
) -> OpenSpan {
    let ids = SpanIds {
        trace_id: head.trace_id,
        span_id,
        parent: head.parent_span_id,
        parent_is_remote: head.parent_span_id.is_some(),
        flags: head.flags,
    };
    let method = settings.known_methods.text(start.method);
    let rpc_method = if start.is_grpc {
        rpc::method_of(start.path)
    } else {
        None
    };
    // Without a route a gRPC method is whatever the client wrote, so no name is made of it.
    let rpc_name = rpc_method.filter(|_| start.route_name.is_some());
    let name: &[&str] = match (start.span_name, rpc_name, start.route_template) {
        (Some(name), _, _) => &[name],
        (None, Some(rpc), _) => &[rpc],
        (None, None, Some(template)) => &[method.in_name, " ", template],
        (None, None, None) => &[method.in_name],
    };
    let mut span = OpenSpan::start(
        SpanKind::Server,
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
    write_ends(&mut span, start);
    if let Some(user_agent) = start.user_agent {
        span.str("user_agent.original", user_agent);
        if settings.synthetic && user_agent.starts_with(SYNTHETIC_AGENT) {
            span.str("user_agent.synthetic.type", "test");
        }
    }
    if let Some(template) = start.route_template {
        span.str("http.route", template);
    }
    if let Some(rpc_method) = rpc_method {
        span.str("rpc.system.name", "grpc");
        span.str("rpc.method", rpc_method);
    }
    if let Some(route) = start.route_name {
        span.str("edgespan.route", route);
    }
    if let Some(flow) = start.flow {
        span.str("flow", flow);
    }
    start.flags.write(&mut span);
    span.str("edgespan.sampling.reason", head.reason);
    span
}

fn write_url(span: &mut OpenSpan, settings: &TraceSettings, start: &ServerStart<'_>) {
    span.str("url.scheme", start.scheme);
    span.str("url.path", start.path);
    if let Some(query) = start.query.filter(|query| !query.is_empty()) {
        span.str("url.query", &settings.redaction.query(query));
    }
    if !start.server_address.is_empty() {
        span.str("server.address", start.server_address);
    }
    if let Some(port) = start.server_port {
        span.int("server.port", port.into());
    }
}

fn write_ends(span: &mut OpenSpan, start: &ServerStart<'_>) {
    if let Some(client) = start.client_address {
        span.str("client.address", AddressText::new(client).as_str());
    }
    if let Some(peer) = start.peer {
        span.str("network.peer.address", AddressText::new(peer.ip()).as_str());
        span.int("network.peer.port", peer.port().into());
    }
    if let Some(version) = protocol_version(start.version) {
        span.str("network.protocol.version", version);
    }
}

/// Writes how the request went. The caller then ends the span.
pub fn end_server(span: &mut OpenSpan, end: &ServerEnd<'_>) {
    if let Some(status) = end.status {
        span.int("http.response.status_code", status.into());
    }
    if let Some(status) = end.grpc_status {
        span.str("rpc.response.status_code", status.name());
    }
    let cause = end.error_type.filter(|_| !end.client_disconnected);
    if let Some(error) = ErrorType::of_server(end.status, end.grpc_status, cause) {
        error.write(span);
    }
    if end.client_disconnected {
        span.bool("edgespan.client_disconnected", true);
    }
    if let Some(upstream) = end.upstream {
        span.str("edgespan.upstream", upstream);
    }
    if end.attempts > 1 {
        span.int("edgespan.attempts", end.attempts.into());
    }
    span.int("http.request.body.size", saturated(end.request_body_bytes));
    span.int(
        "http.response.body.size",
        saturated(end.response_body_bytes),
    );
    if let Some(messages) = end.messages {
        messages.write(span);
    }
    if let Some((algorithm, bytes)) = end.compression {
        span.str("edgespan.compression.algorithm", algorithm);
        span.int("edgespan.compression.original_bytes", saturated(bytes));
    }
    span.double("edgespan.internal.duration", end.internal.as_secs_f64());
}

fn saturated(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::context::TraceState;
    use crate::trace::oracle::{START, ended, lines};
    use opentelemetry::trace::TraceId;
    use opentelemetry_proto::tonic::trace::v1::Span;

    fn head() -> Head {
        Head {
            trace_id: TraceId::from(1),
            parent_span_id: Some(SpanId::from(2)),
            flags: 1,
            state: TraceState::EMPTY,
            debug: false,
            record: true,
            reason: "parent",
            is_root: false,
        }
    }

    fn start(flags: &FeatureFlags) -> ServerStart<'_> {
        ServerStart {
            method: &Method::GET,
            scheme: "https",
            server_address: "app.example.com",
            server_port: Some(8443),
            path: "/api/v1/orders/7",
            query: None,
            client_address: None,
            peer: None,
            version: Version::HTTP_2,
            user_agent: None,
            route_template: Some("/api/v1/orders/{order_id}"),
            route_name: Some("orders"),
            span_name: None,
            flow: None,
            flags,
            is_grpc: false,
        }
    }

    fn span(start: &ServerStart<'_>, end: &ServerEnd<'_>) -> Span {
        let mut span = start_server(
            &TraceSettings::default(),
            &head(),
            SpanId::from(3),
            START,
            start,
        );
        end_server(&mut span, end);
        ended(span)
    }

    #[test]
    fn a_request_is_told_by_the_conventions_with_numbers_as_numbers() {
        let flags = [
            (Arc::from("checkout"), Arc::from("v2")),
            (Arc::from("dark"), Arc::from("on")),
        ];
        let flags = FeatureFlags::new(&flags, &TraceSettings::default().limits);
        let started = ServerStart {
            query: Some("page=2&token=abc"),
            client_address: Some("203.0.113.9".parse().unwrap()),
            peer: Some("[::ffff:10.0.0.1]:50000".parse().unwrap()),
            user_agent: Some("curl/8"),
            flow: Some("escrow"),
            ..start(&flags)
        };
        let done = ServerEnd {
            status: Some(200),
            upstream: Some("content"),
            attempts: 2,
            internal: Duration::from_micros(250),
            request_body_bytes: 3,
            response_body_bytes: 5,
            ..ServerEnd::default()
        };

        let span = span(&started, &done);

        assert_eq!(
            lines(&span),
            [
                "http.request.method=GET",
                "url.scheme=https",
                "url.path=/api/v1/orders/7",
                "url.query=page=2&token=REDACTED",
                "server.address=app.example.com",
                "server.port=8443",
                "client.address=203.0.113.9",
                "network.peer.address=10.0.0.1",
                "network.peer.port=50000",
                "network.protocol.version=2",
                "user_agent.original=curl/8",
                "http.route=/api/v1/orders/{order_id}",
                "edgespan.route=orders",
                "flow=escrow",
                "feature_flags=[checkout=v2, dark=on]",
                "feature_flags.checkout=v2",
                "feature_flags.dark=on",
                "edgespan.sampling.reason=parent",
                "http.response.status_code=200",
                "edgespan.upstream=content",
                "edgespan.attempts=2",
                "http.request.body.size=3",
                "http.response.body.size=5",
                "edgespan.internal.duration=0.00025",
            ]
        );
        assert_eq!(
            (span.name.as_str(), span.kind, span.status),
            ("GET /api/v1/orders/{order_id}", 2, None)
        );
        assert_eq!(
            (span.parent_span_id, span.flags),
            (SpanId::from(2).to_bytes().to_vec(), 0x301)
        );
    }

    #[track_caller]
    fn check_name(change: impl Fn(&mut ServerStart<'_>), expected: &str) {
        let flags = FeatureFlags::default();
        let mut start = start(&flags);
        change(&mut start);
        assert_eq!(span(&start, &ServerEnd::default()).name, expected);
    }

    #[test]
    fn a_name_never_holds_what_a_client_can_invent() {
        let odd = Method::from_bytes(b"BREW").unwrap();
        let own: Arc<str> = Arc::from("api.login");
        check_name(|_| {}, "GET /api/v1/orders/{order_id}");
        check_name(|start| start.route_template = None, "GET");
        check_name(
            |start| start.path = "/shop.Orders/Get",
            "GET /api/v1/orders/{order_id}",
        );
        let name = |change: &dyn Fn(&mut ServerStart<'_>)| {
            let flags = FeatureFlags::default();
            let mut start = start(&flags);
            start.path = "/shop.Orders/Get";
            start.is_grpc = true;
            change(&mut start);
            span(&start, &ServerEnd::default()).name
        };
        assert_eq!(name(&|_| {}), "shop.Orders/Get");
        assert_eq!(
            name(&|start| start.path = "/x"),
            "GET /api/v1/orders/{order_id}"
        );
        let unmatched = |start: &mut ServerStart<'_>| {
            (start.route_name, start.route_template) = (None, None);
        };
        assert_eq!(name(&unmatched), "GET");
        let flags = FeatureFlags::default();
        let brewing = ServerStart {
            method: &odd,
            ..start(&flags)
        };
        let brewed = span(&brewing, &ServerEnd::default());
        assert_eq!(brewed.name, "HTTP /api/v1/orders/{order_id}");
        assert!(lines(&brewed).contains(&"http.request.method_original=BREW".to_owned()));
        let named = ServerStart {
            span_name: Some(&own),
            ..start(&flags)
        };
        assert_eq!(span(&named, &ServerEnd::default()).name, "api.login");
    }

    #[track_caller]
    fn check_error(end: ServerEnd<'_>, expected: Option<&str>) {
        let flags = FeatureFlags::default();
        let span = span(&start(&flags), &end);
        let error_type = lines(&span)
            .into_iter()
            .find_map(|line| line.strip_prefix("error.type=").map(str::to_owned));
        assert_eq!(error_type.as_deref(), expected);
        assert_eq!(
            span.status.map(|status| (status.code, status.message)),
            expected.map(|_| (2, String::new()))
        );
    }

    #[test]
    fn a_client_that_left_is_no_error_but_a_5xx_stays_one() {
        let left = |status| ServerEnd {
            status,
            client_disconnected: true,
            error_type: Some("cancelled"),
            ..ServerEnd::default()
        };
        check_error(left(None), None);
        check_error(left(Some(200)), None);
        check_error(left(Some(503)), Some("503"));

        let flags = FeatureFlags::default();
        let span = span(&start(&flags), &left(None));
        assert!(lines(&span).contains(&"edgespan.client_disconnected=true".to_owned()));
    }

    #[test]
    fn flags_that_find_no_room_are_counted() {
        let flags = [
            (Arc::from("a"), Arc::from("1")),
            (Arc::from("b"), Arc::from("2")),
        ];
        let mut settings = TraceSettings::default();
        settings.limits.attribute_count_max = 12;
        let flags = FeatureFlags::new(&flags, &settings.limits);

        let span = ended(start_server(
            &settings,
            &head(),
            SpanId::from(3),
            START,
            &start(&flags),
        ));

        assert_eq!(
            (span.attributes.len(), span.dropped_attributes_count),
            (12, 0)
        );
        settings.limits.attribute_count_max = 9;
        let span = ended(start_server(
            &settings,
            &head(),
            SpanId::from(3),
            START,
            &start(&flags),
        ));
        assert_eq!(
            (span.attributes.len(), span.dropped_attributes_count),
            (9, 3)
        );
    }
}
