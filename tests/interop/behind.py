"""What stands behind a proxy that asks: an application that believes its headers, and whoever knows
who is logged in.
"""

import base64
import hashlib
import http.server
import threading

from origin import Server, read_body


class App:
    """An application that believes what its headers say."""

    def __init__(self, port):
        self.seen = seen = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                body = read_body(self)
                seen.append((self.command, self.path, list(self.headers.items()), len(body)))
                if self.headers.get("upgrade", "").lower() == "websocket":
                    self.send_response(101)
                    self.send_header("connection", "upgrade")
                    self.send_header("upgrade", "websocket")
                    self.send_header("sec-websocket-accept", accepted(self.headers))
                    self.end_headers()
                    self.wfile.write(self.rfile.read(5))
                    self.close_connection = True
                    return
                self.send_response(200)
                self.send_header("content-length", "3")
                self.end_headers()
                self.wfile.write(b"app")

            do_OPTIONS = do_POST = do_GET

            def log_message(self, *_):
                pass

        self._server = Server(("127.0.0.1", port), Handler)
        self._server.begin()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()


def accepted(headers):
    """`Sec-WebSocket-Accept` (RFC 6455 section 4.2.2)."""
    key = headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    return base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()


class Authorizer(App):
    """Knows who is logged in, by cookie."""

    def __init__(self, port):
        self.seen = seen = []
        self._gone = gone = threading.Event()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # A refusal is passed on whole, this too.
            server_version, sys_version = "authorizer", ""

            def do_GET(self):
                if gone.is_set():
                    self.close_connection = True
                    return
                seen.append((self.command, self.path, list(self.headers.items())))
                cookie = "; ".join(self.headers.get_all("cookie", []))
                if "session=alice" in cookie:
                    # oauth2-proxy's way of saying yes.
                    self.answer(202, ("x-auth-user", "alice"), ("x-auth-groups", "staff,ops"))
                elif "session=old" in cookie:
                    self.answer(
                        200, ("x-auth-user", "alice"), ("set-cookie", "session=new; Path=/"),
                        ("set-cookie", "csrf=1; Path=/"),
                    )  # fmt: skip
                elif "session=anonymous" in cookie:
                    self.answer(200)
                elif "session=mallory" in cookie:
                    self.answer(403)
                elif "text/html" in self.headers.get("accept", ""):
                    self.answer(
                        302, ("location", "/login?to=here"), ("set-cookie", "state=1; Path=/"),
                        ("set-cookie", "nonce=2; Path=/"),
                    )  # fmt: skip
                else:
                    self.answer(401, ("www-authenticate", 'Bearer realm="app"'))

            def answer(self, status, *headers):
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = Server(("127.0.0.1", port), Handler)
        self._server.begin()

    def stop(self):
        """Gone for good, for those with an open connection, too."""
        self._gone.set()
        super().stop()


def cookies(answer):
    """Names of the cookies that an answer sets."""
    return sorted(text.partition("=")[0] for name, text in answer.headers if name == "set-cookie")


def said_of(seen, name):
    """What a CGI application reads of a header: every spelling is one."""
    headers = seen[2]
    return [text for key, text in headers if key.lower().replace("_", "-") == name]
