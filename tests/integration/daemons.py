"""Daemons under test, the jobs that a CI server of ours gives them, and what must be true in the end."""

import contextlib
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

from conftest import BIN, PATIENCE, TOP, Simulator, until

sys.path.insert(0, str(TOP / "tests" / "ci_server"))
import ci_server  # noqa: E402

FAULTS = ["throttle=0.05", "lost=0.05", "invisible_for=2s"]
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
            self.process.wait(wait * PATIENCE)
        return self.process.returncode if self.process else None

    def muster(self, *arguments, timeout=60):
        return subprocess.run([BIN / "muster", *arguments], cwd=self.folder, env=self.environment,
                              capture_output=True, text=True, timeout=timeout * PATIENCE)

    def said(self):
        return self.log.read_text() if self.log.exists() else ""

    def forget(self):
        """The store is lost; the cluster's secret is not."""
        for path in self.state.glob("muster.db*"):
            path.unlink()


def start_ci(**more):
    """The CI server; `truth` is what it knows."""
    server, state = ci_server.start(**more)
    server.truth = state
    return server


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
    until(lambda: all_ended(ci), 120, "the end of all jobs")
    # Idle ones go by themselves.
    until(lambda: simulator.ledger()["alive"] == 0, 60, "the end of all machines")
    daemon.stop()


@contextlib.contextmanager
def cut_off(daemon):
    """Nobody reaches the machine that has a job."""
    instances = json.loads(daemon.muster("instances", "--json").stdout)["instances"]
    address = next(one["address"] for one in instances if one["job"])
    subprocess.run(["ip", "route", "add", "unreachable", f"{address}/32"], check=True)
    try:
        killed = subprocess.run(["ss", "-K", "dst", address], capture_output=True, check=True, text=True)
        assert killed.stdout.count("ESTAB") > 0, killed.stdout
        yield
    finally:
        subprocess.run(["ip", "route", "del", "unreachable", f"{address}/32"], check=True)


def submit_steps(daemon, steps):
    (daemon.folder / ".drone.yml").write_text(
        f"kind: pipeline\ntype: vm\nname: default\nclone: {{disable: true}}\nsteps:\n{steps}")
    return json.loads(daemon.muster("submit", "--json", "--pool", "plain").stdout)["job"]


def shown(daemon, job):
    return json.loads(daemon.muster("job", "show", job, "--json").stdout)["job"]


def outlive_a_cut(tmp_path, seconds):
    """A job's steps, more at once than a connection has channels, while its machine cannot be reached."""
    simulator = Simulator()
    daemon = Daemon(simulator, tmp_path / "d", kind="namespace", idle=0, dead_man="10m")
    try:
        daemon.start()
        until(lambda: "ready" in daemon.said(), what="the daemon")
        job = submit_steps(daemon, "- {name: first, commands: ['true']}\n" + "".join(
            f"- {{name: s{i}, commands: ['echo begins {i}', 'sleep {seconds - 2}', 'echo ends {i}'], "
            "depends_on: [first]}\n" for i in range(12)))
        until(lambda: daemon.muster("logs", job).stdout.count("│ begins") == 12, 30, "the steps to run")
        with cut_off(daemon):
            time.sleep(seconds)
            assert shown(daemon, job)["state"] == "running", shown(daemon, job)
        until(lambda: shown(daemon, job)["state"] == "finished", 60, "the end of the job")
        assert shown(daemon, job)["outcome"] == "passed", shown(daemon, job)
        assert daemon.muster("logs", job).stdout.count("│ ends") == 12
    finally:
        daemon.stop(signal.SIGKILL)
        simulator.close()
