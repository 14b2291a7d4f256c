"""People log in, in Chromium: at the certified oidc-provider, and at the provider that
`edgespan demo` brings along.
"""

import base64
import hashlib
import json
import os
import pathlib
import re
import urllib.parse

import jwt
import programs
from browser import chromium
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from harness import certificate, clean_environment, expect, free_port, get, scenario, until

CLIENT, SECRET = "edge", "a-secret-of-the-edge"


class OidcProvider:
    """oidc-provider, with one client: edgespan at `edge`."""

    def __init__(self, world, edge, access_ttl=300, port=None, **client):
        self._world, self.port = world, port or free_port()
        self.issuer = f"http://127.0.0.1:{self.port}"
        registered = {
            "client_id": CLIENT,
            "client_secret": SECRET,
            "redirect_uris": [f"{edge}/oauth2/callback"],
            "post_logout_redirect_uris": [f"{edge}/oauth2/logout"],
            "backchannel_logout_uri": f"{edge}/oauth2/backchannel",
            "backchannel_logout_session_required": True,
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            **client,
        }
        registered = {name: value for name, value in registered.items() if value is not None}
        settings = {"port": self.port, "clients": [registered], "access_ttl": access_ttl}
        self._settings = json.dumps(settings)
        self.start()

    def start(self):
        """With new keys, and without memory."""
        node, modules = programs.node()
        script = programs.HERE / "oidc_provider.mjs"
        command = [node, script, modules, self._settings]
        self._program = self._world.program("oidc-provider", command)
        self._program.ready(lambda: "ready" in self._program.output().splitlines())

    def stop(self):
        self._program.process.kill()
        self._program.process.wait()

    def happened(self, event):
        """How often something happened since its start."""
        lines = self._program.output().splitlines()
        return sum(line.startswith(f"event {event}") for line in lines)

    def asked(self, path):
        """`traceparent` of everything that was asked of a path."""
        lines = [line.split(" ") for line in self._program.output().splitlines()]
        return [line[4] for line in lines if line[0] == "asked" and line[2] == path]

    def log_in(self, tab, name):
        """On its own pages: any password will do, and everything is agreed to."""
        tab.fill("input[name=login]", name)
        tab.fill("input[name=password]", "any")
        tab.click("button[type=submit]")
        if "/interaction/" in tab.url:
            tab.click("button[type=submit]")
        return tab


class Protected:
    """An application behind edgespan, which logs in at oidc-provider."""

    def __init__(
        self, world, oidc=None, access_ttl=300, login=None, host=None, further=None, env=None,
        **client,
    ):  # fmt: skip
        """By TLS, if it has a name."""
        self.world, port = world, free_port()
        self.url = f"https://{host}:{port}" if host else f"http://127.0.0.1:{port}"
        # The provider reaches it by its address, and knows no authority of ours.
        self.provider = OidcProvider(world, self.url, access_ttl, **client)
        config = world.gateway(route={"auth": "people"})
        if host:
            pair = world.authority().issue(host)
            config["listeners"]["web"]["tls"] = {"certificates": [certificate(pair)]}
        oidc = {
            "issuer": self.provider.issuer,
            "client_id": CLIENT,
            "client_secret": SECRET,
            **(oidc or {}),
        }
        oidc = {name: value for name, value in oidc.items() if value is not None}
        config["auth"] = {"people": {"oidc": oidc}}
        config["identity"] = {"headers": {"x-user": "subject", "x-groups": "groups"}}
        config["login"] = login or {}
        config.update(further or {})
        self.config = config
        self.edge = world.edgespan(config, env, port)

    def pages(self):
        """The requests that the application got, but for those of favicons."""
        return [one for one in self.world.origin.requests if "favicon" not in one["path"]]

    def told(self, name):
        """What the application was last told."""
        return self.pages()[-1].header(name)


def signed_in(site, name="ada", path="/page?x=1", tab=None):
    """Somebody's tab, with the page that they wanted."""
    tab = tab or chromium().person().tab()
    tab.open(site.url + path)
    site.provider.log_in(tab, name)
    expect((tab.status, tab.url), (200, site.url + path), "where the login leads")
    return tab


@scenario
def a_certified_provider_logs_people_in_by_a_request_that_was_left_beforehand(world):
    site = Protected(world)

    tab = signed_in(site)

    expect(site.told("x-user"), ["ada"], "user")
    expect(site.told("x-groups"), ["staff,ada"], "groups")
    expect(site.provider.happened("pushed_authorization_request.success"), 1, "requests left")
    expect(site.provider.happened("grant.success authorization_code"), 1, "codes redeemed")
    cookies = tab.run("document.cookie")
    expect(cookies, "", "what a script sees of our cookies")
    sent = " ".join(site.told("cookie"))
    assert "edgespan" not in sent, f"the application gets no cookie of ours: {sent}"
    [token] = set(site.provider.asked("/token"))
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-0[13]", token), token
    trace = token.split("-")[1]
    spans = world.receiver.wait(lambda span: span.trace_id == trace, 3)
    asked = [span for span in spans if span.span_id == token.split("-")[2]]
    expect([span.kind for span in asked], ["CLIENT"], "the span that asked for the token")


@scenario
def tokens_are_kept_fresh_and_refresh_tokens_rotate(world):
    site = Protected(world, access_ttl=4, oidc={"refresh": {"before": "3s"}})
    tab = signed_in(site)

    def refreshed(times):
        tab.open(site.url + "/page")
        expect((tab.status, tab.url), (200, site.url + "/page"), "the page, while tokens are old")
        return site.provider.happened("grant.success refresh_token") >= times

    until(lambda: refreshed(3), "three refreshes")

    expect(site.provider.happened("grant.error"), 0, "refused refreshes")
    expect(site.provider.happened("grant.success authorization_code"), 1, "logins")


@scenario
def a_logout_here_ends_the_session_there(world):
    site = Protected(world)
    tab = signed_in(site)

    tab.open(site.url + "/oauth2/logout")
    assert tab.url.startswith(site.provider.issuer), tab.url
    tab.click('button[value="yes"]')

    assert tab.url.startswith(site.url), tab.url
    expect(site.provider.happened("end_session.success"), 1, "logouts there")
    tab.open(site.url + "/page")
    assert "/interaction/" in tab.url, f"a login is asked for again: {tab.url}"


@scenario
def another_account_can_be_used_at_a_provider_that_offers_no_choice(world):
    site = Protected(world, oidc={"require": {"groups": ["admins"]}})
    tab = chromium().person().tab().open(site.url + "/page")
    site.provider.log_in(tab, "ada")
    expect((tab.status, tab.title), (403, "Not for this account"), "somebody else's page")

    tab.press("Use another account")

    assert "/interaction/" in tab.url, f"the provider's page: {tab.url}"
    site.provider.log_in(tab, "admins")
    expect((tab.status, tab.url), (200, site.url + "/page"), "where that leads")


@scenario
def a_session_that_is_killed_there_is_dead_here(world):
    site = Protected(world)
    person = chromium().person()
    tab = signed_in(site, tab=person.tab())

    there = person.tab("second")
    there.open(site.provider.issuer + "/session/end")
    there.click('button[value="yes"]')

    until(lambda: site.provider.happened("backchannel.success"), "edgespan is told", 10)
    seen = len(site.pages())
    tab.open(site.url + "/page")
    assert "/interaction/" in tab.url, f"a login is asked for again: {tab.url}"
    expect(len(site.pages()), seen, "what the application got")


@scenario
def another_start_of_the_provider_has_other_keys_and_people_still_log_in(world):
    site = Protected(world)
    tab = signed_in(site)

    site.provider.stop()
    tab.open(site.url + "/page")
    expect(tab.status, 200, "the page, while the provider is away")
    site.provider.start()

    signed_in(site, "bob")
    expect(site.told("x-user"), ["bob"], "user")


@scenario
def a_key_of_our_own_proves_who_edgespan_is(world):
    [openssl] = programs.debian("openssl")
    key = world.folder / "client.pem"
    programs.run(openssl, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256",
                 "-out", key)  # fmt: skip
    public = load_pem_private_key(key.read_bytes(), None).public_key()
    jwk = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(public))
    # By its thumbprint (RFC 7638) edgespan names its key.
    members = json.dumps({name: jwk[name] for name in ("crv", "kty", "x", "y")})
    thumbprint = hashlib.sha256(members.replace(" ", "").encode()).digest()
    jwk["kid"] = base64.urlsafe_b64encode(thumbprint).rstrip(b"=").decode()
    site = Protected(
        world,
        oidc={"client_key": {"file": str(key)}, "client_secret": None},
        client_secret=None,
        token_endpoint_auth_method="private_key_jwt",
        token_endpoint_auth_signing_alg="ES256",
        jwks={"keys": [{**jwk, "use": "sig"}]},
    )

    signed_in(site)

    expect(site.provider.happened("grant.success authorization_code"), 1, "codes redeemed")


@scenario
def over_tls_the_cookies_are_bound_to_the_host(world):
    site = Protected(world, host="app.example.com", backchannel_logout_uri=None)
    person = chromium().person()

    signed_in(site, tab=person.tab())

    ours = {name: one for name, one in person.cookies().items() if "edgespan" in name}
    assert ours and all(name.startswith("__Host-edgespan-") for name in ours), list(ours)
    for cookie in ours.values():
        expect((cookie["secure"], cookie["httpOnly"], cookie["domain"], cookie["path"]),
               (True, True, "app.example.com", "/"), cookie["name"])  # fmt: skip


@scenario
def two_hosts_of_a_domain_share_one_login(world):
    first, second, login = (f"https://{name}.example.com" for name in ("one", "two", "login"))
    site = Protected(world, host="login.example.com", backchannel_logout_uri=None)
    site.edge.stop()
    port = site.edge.port
    config = {
        **site.config,
        "login": {"callback_origin": f"{login}:{port}", "cookie": {"domain": "example.com"}},
    }
    world.edgespan(config, port=port)
    person = chromium().person()
    tab = person.tab().open(f"{first}:{port}/page?at=one")
    site.provider.log_in(tab, "ada")

    expect((tab.status, tab.url), (200, f"{first}:{port}/page?at=one"), "where the login leads")
    tab.open(f"{second}:{port}/page?at=two")
    expect((tab.status, tab.url), (200, f"{second}:{port}/page?at=two"), "the second host")
    expect(site.provider.happened("grant.success authorization_code"), 1, "logins")
    ours = [one for name, one in person.cookies().items() if "edgespan" in name]
    assert ours and all(one["name"].startswith("__Secure-") for one in ours), ours
    assert all(one["domain"] == ".example.com" for one in ours), ours


class Demo:
    """`edgespan demo`, as `make demo` starts it."""

    def __init__(self, world):
        self.port, admin = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.admin = f"http://127.0.0.1:{admin}"
        command = [world.edgespan_program, "demo", "--listen", f"127.0.0.1:{self.port}",
                   "--admin", f"127.0.0.1:{admin}", "--no-traffic"]  # fmt: skip
        self.program = world.program("demo", command, clean_environment())
        self.program.ready(lambda: get(self.admin + "/ready")[0] == 200)

    def traces(self, query="{}"):
        """Recent traces, as a search tells them."""
        query = urllib.parse.quote(query)
        return json.loads(get(f"{self.admin}/api/search?q={query}&limit=100")[1])["traces"]


@scenario
def the_demo_shows_a_login_with_no_other_program(world):
    demo = Demo(world)
    person = chromium().person()
    tab = person.tab().open(demo.url + "/account")
    expect(tab.title, "Who are you?", "the provider's page")

    tab.log_in("Ada")

    expect((tab.status, tab.url), (200, demo.url + "/account"), "where the login leads")
    assert "Hello, Ada Example" in tab.text, tab.text
    assert "__Host-" not in " ".join(person.cookies()), "plain names over http"
    provider = [name for name in person.cookies() if name == "demo-provider"]
    expect(provider, ["demo-provider"], "the provider's own cookie stands beside ours")

    tab.press("Payouts")
    if "One more step" in tab.title:
        tab.press("Confirm")
    assert "urn:edgespan:mfa" in tab.text, f"a second factor was shown: {tab.text}"
    expect(tab.url, demo.url + "/account/payouts", "where the step up leads")

    tab.open(demo.url + "/account")
    tab.press("Log out")
    tab.open(demo.url + "/account")
    expect(tab.title, "Who are you?", "after the logout")


@scenario
def the_demo_tells_who_may_not_and_why(world):
    demo = Demo(world)
    tab = chromium().person().tab().open(demo.url + "/account/payouts")

    tab.log_in("Bob")

    expect(tab.status, 403, "status for somebody without a second factor")
    expect(tab.title, "A stronger login is needed", "what is wrong")
    assert "stronger" in tab.text, f"what is wanted: {tab.text}"
    assert "Use another account" in tab.text, f"a way out: {tab.text}"


@scenario
def two_tabs_that_log_in_at_once_both_arrive(world):
    demo = Demo(world)
    person = chromium().person()
    first, second = person.tab("first"), person.tab("second")
    first.open(demo.url + "/account?tab=1")
    second.open(demo.url + "/account?tab=2")

    second.log_in("Ada")
    first.log_in("Ada")

    expect((first.status, first.url), (200, demo.url + "/account?tab=1"), "the first tab")
    expect((second.status, second.url), (200, demo.url + "/account?tab=2"), "the second tab")
    flows = [name for name in person.cookies() if "-flow-" in name]
    expect(flows, [], "cookies of logins that ended")


@scenario
def a_session_that_is_gone_comes_back_without_a_click(world):
    demo = Demo(world)
    person = chromium().person()
    tab = person.tab().open(demo.url + "/account").log_in("Ada")

    person.forget("^edgespan")
    tab.open(demo.url + "/account?again")

    expect((tab.status, tab.url), (200, demo.url + "/account?again"), "the page")


@scenario
def a_browser_that_loses_its_session_again_and_again_gets_a_page_and_a_way_out(world):
    demo = Demo(world)
    person = chromium().person()
    tab = person.tab().open(demo.url + "/account").log_in("Ada")

    logins = 1
    while tab.status == 200 and logins < 10:
        person.forget("^edgespan-(?!tries)")
        tab.open(demo.url + "/account")
        logins += 1

    expect((tab.status, logins), (403, 6), "after five logins in a row")
    tab.press("Try again")
    expect((tab.status, tab.url), (200, demo.url + "/account"), "where the button leads")


@scenario
def scripts_and_frames_of_a_page_get_401_and_no_redirect(world):
    demo = Demo(world)
    tab = chromium().person().tab().open(demo.url + "/api/v1/orders/7")

    told = tab.run(
        """fetch('/account', {redirect: 'manual'}).then((answer) => [answer.status, answer.type])"""
    )

    expect(told, [401, "basic"], "what a script gets")


@scenario
def a_frame_on_another_site_never_gets_a_session(world):
    demo = Demo(world)
    person = chromium().person()
    person.tab().open(demo.url + "/account").log_in("Ada")
    # Another site, of which the browser knows nothing: the same port under another name.
    elsewhere = demo.url.replace("127.0.0.1", "localhost")
    tab = person.tab("elsewhere").open(elsewhere + "/api/v1/orders/7")

    told = tab.run(
        f"""fetch('{demo.url}/account', {{credentials: 'include', mode: 'no-cors'}})
            .then((answer) => answer.type, () => 'refused')"""
    )
    tab.run(
        f"""new Promise((loaded) => {{
            const frame = document.createElement('iframe');
            frame.onload = loaded;
            frame.src = '{demo.url}/account';
            document.body.append(frame);
        }})"""
    )
    url, text = tab.frame()

    assert told in ("opaque", "refused"), told
    assert "Hello" not in text, f"{url}: {text}"
    if "Who are you?" in text:
        url, text = tab.frame(click='button:has-text("Ada")')
        assert "Hello" not in text, f"{url}: {text}"


@scenario
def every_page_fits_a_phone_and_a_desk_in_both_themes(world):
    """Pictures of them land in the folder that EDGESPAN_PICTURES names."""
    demo = Demo(world)
    folder = pathlib.Path(os.environ.get("EDGESPAN_PICTURES") or world.folder)
    folder.mkdir(parents=True, exist_ok=True)
    wrong = []

    def pictured(tab, name):
        for width in (1280, 400):
            for dark in (False, True):
                theme = "dark" if dark else "light"
                found = tab.picture(folder / f"{name}-{width}-{theme}.png", width, dark)
                if found["overflow"] > 0 or found["small"]:
                    wrong.append((name, width, found))

    tab = chromium().person().tab("login").open(demo.url + "/account")
    issuer = tab.url.partition("/authorize")[0]
    pictured(tab, "login")
    pictured(tab.log_in("Ada"), "account")
    pictured(tab.press("Log out"), "logged-out")
    denied = chromium().person().tab("denied").open(demo.url + "/account/payouts").log_in("Bob")
    pictured(denied, "denied")
    error = chromium().person().tab("error").open(demo.url + "/oauth2/callback?code=y")
    pictured(error, "error")
    policy = {"issuer": issuer, "client_id": "demo"}
    config = world.gateway(route={"auth": ["people", "partners"]})
    config["auth"] = {
        "people": {"oidc": {**policy, "label": "Example Corp."}},
        "partners": {"oidc": {**policy, "label": "Partner <network> & friends"}},
    }
    edge = world.edgespan(config)
    chooser = chromium().person().tab("chooser").open(edge.url + "/page?x=1")
    pictured(chooser, "chooser")
    assert "Partner <network> & friends" in chooser.text, chooser.text
    chooser.press("Partner").log_in("Ada")
    expect((chooser.status, chooser.url), (200, edge.url + "/page?x=1"), "where the choice leads")

    expect(wrong, [], "pages that do not fit, or have buttons too small for a thumb")
