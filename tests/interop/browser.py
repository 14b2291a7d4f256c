"""Chromium, as people use it: one program for all scenarios of a run, cookies of their own for each
person.
"""

import atexit
import json
import pathlib
import subprocess

import programs

HERE = pathlib.Path(__file__).resolve().parent

# Names that are looked up nowhere: each is this machine.
HOSTS = "MAP *.example.com 127.0.0.1, MAP example.com 127.0.0.1, MAP *.example.org 127.0.0.1"

_running = None


class Chromium:
    """The program."""

    def __init__(self):
        node, modules = programs.node()
        [chromium] = programs.debian("chromium")
        self._process = subprocess.Popen(
            [node, HERE / "browser.mjs", modules, chromium, HOSTS],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.version = self._answer()["version"]
        self._people = 0

    def ask(self, **what):
        """One action, and what came of it."""
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self):
        line = self._process.stdout.readline()
        assert line, "Chromium is gone"
        answer = json.loads(line)
        assert "error" not in answer, answer["error"]
        return answer

    def person(self):
        """Somebody without cookies."""
        self._people += 1
        return Person(self, f"person-{self._people}")

    def stop(self):
        self._process.stdin.close()
        self._process.wait(20)


def chromium():
    """The one that runs, started if there is none yet."""
    global _running
    if _running is None:
        _running = Chromium()
        atexit.register(_running.stop)
    return _running


class Person:
    """Whoever sits before it."""

    def __init__(self, program, name):
        self._program, self._name = program, name

    def tab(self, name="first"):
        """A tab of theirs."""
        return Tab(self._program, self._name, name)

    def cookies(self):
        """All cookies, by name."""
        cookies = self._program.ask(do="cookies", who=self._name)["cookies"]
        return {cookie["name"]: cookie for cookie in cookies}

    def forget(self, pattern):
        """Loses the cookies whose names match."""
        self._program.ask(do="forget", who=self._name, pattern=pattern)

    def leave(self):
        """Closes everything of theirs."""
        self._program.ask(do="leave", who=self._name)


class Tab:
    """A tab, and the document in it."""

    def __init__(self, program, who, name):
        self._program, self._who, self._name = program, who, name
        self.url, self.status, self.title, self.text, self.hops = "", 0, "", "", []

    def open(self, url):
        return self._shown(self._ask(do="open", url=url))

    def click(self, selector):
        """Clicks what leads to another document, and waits for that."""
        return self._shown(self._ask(do="click", selector=selector))

    def press(self, text):
        """The same for a button or link with this text in it."""
        return self.click(f'button:has-text("{text}"), a:has-text("{text}")')

    def fill(self, selector, text):
        self._ask(do="fill", selector=selector, text=text)

    def run(self, script):
        """What a script of the document gives."""
        return self._ask(do="run", script=script)["value"]

    def look(self):
        """The document as it is now."""
        return self._shown(self._ask(do="state"))

    def picture(self, file, width, dark=False):
        """A picture; what is wrong with the layout."""
        return self._ask(do="shot", file=str(file), width=width, dark=dark)["value"]

    def log_in(self, name):
        """At the provider of `edgespan demo`: chooses who to be, a second factor included."""
        self.press(name)
        if "One more step" in self.title:
            self.press("Confirm")
        return self

    def _ask(self, **what):
        return self._program.ask(who=self._who, tab=self._name, **what)

    def _shown(self, document):
        for name in ("url", "status", "title", "text", "hops"):
            setattr(self, name, document[name])
        return self
