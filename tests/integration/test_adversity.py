"""What the daemon does when its surroundings fail it: nothing is lost, nothing runs twice, and it says so."""

import json
import os
import resource
import signal
import socket
import sqlite3
import subprocess
import time

import pytest

from conftest import PATIENCE, until
from daemons import Daemon, add_jobs, all_ended, judge, start_ci


@pytest.fixture
def daemon(shared_processes, ci, tmp_path):
    made = Daemon(shared_processes, tmp_path / "d", ci, idle=0, most=4)
    made.ci = ci
    made.simulator = shared_processes
    # Without descriptors the sanitizer cannot look whether memory is readable, and calls every object unsound.
    (tmp_path / "unsound").write_text("vptr:*\n")
    made.environment["UBSAN_OPTIONS"] = f"suppressions={tmp_path / 'unsound'}"
    made.configure((made.folder / "muster.yml").read_text().replace("cluster: t", f"cluster: t{os.getpid()}-{tmp_path.name}"))
    yield made
    made.stop(signal.SIGKILL)


def start(daemon, count=1):
    daemon.start()
    until(lambda: daemon.said().count("ready") == count, 20, "the daemon")


def status(daemon):
    return json.loads(daemon.muster("status", "--json").stdout)


@pytest.fixture
def small_disk(daemon):
    daemon.state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", daemon.state], check=True)
    yield daemon.state / "ballast"
    daemon.stop(signal.SIGKILL)
    subprocess.run(["umount", "-l", daemon.state], check=True)


def fill(ballast):
    with open(ballast, "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass


def test_a_full_disk_halts_it_and_it_goes_on_when_there_is_room(daemon, small_disk):
    start(daemon)
    add_jobs(daemon.ci, 2)
    until(lambda: all_ended(daemon.ci), 30, "the jobs before")
    fill(small_disk)
    add_jobs(daemon.ci, 6, prefix="f")
    until(lambda: "store_not_written" in daemon.said(), 20, "word of it")
    assert "disk is full" in status(daemon)["store_error"]
    assert "muster_store_failing 1" in daemon.muster("metrics").stdout
    done = daemon.muster("submit", "--label", "linux")
    assert done.returncode != 0 and done.stderr
    # What is not stored is not done: no further job begins.
    begun = sum(len(job["ran"]) for job in daemon.ci.truth.jobs.values())
    time.sleep(2)
    assert sum(len(job["ran"]) for job in daemon.ci.truth.jobs.values()) == begun < 8
    small_disk.unlink()
    until(lambda: all_ended(daemon.ci), 60, "the jobs after")
    judge(daemon.ci, daemon.simulator)
    assert "store_recovered" in daemon.said() and not status(daemon)["store_error"]


def test_a_full_disk_at_the_start_is_an_error_that_names_it(daemon, small_disk):
    fill(small_disk)
    done = subprocess.run(daemon.program, cwd=daemon.folder, env=daemon.environment, capture_output=True, text=True,
                          timeout=30 * PATIENCE)
    assert done.returncode in (4, 5) and "muster: " in done.stderr and "full" in done.stderr, done.stderr
    small_disk.unlink()
    start(daemon)


def test_a_locked_store_is_waited_for(daemon):
    start(daemon)
    other = sqlite3.connect(daemon.state / "muster.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    add_jobs(daemon.ci, 3)
    until(lambda: "store_not_written" in daemon.said(), 30, "word of it")
    assert "locked" in daemon.said()
    assert not any(job["ran"] for job in daemon.ci.truth.jobs.values())
    other.execute("ROLLBACK")
    other.close()
    until(lambda: all_ended(daemon.ci), 60, "the jobs")
    judge(daemon.ci, daemon.simulator)
    assert "store_recovered" in daemon.said()


def test_a_damaged_store_is_set_aside_and_the_jobs_run_once(daemon):
    start(daemon)
    add_jobs(daemon.ci, 4, takes=2)
    until(lambda: any(job["ran"] for job in daemon.ci.truth.jobs.values()), 20, "a job")
    daemon.stop(signal.SIGKILL)
    for path in daemon.state.glob("muster.db-*"):
        path.unlink()
    with open(daemon.state / "muster.db", "r+b") as file:
        for at in range(100, os.path.getsize(daemon.state / "muster.db"), 512):
            file.seek(at)
            file.write(os.urandom(64))
    start(daemon, 2)
    assert "it is kept as" in daemon.said() and list(daemon.state.glob("muster.db.damaged-*"))
    until(lambda: all_ended(daemon.ci), 60, "the jobs")
    judge(daemon.ci, daemon.simulator)


def test_without_descriptors_it_says_so_and_goes_on_later(daemon):
    start(daemon)
    pid = daemon.process.pid
    used = len(os.listdir(f"/proc/{pid}/fd"))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + 6, 4096))
    held = []
    for _ in range(40):
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(1)
        try:
            client.connect(str(daemon.state / "api.sock"))
        except OSError:
            break
        held.append(client)
    until(lambda: "accept_failed" in daemon.said(), 20, "word of it")
    assert daemon.process.poll() is None
    for client in held:
        client.close()
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (1024, 4096))
    add_jobs(daemon.ci, 3)
    until(lambda: all_ended(daemon.ci), 60, "the jobs")
    judge(daemon.ci, daemon.simulator)


def test_few_descriptors_lose_no_job(daemon):
    """Machines are reached as far as there are descriptors; every job runs once in the end."""
    start(daemon)
    pid = daemon.process.pid
    used = len(os.listdir(f"/proc/{pid}/fd"))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + 5, 4096))
    add_jobs(daemon.ci, 6)
    time.sleep(8)
    assert daemon.process.poll() is None
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (4096, 4096))
    until(lambda: all_ended(daemon.ci), 120, "the jobs")
    judge(daemon.ci, daemon.simulator)


def test_another_installation_with_the_same_cluster_name_is_left_alone(daemon, tmp_path):
    """Its state folder is another, so no lock helps: machines of another secret are not touched."""
    start(daemon)
    add_jobs(daemon.ci, 1, takes=25)
    until(lambda: daemon.ci.truth.jobs["j00000"]["ran"], 20, "the job")
    (tmp_path / "other").mkdir()
    ci = start_ci()
    other = Daemon(daemon.simulator, tmp_path / "other" / "d", ci, idle=0, most=4)
    other.configure((daemon.folder / "muster.yml").read_text())
    try:
        start(other)
        until(lambda: "cluster_name_shared" in other.said(), 20, "word of it")
        assert "give each installation a cluster name of its own" in other.said()
        until(lambda: all_ended(daemon.ci), 30, "the job")
        judge(daemon.ci, daemon.simulator)
        assert json.loads(other.muster("instances", "--json").stdout)["instances"] == []
    finally:
        other.stop(signal.SIGKILL)
        ci.shutdown()
