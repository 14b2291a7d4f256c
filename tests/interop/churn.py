"""Clients that come, go and break off, each of them noting what went wrong and when.

For the soak: a request that failed while the origin was away is the origin's fault, any other one
is a finding.
"""

import base64
import contextlib
import hashlib
import http.client
import os
import pathlib
import socket
import ssl
import struct
import subprocess
import threading
import time

import programs

# How long a client waits for anything.
PATIENCE = 15

MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Failures:
    """What failed, with the time it began and the time it was over, in seconds since 1970."""

    def __init__(self):
        self._lock = threading.Lock()
        self.seen = []
        self.asked = 0

    def passed(self, count=1):
        """So many requests went well."""
        with self._lock:
            self.asked += count

    def failed(self, began, what):
        """One did not."""
        with self._lock:
            self.asked += 1
            self.seen.append((began, time.time(), what))

    def outside(self, windows):
        """Those that nothing excuses."""
        with self._lock:
            return [
                what
                for began, ended, what in self.seen
                if not any(began <= until and since <= ended for since, until in windows)
            ]


    def late(self, windows, grace):
        """How long after the origin was back the last excused request began; windows end `grace`
        later than that."""
        with self._lock:
            begins = [began for began, _, _ in self.seen]
        after = [
            began - (until - grace)
            for began in begins
            for since, until in windows
            if since <= began <= until
        ]
        return max([0.0, *after])


class Churn:
    """Kinds of clients, each in a thread of its own, again and again until the end."""

    def __init__(self, failures, *kinds):
        self._over = threading.Event()
        self._failures = failures
        self._threads = [threading.Thread(target=self._again, args=[kind]) for kind in kinds]
        for thread in self._threads:
            thread.start()

    def _again(self, kind):
        while not self._over.is_set():
            began = time.time()
            try:
                kind()
            except Exception as error:
                self._failures.failed(began, f"{kind.__name__}: {error!r}")
                self._over.wait(0.05)

    def stop(self):
        """Ends them; returns when the last one is gone."""
        self._over.set()
        for thread in self._threads:
            thread.join(4 * PATIENCE)
            assert not thread.is_alive(), "a client that never ends"


def loads(failures, folder, url, *arguments):
    """h2load, some hundred requests on connections of their own."""
    [program] = programs.debian("h2load")
    log = pathlib.Path(folder) / f"h2load{''.join(arguments)}.log"

    def h2load():
        log.unlink(missing_ok=True)
        began = time.time()
        done = subprocess.run(
            [program, "-n", "300", f"--log-file={log}", *arguments, url],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=4 * PATIENCE,
        )  # fmt: skip
        lines = log.read_text().splitlines() if log.exists() else []
        if done.returncode or not lines:
            failures.failed(began, f"h2load: exit {done.returncode}: {done.stderr[-300:]}")
        for line in lines:
            since, status, took = (int(field) for field in line.split("\t")[:3])
            if status == 200:
                failures.passed()
            else:
                failures.failed(since / 1e6, f"{url} {' '.join(arguments)}: {status}, {took} us")

    return h2load


def newcomers(failures, port):
    """Each request on a connection of its own, with a body or without."""

    def newcomer():
        for method, body in [("GET", None), ("POST", b"x" * 20_000), ("HEAD", None)]:
            began = time.time()
            with contextlib.closing(
                http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
            ) as client:
                try:
                    client.request(method, "/new", body=body)
                    answer = client.getresponse()
                    answer.read()
                    problem = "" if answer.status == 200 else answer.status
                except (OSError, http.client.HTTPException) as error:
                    problem = repr(error)
            if problem:
                failures.failed(began, f"{method} on a new connection: {problem}")
            else:
                failures.passed()

    return newcomer


def breaking_off(port, tls_port):
    """Clients that leave in the middle, politely or by reset. None of it is anybody's failure."""
    head = b"%s HTTP/1.1\r\nhost: a.example\r\n%s\r\n"
    pieces = [
        (port, b""),
        (port, b"GET / HTTP/1.1\r\nhost: a.exa"),
        (port, head % (b"GET /", b"")),
        (port, head % (b"GET /big", b"")),
        (port, head % (b"POST /", b"content-length: 100000\r\n") + b"x" * 1000),
        (port, head % (b"POST /", b"transfer-encoding: chunked\r\n") + b"5\r\nab"),
        (port, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"),
        (port, b"\x16\x03\x01garbage\r\n\r\n"),
        (tls_port, b"\x16\x03\x01\x02\x00\x01\x00"),
        (tls_port, b"GET / HTTP/1.1\r\n\r\n"),
    ]

    def client_that_breaks_off():
        for place, (to, sent) in enumerate(pieces):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", to)) as peer:
                peer.settimeout(1)
                peer.sendall(sent)
                if b"/big" in sent:
                    peer.recv(1000)
                if place % 2:
                    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        time.sleep(0.02)

    return client_that_breaks_off


class WebSocket:
    """A client of one WebSocket, with frames under 126 bytes."""

    def __init__(self, port):
        self._peer = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self._stream = self._peer.makefile("rb")
        key = base64.b64encode(os.urandom(16))
        self._peer.sendall(
            b"GET /ws HTTP/1.1\r\nhost: a.example\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
            b"sec-websocket-version: 13\r\nsec-websocket-key: " + key + b"\r\n\r\n"
        )
        head = read_head(self._stream)
        assert b" 101 " in head[0], head[0]

    def echoed(self, text):
        """Sends a message, and waits for it."""
        self._send(0x81, text)
        got = read_frame(self._stream)
        assert got == (0x81, text), got

    def close(self):
        """Closes it as RFC 6455 says."""
        self._send(0x88, struct.pack("!H", 1000))
        got = read_frame(self._stream)
        assert got[0] == 0x88, got
        self.leave()

    def leave(self):
        """Leaves without a word."""
        self._stream.close()
        self._peer.close()

    def _send(self, first, text):
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(text))
        self._peer.sendall(bytes([first, 0x80 | len(text)]) + mask + masked)


def websockets(failures, port):
    """WebSockets that are opened, used and closed, or left."""

    def websocket():
        for is_polite in [True, False]:
            session = WebSocket(port)
            for text in [b"one", b"two"]:
                session.echoed(text)
            session.close() if is_polite else session.leave()
            failures.passed()
        time.sleep(0.02)

    return websocket


class Echo:
    """An origin of WebSockets that sends back every frame."""

    def __init__(self, port):
        self.url = f"http://127.0.0.1:{port}"
        self._door = socket.create_server(("127.0.0.1", port), backlog=128)
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self):
        """Closes the door."""
        with contextlib.suppress(OSError):
            self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self._door.accept()
                threading.Thread(target=self._serve, args=[peer], daemon=True).start()

    def _serve(self, peer):
        with contextlib.suppress(OSError, EOFError), peer, peer.makefile("rb") as stream:
            head = read_head(stream)
            pairs = (line.split(b": ", 1) for line in head[1:])
            fields = {name.lower(): text for name, text in pairs}
            digest = hashlib.sha1(fields[b"sec-websocket-key"] + MAGIC).digest()
            peer.sendall(
                b"HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\n"
                b"upgrade: websocket\r\nsec-websocket-accept: "
                + base64.b64encode(digest) + b"\r\n\r\n"
            )  # fmt: skip
            while True:
                first, payload = read_frame(stream)
                peer.sendall(bytes([first, len(payload)]) + payload)
                if first == 0x88:
                    return


def read_head(stream):
    """The lines of a message's head."""
    lines = []
    while line := stream.readline().strip():
        lines.append(line)
    if not lines:
        raise EOFError("closed before a head")
    return lines


def read_frame(stream):
    """First byte and payload of a WebSocket frame under 126 bytes, unmasked."""
    head = read_exactly(stream, 2)
    mask = read_exactly(stream, 4) if head[1] & 0x80 else bytes(4)
    payload = read_exactly(stream, head[1] & 0x7F)
    return head[0], bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


def read_exactly(stream, count):
    """So many bytes; EOFError if there are fewer."""
    got = stream.read(count)
    if len(got) < count:
        raise EOFError("closed within a frame")
    return got


def shown_certificate(port):
    """The certificate that a TLS listener shows, as PEM."""
    return ssl.get_server_certificate(("127.0.0.1", port), timeout=PATIENCE)
