"""`muster top` on a terminal: an emulator shows what a person would see."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios

import pyte
import pytest

from conftest import BIN, PATIENCE, until
from daemons import Daemon, add_jobs

LEAVES = b"\x1b[?7h\x1b[?25h\x1b[?1049l"


class Person:
    """Someone at a terminal on which `muster top` runs."""

    def __init__(self, daemon, columns=100, lines=30):
        self.screen = pyte.Screen(columns, lines)
        self.stream = pyte.ByteStream(self.screen)
        self.bytes = b""
        self.end, self.inner = pty.openpty()
        self.resize(columns, lines)
        self.before = termios.tcgetattr(self.inner)
        self.process = subprocess.Popen([BIN / "muster", "top"], stdin=self.inner, stdout=self.inner,
                                        stderr=self.inner, cwd=daemon.folder,
                                        env={**daemon.environment, "TERM": "xterm"}, start_new_session=True)

    def resize(self, columns, lines):
        fcntl.ioctl(self.end, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.screen.resize(lines, columns)

    def look(self):
        while select.select([self.end], [], [], 0.05)[0]:
            got = os.read(self.end, 65536)
            self.bytes += got
            self.stream.feed(got)
        return [line.rstrip() for line in self.screen.display]

    def sees(self, *texts, without="\0"):
        def check():
            lines = self.look()
            text = "\n".join(lines)
            return all(one in text for one in texts) and without not in text and lines
        try:
            return until(check, 15)
        except AssertionError:
            raise AssertionError(f"{texts} without {without!r}:\n" + "\n".join(self.look())) from None

    def chosen(self):
        return next((line for line in self.look() if line.startswith("› ")), "")

    def types(self, keys):
        os.write(self.end, keys.encode())

    def has_left(self, code):
        assert self.process.wait(5 * PATIENCE) == code
        self.look()
        assert self.bytes.rstrip().endswith(LEAVES)
        assert termios.tcgetattr(self.inner) == self.before

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(5 * PATIENCE)
        os.close(self.end)
        os.close(self.inner)


@pytest.fixture
def daemon(processes, ci, tmp_path):
    made = Daemon(processes, tmp_path / "d", ci, most=1, idle=1).start()
    until(lambda: "ready" in made.said(), what="the daemon")
    add_jobs(ci, 3, takes=300)
    until(lambda: any(job["ran"] for job in ci.truth.jobs.values()), 40, "a running job")
    yield made
    made.stop(signal.SIGKILL)


@pytest.fixture
def sit(daemon):
    people = []

    def begin(*size):
        people.append(Person(daemon, *size))
        return people[-1]
    yield begin
    for person in people:
        person.close()


def test_keys_choose_and_explain(sit):
    person = sit()
    lines = person.sees("open jobs 3, waiting 2", "WAIT p50 / p95", "1 of 3", "launch ")
    assert lines[0].startswith("muster t ·") and lines[2].startswith("POOL") and lines[-1].startswith("q quit")
    assert "j00000" in person.chosen()
    person.types("\x1b[B\x1b[B")
    until(lambda: "j00002" in person.chosen(), what="the third job")
    person.types("k\r")
    person.sees("esc back", "waiting for room", "test/j00001", without="POOL")
    person.types("\x1b")
    person.sees("POOL", "2 of 3")
    person.types("\t")
    person.sees("INSTANCE", "busy", "tab jobs", "1 of 1")
    person.types("\r")
    person.sees("esc back", "running on", "test/j00000", without="POOL")
    person.types("q")
    person.has_left(0)


def test_it_holds_on_and_goes_on(sit, daemon):
    person = sit()
    person.sees("1 of 3")
    person.types(" ")
    person.sees("muster t · held", "space go on")
    daemon.muster("pool", "pause", "plain", "--reason", "画像の再構築")
    frames = person.bytes.count(b"\x1b[H")
    until(lambda: person.look() and person.bytes.count(b"\x1b[H") >= frames + 3, what="three more frames")
    assert "画像" not in "".join(person.look())
    person.types(" ")
    lines = person.sees("paused", "画", without="held")
    assert lines[0].startswith("muster t ·")


@pytest.mark.parametrize("columns, rows", [(40, 10), (60, 12), (20, 5), (20, 3), (10, 2), (3, 1), (200, 60)])
def test_the_list_is_there_however_small_the_terminal(sit, columns, rows):
    person = sit(columns, rows)
    if rows < 3:
        until(lambda: any(person.look()), what="anything")
    else:
        person.sees("› test/j00000" if columns > 16 else "›")
        person.types("\x1b[B")
        until(lambda: "j00001" in person.chosen(), what="the second job")
    if rows >= 10:
        assert person.look()[-1].startswith("q quit")
    person.types("\rj\x1bq")
    person.has_left(0)


def test_it_heeds_the_size_and_signals(sit):
    person = sit(60, 14)
    person.sees("1 of 3", without="STOPPED")
    person.resize(200, 40)
    person.process.send_signal(signal.SIGWINCH)
    person.sees("LABELS", "STOPPED")
    person.process.send_signal(signal.SIGQUIT)
    person.has_left(130)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        person = sit()
        person.sees("1 of 3")
        person.process.send_signal(number)
        person.has_left(130)


def test_it_outlives_the_daemon(sit, daemon):
    person = sit()
    person.sees("1 of 3")
    daemon.stop(signal.SIGKILL)
    person.sees("! as it was before", "no muster daemon answers", "j00000")
    daemon.start()
    person.sees("open jobs 3", without="as it was before")
    person.types("q")
    person.has_left(0)
