"""Open-loop load: requests leave at a constant rate, whatever becomes of those before them.

And an origin that is slow on purpose: fixed places, fixed service time, a queue in front, as a
service with a pool of workers has it. Both on asyncio's bare streams, each in a process of its own,
so that two cores can offer ten times the origin's capacity.
"""

import asyncio
import collections
import json
import subprocess
import sys
import time

# When a client leaves, in seconds.
PATIENCE = 2.0


class SlowOrigin:
    """Serves `places` requests at a time, `service` seconds each. What comes meanwhile waits."""

    def __init__(self, port, places, service):
        self.url = f"http://127.0.0.1:{port}"
        self.capacity = places / service
        self._process = _start("serve", port, places, service, stdout=subprocess.DEVNULL)

    def stop(self):
        self._process.terminate()
        self._process.wait()


class Offered:
    """A load that runs."""

    def __init__(self, port, rate, seconds):
        self._process = _start("offer", port, rate, seconds, stdout=subprocess.PIPE)

    def outcome(self):
        """Waits for its end."""
        text, _ = self._process.communicate()
        return Outcome(json.loads(text))


def _start(*arguments, stdout):
    command = [sys.executable, __file__, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stdout)


async def _serve(port, places, service):
    workers = asyncio.Semaphore(places)

    async def connection(reader, writer):
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                # The work is done whether or not anybody still waits for it.
                async with workers:
                    await asyncio.sleep(service)
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(connection, "127.0.0.1", port, backlog=4096)
    async with server:
        await server.serve_forever()


class Outcome:
    """When each request left, how long it took, its status (0 for none in time), and whether it was
    told when to try again."""

    def __init__(self, answers):
        self.answers = answers

    def between(self, start, end):
        return Outcome([one for one in self.answers if start <= one[0] < end])

    def statuses(self):
        return collections.Counter(status for _, _, status, _ in self.answers)

    def waits(self, status):
        return sorted(took for _, took, seen, _ in self.answers if seen == status)


async def _offer(port, rate, seconds):
    idle, answers, running = [], [], set()
    began = time.monotonic()

    async def ask(left):
        status, told = 0, False
        try:
            async with asyncio.timeout(PATIENCE):
                if idle:
                    reader, writer = idle.pop()
                else:
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
                try:
                    writer.write(b"GET / HTTP/1.1\r\nhost: app.example.com\r\n\r\n")
                    head = await reader.readuntil(b"\r\n\r\n")
                    length = head.lower().split(b"content-length:")[1].split(b"\r\n")[0]
                    await reader.readexactly(int(length))
                except BaseException:
                    # A connection with half an answer is of no use to anybody.
                    writer.close()
                    raise
                status, told = int(head[9:12]), b"\r\nretry-after: " in head
                idle.append((reader, writer))
        except (OSError, TimeoutError, asyncio.IncompleteReadError, IndexError):
            pass
        answers.append((left, time.monotonic() - began - left, status, told))

    count = 0
    while (now := time.monotonic() - began) < seconds:
        while count <= now * rate:
            task = asyncio.create_task(ask(count / rate))
            running.add(task)
            task.add_done_callback(running.discard)
            count += 1
        await asyncio.sleep(0.002)
    await asyncio.gather(*running)
    return answers


if __name__ == "__main__":
    what, port, *numbers = sys.argv[1:]
    if what == "serve":
        asyncio.run(_serve(int(port), int(numbers[0]), float(numbers[1])))
    else:
        answers = asyncio.run(_offer(int(port), *map(float, numbers)))
        json.dump(answers, sys.stdout)
