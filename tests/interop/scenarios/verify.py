"""`edgespan verify` through real proxies: each does to headers what is known of it, and it is named."""

import json
import re
import socket
import subprocess
import threading

import yaml

import envoy_config
import programs
from harness import clean_environment, expect, free_port, get, listens, scenario

SECRET = "a secret that both ends of the way know"
RAY = "8f2a1c0d9e7b6a54-FRA"


def behind(world, **listener):
    """An edgespan that tells what arrived."""
    return world.edgespan(
        world.gateway(listener=listener),
        {"EDGESPAN_VERIFY_SECRET": SECRET},
        arrival={"secrets": [{"env": "EDGESPAN_VERIFY_SECRET"}], "rate": "100/s"},
    )


def verify(world, url, *flags):
    """The report, and the exit code."""
    done = subprocess.run(
        [world.edgespan_program, "verify", url, "--json", *map(str, flags)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
        env={**clean_environment(), "EDGESPAN_VERIFY_SECRET": SECRET},
    )  # fmt: skip
    assert done.stdout, f"verify says nothing but {done.stderr}"
    return json.loads(done.stdout), done.returncode


def verdicts(report):
    """What became of each check."""
    assert report["reached"], f"no account: {report['obstacles']}"
    return {check["id"]: check["verdict"] for check in report["checks"]}


def check_of(report, name):
    """One check of a report."""
    [found] = [check for check in report["checks"] if check["id"] == name]
    return found


def expect_all_but(report, others, what):
    """Everything is intact but what `others` names."""
    intact = {name: "intact" for name in verdicts(report)}
    expect(verdicts(report), {**intact, **others}, f"verdicts through {what}")


def seen(report):
    return [hop["hop"] for hop in report["seen"]]


def nginx(world, upstream_port, more=""):
    port, folder = free_port(), world.folder / f"nginx-{free_port()}"
    folder.mkdir()
    (folder / "nginx.conf").write_text(f"""
        worker_processes 1; events {{}} error_log stderr;
        http {{
            access_log off;
            client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
            fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;
            scgi_temp_path {folder}/scgi;
            map $http_upgrade $goes_on {{ default upgrade; "" close; }}
            server {{
                listen 127.0.0.1:{port};
                {more}
                location / {{
                    proxy_pass http://127.0.0.1:{upstream_port};
                    proxy_http_version 1.1;
                    proxy_set_header Upgrade $http_upgrade;
                    proxy_set_header Connection $goes_on;
                    proxy_set_header X-Real-IP $remote_addr;
                }}
            }}
        }}
    """)
    [program] = programs.debian("nginx")
    world.program("nginx", [
        program, "-p", folder, "-e", "stderr", "-c", "nginx.conf",
        "-g", f"daemon off; pid {folder}/nginx.pid;",
    ]).ready(lambda: listens(port))  # fmt: skip
    return port


def haproxy(world, upstream_port):
    port, file = free_port(), world.folder / "verify-haproxy.cfg"
    file.write_text(f"""
defaults
    mode http
    timeout connect 5s
    timeout client 20s
    timeout server 20s
frontend web
    bind 127.0.0.1:{port}
    default_backend behind
backend behind
    http-request set-header via "1.1 haproxy"
    server behind 127.0.0.1:{upstream_port}
""")
    [program] = programs.debian("haproxy")
    command = [program, "-db", "-f", file]
    world.program("haproxy", command).ready(lambda: listens(port))
    return port


def caddy(world, upstream_port, traces):
    port, file = free_port(), world.folder / "verify.Caddyfile"
    tracing = "tracing" if traces else ""
    file.write_text(f"""
{{
    admin off
    auto_https off
    servers {{
        protocols h1 h2c
    }}
}}
http://:{port} {{
    bind 127.0.0.1
    {tracing}
    reverse_proxy 127.0.0.1:{upstream_port}
}}
""")
    programs.python()
    own = {
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
        "OTEL_EXPORTER_OTLP_ENDPOINT": world.receiver.grpc_endpoint,
    }
    command = [programs.VENV / "bin/caddy", "run", "--config", file, "--adapter", "caddyfile"]
    world.program("caddy", command, {**clean_environment(), **own}).ready(lambda: listens(port))
    return port


def traefik(world, upstream_port, traces=False):
    port, folder = free_port(), world.folder / f"verify-traefik-{free_port()}"
    folder.mkdir()
    server = {"url": f"http://127.0.0.1:{upstream_port}"}
    (folder / "dynamic.yaml").write_text(yaml.safe_dump({"http": {
        "routers": {"all": {"rule": "PathPrefix(`/`)", "service": "behind"}},
        "services": {"behind": {"loadBalancer": {"servers": [server]}}},
    }}))  # fmt: skip
    otlp = {"http": {"endpoint": f"{world.receiver.http_endpoint}/v1/traces"}}
    tracing = {"tracing": {"otlp": otlp}} if traces else {}
    (folder / "traefik.yaml").write_text(yaml.safe_dump({
        **tracing,
        "entryPoints": {"web": {"address": f"127.0.0.1:{port}"}},
        "providers": {"file": {"filename": str(folder / "dynamic.yaml")}},
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
    }))  # fmt: skip
    programs.python()
    command = [programs.VENV / "bin/traefik", f"--configfile={folder}/traefik.yaml"]
    # It listens before it has read its routes.
    started = world.program("traefik", command)
    started.ready(lambda: get(f"http://127.0.0.1:{port}/")[0] == 200)
    return port


def envoy(world, upstream_port, otlp_port=None):
    port, file = free_port(), world.folder / "verify-envoy.yaml"
    config = envoy_config.gateway("envoy", port, upstream_port, otlp_port=otlp_port)
    file.write_text(yaml.safe_dump(config))
    world.program("envoy", [
        programs.envoy(), "--config-path", file, "--concurrency", "1", "--disable-hot-restart",
        "--log-level", "warning",
    ]).ready(lambda: listens(port))  # fmt: skip
    return port


class Tunnel:
    """A tunnel of Cloudflare's as it looks from both ends, HTTP/1.1; the edge's bad days, too."""

    def __init__(self, upstream_port, change=lambda head: head, answer=lambda number: None):
        self._to, self._change, self._answer = upstream_port, change, answer
        self._count = 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def stop(self):
        self._server.close()

    def _serve(self):
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._one, args=(client,), daemon=True).start()

    def _one(self, client):
        with client:
            try:
                self._pass(client)
            except OSError:
                pass  # whoever left has its reasons

    def _pass(self, client):
        head, body = read_head(client)
        self._count += 1
        own = self._answer(self._count)
        if own is not None:
            client.sendall(own.encode())
            client.shutdown(socket.SHUT_WR)
            while client.recv(65536):
                pass
            return
        added = (
            f"Cf-Ray: {RAY}\r\nCF-Connecting-IP: 192.0.2.7\r\nCf-Ipcountry: DE\r\n"
            "CDN-Loop: cloudflare; loops=1\r\n"
        )
        with socket.create_connection(("127.0.0.1", self._to)) as server:
            server.sendall((self._change(head) + added + "\r\n").encode("latin-1") + body)
            threading.Thread(target=pump, args=(client, server), daemon=True).start()
            head, body = read_head(server)
            head += f"Server: cloudflare\r\nCF-RAY: {RAY}\r\n"
            client.sendall((head + "\r\n").encode("latin-1") + body)
            pump(server, client)


def read_head(stream):
    """Lines of a head, each ended, and what came behind it."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = stream.recv(65536)
        if not more:
            raise OSError("closed")
        data += more
    head, body = data.split(b"\r\n\r\n", 1)
    return head.decode("latin-1") + "\r\n", body


def pump(source, target):
    """Bytes from one to the other until one of them ends."""
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


@scenario
def nothing_is_lost_without_a_hop_over_tls_either(world):
    authority = world.authority()
    chain, key = authority.issue("app.example.com")
    edgespan = behind(world, tls={"certificates": [{"chain": chain, "key": key}]})
    report, code = verify(world, edgespan.url, "--ca", authority.certificate)
    expect_all_but(report, {}, "no hop")
    expect(code, 0, "exit code")
    ways = [way["way"] for way in report["checks"][0]["ways"] if way["verdict"]]
    expect(ways, ["HTTP/1.1", "HTTP/2", "WebSocket", "redirect"], "ways")
    expect(report["seen"], [], "hops")


@scenario
def nginx_passes_what_fits_its_buffers(world):
    port = nginx(world, behind(world).port)
    url = f"http://127.0.0.1:{port}"
    report, code = verify(world, url, "--only", "http/1.1,websocket,redirect")
    # A header line of more than 8k fits into none of its buffers.
    expect_all_but(report, {"baggage-8k": "refused"}, "nginx")
    assert "large_client_header_buffers" in check_of(report, "baggage-8k")["do"], report
    expect(code, 1, "exit code")
    assert "nginx" in seen(report), report["seen"]


@scenario
def haproxy_and_traefik_pass_everything(world):
    upstream = behind(world).port
    for name, port in [("haproxy", haproxy(world, upstream)), ("traefik", traefik(world, upstream))]:
        url = f"http://127.0.0.1:{port}"
        report, code = verify(world, url, "--only", "http/1.1,websocket,redirect")
        expect_all_but(report, {}, name)
        expect(code, 0, f"exit code through {name}")
        assert name in seen(report), f"{name}: {report['seen']}"


@scenario
def caddy_passes_everything(world):
    upstream = behind(world).port
    plain = caddy(world, upstream, traces=False)
    report, code = verify(world, f"http://127.0.0.1:{plain}")
    expect_all_but(report, {}, "caddy")
    expect(code, 0, "exit code")


@scenario
def caddy_that_traces_reads_one_tracestate_and_writes_baggage_anew(world):
    port = caddy(world, behind(world).port, traces=True)
    report, code = verify(world, f"http://127.0.0.1:{port}", "--only", "http/1.1")
    found = verdicts(report)
    expect(found["traceparent"], "joined", "traceparent")
    expect(found["tracestate-lines"], "changed", "tracestate on three lines")
    to_do = check_of(report, "tracestate-lines")["do"]
    assert "one line" in to_do, to_do
    # The order is that of a map in Go, so few members come as they were now and then.
    assert found["baggage-8k"] in ("reordered", "changed"), found
    assert found["baggage-lines"] in ("merged", "reordered", "changed"), found
    assert "OTEL_PROPAGATORS" in check_of(report, "baggage-8k")["do"], report
    expect(code, 1, "exit code")
    assert "caddy" in seen(report), report["seen"]


@scenario
def traefik_that_traces_reads_one_tracestate(world):
    port = traefik(world, behind(world).port, traces=True)
    report, code = verify(world, f"http://127.0.0.1:{port}", "--only", "http/1.1")
    found = verdicts(report)
    expect(found["traceparent"], "joined", "traceparent")
    expect(found["tracestate-lines"], "changed", "tracestate on three lines")
    to_do = check_of(report, "tracestate-lines")["do"]
    assert "one line" in to_do, to_do
    expect(code, 1, "exit code")
    assert "traefik" in seen(report), report["seen"]


@scenario
def envoy_that_traces_joins(world):
    upstream = behind(world).port
    otlp = int(world.receiver.http_endpoint.rpartition(":")[2])
    port = envoy(world, upstream, otlp)
    report, _ = verify(world, f"http://127.0.0.1:{port}", "--only", "http/1.1,http/2,redirect")
    found = verdicts(report)
    expect(found["traceparent"], "joined", "traceparent")
    assert "random flag" in check_of(report, "traceparent")["what"], report
    expect(found["tracestate-lines"], "merged", "tracestate on three lines")
    for name in ("baggage", "baggage-8k", "b3", "x-b3"):
        expect(found[name], "intact", name)
    assert "envoy" in seen(report), report["seen"]


@scenario
def a_tunnel_and_nginx_are_both_named_and_neither_is_the_culprit(world):
    port = nginx(world, behind(world).port)

    def cut(head):
        return re.sub(r"(?m)^(baggage: .{4000}).*$", r"\1\r", head)

    tunnel = world.keep(Tunnel(port, cut))
    url = f"http://127.0.0.1:{tunnel.port}"
    report, code = verify(world, url, "--only", "http/1.1,websocket,redirect")
    expect_all_but(report, {"baggage-8k": "changed"}, "a tunnel that cuts")
    expect(code, 1, "exit code")
    expect(seen(report), ["cloudflare", "nginx"], "hops")
    assert re.match(r"between cloudflare \(cf-ray .*\) and nginx \(", report["likely"]), report
    expect(
        check_of(report, "baggage-8k")["do"],
        "keep baggage under 4000 bytes, or raise that hop's header limit",
        "what to do",
    )
    report, code = verify(world, url, "--only", "http/1.1", "--allow", "baggage=4000")
    expect(code, 0, "exit code of what is allowed")


@scenario
def a_chain_of_five_proxies_and_a_tunnel_passes_what_each_of_them_does(world):
    port = envoy(world, behind(world).port)
    port = caddy(world, port, traces=False)
    port = nginx(world, port, more="large_client_header_buffers 4 16k;")
    port = traefik(world, port)
    port = haproxy(world, port)
    tunnel = world.keep(Tunnel(port))
    url = f"http://127.0.0.1:{tunnel.port}"
    report, code = verify(world, url, "--only", "http/1.1,redirect")
    expect_all_but(report, {}, "a tunnel and five proxies")
    expect(code, 0, "exit code")
    named = seen(report)
    expect(named[0], "cloudflare", "the first hop")
    assert {"haproxy", "nginx", "caddy", "envoy"} <= set(named), report["seen"]


@scenario
def a_login_before_the_whole_site_is_told_and_an_exception_for_the_account_mends_it(world):
    upstream = behind(world).port
    login = "{ return 302 https://id.example.com/login; }"
    only = ["--only", "http/1.1,traceparent"]
    closed = nginx(world, upstream, more=f"location ^~ /.well-known/ {login}")
    report, code = verify(world, f"http://127.0.0.1:{closed}", *only)
    expect([one["kind"] for one in report["obstacles"]], ["login"], "obstacle")
    [check] = report["checks"]
    expect((report["result"], check["survives"], code), ("no_account", None, 1), "no account")
    # Now everything but the account asks for it.
    excepted = nginx(world, upstream, more=f"location ~ ^/(?!.well-known/edgespan/) {login}")
    report, code = verify(world, f"http://127.0.0.1:{excepted}", *only)
    expect((verdicts(report), code), ({"traceparent": "intact"}, 0), "behind the exception")


@scenario
def a_way_that_breaks_one_time_in_ten_is_found(world):
    upstream = behind(world).port
    count = [0]

    def sometimes(head):
        count[0] += 1
        return head if count[0] % 10 else re.sub(r"(?mi)^traceparent: .*\r?\n", "", head)

    tunnel = world.keep(Tunnel(upstream, sometimes))
    url = f"http://127.0.0.1:{tunnel.port}"
    report, code = verify(world, url, "--only", "traceparent,http/1.1", "--repeat", 25)
    [way] = check_of(report, "traceparent")["ways"]
    expect((way["tried"], way["failed"], code), (50, 5, 1), "tried, failed, exit code")


@scenario
def logins_and_caches_of_an_edge_are_told_apart(world):
    upstream = behind(world).port

    def answering(status, headers, body=""):
        return f"HTTP/1.1 {status}\r\n{headers}content-length: {len(body)}\r\n\r\n{body}"

    login = "https://team.cloudflareaccess.com/cdn-cgi/access/login/app"
    cases = {
        "cloudflare_access": answering("302 Found", f"server: cloudflare\r\nlocation: {login}\r\n"),
        "login": answering("302 Found", "location: https://id.example.com/authorize\r\n"),
        "challenge": answering("403 Forbidden", "server: cloudflare\r\ncf-mitigated: challenge\r\n"),
        "no_origin": answering("530 ", "server: cloudflare\r\n", "error code: 1033"),
        "not_found": answering("404 Not Found", ""),
    }
    for kind, answer in cases.items():
        tunnel = world.keep(Tunnel(upstream, answer=lambda _, answer=answer: answer))
        url = f"http://127.0.0.1:{tunnel.port}"
        report, code = verify(world, url, "--only", "traceparent,http/1.1")
        expect([one["kind"] for one in report["obstacles"]], [kind], "obstacle")
        expect((report["result"], code), ("no_account", 1), "result and exit code")
