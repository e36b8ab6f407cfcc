"""Who may use a daemon over TCP, what they see live, and the way onto its machines."""

import http.client
import json
import os
import re
import socket
import subprocess

import pytest

from conftest import BIN, PATIENCE, until
from daemons import Daemon, add_jobs


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def daemon(shared_processes, ci, tmp_path):
    made = Daemon(shared_processes, tmp_path / "d", ci, idle=0, most=4)
    made.ci = ci
    made.port = free_port()
    made.configure((made.folder / "muster.yml").read_text() + f"api: {{listen: 127.0.0.1:{made.port}}}\n")
    made.start()
    until(lambda: "ready" in made.said(), what="the daemon")
    yield made
    made.stop(wait=60)


def ask(daemon, method, path, token=None, scheme="Bearer", headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=20 * PATIENCE)
    sent = dict(headers or {})
    if token is not None:
        sent["Authorization"] = f"{scheme} {token}"
    connection.request(method, "/api/v1" + path, headers=sent)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body.decode(), dict(answer.getheaders())


def make_token(daemon, name, role, *more):
    done = daemon.muster("token", "create", name, "--role", role, *more)
    assert done.returncode == 0 and re.fullmatch(r"mus_[0-9a-f]{64}\n", done.stdout), done.stderr
    assert "shown this once" in done.stderr
    return done.stdout.strip()


def test_tcp_wants_a_token_of_the_right_role(daemon):
    for token in (None, "", "mus_" + "0" * 64):
        status, body, headers = ask(daemon, "GET", "/status", token)
        assert status == 401 and headers["WWW-Authenticate"].startswith("Bearer"), body
        assert json.loads(body)["error"]["code"] == "unauthenticated"
    viewer, operator = make_token(daemon, "ann", "viewer"), make_token(daemon, "bob", "operator")
    admin = make_token(daemon, "carl", "admin")
    assert ask(daemon, "GET", "/jobs", viewer)[0] == 200
    assert ask(daemon, "GET", "/jobs", viewer, "bearer")[0] == 200
    assert ask(daemon, "GET", "/metrics", viewer)[1].startswith("# HELP")
    status, body, _ = ask(daemon, "POST", "/pools/plain/pause", viewer)
    assert status == 403 and "token ann is viewer, and this needs operator" in body
    assert ask(daemon, "POST", "/pools/plain/pause", operator)[0] == 200
    assert "by token bob" in daemon.muster("pools").stdout
    for path, method in (("/tokens", "GET"), ("/tokens/x?role=admin", "POST"), ("/tokens/ann/revoke", "POST")):
        assert ask(daemon, method, path, operator)[0] == 403
    status, body, _ = ask(daemon, "GET", "/tokens", admin)
    assert status == 200 and viewer not in body and "hash" not in body
    assert [one["name"] for one in json.loads(body)["tokens"]] == ["ann", "bob", "carl"]
    assert json.loads(body)["tokens"][0]["expires_at"]
    assert daemon.muster("token", "revoke", "ann").returncode == 0
    assert ask(daemon, "GET", "/jobs", viewer)[0] == 401
    assert 'muster_api_refused_total{why="forbidden"} 4' in ask(daemon, "GET", "/metrics", operator)[1]
    assert 'muster_api_refused_total{why="unauthenticated"}' in ask(daemon, "GET", "/metrics", operator)[1]
    assert "request_refused" in daemon.said() and "peer=127.0.0.1" in daemon.said()
    status, _, headers = ask(daemon, "POST", "/jobs", operator)
    assert status == 405 and headers["Allow"] == "GET"
    # They outlive a restart; what the store keeps is no token.
    daemon.stop()
    for path in daemon.state.iterdir():
        if path.is_file():
            assert operator.encode() not in path.read_bytes(), path
    daemon.start()
    until(lambda: daemon.said().count("ready") == 2, what="the second daemon")
    assert ask(daemon, "GET", "/jobs", operator)[0] == 200 and ask(daemon, "GET", "/jobs", viewer)[0] == 401
    assert operator not in daemon.said()


def test_tokens_are_made_with_care(daemon):
    make_token(daemon, "short", "viewer", "--expires", "1s")
    for arguments, code in ((["short", "--role", "viewer"], "E0606"), (["a b"], "E0101"), (["x" * 65], "E0101"),
                            (["y", "--expires", "soon"], "E0101"), (["y", "--expires", "0s"], "E0101"),
                            (["y", "--role", "king"], "E0101"), ([""], "E0101")):
        done = daemon.muster("token", "create", *arguments)
        assert done.returncode in (2, 3) and done.stdout == "", (arguments, done.stderr)
    done = daemon.muster("token", "revoke", "nobody")
    assert done.returncode == 2 and "E0605" in done.stderr
    assert "never" in (make_token(daemon, "ever", "viewer", "--expires", "never"),
                       daemon.muster("token", "list").stdout)[1]


def test_an_expired_token_is_refused_and_who_guesses_is_slowed_down(daemon):
    token = make_token(daemon, "brief", "viewer", "--expires", "10s")
    assert ask(daemon, "GET", "/status", token)[0] == 200
    until(lambda: ask(daemon, "GET", "/status", token)[0] == 401, 20, "its end")
    assert "token brief has expired" in ask(daemon, "GET", "/status", token)[1]
    assert "has expired" in daemon.muster("token", "list").stdout
    good = make_token(daemon, "good", "viewer")
    statuses = [ask(daemon, "GET", "/status", f"mus_{number:064}")[0] for number in range(15)]
    assert statuses[-1] == 429 and 401 in statuses
    status, _, headers = ask(daemon, "GET", "/status", "mus_0")
    assert status == 429 and headers["Retry-After"] == "60"
    # Who has a token does not suffer: behind a proxy all come from one address.
    assert ask(daemon, "GET", "/status", good)[0] == 200 and daemon.muster("status").returncode == 0


def test_the_command_line_asks_a_daemon_elsewhere(daemon, tmp_path):
    token = make_token(daemon, "far", "viewer")
    (tmp_path / "token").write_text(token + "\n")
    elsewhere = {"PATH": os.environ["PATH"], "MUSTER_STATE": str(tmp_path / "other"),
                 "MUSTER_URL": f"http://127.0.0.1:{daemon.port}/", "MUSTER_TOKEN_FILE": str(tmp_path / "token")}

    def muster(*arguments, **more):
        return subprocess.run([BIN / "muster", *arguments], env={**elsewhere, **more}, capture_output=True, text=True)

    assert json.loads(muster("status", "--json").stdout)["cluster"] == "t"
    assert "plain" in muster("pools").stdout
    done = muster("pool", "pause", "plain")
    assert done.returncode == 3 and "token far is viewer" in done.stderr and "E0608" in done.stderr
    for command in (["submit", "--label", "linux"], ["backup", str(tmp_path / "copy")], ["connect", "j00000"]):
        done = muster(*command)
        assert done.returncode in (2, 3) and "MUSTER_URL names" in done.stderr, done.stderr
    done = muster("pools", MUSTER_TOKEN_FILE="")
    assert done.returncode == 3 and "MUSTER_TOKEN_FILE" in done.stderr and "E0608" in done.stderr
    (tmp_path / "wrong").write_text("mus_0\n")
    done = muster("pools", MUSTER_TOKEN_FILE=str(tmp_path / "wrong"))
    assert done.returncode == 3 and "E0608" in done.stderr
    done = muster("pools", MUSTER_URL=f"http://127.0.0.1:{free_port()}")
    assert done.returncode == 4 and "E0604" in done.stderr and "MUSTER_URL" in done.stderr


def test_where_it_listens_is_not_changed_by_a_reload(daemon):
    text = (daemon.folder / "muster.yml").read_text()
    daemon.configure(re.sub("api: .*\n", "", text))
    done = daemon.muster("config", "reload")
    assert done.returncode == 3 and "api.listen cannot be changed" in done.stderr


@pytest.mark.parametrize("listen, more, words", [
    ("0.0.0.0:7878", "", "tokens in the clear"), ("127.0.0.1", "", "no address"),
    ("localhost:80", "", "no address"), ("127.0.0.1:99999", "", "no address"), ("127.256.0.1:80", "", "no address"), ("0.0.0.0:7878", ", plain_http: true", ""),
    ("'[::1]:7878'", "", "")])
def test_where_the_api_listens(daemon, listen, more, words):
    text = (daemon.folder / "muster.yml").read_text()
    (daemon.folder / "other.yml").write_text(re.sub("listen: .*}", f"listen: {listen}{more}}}", text))
    done = daemon.muster("config", "check", "--config", "other.yml")
    assert done.returncode == (2 if words else 0) and words in done.stdout + done.stderr


class Events:
    """A client of server-sent events, as a browser is one."""

    def __init__(self, daemon, token, path="/events/stream", last=None):
        self.connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=20 * PATIENCE)
        headers = {"Authorization": f"Bearer {token}", **({"Last-Event-ID": last} if last else {})}
        self.connection.request("GET", "/api/v1" + path, headers=headers)
        self.answer = self.connection.getresponse()
        assert self.answer.status == 200
        assert self.answer.getheader("Content-Type") == "text/event-stream"

    def next(self):
        event = {}
        while True:
            line = self.answer.readline().decode().rstrip("\n")
            if not line and event:
                return event
            if not line and self.answer.isclosed():
                return None
            name, _, value = line.partition(": ")
            if name in ("id", "event", "data"):
                event[name] = value

    def close(self):
        self.connection.close()


def test_events_are_pushed_as_they_happen(daemon):
    token = make_token(daemon, "screen", "viewer")
    live = Events(daemon, token)
    add_jobs(daemon.ci, 1)
    seen = []
    while not seen or json.loads(seen[-1]["data"])["what"] != "passed":
        seen.append(live.next())
    assert [json.loads(one["data"])["what"] for one in seen if one["event"] == "job"] == ["queued", "leased", "running", "passed"]
    live.close()
    # Who comes back goes on where it was; whoever comes with a number of another process gets all.
    again = Events(daemon, token, last=seen[1]["id"])
    assert again.next()["id"] == seen[2]["id"]
    again.close()
    whole = Events(daemon, token, last="1.5")
    assert whole.next()["id"].endswith(".1")
    whole.close()
    since = Events(daemon, token, "/events/stream?after=0")
    assert since.next()["id"].endswith(".1")
    since.close()


def test_a_stream_ends_with_its_token(daemon):
    token = make_token(daemon, "gone", "viewer")
    live = Events(daemon, token)
    assert daemon.muster("token", "revoke", "gone").returncode == 0
    add_jobs(daemon.ci, 1)
    until(lambda: live.answer.readline() == b"", 20, "the end of the stream")
    live.close()


def test_streams_are_bounded_and_do_not_hold_up_the_end(daemon):
    token = make_token(daemon, "many", "viewer")
    streams = [Events(daemon, token) for _ in range(100)]
    status, body, _ = ask(daemon, "GET", "/events/stream", token)
    assert status == 429 and "100 streams" in body
    # What is said when nothing happens would show that they were waited for.
    assert daemon.stop() == 0
    assert not any(b": nothing new" in one.answer.read() for one in streams)
    for one in streams:
        one.close()


def test_connect_reaches_the_machine_of_a_job(daemon):
    add_jobs(daemon.ci, 1, takes=60)
    until(lambda: daemon.ci.truth.jobs["j00000"]["ran"], 20, "the job")
    done = daemon.muster("connect", "j00000", "--", "echo here $((6 * 7)); exit 9")
    assert (done.returncode, done.stdout) == (9, "here 42\n"), done.stderr
    instance = json.loads(daemon.muster("job", "show", "j00000", "--json").stdout)["job"]["instance"]
    assert daemon.muster("connect", instance, "true").returncode == 0
    assert not [path for path in os.listdir("/tmp") if path.startswith("muster-ssh-")]
    done = daemon.muster("connect", "nobody")
    assert done.returncode == 2 and "E0605" in done.stderr
    add_jobs(daemon.ci, 1, labels=["none"], prefix="w")
    until(lambda: "w00000" in daemon.muster("jobs").stdout)
    done = daemon.muster("connect", "w00000")
    assert done.returncode == 3 and "it has no machine" in done.stderr and "E0609" in done.stderr


def test_an_interruption_is_drilled(daemon):
    add_jobs(daemon.ci, 2, takes=20)
    add_jobs(daemon.ci, 1, takes=60, prefix="k")
    until(lambda: all(job["ran"] for job in daemon.ci.truth.jobs.values()), 20, "the jobs")
    at = {name: json.loads(daemon.muster("job", "show", name, "--json").stdout)["job"]["instance"]
          for name in daemon.ci.truth.jobs}
    done = daemon.muster("interrupt", at["j00000"])
    assert done.returncode == 3 and "--yes" in done.stderr
    done = daemon.muster("interrupt", at["j00000"], "--yes", "--notice", "1h")
    assert done.returncode == 2 and "between 1s and 10m" in done.stderr
    done = daemon.muster("interrupt", at["j00000"], "--yes")
    assert done.returncode == 0 and "is ended" in done.stdout, done.stdout + done.stderr
    done = daemon.muster("interrupt", at["k00000"], "--yes", "--notice", "10s", "--detach")
    assert done.returncode == 0 and "k00000 has until" in done.stdout
    said = json.loads(daemon.muster("explain", "k00000", "--json").stdout)["explanation"]
    assert "in a drill by" in said["headline"] and said["next_at"]
    until(lambda: daemon.ci.truth.jobs["k00000"]["outcome"] == "lost", 20, "its end")
    said = json.loads(daemon.muster("explain", "k00000", "--json").stdout)["explanation"]
    assert said["cause"] == "machine-lost" and "in a drill by" in said["headline"], said
    assert daemon.ci.truth.jobs["j00000"]["outcome"] == "passed"
    assert daemon.muster("interrupt", "i-nobody", "--yes").returncode == 2
