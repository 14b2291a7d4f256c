"""A host proxy asks edgespan who may pass, and edgespan asks Authelia: each host runs the example of
deploy/ as it stands, edgespan's own with Authelia in it.
"""

import json

import yaml
from behind import cookies, said_of
from harness import curl, expect, scenario
from scenarios.authelia import SPOOFED, Authelia
from scenarios.decision import DEPLOY, WITHOUT_AUTHORIZER, Site

PORTAL = "https://auth.example.com/"


class AutheliaSite(Site):
    """The same with Authelia behind edgespan."""

    def beside(self, ports):
        file = self.folder / "edgespan.yaml"
        config = yaml.safe_load(file.read_text())
        config["auth"]["login"]["forward"] = {
            "url": f"http://127.0.0.1:{ports[4180]}/api/verify?rd={PORTAL}",
            "timeout": "10s",
            "identity_headers": ["remote-user", "remote-groups"],
            "identity": {"subject": "remote-user", "groups": "remote-groups"},
            "answer_headers": ["set-cookie"],
        }
        config["identity"] = {"headers": {"x-auth-user": "subject", "x-auth-groups": "groups"}}
        file.write_text(yaml.safe_dump(config))
        self.authelia = Authelia(self.world, ports[4180])

    def sign_in(self, who):
        """At Authelia itself, as if its portal were elsewhere; the session's cookie."""
        signed = curl(
            self.world, "-H", "x-forwarded-proto: https", "-H", "content-type: application/json",
            "--data", json.dumps({"username": who, "password": who}),
            f"{self.authelia.url}/api/firstfactor",
        )  # fmt: skip
        expect(signed.status, 204, f"status of the login of {who}")
        return f"cookie: {signed.header('set-cookie').partition(';')[0]}"


def asks_authelia_through_edgespan(host):
    """Registers the scenario of a host."""

    def asks(world):
        site = AutheliaSite(world, host)
        spoofed = [text for text in SPOOFED if text != "-H"] + ["x-auth-user: root"]

        refused = site.ask("/page?x=1", "accept: text/html", *spoofed)
        expect(refused.status, 302, "status without a session")
        portal, _, page = refused.header("location").partition("?rd=")
        expect(portal, PORTAL, "where that leads")
        assert page.startswith("http://app.example.com"), page
        assert page.endswith("/page?x=1"), page
        # Its cookie is for https alone.
        expect(cookies(refused), [], "cookies")
        expect(site.app.seen, [], "what the application got")

        mary, john = site.sign_in("mary"), site.sign_in("john")
        for path, cookie, who, groups in [("/page", mary, "mary", "dev"),
                                          ("/admin", john, "john", "admins,dev")]:  # fmt: skip
            expect(site.ask(path, cookie, *spoofed).status, 200, f"status of {path} for {who}")
            seen = site.arrived()
            expect(said_of(seen, "x-auth-user"), [who], f"user of {path}")
            expect(said_of(seen, "x-auth-groups"), [groups], f"groups of {path}")
        expect(site.ask("/admin", mary).status, 302, "status of what its rules keep mary from")
        expect(site.ask("/public", *spoofed).status, 200, "status of what everybody sees")
        expect("".join(said_of(site.arrived(), "x-auth-user")), "", "user of that")

        site.authelia.kill()
        status = WITHOUT_AUTHORIZER.get(host, 503)
        expect(site.ask("/page", john).status, status, "status without Authelia")
        expect(site.app.seen, [], "what the application got without it")

    asks.__name__ = f"{host.replace('-', '_')}_asks_edgespan_which_asks_it"
    scenario(asks)


for one in ("nginx", "traefik", "caddy", "envoy", "envoy-grpc", "haproxy"):
    assert (DEPLOY / one).is_dir(), one
    asks_authelia_through_edgespan(one)
