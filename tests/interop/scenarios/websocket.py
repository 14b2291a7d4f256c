"""WebSocket clients of two languages, Python's `websockets` and Node's `ws`, and echo origins."""

import json
import subprocess
import threading

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.sync.server import serve

import programs
from harness import expect, free_port, listens, scenario

# Texts that compress well, an empty one, sizes around each step of the length field.
WORDS = [
    {"text": "hello"},
    {"text": ""},
    {"text": "x" * 125},
    {"text": "x" * 126},
    {"parts": ["one ", "message ", "of three"]},
    {"binary": 65_535},
    {"binary": 65_536},
    *({"text": f"word {n}"} for n in range(200)),
]
# Bytes of a masked close frame with a code, and of its answer without a mask.
CLOSE = (2 + 4 + 2, 2 + 2)
PING = b"there?"


class Echo:
    """Says everything again. `close CODE` is what it is told to do itself."""

    def __init__(self, port, compression):
        self.url = f"http://127.0.0.1:{port}"
        self.extensions = []
        self._server = serve(self._session, "127.0.0.1", port, compression=compression)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self):
        """Closes the door."""
        self._server.shutdown()

    def _session(self, session):
        self.extensions += [header for header in [session.response.headers.get(NAME)] if header]
        try:
            for message in session:
                if isinstance(message, str) and message.startswith("close "):
                    return session.close(int(message.split()[1]), "as told")
                session.send(message)
        except ConnectionClosed:
            return None


NAME = "Sec-WebSocket-Extensions"


class Http2Echo:
    """The same over HTTP/2, in Node."""

    def __init__(self, world):
        port = free_port()
        self.url = f"h2c://127.0.0.1:{port}"
        self.extensions = []
        command, env = in_node("websocket_http2.mjs", "serve", port)
        world.program("origin", command, env).ready(lambda: listens(port))


class Wire:
    """Origin and edgespan."""

    def __init__(self, world, compression=None, origin=None, **websocket):
        self.origin = origin or world.keep(Echo(free_port(), compression))
        route = {"websocket": {"message_events": True, **websocket}}
        self.edge = world.edgespan(world.gateway(endpoint=self.origin.url, route=route))
        self.url = self.edge.url.replace("http", "ws") + "/chat"


def payload(word):
    """A word of the script as Python's client sends it."""
    if "binary" in word:
        return b"\x07" * word["binary"]
    return word["text"] if "text" in word else word["parts"]


def whole(word):
    """What comes back."""
    return {"text": "".join(word["parts"])} if "parts" in word else word


def size(payload, masked):
    """Bytes of a frame on the wire."""
    length = 0 if payload < 126 else 2 if payload < 65_536 else 8
    return 2 + length + (4 if masked else 0) + payload


def on_the_wire(masked):
    """Bytes of all words without compression: what is said in parts comes back in one."""
    total = 0
    for word in WORDS:
        lengths = [len(part) for part in word["parts"]] if "parts" in word else None
        if lengths is None:
            lengths = [word["binary"] if "binary" in word else len(word["text"])]
        total += sum(size(length, masked) for length in lengths if masked)
        total += 0 if masked else size(sum(lengths), masked)
    return total


def by_python(url, compression):
    """The script in Python; what it heard."""
    with connect(url, compression=compression, proxy=None) as client:
        client.ping(PING).wait(10)
        heard = []
        for word in WORDS:
            client.send(payload(word))
            answer = client.recv(timeout=20)
            heard.append({"text": answer} if isinstance(answer, str) else {"binary": len(answer)})
        extensions = client.response.headers.get(NAME, "")
        client.close(1000)
        told = {"heard": heard, "pongs": 1, "extensions": extensions, "code": client.close_code}
        # A message in parts ends with a frame that has nothing but FIN.
        return {**told, "more": size(0, True)}


def by_node(url, compression, words=None, code=1000):
    """The same script in Node, all said at once."""
    return node(in_node("websocket_client.mjs", url, compression or "plain"), words, code)


def by_http2(url, compression):
    """And once more, over HTTP/2."""
    assert not compression
    return node(in_node("websocket_http2.mjs", "ask", url))


def in_node(script, *arguments):
    """A command, and the environment that it needs."""
    program, packages = programs.node()
    return [program, programs.HERE / script, *map(str, arguments)], {"NODE_PATH": str(packages)}


def node(call, words=None, code=1000):
    """Runs a client; what it heard."""
    command, env = call
    done = subprocess.run(
        command, input=json.dumps({"words": words or WORDS, "code": code}), env=env,
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    expect(done.returncode, 0, f"exit code of node\n{done.stderr}\n")
    return json.loads(done.stdout)


def session(world, talk, compression=None, origin=None, statuses=(101, 101)):
    """One session of all words, and what its spans have to say."""
    wire = Wire(world, compression, origin)

    told = talk(wire.url, compression)

    expect(told["heard"], [whole(word) for word in WORDS], "what came back")
    expect((told["code"], told["pongs"]), (1000, 1), "close code, pongs")
    wanted = ["permessage-deflate"] if compression else []
    expect([one.split(";")[0] for one in wire.origin.extensions], wanted, "extension at the origin")
    expect(told["extensions"].split(";")[0], "".join(wanted), "extension at the client")
    server, client = world.edges()
    for span, status, (one, other) in [
        (server, statuses[0], ("received", "sent")),
        (client, statuses[1], ("sent", "received")),
    ]:
        who = f"of the {span.kind} span"
        counts = [span.attributes[f"edgespan.websocket.messages_{way}"] for way in (one, other)]
        expect(counts, [len(WORDS)] * 2, f"messages {who}")
        sizes = [span.attributes[f"edgespan.websocket.bytes_{way}"] for way in (one, other)]
        plain = [
            on_the_wire(masked) + CLOSE[place] + size(len(PING), masked)
            for place, masked in enumerate([True, False])
        ]
        plain[0] += told.get("more", 0)
        if compression:
            assert all(few < many / 5 for few, many in zip(sizes, plain)), f"{sizes} of {plain}"
        else:
            expect(sizes, plain, f"bytes {who}")
        expect(span.attributes["edgespan.websocket.close_code"], 1000, f"close code {who}")
        expect(span.attributes["edgespan.websocket.closed_by"], "client", f"closed {who}")
        expect(span.status, "UNSET", f"status {who}")
        expect(span.attributes["http.response.status_code"], status, f"status code {who}")
    expect(len(server.events), 128, "events, the first of both ways")
    expect({name for name, _ in server.events}, {"edgespan.websocket.message"}, "names of events")
    types = [told["edgespan.websocket.message.type"] for _, told in server.events]
    assert types.count("binary") >= 2, types
    expect(wire.edge.finish_with_everything_exported().accepted, 2, "spans")


@scenario
def python_speaks_through(world):
    session(world, by_python)


@scenario
def python_speaks_through_with_permessage_deflate(world):
    session(world, by_python, "deflate")


@scenario
def node_speaks_through(world):
    session(world, by_node)


@scenario
def node_speaks_through_with_permessage_deflate(world):
    session(world, by_node, "deflate")


@scenario
def a_client_over_http_2_and_an_origin_over_http_1(world):
    session(world, by_http2, statuses=(200, 101))


@scenario
def a_client_over_http_1_and_an_origin_over_http_2(world):
    session(world, by_python, origin=Http2Echo(world), statuses=(101, 200))


@scenario
def http_2_on_both_sides(world):
    session(world, by_http2, origin=Http2Echo(world), statuses=(200, 200))


@scenario
def the_origins_close_reaches_both_clients_and_the_spans(world):
    wire = Wire(world, "deflate")

    for code, status in [(4001, "UNSET"), (1011, "ERROR")]:
        world.receiver.forget()
        told = by_node(wire.url, "deflate", words=[{"text": f"close {code}"}])
        expect((told["code"], told["reason"]), (code, "as told"), "what Node was told")
        ended_by_the_origin(world, code, status)

        world.receiver.forget()
        with connect(wire.url, proxy=None) as client:
            client.send(f"close {code}")
            try:
                client.recv(timeout=20)
                raise AssertionError("the origin did not close")
            except ConnectionClosed as closed:
                expect((closed.rcvd.code, closed.rcvd.reason), (code, "as told"), "Python was told")
        ended_by_the_origin(world, code, status)


def ended_by_the_origin(world, code, status):
    for span in world.edges():
        expect(span.attributes["edgespan.websocket.close_code"], code, f"code of {span.kind}")
        expect(span.attributes["edgespan.websocket.closed_by"], "upstream", f"by, {span.kind}")
        expect(span.status, status, f"status of {span.kind}")
        wanted = "websocket_1011" if status == "ERROR" else None
        expect(span.attributes.get("error.type"), wanted, f"error of {span.kind}")


@scenario
def a_client_that_is_killed_is_no_error(world):
    wire = Wire(world)

    client = connect(wire.url, proxy=None)
    client.send("hello")
    expect(client.recv(timeout=20), "hello", "echo")
    client.socket.close()

    server, client = world.edges(left=True)
    expect(server.attributes["edgespan.websocket.close_code"], 1006, "close code")
    expect(server.attributes["edgespan.websocket.closed_by"], "client", "who was lost")
    expect((server.status, client.status), ("UNSET", "UNSET"), "status")


@scenario
def a_quiet_session_is_told_when_its_time_is_over(world):
    wire = Wire(world, idle="1s")

    with connect(wire.url, proxy=None, ping_interval=None) as client:
        client.send("hello")
        expect(client.recv(timeout=20), "hello", "echo")
        try:
            client.recv(timeout=20)
            raise AssertionError("nobody said that")
        except ConnectionClosed as closed:
            expect(closed.rcvd.code, 1001, "close code")

    for span in world.edges():
        expect(span.attributes["edgespan.websocket.close_cause"], "idle", f"cause of {span.kind}")
        expect(span.attributes["edgespan.websocket.closed_by"], "edgespan", f"by, {span.kind}")
        expect(span.status, "UNSET", f"status of {span.kind}")
