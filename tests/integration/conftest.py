"""Fixtures: simulators with real machines, and muster beside them."""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request

import boto3
import botocore.config
import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("MUSTER_BIN", TOP / "build" / "dev"))
IMAGE_ROOT = os.environ.get("MUSTER_IMAGE_ROOT", str(TOP / "build" / "image-root"))
PLAIN = "ami-0deb12a64d0000001"
DOCKER = "ami-0deb12a64d0c4e001"
ARM = "ami-0deb12a12640000a1"


def pytest_collection_modifyitems(items):
    """The longest first: so two workers end at about the same time."""
    items.sort(key=lambda item: item.path.name != "test_resume.py")


# A bound ends what hangs; it is no claim on speed. So each is this much longer than it takes when nothing else runs.
PATIENCE = 5


def until(check, seconds=10, what="it"):
    """Waits on a condition, not on time."""
    seconds *= PATIENCE
    end = time.monotonic() + seconds
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not come within {seconds} s")
        time.sleep(0.02)


class Simulator:
    def __init__(self, *flags, state=None, image_root=IMAGE_ROOT):
        self.image_root = image_root
        self.state = pathlib.Path(state or tempfile.mkdtemp(prefix="ec2-", dir="/var/tmp"))
        self.flags = flags
        self.start()

    def start(self):
        self.log = open(self.state / "log", "ab")
        self.process = subprocess.Popen(
            [BIN / "ec2sim", "--state", self.state, "--image-root", self.image_root, "--log", "info", *self.flags],
            stdout=subprocess.PIPE, stderr=self.log, text=True)
        self.variables = {}
        for line in self.process.stdout:
            name, value = line.strip().split("=", 1)
            self.variables[name] = value
            if name == "AWS_SECRET_ACCESS_KEY":
                break
        assert self.variables, (self.state / "log").read_text()
        self.ec2 = self.client("ec2")

    def client(self, service, **more):
        """boto3 that tries once, as the first account's user unless told otherwise."""
        settings = dict(
            endpoint_url=self.variables["AWS_ENDPOINT_URL"], region_name="us-east-1",
            config=botocore.config.Config(retries={"total_max_attempts": 1}),
            aws_access_key_id=self.variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.variables["AWS_SECRET_ACCESS_KEY"])
        return boto3.client(service, **{**settings, **more})

    @property
    def link(self):
        import hashlib
        return "ec2sim-" + hashlib.sha256(str(self.state).encode()).hexdigest()[:8]

    def stop(self, how=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(how)
        self.process.wait(20 * PATIENCE)
        self.process.stdout.close()
        self.log.close()

    def close(self):
        self.stop()
        shutil.rmtree(self.state, ignore_errors=True)

    def ask(self, what, body):
        """POST /_ec2sim/…"""
        request = urllib.request.Request(f"{self.variables['AWS_ENDPOINT_URL']}/_ec2sim/{what}", json.dumps(body).encode())
        return urllib.request.urlopen(request).read()

    def ledger(self):
        done = subprocess.run([BIN / "ec2sim", "ledger", "--json", "--state", self.state],
                              capture_output=True, text=True)
        return json.loads(done.stdout)

    def launch(self, image=PLAIN, count=1, **more):
        more.setdefault("InstanceType", "t3.large")
        return self.ec2.run_instances(ImageId=image, MinCount=count, MaxCount=count, **more)["Instances"]

    def host_keys(self, instance_id):
        def read():
            output = self.ec2.get_console_output(InstanceId=instance_id, Latest=True).get("Output", "")
            block = re.search("BEGIN SSH HOST KEY KEYS-----(.*?)-----END", output, re.S)
            return re.findall(r"ssh-ed25519 \S+", block.group(1)) if block else None
        return until(read, what="the host key on the console")


class Keys:
    """An SSH key and the machines it opens, each pinned by its console."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.key = self.folder / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.key], check=True)
        self.public = (self.folder / "key.pub").read_text().strip()

    def user_data(self, more=""):
        return f"#cloud-config\nssh_authorized_keys: ['{self.public}']\n{more}"

    def run(self, simulator, instance, command, check=True):
        known = self.folder / "known_hosts"
        address = instance["PrivateIpAddress"]
        known.write_text("".join(f"{address} {key}\n" for key in simulator.host_keys(instance["InstanceId"])))
        done = subprocess.run(
            ["ssh", "-i", self.key, "-o", f"UserKnownHostsFile={known}", "-o", "StrictHostKeyChecking=yes",
             "-o", "BatchMode=yes", "-o", "ConnectionAttempts=10", f"admin@{address}", command],
            capture_output=True, text=True, timeout=60 * PATIENCE)  # The keys are on the console before sshd listens.
        assert not check or done.returncode == 0, done.stderr + done.stdout
        return done.stdout if check else done


class Muster:
    """muster in a project's folder, against one simulator."""

    def __init__(self, simulator, folder):
        self.simulator = simulator
        self.folder = pathlib.Path(folder)
        self.state = self.folder / "state"
        self.project = self.folder / "project"
        self.project.mkdir()
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "LANG": "C.UTF-8",
                            "MUSTER_STATE": str(self.state), **simulator.variables}
        self.configure()

    def configure(self, image="debian-12-amd64", more="", types="[t3.large]", dead_man="10m", boot_timeout="2m"):
        (self.project / "muster.yml").write_text(
            f"pools:\n  p:\n    image: {image}\n    types: {types}\n    dead_man: {dead_man}\n"
            f"    boot_timeout: {boot_timeout}\n{more}")

    def pipeline(self, text):
        (self.project / ".drone.yml").write_text(text)

    def start(self, *arguments, **more):
        return subprocess.Popen([BIN / "muster", *arguments], cwd=self.project, env=self.environment,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)

    def run(self, *arguments, environment=None, timeout=90):
        return subprocess.run([BIN / "muster", *arguments], cwd=self.project,
                              env=environment or self.environment, capture_output=True, text=True,
                              timeout=timeout * PATIENCE)

    def steps(self, text, *arguments, head="kind: pipeline\ntype: vm\n", **more):
        self.pipeline(head + text)
        return self.run("exec", *arguments, **more)


@pytest.fixture
def simulator(request):
    made = Simulator(*getattr(request, "param", ()))
    yield made
    made.close()


@pytest.fixture(scope="module")
def shared():
    """One simulator for tests that do not disturb each other."""
    made = Simulator("--no-throttling")
    yield made
    made.close()


@pytest.fixture(scope="module")
def record():
    """One simulator of records: states only, no waiting."""
    made = Simulator("--machines", "record", "--no-throttling")
    yield made
    made.close()


@pytest.fixture(scope="module")
def shared_processes():
    made = Simulator("--machines", "process", "--no-throttling")
    yield made
    made.close()


@pytest.fixture
def processes():
    """A simulator of one test's own whose machines are processes."""
    made = Simulator("--machines", "process", "--no-throttling")
    yield made
    made.close()


@pytest.fixture
def ci():
    from daemons import start_ci
    server = start_ci()
    yield server
    server.shutdown()


@pytest.fixture
def ec2(record):
    return record.ec2


@pytest.fixture
def keys(tmp_path):
    return Keys(tmp_path)


@pytest.fixture
def muster(shared, tmp_path):
    return Muster(shared, tmp_path)
