"""What counts once is shown to two replicas with one Redis at the same moment, over and over: the way
back from a login, and the ticket that ties the page to the request that was refused.
"""

import concurrent.futures
import http.client
import secrets
import threading
import urllib.parse

from browser import chromium
from harness import expect, scenario
from scenarios.login import signed_in
from scenarios.sessions import Shared, ask, cookies_of

ROUNDS = 20

# How many show it at once, half of them at each replica.
AT_ONCE = 6


class Replicas:
    """Two of them, and somebody who is signed in at the provider."""

    def __init__(self, world, login=None):
        self.site = Shared(world, login=login)
        self.ports = [self.site.edge.port, self.site.replica().port]
        self.person = chromium().person()
        signed_in(self.site, tab=self.person.tab())
        self.at_the_provider = "; ".join(
            part for part in cookies_of(self.person).split("; ") if not part.startswith("edgespan")
        )

    def begin(self, path):
        """A login, up to the way back: where that leads, the browser's cookies, the trace."""
        trace = secrets.token_hex(16)
        answer = self.send(self.ports[0], path, {}, {"traceparent": f"00-{trace}-{'1' * 16}-01"})
        expect(answer.status, 302, "status without a session")
        jar, location = answer.jar, answer.location
        for _ in range(6):
            parts = urllib.parse.urlsplit(location)
            if location.startswith(self.site.url):
                return f"{parts.path}?{parts.query}", jar, trace
            status, onward, _ = ask(
                parts.port, f"{parts.path}?{parts.query}", self.at_the_provider
            )  # fmt: skip
            assert status in (302, 303), f"{status} at {location}"
            location = urllib.parse.urljoin(location, onward)
        raise AssertionError(f"no end at {location}")

    def send(self, port, path, jar, headers=None):
        return self.at_once(path, jar, headers, [port])[0]

    def at_once(self, path, jar, headers=None, ports=None):
        """The same request by each of many connections, sent when all of them are open."""
        ports = ports or [self.ports[at % 2] for at in range(AT_ONCE)]
        ready = threading.Barrier(len(ports), timeout=20)

        def one(port):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            connection.connect()
            ready.wait()
            connection.request("GET", path, headers={
                "host": urllib.parse.urlsplit(self.site.url).netloc,
                "accept": "text/html", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document",
                **({"cookie": "; ".join(f"{name}={text}" for name, text in jar.items())} if jar else {}),
                **(headers or {}),
            })  # fmt: skip
            answer = connection.getresponse()
            answer.read()
            connection.close()
            return Came(answer, jar)

        with concurrent.futures.ThreadPoolExecutor(len(ports)) as pool:
            return list(pool.map(one, ports))


class Came:
    """An answer, and what a browser's cookies are after it."""

    def __init__(self, answer, jar):
        self.status, self.location = answer.status, answer.getheader("location")
        self.jar = dict(jar)
        for line in answer.headers.get_all("set-cookie", []):
            name, _, value = line.partition(";")[0].partition("=")
            self.jar.pop(name, None)
            if value:
                self.jar[name] = value
        self.has_session = any(name.startswith("edgespan-people") for name in self.jar)


def one_login_each_time(world, login=None):
    """Shows the way back to all at once; whoever has a session then."""
    replicas = Replicas(world, login)
    provider = replicas.site.provider
    logins = replicas.site.logins()

    for at in range(ROUNDS):
        page = f"/page?round={at}"
        back, jar, _ = replicas.begin(page)
        came = replicas.at_once(back, jar)

        winners = [one for one in came if one.has_session]
        expect(len(winners), 1, f"sessions of round {at}: {[one.status for one in came]}")
        [winner] = winners
        expect(winner.location, replicas.site.url + page, f"where round {at} leads")
        # Codes that are shown to it twice would end the session that the first one began.
        expect(replicas.site.logins(), logins + at + 1, f"codes redeemed by round {at}")
        for port in replicas.ports:
            expect(replicas.send(port, page, winner.jar).status, 200, f"the page of round {at}")
    expect(provider.happened("grant.error"), 0, "codes refused")
    expect(provider.happened("grant.revoked"), 0, "grants that the provider withdrew")


@scenario
def a_way_back_that_two_replicas_get_at_the_same_moment_is_one_login(world):
    one_login_each_time(world)


@scenario
def a_way_back_is_one_login_where_sessions_are_in_cookies_too(world):
    one_login_each_time(world, {"session": {"store": "cookie"}})


@scenario
def a_ticket_that_two_replicas_get_at_the_same_moment_ties_one_page(world):
    replicas = Replicas(world)
    traces = {}
    for at in range(ROUNDS):
        page = f"/page?round={at}"
        back, jar, traces[f"round={at}"] = replicas.begin(page)
        landed = replicas.send(replicas.ports[at % 2], back, jar)
        assert any("-ticket-" in name for name in landed.jar), list(landed.jar)
        came = replicas.at_once(page, landed.jar)
        expect({one.status for one in came}, {200}, f"statuses of round {at}")
        left = [name for one in came for name in one.jar if "-ticket-" in name]
        expect(left, [], "tickets that are left")

    def of_a_page(span):
        return (span.service, span.kind, span.attributes.get("url.path")) == (
            "edge", "SERVER", "/page",
        ) and "edgespan.login.trace" in span.attributes  # fmt: skip

    spans = world.receiver.wait(of_a_page, ROUNDS * AT_ONCE, 20)
    for query, trace in traces.items():
        told = [
            (span.attributes["edgespan.login.trace"], span.trace_id == trace)
            for span in spans
            if span.attributes["url.query"] == query
        ]
        others = [("unknown", False)] * (AT_ONCE - 1)
        expect(sorted(told), [("joined", True), *others], f"what became of the ticket of {query}")
