"""Envoy before edgespan and Envoy behind it: one trace, each hop the child of the one before."""

import json

import envoy_config
import programs
from harness import curl, expect, free_port, get, listens, scenario, until
from scenarios.faults import Faulty

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"


def start(world, service, upstream_port, sampling=100, http2=False, retries=0):
    """An Envoy with its OpenTelemetry tracer, SERVER and CLIENT span; the port it listens on."""
    port = free_port()
    run(world, service, port, upstream_port, sampling, http2, retries)
    return port


def run(world, service, port, upstream_port, sampling=100, http2=False, retries=0):
    """The same, on a port that is known before."""
    file = world.folder / f"envoy-{port}.json"
    receiver_port = int(world.receiver.http_endpoint.rpartition(":")[2])
    config = envoy_config.gateway(
        service, port, upstream_port, http2=http2, otlp_port=receiver_port, sampling=sampling,
        spans_in_export=1, retries=retries,
    )  # fmt: skip
    file.write_text(json.dumps(config))
    command = [programs.envoy(), "--config-path", file, "--concurrency", "1"]
    command += ["--disable-hot-restart", "--log-level", "warning"]
    return world.program(service, command).ready(lambda: listens(port))


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


@scenario
def an_envoy_that_goes_away_and_comes_back_costs_no_request(world):
    origin_port = int(world.origin.url.rpartition(":")[2])
    ports = [free_port(), free_port()]
    behind = [run(world, f"behind-{port}", port, origin_port) for port in ports]
    edge = world.edgespan(world.gateway(upstream={
        "endpoints": [f"http://127.0.0.1:{port}" for port in ports],
        "health": {"http": {"path": "/status/200"}, "interval": "200ms", "timeout": "2s",
                   "healthy": 2, "unhealthy": 2},
        "retries": {"attempts": 1, "on": ["connect", "reset", "503"]},
    }))  # fmt: skip
    before = start(world, "before", edge.port)
    url = f"http://127.0.0.1:{before}/orders/7"
    asked = 0

    def served(condition):
        """Asks until that is so; every answer has to be good."""
        nonlocal asked
        expect(get(url)[0], 200, f"status of request {asked}")
        asked += 1
        return condition()

    until(lambda: served(lambda: endpoints(edge) == (2, 0) and asked > 20), "both are well")
    expect(behind[0].stop(), 0, "exit code of Envoy")
    until(lambda: served(lambda: endpoints(edge) == (1, 1)), "one is found out")
    gone = asked
    until(lambda: served(lambda: asked > gone + 20), "the other one serves")
    run(world, f"behind-{ports[0]}", ports[0], origin_port)
    until(lambda: served(lambda: endpoints(edge) == (2, 0)), "it is back")
    world.receiver.forget()
    again = f"behind-{ports[0]}"
    until(lambda: served(lambda: again in services(world)), "it gets requests again")


def services(world):
    """Whose spans have arrived."""
    return {span.service for span in world.receiver.spans()}


def endpoints(edge):
    """How many endpoints are available, and how many unhealthy."""
    _, page = get(edge.admin + "/upstreams?format=json")
    states = [one["state"] for one in endpoints_in(json.loads(page))]
    return states.count("available"), states.count("unhealthy")


def endpoints_in(page):
    """Every endpoint of every upstream of the page."""
    return [one for upstream in page["upstreams"] for one in upstream["endpoints"]]


@scenario
def a_repeated_request_has_an_edge_for_each_attempt(world):
    origin_port = int(world.origin.url.rpartition(":")[2])
    # The first Envoy has nobody behind it and answers 503.
    lost, good = start(world, "lost", free_port()), start(world, "good", origin_port)
    edge = world.edgespan(world.gateway(upstream={
        "endpoints": [f"http://127.0.0.1:{port}" for port in (lost, good)],
        "retries": {"attempts": 1, "on": ["503"], "budget": 1.0},
    }))  # fmt: skip
    before = start(world, "before", edge.port)

    for _ in range(2):
        expect(curl(world, f"http://127.0.0.1:{before}/orders/7").status, 200, "status")

    spans = world.receiver.wait(lambda span: span.service == "edge", 2 + 3)
    [again] = [one for one in spans if "http.request.resend_count" in one.attributes]
    expect(again.attributes["http.request.resend_count"], 1, "resend count")
    [first] = [
        one for one in spans
        if one.parent_span_id == again.parent_span_id and one.span_id != again.span_id
    ]  # fmt: skip
    expect(first.attributes["http.response.status_code"], 503, "status of the first attempt")
    for service, attempt in [("lost", first), ("good", again)]:
        [server] = world.receiver.wait(
            lambda span, service=service, attempt=attempt: span.service == service
            and span.kind == "SERVER" and span.parent_span_id == attempt.span_id
        )  # fmt: skip
        expect(server.trace_id, attempt.trace_id, f"trace of {service}")


@scenario
def what_envoy_repeats_has_an_edge_for_each_attempt(world):
    origin = world.keep(Faulty(free_port()))
    edge = world.edgespan(world.gateway(endpoint=origin.url))
    before = start(world, "before", edge.port, retries=1)

    answer = curl(world, f"http://127.0.0.1:{before}/reset-before-the-head")

    expect(answer.status, 502, "status")
    spans = world.receiver.wait(lambda span: span.service == "edge", 4)
    servers = [span for span in spans if span.kind == "SERVER"]
    expect(len(servers), 2, "SERVER spans")
    expect(len({span.trace_id for span in servers}), 1, "traces")
    attempts = world.receiver.wait(lambda span: span.service == "before", 2)
    known = {span.span_id for span in attempts}
    assert {span.parent_span_id for span in servers} <= known, "an attempt without its parent"
    expect({span.attributes["error.type"] for span in spans}, {"connection_reset"}, "errors")
