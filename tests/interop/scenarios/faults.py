"""An origin that breaks every rule, and curl: the status, the spans, and that nothing hangs."""

import re
import socket
import struct
import threading
import time

import programs
from harness import curl, expect, free_port, get, listens, scenario, until

OK = b"HTTP/1.1 200 OK\r\n"
GOOD = OK + b"content-length: 5\r\n\r\ngood\n"
# How long edgespan waits for a head, and for more of a body.
TIMEOUTS = {"first_byte": "1s", "idle": "1s"}
# What a scenario's request may take. Far more than the time-outs above, less than curl's own.
HANGS = 10

# How curl ends when what it gets is broken off: HTTP/1.1 a part of a file, a reset, a broken
# chunk; HTTP/2 a stream that was reset.
BROKEN = {"--http1.1": (18, 56), "--http2-prior-knowledge": (92,)}


class Faulty:
    """Each path is a way to go wrong; `/good` is none. Counts what it was asked."""

    def __init__(self, port):
        self.url = f"http://127.0.0.1:{port}"
        self.asked = []
        self._over = threading.Event()
        self._door = socket.create_server(("127.0.0.1", port), backlog=128)
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self):
        """Closes the door and wakes up whoever never answers."""
        self._over.set()
        self._door.close()

    def _accept(self):
        while True:
            try:
                stream, _ = self._door.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=[stream], daemon=True).start()

    def _serve(self, stream):
        with stream:
            stream.settimeout(30)
            try:
                while path := self._request(stream):
                    self.asked.append(path)
                    if not getattr(self, "_" + path.replace("-", "_"))(stream):
                        return
            except OSError:
                pass

    def _request(self, stream):
        """The name in the path of the next request; its body is read if it has a length."""
        head = b""
        while b"\r\n\r\n" not in head:
            read = stream.recv(65536)
            if not read:
                return None
            head += read
        head, _, body = head.partition(b"\r\n\r\n")
        told = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        left = (int(told[1]) if told else 0) - len(body)
        while left > 0:
            left -= len(stream.recv(65536))
        return head.split()[1].decode().strip("/").partition("?")[0]

    def _good(self, stream):
        stream.sendall(GOOD)
        return True

    def _last(self, stream):
        stream.sendall(GOOD.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"))

    def _reset_before_the_head(self, stream):
        resets(stream)

    def _closes_before_the_head(self, stream):
        pass

    def _reset_within_the_head(self, stream):
        stream.sendall(OK + b"content-le")
        resets(stream)

    def _reset_after_the_head(self, stream):
        stream.sendall(OK + b"content-length: 1000\r\n\r\n")
        # The head has to be on its way before the reset overtakes it.
        time.sleep(0.3)
        resets(stream)

    def _half_a_body(self, stream):
        stream.sendall(OK + b"content-length: 1000\r\n\r\n" + b"x" * 500)

    def _half_of_the_chunks(self, stream):
        stream.sendall(OK + b"transfer-encoding: chunked\r\n\r\n5\r\nwords\r\n")

    def _no_chunk(self, stream):
        stream.sendall(OK + b"transfer-encoding: chunked\r\n\r\n5\r\nwords\r\nzz\r\n")
        self._over.wait(HANGS)

    def _slow_bytes(self, stream):
        stream.sendall(OK + b"content-length: 8\r\n\r\n")
        for byte in b"slowly!\n":
            time.sleep(0.2)
            stream.sendall(bytes([byte]))
        return True

    def _slow_head(self, stream):
        for byte in GOOD[:-5]:
            time.sleep(0.01)
            stream.sendall(bytes([byte]))
        stream.sendall(GOOD[-5:])
        return True

    def _endless_head(self, stream):
        stream.sendall(OK)
        while not self._over.wait(0.05):
            stream.sendall(b"x-more: and more\r\n")

    def _huge_head(self, stream):
        stream.sendall(OK)
        for _ in range(4000):
            stream.sendall(b"x-more: " + b"m" * 1000 + b"\r\n")
        stream.sendall(b"\r\n")

    def _too_long(self, stream):
        stream.sendall(GOOD + GOOD.replace(b"good", b"evil"))
        return True

    def _stops_within_the_body(self, stream):
        stream.sendall(OK + b"content-length: 1000\r\n\r\n" + b"x" * 500)
        self._over.wait(HANGS)

    def _never_answers(self, stream):
        self._over.wait(HANGS)

    def _two_lengths(self, stream):
        stream.sendall(OK + b"content-length: 5\r\ncontent-length: 6\r\n\r\ngood\n!")

    def _negative_length(self, stream):
        stream.sendall(OK + b"content-length: -5\r\n\r\ngood\n")

    def _no_http(self, stream):
        stream.sendall(b"220 mail.example.com ESMTP\r\n")
        self._over.wait(HANGS)

    def _other_version(self, stream):
        stream.sendall(GOOD.replace(b"HTTP/1.1", b"HTTP/3.7"))

    def _two_answers_to_one(self, stream):
        stream.sendall(GOOD)
        stream.sendall(GOOD.replace(b"good", b"evil"))
        return True

    def _closes_after(self, stream):
        stream.sendall(GOOD)


def resets(stream):
    """Closes with an RST."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


# What goes wrong; the status curl gets; `error.type` of both spans; whether the answer is broken
# off in its middle.
FAULTS = [
    ("reset-before-the-head", 502, "connection_reset", False),
    ("closes-before-the-head", 502, "connection_reset", False),
    ("reset-within-the-head", 502, "connection_reset", False),
    ("reset-after-the-head", 200, "connection_reset", True),
    ("half-a-body", 200, "connection_reset", True),
    ("half-of-the-chunks", 200, "connection_reset", True),
    ("no-chunk", 200, "connection_reset", True),
    ("stops-within-the-body", 200, "timeout", True),
    ("never-answers", 504, "timeout", False),
    ("endless-head", 504, "timeout", False),
    ("huge-head", 502, ("connection_reset", "invalid_response"), False),
    ("two-lengths", 502, ("connection_reset", "invalid_response"), False),
    ("negative-length", 502, ("connection_reset", "invalid_response"), False),
    ("no-http", 502, ("connection_reset", "invalid_response"), False),
    ("other-version", 502, ("connection_reset", "invalid_response"), False),
    ("slow-bytes", 200, None, False),
    ("slow-head", 200, None, False),
    ("too-long", 200, None, False),
    ("two-answers-to-one", 200, None, False),
    ("closes-after", 200, None, False),
]


@scenario
def an_origin_that_breaks_every_rule_over_http_1(world):
    every_fault(world, "--http1.1")


@scenario
def an_origin_that_breaks_every_rule_over_http_2(world):
    every_fault(world, "--http2-prior-knowledge")


def every_fault(world, flag):
    origin = world.keep(Faulty(free_port()))
    edge = world.edgespan(world.gateway(endpoint=origin.url, upstream={"timeouts": TIMEOUTS}))

    for fault, status, error, broken in FAULTS:
        goes_wrong(world, edge, flag, fault, status, error, broken)
        # And whoever comes next has what belongs to him.
        after = curl(world, flag, f"{edge.url}/good")
        expect((after.status, after.body), (200, b"good\n"), f"the request after {fault}")
        # A connection that was used before may be stale, so a GET would be repeated on a new one:
        # each fault gets a connection of its own.
        expect(curl(world, flag, f"{edge.url}/last").status, 200, f"the last request of {fault}")
        world.receiver.wait(lambda span: span.service == "edge", 6)

    asked = len(FAULTS) * 3
    expect(len(origin.asked), asked, "requests that the origin took: none was repeated")
    until(lambda: in_flight(edge) == 0, "nothing is left in flight")
    expect(edge.finish_with_everything_exported().accepted, 2 * asked, "spans")


def goes_wrong(world, edge, flag, fault, status, error, broken, once=True):
    """One request, its answer and its spans."""
    world.receiver.forget()
    began = time.monotonic()
    answer = curl(world, flag, f"{edge.url}/{fault}", code=BROKEN[flag] if broken else 0)
    took = time.monotonic() - began

    # A reset of an HTTP/2 stream may overtake the head that waits to be sent (status 0).
    told = status if broken and answer.status == 0 and flag != "--http1.1" else answer.status
    expect(told, status, f"status of {fault}")
    assert took < HANGS, f"{fault} took {took:.1f} s"
    if once:
        server, client = world.edges()
    else:
        [server] = world.receiver.wait(lambda span: span.kind == "SERVER")
        attempts = world.receiver.wait(lambda span: span.parent_span_id == server.span_id)
        client = max(attempts, key=lambda span: span.start)
        assert len(attempts) <= 2, f"{len(attempts)} attempts of {fault}"
    allowed = error if isinstance(error, tuple) else (error,)
    for span in (server, client):
        who = f"of the {span.kind} span of {fault}"
        assert span.attributes.get("error.type") in allowed, f"error {who}: {span.attributes}"
        expect(span.status, "ERROR" if error else "UNSET", f"status {who}")
    expect(server.attributes["http.response.status_code"], status, f"status code of {fault}")
    assert b"evil" not in answer.body, f"{fault}: bytes that belong to no answer"


# The same for an origin that speaks HTTP/2, where a stream can go wrong by itself.
FAULTS_OF_STREAMS = [
    ("refused", 502, "refused_stream", False),
    ("reset-before-the-head", 502, "connection_reset", False),
    ("cancelled-before-the-head", 502, "connection_reset", False),
    ("reset-after-the-head", 200, "connection_reset", True),
    ("half-a-body", 200, ("connection_reset", "invalid_response"), True),
    ("loses-the-connection", 502, "connection_reset", False),
    ("loses-the-connection-after-the-head", 200, "connection_reset", True),
    ("goes-away-and-answers", 200, None, False),
    ("stops-within-the-body", 200, "timeout", True),
    ("never-answers", 504, "timeout", False),
]


@scenario
def streams_of_an_origin_that_go_wrong(world):
    node, _ = programs.node()
    port = free_port()
    script = programs.HERE / "faulty_http2.mjs"
    world.program("origin", [node, script, port]).ready(lambda: listens(port))
    upstream = {"timeouts": TIMEOUTS, "retries": {"attempts": 0}}
    edge = world.edgespan(world.gateway(endpoint=f"h2c://127.0.0.1:{port}", upstream=upstream))

    for flag in BROKEN:
        for fault, status, error, broken in FAULTS_OF_STREAMS:
            # What was refused, or went down with a connection that was used before, is tried again.
            once = fault not in ("refused", "loses-the-connection")
            goes_wrong(world, edge, flag, fault, status, error, broken, once)
            after = curl(world, flag, f"{edge.url}/good")
            expect((after.status, after.body), (200, b"good\n"), f"the request after {fault}")
            world.receiver.wait(lambda span: span.service == "edge" and ended_well(span), 2)

    until(lambda: in_flight(edge) == 0, "nothing is left in flight")
    edge.finish_with_everything_exported()


def ended_well(span):
    """Whether it is of the request that came after."""
    return span.attributes.get("url.path", span.attributes.get("url.full", "")).endswith("/good")


def in_flight(edge):
    """Requests that are neither answered nor given up."""
    _, page = get(edge.admin + "/metrics")
    return int(re.search(r"^http_server_active_requests (\d+)", page, re.MULTILINE)[1])


@scenario
def what_is_safe_goes_to_another_endpoint_and_nothing_else_does(world):
    bad, good = (world.keep(Faulty(free_port())) for _ in range(2))
    good._never_answers = good._reset_before_the_head = good._good
    upstream = {
        "endpoints": [bad.url, good.url],
        "timeouts": {"first_byte": "5s"},
        "retries": {"attempts": 1, "on": ["connect", "reset", "timeout"],
                    "per_try_timeout": "300ms", "budget": 1.0},
    }  # fmt: skip
    edge = world.edgespan(world.gateway(upstream=upstream))

    for fault, cause in [("reset-before-the-head", "reset"), ("never-answers", "timeout")]:
        world.receiver.forget()
        answers = [curl(world, f"{edge.url}/{fault}") for _ in range(4)]

        expect([one.status for one in answers], [200] * 4, f"answers to {fault}")
        spans = world.receiver.wait(lambda span: span.service == "edge", 4 + 4 + 2)
        servers = [span for span in spans if span.kind == "SERVER"]
        expect({span.status for span in servers}, {"UNSET"}, "SERVER spans")
        again = [one for one in spans if "http.request.resend_count" in one.attributes]
        expect(len(again), 2, f"second attempts for {fault}: every other request")
        for span in again:
            expect(span.attributes["http.request.resend_count"], 1, "resend count")
            expect(span.attributes["edgespan.retry.cause"], cause, "cause")
            [first] = [
                one for one in spans
                if one.parent_span_id == span.parent_span_id and one is not span
            ]  # fmt: skip
            expect(first.status, "ERROR", "the first attempt")

    # What may have had an effect is not done twice.
    world.receiver.forget()
    before = len(bad.asked) + len(good.asked)
    posts = [
        curl(world, "--data", "once", f"{edge.url}/reset-before-the-head").status for _ in range(4)
    ]
    expect(sorted(posts), [200, 200, 502, 502], "answers to POST")
    expect(len(bad.asked) + len(good.asked), before + 4, "requests at the origins")
