"""edgespan asks LemonLDAP::NG who may pass: Debian's packages as they stand, behind nginx, set up
as docs/auth-forward.md has it; people sign in at its portal, through edgespan.
"""

import base64
import html
import json
import os
import re
import urllib.parse

import programs
import yaml
from behind import said_of
from harness import curl, expect, free_port, listens, scenario

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"

APP, PORTAL = "test1.example.com", "auth.example.com"

INI = """
[all]
logLevel = notice
checkTime = 1
[configuration]
type = File
dirName = {folder}/conf
localStorage = Cache::FileCache
localStorageOptions = {{ 'namespace' => 'conf', 'cache_root' => '{folder}/cache' }}
[portal]
templateDir = /usr/share/lemonldap-ng/portal/templates
staticPrefix = /static
languages = en
[handler]
useRedirectOnError = 0
"""

# Handler and portal are one FastCGI server; the handler that nginx usually asks is another.
NGINX = """
worker_processes 1;
events {{}}
http {{
    log_format asked '$status "$http_x_forwarded_uri" $http_traceparent';
    access_log {folder}/asked.log asked;
    server {{
        listen 127.0.0.1:{port};
        location = /lmauth {{
            include /etc/nginx/fastcgi_params;
            fastcgi_pass 127.0.0.1:{fastcgi};
            fastcgi_pass_request_body off;
            fastcgi_param CONTENT_LENGTH "";
        }}
        location = /lmauth-for-programs {{
            include /etc/nginx/fastcgi_params;
            fastcgi_pass 127.0.0.1:{programs};
            fastcgi_pass_request_body off;
            fastcgi_param CONTENT_LENGTH "";
            fastcgi_param HTTP_HOST $http_x_forwarded_host;
            fastcgi_param REQUEST_URI $http_x_forwarded_uri;
        }}
        location / {{
            access_log off;
            include /etc/nginx/fastcgi_params;
            fastcgi_pass 127.0.0.1:{fastcgi};
            fastcgi_param SCRIPT_NAME "";
            fastcgi_param PATH_INFO $uri;
            fastcgi_param LLTYPE portal;
        }}
    }}
}}
"""


def settings(folder, port):
    """The package's own example, with its demonstration users, on another port."""

    def files(name):
        return {"Directory": f"{folder}/{name}", "LockDirectory": f"{folder}/{name}"}

    return {
        "cfgNum": 1,
        "cfgDate": 1,
        "cfgVersion": "2.16.1",
        "domain": "example.com",
        "portal": f"http://{PORTAL}:{port}/",
        "authentication": "Demo",
        "userDB": "Same",
        "passwordDB": "Null",
        "registerDB": "Null",
        "demoExportedVars": {"cn": "cn", "mail": "mail", "uid": "uid"},
        "multiValuesSeparator": ",",
        "cookieName": "lemonldap",
        "securedCookie": 0,
        "whatToTrace": "uid",
        "globalStorage": "Apache::Session::File",
        "globalStorageOptions": files("sessions"),
        "persistentStorage": "Apache::Session::File",
        "persistentStorageOptions": files("persistent"),
        "localSessionStorage": "Cache::FileCache",
        "localSessionStorageOptions": {"namespace": "sessions", "cache_root": f"{folder}/cache"},
        "exportedHeaders": {APP: {"Auth-User": "$uid", "Auth-Groups": "$groups"}},
        "locationRules": {
            PORTAL: {"default": "accept"},
            APP: {"^/admin": 'inGroup("timelords")', "^/open": "unprotect", "default": "accept"},
        },
    }


class Site:
    """An application behind edgespan, LemonLDAP::NG beside it, and a browser."""

    def __init__(self, world, **forward):
        """`forward` has settings besides those of the documentation."""
        self.world = world
        door = free_port()
        config = {**world.gateway(), **documented(door)}
        config["upstreams"]["app"] = {"endpoints": [world.origin.url]}
        config["auth"]["sso"]["forward"].update({"timeout": "10s", **forward})
        api = {**config["auth"]["sso"]["forward"], "dialect": "auth_request"}
        api["url"] = f"http://127.0.0.1:{door}/lmauth-for-programs"
        config["auth"]["api"] = {"forward": api}
        config["routes"] += [
            {"name": "api", "match": {"host": APP, "prefix": "/api"}, "upstream": "app",
             "auth": "api"},
            {"name": "lords", "match": {"host": APP, "prefix": "/lords"}, "upstream": "app",
             "auth": "sso", "allow": '"timelords" in identity.groups'},
        ]  # fmt: skip
        port = world.edgespan(config).port
        self.url, self.portal = f"http://{APP}:{port}", f"http://{PORTAL}:{port}/"
        lemonldap(world, door, settings(world.folder, port))
        jar = world.folder / "jar"
        self._jar = ["--cookie", jar, "--cookie-jar", jar]
        self._hosts = []
        for host in (APP, PORTAL):
            self._hosts += ["--resolve", f"{host}:{port}:127.0.0.1"]

    def ask(self, path, session=None, *more):
        """A request without the browser's cookies, with this session's if there is one."""
        cookie = ["-H", f"cookie: theme=dark; lemonldap={session}; a=b"] if session else []
        return curl(self.world, *self._hosts, *cookie, *more, self.url + path)

    def browse(self, url, *more):
        """A request with the browser's cookies."""
        return curl(self.world, *self._hosts, *self._jar, *more, url)

    def sign_in(self, name, path="/"):
        """From a page through the form to where that leads; its address, and the session."""
        sent_off = self.browse(self.url + path)
        expect(sent_off.status, 302, "status before the login")
        form = self.browse(sent_off.header("location"))
        expect(form.status, 200, "status of the form")
        inputs = r'<input[^>]* name="(\w+)"[^>]* value="([^"]*)"'
        fields = dict(re.findall(inputs, form.body.decode()))
        # This package's demonstration users have their names as passwords.
        fields = {**fields, "user": name, "password": name}
        data = urllib.parse.urlencode({key: html.unescape(text) for key, text in fields.items()})
        signed = self.browse(self.portal, "--data", data)
        expect(signed.status, 302, f"status of the login of {name}")
        [session] = [text for text in set_cookies(signed) if text.startswith("lemonldap=")]
        return signed.header("location"), session.partition("=")[2].partition(";")[0]

    def told(self, name):
        """What the application was last told under a name, in any spelling."""
        seen = self.world.origin.requests[-1]
        return said_of((seen["method"], seen["path"], seen["headers"]), name)

    def questions(self):
        """What nginx answered and was asked: status, path, trace context."""
        lines = (self.world.folder / "asked.log").read_text().splitlines()
        return [line.split() for line in lines]


def documented(door):
    """The documentation's example, as it stands but for the port."""
    text = (programs.ROOT / "docs/auth-forward.md").read_text()
    example = text.partition("## LemonLDAP::NG")[2].partition("```yaml\n")[2].partition("```")[0]
    # YAML as edgespan reads it: `off` is a word.
    return yaml.load(example.replace(":8081", f":{door}"), yaml.BaseLoader)


def set_cookies(answer):
    """Every `Set-Cookie` of an answer."""
    return [text for name, text in answer.headers if name == "set-cookie"]


def lemonldap(world, port, conf):
    """Starts it, with nginx before it at `port`."""
    [nginx] = programs.debian("nginx")
    # It gives up root, and has to read and to write here all the same.
    world.folder.chmod(0o755)
    for name in ("conf", "sessions", "persistent", "cache"):
        folder = world.folder / name
        folder.mkdir()
        folder.chmod(0o777)
    (world.folder / "conf/lmConf-1.json").write_text(json.dumps(conf))
    (world.folder / "lemonldap-ng.ini").write_text(INI.format(folder=world.folder))
    fastcgi = {name: handler(world, name) for name in ("traefik", "nginx")}
    file = world.folder / "nginx.conf"
    file.write_text(
        NGINX.format(
            folder=world.folder, port=port, fastcgi=fastcgi["traefik"], programs=fastcgi["nginx"]
        )
    )
    pid = f"daemon off; pid {world.folder}/nginx.pid;"
    command = [nginx, "-p", world.folder, "-e", "stderr", "-c", file, "-g", pid]
    world.program("nginx", command).ready(lambda: listens(port))


def handler(world, asker):
    """The port of its FastCGI server, which speaks as this asker expects."""
    port = free_port()
    command = [programs.lemonldap(), "--foreground", "--proc", "2", "--sourceServer", asker,
               "--listen", f"127.0.0.1:{port}",
               "--pid", world.folder / f"cache/{asker}.pid"]  # fmt: skip
    if os.geteuid() == 0:
        command += ["--user", "nobody", "--group", "nogroup"]
    env = {
        **os.environ,
        "LLNG_DEFAULTCONFFILE": str(world.folder / "lemonldap-ng.ini"),
        "LLNG_DEFAULTLOGGER": "Lemonldap::NG::Common::Logger::Std",
    }
    world.program(f"lemonldap-{asker}", command, env).ready(lambda: listens(port))
    return port


@scenario
def a_page_leads_to_the_portal_and_the_login_back_to_the_page(world):
    site = Site(world)
    spoofed = ["-H", "auth-user: root", "-H", "Auth_User: root", "-H", "AUTH.USER: root",
               "-H", "auth-groups: timelords"]  # fmt: skip

    refused = site.ask("/page?x=1&y=%2F", None, *spoofed)
    place, session = site.sign_in("rtyler", "/page?x=1&y=%2F")
    page = site.browse(place, *spoofed)

    expect(refused.status, 302, "status without a session")
    portal, _, back = refused.header("location").partition("?url=")
    expect(portal, site.portal, "where the portal is")
    page_asked = base64.b64decode(urllib.parse.unquote(back)).decode()
    expect(page_asked, f"{site.url}/page?x=1&y=%2F", "page to come back to")
    expect(place, page_asked, "where the login leads")
    expect(page.status, 200, "status with a session")
    expect(len(world.origin.requests), 1, "requests that the application got")
    expect(world.origin.requests[-1]["path"], "/page?x=1&y=%2F", "path")
    expect(site.told("auth-user"), ["rtyler"], "user told")
    [groups] = site.told("auth-groups")
    expect(sorted(groups.split(",")), ["earthlings", "users"], "groups told")
    # The answer brings the cookies without its own: no application can lose it.
    site.ask("/page", session, *spoofed)
    expect(site.told("auth-user"), ["rtyler"], "user told")
    [cookie] = site.told("cookie")
    assert session not in cookie and "theme=dark" in cookie and "a=b" in cookie, cookie
    open_to_all = site.ask("/open", None, *spoofed)
    expect((open_to_all.status, site.told("auth-user")), (200, []), "a page for everybody")


@scenario
def its_rules_hold_however_a_path_is_spelt_and_ours_hold_beside_them(world):
    site = Site(world)
    _, rose = site.sign_in("rtyler")
    (world.folder / "jar").unlink()
    _, who = site.sign_in("dwho")

    for path in ["/admin", "/admin/a?b", "/%61dmin"]:
        expect(site.ask(path, who).status, 200, f"status of {path} for a timelord")
        expect(site.told("auth-user"), ["dwho"], "user told")
        passed = len(world.origin.requests)
        expect(site.ask(path, rose).status, 403, f"status of {path} for another")
        expect(len(world.origin.requests), passed, f"{path}, what the origin got")
    # What two programs may read as two paths is nobody's question.
    asked = site.questions()
    for path in ["//admin", "/x/../admin", "/./admin", "/admin%2fa"]:
        expect(site.ask(path, rose, "--path-as-is").status, 400, f"status of {path}")
    expect(site.questions(), asked, "questions about those")
    expect(site.ask("/lords", who).status, 200, "status by our rule for a timelord")
    expect(site.ask("/lords", rose).status, 403, "status by our rule for another")
    expect(site.ask("/", "0" * 32).status, 302, "status with a session that is none")


@scenario
def programs_get_its_plain_401(world):
    site = Site(world)
    _, session = site.sign_in("dwho")

    refused = site.ask("/api/a?b", None)
    allowed = site.ask("/api/a?b", session)

    expect(refused.status, 401, "status without a session")
    assert refused.header("location").startswith(site.portal + "?url="), refused.headers
    expect((allowed.status, site.told("auth-user")), (200, ["dwho"]), "with a session")
    expect(len(world.origin.requests), 1, "requests that the application got")


@scenario
def its_answer_is_on_the_trace_and_remembered_ones_lead_to_it(world):
    site = Site(world, cache={"ttl": "60s", "key": [{"cookie": "lemonldap"}, "method", "path"]})
    _, session = site.sign_in("dwho")
    traced = ["-H", f"traceparent: 00-{TRACE}-{CALLER}-01"]

    expect(site.ask("/page", session, *traced).status, 200, "status")
    asked = site.questions()
    decision, call = world.asked(TRACE, CALLER, "sso", 200)
    for _ in range(3):
        expect(site.ask("/page", session).status, 200, "status, remembered")
        expect(site.told("auth-user"), ["dwho"], "user told, remembered")

    expect(decision.attributes["edgespan.auth.decision"], "allow", "decision")
    expect(decision.attributes["edgespan.auth.cache"], "miss", "first decision")
    expect(asked[-1], ["200", '"/page"', f"00-{TRACE}-{call.span_id}-01"], "the question")
    expect(site.questions(), asked, "questions after the first")
    hits = world.receiver.wait(
        lambda span: span.attributes.get("edgespan.auth.cache") == "hit", 3
    )
    for hit in hits:
        expect(hit.links, [(TRACE, decision.span_id)], "where a remembered decision was made")
