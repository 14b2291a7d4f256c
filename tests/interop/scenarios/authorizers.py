"""edgespan asks authorizers that were written without it: nginx, as one and before one, and Python's
own server, with a CGI program and with files.
"""

import sys

import programs
from behind import Authorizer, cookies, said_of
from harness import curl, expect, free_port, listens, scenario

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"

# Three doors: one hands the question on, one has it asked by `auth_request` and answers itself, one
# knows the password. Connections are closed after every second question.
NGINX = """
worker_processes 1;
events {{}}
http {{
    access_log off;
    keepalive_requests 2;
    large_client_header_buffers 4 64k;
    server {{
        listen 127.0.0.1:{port};
        location = /hands-on {{ proxy_pass http://127.0.0.1:{authorizer}/verify; }}
        location = /inner {{ internal; proxy_pass http://127.0.0.1:{authorizer}/verify; }}
        location = /asks {{
            auth_request /inner;
            auth_request_set $user $upstream_http_x_auth_user;
            add_header X-Auth-User $user;
            try_files /none =204;
        }}
        location = /knows {{
            auth_basic "app";
            auth_basic_user_file {folder}/passwords;
            add_header X-Auth-User $remote_user;
            try_files /none =204;
        }}
    }}
}}
"""

CGI = """#!/bin/sh
case "$HTTP_COOKIE" in *session=alice*) echo "X-Auth-User: alice";; esac
echo "Content-Type: text/plain"
echo
echo "asked by $REQUEST_METHOD $PATH_INFO"
"""


def nginx(world, authorizer):
    """Its port."""
    port = free_port()
    file = world.folder / "nginx.conf"
    file.write_text(NGINX.format(folder=world.folder, port=port, authorizer=authorizer))
    [openssl] = programs.debian("openssl")
    word = programs.run(openssl, "passwd", "-apr1", "open sesame").strip()
    (world.folder / "passwords").write_text(f"ada:{word}\n")
    # Its worker is a user of its own, who has to read that.
    world.folder.chmod(0o755)
    [program] = programs.debian("nginx")
    pid = f"daemon off; pid {world.folder}/nginx.pid;"
    command = [program, "-p", world.folder, "-e", "stderr", "-c", file, "-g", pid]
    world.program("nginx", command).ready(lambda: listens(port))
    return port


def pythons_server(world):
    """The port of `python -m http.server --cgi`: a program that answers 200, and a file."""
    folder, port = world.folder / "site", free_port()
    (folder / "cgi-bin").mkdir(parents=True)
    script = folder / "cgi-bin/verify"
    script.write_text(CGI)
    script.chmod(0o755)
    (folder / "granted").write_text("come in\n")
    # It gives up its rights before it starts a CGI program.
    world.folder.chmod(0o755)
    command = [sys.executable, "-m", "http.server", port, "--bind", "127.0.0.1", "--cgi",
               "--directory", folder]  # fmt: skip
    world.program("python", command).ready(lambda: listens(port))
    return port


def asking(world, **urls):
    """An edgespan with a route `/NAME` for each authorizer."""
    config = world.gateway()
    config["auth"] = {
        name: {"forward": {
            "url": url, "timeout": "10s", "identity_headers": ["x-auth-user"],
            "identity": {"subject": "x-auth-user"}, "answer_headers": ["set-cookie"],
        }} for name, url in urls.items()
    }  # fmt: skip
    config["routes"] = [
        {"name": name, "match": {"prefix": f"/{name}"}, "upstream": "content", "auth": name}
        for name in urls
    ]
    return world.edgespan(config)


def user(world):
    """Who asks, as the origin was told of the last request."""
    seen = world.origin.requests[-1]
    return said_of((seen["method"], seen["path"], seen["headers"]), "x-auth-user")


@scenario
def nginx_before_an_authorizer_and_as_one(world):
    port = free_port()
    authorizer = world.keep(Authorizer(port))
    door = f"http://127.0.0.1:{nginx(world, port)}"
    edge = asking(world, on=f"{door}/hands-on", asks=f"{door}/asks", knows=f"{door}/knows")
    spoofed = ["-H", "x-auth-user: root", "-H", "X_Auth_User: root"]

    def ask(path, *more):
        return curl(world, *spoofed, *more, edge.url + path)

    alice, mallory = ["-H", "cookie: session=alice"], ["-H", "cookie: session=mallory"]
    padded = ["-H", f"cookie: session=alice; padding={'x' * 30_000}"]
    password = ["--user", "ada:open sesame"]
    for path, right, name in [("/on", alice, "alice"), ("/on", padded, "alice"),
                              ("/asks", alice, "alice"), ("/knows", password, "ada")]:  # fmt: skip
        # nginx closes connections in between, which is no failure of anybody's.
        for _ in range(5):
            expect(ask(path, *right).status, 200, f"status of {path}")
            expect(user(world), [name], f"user by {path}")
    passed = len(world.origin.requests)
    for path, wrong, status in [
        ("/on", [], 401), ("/on", mallory, 403), ("/asks", [], 401), ("/asks", mallory, 403),
        ("/knows", [], 401), ("/knows", ["--user", "ada:wrong"], 401),
    ]:  # fmt: skip
        expect(ask(path, *wrong).status, status, f"status of {path} with {wrong}")
    expect(ask("/on").header("www-authenticate"), 'Bearer realm="app"', "challenge")
    expect(ask("/knows").header("www-authenticate"), 'Basic realm="app"', "challenge")
    page = ask("/on", "-H", "accept: text/html")
    expect((page.status, page.header("location")), (302, "/login?to=here"), "login")
    expect(cookies(page), ["nonce", "state"], "cookies of the login")
    expect(len(world.origin.requests), passed, "what the origin got of those refused")
    renewed = ask("/on", "-H", "cookie: session=old")
    expect((renewed.status, cookies(renewed)), (200, ["csrf", "session"]), "renewed")

    seen = authorizer.seen[0]
    expect(said_of(seen, "x-original-method"), ["GET"], "method told")
    expect(said_of(seen, "x-original-url"), [f"{edge.url}/on"], "URL told")
    expect(said_of(seen, "x-auth-user"), [], "what a client says of itself")


@scenario
def the_trace_goes_through_nginx_to_the_authorizer(world):
    port = free_port()
    authorizer = world.keep(Authorizer(port))
    edge = asking(world, on=f"http://127.0.0.1:{nginx(world, port)}/hands-on")

    answer = curl(
        world, "-H", f"traceparent: 00-{TRACE}-{CALLER}-01", "-H", "tracestate: vendor=one",
        "-H", "baggage: tenant=7;p , k=v", "-H", "cookie: session=alice", f"{edge.url}/on",
    )  # fmt: skip

    expect(answer.status, 200, "status")
    decision, call = world.asked(TRACE, CALLER, "on", 202)
    [seen] = authorizer.seen
    told = f"00-{TRACE}-{call.span_id}-01"
    expect(said_of(seen, "traceparent"), [told], "context of the call")
    expect(said_of(seen, "tracestate"), ["vendor=one"], "tracestate of the call")
    expect(said_of(seen, "baggage"), ["tenant=7;p , k=v"], "baggage of the call")
    expect(decision.attributes["edgespan.auth.decision"], "allow", "decision")


@scenario
def pythons_own_server_decides_by_cgi_and_by_files(world):
    server = f"http://127.0.0.1:{pythons_server(world)}"
    edge = asking(
        world, cgi=f"{server}/cgi-bin/verify", file=f"{server}/granted", none=f"{server}/denied"
    )
    spoofed = ["-H", "x-auth-user: root", "-H", "X_Auth_User: root"]

    for cookie, told in [("session=alice", ["alice"]), ("session=bob", [])]:
        answer = curl(world, *spoofed, "-H", f"cookie: {cookie}", f"{edge.url}/cgi?a=b")
        expect(answer.status, 200, f"status of {cookie}")
        expect(user(world), told, f"user of {cookie}")
        expect(world.origin.requests[-1]["path"], "/cgi?a=b", "path")
    # What a body's sender asks is asked without the body.
    posted = curl(world, "--data-binary", "x" * 100_000, f"{edge.url}/file")
    expect((posted.status, world.origin.requests[-1]["bytes"]), (200, 100_000), "with a body")
    refused = curl(world, f"{edge.url}/none")
    expect(refused.status, 404, "status of a file that is not there")
    assert b"File not found" in refused.body, refused.body
    expect(len(world.origin.requests), 3, "what the origin got")
