"""Envoy before edgespan and Envoy behind it: one trace, each hop the child of the one before."""

import json

import envoy_config
import programs
from harness import curl, expect, free_port, listens, scenario

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"


def start(world, service, upstream_port, sampling=100, http2=False):
    """An Envoy with its OpenTelemetry tracer, SERVER and CLIENT span; the port it listens on."""
    port = free_port()
    file = world.folder / f"envoy-{port}.json"
    receiver_port = int(world.receiver.http_endpoint.rpartition(":")[2])
    config = envoy_config.gateway(
        service, port, upstream_port, http2=http2, otlp_port=receiver_port, sampling=sampling,
        spans_in_export=1,
    )  # fmt: skip
    file.write_text(json.dumps(config))
    command = [programs.envoy(), "--config-path", file, "--concurrency", "1"]
    command += ["--disable-hot-restart", "--log-level", "warning"]
    world.program(service, command).ready(lambda: listens(port))
    return port


class Chain:
    """curl, Envoy, edgespan, Envoy, origin."""

    def __init__(self, world, sampling=100, http2=False):
        self.world = world
        origin_port = int(world.origin.url.rpartition(":")[2])
        behind = start(world, "behind", origin_port)
        scheme = "h2c" if http2 else "http"
        self.edge = world.edgespan(world.gateway(endpoint=f"{scheme}://127.0.0.1:{behind}"))
        before = start(world, "before", self.edge.port, sampling, http2)
        self.url = f"http://127.0.0.1:{before}/orders/7"

    def spans(self):
        """The six spans, in the order of the hops."""
        world = self.world
        found = {}
        for service in ["before", "edge", "behind"]:
            spans = world.receiver.wait(lambda span, service=service: span.service == service, 2)
            kinds = sorted(span.kind for span in spans)
            expect(kinds, ["CLIENT", "SERVER"], f"kinds of {service}")
            for span in spans:
                found[service, span.kind] = span
        return [
            found[service, kind]
            for service in ["before", "edge", "behind"]
            for kind in ["SERVER", "CLIENT"]
        ]


def is_one_chain(spans):
    """Each span is the child of the one before it, all in one trace."""
    for parent, child in zip(spans, spans[1:]):
        who = f"{child.service} {child.kind}"
        expect(child.trace_id, parent.trace_id, f"trace of {who}")
        expect(child.parent_span_id, parent.span_id, f"parent of {who}")


@scenario
def one_trace_runs_through_both_envoys(world):
    chain = Chain(world)

    answer = curl(
        world, "-H", f"traceparent: 00-{TRACE}-{CALLER}-01",
        "-H", "tracestate: vendor=one,other=two", "-H", "baggage: tenant=7;p , k=v", chain.url,
    )  # fmt: skip

    expect(answer.status, 200, "status")
    spans = chain.spans()
    expect((spans[0].trace_id, spans[0].parent_span_id), (TRACE, CALLER), "first span")
    is_one_chain(spans)
    [seen] = world.origin.requests
    expect(seen.header("traceparent"), [f"00-{TRACE}-{spans[-1].span_id}-01"], "traceparent")
    expect(seen.header("tracestate"), ["vendor=one,other=two"], "tracestate")
    expect(seen.header("baggage"), ["tenant=7;p , k=v"], "baggage")
    expect(spans[2].trace_state, "vendor=one,other=two", "tracestate of edgespan's SERVER span")


@scenario
def one_trace_over_http_2(world):
    chain = Chain(world, http2=True)

    answer = curl(world, "--http2-prior-knowledge", chain.url)

    expect(answer.status, 200, "status")
    spans = chain.spans()
    is_one_chain(spans)
    expect(spans[2].attributes["network.protocol.version"], "2", "from Envoy")
    expect(spans[3].attributes["network.protocol.version"], "2", "to Envoy")


@scenario
def a_trace_that_envoy_begins_has_no_stale_state(world):
    # Envoy sends an empty `tracestate:` with a trace of its own.
    chain = Chain(world)

    expect(curl(world, chain.url).status, 200, "status")

    spans = chain.spans()
    is_one_chain(spans)
    expect(spans[0].parent_span_id, "", "parent of the first span")
    expect(spans[2].trace_state, "", "tracestate of edgespan's SERVER span")


@scenario
def what_envoy_did_not_sample_stays_out(world):
    chain = Chain(world, sampling=0)

    expect(curl(world, chain.url).status, 200, "status")

    [seen] = world.origin.requests
    [context] = seen.header("traceparent")
    assert context.endswith("-00"), context
    expect(chain.edge.finish().accepted, 0, "spans of edgespan")
    expect(world.receiver.spans(), [], "spans of anybody")


@scenario
def edgespan_alone_begins_the_trace_that_envoy_continues(world):
    origin_port = int(world.origin.url.rpartition(":")[2])
    behind = start(world, "behind", origin_port)
    edge = world.edgespan(world.gateway(endpoint=f"http://127.0.0.1:{behind}"))

    expect(curl(world, f"{edge.url}/orders/7").status, 200, "status")

    server, client = world.edges()
    spans = world.receiver.wait(lambda span: span.service == "behind", 2)
    by_kind = {span.kind: span for span in spans}
    is_one_chain([server, client, by_kind["SERVER"], by_kind["CLIENT"]])
