"""A soak of bounded length: everything that changes, changes again and again under load, and at the
end the process is as it was. EDGESPAN_SOAK_SECONDS makes it longer than a minute."""

import copy
import dataclasses
import http.client
import os
import pathlib
import re
import shutil
import signal
import statistics
import time

import yaml

import churn
import programs
from harness import certificate, expect, free_port, get, listens, scenario, until

SECONDS = float(os.environ.get("EDGESPAN_SOAK_SECONDS", 60))

# How long a round of changes is, and the rounds that do not count because all is still growing.
ROUND = 5
WARM_UP = 3

# What may be left over at rest beside the level: pooled connections, visitors on their way out.
# One of anything for each reload would be seven a round.
SLACK = 6

# Memory of a process that leaks nothing still moves: by so much of itself, and so many bytes.
MEMORY_SHARE, MEMORY_BYTES = 0.05, 3 << 20

# How long after the origin is back requests may still fail, in seconds.
GRACE = 0.5

NGINX = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location / {{ return 200 "from the origin\\n"; }}
        location = /big {{ alias {folder}/big; }}
    }}
}}
"""


class Restarted:
    """nginx as an origin that is stopped and started; `away` has when it could not answer."""

    def __init__(self, world):
        self._world = world
        self.port = free_port()
        self.away = []
        folder = world.folder
        (folder / "big").write_bytes(b"x" * (4 << 20))
        self._file = folder / "nginx.conf"
        self._file.write_text(NGINX.format(folder=folder, port=self.port))
        self._start()

    def _start(self):
        [nginx] = programs.debian("nginx")
        self._nginx = self._world.program("nginx", [nginx, "-c", self._file])
        self._nginx.ready(lambda: listens(self.port))

    def restart(self):
        """What it is answering breaks off, and for a moment nobody listens."""
        gone = time.time()
        self._nginx.stop()
        time.sleep(0.3)
        self._start()
        self.away.append((gone - 0.1, time.time() + GRACE))


class Reloaded:
    """The file of a running edgespan, written anew in all the ways in which people do it."""

    def __init__(self, world, edge):
        self._edge = edge
        self._file = world.folder / f"edgespan-{edge.port}.yaml"
        self._base = yaml.safe_load(self._file.read_text())
        self.outcomes = {"applied": 0, "refused": 0, "failed": 0}

    def to(self, change=None, outcome="applied", by_signal=False):
        """Writes the file, waits until something came of it."""
        config = copy.deepcopy(self._base)
        if change:
            change(config)
        before = self._counted()
        fresh = self._file.with_suffix(".next")
        fresh.write_text(yaml.safe_dump(config, sort_keys=False))
        os.replace(fresh, self._file)
        if by_signal:
            self._edge.process.send_signal(signal.SIGHUP)

        def done():
            return self._counted()[outcome] > before[outcome]

        until(done, f"a reload that is {outcome}")

    def _counted(self):
        _, page = get(self._edge.admin + "/metrics")
        found = re.findall(r'edgespan_config_reloads_total\{outcome="(\w+)"\} (\d+)', page)
        assert found, page
        self.outcomes = {outcome: int(count) for outcome, count in found}
        return self.outcomes


@dataclasses.dataclass
class Level:
    """What the process holds when nobody asks for anything."""

    memory: int
    descriptors: int
    threads: int
    tasks: int

    @classmethod
    def of(cls, edge):
        """As it is now."""
        process = pathlib.Path(f"/proc/{edge.process.pid}")
        status = (process / "status").read_text()
        return cls(
            memory=1024 * int(re.search(r"VmRSS:\s+(\d+)", status)[1]),
            descriptors=len(os.listdir(process / "fd")),
            threads=int(re.search(r"Threads:\s+(\d+)", status)[1]),
            tasks=gauge(edge, "edgespan_tasks_alive"),
        )


@scenario
def after_reloads_restarts_and_churn_the_process_is_as_it_was(world):
    origin, echo = Restarted(world), world.keep(churn.Echo(free_port()))
    extra, tls_port = free_port(), free_port()
    pairs = [world.authority().issue(name) for name in ("first", "second")]
    shown = (str(world.folder / "shown.crt"), str(world.folder / "shown.key"))
    install(pairs[0], shown)
    edge = world.edgespan(configuration(world, origin, echo, tls_port, shown))
    file = Reloaded(world, edge)
    failures = churn.Failures()
    levels, spans = [], Arrived(world.receiver)

    end = time.monotonic() + SECONDS
    while time.monotonic() < end or len(levels) < 2 * WARM_UP:
        began = time.monotonic()
        lasting = churn.WebSocket(edge.port)
        clients = churn.Churn(
            failures,
            churn.loads(failures, world.folder, f"https://127.0.0.1:{tls_port}/", "-c6", "-m8"),
            churn.loads(failures, world.folder, f"{edge.url}/", "-c8", "--h1"),
            churn.newcomers(failures, edge.port),
            churn.breaking_off(edge.port, tls_port),
            churn.websockets(failures, edge.port),
        )
        try:
            for step in changes(extra):
                file.to(**step)
                lasting.echoed(b"still here")
            renewed = pairs[(len(levels) + 1) % 2]
            install(renewed, shown)
            until(lambda: shows(tls_port, renewed), "the renewed certificate")
            if len(levels) % 2:
                origin.restart()
            file.to(by_signal=True)
            time.sleep(max(0.0, began + ROUND - time.monotonic()))
        finally:
            clients.stop()
        lasting.echoed(b"to the end")
        lasting.close()
        levels.append(at_rest(edge, levels))
        balanced(edge, spans)

    print(f"        {failures.asked} requests and sessions, {len(failures.seen)} of them failed by "
          f"{len(origin.away)} restarts of the origin, the last one "
          f"{failures.late(origin.away, GRACE):.2f} s after it was back; "
          f"reloads: {file.outcomes}")  # fmt: skip
    for name in ["memory", "descriptors", "threads", "tasks"]:
        print(f"        {name}: {' '.join(str(getattr(one, name)) for one in levels)}")
    expect(failures.outside(origin.away)[:5], [], "failures while the origin was there")
    assert failures.asked > 100 * len(levels), f"only {failures.asked} requests"
    flat(levels)
    for name in ["edgespan_panics_total", "http_server_active_requests", "edgespan_websockets_open"]:
        expect(gauge(edge, name), 0, name)
    account = edge.finish_with_everything_exported()
    expect(spans.count(), account.exported, "spans at the receiver")


def configuration(world, origin, echo, tls_port, shown):
    """Every part that a reload could leave something of."""
    config = world.gateway(
        endpoint=f"http://127.0.0.1:{origin.port}",
        upstream={
            "limits": {"idle_connections": 8},
            "health": {"http": {"path": "/"}, "interval": "500ms"},
            "outlier": {"consecutive_errors": 5},
            "retries": {"attempts": 1},
        },
        route={"rate_limits": ["plenty"]},
    )
    config["upstreams"]["echo"] = {"endpoints": [echo.url]}
    config["routes"].append({"name": "ws", "match": {"path": "/ws"}, "upstream": "echo"})
    # Full before the first round that counts: what it still may take is no leak.
    config["store"] = {"memory": "4MiB"}
    config["rate_limits"] = {"plenty": {"rate": "1000000/s", "burst": 1000000}}
    config["drain"] = {"timeout": "2s"}
    config["listeners"]["secure"] = {
        "address": f"127.0.0.1:{tls_port}",
        "tls": {"certificates": [certificate(shown)]},
    }
    return config


def changes(extra):
    """What one round makes of the file, one after the other."""

    def route(config):
        config["routes"].append(
            {"name": "more", "match": {"path": "/more"}, "answer": {"status": 200}}
        )

    def listener(config):
        config["listeners"]["extra"] = {"address": f"127.0.0.1:{extra}"}

    def listener_settings(config):
        config["listeners"]["web"]["limits"] = {"body_bytes": "1MiB"}
        config["listeners"]["secure"]["tls"]["min_version"] = "1.3"

    def upstream(config):
        config["upstreams"]["content"]["timeouts"] = {"connect": "2s"}

    def exporter(config):
        config["export"][0]["otlp"]["queue"]["delay"] = "60ms"

    def limits(config):
        config["rate_limits"]["plenty"]["burst"] = 999999

    def wrong(config):
        config["listeners"]["web"]["adress"] = "nowhere"

    yield {"change": route}
    yield {"change": listener, "by_signal": True}
    guest = http.client.HTTPConnection("127.0.0.1", extra, timeout=churn.PATIENCE)
    guest.request("GET", "/")
    answer = guest.getresponse()
    expect((answer.status, answer.read()[:4]), (200, b"from"), "an answer of the new listener")
    yield {"change": listener_settings}
    # The new listener is gone again, and who is on it is sent away.
    expect(guest.sock.recv(1), b"", "the end of a connection of a listener that went")
    guest.close()
    yield {"change": wrong, "outcome": "refused", "by_signal": True}
    yield {"change": upstream}
    yield {"change": exporter, "by_signal": True}
    yield {"change": limits}


def install(pair, place):
    """Puts chain and key where edgespan reads them."""
    for ours, theirs in zip(pair, place, strict=True):
        shutil.copy(ours, theirs + ".next")
        os.replace(theirs + ".next", theirs)


def shows(port, pair):
    """Whether the listener shows this certificate."""
    return churn.shown_certificate(port).split() == pathlib.Path(pair[0]).read_text().split()


def gauge(edge, name):
    """The value of a family without labels."""
    _, page = get(edge.admin + "/metrics")
    found = re.search(rf"^{name} (\d+)$", page, re.M)
    assert found, f"no {name} in:\n{page[-3000:]}"
    return int(found[1])


def at_rest(edge, before):
    """The level once everything has ended that ends by itself."""
    first = before[WARM_UP - 1] if len(before) >= WARM_UP else None

    def quiet():
        if gauge(edge, "http_server_active_requests") or gauge(edge, "edgespan_websockets_open"):
            return None
        level = Level.of(edge)
        if first and (level.tasks > first.tasks or level.descriptors > first.descriptors):
            return None
        return level

    # What lies above the first level is judged at the end; here it gets time to go.
    end = time.monotonic() + 8
    while not (level := quiet()) and time.monotonic() < end:
        time.sleep(0.1)
    return level or Level.of(edge)


class Arrived:
    """Counts spans at the receiver without keeping them: an hour of them would not fit."""

    def __init__(self, receiver):
        self._receiver = receiver
        self._counted = 0

    def count(self):
        """All of them so far. Nothing may be on its way."""
        self._counted += len(self._receiver.spans())
        self._receiver.forget()
        return self._counted


def balanced(edge, spans):
    """The account adds up at any time, and at rest nothing is pending for long."""

    def columns():
        _, page = get(edge.admin + "/metrics")
        found = re.findall(r"^edgespan_spans_(\w+?)(?:_total)?\{[^}]*\} (\d+)$", page, re.M)
        total = dict.fromkeys(["accepted", "exported", "rejected", "dropped", "pending"], 0)
        for column, count in found:
            total[column] += int(count)
        parts = sum(count for column, count in total.items() if column != "accepted")
        expect(parts, total["accepted"], f"the account {total}")
        return total if total["pending"] == 0 else None

    total = until(columns, "an account with nothing pending")
    expect(total["exported"], total["accepted"], "exported spans")
    expect(spans.count(), total["exported"], "spans at the receiver")


def flat(levels):
    """No round leaves anything behind."""
    settled = levels[WARM_UP - 1 :]
    third = max(1, len(settled) // 3)
    early, late = settled[:third], settled[-third:]
    for name in ["descriptors", "threads", "tasks"]:
        before = max(getattr(level, name) for level in early)
        after = min(getattr(level, name) for level in late)
        assert after <= before + SLACK, f"{name} grew from {before} to {after}"
    before = statistics.median(level.memory for level in early)
    after = statistics.median(level.memory for level in late)
    limit = before * (1 + MEMORY_SHARE) + MEMORY_BYTES
    assert after <= limit, f"memory grew from {before / 2**20:.1f} to {after / 2**20:.1f} MiB"
