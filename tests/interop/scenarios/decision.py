"""Real proxies ask edgespan who may pass. Each runs the example of deploy/ as it stands (ports apart)
and the same table of cases.
"""

import base64
import hashlib
import http.server
import socket
import urllib.parse

import programs
from harness import curl, expect, free_port, get, listens, scenario, until
from origin import Server

DEPLOY = programs.ROOT / "deploy"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"

# Who does not hand on cookies of an answer that lets the request pass.
WITHOUT_COOKIES = {"caddy"}
# What a client gets when edgespan is gone. Nobody lets it pass.
WITHOUT_EDGESPAN = {"nginx": 500, "traefik": 500, "caddy": 502, "envoy": 403, "envoy-grpc": 403,
                    "haproxy": 503}  # fmt: skip


class App:
    """An application that believes what its headers say."""

    def __init__(self, port):
        self.seen = seen = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                seen.append((self.command, self.path, list(self.headers.items())))
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
    """Knows who is signed in, by cookie."""

    def __init__(self, port):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # A refusal is passed on whole, this too.
            server_version, sys_version = "authorizer", ""

            def do_GET(self):
                cookie = self.headers.get("cookie", "")
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


def commands(host, folder):
    """How each program is started on its example."""
    if host == "nginx":
        [program] = programs.debian("nginx")
        return [program, "-p", folder, "-e", "stderr", "-c", "nginx.conf",
                "-g", f"daemon off; pid {folder}/nginx.pid;"]  # fmt: skip
    if host == "haproxy":
        [program] = programs.debian("haproxy")
        return [program, "-db", "-C", folder, "-f", "haproxy.cfg"]
    programs.python()
    program = programs.VENV / "bin" / host.partition("-")[0]
    return {
        "traefik": [program, f"--configfile={folder}/traefik.yaml"],
        "caddy": [program, "run", "--config", folder / "Caddyfile"],
        "envoy": [program, "--config-path", folder / "envoy.yaml", "--concurrency", "1",
                  "--disable-hot-restart", "--log-level", "warning"],
    }[program.name]  # fmt: skip


class Site:
    """A host proxy, edgespan beside it, an authorizer and an application."""

    def __init__(self, world, host):
        self.world, self.host = world, host
        ports = {name: free_port() for name in (8080, 9000, 3000, 4180)}
        ports[4317] = int(world.receiver.grpc_endpoint.rpartition(":")[2])
        self.folder = world.folder / host
        self.folder.mkdir()
        for file in (DEPLOY / host).iterdir():
            text = file.read_text()
            for name, port in ports.items():
                text = text.replace(f":{name}", f":{port}")
                text = text.replace(f"port_value: {name}", f"port_value: {port}")
            # Traefik's file names its other file, which is found from where it is started.
            text = text.replace("filename: dynamic.yaml", f"filename: {self.folder}/dynamic.yaml")
            (self.folder / file.name).write_text(text)
        self.app = world.keep(App(ports[3000]))
        world.keep(Authorizer(ports[4180]))
        admin = free_port()
        self.edgespan = world.program("edgespan", [
            world.edgespan_program, "run", "--config", self.folder / "edgespan.yaml", "--quiet",
            "--admin", f"127.0.0.1:{admin}",
        ]).ready(lambda: get(f"http://127.0.0.1:{admin}/ready")[0] == 200)  # fmt: skip
        self.port = ports[8080]
        world.program(host, commands(host, self.folder)).ready(lambda: listens(self.port))
        self.url = f"http://127.0.0.1:{self.port}"
        until(lambda: self.ask("/health").status == 200, f"{host} serves")
        self.app.seen.clear()

    def ask(self, path, *fields, session=None, method="GET"):
        """One request of a client's."""
        headers = [f"cookie: session={session}"] if session else []
        arguments = [
            part for field in ["host: app.example.com", *headers, *fields] for part in ("-H", field)
        ]
        return curl(
            self.world, "--path-as-is", "--request", method, *arguments, self.url + path,
        )  # fmt: skip

    def arrived(self):
        """The one request that the application got since it was last asked."""
        [seen] = self.app.seen
        self.app.seen.clear()
        return seen


def cookies(answer):
    """Names of the cookies that an answer sets."""
    return sorted(text.partition("=")[0] for name, text in answer.headers if name == "set-cookie")


def said_of(seen, name):
    """What a CGI application reads of a header: every spelling is one."""
    headers = seen[2]
    return [text for key, text in headers if key.lower().replace("_", "-") == name]


def who_is_known_passes_and_both_are_in_the_clients_trace(site):
    context = f"traceparent: 00-{TRACE}-{CALLER}-01"
    answer = site.ask("/orders/7?q=1", context, "baggage: k=v", session="alice")

    expect(answer.status, 200, "status")
    seen = site.arrived()
    expect(seen[:2], ("GET", "/orders/7?q=1"), "what the application was asked")
    expect(said_of(seen, "x-auth-user"), ["alice"], "user")
    expect(said_of(seen, "x-auth-groups"), ["staff,ops"], "groups")
    assert TRACE in said_of(seen, "traceparent")[0], seen
    [span] = site.world.receiver.wait(
        lambda span: span.kind == "SERVER" and span.trace_id == TRACE, 1
    )
    expect(span.parent_span_id, CALLER, "parent of the decision")
    expect(span.attributes["edgespan.original.method"], "GET", "method asked about")
    expect(span.attributes["edgespan.original.path"], "/orders/7", "path asked about")
    expect(span.attributes["edgespan.original.host"], "app.example.com", "host asked about")
    expect(span.attributes["edgespan.route"], "app", "route")
    if not site.host.startswith("envoy"):  # It tells its own address in place of loopback.
        expect(span.attributes["client.address"], "127.0.0.1", "client")


def who_is_not_is_refused_as_the_authorizer_says(site):
    nobody = site.ask("/orders/7")
    mallory = site.ask("/orders/7", session="mallory")

    expect((nobody.status, mallory.status), (401, 403), "statuses")
    expect(nobody.header("www-authenticate"), 'Bearer realm="app"', "challenge")
    expect(site.app.seen, [], "what the application got")


def a_page_is_sent_to_the_login_of_its_own_host(site):
    answer = site.ask("/orders/7", "accept: text/html")

    expect(answer.status, 302, "status")
    expect(answer.header("location"), "http://app.example.com/login?to=here", "location")
    expect(cookies(answer), ["nonce", "state"], "cookies")
    expect(site.app.seen, [], "what the application got")


def cookies_that_are_renewed_arrive(site):
    answer = site.ask("/orders/7", session="old")

    expect(answer.status, 200, "status")
    wanted = [] if site.host in WITHOUT_COOKIES else ["csrf", "session"]
    expect(cookies(answer), wanted, "cookies")
    site.app.seen.clear()


def no_spelling_of_an_identity_passes(site):
    spellings = ["X-Auth-User", "x_auth_user", "X-Auth_User", "X_Auth-User", "x-auth-groups"]
    spoofed = [f"{name}: root" for name in spellings]
    nominated = "connection: close, X-Auth-User, x-auth-groups"

    for fields in [spoofed, [*spoofed, "x-auth-user: admin"], [*spoofed, nominated]]:
        for session in ["anonymous", "alice"]:
            answer = site.ask("/orders/7", *fields, session=session)
            if answer.status in (400, 403):  # The host takes no such header at all.
                expect(site.app.seen, [], "what the application got")
                continue
            expect(answer.status, 200, f"status of {session}")
            seen = site.arrived()
            for name, proved in [("x-auth-user", "alice"), ("x-auth-groups", "staff,ops")]:
                told = [text for text in said_of(seen, name) if text]
                # Caddy takes away what a client nominates, even what was proved.
                mine = [[proved], []] if session == "alice" and nominated in fields else (
                    [[proved]] if session == "alice" else [[]]
                )  # fmt: skip
                assert told in mine, f"{site.host} {session} {fields}: {name} is {told}"


def a_websocket_opens_only_for_who_may(site):
    asked = (
        "GET /socket HTTP/1.1\r\nhost: app.example.com\r\nconnection: upgrade\r\n"
        "upgrade: websocket\r\nsec-websocket-version: 13\r\n"
        "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    )

    def status(more):
        with socket.create_connection(("127.0.0.1", site.port), timeout=10) as client:
            client.sendall((asked + more + "\r\n").encode())
            return client.recv(4096).split(b" ")[1]

    expect(status(""), b"401", "without a session")
    expect(status("accept: text/html\r\n") in (b"401", b"302"), True, "with a page's Accept")
    expect(site.app.seen, [], "what the application got")
    expect(status("cookie: session=alice\r\n"), b"101", "with a session")
    site.app.seen.clear()


def a_preflight_needs_no_session(site):
    fields = ["origin: https://other.example", "access-control-request-method: POST"]
    preflight = site.ask("/orders/7", *fields, method="OPTIONS")
    other = site.ask("/orders/7", method="OPTIONS")

    expect((preflight.status, other.status), (200, 401), "statuses")
    expect(site.arrived()[0], "OPTIONS", "what the application got")


def no_spelling_of_a_path_gets_round_its_rule(site):
    for path in [
        "/health/../private", "/health/%2e%2e/private", "/health/..%2fprivate", "//private",
        "/health/..;/private", "/%2e/private", "/private%00", "/health%2f..%2fprivate",
        "/private?x=/health", "/private;/health", "/HEALTH", "/health/", "/%70rivate",
        "/health\\..\\private",
    ]:  # fmt: skip
        answer = site.ask(path)
        assert answer.status in (400, 401, 403), f"{site.host} {path}: {answer.status}"
        expect(site.app.seen, [], f"what the application got of {path}")
    strange = site.ask("/%68ealth")
    # Traefik unescapes before it asks and before it forwards; of others it has two readings.
    assert strange.status in (200, 400, 403), f"{site.host}: {strange.status}"
    site.app.seen.clear()
    answer = site.ask("/a%20b/%C3%BC?c=%2e%2e/d", session="alice")
    expect(answer.status, 200, "an escaped path that has one reading")
    expect(urllib.parse.unquote(site.arrived()[1]), "/a b/ü?c=../d", "what the application got")


def thirty_kilobytes_of_cookies_pass(site):
    padding = f"cookie: session=alice; padding={'x' * 30_000}"
    answer = site.ask("/orders/7", padding)

    expect(answer.status, 200, "status")
    expect(said_of(site.arrived(), "x-auth-user"), ["alice"], "user")


def nobody_passes_when_edgespan_is_gone(site):
    site.edgespan.stop()

    answer = site.ask("/orders/7", session="alice")

    expect(answer.status, WITHOUT_EDGESPAN[site.host], "status")
    expect(site.app.seen, [], "what the application got")


CASES = [
    who_is_known_passes_and_both_are_in_the_clients_trace,
    who_is_not_is_refused_as_the_authorizer_says,
    a_page_is_sent_to_the_login_of_its_own_host,
    cookies_that_are_renewed_arrive,
    no_spelling_of_an_identity_passes,
    a_websocket_opens_only_for_who_may,
    a_preflight_needs_no_session,
    no_spelling_of_a_path_gets_round_its_rule,
    thirty_kilobytes_of_cookies_pass,
    nobody_passes_when_edgespan_is_gone,  # the last one: it does not come back
]


def table(world, host):
    """Every case, and all that fail at once."""
    site = Site(world, host)
    failed = []
    for case in CASES:
        try:
            case(site)
        except Exception as error:
            failed.append(f"{case.__name__}: {type(error).__name__} {error}")
            site.app.seen.clear()
    assert not failed, "\n  ".join(["", *failed])


@scenario
def nginx_asks_by_auth_request(world):
    table(world, "nginx")


@scenario
def traefik_asks_by_forward_auth(world):
    table(world, "traefik")


@scenario
def caddy_asks_by_forward_auth(world):
    table(world, "caddy")


@scenario
def envoy_asks_by_ext_authz_over_http(world):
    table(world, "envoy")


@scenario
def envoy_asks_by_ext_authz_over_grpc(world):
    table(world, "envoy-grpc")


@scenario
def haproxy_asks_by_lua(world):
    table(world, "haproxy")
