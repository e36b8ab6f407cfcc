"""muster exec --resume: after a kill, and over cut connections, each thing happens exactly once."""

import hashlib
import random
import re
import sqlite3
import subprocess
import time

import pytest

from conftest import BIN, Muster, Simulator
from test_exec import gone

# Prints the same bytes each time, slowly; counts each line it does on the machine.
WORK = """
  - for i in $(seq 30); do echo "NAME $i $(echo NAME$i | sha256sum)"; echo NAME$i >> effects; sleep 0.03; done
  - head -c 200000 /dev/zero | tr '\\0' z; echo
"""

HOST = f"""kind: pipeline
type: vm
clone: {{disable: true}}
steps:
- name: first
  commands:{WORK.replace("NAME", "first")}
- name: fails
  failure: ignore
  commands:{WORK.replace("NAME", "fails")}
  - exit 7
- name: last
  commands:
  - wc -l < effects; sort effects | uniq -d | wc -l; sha256sum < effects
  - exit 5
"""

BOX = """  - until docker version >/dev/null 2>&1; do sleep 0.1; done
  - mkdir -p /tmp/i/bin /tmp/i/tmp && cp /bin/busybox /tmp/i/bin/ && for n in sh seq echo sha256sum sleep head tr sort uniq wc cat; do ln -s busybox /tmp/i/bin/$n; done
  - tar -C /tmp/i -c . | docker import - demo/box:1 > /dev/null
"""

CONTAINERS = f"""kind: pipeline
type: vm
clone: {{disable: true}}
steps:
- name: image
  commands:
{BOX}
- name: first
  image: demo/box:1
  commands:{WORK.replace("NAME", "first")}
- name: fails
  image: demo/box:1
  failure: ignore
  commands:{WORK.replace("NAME", "fails")}
  - exit 7
- name: last
  image: demo/box:1
  commands:
  - wc -l < effects; sort effects | uniq -d | wc -l; sha256sum < effects
  - exit 5
"""


def hashes(muster, run):
    """What each step printed, as its log has it."""
    logs = (muster.state / "runs" / run / "steps").glob("*.log")
    return {log.name: hashlib.sha256(log.read_bytes()).hexdigest() for log in logs}


def wrote(name):
    """What the step wrote by its own account, apart from the traces of its commands."""
    lines = "".join(
        f"{name} {i} {hashlib.sha256(f'{name}{i}'.encode() + bytes([10])).hexdigest()}  -\n"
        for i in range(1, 31)
    )
    return [lines.encode(), b"z" * 200000 + b"\n"]


def check_bytes(muster, run):
    for name in ("first", "fails"):
        (log,) = (muster.state / "runs" / run / "steps").glob(f"{name}-*.log")
        for part in wrote(name):
            assert log.read_bytes().count(part) == 1, f"{run} {name}"


def codes(muster, run):
    """The exit code of each step, as the run's record has it."""
    with sqlite3.connect(muster.state / "muster.db") as store:
        return dict(
            store.execute("SELECT number, exit_code FROM run_step WHERE run = ?", (run,)).fetchall()
        )


def run_of(text):
    named = re.search(r"\brun-[0-9a-f]+", text)
    return named.group() if named else None


@pytest.mark.parametrize(
    "pipeline,image,kills",
    [(HOST, "debian-12-amd64", 20), (CONTAINERS, "debian-12-amd64-docker", 20)],
    ids=["host", "containers"],
)
def test_goes_on_after_kills(pipeline, image, kills, tmp_path):
    simulator = Simulator("--no-throttling")
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    try:
        muster = Muster(simulator, tmp_path)
        muster.configure(image=image)
        muster.pipeline(pipeline)
        started = time.monotonic()
        whole = muster.run("exec")
        took = time.monotonic() - started
        assert whole.returncode == 1, whole.stdout + whole.stderr
        expected = hashes(muster, run_of(whole.stderr))
        assert len(expected) >= 3
        check_bytes(muster, run_of(whole.stderr))
        expected_codes = codes(muster, run_of(whole.stderr))
        assert {7, 5} <= set(expected_codes.values()), expected_codes
        resumed = 0
        for number in range(kills):
            running = muster.start("exec")
            time.sleep(took * (number + chance.random()) / kills)
            running.kill()
            out, err = running.communicate()
            run = run_of(err)
            at = f"seed {seed}, kill {number}, run {run}"
            if run is None:
                continue  # Nothing was begun.
            done = muster.run("exec", "--resume", run)
            has_ended = "E0443" in done.stderr  # It was faster than the first.
            assert done.returncode == (3 if has_ended else 1), f"{at}\n{err}{done.stdout}{done.stderr}"
            assert (
                hashes(muster, run) == expected
            ), f"{at}\n{out}\n-----\n{done.stdout}{done.stderr}"
            assert codes(muster, run) == expected_codes, at
            resumed += not has_ended
        assert resumed >= kills // 2
        gone(simulator)
    finally:
        simulator.close()


def run_with_cuts(muster, took, chance, folder):
    """A run whose connections are cut twenty times within `took`: its exit code, its output, the cuts, its time."""
    moments = sorted(took * (0.1 + 0.8 * chance.random()) for _ in range(20))
    with open(folder / "out", "w+") as out, open(folder / "err", "w+") as err:
        running = subprocess.Popen(
            [BIN / "muster", "exec"],
            cwd=muster.project,
            env=muster.environment,
            stdout=out,
            stderr=err,
        )
        cuts = 0
        started = time.monotonic()
        while running.poll() is None:
            if cuts < 20 and time.monotonic() - started < moments[cuts]:
                time.sleep(0.005)
                continue
            made = muster.simulator.ec2.describe_instances(
                Filters=[{"Name": "instance-state-name", "Values": ["running"]}]
            )["Reservations"]
            if made and cuts < 20:
                address = made[0]["Instances"][0]["PrivateIpAddress"]
                cut = ["ss", "-H", "-K", "dst", address, "dport", "=", "22"]
                done = subprocess.run(cut, capture_output=True, text=True)
                cuts += bool(done.stdout.strip())
            time.sleep(0.005)
        took = time.monotonic() - started
    text = (folder / "out").read_text() + (folder / "err").read_text()
    return running.returncode, text, cuts, took


@pytest.mark.parametrize(
    "pipeline,image",
    [(HOST, "debian-12-amd64"), (CONTAINERS, "debian-12-amd64-docker")],
    ids=["host", "containers"],
)
def test_goes_on_over_twenty_cuts(pipeline, image, shared, tmp_path):
    muster = Muster(shared, tmp_path)
    muster.configure(image=image)
    muster.pipeline(pipeline)
    started = time.monotonic()
    whole = muster.run("exec")
    took = time.monotonic() - started
    expected = hashes(muster, run_of(whole.stderr))
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    for _ in range(3):
        code, text, cuts, took = run_with_cuts(muster, took, chance, tmp_path)
        if code != 1 or cuts == 20:
            break  # Else it was faster than the one before, and ended before its last cuts.
    assert code == 1, text
    assert cuts == 20, text
    assert hashes(muster, run_of(text)) == expected, text
    check_bytes(muster, run_of(text))
    assert codes(muster, run_of(text)) == codes(muster, run_of(whole.stderr)), text
    gone(shared)


def test_each_of_many_steps_runs_once(tmp_path):
    """Short steps, many side by side, some by policy: a kill between any two of them."""
    simulator = Simulator("--no-throttling")
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    steps = [f"- {{name: s{n}, commands: [echo s{n} >> effects, echo out {n}]}}" for n in range(12)]
    # Truncated on its way in it would do nothing, and pass.
    steps.append(
        "- {name: long, depends_on: [s11], commands: ['"
        + "#" * 200000
        + "', sleep 0.5, exit 5], failure: ignore}"
    )
    steps.append("- {name: bad, depends_on: [s11], commands: [sleep 0.3, exit 3]}")
    steps.append(
        "- {name: onfail, depends_on: [s11], when: {status: [failure]}, commands: [echo wrong >> effects]}"
    )
    steps.append(
        "- {name: last, depends_on: [long, bad], when: {status: [success, failure]}, commands: [cat effects]}"
    )
    for n in range(1, 12):
        steps[n] = steps[n].replace(", commands", f", depends_on: [s{n - 1}], commands", 1)
    try:
        muster = Muster(simulator, tmp_path)
        muster.pipeline(
            "kind: pipeline\ntype: vm\nclone: {disable: true}\nsteps:\n" + "\n".join(steps)
        )
        started = time.monotonic()
        whole = muster.run("exec")
        took = time.monotonic() - started
        assert whole.returncode == 1 and "exit 5, ignored" in whole.stdout, (
            whole.stdout + whole.stderr
        )
        expected = hashes(muster, run_of(whole.stderr))
        for number in range(20):
            running = muster.start("exec")
            time.sleep(took * (number + chance.random()) / 20)
            running.kill()
            _, err = running.communicate()
            run = run_of(err)
            if run is None:
                continue
            done = muster.run("exec", "--resume", run)
            at = f"seed {seed}, kill {number}, run {run}\n{err}{done.stdout}{done.stderr}"
            assert done.returncode == (3 if "E0443" in done.stderr else 1), at
            assert hashes(muster, run) == expected, at
        gone(simulator)
    finally:
        simulator.close()


def test_a_resume_that_cannot_be_loses_nothing(muster):
    muster.pipeline(
        "kind: pipeline\ntype: vm\nclone: {disable: true}\nsteps: [{name: a, commands: [echo begun, sleep 4, echo done]}]\n"
    )
    running = muster.start("exec")
    assert any("begun" in line for line in running.stdout), running.communicate()[1]
    running.kill()
    run = run_of(running.communicate()[1])
    wrong = {**muster.environment, "AWS_SECRET_ACCESS_KEY": "wrong"}
    done = muster.run("exec", "--resume", run, environment=wrong)
    assert done.returncode == 3 and "E0201" in done.stderr, done.stderr
    done = muster.run("exec", "--resume", run)
    assert done.returncode == 0 and "done" in done.stdout, done.stdout + done.stderr
    gone(muster.simulator)


def test_a_run_that_ended_is_not_done_again(muster):
    muster.pipeline(HOST)
    run = run_of(muster.run("exec").stderr)
    again = muster.run("exec", "--resume", run)
    assert again.returncode == 3 and "E0443" in again.stderr, again.stderr
    # Nothing of what was sealed is kept, nor the repository.
    store = sqlite3.connect(muster.state / "muster.db")
    assert store.execute("SELECT sealed FROM run WHERE id = ?", (run,)).fetchone() == ("",)
    assert not (muster.state / "runs" / run / "bundle").exists()
    unknown = muster.run("exec", "--resume", "run-00000000000000000")
    assert unknown.returncode == 2 and "E04" in unknown.stderr, unknown.stderr


def test_a_run_is_done_by_one_muster_at_a_time(muster):
    muster.pipeline(
        "kind: pipeline\ntype: vm\nclone: {disable: true}\nsteps: [{name: a, commands: [sleep 3]}]\n"
    )
    running = muster.start("exec")
    text = ""
    while not run_of(text):
        text += running.stderr.readline()
    other = muster.run("exec", "--resume", run_of(text))
    assert "E0441" in other.stderr and other.returncode != 0, other.stderr
    assert running.wait() == 0
