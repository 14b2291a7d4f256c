"""The edge: HAProxy before it, slow clients, and what a TLS scanner finds."""

import json
import re
import subprocess

import programs
from harness import certificate, curl, expect, free_port, get, listens, scenario

HAPROXY = """
defaults
    mode tcp
    timeout connect 5s
    timeout client 30s
    timeout server 30s
listen front
    bind 127.0.0.1:{port}
    server edge 127.0.0.1:{edge} {how}
"""


def haproxy(world, edge, how):
    """An HAProxy that says for whom it connects; the port it listens on."""
    [program] = programs.debian("haproxy")
    port = free_port()
    file = world.folder / f"haproxy-{port}.cfg"
    file.write_text(HAPROXY.format(port=port, edge=edge.port, how=how))
    world.program("haproxy", [program, "-db", "-f", file]).ready(lambda: listens(port))
    return port


@scenario
def haproxy_says_for_whom_it_connects(world):
    listener = {"proxy_protocol": {"from": ["127.0.0.1"]}}
    edge = world.edgespan(world.gateway(listener=listener))

    for count, how in enumerate(["send-proxy", "send-proxy-v2", "send-proxy-v2 crc32c"], 1):
        how = how.replace("crc32c", "proxy-v2-options crc32c")
        port = haproxy(world, edge, how)
        # Another address of this machine, so that client and balancer can be told apart.
        curl(world, "--interface", "127.0.0.2", f"http://127.0.0.1:{port}/")
        spans = world.receiver.wait(
            lambda span: span.service == "edge" and span.kind == "SERVER", count
        )
        attributes = spans[-1].attributes
        expect(attributes["client.address"], "127.0.0.2", f"client by {how}")
        expect(attributes["network.peer.address"], "127.0.0.1", f"peer by {how}")


def slowhttptest(edge, *arguments):
    """Two hundred slow connections for six seconds."""
    [program] = programs.debian("slowhttptest")
    command = [program, "-c", "200", "-r", "100", "-l", "6", "-u", edge.url + "/", *arguments]
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


@scenario
def slow_clients_hold_nobody_up(world):
    listener = {"timeouts": {"header": "2s", "idle": "2s"}}
    edge = world.edgespan(world.gateway(listener=listener))

    for mode in [["-H", "-i", "1"], ["-B", "-i", "4"], ["-X", "-k", "3"]]:
        slow = slowhttptest(edge, *mode)
        answered = 0
        while slow.poll() is None:
            status, _ = get(edge.url + "/")
            expect(status, 200, f"an honest client beside slowhttptest {mode[0]}")
            answered += 1
        assert answered > 10, answered
        slow.communicate()
    _, metrics = get(edge.admin + "/metrics")
    cut = re.search(r'connections_cut_total\{listener="web",reason="header_timeout"\} (\d+)', metrics)
    assert cut and int(cut[1]) >= 100, metrics


@scenario
def sslscan_finds_nothing_old(world):
    edge = over_tls(world)
    [program] = programs.debian("sslscan")

    report = programs.run(program, "--no-colour", f"127.0.0.1:{edge.port}")

    for version in ["SSLv2", "SSLv3", "TLSv1.0", "TLSv1.1"]:
        assert re.search(rf"{version}\s+disabled", report), report
    for version in ["TLSv1.2", "TLSv1.3"]:
        assert re.search(rf"{version}\s+enabled", report), report
    suites = re.findall(r"^(?:Preferred|Accepted)\s+TLSv1\.\d\s+\d+ bits\s+(\S+)", report, re.M)
    assert suites, report
    weak = [one for one in suites if not re.search(r"GCM|CHACHA20", one)]
    expect(weak, [], "suites without authenticated encryption")
    assert "not vulnerable to heartbleed" in report, report


@scenario
def testssl_finds_no_weakness(world):
    edge = over_tls(world)
    [program] = programs.debian("testssl")
    report = world.folder / "report.json"

    # Protocols, Heartbleed, CCS, renegotiation, CRIME, fall-back: what sslscan has not tried, or
    # tries otherwise. All of it takes minutes.
    programs.run(
        program, "--quiet", "--warnings", "off", "--nodns", "none", "--fast", "-p", "-H", "-I", "-R",
        "-C", "-Z",
        "--jsonfile", report, f"127.0.0.1:{edge.port}",
    )  # fmt: skip

    found = {one["id"]: one for one in json.loads(report.read_text())}
    weak = [one for one in found.values() if one["severity"] in ("LOW", "MEDIUM", "HIGH", "CRITICAL")]
    expect(weak, [], "weaknesses")
    for name in ["TLS1_2", "TLS1_3", "secure_renego", "secure_client_renego", "heartbleed"]:
        expect(found[name]["severity"], "OK", name)


def over_tls(world):
    """edgespan with a certificate."""
    tls = {"certificates": [certificate(world.authority().issue("edge"))]}
    return world.edgespan(world.gateway(listener={"tls": tls}))
