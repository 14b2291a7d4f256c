"""OTLP as OpenTelemetry's own package reads it: over both protocols, in every encoding."""

from harness import curl, expect, get, scenario

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"


@scenario
def every_encoding_over_http(world):
    for compression in ["none", "gzip", "zstd"]:
        world.receiver.forget()
        otlp = {
            "endpoint": f"{world.receiver.http_endpoint}/v1/traces",
            "protocol": "http/protobuf",
            "compression": compression,
            "headers": {"x-api-key": "of the team"},
        }
        edge = world.edgespan(world.gateway(otlp=otlp))
        for _ in range(20):
            expect(get(edge.url)[0], 200, "status")

        expect(edge.finish_with_everything_exported().accepted, 40, "accepted")
        expect(len(world.receiver.spans()), 40, "spans")
        for export in world.receiver.exports:
            wanted = "identity" if compression == "none" else compression
            expect(export.encoding, wanted, "content-encoding")
            expect(export.headers.get("x-api-key"), "of the team", "header")
            assert "edgespan" in export.headers["user-agent"].lower(), export.headers


@scenario
def every_encoding_over_grpc(world):
    # zstd over gRPC is shown against the Collector: Python's gRPC does not know it.
    for compression in ["none", "gzip"]:
        world.receiver.forget()
        otlp = {"compression": compression, "headers": {"x-api-key": "of the team"}}
        edge = world.edgespan(world.gateway(otlp=otlp))
        for _ in range(20):
            expect(get(edge.url)[0], 200, "status")

        expect(edge.finish_with_everything_exported().accepted, 40, "accepted")
        expect(len(world.receiver.spans()), 40, "spans")
        for export in world.receiver.exports:
            expect(export.transport, "grpc", "transport")
            expect(export.headers.get("x-api-key"), "of the team", "metadata")


@scenario
def a_span_says_what_the_conventions_say(world):
    config = world.gateway(route={
        "match": {"path": "/orders/{order_id}", "methods": ["GET"]},
        "name": "order",
        "flow": "escrow",
        "feature_flags": {"new-checkout": "on"},
    })  # fmt: skip
    config["flows"] = {"escrow": {"attributes": {
        "order_id": {"path": "order_id", "type": "int"},
        "psp": {"request_header": "x-psp"},
    }}}  # fmt: skip
    edge = world.edgespan(config)

    curl(world, "-H", "x-psp: acme", "-H", f"traceparent: 00-{TRACE}-{CALLER}-01",
         f"{edge.url}/orders/7?page=2")  # fmt: skip

    server, client = world.edges()
    for span in (server, client):
        expect((len(span.trace_id), len(span.span_id)), (32, 16), "lengths of the ids")
        expect(span.resource["service.name"], "edge", "service.name")
        expect(span.resource["deployment.environment.name"], "interop", "environment")
        expect(span.scope[0], "edgespan", "scope")
        assert span.schema_url.endswith("/1.44.0"), span.schema_url
        expect(span.dropped_attributes, 0, "dropped attributes")
        expect(span.flags & 0xFF, 0x01, "W3C flags")
        expect(span.status, "UNSET", "status")
        holds(span, {
            "flow": "escrow",
            "feature_flags": ["new-checkout=on"],
            "feature_flags.new-checkout": "on",
            "http.request.method": "GET",
            "http.response.status_code": 200,
        })  # fmt: skip
    # Bit 8: it is known whether the parent is remote; bit 9: it is.
    expect(server.flags & 0x300, 0x300, "the parent of the SERVER span is remote")
    expect(client.flags & 0x300, 0x100, "the parent of the CLIENT span is not")
    expect(server.name, "GET /orders/{order_id}", "name of the SERVER span")
    holds(server, {
        "http.route": "/orders/{order_id}",
        "url.path": "/orders/7",
        "url.query": "page=2",
        "url.scheme": "http",
        "server.address": "127.0.0.1",
        "server.port": edge.port,
        "client.address": "127.0.0.1",
        "order_id": 7,
        "psp": "acme",
    })  # fmt: skip
    holds(client, {
        "url.full": f"{world.origin.url}/orders/7?page=2",
        "server.address": "127.0.0.1",
        "server.port": int(world.origin.url.rpartition(":")[2]),
        "service.peer.name": "content",
        "peer.service": "content",
    })  # fmt: skip


@scenario
def the_standard_variables_are_all_it_takes(world):
    config = world.gateway()
    del config["export"], config["service"]
    edge = world.edgespan(config, env={
        "OTEL_EXPORTER_OTLP_ENDPOINT": world.receiver.http_endpoint,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
        "OTEL_EXPORTER_OTLP_HEADERS": "x-api-key=of%20the%20team",
        "OTEL_SERVICE_NAME": "edge",
        "OTEL_RESOURCE_ATTRIBUTES": "team=a%2Cb,service.name=not-this",
        "OTEL_BSP_SCHEDULE_DELAY": "50",
    })  # fmt: skip

    curl(world, f"{edge.url}/")

    server, _ = world.edges()
    expect(server.resource["team"], "a,b", "resource attribute")
    [export, *_] = world.receiver.exports
    expect(export.encoding, "gzip", "content-encoding")
    expect(export.headers.get("x-api-key"), "of the team", "header")


@scenario
def without_a_receiver_requests_pass_and_the_loss_is_counted(world):
    world.receiver.stop()
    edge = world.edgespan()

    for _ in range(10):
        expect(get(edge.url)[0], 200, "status")

    account = edge.finish()
    expect(account.accepted, 20, "accepted")
    expect(account.dropped + account.pending, 20, "dropped, and said so")


def holds(span, wanted):
    """The span's attributes, each with value and type."""
    for key, text in wanted.items():
        actual = span.attributes.get(key)
        expect((actual, type(actual)), (text, type(text)), f"{key} of the {span.kind} span")
