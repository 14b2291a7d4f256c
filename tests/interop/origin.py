"""The service behind edgespan: it answers with what it got, and knows nothing of tracing."""

import hashlib
import http.server
import json
import threading


class Seen(dict):
    """A request as the origin saw it: method, path, headers, bytes, sha256."""

    def header(self, name):
        """Every value of a header, in order."""
        return [text for key, text in self["headers"] if key.lower() == name]


class Origin:
    """An HTTP/1.1 server on Python's own library.

    /trailers        answers in chunks, with an `x-checksum` trailer
    /refuses-bodies  answers 413 to the head of a request that expects 100-continue
    /status/NNN      answers with that status
    anything else    tells what it saw, as JSON
    """

    def __init__(self, port):
        self.url = f"http://127.0.0.1:{port}"
        self.requests = []
        origin = self

        class Handler(Answers):
            seen = origin.requests

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

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
        note = self.note(self.body())
        if self.path == "/trailers":
            self.chunks([b"first\n", b"second\n"])
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

    def body(self):
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            return self.chunked_body()
        return self.rfile.read(int(self.headers.get("content-length", 0)))

    def chunked_body(self):
        whole = bytearray()
        while size := int(self.rfile.readline().split(b";")[0], 16):
            whole += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return bytes(whole)

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
