"""One process on one core, load from another, and what a request cost: shared by the comparisons."""

import os
import pathlib
import re
import subprocess
import sys
import time

import cases
import programs
from harness import listens

CONNECTIONS = 64
WARM_UP_SECONDS = 1
PROXY_CORE, OTHER_CORE = "0", "1"


class Process:
    """A program on one core, its output in a file."""

    def __init__(self, name, folder, core, command, environment):
        [taskset] = programs.debian("taskset")
        self.name = name
        self.log = folder / f"{name.replace(' ', '-')}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [taskset, "-c", core, *map(str, command)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                env=cases.environment(environment),
            )  # fmt: skip

    def ready(self, port):
        """Waits until it accepts connections."""
        for _ in range(1000):
            if self.process.poll() is not None:
                sys.exit(f"{self.name} ended:\n{self.log.read_text()}")
            if listens(port):
                return self
            time.sleep(0.02)
        sys.exit(f"{self.name} does not listen:\n{self.log.read_text()}")

    def stop(self):
        """SIGTERM, and the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def cpu_seconds(self):
        """User and system time so far, of all threads. None of the peers forks."""
        stat = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text()
        fields = stat.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_mb(self):
        """Resident memory now."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) / 1024


def load(port, seconds, fields=()):
    """Runs the load generator; requests answered and how many of them a second."""
    [taskset, wrk] = programs.debian("taskset", "wrk")
    done = subprocess.run(
        [taskset, "-c", OTHER_CORE, wrk, "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s",
         *(word for field in fields for word in ("-H", field)), f"http://127.0.0.1:{port}/orders/7"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        timeout=seconds + 60,
    )  # fmt: skip
    report = done.stdout + done.stderr
    if done.returncode != 0 or "Non-2xx" in report or "Socket errors" in report:
        sys.exit(f"requests failed:\n{report}")
    requests = int(re.search(r"(\d+) requests in", report)[1])
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", report)[1])
    return requests, rate


def measure(process, port, seconds):
    """One reading of one case."""
    fields = cases.FIELDS.get(process.name, ())
    load(port, WARM_UP_SECONDS, fields)
    time.sleep(0.3)
    before = process.cpu_seconds()
    requests, rate = load(port, seconds, fields)
    # What still has to be exported belongs to the requests that it tells of.
    time.sleep(0.3)
    spent = process.cpu_seconds() - before
    return {
        "cpu_us": spent / requests * 1e6,
        "requests": requests,
        "rate": rate,
        "memory_mb": process.memory_mb(),
    }
