"""edgespan asks Authelia who may pass: a real one, of version 3, set up as docs/auth-forward.md has
it but for the endpoint, which was `/api/verify` then. People sign in at it, through edgespan.
"""

import base64
import hashlib
import hmac
import json
import re
import signal
import struct
import time

import programs
import yaml
from behind import said_of
from harness import certificate, curl, expect, free_port, listens, scenario

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"

# Who asks for which: as documented; in the other dialect; that for programs, who get no redirect.
APP, OTHER, API = "app.example.com", "other.example.com", "api.example.com"
PORTAL = "auth.example.com"

# Everybody's password is their name.
USERS = {"john": ["admins", "dev"], "mary": ["dev"]}

EVERYWHERE = "*.example.com"
RULES = [
    {"domain": EVERYWHERE, "resources": ["^/public"], "policy": "bypass"},
    {"domain": EVERYWHERE, "resources": ["^/admin"], "subject": "group:admins",
     "policy": "one_factor"},
    {"domain": EVERYWHERE, "resources": ["^/admin"], "policy": "deny"},
    {"domain": EVERYWHERE, "resources": ["^/vault"], "policy": "two_factor"},
    {"domain": EVERYWHERE, "policy": "one_factor"},
]  # fmt: skip

SPOOFED = [
    "-H", "remote-user: root", "-H", "Remote_User: root", "-H", "REMOTE.USER: root",
    "-H", "remote-groups: admins", "-H", "Remote_Groups: admins", "-H", "remote-email: root@x.org",
    "-H", "Remote_Name: root",
]  # fmt: skip


class Authelia:
    """The program, with its users and rules."""

    def __init__(self, world, port):
        self.url = f"http://127.0.0.1:{port}"
        self._world, self._port = world, port
        (world.folder / "store").mkdir()
        (world.folder / "users.yml").write_text(yaml.safe_dump({"users": users()}))
        (world.folder / "authelia.yml").write_text(yaml.safe_dump(self._settings()))
        self.start()

    def start(self):
        """Its sessions are in its memory: another start knows nobody."""
        command = [*programs.authelia(), self._world.folder / "authelia.yml"]
        self.program = self._world.program("authelia", command)
        self.program.ready(lambda: listens(self._port))

    def kill(self):
        self.program.process.send_signal(signal.SIGKILL)
        self.program.process.wait()

    def _settings(self):
        folder = self._world.folder
        return {
            "port": self._port,
            "logs_level": "debug",
            "totp": {"issuer": "interop"},
            "authentication_backend": {"file": {"path": f"{folder}/users.yml"}},
            "access_control": {"default_policy": "deny", "rules": RULES},
            "session": {"secret": "a secret of the sessions", "domain": "example.com"},
            "regulation": {"max_retries": 3, "find_time": 120, "ban_time": 300},
            "storage": {"local": {"path": f"{folder}/store"}},
            "notifier": {"filesystem": {"filename": f"{folder}/mail"}},
        }


class Site:
    """Applications behind edgespan, Authelia beside it."""

    def __init__(self, world):
        self.world, door = world, free_port()
        self.port = free_port()
        self.portal = f"https://{PORTAL}:{self.port}"
        self.authelia = Authelia(world, door)
        world.edgespan(self._config(), port=self.port)
        self._hosts = ["--cacert", self._authority.certificate]
        for host in (APP, OTHER, API, PORTAL):
            self._hosts += ["--resolve", f"{host}:{self.port}:127.0.0.1"]

    def _config(self):
        config = {**self.world.gateway(), **documented()}
        self._authority = self.world.authority()
        pairs = [certificate(self._authority.issue(host)) for host in (APP, OTHER, API, PORTAL)]
        config["listeners"]["web"]["tls"] = {"certificates": pairs}
        config["upstreams"] = {
            "portal": {"endpoints": [self.authelia.url]},
            "app": {"endpoints": [self.world.origin.url]},
        }
        forward = config["auth"]["sso"]["forward"]
        forward |= {"url": f"{self.authelia.url}/api/verify?rd={self.portal}/", "timeout": "10s"}
        other = {**forward, "dialect": "auth_request"}
        config["auth"]["other"] = {"forward": other}
        config["auth"]["api"] = {"forward": {**other, "url": f"{self.authelia.url}/api/verify"}}
        config["routes"] += [
            {"name": "admins", "match": {"host": APP, "prefix": "/ours"}, "upstream": "app",
             "auth": "sso", "allow": '"admins" in identity.groups'},
            {"name": "other", "match": {"host": OTHER}, "upstream": "app", "auth": "other"},
            {"name": "api", "match": {"host": API}, "upstream": "app", "auth": "api"},
        ]  # fmt: skip
        return config

    def ask(self, host, path, who=None, *more):
        """A request with somebody's cookies, or nobody's."""
        jar = self.world.folder / f"jar-{who}"
        kept = ["--cookie", jar, "--cookie-jar", jar] if who else []
        return curl(self.world, *self._hosts, *kept, *more, f"https://{host}:{self.port}{path}")

    def post(self, path, who, **said):
        """What a page of its portal would ask it."""
        sent = ["-H", "content-type: application/json", "--data", json.dumps(said)]
        return self.ask(PORTAL, path, who, *sent)

    def sign_in(self, who, password=None):
        """The first factor."""
        return self.post("/api/firstfactor", who, username=who, password=password or who)

    def register_codes(self, who):
        """An app for one-time codes, by the link of a mail; what that app keeps."""
        expect(self.post("/api/secondfactor/totp/identity/start", who).status, 200, "start")
        link = (self.world.folder / "mail").read_text()
        assert f"Link: {self.portal}/#/" in link, link
        token = re.search(r"token=(\w+)", link)[1]
        done = self.post(f"/api/secondfactor/totp/identity/finish?token={token}", who)
        return json.loads(done.body)["base32_secret"]

    def told(self, name):
        """What the application was last told under a name, in any spelling."""
        seen = self.world.origin.requests[-1]
        return said_of((seen["method"], seen["path"], seen["headers"]), name)

    def identity(self):
        """All that it was told of who asks."""
        return [self.told(f"remote-{name}") for name in ("user", "groups", "name", "email")]

    def passed(self):
        """How many requests an application got."""
        return len(self.world.origin.requests)


def documented():
    """The documentation's example."""
    text = (programs.ROOT / "docs/auth-forward.md").read_text()
    example = text.partition("## Authelia")[2].partition("```yaml\n")[2].partition("```")[0]
    # YAML as edgespan reads it: `off` is a word.
    return yaml.load(example, yaml.BaseLoader)


def users():
    """Its file of users, with few rounds of the hash: that is not what is tried here."""
    [openssl] = programs.debian("openssl")

    def hashed(password):
        salt = "rounds=1000$interop"
        return "{CRYPT}" + programs.run(openssl, "passwd", "-6", "-salt", salt, password).strip()

    return {
        name: {"password": hashed(name), "email": f"{name}@example.com", "groups": groups}
        for name, groups in USERS.items()
    }


def code(secret):
    """A one-time code of now (RFC 6238)."""
    counter = struct.pack(">Q", int(time.time()) // 30)
    digest = hmac.digest(base64.b32decode(secret + "=" * (-len(secret) % 8)), counter, hashlib.sha1)
    at = digest[-1] & 15
    return f"{(struct.unpack_from('>I', digest, at)[0] & 0x7FFFFFFF) % 10**6:06}"


@scenario
def a_page_leads_to_its_portal_and_a_login_lets_in(world):
    site = Site(world)
    for host in (APP, OTHER):
        refused = site.ask(host, "/page?x=1", None, *SPOOFED)
        expect(refused.status, 302, f"status at {host} before the login")
        page = f"https://{host}:{site.port}/page?x=1"
        expect(refused.header("location"), f"{site.portal}/?rd={page}", "where that leads")
        cookie = refused.header("set-cookie")
        assert cookie.startswith("authelia_session=") and "Domain=example.com" in cookie, cookie
    expect(site.passed(), 0, "what the applications got")

    wrong = site.sign_in("john", "wrong")
    expect((wrong.status, b"error" in wrong.body), (200, True), "another password")
    expect(site.ask(APP, "/page", "john").status, 302, "status with another password")
    expect(site.sign_in("john").status, 204, "status of the login")

    for host in (APP, OTHER, API):
        for path in ("/page?x=1", "/page?x=1&y=%2F"):
            expect(site.ask(host, path, "john", *SPOOFED).status, 200, f"status at {host}")
            expect(world.origin.requests[-1]["path"], path, "path")
            expect(site.identity(), [["john"], ["admins,dev"], [], []], f"who it is at {host}")


@scenario
def a_bypassed_page_is_nobodys_whatever_a_client_says(world):
    site = Site(world)
    for host in (APP, OTHER, API):
        expect(site.ask(host, "/public/a?b", None, *SPOOFED).status, 200, f"status at {host}")
        # It says of nobody that they have no groups.
        expect(site.identity(), [[], [""], [], []], f"who it is at {host}")


@scenario
def its_rules_hold_however_a_path_is_spelt_and_ours_hold_beside_them(world):
    site = Site(world)
    for name in USERS:
        expect(site.sign_in(name).status, 204, f"status of the login of {name}")

    for path in ["/admin", "/admin/a?b"]:
        for host in (APP, OTHER, API):
            expect(site.ask(host, path, "john").status, 200, f"{host}{path} for an admin")
        passed = site.passed()
        expect(site.ask(API, path, "mary").status, 403, f"{path} for another")
        # With `rd` it knows but one refusal.
        for host in (APP, OTHER):
            expect(site.ask(host, path, "mary").status, 302, f"{host}{path} for another")
        expect(site.passed(), passed, f"{path}, what the applications got")
    for path in ["//admin", "/x/../admin", "/./admin", "/admin%2fa", "/public/../admin"]:
        refused = site.ask(API, path, "mary", "--path-as-is")
        expect(refused.status, 400, f"status of {path}")
    expect(site.ask(APP, "/ours", "john").status, 200, "status by our rule for an admin")
    expect(site.ask(APP, "/ours", "mary").status, 403, "status by our rule for another")
    expect(site.passed(), passed + 1, "what the applications got")


@scenario
def programs_get_its_plain_401(world):
    site = Site(world)
    forged = ["-H", "cookie: authelia_session=s%3AkB7xQ2.kB7xQ2"]
    # It takes a password from this field, which is for the next proxy and goes no further.
    by_proxy = ["-H", "proxy-authorization: Basic " + base64.b64encode(b"john:john").decode()]
    asked = ["-H", "x-original-url: https://api.example.com/page"]
    itself = curl(world, *by_proxy, *asked, f"{site.authelia.url}/api/verify")
    expect(itself.status, 204, "what it says to that field itself")

    for more in ([], forged, by_proxy, ["-H", "x-original-url: https://app.example.com/public"],
                 ["-H", "X_Original_URL: https://app.example.com/public"],
                 ["-H", "x-forwarded-uri: /public"]):  # fmt: skip
        refused = site.ask(API, "/page", None, *SPOOFED, *more)
        expect((refused.status, refused.header("location")), (401, None), f"with {more}")
    expect(site.passed(), 0, "what the applications got")


@scenario
def its_second_factor_is_asked_for_where_its_rules_want_one(world):
    site = Site(world)
    site.sign_in("john")
    secret = site.register_codes("john")
    # It forgets the first factor after that.
    expect(site.ask(API, "/page", "john").status, 401, "status after the registration")
    site.sign_in("john")
    expect(site.ask(APP, "/vault", "john").status, 302, "status with one factor")
    expect(site.ask(API, "/vault", "john").status, 401, "status with one factor, of a program")
    expect(site.passed(), 0, "what the applications got")

    wrong = site.post("/api/totp", "john", token="000000")
    assert b"error" in wrong.body, wrong.body
    expect(site.ask(APP, "/vault", "john").status, 302, "status with a wrong code")
    site.post("/api/totp", "john", token=code(secret))

    for host in (APP, OTHER, API):
        expect(site.ask(host, "/vault", "john", *SPOOFED).status, 200, f"status at {host}")
        expect(site.told("remote-user"), ["john"], "user told")
    expect(site.post("/api/logout", "john").status, 302, "status of the logout")
    expect(site.ask(APP, "/vault", "john").status, 302, "status after the logout")


@scenario
def the_question_is_on_the_trace_and_carries_it(world):
    site = Site(world)
    site.sign_in("john")

    answer = site.ask(
        APP, "/page", "john", "-H", f"traceparent: 00-{TRACE}-{CALLER}-01",
        "-H", "tracestate: vendor=one",
    )  # fmt: skip

    expect(answer.status, 200, "status")
    # Its answer has no content.
    decision, call = world.asked(TRACE, CALLER, "sso", 204)
    expect(decision.attributes["edgespan.auth.decision"], "allow", "decision")
    # It writes the headers of each request down.
    said = f'"traceparent":"00-{TRACE}-{call.span_id}-01"'
    assert said in site.authelia.program.output(), "the question's trace context"


@scenario
def without_it_nobody_passes(world):
    site = Site(world)
    site.sign_in("john")
    expect(site.ask(APP, "/page", "john").status, 200, "status before")
    passed = site.passed()

    site.authelia.kill()
    for host in (APP, OTHER, API):
        for path in ("/page", "/public"):
            refused = site.ask(host, path, "john", *SPOOFED)
            expect(refused.status, 503, f"status of {host}{path} without it")
    expect(site.passed(), passed, "what the applications got")

    site.authelia.start()
    expect(site.ask(APP, "/page", "john").status, 302, "status with one that knows nobody")
    site.sign_in("john")
    expect(site.ask(APP, "/page", "john").status, 200, "status after another login")
