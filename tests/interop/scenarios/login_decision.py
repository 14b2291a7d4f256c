"""Browsers log in through real proxies, which ask edgespan who may pass: each runs the example of
deploy/login/ as it stands, ports apart.
"""

from browser import chromium
from harness import expect, free_port, scenario, until
from scenarios.decision import DEPLOY, WITHOUT_AUTHORIZER, Site
from scenarios.login import OidcProvider
from scenarios.redis import start

# Plain cookies over http are for this machine alone.
NAME = "app.localhost"

# What is added to the example.
IN_REDIS = """
redis: {{url: "redis://127.0.0.1:{port}"}}
login: {{session: {{store: redis}}}}
"""

FILES = {
    "nginx": ["nginx.conf"],
    "traefik": ["traefik.yaml", "dynamic.yaml"],
    "caddy": ["Caddyfile"],
    "envoy": ["envoy.yaml"],
}


class LoginSite(Site):
    """The same with logins at oidc-provider."""

    def __init__(self, world, host, redis=False, access_ttl=300):
        """With `redis` sessions are there, else in cookies as the examples have it."""
        self.redis_port = free_port() if redis else None
        self._access_ttl = access_ttl
        super().__init__(world, host)

    def examples(self):
        return [DEPLOY / "login" / name for name in [*FILES[self.host], "edgespan.yaml"]]

    def beside(self, ports):
        if self.redis_port:
            self.redis = start(self.world, self.redis_port)
            with (self.folder / "edgespan.yaml").open("a") as file:
                file.write(IN_REDIS.format(port=self.redis_port))
        self.provider = OidcProvider(
            self.world,
            f"http://{NAME}:{ports[8080]}",
            self._access_ttl,
            port=ports[9400],
            client_id="portal",
            client_secret="change-me",
            backchannel_logout_uri=None,
        )

    def ask(self, path, *fields, host=NAME, **more):
        return super().ask(path, *fields, host=host, **more)


def logs_in_through(host):
    """Registers the scenario of a host."""

    def browser_logs_in(world):
        site = LoginSite(world, host)
        url = site.url.replace("127.0.0.1", NAME)
        tab = chromium().person().tab().open(url + "/page?x=1&y=%2F")
        site.provider.log_in(tab, "ada")

        expect((tab.status, tab.url, tab.text), (200, url + "/page?x=1&y=%2F", "app"), "the page")
        seen = [one for one in site.app.seen if one[1].startswith("/page")]
        expect([one[:2] for one in seen], [("GET", "/page?x=1&y=%2F")], "what the application got")
        told = [text for name, text in seen[0][2] if name.lower() == "x-auth-user"]
        expect(told, ["ada"], "user")
        told = tab.run("fetch('/page?z').then((answer) => answer.status)")
        expect(told, 200, "a script, with the session")
        stranger = site.ask("/page", "accept: */*")
        expect(stranger.status, 401, "a program without a session")

    browser_logs_in.__name__ = f"a_browser_logs_in_through_{host}"
    scenario(browser_logs_in)


def keeps_sessions_in_redis_through(host):
    """Registers the scenario of a host."""

    def sessions_in_redis(world):
        # Tokens are due two seconds after they were given.
        site = LoginSite(world, host, redis=True, access_ttl=62)
        url = site.url.replace("127.0.0.1", NAME)
        logins = lambda: site.provider.happened("grant.success authorization_code")  # noqa: E731
        refreshes = lambda: site.provider.happened("grant.success refresh_token")  # noqa: E731
        person = chromium().person()
        tab = person.tab().open(url + "/page")
        site.provider.log_in(tab, "ada")
        expect((tab.status, tab.url), (200, url + "/page"), "the page")
        handle = person.cookies()["edgespan-staff"]["value"]
        expect(len(handle), 43, "length of the session's cookie")

        def asked():
            fields = [f"cookie: edgespan-staff={handle}", "accept: text/html"]
            return site.ask("/page", *fields, host=f"{NAME}:{site.port}").status

        # No host has to hand on a cookie for this.
        until(lambda: tab.open(url + "/page").status != 200 or refreshes() >= 3, "three refreshes")
        expect((tab.status, tab.url), (200, url + "/page"), "the page after them")
        expect((logins(), site.provider.happened("grant.error")), (1, 0), "logins, and refusals")

        site.redis.stop()
        site.app.seen.clear()
        expect(asked(), WITHOUT_AUTHORIZER.get(host, 503), "status without Redis")
        expect(site.app.seen, [], "what the application got without Redis")
        start(world, site.redis_port)
        until(lambda: asked() == 302, "a login is asked for by an empty Redis")
        tab.open(url + "/page?back")
        expect((tab.url, tab.text), (url + "/page?back", "app"), "the page, without a click")
        expect(logins(), 2, "logins")

    sessions_in_redis.__name__ = f"sessions_in_redis_live_on_through_{host}"
    scenario(sessions_in_redis)


@scenario
def a_session_of_several_cookies_is_renewed_through_nginx(world):
    site = LoginSite(world, "nginx", access_ttl=62)
    url = site.url.replace("127.0.0.1", NAME)
    person = chromium().person()
    tab = person.tab().open(url + "/page")
    # Its ID token and what it says of somebody have this in them more than once.
    site.provider.log_in(tab, "a" * 1000)
    expect((tab.status, tab.url), (200, url + "/page"), "the page")
    pieces = {f"edgespan-staff.{at}" for at in range(4)}

    refreshes = lambda: site.provider.happened("grant.success refresh_token")  # noqa: E731
    until(lambda: tab.open(url + "/page").status != 200 or refreshes() >= 3, "three refreshes")

    expect((tab.status, tab.url), (200, url + "/page"), "the page after them")
    ours = {name for name in person.cookies() if name.startswith("edgespan-staff")}
    expect(ours, pieces, "cookies of the session")
    expect(site.provider.happened("grant.error"), 0, "refresh tokens used twice")


for one in FILES:
    logs_in_through(one)
    keeps_sessions_in_redis_through(one)
