"""Redis: limits that replicas share, while it is stopped, started and hangs."""

import collections
import concurrent.futures
import signal
import threading
import time
import urllib.error
import urllib.request

import programs
from harness import expect, free_port, get, scenario, until

# In load: far more than the limit lets through in the whole scenario.
BURST = 50


@scenario
def replicas_share_one_limit_exactly(world):
    redis = start(world, port := free_port())
    edges = [edge(world, port, {"rate": f"{BURST}/h"}) for _ in range(2)]

    counted = collections.Counter(many(edges, 3 * BURST))

    expect(counted, {200: BURST, 429: 2 * BURST}, "answers of two replicas")
    _, headers = ask(edges[0])
    expect(headers["ratelimit-policy"], f'"shared";q={BURST};w=3600', "policy")
    assert 60 < int(headers["retry-after"]) <= 72, headers["retry-after"]
    left = cli(port, "TTL", only_key(port))
    assert 3500 < int(left) <= 3600, f"the key expires when it is at rest: {left}"
    redis.stop()


@scenario
def the_rate_in_redis_is_the_rate_that_was_set(world):
    start(world, port := free_port())
    edge_ = edge(world, port, {"rate": "20/s", "burst": 5})

    began = time.monotonic()
    passed = 0
    while time.monotonic() - began < 3:
        passed += ask(edge_)[0] == 200
    lasted = time.monotonic() - began

    most = 5 + 20 * lasted
    assert most - 15 <= passed <= most + 1, f"{passed} of at most {most:.1f} in {lasted:.2f} s"


@scenario
def a_request_that_one_limit_refuses_is_charged_to_no_other(world):
    start(world, port := free_port())
    limits = {
        "wide": {"rate": "3/h", "key": [], "store": "redis"},
        "narrow": {"rate": "1/h", "key": [{"header": "x-user"}], "store": "redis"},
        "shadow": {"rate": "1/h", "key": [], "store": "redis", "enforce": False},
    }
    edge_ = edge(world, port, limits=limits)

    first = [ask(edge_, user="a")[0] for _ in range(3)]
    others = [ask(edge_, user=user)[0] for user in "bcd"]

    expect(first, [200, 429, 429], "one user")
    expect(others, [200, 200, 429], "others")


@scenario
def a_redis_that_is_stopped_under_load_costs_nobody_a_wait(world):
    """Open lets pass, closed refuses, local limits by itself; each comes back within seconds."""
    redis = start(world, port := free_port())
    edges = {
        way: edge(world, port, {"rate": f"{BURST}/h", "on_failure": way})
        for way in ("open", "closed", "local")
    }
    for one in edges.values():
        until(lambda: metric(one, "edgespan_ratelimit_store_up") == 1, "Redis is connected")
    cli(port, "FLUSHALL")

    with Load(edges) as load:
        until(lambda: all(load.seen(way, 429) for way in edges), "the limit is reached")
        redis.stop()
        until(lambda: all(metric(one, "edgespan_ratelimit_store_up") == 0 for one in edges.values()),
              "the loss is noticed")  # fmt: skip
        down = load.mark()
        time.sleep(2)
        without = load.since(down)
        start(world, port)
        back = time.monotonic()
        until(lambda: all(metric(one, "edgespan_ratelimit_store_up") == 1 for one in edges.values()),
              "Redis is used again")  # fmt: skip
        took = time.monotonic() - back

    expect(set(without["open"]), {200}, "answers without Redis, open")
    expect(set(without["closed"]), {503}, "answers without Redis, closed")
    assert without["local"][200] <= BURST + 1, without["local"]
    slowest = max(load.slowest.values())
    print(f"        back after {took:.1f} s, slowest answer {slowest * 1000:.0f} ms, "
          f"while down {({way: dict(seen) for way, seen in without.items()})}")  # fmt: skip
    assert took < 5, f"back after {took:.1f} s"
    assert slowest < 1, f"slowest answer {slowest:.2f} s"


@scenario
def a_redis_that_hangs_costs_a_few_requests_the_time_out(world):
    redis = start(world, port := free_port())
    edge_ = edge(world, port, {"rate": "1000000/h"}, timeout="100ms")
    until(lambda: metric(edge_, "edgespan_ratelimit_store_up") == 1, "Redis is connected")
    redis.process.send_signal(signal.SIGSTOP)
    try:
        waits = []
        for _ in range(30):
            began = time.monotonic()
            expect(ask(edge_)[0], 200, "answer")
            waits.append(time.monotonic() - began)
    finally:
        redis.process.send_signal(signal.SIGCONT)
    slow = sum(wait > 0.09 for wait in waits)
    assert slow == 3, f"{slow} of 30 waited for the time-out: {waits}"
    until(lambda: metric(edge_, "edgespan_ratelimit_store_up") == 1, "Redis is used again")


@scenario
def redis_with_tls_and_a_password(world):
    authority = world.authority()
    chain, key = authority.issue("redis")
    port = free_port()
    start(world, 0, "--tls-port", port, "--tls-cert-file", chain, "--tls-key-file", key,
          "--tls-ca-cert-file", authority.certificate, "--tls-auth-clients", "no",
          "--requirepass", "hunter2")  # fmt: skip
    redis = {"url": f"rediss://127.0.0.1:{port}", "tls": {"ca": authority.certificate}}
    edge_ = edge(world, port, {"rate": "2/h"}, **redis, password={"env": "REDIS_PASSWORD"})
    until(lambda: metric(edge_, "edgespan_ratelimit_store_up") == 1, "Redis is connected")

    expect([ask(edge_)[0] for _ in range(3)], [200, 200, 429], "answers")
    assert "hunter2" not in edge_.output()


@scenario
def a_user_of_redis_with_the_documented_rights_has_enough_of_them(world):
    text = (programs.ROOT / "docs/limits.md").read_text()
    commands = text.partition("and the commands `")[2].partition("`")[0].split()
    assert len(commands) > 4, commands
    rights = [f"+{command.lower()}" for command in commands]
    start(world, port := free_port(), "--user", "edge", "on", ">hunter2", "~{edgespan}:*", *rights)
    as_user = {"username": "edge", "password": {"env": "REDIS_PASSWORD"}}
    edge_ = edge(world, port, {"rate": "2/h", "on_failure": "closed"}, **as_user)
    until(lambda: metric(edge_, "edgespan_ratelimit_store_up") == 1, "Redis is connected")

    expect([ask(edge_)[0] for _ in range(3)], [200, 200, 429], "answers")
    expect(cli(port, "ACL", "LOG"), "", "what Redis refused")


class Load:
    """Asks each edge over and over, from one thread each, and keeps what came back."""

    def __init__(self, edges):
        self._edges = edges
        self._over = threading.Event()
        self._answers = {way: [] for way in edges}
        self.slowest = dict.fromkeys(edges, 0.0)

    def __enter__(self):
        self._threads = [threading.Thread(target=self._run, args=(way,)) for way in self._edges]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *failure):
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _run(self, way):
        while not self._over.is_set():
            began = time.monotonic()
            status, _ = ask(self._edges[way])
            self.slowest[way] = max(self.slowest[way], time.monotonic() - began)
            self._answers[way].append(status)
            time.sleep(0.005)

    def seen(self, way, status):
        return status in self._answers[way]

    def mark(self):
        return {way: len(answers) for way, answers in self._answers.items()}

    def since(self, mark):
        return {way: collections.Counter(answers[mark[way]:]) for way, answers in self._answers.items()}


def start(world, port, *arguments):
    """A Redis that keeps nothing on disk."""
    [program] = programs.debian("redis-server")
    command = [program, "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    redis = world.program("redis", [*command, *arguments])
    return redis.ready(lambda: "Ready to accept connections" in redis.output())


def edge(world, port, limit=None, limits=None, **redis):
    """edgespan with one route under these limits."""
    limits = limits or {"shared": {"store": "redis", **limit}}
    config = world.gateway(route={"rate_limits": list(limits)})
    config["rate_limits"] = limits
    config["redis"] = {"url": f"redis://127.0.0.1:{port}", "timeout": "500ms", **redis}
    started = world.edgespan(config, env={"REDIS_PASSWORD": "hunter2"})
    if "password" not in redis:
        until(lambda: metric(started, "edgespan_ratelimit_store_up") == 1, "Redis is connected")
    return started


def ask(edge, user=None):
    """Status and headers of one request."""
    request = urllib.request.Request(edge.url, headers={"x-user": user} if user else {})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.headers
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.headers


def many(edges, count):
    """Statuses of this many requests, some at a time, by turns."""
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        return list(pool.map(lambda one: ask(edges[one % len(edges)])[0], range(count)))


def metric(edge, name):
    """The value of a metric without labels."""
    _, page = get(edge.admin + "/metrics")
    values = [line.split()[1] for line in page.splitlines() if line.startswith(name + " ")]
    return float(values[0]) if values else None


def cli(port, *command):
    [program] = programs.debian("redis-cli")
    return programs.run(program, "-p", port, *command).strip()


def only_key(port):
    keys = cli(port, "KEYS", "*").split()
    expect(len(keys), 1, "keys")
    assert keys[0].startswith("{edgespan}:shared:"), keys
    return keys[0]
