"""People log in at LemonLDAP::NG as an OpenID Provider: Debian's packages as they stand, behind
nginx, with their demonstration users.
"""

import programs
from browser import chromium
from harness import expect, free_port, scenario
from scenarios.lemonldap import lemonldap, settings

CLIENT, SECRET = "edge", "a-secret-of-the-edge"


class Site:
    """An application behind edgespan, LemonLDAP::NG as its provider."""

    def __init__(self, world):
        door, port = free_port(), free_port()
        self.portal, self.url = f"http://127.0.0.1:{door}", f"http://127.0.0.1:{port}"
        lemonldap(world, door, self._conf(world, door))
        config = world.gateway(route={"auth": "people"})
        config["auth"] = {
            "people": {
                "oidc": {
                    "issuer": self.portal,
                    "client_id": CLIENT,
                    "client_secret": SECRET,
                    "userinfo": True,
                }
            }
        }
        config["identity"] = {
            "headers": {"x-user": "subject", "x-name": "claims.name", "x-email": "claims.email"}
        }
        world.edgespan(config, port=port)

    def _conf(self, world, door):
        public, private = keys(world)
        options = {
            "ClientID": CLIENT,
            "ClientSecret": SECRET,
            "RedirectUris": f"{self.url}/oauth2/callback",
            "PostLogoutRedirectUris": f"{self.url}/oauth2/logout",
            "LogoutUrl": f"{self.url}/oauth2/frontchannel",
            "LogoutType": "front",
            "LogoutSessionRequired": 1,
            "IDTokenSignAlg": "RS256",
            "RequirePKCE": 1,
            "BypassConsent": 1,
            "RefreshToken": 1,
            "UserIDAttr": "uid",
        }
        return {
            **settings(world.folder, door),
            "domain": "127.0.0.1",
            "portal": f"{self.portal}/",
            "issuerDBOpenIDConnectActivation": 1,
            "issuerDBOpenIDConnectRule": 1,
            "issuerDBOpenIDConnectPath": "^/oauth2/",
            "oidcServiceMetaDataIssuer": self.portal,
            "oidcServicePublicKeySig": public,
            "oidcServicePrivateKeySig": private,
            "oidcServiceKeyIdSig": "first",
            "oidcStorage": "Apache::Session::File",
            "oidcStorageOptions": {
                "Directory": f"{world.folder}/sessions",
                "LockDirectory": f"{world.folder}/sessions",
            },
            "oidcRPMetaDataExportedVars": {CLIENT: {"name": "cn", "email": "mail"}},
            "oidcRPMetaDataOptions": {
                CLIENT: {f"oidcRPMetaDataOptions{name}": text for name, text in options.items()}
            },
        }


def keys(world):
    """A new RSA key: its public and its private half."""
    [openssl] = programs.debian("openssl")
    key = world.folder / "provider.pem"
    programs.run(openssl, "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048",
                 "-out", key)  # fmt: skip
    return programs.run(openssl, "pkey", "-in", key, "-pubout"), key.read_text()


@scenario
def a_second_provider_logs_people_in_and_out(world):
    site = Site(world)
    tab = chromium().person().tab().open(site.url + "/page?x=1&y=%2F")
    assert tab.url.startswith(site.portal), tab.url

    tab.fill("input[name=user]", "dwho")
    tab.fill("input[name=password]", "dwho")
    tab.click("button[type=submit]")

    expect((tab.status, tab.url), (200, site.url + "/page?x=1&y=%2F"), "where the login leads")
    seen = world.origin.requests[-1]
    expect(seen["path"], "/page?x=1&y=%2F", "path")
    told = [seen.header(name) for name in ("x-user", "x-name", "x-email")]
    expect(told, [["dwho"], ["Doctor Who"], ["dwho@badwolf.org"]], "who it is")

    tab.open(site.url + "/oauth2/logout")
    tab.look()
    tab.open(site.url + "/page")
    assert tab.url.startswith(site.portal), f"a login is asked for again: {tab.url}"
