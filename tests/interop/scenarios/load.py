"""h2load: many streams at once, none of them lost."""

import re
import subprocess

import programs
from harness import certificate, expect, scenario

# Enough to keep every stream busy for a second or two; the origin is Python.
REQUESTS = 2000


@scenario
def h2load_over_tls_sees_no_failure(world):
    tls = {"certificates": [certificate(world.authority().issue("edge"))]}
    edge = world.edgespan(world.gateway(listener={"tls": tls}))

    report = h2load(f"{edge.url}/", "-c", "8", "-m", "10")

    assert "Application protocol: h2" in report, report
    every_edge_is_there(world, edge)


@scenario
def h2load_in_cleartext_sees_no_failure(world):
    edge = world.edgespan()

    h2load(f"{edge.url}/", "-c", "8", "-m", "10")

    every_edge_is_there(world, edge)


@scenario
def h2load_over_http_1_sees_no_failure(world):
    edge = world.edgespan()

    h2load(f"{edge.url}/", "-c", "16", "--h1")

    every_edge_is_there(world, edge)


def h2load(*arguments):
    """Runs it and checks its own report."""
    [program] = programs.debian("h2load")
    done = subprocess.run(
        [program, "-n", str(REQUESTS), *arguments],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    report = done.stdout + done.stderr
    expect(done.returncode, 0, f"exit code of h2load\n{report}\n")
    wanted = f"{REQUESTS} succeeded, 0 failed, 0 errored, 0 timeout"
    assert wanted in report, report
    assert re.search(rf"status codes: {REQUESTS} 2xx, 0 3xx, 0 4xx, 0 5xx", report), report
    return report


def every_edge_is_there(world, edge):
    """Two spans a request, each with an id of its own, and the account agrees."""
    spans = world.receiver.wait(lambda span: span.service == "edge", 2 * REQUESTS, 30)
    expect(len(spans), 2 * REQUESTS, "spans")
    expect(len({span.span_id for span in spans}), 2 * REQUESTS, "span ids")
    expect(len({span.trace_id for span in spans}), REQUESTS, "trace ids")
    expect(edge.finish_with_everything_exported().accepted, 2 * REQUESTS, "accepted spans")
