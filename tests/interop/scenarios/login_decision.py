"""Browsers log in through real proxies, which ask edgespan who may pass: each runs the example of
deploy/login/ as it stands, ports apart.
"""

from browser import chromium
from harness import expect, scenario
from scenarios.decision import DEPLOY, Site
from scenarios.login import OidcProvider

# Plain cookies over http are for this machine alone.
NAME = "app.localhost"

FILES = {
    "nginx": ["nginx.conf"],
    "traefik": ["traefik.yaml", "dynamic.yaml"],
    "caddy": ["Caddyfile"],
    "envoy": ["envoy.yaml"],
}


class LoginSite(Site):
    """The same with logins at oidc-provider."""

    def examples(self):
        return [DEPLOY / "login" / name for name in [*FILES[self.host], "edgespan.yaml"]]

    def beside(self, ports):
        self.provider = OidcProvider(
            self.world,
            f"http://{NAME}:{ports[8080]}",
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


for one in FILES:
    logs_in_through(one)
