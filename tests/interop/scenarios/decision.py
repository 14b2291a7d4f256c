"""Real proxies ask edgespan who may pass. Each runs the example of deploy/ as it stands (ports apart)
and the same table of cases.
"""

import re
import socket
import urllib.parse

import programs
from behind import App, Authorizer, cookies, said_of
from harness import clean_environment, curl, expect, free_port, get, listens, scenario, until

DEPLOY = programs.ROOT / "deploy"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"

# Who does not hand on cookies of an answer that lets the request pass.
WITHOUT_COOKIES = {"caddy"}
# Who loses what the client nominates in `Connection` and so refuses such a request.
NO_NOMINATIONS = {"caddy"}
# Who has spans of its own. Of the others, nginx needs a module that Debian does not have, and HAProxy
# one that is given up.
TRACED = {"traefik", "caddy", "envoy", "envoy-grpc"}
# What a client gets when nobody knows who it is. Envoy's HTTP check makes a 403 of every 5xx.
WITHOUT_AUTHORIZER = {"envoy": 403}
# What else a client gets who asks for a name that no site has. The application gets nothing.
OF_NO_SITE = {"caddy": 200}
# What a client gets when edgespan is gone. Nobody lets it pass.
WITHOUT_EDGESPAN = {"nginx": 500, "traefik": 500, "caddy": 502, "envoy": 403, "envoy-grpc": 403,
                    "haproxy": 503}  # fmt: skip


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
                  "--disable-hot-restart", "--log-level", "warning", "--config-yaml", AT_ONCE],
    }[program.name]  # fmt: skip


# Envoy's spans are not to wait for others.
AT_ONCE = """{layered_runtime: {layers: [
    {name: static, static_layer: {tracing.opentelemetry.min_flush_spans: 1}}]}}"""


def environment(host, receiver):
    """Caddy's, as its example says; and spans are not to wait for others."""
    caddys = {
        "OTEL_SERVICE_NAME": "caddy",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.grpc_endpoint,
    }
    own = caddys if host == "caddy" else {}
    return {**clean_environment(), "OTEL_BSP_SCHEDULE_DELAY": "50", **own}


class Site:
    """A host proxy, edgespan beside it, an authorizer and an application."""

    def __init__(self, world, host):
        self.world, self.host = world, host
        ports = {name: free_port() for name in (8080, 9000, 3000, 4180, 9400)}
        ports[4317] = int(world.receiver.grpc_endpoint.rpartition(":")[2])
        self.folder = world.folder / host
        self.folder.mkdir()
        for file in self.examples():
            text = re.sub(
                r"(:|port_value: )(\d+)\b",
                lambda found: found[1] + str(ports.get(int(found[2]), found[2])),
                file.read_text(),
            )
            # Traefik's file names its other file, which is found from where it is started.
            text = text.replace("filename: dynamic.yaml", f"filename: {self.folder}/dynamic.yaml")
            (self.folder / file.name).write_text(text)
        self.app = world.keep(App(ports[3000]))
        self.beside(ports)
        admin = free_port()
        self.edgespan = world.program("edgespan", [
            world.edgespan_program, "run", "--config", self.folder / "edgespan.yaml", "--quiet",
            "--admin", f"127.0.0.1:{admin}",
        ]).ready(lambda: get(f"http://127.0.0.1:{admin}/ready")[0] == 200)  # fmt: skip
        self.port = ports[8080]
        environ = environment(host, world.receiver)
        host = world.program(host, commands(host, self.folder), environ)
        host.ready(lambda: listens(self.port))
        self.url = f"http://127.0.0.1:{self.port}"
        until(lambda: self.ask("/health").status == 200, f"{host.name} serves")
        self.app.seen.clear()

    def examples(self):
        """The files of the example."""
        return (DEPLOY / self.host).iterdir()

    def beside(self, ports):
        """Starts whoever knows who is logged in."""
        self.authorizer = self.world.keep(Authorizer(ports[4180]))

    def ask(self, path, *fields, session=None, method="GET", more=(), host="app.example.com"):
        """One request of a client's."""
        headers = [f"cookie: session={session}"] if session else []
        arguments = [
            part for field in [f"host: {host}", *headers, *fields] for part in ("-H", field)
        ]
        return curl(
            self.world, "--path-as-is", "--request", method, *arguments, *more, self.url + path,
        )  # fmt: skip

    def arrived(self):
        """The one request that the application got since it was last asked."""
        [seen] = self.app.seen
        self.app.seen.clear()
        return seen


def who_is_known_passes_and_one_trace_tells_of_all(site):
    context = [f"traceparent: 00-{TRACE}-{CALLER}-01", "tracestate: vendor=one,other=two"]
    answer = site.ask("/orders/7?q=1", *context, "baggage: k=v;p,tenant=7", session="alice")

    expect(answer.status, 200, "status")
    seen = site.arrived()
    expect(seen[:2], ("GET", "/orders/7?q=1"), "what the application was asked")
    expect(said_of(seen, "x-auth-user"), ["alice"], "user")
    expect(said_of(seen, "x-auth-groups"), ["staff,ops"], "groups")
    [span] = site.world.receiver.wait(
        lambda span: (span.service, span.kind, span.trace_id) == ("authz", "SERVER", TRACE), 1
    )
    expect(span.attributes["edgespan.original.method"], "GET", "method asked about")
    expect(span.attributes["edgespan.original.path"], "/orders/7", "path asked about")
    expect(span.attributes["edgespan.original.host"], "app.example.com", "host asked about")
    expect(span.attributes["edgespan.route"], "app", "route")
    if not site.host.startswith("envoy"):  # It tells its own address in place of loopback.
        expect(span.attributes["client.address"], "127.0.0.1", "client")
    if site.host == "envoy-grpc":  # It tells of its client's context beside its own.
        expect(span.links, [(TRACE, CALLER)], "links of the decision")
    expect(span.trace_state, "vendor=one,other=two", "tracestate of the decision")
    parents = parents_of_a_decision(site, span.parent_span_id)
    asked = next(one for one in site.authorizer.seen if said_of(one, "traceparent"))
    ours = {span.span_id for span in site.world.receiver.wait(
        lambda span: (span.service, span.kind, span.trace_id) == ("authz", "CLIENT", TRACE), 1
    )}  # fmt: skip
    for who, told, callers in [("authorizer", asked, ours), ("application", seen, parents)]:
        [version, trace, caller, _] = said_of(told, "traceparent")[0].split("-")
        expect((version, trace), ("00", TRACE), f"trace of the {who}")
        assert caller in callers, f"{who}: {caller} is none of {callers}"
        expect(said_of(told, "tracestate"), ["vendor=one,other=two"], f"tracestate of the {who}")
        # Traefik writes the members in another order.
        members = sorted(said_of(told, "baggage")[0].split(","))
        expect(members, ["k=v;p", "tenant=7"], f"baggage of the {who}")


def parents_of_a_decision(site, parent):
    """The host's own spans, if it has some, of which one asked; else its client's span."""
    if site.host not in TRACED:
        expect(parent, CALLER, "parent of the decision")
        return {CALLER}
    service = site.host.partition("-")[0]
    site.world.receiver.wait(lambda span: (span.service, span.span_id) == (service, parent), 1)
    [first] = site.world.receiver.wait(
        lambda span: (span.service, span.parent_span_id) == (service, CALLER), 1
    )
    expect(first.kind, "SERVER", f"first span of {service}")
    spans = [span for span in site.world.receiver.spans() if span.service == service]
    return {span.span_id for span in spans if span.trace_id == TRACE}


def cookies_in_several_fields_are_one_list(site):
    for fields in [["a=1", "session=alice"], ["session=alice", "b=2"], ["a=1,5", "session=alice"]]:
        answer = site.ask("/orders/7", *[f"cookie: {text}" for text in fields])

        expect(answer.status, 200, f"status of {fields}")
        expect(said_of(site.arrived(), "x-auth-user"), ["alice"], f"user of {fields}")


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


def nothing_that_a_client_tells_of_its_request_counts(site):
    told = {
        "X-Forwarded-Uri": "/health", "X-Forwarded-Method": "OPTIONS", "X-Forwarded-Proto": "wss",
        "X-Forwarded-Host": "other.example", "X-Forwarded-Prefix": "/health",
        "X-Original-URL": "http://app.example.com/health", "X-Original-URI": "/health",
        "X-Original-Method": "OPTIONS", "X-Rewrite-URL": "/health", "X-Envoy-Original-Path": "/health",
        "X-HTTP-Method-Override": "OPTIONS", "Forwarded": "for=10.0.0.1;host=other.example",
        "X-Auth-Request-Redirect": "/health", "X-Forwarded-For": "10.0.0.1", "X-Real-Ip": "10.0.0.1",
    }  # fmt: skip
    preflight = ["origin: https://other.example", "access-control-request-method: POST"]
    for field in [(name, name.replace("-", "_")) for name in told]:
        for name in field:
            text = f"{name}: {told[field[0]]}"
            answer = site.ask("/orders/7", text, *preflight)
            expect((answer.status, site.app.seen), (401, []), f"{text}: status")

    everything = [f"{name}: {text}" for name, text in told.items()]
    answer = site.ask("/orders/8", *everything, session="alice")

    expect(answer.status, 200, "status of all of it")
    expect(site.arrived()[:2], ("GET", "/orders/8"), "what the application was asked")
    [span] = site.world.receiver.wait(
        lambda span: span.kind == "SERVER" and span.service == "authz"
        and span.attributes.get("edgespan.original.path") == "/orders/8"
    )  # fmt: skip
    asked = [span.attributes[f"edgespan.original.{name}"] for name in ("method", "host", "scheme")]
    expect(asked, ["GET", "app.example.com", "http"], "what was asked about")
    assert span.attributes["client.address"] != "10.0.0.1", "client"


def no_spelling_of_an_identity_passes(site):
    spellings = ["X-Auth-User", "X-AUTH-USER", "x_auth_user", "X-Auth_User", "X_AUTH-USER",
                 "x-auth-groups", "X_Auth_Groups"]  # fmt: skip
    spoofed = [f"{name}: root" for name in spellings]
    nominated = "connection: close, X-Auth-User, x-auth-groups"

    for fields in [spoofed, [*spoofed, "x-auth-user: admin"], [nominated], [*spoofed, nominated]]:
        for session, user, groups in [("anonymous", [], []), ("alice", ["alice"], ["staff,ops"])]:
            answer = site.ask("/orders/7", *fields, session=session)
            if nominated in fields and site.host in NO_NOMINATIONS:
                expect(answer.status, 400, "status of a nomination")
                expect(site.app.seen, [], "what the application got")
                continue
            expect(answer.status, 200, f"status of {session} with {fields}")
            seen = site.arrived()
            for name, proved in [("x-auth-user", user), ("x-auth-groups", groups)]:
                told = [text for text in said_of(seen, name) if text]
                expect(told, proved, f"{name} of {session} with {fields}")


def a_websocket_opens_only_for_who_may(site):
    asked = (
        "GET /socket HTTP/1.1\r\nhost: app.example.com\r\nconnection: upgrade\r\n"
        "upgrade: websocket\r\nsec-websocket-version: 13\r\n"
        "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    )

    def opened(more):
        """The status; and of an open WebSocket what comes back of a first frame's bytes."""
        with socket.create_connection(("127.0.0.1", site.port), timeout=10) as client:
            client.sendall((asked + more + "\r\n").encode())
            answer = client.makefile("rb")
            status = int(answer.readline().split(b" ")[1])
            while answer.readline().strip():
                pass
            if status != 101:
                return status, b""
            client.sendall(b"\x81\x03abc")
            return status, answer.read(5)

    expect(opened(""), (401, b""), "without a session")
    expect(opened("accept: text/html\r\n"), (401, b""), "with a page's Accept")
    expect(site.app.seen, [], "what the application got")
    expect(opened("cookie: session=alice\r\n"), (101, b"\x81\x03abc"), "with a session")
    site.app.seen.clear()


def a_body_is_the_applications_alone(site):
    much = ["--data-binary", "x" * 100_000, "-H", "expect: 100-continue"]
    refused = site.ask("/orders", method="POST", more=much)
    expect((refused.status, site.app.seen), (401, []), "without a session")

    answer = site.ask("/orders", session="alice", method="POST", more=much)

    expect(answer.status, 200, "status")
    [method, path, _, length] = site.arrived()
    expect((method, path, length), ("POST", "/orders", 100_000), "what the application got")


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


def no_spelling_of_a_host_gets_round_its_rule(site):
    """What stands behind a host's own choice by name is asked about, or not served at all."""
    absolute = "http://app.example.com/orders/7"
    for host, more in [
        ("APP.Example.COM", []), ("app.example.com.", []), (f"app.example.com:{site.port}", []),
        ("app.example.com:80", []), ("app.example.com@other.example", []), ("other.example", []),
        ("app.example.com", ["--request-target", absolute]),
        ("other.example", ["--request-target", absolute]),
        ("app.example.com", ["--request-target", "http://app.example.com/health/../orders/7"]),
        ("app.example.com", ["--request-target", "http://other.example/orders/7"]),
        ("app.example.com", ["--request-target", "/orders/7#/health"]),
        ("app.example.com", ["--request-target", "*"]),
    ]:  # fmt: skip
        answer = site.ask("/orders/7", more=more, host=host)
        what = f"{site.host} {host} {more}"
        statuses = (400, 401, 403, 404, 421, OF_NO_SITE.get(site.host))
        assert answer.status in statuses, f"{what}: {answer.status}"
        expect(site.app.seen, [], f"what the application got of {what}")
    answer = site.ask("/orders/7", session="alice", host="APP.Example.COM")
    expect(answer.status, 200, "status of a host in capitals")
    expect(site.arrived()[1], "/orders/7", "what the application got")


def thirty_kilobytes_of_cookies_pass(site):
    padding = f"cookie: session=alice; padding={'x' * 30_000}"
    answer = site.ask("/orders/7", padding)

    expect(answer.status, 200, "status")
    expect(said_of(site.arrived(), "x-auth-user"), ["alice"], "user")


def nobody_passes_when_nobody_knows_who_it_is(site):
    site.authorizer.stop()

    answer = site.ask("/orders/7", session="alice")

    expect(answer.status, WITHOUT_AUTHORIZER.get(site.host, 503), "status")
    expect(site.app.seen, [], "what the application got")
    expect(site.ask("/health").status, 200, "status where nobody has to be known")
    site.app.seen.clear()


def nobody_passes_when_edgespan_is_gone(site):
    site.edgespan.stop()

    answer = site.ask("/orders/7", session="alice")

    expect(answer.status, WITHOUT_EDGESPAN[site.host], "status")
    expect(site.app.seen, [], "what the application got")


CASES = [
    who_is_known_passes_and_one_trace_tells_of_all,
    cookies_in_several_fields_are_one_list,
    who_is_not_is_refused_as_the_authorizer_says,
    a_page_is_sent_to_the_login_of_its_own_host,
    cookies_that_are_renewed_arrive,
    nothing_that_a_client_tells_of_its_request_counts,
    no_spelling_of_an_identity_passes,
    a_websocket_opens_only_for_who_may,
    a_body_is_the_applications_alone,
    a_preflight_needs_no_session,
    no_spelling_of_a_path_gets_round_its_rule,
    no_spelling_of_a_host_gets_round_its_rule,
    thirty_kilobytes_of_cookies_pass,
    nobody_passes_when_nobody_knows_who_it_is,  # The last two: what is gone does not come back.
    nobody_passes_when_edgespan_is_gone,
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
