"""curl with bodies of gigabytes: they pass, and edgespan's memory stays flat.

Two gigabytes each way, so that the suite stays short; EDGESPAN_BULK_GB=10 sets another size.
"""

import os
import pathlib
import re
import socket
import subprocess
import threading

import programs
from harness import expect, free_port, scenario

BODY_GB = int(os.environ.get("EDGESPAN_BULK_GB") or 2)
BODY_BYTES = BODY_GB * 1_000_000_000
# What edgespan may take on beside what it had before. A body that is kept would be 2,000.
GROWTH_MB_MAX = 32
PIECE = bytes(1 << 20)


class BulkOrigin:
    """Answers a GET with zeros, and counts the bytes of a PUT. As little Python as can be."""

    def __init__(self, port):
        self.url = f"http://127.0.0.1:{port}"
        self.received = 0
        self._door = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self):
        """Closes the door."""
        self._door.close()

    def _accept(self):
        while True:
            try:
                stream, _ = self._door.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=[stream], daemon=True).start()

    def _serve(self, stream):
        with stream:
            head = b""
            while b"\r\n\r\n" not in head:
                head += stream.recv(65536)
            head, _, body = head.partition(b"\r\n\r\n")
            if head.startswith(b"GET /bulk"):
                stream.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % BODY_BYTES)
                for _ in range(BODY_BYTES // len(PIECE)):
                    stream.sendall(PIECE)
                stream.sendall(PIECE[: BODY_BYTES % len(PIECE)])
                return
            told = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
            left = (int(told[1]) if told else 0) - len(body)
            self.received += len(body)
            buffer = bytearray(1 << 20)
            while left > 0 and (read := stream.recv_into(buffer)):
                left -= read
                self.received += read
            stream.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")


def peak_mb(edge):
    """The most memory that edgespan had so far."""
    status = pathlib.Path(f"/proc/{edge.process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1000


@scenario
def gigabytes_each_way_leave_memory_flat(world):
    origin = world.keep(BulkOrigin(free_port()))
    edge = world.edgespan(world.gateway(endpoint=origin.url))
    [curl] = programs.debian("curl")
    common = [curl, "--silent", "--show-error", "--fail", "--max-time", "600", "--noproxy", "*"]
    subprocess.run([*common, f"{edge.url}/"], check=True, capture_output=True)
    before = peak_mb(edge)

    got = subprocess.run(
        [*common, "--output", "/dev/null", "--write-out", "%{size_download}", f"{edge.url}/bulk"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    after_download = peak_mb(edge)
    # A file that is one hole: as long as wanted, and no disk is needed.
    zeros = world.folder / "zeros"
    with zeros.open("wb") as file:
        file.truncate(BODY_BYTES)
    sent = subprocess.run(
        [*common, "--header", "expect:", "--write-out", "%{size_upload}", "--output", "/dev/null",
         "--upload-file", zeros, f"{edge.url}/up"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    after_upload = peak_mb(edge)

    expect(int(got.stdout), BODY_BYTES, "bytes downloaded")
    expect((int(sent.stdout), origin.received), (BODY_BYTES, BODY_BYTES), "bytes uploaded")
    figures = (
        f"at most {before:.0f} MB before, {after_download:.0f} after {BODY_GB} GB down, "
        f"{after_upload:.0f} after {BODY_GB} GB up"
    )
    print(f"        {figures}")
    assert after_upload - before < GROWTH_MB_MAX, figures
