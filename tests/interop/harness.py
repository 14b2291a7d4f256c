"""What every scenario uses: free ports, processes that are always stopped, edgespan itself."""

import contextlib
import dataclasses
import json
import os
import pathlib
import re
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

import yaml

import programs
from origin import Origin
from receiver import Receiver

SCENARIOS = []

# How long a program may take to start or to stop. A loaded machine is slow, never this slow.
PATIENCE = 30

# What a scenario expects where two things can happen, each of them right.
EITHER = object()

_handed_out = set()


def scenario(function):
    """Registers a scenario. Its name is the promise, its body shows it."""
    SCENARIOS.append(function)
    return function


def expect(actual, wanted, what):
    """An equality whose failure says what differs."""
    assert actual == wanted, f"{what}: {actual!r}, expected {wanted!r}"


def free_port():
    """A loopback port that nothing uses now, never the same twice in one run."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        if port not in _handed_out:
            _handed_out.add(port)
            return port


def until(condition, what, seconds=PATIENCE):
    """Waits for a condition; what it returns, once that is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        result = condition()
        if result:
            return result
        time.sleep(0.02)
    raise AssertionError(f"{what}: not within {seconds} s")


def listens(port):
    """Whether anything accepts connections there."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def get(url):
    """Status and body of a GET; status 0 if nothing answers."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


class Program:
    """A real program, its output in a file."""

    def __init__(self, name, folder, command, env=None):
        self.name = name
        self.log = folder / f"{name}-{free_port()}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=env,
            )

    def output(self):
        """Everything it has printed."""
        return self.log.read_text(errors="replace")

    def ready(self, condition):
        """Waits until it is up; says what it printed if it ended instead."""

        def up():
            code = self.process.poll()
            assert code is None, f"{self.name} ended with {code}:\n{self.output()[-3000:]}"
            return condition()

        until(up, f"{self.name} is up")
        return self

    def stop(self):
        """SIGTERM, and its exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"{self.name} does not stop:\n{self.output()[-3000:]}")


@dataclasses.dataclass
class Account:
    """What edgespan says at its end about its spans."""

    accepted: int
    exported: int
    rejected: int
    dropped: int
    pending: int

    @classmethod
    def read(cls, text):
        """The last account in a program's output."""
        found = re.findall(
            r"accepted (\d+) = exported (\d+).*?\+ rejected (\d+)"
            r".*?\+ dropped (\d+).*?\+ pending (\d+)",
            text,
        )
        assert found, f"no account of spans in:\n{text[-3000:]}"
        return cls(*map(int, found[-1]))


class Edgespan(Program):
    """The program under test."""

    def __init__(self, world, config, env=None, port=None):
        self.port = port or free_port()
        self.admin = f"http://127.0.0.1:{free_port()}"
        listener = config.setdefault("listeners", {}).setdefault("web", {})
        listener["address"] = f"127.0.0.1:{self.port}"
        scheme = "https" if "tls" in listener else "http"
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        address = self.admin.removeprefix("http://")
        config["admin"] = {**config.get("admin", {}), "address": address}
        file = world.folder / f"edgespan-{self.port}.yaml"
        file.write_text(yaml.safe_dump(config, sort_keys=False))
        command = [world.edgespan_program, "run", "--config", file, "--quiet"]
        super().__init__("edgespan", world.folder, command, {**clean_environment(), **(env or {})})
        self.ready(lambda: get(self.admin + "/ready")[0] == 200)

    def finish(self):
        """Stops it, and hands back the account. It has to end well."""
        expect(self.stop(), 0, "exit code of edgespan")
        return Account.read(self.output())

    def finish_with_everything_exported(self):
        """The account at the end, when nothing may have been lost."""
        account = self.finish()
        expect(account.exported, account.accepted, "exported spans")
        return account


def clean_environment():
    """The environment without what would configure edgespan behind the scenario's back."""
    ours = ("OTEL_", "EDGESPAN_", "TRACE_DEBUG", "NO_COLOR")
    return {name: text for name, text in os.environ.items() if not name.startswith(ours)}


class World:
    """One scenario's programs and folder; all of it is gone when the scenario ends."""

    def __init__(self, edgespan_program):
        self.edgespan_program = edgespan_program
        self._stack = contextlib.ExitStack()
        folder = tempfile.TemporaryDirectory(prefix="edgespan-interop-")
        self.folder = pathlib.Path(self._stack.enter_context(folder))
        self.receiver = self.keep(Receiver(free_port(), free_port()))
        self.origin = self.keep(Origin(free_port()))
        self.programs = []

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        return self._stack.__exit__(*failure)

    def keep(self, thing):
        """Makes sure that it is stopped at the end."""
        self._stack.callback(thing.stop)
        return thing

    def program(self, name, command, env=None):
        """Starts a real program."""
        started = self.keep(Program(name, self.folder, command, env or clean_environment()))
        self.programs.append(started)
        return started

    def edgespan(self, config=None, env=None, port=None, **changes):
        """Starts edgespan; by default one route to the origin, everything traced."""
        config = {**(config or self.gateway()), **changes}
        started = self.keep(Edgespan(self, config, env, port))
        self.programs.append(started)
        return started

    def gateway(self, endpoint=None, route=None, listener=None, otlp=None, upstream=None):
        """The configuration of a gateway before one upstream."""
        return {
            "service": {"name": "edge", "environment": "interop"},
            "listeners": {"web": {"mode": "gateway", **(listener or {})}},
            "upstreams": {
                "content": {
                    "service": "content",
                    "endpoints": [endpoint or self.origin.url],
                    **(upstream or {}),
                }
            },
            "routes": [
                {"name": "all", "match": {"prefix": "/"}, "upstream": "content", **(route or {})}
            ],
            "sampling": {"default": 1.0},
            "export": [
                {
                    "otlp": {
                        "endpoint": self.receiver.grpc_endpoint,
                        "protocol": "grpc",
                        "queue": {"delay": "50ms"},
                        **(otlp or {}),
                    }
                }
            ],
        }

    def authority(self):
        """An authority of this scenario's own, for whoever is to believe in certificates."""
        return Authority(self.folder)

    def edges(self, trace_id=None, seconds=10, left=None):
        """edgespan's SERVER and CLIENT span of one request, checked to be parent and child.

        `left` is whether the client left before it had its answer, or EITHER.
        """

        def ours(span):
            return span.service == "edge" and trace_id in (None, span.trace_id)

        spans = self.receiver.wait(ours, 2, seconds)
        expect(sorted(span.kind for span in spans), ["CLIENT", "SERVER"], "kinds")
        client, server = sorted(spans, key=lambda span: span.kind)
        expect(client.trace_id, server.trace_id, "trace of the CLIENT span")
        expect(client.parent_span_id, server.span_id, "parent of the CLIENT span")
        if left is not EITHER:
            expect(server.attributes.get("edgespan.client_disconnected"), left, "client left")
        assert server.start <= client.start <= client.end <= server.end, "CLIENT inside SERVER"
        return server, client

    def asked(self, trace_id, caller, policy, status):
        """The decision of a policy that asked somebody, and the CLIENT span of that question.

        Checked to be one inside the other, inside the SERVER span under the caller's.
        """
        spans = self.receiver.wait(lambda span: span.trace_id == trace_id, 4)
        [decision] = [span for span in spans if span.name == f"auth {policy}"]
        [call] = [span for span in spans if span.parent_span_id == decision.span_id]
        [server] = [span for span in spans if span.span_id == decision.parent_span_id]
        expect((server.kind, server.parent_span_id), ("SERVER", caller), "first span")
        answered = call.attributes["http.response.status_code"]
        expect((call.kind, answered), ("CLIENT", status), "the question")
        assert server.start <= decision.start <= call.start <= call.end <= decision.end
        assert decision.end <= server.end, "the decision inside the request"
        return decision, call


class Authority:
    """Issues certificates for this machine, as somebody's own authority would."""

    def __init__(self, folder):
        self._folder = folder
        self.certificate, self._key = self._request("authority", "-addext", "keyUsage=keyCertSign")

    def issue(self, name):
        """Paths of chain and key: for a server on loopback or under `name`, or for a client."""
        return self._request(
            name, "-CA", self.certificate, "-CAkey", self._key,
            "-addext", "basicConstraints=CA:FALSE",
            "-addext", f"subjectAltName=DNS:{name},IP:127.0.0.1",
            "-addext", "extendedKeyUsage=serverAuth,clientAuth",
        )  # fmt: skip

    def _request(self, name, *arguments):
        chain, key = self._folder / f"{name}.crt", self._folder / f"{name}.key"
        [openssl] = programs.debian("openssl")
        programs.run(
            openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-noenc", "-days", "2", "-subj", f"/CN={name}", "-keyout", key, "-out", chain,
            *arguments,
        )  # fmt: skip
        return str(chain), str(key)


def certificate(pair):
    """Chain and key as edgespan's configuration has them."""
    chain, key = pair
    return {"chain": chain, "key": key}


@dataclasses.dataclass
class Answer:
    """What curl got."""

    status: int
    version: str
    headers: list
    body: bytes
    uploaded: int
    verbose: str

    def header(self, name):
        """The value of a header or trailer; none if it did not come."""
        found = [text for key, text in self.headers if key == name]
        assert len(found) < 2, f"{name} came {len(found)} times"
        return found[0] if found else None


def curl(world, *arguments, code=0):
    """Runs curl to its end, which has to be `code`, or one of those."""
    [program] = programs.debian("curl")
    head, body = world.folder / "head", world.folder / "body"
    for file in (head, body):
        file.write_bytes(b"")
    done = subprocess.run(
        [program, "--silent", "--show-error", "--verbose", "--max-time", "20", "--noproxy", "*",
         "--dump-header", head, "--output", body, "--write-out", "%{json}", *arguments],
        stdin=subprocess.DEVNULL, capture_output=True, text=True,
    )  # fmt: skip
    right = code if isinstance(code, tuple) else (code,)
    what = f"exit code of curl {arguments}\n{done.stderr[-2000:]}\n"
    assert done.returncode in right, f"{what}: {done.returncode}, expected {right}"
    info = json.loads(done.stdout)
    # Only the last head counts: 100 Continue has one of its own.
    text = head.read_text()
    lines = text[text.rindex("HTTP/") :].splitlines()[1:] if "HTTP/" in text else []
    pairs = [line.split(":", 1) for line in lines if ":" in line]
    return Answer(
        status=info["http_code"],
        version=info["http_version"],
        headers=[(name.strip().lower(), value.strip()) for name, value in pairs],
        body=body.read_bytes(),
        uploaded=info["size_upload"],
        verbose=done.stderr,
    )
