"""What takes minutes: a hundred kill -9 in one run of two thousand jobs (CI has a tenth: test_daemon.py), and a machine
that nobody reaches. `make chaos` runs it."""
import os
import signal
import sqlite3
import time

import pytest

from conftest import Simulator
from daemons import FAULTS, Daemon, add_jobs, chaos, judge, outlive_a_cut, start_ci

pytestmark = pytest.mark.skipif("MUSTER_CHAOS" not in os.environ, reason="make chaos")

NAMESPACES = """  namespaces:
    image: debian-12-amd64
    types: [t3.large, m5.large]
    labels: [namespaces]
    dead_man: 2m
    boot_timeout: 90s
    max_instances: 10
    reuse: {jobs: 5}
    idle: {count: 0, time: 5s}
"""
OLD_SCHEMA = """
CREATE TABLE launch_intent (id TEXT PRIMARY KEY, run TEXT NOT NULL, cluster TEXT NOT NULL, pool TEXT NOT NULL,
 region TEXT NOT NULL, action TEXT NOT NULL, body TEXT NOT NULL, token TEXT NOT NULL, state TEXT NOT NULL,
 instances TEXT NOT NULL, created_at TEXT NOT NULL) STRICT;
CREATE INDEX launch_intent_owing ON launch_intent (created_at) WHERE state IN ('open', 'launched');
CREATE TABLE run (id TEXT PRIMARY KEY, state TEXT NOT NULL, sealed TEXT NOT NULL, host_keys TEXT NOT NULL,
 created_at TEXT NOT NULL) STRICT;
CREATE TABLE run_step (run TEXT NOT NULL, number INTEGER NOT NULL, has_ended INTEGER NOT NULL, outcome INTEGER NOT NULL,
 exit_code INTEGER NOT NULL, error TEXT NOT NULL, took_ns INTEGER NOT NULL, PRIMARY KEY (run, number)) STRICT;
PRAGMA user_version = 2;
"""


def host_address(simulator):
    import fcntl, socket, struct  # noqa: E401
    probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    return socket.inet_ntoa(fcntl.ioctl(probe.fileno(), 0x8915, struct.pack("256s", simulator.link.encode()))[20:24])


@pytest.mark.parametrize("forgets", [0, 2])
def test_survives_a_hundred_kills(tmp_path, forgets):
    flags = [flag for fault in FAULTS for flag in ("--fault", fault)]
    simulator = Simulator(*flags, "--no-capacity", "*/t3.large/us-east-1a")
    server = start_ci(address="0.0.0.0", seed=7, lost=0.05, unavailable=0.05, repeated=0.05,
                      news_lost=0.05)
    daemon = Daemon(simulator, tmp_path / "d", server, most=25, idle=0, reuse=10, more=NAMESPACES)
    try:
        # The first starts find a store of the schema before this one, and are killed in its migration too.
        daemon.state.mkdir(parents=True)
        old = sqlite3.connect(daemon.state / "muster.db")
        old.executescript(OLD_SCHEMA)
        old.close()
        for pause in (0.0, 0.005, 0.01, 0.02, 0.04):
            daemon.start()
            time.sleep(pause)
            daemon.stop(signal.SIGKILL)
        add_jobs(server, 1800)
        add_jobs(server, 200, labels=["namespaces"], address=host_address(simulator), prefix="n")
        started = time.monotonic()
        chaos(simulator, daemon, server, 95, seed=21 + forgets, forgets=forgets)
        judge(server, simulator)
        verdict = simulator.ledger()
        assert verdict["leaked"] == 0
        print(f"\n2000 jobs, 100 kills, {forgets} stores lost in {time.monotonic() - started:.0f} s: "
              f"{verdict['machines']} machines, {verdict['leaked']} leaked, {verdict['duplicated']} duplicated, "
              f"{verdict['untagged']} untagged")
    finally:
        daemon.stop(signal.SIGKILL)
        server.shutdown()
        simulator.close()


def test_a_job_outlives_a_machine_that_nobody_reaches_for_minutes(tmp_path):
    outlive_a_cut(tmp_path, 150)  # Seconds: more than any call before the job is tried again for.
