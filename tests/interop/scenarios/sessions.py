"""Sessions in Redis: replicas share them, and Redis is stopped, started empty, and hangs."""

import base64
import collections
import concurrent.futures
import http.client
import os
import re
import signal
import time
import urllib.parse

import programs
from browser import chromium
from harness import expect, free_port, scenario, until
from scenarios.login import Protected, signed_in
from scenarios.redis import cli, metric, start

TABS = 100


class Shared(Protected):
    """An application whose sessions are in Redis, behind as many replicas as one likes."""

    def __init__(self, world, oidc=None, access_ttl=300, login=None, user=None):
        """`user` is one of Redis' own, with their rights; else there is none."""
        self.redis_port = free_port()
        rights = ["--user", "edge", "on", ">hunter2", "~{edgespan}:*", *user] if user else []
        self.redis = start(world, self.redis_port, *rights)
        named = {"username": "edge", "password": {"env": "REDIS_PASSWORD"}} if user else {}
        key = world.folder / "seal.key"
        key.write_bytes(base64.b64encode(os.urandom(32)))
        super().__init__(
            world,
            oidc,
            access_ttl,
            {"keys": [{"file": str(key)}], "session": {"store": "redis"}, **(login or {})},
            further={"redis": {"url": f"redis://127.0.0.1:{self.redis_port}", **named}},
            env={"REDIS_PASSWORD": "hunter2"},
        )
        self.is_connected(self.edge)

    def is_connected(self, edge):
        until(lambda: metric(edge, "edgespan_ratelimit_store_up") == 1, "Redis is connected")

    def replica(self):
        """Another edgespan, with the same keys and the same Redis."""
        edge = self.world.edgespan(self.config, env={"REDIS_PASSWORD": "hunter2"})
        self.is_connected(edge)
        return edge

    def logins(self):
        return self.provider.happened("grant.success authorization_code")


def cookies_of(person):
    """What a request to this machine carries, ports being no matter to cookies."""
    return "; ".join(f"{name}={one['value']}" for name, one in person.cookies().items())


def ask(port, path, cookie, accept="text/html", mode="navigate"):
    """Status, `Location` and `Set-Cookie` of a navigation, unless it is said to be another thing."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", path, headers={
            "accept": accept,
            "sec-fetch-mode": mode,
            "sec-fetch-dest": "document" if mode == "navigate" else "empty",
            **({"cookie": cookie} if cookie else {}),
        })  # fmt: skip
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.getheader("location"), answer.headers.get_all("set-cookie", [])
    finally:
        connection.close()


@scenario
def two_replicas_refresh_a_session_once(world):
    site = Shared(world, access_ttl=60, oidc={"refresh": {"before": "56s"}})
    edges = [site.edge, site.replica()]
    person = chromium().person()
    signed_in(site, tab=person.tab())
    cookie = cookies_of(person)
    refreshes = lambda: site.provider.happened("grant.success refresh_token")  # noqa: E731

    def burst():
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            asked = pool.map(lambda at: ask(edges[at % 2].port, "/page", cookie)[0], range(32))
            expect(collections.Counter(asked), {200: 32}, "answers of both replicas")
        return refreshes()

    began = time.monotonic()
    until(burst, "tokens are due and are refreshed")
    burst()

    most = 1 + int((time.monotonic() - began) / 4)
    assert 1 <= refreshes() <= most, f"{refreshes()} refreshes, at most {most}"
    expect(site.provider.happened("grant.error"), 0, "refresh tokens used twice")
    expect(site.logins(), 1, "logins")


@scenario
def a_redis_that_comes_back_empty_asks_for_a_login_and_lets_nobody_in_before(world):
    site = Shared(world)
    tab = signed_in(site)
    seen = len(site.pages())

    site.redis.stop()
    tab.open(site.url + "/page")
    expect(tab.status, 503, "the page without Redis")
    expect(len(site.pages()), seen, "what the application got without Redis")
    start(world, site.redis_port)
    site.is_connected(site.edge)
    tab.open(site.url + "/page?after")

    expect((tab.status, tab.url), (200, site.url + "/page?after"), "the page, without a click")
    expect(site.logins(), 2, "logins")


@scenario
def a_redis_that_hangs_lets_nobody_in_and_ends_no_session(world):
    site = Shared(world)
    tab = signed_in(site)
    seen = len(site.pages())

    site.redis.process.send_signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        tab.open(site.url + "/page")
        waited = time.monotonic() - began
        expect(tab.status, 503, "the page while Redis hangs")
        assert waited < 3, f"the answer took {waited:.1f} s"
    finally:
        site.redis.process.send_signal(signal.SIGCONT)
    expect(len(site.pages()), seen, "what the application got while Redis hung")

    until(lambda: tab.open(site.url + "/page").status == 200, "the session goes on")
    expect(tab.url, site.url + "/page", "where it goes on")
    expect(site.logins(), 1, "logins")


@scenario
def a_logout_at_one_replica_is_one_at_all(world):
    site = Shared(world)
    other = site.replica()
    person = chromium().person()
    tab = signed_in(site, tab=person.tab())
    stolen = cookies_of(person)
    expect(ask(other.port, "/page", stolen)[0], 200, "the page at the other replica")

    tab.open(site.url + "/oauth2/logout")

    status, _, _ = ask(other.port, "/page", stolen, "*/*", "cors")
    expect(status, 401, "the page at the other replica, for whoever has a copy of the cookie")
    expect(cli(site.redis_port, "KEYS", "*session:*"), "", "sessions that are left")


@scenario
def a_logout_at_one_replica_ends_a_session_in_cookies_at_all_within_seconds(world):
    """The session itself is with the browser; what Redis tells replicas is that it has ended."""
    site = Shared(world, login={"session": {"store": "cookie"}})
    other = site.replica()
    person = chromium().person()
    tab = signed_in(site, tab=person.tab())
    stolen = cookies_of(person)
    expect(ask(other.port, "/page", stolen)[0], 200, "the page at the other replica")
    expect(cli(site.redis_port, "KEYS", "*session:*"), "", "sessions in Redis")

    tab.open(site.url + "/oauth2/logout")

    refused = lambda: ask(other.port, "/page", stolen, "*/*", "cors")[0] == 401
    until(refused, "401 at the other replica, for whoever has a copy of the cookie", seconds=5)


def documented_rights():
    """The commands that the documentation says a user of Redis needs."""
    text = (programs.ROOT / "docs/auth-sessions.md").read_text()
    commands = text.partition("and the commands `")[2].partition("`")[0].split()
    assert len(commands) > 10, commands
    return [f"+{command.lower()}" for command in commands]


@scenario
def a_user_of_redis_with_the_documented_rights_has_enough_of_them(world):
    for store in ("redis", "cookie"):
        site = Shared(
            world, access_ttl=4, oidc={"refresh": {"before": "3s"}}, user=documented_rights(),
            login={"session": {"store": store}},
        )  # fmt: skip
        other = site.replica()
        person = chromium().person()
        tab = signed_in(site, tab=person.tab())
        refreshes = lambda: site.provider.happened("grant.success refresh_token")  # noqa: E731
        until(lambda: tab.open(site.url + "/page") and refreshes(), "a refresh")
        expect((tab.status, tab.url), (200, site.url + "/page"), "the page")
        stolen = cookies_of(person)

        there = person.tab("second")
        there.open(site.provider.issuer + "/session/end")
        there.click('button[value="yes"]')
        until(lambda: site.provider.happened("backchannel.success"), "edgespan is told", 10)

        refused = lambda: ask(other.port, "/page", stolen, "*/*", "cors")[0] == 401  # noqa: E731
        until(refused, "401 at the other replica", seconds=5)
        signed_in(site, tab=tab)
        tab.open(site.url + "/oauth2/logout")
        log = cli(site.redis_port, "ACL", "LOG")
        expect(log, "", f"what Redis refused with sessions in {store}")


@scenario
def a_hundred_tabs_at_once_each_keep_a_trace_of_their_own(world):
    """One browser, whose tabs were all open when the session ended; at the provider it goes on."""
    site = Shared(world)
    person = chromium().person()
    signed_in(site, tab=person.tab())
    jar = {name: one["value"] for name, one in person.cookies().items() if "edgespan" not in name}
    world.origin.requests.clear()

    def go(url):
        """As a tab does it, with the cookies of all tabs."""
        parts = urllib.parse.urlsplit(url)
        # Cookies ignore ports, so that the two have to be told apart here, as by their hosts.
        is_ours = url.startswith(site.url)
        cookie = "; ".join(
            f"{name}={value}"
            for name, value in list(jar.items())
            if name.startswith("edgespan") == is_ours
        )
        path = parts.path + ("?" + parts.query if parts.query else "")
        status, location, lines = ask(parts.port, path, cookie)
        for line in lines:
            name, _, value = line.partition(";")[0].partition("=")
            if value and not re.search(r"max-age=0\b|1970", line, re.IGNORECASE):
                jar[name] = value
            else:
                jar.pop(name, None)
        return status, location and urllib.parse.urljoin(url, location)

    def to_the_provider(at):
        status, location = go(f"{site.url}/page?tab={at}")
        expect(status, 302, f"tab {at} is sent on")
        return location

    def back(location):
        for _ in range(6):
            status, onward = go(location)
            if status not in (302, 303):
                return status, location
            location = onward
        raise AssertionError(f"no end at {location}")

    with concurrent.futures.ThreadPoolExecutor(TABS) as pool:
        away = list(pool.map(to_the_provider, range(TABS)))
        ends = list(pool.map(back, away))

    expect(collections.Counter(status for status, _ in ends), {200: TABS}, "where tabs end")
    wanted = {f"/page?tab={at}" for at in range(TABS)}
    expect({one["path"] for one in site.pages()}, wanted, "what the application got")
    def of_a_page(span):
        path = span.attributes.get("url.path")
        return span.service == "edge" and (span.kind, path) == ("SERVER", "/page")

    traces = collections.defaultdict(set)
    for span in world.receiver.wait(lambda one: of_a_page(one) and "tab=" in str(
            one.attributes.get("url.query")), 2 * TABS, 20):  # fmt: skip
        traces[span.attributes["url.query"]].add(span.trace_id)
    expect({len(one) for one in traces.values()}, {1}, "traces of a tab's page, before and after")
    expect(len(set().union(*traces.values())), TABS, "traces of all tabs")
    left = [name for name in jar if "-flow-" in name or "-ticket-" in name]
    expect(left, [], "cookies of logins that ended")
