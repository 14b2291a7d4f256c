"""Assertions that an origin verifies with another language's library: PyJWT."""

import jwt
import programs
from harness import expect, get, scenario

ISSUER = "https://edge.example"


def key(world, name, *kind):
    """The file of a new private key."""
    file = world.folder / f"{name}.pem"
    [openssl] = programs.debian("openssl")
    programs.run(openssl, "genpkey", *kind, "-out", file)
    return {"file": str(file)}


def refused(how, *arguments, **expected):
    """Whether a library refuses a token, for this reason."""
    try:
        jwt.decode(*arguments, **expected)
    except how:
        return True
    return False


@scenario
def an_origin_verifies_assertions_with_pyjwt(world):
    p256 = key(world, "p256", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
    ed25519 = key(world, "ed25519", "-algorithm", "ed25519")
    for keys, algorithm in [([p256, ed25519], "ES256"), ([ed25519, p256], "EdDSA")]:
        edge = world.edgespan(
            world.gateway(route={"auth": "local"}),
            auth={"local": {"ip": ["127.0.0.0/8"]}},
            assertion={"keys": keys, "issuer": ISSUER},
        )

        expect(get(edge.url + "/")[0], 200, "status")

        [token] = world.origin.requests[-1].header("x-edgespan-assertion")
        published = jwt.PyJWKClient(edge.url + "/.well-known/edgespan/jwks.json")
        expect(len(published.get_signing_keys()), 2, "published keys")
        public = published.get_signing_key_from_jwt(token).key
        right = {"algorithms": ["ES256", "EdDSA"], "audience": "content", "issuer": ISSUER}
        told = jwt.decode(token, public, **right, options={"require": ["exp", "iat", "nbf"]})
        expect(jwt.get_unverified_header(token)["alg"], algorithm, "alg")
        expect((told["proof"], told["policy"]), ("ip", "local"), "who")

        head, claims, signature = token.split(".")
        other_first = "B" if signature[0] == "A" else "A"
        forged = ".".join([head, claims, other_first + signature[1:]])
        assert refused(jwt.InvalidSignatureError, forged, public, **right), "forged"
        elsewhere = {**right, "audience": "billing"}
        assert refused(jwt.InvalidAudienceError, token, public, **elsewhere), "other audience"
        other = published.get_signing_keys()[1].key
        # A key of another kind is no key to PyJWT.
        assert refused((jwt.PyJWTError, TypeError), token, other, **right), "other key"
        edge.stop()
