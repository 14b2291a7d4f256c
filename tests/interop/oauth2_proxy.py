"""A stand-in for oauth2-proxy, which no registry hands out: what its documentation and its published
handlers of 7.x say of forward authorization, with a real OpenID Provider behind it. Its sessions
are signed and not sealed, which nobody who asks it can tell.
"""

import base64
import hashlib
import hmac
import http.server
import json
import secrets
import time
import urllib.error
import urllib.parse
import urllib.request

import jwt
from origin import Server, read_body

COOKIE = "_oauth2_proxy"
CSRF = COOKIE + "_csrf"


def encoded(octets):
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


class Provider:
    """The provider, as a client with a secret sees it."""

    def __init__(self, issuer, client, secret):
        # Straight to it, whatever proxy the environment names.
        self._open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
        self._issuer, self._client, self._secret = issuer, client, secret
        self._known = self._read(f"{issuer}/.well-known/openid-configuration")
        self._keys = jwt.PyJWKSet.from_dict(self._read(self._known["jwks_uri"]))

    def _read(self, request):
        with self._open(request, timeout=20) as answer:
            return json.load(answer)

    def login(self, callback, state, nonce, challenge):
        """Where somebody logs in."""
        asked = {
            "response_type": "code", "client_id": self._client, "redirect_uri": callback,
            "scope": "openid email profile", "nonce": nonce, "state": state,
            "code_challenge": challenge, "code_challenge_method": "S256",
        }  # fmt: skip
        return f"{self._known['authorization_endpoint']}?{urllib.parse.urlencode(asked)}"

    def session(self, before, **grant):
        """The session that a grant makes of the one before."""
        basic = base64.b64encode(f"{self._client}:{self._secret}".encode()).decode()
        body = urllib.parse.urlencode(grant).encode()
        headers = {"authorization": f"Basic {basic}"}
        address = self._known["token_endpoint"]
        got = self._read(urllib.request.Request(address, body, headers))
        session = {**before, "since": time.time()}
        session["refresh"] = got.get("refresh_token", session.get("refresh"))
        if "id_token" in got:
            key = self._keys[jwt.get_unverified_header(got["id_token"])["kid"]]
            claims = jwt.decode(got["id_token"], key, audience=self._client, issuer=self._issuer)
            # The token itself makes a session large.
            session |= {"token": got["id_token"], "nonce": claims.get("nonce")}
            session |= {"user": claims["sub"], "email": claims["email"], "groups": claims["groups"]}
        return session


class OAuth2Proxy:
    """At work, as the documentation starts it (`docs/auth-forward.md`)."""

    def __init__(self, port, provider, refresh_after=None, cookie_bytes=3800):
        self.asked, self.refreshed, self.gone = [], 0, False
        self.provider, self.refresh_after, self.cookie_bytes = provider, refresh_after, cookie_bytes
        self._key = secrets.token_bytes(32)
        served = type("Served", (Handler,), {"proxy": self})
        self._server = Server(("127.0.0.1", port), served)
        self._server.begin()

    def stop(self):
        """Gone for good, for those with an open connection, too."""
        self.gone = True
        self._server.shutdown()
        self._server.server_close()

    def sealed(self, value):
        body = encoded(json.dumps(value).encode())
        return body + "." + encoded(hmac.digest(self._key, body.encode(), "sha256"))

    def opened(self, text):
        """None if it is nobody's."""
        body, _, seal = text.partition(".")
        right = encoded(hmac.digest(self._key, body.encode(), "sha256"))
        if not hmac.compare_digest(seal.encode(), right.encode()):
            return None
        return json.loads(base64.urlsafe_b64decode(body + "=="))


class Handler(http.server.BaseHTTPRequestHandler):
    """One question, or one page of its own."""

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "oauth2-proxy", ""

    def log_message(self, *_):
        pass

    def do_GET(self):
        if self.proxy.gone:
            self.close_connection = True
            return None
        # One connection, many requests: nothing of one is left for the next.
        self.new_cookies = []
        read_body(self)
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        pages = {"start": self.start, "callback": self.callback, "sign_out": self.sign_out}
        page = pages.get(url.path.removeprefix("/oauth2/"))
        if page:
            return page(query)
        session = self.session()
        if url.path == "/oauth2/auth":
            return self.auth(session, query)
        if session:
            return self.answer(202, *identity(session))
        if "application/json" in self.headers.get("accept", ""):
            return self.answer(401)
        return self.start({})

    do_HEAD = do_POST = do_OPTIONS = do_GET

    def answer(self, status, *headers):
        self.proxy.asked.append((self.path, status, list(self.headers.items())))
        self.send_response(status)
        for name, text in (*self.new_cookies, *headers):
            self.send_header(name, text)
        self.send_header("content-length", "0")
        self.end_headers()

    def auth(self, session, query):
        wanted = set(filter(None, query.get("allowed_groups", "").split(",")))
        if not session:
            return self.answer(401)
        if wanted and not wanted & set(session["groups"]):
            return self.answer(403)
        return self.answer(202, *identity(session))

    def start(self, query):
        state, nonce = secrets.token_urlsafe(12), secrets.token_urlsafe(12)
        verifier = secrets.token_urlsafe(48)
        challenge = encoded(hashlib.sha256(verifier.encode()).digest())
        kept = {"state": state, "nonce": nonce, "verifier": verifier}
        self.set_cookie(CSRF, self.proxy.sealed(kept))
        state = f"{state}:{self.target(query)}"
        login = self.proxy.provider.login(self.callback_url(), state, nonce, challenge)
        return self.answer(302, ("location", login), ("cache-control", "no-store"))

    def callback(self, query):
        state, _, target = query.get("state", "").partition(":")
        kept = self.proxy.opened(self.cookies().get(CSRF, ""))
        if not kept or kept["state"] != state:
            return self.answer(403)
        grant = {"grant_type": "authorization_code", "code": query.get("code", "")}
        grant |= {"redirect_uri": self.callback_url(), "code_verifier": kept["verifier"]}
        session = self.proxy.provider.session({}, **grant)
        if session["nonce"] != kept["nonce"]:
            return self.answer(403)
        self.set_cookie(CSRF, "", 0)
        self.save(session)
        return self.answer(302, ("location", target if on_this_site(target) else "/"))

    def sign_out(self, query):
        self.forget()
        return self.answer(302, ("location", self.target(query)))

    def session(self):
        """Whose cookies these are; refreshed, when it is time."""
        cookies, proxy = self.cookies(), self.proxy
        pieces = [name for name in cookies if name.startswith(COOKIE) and name != CSRF]
        pieces.sort(key=lambda name: int(name.removeprefix(COOKIE).removeprefix("_") or 0))
        session = proxy.opened("".join(cookies[name] for name in pieces))
        if session and proxy.refresh_after and time.time() - session["since"] > proxy.refresh_after:
            grant = {"grant_type": "refresh_token", "refresh_token": session["refresh"]}
            try:
                session = proxy.provider.session(session, **grant)
            except urllib.error.URLError:
                return self.forget()
            proxy.refreshed += 1
            self.save(session)
        return session

    def save(self, session):
        text, most = self.proxy.sealed(session), self.proxy.cookie_bytes
        pieces = [text[at : at + most] for at in range(0, len(text), most)]
        for number, piece in enumerate(pieces):
            self.set_cookie(COOKIE if len(pieces) == 1 else f"{COOKIE}_{number}", piece)

    def forget(self):
        for name in self.cookies():
            if name.startswith(COOKIE) and name != CSRF:
                self.set_cookie(name, "", 0)

    def set_cookie(self, name, text, seconds=604800):
        line = f"{name}={text}; Path=/; HttpOnly; Max-Age={seconds}"
        self.new_cookies.append(("set-cookie", line))

    def cookies(self):
        lines = "; ".join(self.headers.get_all("cookie", []))
        return dict(part.partition("=")[::2] for part in lines.split("; ") if part)

    def callback_url(self):
        scheme = self.headers.get("x-forwarded-proto", "http")
        host = self.headers.get("x-forwarded-host", self.headers["host"])
        return f"{scheme}://{host}/oauth2/callback"

    def target(self, query):
        """Where somebody goes after the login."""
        asked = self.headers.get("x-forwarded-uri", self.path)
        said = (query.get("rd", ""), self.headers.get("x-auth-request-redirect", ""), asked)
        right = (one for one in said if on_this_site(one) and not one.startswith("/oauth2/"))
        return next(right, "/")


def on_this_site(target):
    return target.startswith("/") and target[1:2] not in ("/", "\\")


def identity(session):
    """What --set-xauthrequest says of somebody."""
    return (
        ("gap-auth", session["email"]),
        ("x-auth-request-user", session["user"]),
        ("x-auth-request-email", session["email"]),
        ("x-auth-request-groups", ",".join(session["groups"])),
    )
