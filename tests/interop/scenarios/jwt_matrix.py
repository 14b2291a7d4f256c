"""Tokens of every kind, shown to edgespan and to Envoy's jwt_authn. Where Envoy is right, both say
the same; where it is not, the table says so.
"""

import base64
import hashlib
import hmac
import http.client
import json
import time

import envoy_config
import jwt
import programs
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from harness import expect, free_port, listens, scenario

ISSUER, AUDIENCE = "https://id.example.com", "portal"

# What Envoy lets pass and nobody should: a token that never ends, and one that asks for an extension
# that is not known (RFC 7515, section 4.1.11).
ENVOY_IS_WRONG = {"no exp", "unknown crit"}
# What Envoy has no rule about.
WE_ARE_STRICTER = {"iat in the future"}


def b64(data):
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Keys:
    """An issuer's keys, one of each kind, and one that it does not publish."""

    def __init__(self):
        self.private = {
            "RS256": rsa.generate_private_key(65537, 2048),
            "ES256": ec.generate_private_key(ec.SECP256R1()),
            "ES384": ec.generate_private_key(ec.SECP384R1()),
            "EdDSA": ed25519.Ed25519PrivateKey.generate(),
        }
        self.other = rsa.generate_private_key(65537, 2048)

    def published(self):
        """A JWK Set."""
        algorithms = jwt.get_algorithm_by_name
        keys = []
        for name, key in self.private.items():
            jwk = json.loads(algorithms(name).to_jwk(key.public_key()))
            # RSA keys are for RS256 and for PS256: no `alg`.
            own = {} if name == "RS256" else {"alg": name}
            jwk.pop("key_ops", None)
            keys.append({**jwk, "kid": name, "use": "sig", **own})
        return {"keys": keys}

    def sign(self, claims, alg="RS256", key=None, kid=None, **header):
        """A token."""
        kind = "RS256" if alg[0] in "RP" else alg
        header = {"kid": kid or kind, **header}
        return jwt.encode(claims, key or self.private[kind], alg, header)


def signed_by_hand(keys, header, claims):
    """RS256 over exactly this text, which PyJWT would not write."""
    text = f"{b64(header.encode())}.{b64(claims.encode())}"
    signature = jwt.get_algorithm_by_name("RS256").sign(text.encode(), keys.private["RS256"])
    return f"{text}.{b64(signature)}"


def matrix(keys):
    """Each token, and whether it is good."""
    now = int(time.time())
    good = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "iat": now, "exp": now + 300}

    def but(**changes):
        claims = {**good, **changes}
        return {name: value for name, value in claims.items() if value is not None}

    def typed(name, text):
        """`name` with this JSON in its place."""
        whole = json.dumps({**good, name: "@"}).replace('"@"', text)
        return signed_by_hand(keys, '{"alg":"RS256","kid":"RS256"}', whole)

    yield "no token", None, False
    yield "not a token", "x.y.z", False
    yield "a random word", "kB7xQ2", False
    for algorithm in ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384",
                      "EdDSA"]:  # fmt: skip
        yield algorithm, keys.sign(good, algorithm), True
    yield "no kid", signed_by_hand(keys, '{"alg":"RS256"}', json.dumps(good)), True
    yield "another kid", keys.sign(good, kid="nobody"), False
    yield "another key", keys.sign(good, key=keys.other), False
    yield "aud among others", keys.sign(but(aud=["other", AUDIENCE])), True
    yield "another aud", keys.sign(but(aud="other")), False
    yield "no aud", keys.sign(but(aud=None)), False
    yield "another iss", keys.sign(but(iss="https://evil.example.com")), False
    yield "no iss", keys.sign(but(iss=None)), False
    yield "iss with a slash", keys.sign(but(iss=ISSUER + "/")), False
    yield "iss as a list", typed("iss", json.dumps([ISSUER])), False
    yield "no exp", keys.sign(but(exp=None)), False
    yield "exp as a string", typed("exp", f'"{now + 300}"'), False
    yield "exp as null", typed("exp", "null"), False
    yield "exp as a list", typed("exp", f"[{now + 300}]"), False
    yield "exp an hour ago", keys.sign(but(exp=now - 3600, iat=now - 7200)), False
    yield "nbf in an hour", keys.sign(but(nbf=now + 3600)), False
    yield "nbf as a string", typed("nbf", f'"{now - 300}"'), False
    yield "iat in the future", keys.sign(but(iat=now + 3600)), False
    yield "iat as a string", typed("iat", f'"{now}"'), False
    yield "unknown crit", signed_by_hand(
        keys, '{"alg":"RS256","kid":"RS256","crit":["new"],"new":1}', json.dumps(good)
    ), False
    text = f'{b64(b"""{"alg":"none"}""")}.{b64(json.dumps(good).encode())}'
    yield "alg none", f"{text}.", False
    yield "alg None, no dot", text, False
    pem = keys.private["RS256"].public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    text = f'{b64(b"""{"alg":"HS256","kid":"RS256"}""")}.{b64(json.dumps(good).encode())}'
    yield "HS256 by the public key", (
        f"{text}.{b64(hmac.digest(pem, text.encode(), hashlib.sha256))}"
    ), False
    jwk = json.loads(jwt.get_algorithm_by_name("RS256").to_jwk(keys.other.public_key()))
    yield "a key of its own in jwk", keys.sign(good, key=keys.other, kid="mine", jwk=jwk), False
    yield "a key behind jku", keys.sign(
        good, key=keys.other, kid="mine", jku="http://127.0.0.1:1/jwks"
    ), False
    head, body, signature = keys.sign(good).split(".")
    yield "no signature", f"{head}.{body}.", False
    turned = ("C" if signature[0] == "B" else "B") + signature[1:]
    yield "another signature", f"{head}.{body}.{turned}", False
    yield "a fourth part", f"{head}.{body}.{signature}.x", False
    yield "padding", f"{head}==.{body}.{signature}", False


def envoy(world, jwks):
    """Envoy with its filter, before the origin; its port."""
    port = free_port()
    origin = int(world.origin.url.rpartition(":")[2])
    config = envoy_config.gateway("peer", port, origin)
    types = envoy_config.TYPES
    provider = {
        "issuer": ISSUER,
        "audiences": [AUDIENCE],
        "local_jwks": {"inline_string": json.dumps(jwks)},
        "clock_skew_seconds": 30,
    }
    filters = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"]
    filters[0]["typed_config"]["http_filters"].insert(0, {
        "name": "envoy.filters.http.jwt_authn",
        "typed_config": {
            "@type": f"{types}.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
            "providers": {"issuer": provider},
            "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "issuer"}}],
        },
    })  # fmt: skip
    file = world.folder / "envoy.json"
    file.write_text(json.dumps(config))
    command = [programs.envoy(), "--config-path", file, "--concurrency", "1",
               "--disable-hot-restart", "--log-level", "warning"]  # fmt: skip
    world.program("envoy", command).ready(lambda: listens(port))
    return port


def asked(port, token):
    """The status that somebody gets who shows this."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    connection.request("GET", "/", headers=headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status, answer.getheader("www-authenticate", "")


@scenario
def edgespan_and_envoy_say_the_same_of_every_token_where_envoy_is_right(world):
    keys = Keys()
    file = world.folder / "jwks.json"
    file.write_text(json.dumps(keys.published()))
    edge = world.edgespan(
        world.gateway(route={"auth": "api"}),
        auth={
            "api": {"jwt": {"issuer": ISSUER, "audiences": AUDIENCE, "jwks": {"file": str(file)}}}
        },
    )
    peer = envoy(world, keys.published())

    wrong = []
    for name, token, is_good in matrix(keys):
        ours, challenge = asked(edge.port, token)
        theirs, _ = asked(peer, token)
        if ours != (200 if is_good else 401):
            wrong.append(f"{name}: edgespan {ours}")
        if ours == 401 and token and 'error="invalid_token"' not in challenge:
            # What is no token at all is a credential of somebody else's.
            wrong.append(f"{name}: {challenge}")
        envoy_passes = theirs == 200
        expected = is_good or name in ENVOY_IS_WRONG | WE_ARE_STRICTER
        if envoy_passes != expected:
            wrong.append(f"{name}: Envoy {theirs}")
    expect(wrong, [], "tokens")
