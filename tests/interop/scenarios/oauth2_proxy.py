"""edgespan asks a stand-in for oauth2-proxy who may pass, set up as docs/auth-forward.md has it.
People log in at a real provider, in Chromium.
"""

import programs
import yaml
from behind import said_of
from browser import chromium
from harness import curl, expect, free_port, scenario, until
from oauth2_proxy import OAuth2Proxy, Provider

from scenarios.login import CLIENT, SECRET, OidcProvider

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"
PAGE = "/page?x=1&y=%2F"

NAMES = ["user", "email", "groups", "preferred-username", "access-token"]
SPELLINGS = ["x-auth-request-{}", "X_Auth_Request_{}", "X-Auth_Request-{}", "X.Auth.Request.{}"]
SPOOFED = [
    part
    for name in NAMES
    for spelling in SPELLINGS
    for part in ("-H", f"{spelling.format(name)}: mallory")
]
ELSEWHERE = [
    "-H", "x-forwarded-uri: //evil.example/", "-H", "x-forwarded-host: evil.example",
    "-H", "X_Forwarded_Uri: //evil.example/", "-H", "x-auth-request-redirect: //evil.example/",
]  # fmt: skip


class Site:
    """An application behind edgespan, oauth2-proxy beside it."""

    def __init__(self, world, dialect="traefik", url="/", **proxy):
        self.world, self._door, port = world, free_port(), free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.provider = OidcProvider(world, self.url)
        known = Provider(self.provider.issuer, CLIENT, SECRET)
        self.proxy = world.keep(OAuth2Proxy(self._door, known, **proxy))
        config = {**world.gateway(), **self._documented(dialect, url)}
        config["upstreams"]["app"] = {"endpoints": [world.origin.url]}
        world.edgespan(config, port=port)
        self._person = chromium().person()
        self.tab = self._person.tab()

    def _documented(self, dialect, url):
        """The documentation's example, at this one's address."""
        text = (programs.ROOT / "docs/auth-forward.md").read_text()
        example = text.partition("## oauth2-proxy")[2].partition("```yaml\n")[2].partition("```")[0]
        example = example.replace("127.0.0.1:4180", f"127.0.0.1:{self._door}")
        # YAML as edgespan reads it: `off` is a word.
        config = yaml.load(example, yaml.BaseLoader)
        forward = config["auth"]["sso"]["forward"]
        forward |= {"dialect": dialect, "url": forward["url"].rstrip("/") + url}
        return config

    def log_in(self, path=PAGE):
        """Somebody opens a page, and gets it once they are logged in."""
        self.provider.log_in(self.tab.open(self.url + path), "ada")
        expect((self.tab.status, self.tab.url), (200, self.url + path), "where the login leads")

    def jar(self):
        """The browser's cookies, for curl."""
        kept = self._person.cookies()
        return ["-H", "cookie: " + "; ".join(f"{name}={kept[name]['value']}" for name in kept)]

    def ask(self, path, *more):
        return curl(self.world, *more, self.url + path)

    def pages(self):
        """What the application got, but for icons."""
        return [one for one in self.world.origin.requests if "favicon" not in one["path"]]

    def told(self):
        """What the application was last told of who asks, in any spelling."""
        seen = self.pages()[-1]
        seen = (seen["method"], seen["path"], seen["headers"])
        return [said_of(seen, f"x-auth-request-{name}") for name in NAMES]


ADA = [["ada"], ["ada@example.com"], ["staff,ada"], [], []]


def people_log_in(dialect):
    """Registers the scenario of a dialect."""

    def login_lets_in(world):
        site = Site(world, dialect)
        refused = site.ask(PAGE, *SPOOFED, *ELSEWHERE)
        expect(refused.status, 302, "status before the login")
        assert refused.header("location").startswith(site.provider.issuer), refused.headers
        assert "evil" not in refused.header("location"), refused.header("location")
        expect(site.ask(PAGE, "-H", "accept: application/json").status, 401, "of a script")
        expect(site.pages(), [], "what the application got")

        site.log_in()
        expect(site.told(), ADA, "who it is")
        passed = site.ask(PAGE, *site.jar(), *SPOOFED, *ELSEWHERE)
        expect((passed.status, site.told()), (200, ADA), "who it is, whatever a client says")
        path, status, headers = site.proxy.asked[-1]
        expect((path, status), ("/", 202), "what was asked and answered")
        assert not any("mallory" in text or "evil" in text for _, text in headers), headers

        left = site.ask("/oauth2/sign_out?rd=%2F", *site.jar())
        expect((left.status, left.header("location")), (302, "/"), "the way out")
        site.tab.open(site.url + "/oauth2/sign_out?rd=%2Fpage")
        # The provider still knows them, and needs no password.
        logins = site.provider.happened("grant.success authorization_code")
        expect((logins, site.tab.url), (2, site.url + "/page"), "who has left logs in again")

    login_lets_in.__name__ = f"a_login_lets_in_with_the_dialect_{dialect}"
    scenario(login_lets_in)


for each in ("traefik", "auth_request"):
    people_log_in(each)


@scenario
def programs_get_its_plain_401_and_its_groups_hold(world):
    site = Site(world, "auth_request", "/oauth2/auth?allowed_groups=staff")
    expect(site.ask(PAGE).status, 401, "status of nobody")
    site.tab.open(site.url + "/oauth2/start?rd=%2Foauth2%2Fauth")
    site.provider.log_in(site.tab, "ada")

    expect(site.ask(PAGE, *site.jar()).status, 200, "status of one of the group")
    expect(site.told(), ADA, "who it is")
    for query, status in (("", 202), ("?allowed_groups=staff", 202), ("?allowed_groups=no", 403)):
        own = site.ask(f"/oauth2/auth{query}", *site.jar())
        expect(own.status, status, f"what it says itself to {query}")


@scenario
def a_refreshed_session_reaches_the_browser_with_all_its_cookies(world):
    site = Site(world, refresh_after=1, cookie_bytes=700)
    site.log_in()

    def renewed():
        before = site.proxy.refreshed
        answer = site.ask(PAGE, *site.jar())
        return site.proxy.refreshed > before and answer

    answer = until(renewed, "a session is refreshed")
    expect((answer.status, site.told()), (200, ADA), "the answer that came with it")
    names = [text.partition("=")[0] for name, text in answer.headers if name == "set-cookie"]
    assert len(names) > 1, f"one cookie would show nothing: {names}"
    expect(names, [f"_oauth2_proxy_{number}" for number in range(len(names))], "cookies")
    assert site.provider.happened("grant.success refresh_token") >= 1


@scenario
def the_question_and_its_202_are_on_the_trace(world):
    site = Site(world)
    site.log_in()

    context = ["-H", f"traceparent: 00-{TRACE}-{CALLER}-01"]
    expect(site.ask(PAGE, *site.jar(), *context).status, 200, "status")

    decision, call = world.asked(TRACE, CALLER, "sso", 202)
    expect(decision.attributes["edgespan.auth.decision"], "allow", "decision")
    asked = dict(site.proxy.asked[-1][2])
    expect(asked["traceparent"], f"00-{TRACE}-{call.span_id}-01", "the question's trace context")


@scenario
def without_it_nobody_passes(world):
    site = Site(world)
    site.log_in()
    cookies, passed = site.jar(), len(site.pages())

    site.proxy.stop()

    expect(site.ask(PAGE, *cookies, *SPOOFED).status, 503, "status without it")
    expect(site.ask("/oauth2/start", *cookies).status, 502, "status of its own pages")
    expect(len(site.pages()), passed, "what the application got")
