"""OpenTelemetry's own Collector between edgespan and the receiver."""

import json
import subprocess
import urllib.request

import yaml

import programs
from harness import certificate, clean_environment, curl, expect, free_port, get, listens, scenario, until


class Ports:
    """Where the Collector listens. It comes back at the same place after a restart."""

    def __init__(self):
        self.grpc, self.http = free_port(), free_port()


def start(world, ports, tls=None, to=None):
    """Starts the Collector, which hands everything on to the receiver, or to whom is named."""
    doors = {
        "grpc": {"endpoint": f"127.0.0.1:{ports.grpc}"},
        "http": {"endpoint": f"127.0.0.1:{ports.http}"},
    }
    if tls:
        doors = {name: {**door, "tls": tls} for name, door in doors.items()}
    onward = {"endpoint": to or world.receiver.grpc_endpoint, "tls": {"insecure": True}}
    signals = {
        signal: {"receivers": ["otlp"], "exporters": ["debug"]}
        for signal in ("traces", "metrics", "logs")
    }
    signals["traces"]["exporters"].append("otlp")
    config = {
        "receivers": {"otlp": {"protocols": doors}},
        "exporters": {"otlp": onward, "debug": {"verbosity": "detailed"}},
        "service": {
            "telemetry": {"metrics": {"level": "none"}},
            "pipelines": signals,
        },
    }
    file = world.folder / f"collector-{ports.grpc}.yaml"
    file.write_text(yaml.safe_dump(config))
    collector = world.program("collector", [programs.collector(), "--config", file])
    return collector.ready(lambda: listens(ports.grpc) and listens(ports.http))


def exporters(ports):
    """Every way to speak with it."""
    for compression in ["none", "gzip", "zstd"]:
        yield {"endpoint": f"http://127.0.0.1:{ports.grpc}", "protocol": "grpc",
               "compression": compression}  # fmt: skip
        yield {"endpoint": f"http://127.0.0.1:{ports.http}/v1/traces",
               "protocol": "http/protobuf", "compression": compression}  # fmt: skip


@scenario
def every_protocol_and_encoding_is_understood(world):
    ports = Ports()
    collector = start(world, ports)

    for otlp in exporters(ports):
        world.receiver.forget()
        edge = world.edgespan(world.gateway(otlp=otlp))
        for _ in range(5):
            expect(get(edge.url)[0], 200, "status")

        expect(edge.finish_with_everything_exported().accepted, 10, f"accepted with {otlp}")
        spans = world.receiver.wait(lambda span: span.service == "edge", 10)
        expect(len(spans), 10, f"spans with {otlp}")
    assert "Trace ID" in collector.output(), "the Collector prints what it got"


@scenario
def metrics_and_logs_of_its_own_are_understood(world):
    ports = Ports()
    doors = [("grpc", f"http://127.0.0.1:{ports.grpc}"),
             ("http/protobuf", f"http://127.0.0.1:{ports.http}")]  # fmt: skip

    for protocol, endpoint in doors:
        collector = start(world, ports)
        otlp = {"otlp": {"endpoint": endpoint, "protocol": protocol}}
        telemetry = {"metrics": {**otlp, "interval": "200ms"}, "logs": otlp}
        gateway = world.gateway(endpoint=f"http://127.0.0.1:{free_port()}")
        edge = world.edgespan(gateway, telemetry=telemetry)
        answer = curl(world, edge.url)
        expect(answer.status, 502, "status")
        trace = json.loads(answer.body)["trace_id"]
        wanted = ["http.server.request.duration", "edgespan.spans_accepted", "request failed", trace]
        until(lambda: all(word in collector.output() for word in wanted), f"{wanted} by {protocol}")
        account = edge.finish()
        expect(account.accepted, account.exported, "account of spans, of which these are none")
        collector.stop()


@scenario
def tls_on_both_sides_lets_in_who_has_a_certificate(world):
    ports = Ports()
    authority = world.authority()
    chain, key = authority.issue("collector")
    start(world, ports, {
        "cert_file": chain, "key_file": key, "client_ca_file": authority.certificate,
    })  # fmt: skip
    stranger = {"ca": authority.certificate}
    known = {**stranger, "certificate": certificate(authority.issue("edge"))}

    for protocol, port in [("grpc", ports.grpc), ("http/protobuf", ports.http)]:
        for tls, arriving in [(known, 2), (stranger, 0)]:
            what = f"{protocol} with {sorted(tls)}"
            world.receiver.forget()
            otlp = {"endpoint": f"https://127.0.0.1:{port}", "protocol": protocol, "tls": tls}
            edge = world.edgespan(world.gateway(otlp=otlp))
            expect(get(edge.url)[0], 200, "status")

            account = edge.finish()
            expect((account.accepted, account.exported), (2, arriving), f"account of {what}")
            expect(account.dropped, 2 - arriving, f"dropped of {what}")
            if arriving:
                world.receiver.wait(lambda span: span.service == "edge", arriving)
            expect(len(world.receiver.spans()), arriving, f"spans of {what}")


@scenario
def a_restart_loses_nothing_over_grpc(world):
    ports = Ports()
    restart(world, ports, {
        "endpoint": f"http://127.0.0.1:{ports.grpc}", "protocol": "grpc", "compression": "gzip",
    })  # fmt: skip


@scenario
def a_restart_loses_nothing_over_http(world):
    ports = Ports()
    restart(world, ports, {
        "endpoint": f"http://127.0.0.1:{ports.http}/v1/traces",
        "protocol": "http/protobuf", "compression": "gzip",
    })  # fmt: skip


@scenario
def spans_go_through_it_into_another_edgespan_and_are_found_there(world):
    door, ports = free_port(), Ports()
    keeper = world.edgespan(store={"memory": "8MiB", "otlp": {"grpc": f"127.0.0.1:{door}"}})
    start(world, ports, to=f"http://127.0.0.1:{door}")
    otlp = {"endpoint": f"http://127.0.0.1:{ports.grpc}", "protocol": "grpc"}
    edge = world.edgespan(world.gateway(otlp=otlp, route={"match": {"path": "/orders/{id}"}}))
    expect(get(edge.url + "/orders/7")[0], 200, "status")

    def ask(url, *words):
        command = [world.edgespan_program, "trace", *words, "--url", url]
        environment = clean_environment()
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, env=environment)
        expect(done.returncode, 0, f"exit code of {words} ({done.stderr})")
        return done.stdout and json.loads(done.stdout)

    find = ["find", "--route", "/orders/{id}", "--service", "content", "--json"]
    [found] = until(lambda: ask(keeper.admin, *find), "the trace behind the Collector")
    expect(found, ask(edge.admin, *find)[0], "what both edgespans find")
    show = ["show", found["traceID"], "--otlp"]
    expect(spans_in(ask(keeper.admin, *show)), spans_in(ask(edge.admin, *show)), "spans")

    # What is exported into a file is understood by others, in both forms.
    for file, kind in [("trace.json", "json"), ("trace.pb", "x-protobuf")]:
        world.receiver.forget()
        other = Ports()
        start(world, other)
        ask(keeper.admin, "export", found["traceID"], "--output", world.folder / file, "--force")
        request = urllib.request.Request(
            f"http://127.0.0.1:{other.http}/v1/traces", (world.folder / file).read_bytes(),
            {"content-type": f"application/{kind}"},
        )  # fmt: skip
        with urllib.request.urlopen(request, timeout=10) as answer:
            expect(answer.status, 200, f"the Collector's answer to {file}")
        came = world.receiver.wait(lambda span: span.trace_id == found["traceID"], 2)
        expect(sorted(span.kind for span in came), ["CLIENT", "SERVER"], f"kinds in {file}")


def spans_in(document):
    """Spans of OTLP in JSON by their ids, attributes in any order."""
    spans = {}
    for group in document["resourceSpans"]:
        for scope in group["scopeSpans"]:
            for span in scope["spans"]:
                attributes = {one["key"]: one["value"] for one in span.pop("attributes", [])}
                # None and an empty one are the same.
                span["status"] = (span["status"] or {}).get("code", 0)
                spans[span["spanId"]] = (span, attributes)
    expect(len(spans), 2, "spans")
    return spans


def restart(world, ports, otlp):
    """Requests before, while and after the Collector is away; every span arrives all the same."""
    collector = start(world, ports)
    edge = world.edgespan(world.gateway(otlp=otlp))
    requests = 0

    def some():
        nonlocal requests
        for _ in range(100):
            expect(get(edge.url)[0], 200, "status")
        requests += 100

    some()
    expect(collector.stop(), 0, "exit code of the Collector")
    some()
    start(world, ports)
    some()

    ids = set()

    def ours(span):
        ids.add(span.span_id) if span.service == "edge" else None
        return span.service == "edge"

    world.receiver.wait(ours, 2 * requests, 60)
    # A batch whose answer was lost may come twice; none may be missing.
    expect(len(ids), 2 * requests, "span ids")
    expect(edge.finish_with_everything_exported().accepted, 2 * requests, "accepted")
