"""The commands that look at a running daemon and tell it what to do."""

import json
import os
import signal
import socket
import subprocess
import time

import openapi_spec_validator
import pytest

from conftest import BIN, PATIENCE, until
from daemons import Daemon

PIPELINE = """kind: pipeline
type: vm
name: default
clone: {disable: true}
steps:
- {name: one, commands: ['echo first line', 'sleep %s']}
- {name: two, commands: ['echo second; printf "\\\\033]0;evil\\\\007"', 'exit %d'], depends_on: [one]}
"""


@pytest.fixture
def daemon(processes, tmp_path):
    made = Daemon(processes, tmp_path / "d", idle=0, more="  other:\n    image: debian-12-amd64-process\n"
                  "    types: [t3.large]\n    labels: [arm64]\n    max_instances: 1\n    ssh: {port: 2222}\n").start()
    until(lambda: "ready" in made.said(), what="the daemon")
    yield made
    made.stop()


def submit(daemon, *flags, takes=0, code=0):
    (daemon.folder / ".drone.yml").write_text(PIPELINE % (takes, code))
    done = daemon.muster("submit", "--json", *(flags or ("--pool", "plain")))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["job"]


def ask(daemon, *words, code=0):
    done = daemon.muster(*words)
    assert done.returncode == code, (words, done.stdout, done.stderr)
    return done.stdout if code == 0 else done.stderr


def state_of(daemon, job):
    return json.loads(ask(daemon, "job", "show", job, "--json"))["job"]


def wait_for(daemon, job, *states):
    until(lambda: state_of(daemon, job)["state"] in states, 40, f"{job} to be {states}")
    return state_of(daemon, job)


def test_a_job_is_listed_shown_explained_and_its_logs_can_be_read(daemon):
    job = submit(daemon, code=3)
    ended = wait_for(daemon, job, "finished")
    assert (ended["outcome"], ended["exit_code"]) == ("failed", 3)
    assert "step two exited with 3" in ask(daemon, "explain", job).splitlines()[0]
    assert job in ask(daemon, "jobs") and "failed" in ask(daemon, "jobs")
    assert ask(daemon, "jobs", "--state", "open").count("\n") == 1
    logs = ask(daemon, "logs", job)
    assert "one │ first line" in logs and "two │ second" in logs
    assert ask(daemon, "logs", job, "--step", "one").count("first line") == 2  # The command's trace, and its output.
    events = [json.loads(line) for line in ask(daemon, "events", "--json").splitlines()]
    mine = [one["what"] for one in events if one["subject"].endswith(job)]
    assert mine == ["queued", "leased", "running", "failed"]
    assert "E0605" in ask(daemon, "job", "show", "no-such", code=2)
    assert "E0605" in ask(daemon, "logs", job, "--step", "three", code=2)


def test_logs_are_followed_until_the_job_ends(daemon):
    job = submit(daemon, takes=10)
    wait_for(daemon, job, "running")
    follow = subprocess.Popen([BIN / "muster", "logs", "-f", job], cwd=daemon.folder, env=daemon.environment,
                              stdout=subprocess.PIPE, text=True)
    assert "first line" in follow.stdout.readline() + follow.stdout.readline()
    assert state_of(daemon, job)["state"] == "running"
    rest = follow.communicate(timeout=40 * PATIENCE)[0]
    assert "two │ second" in rest and follow.returncode == 0


def test_a_paused_pool_outlives_kill_9_and_says_who_and_why(daemon):
    assert "paused" in ask(daemon, "pool", "pause", "plain", "--reason", "image rebuild")
    job = submit(daemon)
    until(lambda: "waiting for its pool" in ask(daemon, "explain", job), 10, "the reason")
    assert "paused" in ask(daemon, "jobs") and "paused" in state_of(daemon, job)["reason"]
    daemon.stop(signal.SIGKILL)
    daemon.start()
    until(lambda: daemon.said().count("ready") == 2, what="the second daemon")
    said = ask(daemon, "explain", job)
    assert '"image rebuild"' in said and "muster pool resume plain" in said
    assert "paused" in ask(daemon, "pools")
    ask(daemon, "pool", "resume", "plain")
    assert wait_for(daemon, job, "finished")["outcome"] == "passed"
    assert "Did you mean plain?" in ask(daemon, "pool", "pause", "plian", code=2)


def test_waiting_and_running_jobs_are_cancelled(daemon, processes):
    running = submit(daemon, takes=900)
    wait_for(daemon, running, "running")
    ask(daemon, "pool", "pause", "plain")
    waiting = submit(daemon)
    until(lambda: waiting in ask(daemon, "jobs"), 10, "the second job")
    for job in (waiting, running):
        ask(daemon, "job", "cancel", job, "--reason", "wrong branch")
        ended = wait_for(daemon, job, "finished", "dropped")
        assert ended["outcome"] == "cancelled" and "wrong branch" in ended["reason"]
    until(lambda: 'muster_jobs_ended_total{outcome="cancelled"} 2' in ask(daemon, "metrics"), 10, "both to be counted")
    until(lambda: processes.ledger()["alive"] == 0, 30, "the end of the machine")
    assert daemon.muster("job", "cancel", waiting).returncode == 0  # Again: it stays as it is.


def test_shells_complete_ids(daemon):
    job = submit(daemon)
    script = """source <(muster completion bash)
    ask() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _muster; echo "${COMPREPLY[@]}"; }
    ask muster job show sub; ask muster explain job; ask muster pool pause pl; ask muster instances --pool o
    ask muster pools pl; ask muster pool pause x pl; ask muster logs --step sub"""
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, cwd=daemon.folder,
                          env={**daemon.environment, "PATH": f"{BIN}:{os.environ['PATH']}"})
    assert done.stdout.splitlines() == [f"submit/{job}", job, "plain", "other", "", "", ""], done.stderr
    daemon.stop()
    assert ask(daemon, "complete-ids", "jobs") == "" and "complete-ids" not in ask(daemon, "--help")


def test_a_shell_expands_nothing_that_a_daemon_says(tmp_path):
    """Whatever answers at MUSTER_URL, or stands in for muster, is compared with what was typed, and no more."""
    (tmp_path / "muster").write_text("#!/bin/sh\necho 'pl$(touch evil)*'\n")
    (tmp_path / "muster").chmod(0o755)
    script = f"""source <({BIN}/muster completion bash)
    COMP_WORDS=(muster pool pause pl); COMP_CWORD=3; _muster; printf '%s\\n' "${{COMPREPLY[@]}}" """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, cwd=tmp_path,
                          env={"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert done.stdout == "pl$(touch evil)*\n" and not (tmp_path / "evil").exists(), done.stderr


def test_instances_are_drained_protected_and_terminated(daemon, processes):
    job = submit(daemon, takes=15)
    where = wait_for(daemon, job, "running")["instance"]
    refused = ask(daemon, "instance", "terminate", where, code=3)
    assert job in refused and "--yes" in refused
    assert "protected" in ask(daemon, "instance", "protect", where)
    tags = processes.ec2.describe_instances(InstanceIds=[where])["Reservations"][0]["Instances"][0]["Tags"]
    assert {"Key": "muster:protect", "Value": "true"} in tags
    ask(daemon, "instance", "unprotect", where)
    ask(daemon, "instance", "drain", where)
    assert wait_for(daemon, job, "finished")["outcome"] == "passed"
    lost = submit(daemon, takes=60)
    where = wait_for(daemon, lost, "running")["instance"]
    ask(daemon, "instance", "terminate", where, "--yes")
    ended = wait_for(daemon, lost, "finished")
    assert ended["outcome"] == "lost" and "terminated by" in ended["reason"]
    assert "E0605" in ask(daemon, "instance", "drain", "i-0123456789abcdef0", code=2)


def test_the_configuration_is_reloaded_or_kept(daemon):
    whole = (daemon.folder / "muster.yml").read_text()
    daemon.configure(whole.replace("max_instances: 20", "max_instances: many"))
    said = ask(daemon, "config", "reload", code=2)
    assert "E0301" in said and "muster.yml:" in said and "nothing was changed" in said
    assert '"limit": 20' in ask(daemon, "pools", "--json")
    daemon.configure(whole.replace("max_instances: 20", "max_instances: 7"))
    ask(daemon, "config", "reload")
    until(lambda: '"limit": 7' in ask(daemon, "pools", "--json"), 5, "the new limit")


def test_a_removed_pool_says_what_it_leaves(daemon):
    running = submit(daemon, "--pool", "other", takes=600)
    wait_for(daemon, running, "running")
    waiting = submit(daemon, "--pool", "other")
    whole = (daemon.folder / "muster.yml").read_text()
    daemon.configure(whole[:whole.index("  other:\n")])
    said = ask(daemon, "config", "reload")
    assert "removed  other" in said
    assert "machines of removed pools that still run a job: 1 " in said
    assert "queued jobs that no pool takes: 1 " in said
    pools = {one["name"]: one for one in json.loads(ask(daemon, "pools", "--json"))["pools"]}
    assert (pools["other"]["state"], pools["other"]["busy"]) == ("removed", 1)
    assert "1 removed" in ask(daemon, "status")
    assert "was removed from muster.yml" in ask(daemon, "pool", "pause", "other", code=2)
    assert "change the job's label pool:other, or add pools.other" in ask(daemon, "explain", waiting)
    ask(daemon, "job", "cancel", running)
    until(lambda: "other" not in ask(daemon, "pools", "--json"), 30, "the pool to be gone")
    daemon.configure(whole)
    ask(daemon, "config", "reload")
    assert wait_for(daemon, waiting, "finished")["outcome"] == "passed"


def test_stopped_machines_beyond_what_their_pool_keeps_end(daemon, processes):
    whole = (daemon.folder / "muster.yml").read_text()

    def keep(count: int):
        daemon.configure(whole.replace(
            "    max_instances: 1\n", f"    max_instances: 4\n    stopped: {count}\n"
            "    on_demand: only\n    idle: {time: 1s}\n"))
        ask(daemon, "config", "reload")
        until(lambda: stopped() == count, 30, f"{count} stopped machines")

    def stopped() -> int:
        pools = json.loads(ask(daemon, "pools", "--json"))["pools"]
        return next(one["stopped"] for one in pools if one["name"] == "other")

    keep(2)
    keep(1)
    until(lambda: processes.ledger()["alive"] == 1, 30, "one to end")
    ask(daemon, "pool", "drain", "other")
    until(lambda: processes.ledger()["alive"] == 0, 30, "the other to end")


def test_a_pool_that_forbids_privileged_forbids_it_whatever_names_it(daemon):
    whole = (daemon.folder / "muster.yml").read_text()
    daemon.configure(whole.replace("labels: [arm64]", "labels: [arm64]\n    privileged: false"))
    (daemon.folder / ".drone.yml").write_text(
        "kind: pipeline\ntype: vm\nname: default\nclone: {disable: true}\n"
        "steps: [{name: one, image: busybox, privileged: true, commands: ['true']}]\n")
    for words in (["--pool", "other"], ["--label", "arm64"]):
        said = ask(daemon, "submit", *words, code=2)
        assert "E0301" in said and "pool other forbids it" in said
    ask(daemon, "submit", "--pool", "plain")


def test_without_a_daemon_commands_say_so(processes, tmp_path):
    daemon = Daemon(processes, tmp_path / "d")
    daemon.state.mkdir(parents=True)
    for words in (["jobs"], ["pools"], ["explain", "x"], ["logs", "x"], ["top"], ["events"], ["config", "reload"]):
        assert "E0604" in ask(daemon, *words, code=4)


def http(daemon, text):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(10 * PATIENCE)
        sock.connect(str(daemon.state / "api.sock"))
        sock.sendall(text.encode())
        answer = b""
        while piece := sock.recv(65536):
            answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


def request(daemon, method, path, body=""):
    return http(daemon, f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                        f"Content-Length: {len(body)}\r\n\r\n{body}")


def test_every_route_of_the_description_answers_and_refuses_what_is_wrong(daemon):
    status, body = request(daemon, "GET", "/api/v1/openapi.json")
    openapi_spec_validator.validate(json.loads(body))
    paths = json.loads(body)["paths"]
    assert status == 200 and len(paths) >= 12
    assert paths["/api/v1/pools/{pool}/{order}"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    filled = {"job": "nobody", "pool": "nobody", "instance": "i-0", "order": "pause", "step": "s", "token": "nobody"}
    for path, item in paths.items():
        for method in item:
            target = path.format(**filled)
            if path.endswith("/stream"):
                with socket.socket(socket.AF_UNIX) as live:
                    live.connect(str(daemon.state / "api.sock"))
                    live.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                    assert live.recv(100).startswith(b"HTTP/1.1 200")
                continue
            status, body = request(daemon, method.upper(), target)
            if path.endswith("/tokens/{token}"):
                assert status == 400 and b"is no role" in body
            elif "{" in path:
                assert status == 404 and json.loads(body)["error"]["remedy"], (method, target, body)
            else:
                assert status == 200, (method, target, body)
                said = item[method]["responses"]["200"]["content"]
                if "application/json" in said and "properties" in said["application/json"]["schema"]:
                    wanted = said["application/json"]["schema"]["properties"]["schema"]["const"]
                    assert json.loads(body)["schema"] == wanted, (target, body)
            status, body = request(daemon, method.upper(), target + "?nonsense=1")
            assert status == 400 and json.loads(body)["schema"] == "muster.error/1", target
        status, _ = request(daemon, "DELETE", path.format(**filled))
        assert status == 405
    wrong = [("GET", "/api/v1/jobs?limit=-1", "", 400), ("GET", "/api/v1/jobs?limit=x", "", 400),
             ("GET", "/api/v1/jobs?state=odd", "", 400), ("GET", "/api/v1/jobs?limit=1&limit=2", "", 400),
             ("GET", "/api/v1/%zz", "", 404), ("GET", "/", "", 404), ("GET", "/api/v1/events?wait=9999", "", 400),
             ("POST", "/api/v1/pools/plain/pause", '{"reason": 5}', 400),
             ("POST", "/api/v1/pools/plain/pause", '{"why": "x"}', 400),
             ("POST", "/api/v1/pools/plain/pause", '{"reason": "a\\u0007b"}', 400),
             ("POST", "/api/v1/pools/plain/pause", '{"reason": "' + "x" * 501 + '"}', 400),
             ("POST", "/api/v1/pools/plain/pause", "[", 400), ("POST", "/api/v1/pools/plain/explode", "", 404),
             ("POST", "/api/v1/config/reload", '{"reason": "x"}', 400)]
    for method, target, body, expected in wrong:
        status, answer = request(daemon, method, target, body)
        assert status == expected, (target, body, answer)
    for text, expected in (("nonsense\r\n\r\n", 400), ("POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", 413)):
        status, answer = http(daemon, text)
        assert status == expected and json.loads(answer)["schema"] == "muster.error/1", answer
    assert "paused" not in ask(daemon, "pools")


def test_the_socket_is_its_owners_alone(daemon):
    path = daemon.state / "api.sock"
    assert path.stat().st_mode & 0o777 == 0o600
    # Whoever gets at it all the same is told by the kernel, and refused.
    path.chmod(0o777)
    code = ("import socket,os;s=socket.socket(socket.AF_UNIX);os.chdir(os.path.dirname(%r));"
            "d=os.open('.',os.O_PATH);os.setresuid(65534,65534,0);s.connect('api.sock');"
            "s.sendall(b'GET /api/v1/status HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n');print(s.recv(999))" % str(path))
    done = subprocess.run(["python3", "-c", code], capture_output=True, text=True, timeout=20 * PATIENCE)
    assert "403" in done.stdout, done.stdout + done.stderr


def test_top_and_status_show_a_screen(daemon):
    ask(daemon, "pool", "pause", "plain")
    job = submit(daemon)
    until(lambda: job in ask(daemon, "top"), 10, "the job")
    assert "POOL" in ask(daemon, "top") and "1 open" in ask(daemon, "status")


def test_metrics_split_the_wait_by_its_cause(daemon):
    wait_for(daemon, submit(daemon), "finished")
    ask(daemon, "pool", "pause", "plain")
    job = submit(daemon)
    until(lambda: "waiting for its pool" in ask(daemon, "explain", job), 10, "the reason")
    time.sleep(1.2)
    ask(daemon, "pool", "resume", "plain")
    wait_for(daemon, job, "finished")
    values = {}
    for line in ask(daemon, "metrics").splitlines():
        if not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            values[name] = float(value)
    assert values['muster_jobs_ended_total{outcome="passed"}'] == 2
    assert values['muster_job_wait_part_seconds_sum{part="policy"}'] > 1.1
    parts = sum(values[f'muster_job_wait_part_seconds_sum{{part="{part}"}}']
                for part in ("ci_server", "policy", "capacity", "boot", "start"))
    assert abs(parts - values["muster_job_wait_seconds_sum"]) < 0.3
    assert values['muster_pool_limit{pool="plain"}'] == 20 and values["muster_store_failing"] == 0


def test_what_was_just_submitted_is_known(daemon):
    for _ in range(3):
        ask(daemon, "explain", submit(daemon))


def test_output_that_cannot_be_written_is_an_error(daemon):
    for words in (["jobs"], ["pools"], ["config", "schema"], ["help", "errors"]):
        with open("/dev/full", "w", encoding="utf8") as full:
            done = subprocess.run([BIN / "muster", *words], cwd=daemon.folder, env=daemon.environment, stdout=full,
                                  stderr=subprocess.PIPE, text=True, timeout=20 * PATIENCE)
        assert done.returncode == 4 and "E0303" in done.stderr, (words, done.stderr)


def test_odd_ids_are_refused_and_stay_text(daemon):
    assert "its value is empty" in ask(daemon, "explain", "", code=2)
    refused = ask(daemon, "job", "show", "a\x1b]0;evil\x07/../b", code=2)
    assert "\x1b" not in refused and "E0605" in refused
