"""`edgespan probe` from outside: the demo's key flow, and spans that Jaeger has."""

import json
import subprocess
import xml.etree.ElementTree

import programs
import yaml
from harness import clean_environment, expect, scenario
from scenarios.jaeger import ROUTE, Jaeger, edge


@scenario
def the_demos_key_flow_holds(world):
    done = subprocess.run(
        [programs.ROOT / "probes/smoke.sh", world.edgespan_program],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=90,
        env=clean_environment(),
    )  # fmt: skip
    expect(done.returncode, 0, f"exit code ({done.stdout}{done.stderr})")
    assert "✗" not in done.stdout, done.stdout


@scenario
def spans_are_asked_of_jaeger(world):
    jaeger = Jaeger(world)
    proxy = edge(world, jaeger)
    steps = lambda route: [{
        "name": "order", "request": {"path": "/orders/7"},
        "expect": {"status": 200, "spans": [
            {"kind": "server", "attributes": {"http.route": route, "http.response.status_code": 200}},
            {"kind": "client", "peer": "content", "count": 1},
        ]},
    }]  # fmt: skip

    for route, code in [(ROUTE, 0), ("/elsewhere", 1)]:
        file, junit = world.folder / "probe.yaml", world.folder / "probe.xml"
        spans = {"from": f"jaeger+{jaeger.url}", "within": "2s"}
        file.write_text(yaml.safe_dump(
            {"name": "orders", "base": proxy.url, "spans": spans, "steps": steps(route)}
        ))  # fmt: skip
        done = subprocess.run(
            [world.edgespan_program, "probe", file, "--json", "--junit", junit],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
            env=clean_environment(),
        )  # fmt: skip
        expect(done.returncode, code, f"exit code of {route} ({done.stdout}{done.stderr})")
        expect(json.loads(done.stdout)["schema"], "edgespan.probe/1", "schema")
        failures = list(xml.etree.ElementTree.parse(junit).iter("failure"))
        expect(len(failures), code, "failures in JUnit")
