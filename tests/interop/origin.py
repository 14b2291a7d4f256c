"""The service behind edgespan: it answers with what it got, and knows nothing of tracing."""

import hashlib
import http.server
import json
import ssl
import sys
import threading
import time


class Server(http.server.ThreadingHTTPServer):
    """Python's own server, for clients that come in numbers and leave when they like."""

    request_queue_size = 512

    def begin(self):
        """Serves in a thread of its own, and looks often whether it is to stop."""
        threading.Thread(target=self.serve_forever, args=[0.02], daemon=True).start()

    def handle_error(self, request, client_address):
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class Seen(dict):
    """A request as the origin saw it: method, path, headers, bytes, sha256."""

    def header(self, name):
        """Every value of a header, in order."""
        return [text for key, text in self["headers"] if key.lower() == name]


class Origin:
    """An HTTP/1.1 server on Python's own library.

    /trailers        answers in chunks, with an `x-checksum` trailer
    /refuses-bodies  answers 413 to the head of a request that expects 100-continue
    /silent          does not answer for three seconds
    /status/NNN      answers with that status
    anything else    tells what it saw, as JSON
    """

    def __init__(self, port, authority=None, identity=None):
        """In the clear; with an identity over TLS, for clients that the authority knows."""
        scheme = "https" if identity else "http"
        self.url = f"{scheme}://127.0.0.1:{port}"
        self.requests = []
        origin = self

        class Handler(Answers):
            seen = origin.requests

        self._server = Server(("127.0.0.1", port), Handler)
        if identity:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(*identity)
            tls.load_verify_locations(authority)
            tls.verify_mode = ssl.CERT_REQUIRED
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._server.begin()

    def stop(self):
        """Closes the door."""
        self._server.shutdown()
        self._server.server_close()


class Answers(http.server.BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    timeout = 30
    seen: list

    def handle_expect_100(self):
        if self.path == "/refuses-bodies":
            self.note(b"")
            self.close_connection = True
            self.answer(413, b"too much\n")
            return False
        return super().handle_expect_100()

    def do_GET(self):
        note = self.note(read_body(self))
        if self.path == "/trailers":
            self.chunks([b"first\n", b"second\n"])
        elif self.path == "/silent":
            time.sleep(3)
            self.close_connection = True
        elif self.path.startswith("/status/"):
            self.answer(int(self.path.rsplit("/", 1)[1]), b"as you wish\n")
        else:
            self.answer(200, json.dumps(note).encode(), "application/json")

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET

    def note(self, body):
        note = Seen(
            method=self.command,
            path=self.path,
            headers=self.headers.items(),
            bytes=len(body),
            sha256=hashlib.sha256(body).hexdigest(),
        )
        self.seen.append(note)
        return note

    def answer(self, status, body, kind="text/plain"):
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def chunks(self, parts):
        self.send_response(200)
        self.send_header("transfer-encoding", "chunked")
        self.send_header("trailer", "x-checksum")
        self.end_headers()
        for part in parts:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            self.wfile.flush()
        checksum = hashlib.sha256(b"".join(parts)).hexdigest()
        self.wfile.write(f"0\r\nx-checksum: {checksum}\r\n\r\n".encode())

    def log_message(self, *_):
        pass


def read_body(request):
    """The whole body of a request to one of Python's own servers, chunked or with a length."""
    if request.headers.get("transfer-encoding", "").lower() != "chunked":
        return request.rfile.read(int(request.headers.get("content-length", 0)))
    whole = bytearray()
    while size := int(request.rfile.readline().split(b";")[0], 16):
        whole += request.rfile.read(size)
        request.rfile.readline()
    while request.rfile.readline().strip():
        pass
    return bytes(whole)
