"""Tokens of every kind, shown to edgespan, to Envoy's jwt_authn and to Apache's mod_auth_openidc. Where
these are right, all say the same; where they are not, or have no rule, the lists here say so, and
docs/auth-jwt.md says why.
"""

import base64
import hashlib
import hmac
import http.client
import json
import time

import apache
import envoy_config
import jwt
import programs
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from harness import expect, free_port, listens, scenario

DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

ISSUER, AUDIENCE = "https://id.example.com", "portal"

# What neither of the others refuses: a token that never ends, one that asks for an extension that is
# not known, one that is not there for this, one that is bound to a key, one by a key for encryption.
BOTH = {
    "no exp", "unknown crit", "typ of another kind", "bound to a key", "a key for encryption",
    "iat in the future", "bits behind the signature",
}  # fmt: skip
# Where mod_auth_openidc says otherwise: for it, what has another type is not there.
OF_ANOTHER_TYPE = {
    "exp as a string", "exp as null", "exp as a list", "exp of true", "exp before 1970",
    "nbf as a string", "iat as a string", "jti as a number", "iss as a list",
    "aud with a number beside",
}  # fmt: skip
# It does not look at `nbf`; of two members it takes the last; it knows no EdDSA, and wants a name.
ITS_OWN = {"nbf in an hour", "a claim twice", "alg twice", "EdDSA", "no sub"}
DIFFERS = {"Envoy": BOTH, "mod_auth_openidc": BOTH | OF_ANOTHER_TYPE | ITS_OWN}


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
        self.for_encryption = rsa.generate_private_key(65537, 2048)

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
        jwk = json.loads(algorithms("RS256").to_jwk(self.for_encryption.public_key()))
        jwk.pop("key_ops", None)
        keys.append({**jwk, "kid": "enc", "use": "enc"})
        return {"keys": keys}

    def sign(self, claims, alg="RS256", key=None, kid=None, **header):
        """A token."""
        kind = "RS256" if alg[0] in "RP" else alg
        header = {"kid": kid or kind, **header}
        return jwt.encode(claims, key or self.private[kind], alg, header)


def signed_by_hand(keys, header, claims):
    """RS256 over exactly this text, which PyJWT would not write."""
    text = f"{b64(header.encode())}.{b64(claims.encode(errors='surrogateescape'))}"
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
    yield from further(keys, good, but, typed)


def further(keys, good, but, typed):
    """What has broken verifiers, or divides them."""
    now, whole = good["iat"], json.dumps(good)
    head, body, signature = keys.sign(good, "ES256").split(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    der = encode_dss_signature(
        int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
    )  # fmt: skip
    yield "ES256 with a DER signature", f"{head}.{body}.{b64(der)}", False
    yield "ES256 of zeroes", f"{head}.{body}.{b64(bytes(64))}", False
    yield "ES256 by an RSA kid", keys.sign(good, "ES256", kid="RS256"), False
    yield "a key for encryption", keys.sign(good, key=keys.for_encryption, kid="enc"), False
    head, body, signature = keys.sign(good).split(".")
    last = DIGITS[DIGITS.index(signature[-1]) + 1]
    yield "bits behind the signature", f"{head}.{body}.{signature[:-1]}{last}", False
    header = '{"alg":"RS256","kid":"RS256"}'
    yield "a claim twice", signed_by_hand(keys, header, f'{{"sub":"eve",{whole[1:]}'), False
    yield "alg twice", signed_by_hand(keys, f'{{"alg":"none",{header[1:]}', whole), False
    yield "claims behind a space", signed_by_hand(keys, header, f" {whole}"), True
    yield "claims as a list", signed_by_hand(keys, header, f"[{whole}]"), False
    yield "claims with a tail", signed_by_hand(keys, header, f"{whole}x"), False
    yield "not UTF-8", signed_by_hand(keys, header, whole.replace("ada", "\udcff")), False
    yield "no sub", keys.sign(but(sub=None)), True
    yield "sub as a number", keys.sign(but(sub=7)), False
    yield "jti as a number", keys.sign(but(jti=7)), False
    yield "aud as an empty list", typed("aud", "[]"), False
    yield "aud with a number beside", typed("aud", f'["{AUDIENCE}",7]'), False
    yield "aud inside an object", typed("aud", f'{{"{AUDIENCE}":true}}'), False
    yield "aud in other letters", keys.sign(but(aud=AUDIENCE.upper())), False
    yield "iss in other letters", keys.sign(but(iss=ISSUER.upper())), False
    yield "exp with a fraction", typed("exp", f"{now + 300}.5"), True
    yield "exp with an exponent", typed("exp", "4.1e9"), True
    yield "exp before 1970", typed("exp", "-1"), False
    yield "exp that is no double", typed("exp", "1e400"), False
    yield "exp of true", typed("exp", "true"), False
    yield "typ of another kind", keys.sign(good, typ="logout+jwt"), False
    yield "typ of an access token", keys.sign(good, typ="at+jwt"), True
    yield "bound to a key", keys.sign(but(cnf={"jkt": "x"})), False


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
def edgespan_and_others_say_the_same_of_every_token_where_those_are_right(world):
    keys = Keys()
    file = world.folder / "jwks.json"
    file.write_text(json.dumps(keys.published()))
    edge = world.edgespan(
        world.gateway(route={"auth": "api"}),
        auth={
            "api": {"jwt": {"issuer": ISSUER, "audiences": AUDIENCE, "jwks": {"file": str(file)}}}
        },
    )
    peers = {
        "Envoy": envoy(world, keys.published()),
        "mod_auth_openidc": apache.resource_server(world, keys.published(), ISSUER, AUDIENCE),
    }

    wrong, shown = [], set()
    for name, token, is_good in matrix(keys):
        shown.add(name)
        ours, challenge = asked(edge.port, token)
        if ours != (200 if is_good else 401):
            wrong.append(f"{name}: edgespan {ours}")
        if ours == 401 and token and 'error="invalid_token"' not in challenge:
            # What is no token at all is a credential of somebody else's.
            wrong.append(f"{name}: {challenge}")
        for peer, port in peers.items():
            theirs, _ = asked(port, token)
            if (theirs == 200) != (is_good != (name in DIFFERS[peer])):
                wrong.append(f"{name}: {peer} {theirs}")
    expect(wrong, [], "tokens")
    expect(set().union(*DIFFERS.values()) - shown, set(), "names that no token has")
