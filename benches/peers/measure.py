"""Processes on one core that take turns under load from another, and what a request cost each of
them: shared by the comparisons.

Single readings of seconds waver by a quarter on a machine with neighbours, also those of one and the
same program. So the processes take turns of a fifth of a second, and a twin of the one that others
are held against shows what is left of the noise.
"""

import contextlib
import math
import os
import pathlib
import random
import re
import signal
import statistics
import subprocess
import sys
import time

import cases
import programs
from harness import listens

CONNECTIONS = 64
TURN_SECONDS = 0.2
# What beginning and ending a turn may take beside: the load generators' own clocks go on meanwhile.
SLACK_SECONDS = 0.01
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


class Load:
    """A load generator that runs when it is its turn."""

    def __init__(self, name, port, seconds):
        [taskset, wrk] = programs.debian("taskset", "wrk")
        fields = (word for field in cases.FIELDS.get(name, ()) for word in ("-H", field))
        self.process = subprocess.Popen(
            [taskset, "-c", OTHER_CORE, wrk, "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s",
             "--timeout", "60s", *fields, f"http://127.0.0.1:{port}/orders/7"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self.process.send_signal(signal.SIGSTOP)

    def turn(self):
        """Load for as long as a turn is."""
        self.process.send_signal(signal.SIGCONT)
        time.sleep(TURN_SECONDS)
        self.process.send_signal(signal.SIGSTOP)

    def end(self):
        """How many requests were answered; its time is over already."""
        self.process.send_signal(signal.SIGCONT)
        report, _ = self.process.communicate(timeout=60)
        if self.process.returncode != 0 or "Non-2xx" in report or "Socket errors" in report:
            sys.exit(f"requests failed:\n{report}")
        return int(re.search(r"(\d+) requests in", report)[1])


def take_turns(running, doors, turns, during=lambda _name, _turn: contextlib.nullcontext()):
    """One reading of each process. They take turns under load, in a new order each time, so that
    what else a machine does meets them alike. What `during` gives is entered for each turn."""
    names = list(doors)
    lasts = len(names) * turns * (TURN_SECONDS + SLACK_SECONDS)
    over = time.monotonic() + lasts
    before = {name: running[name].cpu_seconds() for name in names}
    loads = {name: Load(name, doors[name], math.ceil(lasts)) for name in names}
    for turn in range(turns):
        for name in random.sample(names, len(names)):
            with during(name, turn):
                loads[name].turn()
    time.sleep(max(over - time.monotonic(), 0) + 1.0)
    requests = {name: load.end() for name, load in loads.items()}
    # What still has to be exported belongs to the requests that it tells of.
    time.sleep(1.0)
    return {
        name: {
            "cpu_us": (running[name].cpu_seconds() - before[name]) / requests[name] * 1e6,
            "requests": requests[name],
            "rate": requests[name] / (turns * TURN_SECONDS),
            "memory_mb": running[name].memory_mb(),
        }
        for name in names
    }


def beside(readings, case, peers):
    """What a case cost beside its peer, round by round. Where the peer has a twin, beside the mean
    of the two."""
    every = zip(readings[case], *(readings[peer] for peer in peers))
    return [
        ours["cpu_us"] / statistics.mean(theirs["cpu_us"] for theirs in others)
        for ours, *others in every
    ]
