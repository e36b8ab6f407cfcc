"""`muster top` on a terminal: an emulator shows what a person would see."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time

import pyte
import pytest

from conftest import BIN, until
from daemons import Daemon, add_jobs

COLUMNS, LINES = 100, 30


class Person:
    """Someone at a terminal on which `muster top` runs."""

    def __init__(self, daemon, columns=COLUMNS, lines=LINES):
        self.screen = pyte.Screen(columns, lines)
        self.stream = pyte.ByteStream(self.screen)
        self.bytes = b""
        self.end, inner = pty.openpty()
        self.resize(columns, lines)
        self.before = termios.tcgetattr(inner)
        self.inner = inner
        self.process = subprocess.Popen([BIN / "muster", "top"], stdin=inner, stdout=inner, stderr=inner,
                                        cwd=daemon.folder, env={**daemon.environment, "TERM": "xterm"},
                                        start_new_session=True)

    def resize(self, columns, lines):
        fcntl.ioctl(self.end, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.screen.resize(lines, columns)

    def look(self):
        while select.select([self.end], [], [], 0.05)[0]:
            got = os.read(self.end, 65536)
            self.bytes += got
            self.stream.feed(got)
        return [line.rstrip() for line in self.screen.display]

    def sees(self, *texts, what=""):
        return until(lambda: (lines := self.look()) and all(t in "\n".join(lines) for t in texts) and lines, 15,
                     f"{what or texts} on the screen")

    def types(self, keys):
        os.write(self.end, keys.encode())


@pytest.fixture
def daemon(processes, ci, tmp_path):
    made = Daemon(processes, tmp_path / "d", ci, most=1, idle=1).start()
    until(lambda: "ready" in made.said(), what="the daemon")
    add_jobs(ci, 3, takes=300)
    until(lambda: any(job["ran"] for job in ci.truth.jobs.values()), 40, "a running job")
    yield made
    made.stop(signal.SIGKILL)


def test_keys_choose_explain_and_leave_the_terminal_as_it_was(daemon):
    person = Person(daemon)
    lines = person.sees("3 jobs open, 2 waiting", "POOL", "WAIT p50 / p95", "j00000", "q quit")
    assert lines[-1].startswith("↑↓ choose")
    assert any(line.startswith("› ") and "j00000" in line for line in lines), lines
    assert any(" job " in line and "j00000" in line for line in lines[-10:]), "events"
    person.types("\x1b[B\x1b[B")
    until(lambda: any(line.startswith("› ") and "j00002" in line for line in person.look()), what="the third job")
    person.types("k\r")
    person.sees("max_instances", "  queue", "j00001", what="the explanation of the second")
    person.types("\x1b")
    person.sees("POOL")
    person.types("\t")
    person.sees("INSTANCE", "busy", "tab jobs")
    person.types("\r")
    person.sees("time line", what="the explanation of its job")
    person.types("q")
    assert person.process.wait(5) == 0
    person.look()
    assert person.bytes.rstrip().endswith(b"\x1b[?25h\x1b[?1049l")
    assert termios.tcgetattr(person.inner) == person.before


def test_it_holds_on_and_heeds_the_size(daemon):
    person = Person(daemon, 60, 14)
    lines = person.sees("POOL", "choose")
    assert all(len(line) <= 60 for line in lines) and "LABELS" not in "\n".join(lines)
    person.resize(200, 40)
    person.process.send_signal(signal.SIGWINCH)
    person.sees("LABELS", "STOPPED")
    person.types(" ")
    person.sees("held", "space go on")
    daemon.muster("pool", "pause", "plain", "--reason", "a look")
    time.sleep(1.5)
    assert "a look" not in "\n".join(person.look())
    person.types(" ")
    person.sees("a look")
    person.process.send_signal(signal.SIGINT)
    assert person.process.wait(5) == 130
    person.look()
    assert termios.tcgetattr(person.inner) == person.before


def test_it_outlives_the_daemon(daemon):
    person = Person(daemon)
    person.sees("3 jobs open")
    daemon.stop(signal.SIGKILL)
    person.sees("no muster daemon answers", "j00000")
    daemon.start()
    person.sees("3 jobs open", "POOL")
    person.types("q")
    assert person.process.wait(5) == 0
