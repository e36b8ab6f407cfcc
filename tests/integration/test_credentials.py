"""Each way in which AWS's tools find credentials, by muster against the simulator's STS and small servers of our own."""

import base64
import datetime
import http.server
import json
import threading
import time

import pytest

from test_exec import gone

STEP = "kind: pipeline\ntype: vm\nclone: {disable: true}\nsteps:\n- name: a\n  commands: [echo hello]\n"
ACCOUNT = "123456789012"


class Server:
    """Answers on loopback by a function of method, path and headers, and counts what it is asked."""

    def __init__(self, answer):
        outer = self
        self.asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked.append((self.command, self.path, dict(self.headers)))
                status, body = answer(self.command, self.path, self.headers)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            do_PUT = do_GET

            def log_message(self, *words):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def serve():
    servers = []

    def start(answer):
        servers.append(Server(answer))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def lent(shared):
    """Keys of a role, as services hand them out; valid for an hour whatever they say of themselves."""
    sts = shared.client("sts")

    role = sts.assume_role(RoleArn=f"arn:aws:iam::{ACCOUNT}:role/ci-runner", RoleSessionName="lent")["Credentials"]

    def keys(seconds=3600):
        end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
        return {
            "Code": "Success",
            "AccessKeyId": role["AccessKeyId"],
            "SecretAccessKey": role["SecretAccessKey"],
            "Token": role["SessionToken"],
            "Expiration": end.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }

    return keys


def bare(muster, **variables):
    """The environment without the simulator's keys."""
    environment = {
        key: value
        for key, value in muster.environment.items()
        if key not in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    }
    return {**environment, "AWS_EC2_METADATA_DISABLED": "true", **variables}


def passes(muster, environment):
    muster.pipeline(STEP)
    done = muster.run("exec", environment=environment)
    assert done.returncode == 0 and "hello" in done.stdout, done.stderr
    gone(muster.simulator)
    return done


def config(muster, text, name="config"):
    folder = muster.folder / ".aws"
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)


def static(muster):
    v = muster.simulator.variables
    return f"aws_access_key_id = {v['AWS_ACCESS_KEY_ID']}\naws_secret_access_key = {v['AWS_SECRET_ACCESS_KEY']}\n"


def test_profiles_with_keys_roles_and_chains(muster):
    config(muster, f"[base]\n{static(muster)}", "credentials")
    config(
        muster,
        f"[profile ci]\nrole_arn = arn:aws:iam::{ACCOUNT}:role/ci-runner\nsource_profile = base\n"
        f"[profile chained]\nrole_arn = arn:aws:iam::{ACCOUNT}:role/ci-runner\nsource_profile = ci\n",
    )
    for profile in ("base", "ci", "chained"):
        passes(muster, bare(muster, AWS_PROFILE=profile))
    # The configuration's stands before keys in the environment.
    muster.configure(more="aws_profile: ci\n")
    passes(
        muster, {**muster.environment, "AWS_ACCESS_KEY_ID": "AKIANOBODY", "AWS_EC2_METADATA_DISABLED": "true"}
    )


def test_the_keys_of_the_environment_as_a_roles_source(muster):
    config(
        muster,
        f"[profile ci]\nrole_arn = arn:aws:iam::{ACCOUNT}:role/ci-runner\ncredential_source = Environment\n",
    )
    muster.configure(more="aws_profile: ci\n")
    passes(muster, muster.environment)


def web_token(seconds):
    part = lambda value: base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
    return f"{part({'alg': 'RS256'})}.{part({'sub': 'ci', 'exp': int(time.time()) + seconds})}.c2lnbmF0dXJl\n"


def test_a_web_identity(muster, tmp_path):
    token = tmp_path / "token"
    environment = bare(
        muster,
        AWS_WEB_IDENTITY_TOKEN_FILE=str(token),
        AWS_ROLE_ARN=f"arn:aws:iam::{ACCOUNT}:role/ci-runner",
        AWS_ROLE_SESSION_NAME="ci",
    )
    token.write_text(web_token(600))
    passes(muster, environment)
    token.write_text(web_token(-600))
    done = muster.run("exec", environment=environment)
    assert (
        done.returncode == 3 and "ExpiredToken" in done.stderr and str(token) in done.stderr.splitlines()[-1]
    ), done.stderr


def test_a_process(muster, lent, tmp_path):
    keys = lent()
    answer = {
        "Version": 1,
        "SessionToken": keys["Token"],
        **{k: keys[k] for k in ("AccessKeyId", "SecretAccessKey")},
    }
    (tmp_path / "keys.json").write_text(json.dumps(answer))
    config(muster, f"[default]\ncredential_process = cat '{tmp_path}/keys.json'\n")
    passes(muster, bare(muster))


def test_a_container_whose_keys_expire_during_the_run(muster, lent, serve, tmp_path):
    token = tmp_path / "authorization"
    token.write_text("Bearer sesame")

    def answer(method, path, headers):
        if headers.get("Authorization") != "Bearer sesame":
            return 401, ""
        return 200, json.dumps(lent(seconds=2))

    server = serve(answer)
    environment = bare(
        muster,
        AWS_CONTAINER_CREDENTIALS_FULL_URI=server.url + "/v1/credentials",
        AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=str(token),
    )
    muster.pipeline(STEP.replace("echo hello", "sleep 4; echo hello"))
    done = muster.run("exec", environment=environment)
    assert done.returncode == 0 and "hello" in done.stdout, done.stderr
    assert len(server.asked) >= 2
    gone(muster.simulator)
    token.write_text("Bearer wrong")
    done = muster.run("exec", environment=environment)
    assert done.returncode == 3 and "E0201" in done.stderr and "401" in done.stderr, done.stderr


def test_instance_metadata(muster, lent, serve):
    def answer(method, path, headers):
        if path == "/latest/api/token":
            return (200, "session") if method == "PUT" else (405, "")
        if headers.get("X-aws-ec2-metadata-token") != "session":
            return 401, ""
        if path.rstrip("/") == "/latest/meta-data/iam/security-credentials":
            return 200, "ci-runner"
        if path == "/latest/meta-data/iam/security-credentials/ci-runner":
            return 200, json.dumps(lent())
        return 404, ""

    server = serve(answer)
    environment = bare(muster, AWS_EC2_METADATA_SERVICE_ENDPOINT=server.url)
    del environment["AWS_EC2_METADATA_DISABLED"]
    passes(muster, environment)
    assert server.asked[0][0] == "PUT"


ROLE = "[default]\nrole_arn = arn:aws:iam::123456789012:role/x\n"


@pytest.mark.parametrize(
    "text,variables,exit_code,code,told,remedy",
    [
        (
            "[default]\nsso_start_url = https://x\nsso_account_id = 1\n",
            {},
            3,
            "E0201",
            "sso_start_url",
            "credential_process",
        ),
        (ROLE, {}, 2, "E0102", "none of source_profile and", "exactly one"),
        (ROLE + "source_profile = nobody\n", {}, 2, "E0102", '"nobody"', "source_profile"),
        (
            ROLE + "source_profile = b\n[profile b]\nrole_arn = a\nsource_profile = default\n",
            {},
            2,
            "E0102",
            "default -> b -> default",
            "source_profile",
        ),
        (
            ROLE
            + "source_profile = default\nmfa_serial = m\naws_access_key_id = a\naws_secret_access_key = b\n",
            {},
            3,
            "E0201",
            "mfa_serial",
            "without MFA",
        ),
        (
            "[default]\ncredential_process = sh -c 'echo no vault >&2; exit 3'\n",
            {},
            3,
            "E0201",
            "exit code 3: no vault",
            "by hand",
        ),
        ("[default]\ncredential_process = echo '{}'\n", {}, 3, "E0201", "no JSON of Version 1", "must print"),
        ("", {"AWS_ACCESS_KEY_ID": "AKIA"}, 3, "E0201", "AWS_SECRET_ACCESS_KEY is not", "Set both"),
        (
            "",
            {
                "AWS_WEB_IDENTITY_TOKEN_FILE": "/nowhere",
                "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/ci-runner",
            },
            3,
            "E0201",
            "/nowhere cannot be read",
            "path or permissions",
        ),
        (
            "",
            {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://example.com/keys"},
            2,
            "E0102",
            "example.com",
            "Correct it",
        ),
    ],
)
def test_what_a_user_would_meet(muster, text, variables, exit_code, code, told, remedy):
    config(muster, text)
    muster.pipeline(STEP)
    done = muster.run("exec", environment=bare(muster, **variables))
    problem, last = done.stderr.strip().splitlines()[-2:]
    assert done.returncode == exit_code and problem.endswith(f"({code})"), done.stderr
    assert told in problem and remedy in last and not done.stdout, done.stderr


def test_a_role_that_may_not_be_taken(muster):
    config(muster, f"[profile ci]\nrole_arn = arn:aws:iam::{ACCOUNT}:role/nobody\nsource_profile = base\n")
    config(muster, f"[base]\n{static(muster)}", "credentials")
    muster.pipeline(STEP)
    done = muster.run("exec", environment=bare(muster, AWS_PROFILE="ci"))
    assert (
        done.returncode == 3 and "sts:AssumeRole" in done.stderr and "role/nobody" in done.stderr
    ), done.stderr
