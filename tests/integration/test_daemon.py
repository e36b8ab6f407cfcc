"""The daemon against ec2sim and a CI server that keeps its own truth: pools, kill -9, lost stores, the three nets."""
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

from conftest import BIN, TOP, Simulator, until

sys.path.insert(0, str(TOP / "tests" / "ci_server"))
import ci_server  # noqa: E402

POOLS = """
cluster: t
pools:
  plain:
    image: {image}
    types: [t3.large, m5.large]
    labels: [linux, x64]
    dead_man: {dead_man}
    boot_timeout: 45s
    max_instances: {most}
    order: {order}
    reuse: {{jobs: {reuse}}}
    idle: {{count: {idle}, time: 5s}}
    ssh: {{port: {port}}}
{more}"""


class Daemon:
    """A daemon in a folder of its own, against one simulator and one CI server."""

    def __init__(self, simulator, folder, ci=None, kind="process", most=20, idle=1, reuse=1, more="",
                 order="listed", dead_man="1m"):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(exist_ok=True)
        home = self.folder.parent
        self.state = home / "state"
        self.log = home / "daemon.log"
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8",
                            "MUSTER_STATE": str(self.state), **simulator.variables}
        if ci:
            self.environment["MUSTER_TEST_CI"] = f"http://127.0.0.1:{ci.server_port}"
        image = "debian-12-amd64-process" if kind == "process" else "debian-12-amd64"
        self.program = [BIN / "test_daemon"] if ci else [BIN / "muster", "daemon", "--log", "info"]
        self.configure(POOLS.format(image=image, most=most, idle=idle, reuse=reuse, more=more, order=order,
                                    dead_man=dead_man, port=2222 if kind == "process" else 22))
        self.process = None

    def configure(self, text):
        (self.folder / "muster.yml").write_text(text)

    def start(self):
        self.process = subprocess.Popen(self.program, cwd=self.folder, env=self.environment,
                                        stdout=subprocess.DEVNULL, stderr=open(self.log, "ab"))
        return self

    def stop(self, how=signal.SIGTERM, wait=20):
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(wait)
        return self.process.returncode if self.process else None

    def muster(self, *arguments, timeout=60):
        return subprocess.run([BIN / "muster", *arguments], cwd=self.folder, env=self.environment,
                              capture_output=True, text=True, timeout=timeout)

    def said(self):
        return self.log.read_text() if self.log.exists() else ""

    def forget(self):
        """The store is lost; the cluster's secret is not."""
        for path in self.state.glob("muster.db*"):
            path.unlink()


@pytest.fixture
def records(tmp_path):
    made = Simulator("--machines", "process", "--no-throttling")
    yield made
    made.close()


@pytest.fixture
def ci():
    server, state = ci_server.start()
    server.truth = state
    yield server
    server.shutdown()


def add_jobs(ci, count, labels=("linux",), takes=0.1, address="127.0.0.1", prefix="j", **more):
    url = f"http://{address}:{ci.server_port}"
    with ci.truth.lock:
        for number in range(count):
            name = f"{prefix}{number:05}"
            ci.truth.jobs[name] = {
                "id": name, "labels": list(labels), "repository": "o/r", "priority": 0, "time_max": 300,
                "script": f"curl -fsS --retry 5 -X POST {url}/ran/{name} && sleep {takes}",
                "state": "queued", "lease": "", "instance": "", "queued_at": time.time(), "ended_at": 0, "ran": [],
                "outcome": "", "claims": 0, **more}
        ci.truth.changed()


def all_ended(ci):
    return all(job["state"] in ("finished", "cancelled") for job in ci.truth.jobs.values())


def judge(ci, simulator):
    """Every job ran exactly once, and nothing is left, twice or without tags."""
    assert not ci.truth.problems, ci.truth.problems[:5]
    wrong = {name: (job["ran"], job["outcome"]) for name, job in ci.truth.jobs.items()
             if len(job["ran"]) != 1 or job["outcome"] != "passed"}
    assert not wrong, f"{len(wrong)} of {len(ci.truth.jobs)}: {dict(list(wrong.items())[:5])}"
    verdict = simulator.ledger()
    assert (verdict["duplicated"], verdict["untagged"]) == (0, 0)


def test_runs_submitted_pipelines_on_warm_machines(records, tmp_path):
    daemon = Daemon(records, tmp_path / "d").start()
    (daemon.folder / ".drone.yml").write_text(
        "kind: pipeline\ntype: vm\nname: default\nclone: {disable: true}\nsteps:\n"
        "- {name: one, commands: ['echo from the $GREETING machine'], environment: {GREETING: warm}}\n"
        "- {name: two, commands: ['exit 3'], depends_on: [one]}\n")
    try:
        until(lambda: "ready" in daemon.said(), what="the daemon")
        done = daemon.muster("submit", "--wait", "--include", "one")
        assert done.returncode == 0, done.stderr + daemon.said()
        job = done.stdout.split()[0]
        logs = list((daemon.state / "jobs" / job / "steps").iterdir())
        assert any("from the warm machine" in log.read_text() for log in logs)
        failed = daemon.muster("submit", "--wait", "--json")
        assert failed.returncode == 1 and '"muster.submit/1"' in failed.stdout
        assert daemon.muster("submit", "--label", "arm64").returncode == 2
        assert daemon.muster("backup", str(tmp_path / "copy.db")).returncode == 0
        assert (tmp_path / "copy.db").stat().st_size > 0
    finally:
        assert daemon.stop() == 0


def test_a_second_daemon_is_refused(records, tmp_path):
    daemon = Daemon(records, tmp_path / "d", idle=0).start()
    try:
        until(lambda: "ready" in daemon.said(), what="the daemon")
        second = daemon.muster("daemon")
        assert second.returncode == 3 and "E0601" in second.stderr
    finally:
        daemon.stop()


def test_reads_its_configuration_again_and_keeps_the_old_one(records, tmp_path, ci):
    daemon = Daemon(records, tmp_path / "d", ci, idle=0).start()
    try:
        until(lambda: "ready" in daemon.said(), what="the daemon")
        whole = (daemon.folder / "muster.yml").read_text()
        daemon.configure(whole.replace("max_instances: 20", "max_instances: many"))
        daemon.process.send_signal(signal.SIGHUP)
        until(lambda: "config_not_reloaded" in daemon.said(), what="the refusal")
        add_jobs(ci, 1, labels=["arm"])
        daemon.configure(whole.replace("labels: [linux, x64]", "labels: [arm]"))
        daemon.process.send_signal(signal.SIGHUP)
        until(lambda: all_ended(ci), 30, "the job of the new labels")
    finally:
        daemon.stop()
    judge(ci, records)


def test_cancelled_jobs_end_and_their_machines_with_them(records, tmp_path, ci):
    daemon = Daemon(records, tmp_path / "d", ci, idle=0).start()
    try:
        add_jobs(ci, 2, takes=60)
        until(lambda: all(job["ran"] for job in ci.truth.jobs.values()), 30, "the jobs")
        with ci.truth.lock:
            for job in ci.truth.jobs.values():
                job.update(state="cancelled", ended_at=time.time())
            ci.truth.changed()
        until(lambda: records.ledger()["alive"] == 0, 30, "the end of the machines")
    finally:
        daemon.stop()


def chaos(simulator, daemon, ci, kills, seed, forgets=0):
    """Kills the daemon at seeded moments until all jobs have ended."""
    dice = random.Random(seed)
    count = len(ci.truth.jobs)
    losses = set(dice.sample(range(1, kills), forgets)) if forgets else set()
    daemon.start()
    for number in range(kills):
        # Spread over the run: some moments are within start-up and recovery.
        goal = count * (number + 1) // (kills + 1)
        end = time.monotonic() + 60
        quick = dice.random() < 0.3
        while not quick and time.monotonic() < end and not all_ended(ci):
            with ci.truth.lock:
                ended = sum(job["state"] == "finished" for job in ci.truth.jobs.values())
            if ended >= goal:
                break
            time.sleep(0.02)
        time.sleep(dice.random() * (0.5 if quick else 0.2))
        daemon.stop(signal.SIGKILL)
        if number in losses:
            daemon.forget()
        daemon.start()
    until(lambda: all_ended(ci), 240, "the end of all jobs")
    # Idle ones go by themselves.
    until(lambda: simulator.ledger()["alive"] == 0, 60, "the end of all machines")
    daemon.stop()


FAULTS = ["throttle=0.05", "lost=0.05", "invisible_for=2s"]


@pytest.mark.parametrize("forgets", [0, 2])
def test_survives_kill_9(tmp_path, forgets):
    """A tenth of tests/daemon/chaos, which kills a hundred times in a run of two thousand jobs."""
    flags = [flag for fault in FAULTS for flag in ("--fault", fault)]
    simulator = Simulator("--machines", "process", *flags, "--no-capacity", "*/t3.large/us-east-1a")
    server, state = ci_server.start(seed=5, lost=0.05, unavailable=0.05, repeated=0.05, news_lost=0.05)
    server.truth = state
    daemon = Daemon(simulator, tmp_path / "d", server, most=12, idle=0, reuse=5)
    try:
        add_jobs(server, 200)
        chaos(simulator, daemon, server, 10, seed=11 + forgets, forgets=forgets)
        judge(server, simulator)
        assert simulator.ledger()["leaked"] == 0
    finally:
        daemon.stop(signal.SIGKILL)
        server.shutdown()
        simulator.close()


def test_namespace_machines_report_to_the_ci_server(shared, tmp_path):
    vpc_side = None
    import fcntl, socket, struct  # noqa: E401
    probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    vpc_side = socket.inet_ntoa(fcntl.ioctl(probe.fileno(), 0x8915, struct.pack("256s", shared.link.encode()))[20:24])
    server, state = ci_server.start(address="0.0.0.0")
    server.truth = state
    daemon = Daemon(shared, tmp_path / "d", server, kind="namespace", most=10, idle=2)
    try:
        daemon.start()
        add_jobs(server, 20, address=vpc_side)
        until(lambda: all_ended(server), 90, "the end of all jobs")
        judge(server, shared)
        addresses = {job["ran"][0] for job in state.jobs.values()}
        assert len(addresses) > 5
    finally:
        daemon.stop()
        server.shutdown()
