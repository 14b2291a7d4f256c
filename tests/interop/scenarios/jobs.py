"""Jobs: a real terminal, a real shell, nohup and timeout around `edgespan exec`."""

import os
import pty
import select
import signal
import subprocess
import time

from harness import clean_environment, expect, scenario

PATIENCE = 20


@scenario
def ctrl_c_at_a_terminal_reaches_the_command_once(world):
    job = Terminal(world, "trap 'echo caught; kill $!' INT; echo ready; sleep 30 & wait; wait; exit 5")
    job.reads("ready")

    job.types(b"\x03")
    job.reads("caught")
    job.hits_nothing_more("caught")
    expect(job.code(), 5, "exit code")
    [span] = world.receiver.wait(lambda span: True)
    expect(span.attributes["process.exit.code"], 5, "exit code of the span")
    expect(span.attributes["trigger"], "manual", "trigger")


@scenario
def ctrl_z_stops_the_job_and_a_shell_continues_it(world):
    program = f"{world.edgespan_program} exec -- sh -c 'echo ready; sleep 1; echo on; exit 6'"
    shell = Terminal(world, f"set -m; {program}; echo stopped=$?; fg >/dev/null; echo code=$?", bare=True)
    shell.reads("ready")

    shell.types(b"\x1a")
    shell.reads("stopped=148")
    shell.reads("on")
    shell.reads("code=6")
    world.receiver.wait(lambda span: True)


@scenario
def nohup_holds_for_the_command_too(world):
    environment = collected(world)
    job = subprocess.Popen(
        ["nohup", world.edgespan_program, "exec", "--", "sh", "-c", "echo ready; sleep 1; echo on"],
        env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    expect(job.stdout.readline(), b"ready\n", "first line")

    job.send_signal(signal.SIGHUP)
    expect(job.stdout.read(), b"on\n", "the rest")
    expect(job.wait(PATIENCE), 0, "exit code")
    world.receiver.wait(lambda span: True)


@scenario
def timeout_ends_the_job_and_its_span_says_by_what(world):
    done = subprocess.run(
        ["timeout", "0.5", world.edgespan_program, "exec", "--job", "slow", "--", "sleep", "30"],
        env=collected(world), stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE,
    )  # fmt: skip

    expect((done.returncode, done.stdout, done.stderr), (124, b"", b""), "timeout's own answer")
    [span] = world.receiver.wait(lambda span: True)
    expect(span.attributes["edgespan.process.signal"], "SIGTERM", "signal")
    expect(span.name, "slow", "name")


@scenario
def a_request_of_the_job_stands_under_its_span(world):
    edge = world.edgespan()

    done = subprocess.run(
        [world.edgespan_program, "exec", "--", "curl", "-s", "-H", "traceparent: {traceparent}",
         f"{edge.url}/orders/7"],
        env=collected(world), stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE,
    )  # fmt: skip

    expect(done.returncode, 0, "exit code")
    spans = world.receiver.wait(lambda span: True, 3)
    [job] = [span for span in spans if "process.pid" in span.attributes]
    [server] = [span for span in spans if span.kind == "SERVER"]
    expect((server.trace_id, server.parent_span_id), (job.trace_id, job.span_id), "edge under the job")


def collected(world):
    """A clean environment whose spans go to the receiver."""
    return {
        **clean_environment(),
        "OTEL_EXPORTER_OTLP_ENDPOINT": world.receiver.http_endpoint,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
    }


class Terminal:
    """A program with a controlling terminal, as a person has it."""

    def __init__(self, world, script, bare=False):
        command = [world.edgespan_program, "exec", "--", "sh", "-c", script]
        command = ["bash", "--norc", "-c", script] if bare else command
        self.seen = ""
        self.child, self.master = pty.fork()
        if self.child == 0:
            os.execvpe(str(command[0]), [str(word) for word in command], collected(world))

    def types(self, keys):
        os.write(self.master, keys)

    def reads(self, text):
        """Waits until this has been written."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.seen:
            assert time.monotonic() < deadline, f"no {text!r} in {self.seen!r}"
            self._read()

    def hits_nothing_more(self, text):
        expect(self.seen.count(text), 1, f"times that {text!r} was written")

    def code(self):
        """Reads to the end, then says how it ended."""
        while self._read():
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.child, 0)[1])

    def _read(self):
        ready, _, _ = select.select([self.master], [], [], PATIENCE)
        if not ready:
            return False
        try:
            chunk = os.read(self.master, 4096)
        except OSError:
            return False
        self.seen += chunk.decode(errors="replace").replace("\r\n", "\n")
        return bool(chunk)
