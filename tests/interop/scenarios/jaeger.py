"""Jaeger: takes edgespan's spans, and `edgespan trace` asks it for them."""

import json
import subprocess
import urllib.parse

import programs
from harness import clean_environment, curl, expect, free_port, get, scenario, until

ROUTE = "/orders/{order_id}"


class Jaeger:
    """The real one, its spans in memory."""

    def __init__(self, world):
        self.otlp, query = free_port(), free_port()
        self.url = f"http://127.0.0.1:{query}"
        listen = {
            "query.http-server": query,
            "query.grpc-server": free_port(),
            "collector.otlp.grpc": self.otlp,
            "collector.otlp.http": free_port(),
            "collector.grpc-server": free_port(),
            "collector.http-server": free_port(),
            "admin.http": free_port(),
        }
        flags = [f"--{name}.host-port=127.0.0.1:{port}" for name, port in listen.items()]
        environment = {**clean_environment(), "SPAN_STORAGE_TYPE": "memory"}
        jaeger = world.program("jaeger", [programs.jaeger(), *flags], environment)
        # Nothing of it is to be kept, and by itself it takes ten seconds to end.
        world.keep(Gone(jaeger.process))
        jaeger.ready(lambda: get(self.url + "/api/services")[0] == 200)


class Gone:
    """A process that is ended without a word."""

    def __init__(self, process):
        self.stop = process.kill


def edge(world, jaeger):
    """A gateway that exports to it."""
    config = world.gateway(
        otlp={"endpoint": f"http://127.0.0.1:{jaeger.otlp}", "protocol": "grpc"},
        route={"flow": "escrow", "match": {"path": ROUTE}},
    )
    config["flows"] = {"escrow": {}}
    return world.edgespan(config)


def trace(world, url, *words):
    """`edgespan trace`, and how it ended."""
    command = [world.edgespan_program, "trace", *words, "--url", url]
    environment = {**clean_environment(), "TZ": "UTC", "LANG": "C.UTF-8"}
    return subprocess.run(command, capture_output=True, text=True, timeout=30, env=environment)


def found(world, url, *words):
    """The traces that `find` tells."""
    ended = trace(world, url, "find", "--json", *words)
    expect(ended.returncode, 0, f"exit code ({ended.stderr})")
    return json.loads(ended.stdout)


@scenario
def a_trace_is_the_same_in_jaeger_and_in_edgespan(world):
    jaeger = Jaeger(world)
    proxy = edge(world, jaeger)
    expect(curl(world, f"{proxy.url}/orders/7").status, 200, "answer")

    rows = until(lambda: found(world, jaeger.url, "--service", "edge"), "the trace in Jaeger")

    [row] = rows
    expect(row["rootTraceName"], f"GET {ROUTE}", "name of the root")
    expect(row["spanCount"], 2, "spans")
    expect(row["statusCode"], 200, "status")
    expect(row["flow"], "escrow", "flow")
    [own] = found(world, proxy.admin)
    for member in ["traceID", "rootTraceName", "rootServiceName", "spanCount", "statusCode", "flow"]:
        expect(own[member], row[member], f"{member} of edgespan's own")
    # As much of an id as a person copies; then everything, with its types.
    shown = []
    for url in [jaeger.url, f"jaeger+{jaeger.url}", proxy.admin]:
        ended = trace(world, url, "show", row["traceID"][:8], "--otlp")
        expect(ended.returncode, 0, f"exit code ({ended.stderr})")
        shown.append(spans(json.loads(ended.stdout)))
    expect(shown[0], shown[2], "spans in Jaeger and in edgespan")
    expect(shown[0], shown[1], "spans of a backend that is named")


def spans(document):
    """What OTLP in JSON says of each span, by its id."""
    found = {}
    for group in document["resourceSpans"]:
        for scope in group["scopeSpans"]:
            for span in scope["spans"]:
                attributes = {one["key"]: one["value"] for one in span["attributes"]}
                # How Jaeger remembers the way by which a span came.
                attributes.pop("internal.span.format", None)
                told = ["name", "kind", "startTimeUnixNano", "parentSpanId"]
                found[span["spanId"]] = ({name: span.get(name) for name in told}, attributes)
    expect(len(found), 2, "spans")
    return found


@scenario
def jaeger_is_searched_by_every_condition(world):
    jaeger = Jaeger(world)
    proxy = edge(world, jaeger)
    expect(curl(world, f"{proxy.url}/orders/7").status, 200, "answer")
    expect(curl(world, f"{proxy.url}/elsewhere").status, 404, "answer")
    until(lambda: len(found(world, jaeger.url)) == 2, "both traces in Jaeger")

    def count(*words):
        return len(found(world, jaeger.url, *words))

    expect(count("--route", ROUTE), 1, "of the route")
    expect(count("--route", "/other"), 0, "of another route")
    expect(count("--flow", "escrow"), 1, "of the flow")
    expect(count("--service", "edge"), 2, "of the service")
    expect(count("--service", "content"), 1, "that call a service")
    expect(count("--service", "nobody"), 0, "of no service")
    expect(count("--tag", "http.response.status_code=404"), 1, "of a number")
    expect(count("--tag", "http.request.method=GET", "--flow", "escrow"), 1, "of tag and flow")
    expect(count("--min", "1m"), 0, "that last a minute")
    expect(count("--max", "1m"), 2, "that last less")
    expect(count("--last", "1m", "--limit", "1"), 1, "of a limit")
    refused = trace(world, jaeger.url, "find", "--query", "{ }")
    expect(refused.returncode, 1, "exit code of TraceQL")
    assert "TraceQL" in refused.stderr, refused.stderr


@scenario
def what_jaeger_cannot_do_is_told(world):
    jaeger = Jaeger(world)

    gone = trace(world, jaeger.url, "show", "4bf92f35" * 4, "--wait", "1ms")
    none = trace(world, jaeger.url, "find", "--error")

    expect(gone.returncode, 1, "exit code")
    assert "not sampled, older than what is kept there" in gone.stderr, gone.stderr
    expect((none.returncode, none.stdout), (0, ""), "no match")
    assert urllib.parse.urlparse(jaeger.url).netloc in gone.stderr, gone.stderr
