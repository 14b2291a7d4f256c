"""Envoy in Envoy's words: one listener, one upstream and, if wanted, its OpenTelemetry tracer.

For the scenarios, where Envoy is a neighbour, and for the peer comparison, where it is a peer.
"""

TYPES = "type.googleapis.com/envoy"


def gateway(
    service, port, upstream_port, http2=False, otlp_port=None, sampling=100, spans_in_export=None,
    retries=0, authorizer_port=None,
):  # fmt: skip
    """The whole configuration. Every port is on loopback.

    `spans_in_export` spans make an export; none leaves that to Envoy, which takes five. A request
    that gets a 5xx, or no answer, is repeated up to `retries` times. An authorizer is asked about
    every request over HTTP, and says who the client is.
    """
    route = {"cluster": "next"}
    if retries:
        route["retry_policy"] = {"retry_on": "5xx", "num_retries": retries}
    manager = {
        "@type": f"{TYPES}.extensions.filters.network.http_connection_manager.v3"
                 ".HttpConnectionManager",
        "stat_prefix": service,
        "codec_type": "AUTO",
        "http_filters": [{
            "name": "envoy.filters.http.router",
            "typed_config": {"@type": f"{TYPES}.extensions.filters.http.router.v3.Router"},
        }],
        "route_config": {"virtual_hosts": [{
            "name": "all", "domains": ["*"],
            "routes": [{"match": {"prefix": "/"}, "route": route}],
        }]},
    }  # fmt: skip
    clusters = [cluster("next", upstream_port, http2)]
    if authorizer_port:
        manager["http_filters"].insert(0, asking("authorizer", authorizer_port))
        clusters.append(cluster("authorizer", authorizer_port, http2=False))
    if otlp_port:
        manager["tracing"] = tracing(service, otlp_port, sampling)
        clusters.append(cluster("otlp", otlp_port, http2=False))
    listener = {
        "address": address(port),
        "filter_chains": [{"filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": manager,
        }]}],
    }  # fmt: skip
    runtime = {"tracing.opentelemetry.min_flush_spans": spans_in_export}
    static = {name: setting for name, setting in runtime.items() if setting is not None}
    return {
        "static_resources": {"listeners": [listener], "clusters": clusters},
        "layered_runtime": {"layers": [{"name": "static", "static_layer": static}]},
    }


def asking(name, port):
    """The filter that asks an authorizer over HTTP, told what others are told by themselves."""
    sent = ["cookie", "traceparent", "tracestate", "baggage"]
    return {
        "name": "envoy.filters.http.ext_authz",
        "typed_config": {
            "@type": f"{TYPES}.extensions.filters.http.ext_authz.v3.ExtAuthz",
            "transport_api_version": "V3",
            "allowed_headers": {"patterns": [{"exact": header} for header in sent]},
            "http_service": {
                "server_uri": {
                    "uri": f"http://127.0.0.1:{port}", "cluster": name, "timeout": "2s",
                },
                "path_prefix": "/auth",
                "authorization_response": {
                    "allowed_upstream_headers": {"patterns": [{"exact": "x-auth-user"}]},
                },
            },
        },
    }  # fmt: skip


def tracing(service, otlp_port, sampling):
    """SERVER and CLIENT span of every request, exported over OTLP/HTTP."""
    tracer = {
        "@type": f"{TYPES}.config.trace.v3.OpenTelemetryConfig",
        "service_name": service,
        "http_service": {"http_uri": {
            "uri": f"http://127.0.0.1:{otlp_port}/v1/traces", "cluster": "otlp", "timeout": "2s",
        }},
    }  # fmt: skip
    return {
        "provider": {"name": "envoy.tracers.opentelemetry", "typed_config": tracer},
        "spawn_upstream_span": True,
        "random_sampling": {"value": sampling},
    }


def address(port):
    """A loopback address."""
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def cluster(name, port, http2):
    """One upstream with one endpoint."""
    protocol = {"http2_protocol_options": {}} if http2 else {"http_protocol_options": {}}
    options = {
        "@type": f"{TYPES}.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": protocol,
    }
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": name, "endpoints": [
            {"lb_endpoints": [{"endpoint": {"address": address(port)}}]}
        ]},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options,
        },
    }  # fmt: skip
