"""Apache with mod_auth_openidc as a server of resources: it lets tokens of one issuer pass, whose keys
it fetches over TLS, as it insists.
"""

import http.server
import json
import ssl

import programs
from harness import free_port, listens
from origin import Server

CONFIG = """
ServerRoot {folder}
ServerName localhost
Listen 127.0.0.1:{port}
PidFile {folder}/apache.pid
ErrorLog /dev/stderr
{modules}
User nobody
Group nogroup
DocumentRoot {folder}/site
OIDCOAuthVerifyJwksUri {jwks}
OIDCCABundlePath {authority}
OIDCOAuthAcceptTokenAs header
<Location />
    AuthType oauth20
    # It has no setting for either: what a token has to say is said here.
    <RequireAll>
        Require claim iss:{issuer}
        Require claim aud:{audience}
    </RequireAll>
</Location>
"""

MODULES = "/usr/lib/apache2/modules"
LOADED = ["mpm_event", "authn_core", "authz_core", "authz_user", "dir", "auth_openidc"]


class Published:
    """A JWK Set behind https."""

    def __init__(self, world, authority, keys):
        port = free_port()
        self.url = f"https://127.0.0.1:{port}/jwks"

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = json.dumps(keys).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self._server = Server(("127.0.0.1", port), Handler)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(*authority.issue("keys"))
        self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._server.begin()
        world.keep(self)

    def stop(self):
        self._server.shutdown()
        self._server.server_close()


def resource_server(world, keys, issuer, audience):
    """Starts it; its port."""
    program, _ = programs.debian("apache2", f"{MODULES}/mod_auth_openidc.so")
    authority = world.authority()
    port = free_port()
    (world.folder / "site").mkdir()
    (world.folder / "site/index.html").write_text("app\n")
    # It gives up root, and has to read that all the same.
    world.folder.chmod(0o755)
    file = world.folder / "apache.conf"
    file.write_text(
        CONFIG.format(
            folder=world.folder,
            port=port,
            modules="\n".join(
                f"LoadModule {name}_module {MODULES}/mod_{name}.so" for name in LOADED
            ),
            jwks=Published(world, authority, keys).url,
            authority=authority.certificate,
            issuer=issuer,
            audience=audience,
        )
    )
    command = [program, "-X", "-f", file]
    world.program("apache", command).ready(lambda: listens(port))
    return port
