"""What is compared: each peer's configuration for the same job, and how it is started.

The job: take a request on one port, send it to the origin on another, keep both connections. One
worker, no access log, nothing that the others do not do.
"""

import json
import os
import time

import envoy_config
import programs

# 50 bytes, as in every figure that this comparison has been made with.
BODY = "edgespan peer comparison: an answer of fifty byte."

NGINX = """
daemon off;
master_process off;
worker_processes 1;
pid {folder}/{name}.pid;
error_log stderr error;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/{name}-body;
    proxy_temp_path {folder}/{name}-proxy;
    fastcgi_temp_path {folder}/{name}-fastcgi;
    uwsgi_temp_path {folder}/{name}-uwsgi;
    scgi_temp_path {folder}/{name}-scgi;
    keepalive_requests 1000000000;
    client_max_body_size 64m;
{servers}
}}
"""

# The origin, an authorizer that lets everybody in, and the sink for spans: it reads an export, keeps
# its size and takes it. That is as little as anything can do, so that it takes nothing from the load
# generator beside it. Whose export it is, is the first word of its path.
ORIGIN = """
    server {{
        listen 127.0.0.1:{origin} backlog=1024;
        location / {{ default_type text/plain; return 200 "{body}"; }}
    }}
    server {{
        listen 127.0.0.1:{authorizer} backlog=1024;
        location /auth {{ add_header X-Auth-User ada; return 200 ""; }}
    }}
    log_format sink '$http_content_length $status $uri';
    server {{
        listen 127.0.0.1:{sink} backlog=1024;
        access_log {folder}/sink.log sink buffer=64k flush=1s;
        location / {{ default_type application/x-protobuf; return 200 ""; }}
    }}
"""

NGINX_PROXY = """
    upstream next {{ server 127.0.0.1:{origin}; keepalive 256; keepalive_requests 1000000000; }}
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location / {{
            proxy_pass http://next;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
    }}
"""

# One exchange with the authorizer for every request, as in nginx's own example, over connections
# that are kept.
NGINX_ASKING = """
    upstream next {{ server 127.0.0.1:{origin}; keepalive 256; keepalive_requests 1000000000; }}
    upstream authorizer {{
        server 127.0.0.1:{authorizer}; keepalive 256; keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location / {{
            auth_request /.auth;
            auth_request_set $auth_user $upstream_http_x_auth_user;
            proxy_pass http://next;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header X-Auth-User $auth_user;
        }}
        location = /.auth {{
            internal;
            proxy_pass http://authorizer/auth;
            proxy_http_version 1.1;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
            proxy_set_header Connection "";
            proxy_set_header X-Original-URL $scheme://$http_host$request_uri;
            proxy_set_header X-Original-Method $request_method;
        }}
    }}
"""

HAPROXY = """
global
    nbthread 1
    maxconn 4096
defaults
    mode http
    timeout connect 2s
    timeout client 30s
    timeout server 30s
    option http-keep-alive
    http-reuse always
frontend web
    bind 127.0.0.1:{port}
    default_backend next
backend next
    server next 127.0.0.1:{origin}
"""


class Ports:
    """Where everything is."""

    def __init__(self, free_port):
        self.free = free_port
        self.origin, self.authorizer, self.sink = free_port(), free_port(), free_port()


def origin(folder, ports):
    """Origin, authorizer and sink: one nginx."""
    servers = ORIGIN.format(
        origin=ports.origin, authorizer=ports.authorizer, sink=ports.sink, folder=folder, body=BODY
    )
    return nginx(folder, "origin", servers)


def haproxy(folder, ports, port):
    """HAProxy, proxying and nothing else."""
    [program] = programs.debian("haproxy")
    file = folder / "haproxy.cfg"
    file.write_text(HAPROXY.format(port=port, origin=ports.origin))
    return [program, "-db", "-f", file], {}


def nginx_plain(folder, ports, port):
    """nginx, proxying and nothing else."""
    servers = NGINX_PROXY.format(port=port, origin=ports.origin)
    return nginx(folder, "nginx", servers)


def nginx_asking(folder, ports, port):
    """nginx, asking an authorizer about every request (`auth_request`)."""
    servers = NGINX_ASKING.format(port=port, origin=ports.origin, authorizer=ports.authorizer)
    return nginx(folder, "nginx-asking", servers)


def nginx(folder, name, servers):
    """One nginx with these servers."""
    [program] = programs.debian("nginx")
    file = folder / f"{name}.conf"
    file.write_text(NGINX.format(folder=folder, name=name, servers=servers))
    return [program, "-e", "stderr", "-p", folder, "-c", file], {}


def envoy(folder, ports, port):
    """Envoy, proxying and nothing else."""
    return start_envoy(folder, "envoy", envoy_config.gateway("envoy", port, ports.origin))


def envoy_traced(folder, ports, port):
    """Envoy with SERVER and CLIENT span of every request, exports as it makes them by itself."""
    config = envoy_config.gateway("envoy", port, ports.origin, otlp_port=ports.sink)
    return start_envoy(folder, "envoy-traced", config)


def envoy_asking_traced(folder, ports, port):
    """The same, asking an authorizer about every request (`ext_authz` over HTTP)."""
    config = envoy_config.gateway(
        "envoy", port, ports.origin, otlp_port=ports.sink, authorizer_port=ports.authorizer
    )
    return start_envoy(folder, "envoy-asking-traced", config)


def start_envoy(folder, name, config):
    file = folder / f"{name}.json"
    file.write_text(json.dumps(config))
    command = [programs.envoy(), "--config-path", file, "--concurrency", "1"]
    return [*command, "--disable-hot-restart", "--log-level", "error"], {}


def edgespan(folder, ports, port):
    """edgespan with tracing disabled."""
    return start_edgespan(folder, "plain", ports, port, {"OTEL_SDK_DISABLED": "true"})


def edgespan_traced(folder, ports, port):
    """edgespan with SERVER and CLIENT span of every request."""
    return start_edgespan(folder, "traced", ports, port, {})


def edgespan_traced_again(folder, ports, port):
    """The same once more."""
    return start_edgespan(folder, "traced-again", ports, port, {})


def edgespan_asking_traced(folder, ports, port):
    """The same, asking an authorizer about every request, remembering nothing."""
    asking = {"forward": {
        "url": f"http://127.0.0.1:{ports.authorizer}/auth", "identity_headers": ["x-auth-user"],
    }}  # fmt: skip
    more = {"auth": {"authorizer": asking}, "default_auth": "authorizer"}
    return start_edgespan(folder, "asking-traced", ports, port, {}, more)


def edgespan_token_traced(folder, ports, port):
    """Traced, with one token that is verified again and again."""
    import jwt
    from cryptography.hazmat.primitives.asymmetric import ec
    from jwt.algorithms import ECAlgorithm

    key = ec.generate_private_key(ec.SECP256R1())
    jwk = {**ECAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": "k"}
    keys = folder / "keys.json"
    keys.write_text(json.dumps({"keys": [jwk]}))
    claims = {
        "iss": "joe", "aud": "orders", "sub": "ada", "exp": int(time.time()) + 86_400,
        "scope": "orders.read orders.write profile email", "groups": ["ops", "dev", "on-call"],
        "session": "x" * 350,
    }  # fmt: skip
    token = jwt.encode(claims, key, algorithm="ES256", headers={"kid": "k", "typ": "at+jwt"})
    FIELDS["edgespan token traced"] = [f"Authorization: Bearer {token}"]
    policy = {"jwt": {"issuer": "joe", "audiences": ["orders"], "jwks": {"file": str(keys)}}}
    more = {"auth": {"api": policy}, "default_auth": "api"}
    return start_edgespan(folder, "token-traced", ports, port, {}, more)


def start_edgespan(folder, name, ports, port, environment, more=None):
    config = {
        "service": {"name": "edgespan"},
        "admin": {"address": f"127.0.0.1:{ports.free()}"},
        **(more or {}),
        "access_log": False,
        "listeners": {"web": {"address": f"127.0.0.1:{port}", "mode": "gateway"}},
        "upstreams": {"next": {"endpoints": [f"http://127.0.0.1:{ports.origin}"]}},
        "routes": [{"name": "all", "match": {"prefix": "/"}, "upstream": "next"}],
        "sampling": {"default": 1.0},
        "export": [{"otlp": {
            "endpoint": f"http://127.0.0.1:{ports.sink}/edgespan-{name}/v1/traces",
            "protocol": "http/protobuf",
        }}],
    }  # fmt: skip
    # JSON is YAML, and needs no package.
    file = folder / f"edgespan-{name}.yaml"
    file.write_text(json.dumps(config, indent=2))
    command = [programs.edgespan(release=True), "run", "--config", file, "--quiet"]
    return command, environment


# In the order of the table.
CASES = {
    "haproxy": haproxy,
    "nginx": nginx_plain,
    "envoy": envoy,
    "envoy traced": envoy_traced,
    "edgespan": edgespan,
    "edgespan traced": edgespan_traced,
    "edgespan traced again": edgespan_traced_again,
    "nginx asking": nginx_asking,
    "envoy asking traced": envoy_asking_traced,
    "edgespan asking traced": edgespan_asking_traced,
    "edgespan token traced": edgespan_token_traced,
}

# What is measured by a second process, too, to tell noise from a difference.
TWINS = {"edgespan traced": "edgespan traced again"}

# What the requests of a case carry beside what all carry.
FIELDS = {}

# Whose account is checked at the end, how many spans a request has there, and where it exports to.
ACCOUNTS = {
    "edgespan traced": (2, "/edgespan-traced/"),
    "edgespan traced again": (2, "/edgespan-traced-again/"),
    "edgespan asking traced": (3, "/edgespan-asking-traced/"),
    "edgespan token traced": (3, "/edgespan-token-traced/"),
}


def environment(changes):
    """The environment without anything that would configure a proxy behind our back."""
    ours = ("OTEL_", "EDGESPAN_", "TRACE_DEBUG", "TOKIO_")
    kept = {name: text for name, text in os.environ.items() if not name.startswith(ours)}
    return {**kept, **changes}
