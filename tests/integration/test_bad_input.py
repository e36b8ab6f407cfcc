"""What a user does wrong, and what EC2 and machines do: the exit code, a text with its remedy, nothing left behind."""

import re
import subprocess
import tempfile

import pytest

from conftest import BIN, PLAIN, Muster, Simulator
from test_exec import gone

STEP = "kind: pipeline\ntype: vm\nclone: {disable: true}\nsteps:\n- name: a\n  commands: [echo hello]\n"


def told(done, exit_code, code, text, remedy):
    """One line that says what is wrong and where, and the last one what to do next."""
    assert done.returncode == exit_code, done.stderr
    lines = done.stderr.strip().splitlines()
    assert any(line.startswith("muster: ") and f"({code})" in line for line in lines), done.stderr
    assert text in done.stderr, done.stderr
    assert re.search(remedy, lines[-1]), done.stderr
    assert subprocess.run([BIN / "muster", "help", code], capture_output=True).returncode == 0


@pytest.mark.parametrize(
    "variables,exit_code,code,text,remedy",
    [
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, 4, "E0450", "127.0.0.1:1", "runs and that no firewall"),
        ({"AWS_ENDPOINT_URL": "nonsense"}, 2, "E0102", '"nonsense" is no URL', "Write it as"),
        (
            {"AWS_SECRET_ACCESS_KEY": "wrong"},
            3,
            "E0201",
            "SignatureDoesNotMatch",
            "access key and its secret",
        ),
        ({"AWS_ACCESS_KEY_ID": "AKIANOBODY"}, 3, "E0201", "AuthFailure", "access key and its secret"),
        ({"AWS_SESSION_TOKEN": "of somebody else"}, 3, "E0201", "AuthFailure", "access key"),
        ({"AWS_REGION": "moon-1"}, 3, "E0201", "valid region, not 'moon-1'", "region is the endpoint's"),
        (
            {"AWS_PROFILE": "nobody", "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
            2,
            "E0102",
            "nobody",
            "AWS_PROFILE",
        ),
        (
            {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_EC2_METADATA_DISABLED": "true"},
            3,
            "E0201",
            "credentials",
            "AWS_ACCESS_KEY_ID",
        ),
    ],
)
def test_of_the_account(muster, variables, exit_code, code, text, remedy):
    muster.pipeline(STEP)
    environment = {**muster.environment, **variables}
    done = muster.run("exec", environment={key: value for key, value in environment.items() if value})
    told(done, exit_code, code, text, remedy)
    assert muster.environment["AWS_SECRET_ACCESS_KEY"] not in done.stderr


@pytest.mark.parametrize(
    "keys,exit_code,code,text,remedy",
    [
        ({"image": "nowhere-*"}, 2, "E0401", 'no image named "nowhere-*"', "image"),
        ({"image": "ami-00000000000000000"}, 2, "E0404", "ami-00000000000000000", "image"),
        ({"types": "[x9.large]"}, 2, "E0102", "x9.large", "types"),
        ({"subnets": "[subnet-00000000000000000]"}, 2, "E0404", "subnet-00000000000000000", "subnets"),
        ({"security_groups": "[nobody]"}, 2, "E0403", '"nobody"', "security_groups"),
        ({"key_name": "nobody"}, 2, "E0404", "nobody", "key_name"),
        ({"iam_profile": "nobody"}, 2, "E0102", "nobody", "iam_profile"),
        (
            {"max_price": "'0.0001'", "on_demand": "never"},
            3,
            "E0412",
            "SpotMaxPriceTooLow",
            "on-demand|max_price",
        ),
        ({"private_ip": "10.1.2.3", "max_instances": 1}, 2, "E0102", "10.1.2.3", "private_ip"),
        ({"disk": "{iops: 100}"}, 2, "E0102", "iops", "disk"),
    ],
)
def test_of_the_pool(muster, keys, exit_code, code, text, remedy):
    values = {
        "image": "debian-12-amd64",
        "types": "[t3.large]",
        "dead_man": "10m",
        "boot_timeout": "2m",
        **keys,
    }
    (muster.project / "muster.yml").write_text(
        "pools:\n  p:\n" + "".join(f"    {key}: {value}\n" for key, value in values.items())
    )
    muster.pipeline(STEP)
    told(muster.run("exec"), exit_code, code, text, remedy)
    gone(muster.simulator)


@pytest.mark.parametrize(
    "flags,exit_code,code,text,remedy",
    [
        (["--no-capacity", "*/*/*"], 3, "E0412", "InsufficientInstanceCapacity", "types|subnets"),
        (["--vcpu-quota", "1", "--spot-quota", "1"], 3, "E0413", "quota", "quota"),
        (["--deny", "RunInstances"], 3, "E0202", "ec2:RunInstances", "permission"),
        (["--no-default-vpc"], 2, "E0402", "default subnet", "subnets"),
        (["--fault", "hang=1"], 4, "E0420", "was not usable within", "cloud-init"),
        (["--withhold-console"], 4, "E0420", "no host keys on the console", "cloud-init"),
        (["--fault", "throttle=1"], 3, "E0410", "RequestLimitExceeded", "again"),
        (["--fault", "internal_error=1"], 4, "E0450", "InternalError", "again"),
    ],
)
def test_of_ec2(flags, exit_code, code, text, remedy, tmp_path):
    simulator = Simulator(*flags)
    try:
        muster = Muster(simulator, tmp_path)
        path = muster.project / "muster.yml"
        path.write_text(path.read_text().replace("boot_timeout: 2m", "boot_timeout: 5s"))
        muster.pipeline(STEP)
        told(muster.run("exec"), exit_code, code, text, remedy)
        gone(simulator)
    finally:
        simulator.close()


TEN = """kind: pipeline
type: vm
platform: {os: windows}
trigger:
  brnach: main
steps:
- name: a
  image: i
  comands: [x]
- name: a
  commands: [x]
- commands: y
  depends_on: [nobody]
  failure: maybe
- name: b
  commands: [x]
  when: {event: [psuh]}
  volumes: [{name: nowhere, path: /x}]
  pull: sometimes
volumes:
- name: odd
"""


def test_ten_mistakes_at_once(muster):
    muster.pipeline(TEN)
    for command in ("exec", "compile"):
        done = muster.run(command)
        assert done.returncode == 2 and not done.stdout
        places = [int(line) for line in re.findall(r"^\.drone\.yml:(\d+):\d+  ", done.stderr, re.M)]
        # Each of them, and none hides another.
        assert {3, 5, 9, 10, 12, 13, 14, 17, 18, 19, 21} - set(places) == set(), done.stderr
        assert "E0301" in done.stderr.splitlines()[-2] and done.stderr.splitlines()[-1]
    gone(muster.simulator)


@pytest.fixture
def small():
    """A simulator whose machines share 96 MiB of disk."""
    folder = tempfile.mkdtemp(prefix="ec2-small-", dir="/var/tmp")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", folder], check=True)
    made = Simulator("--no-throttling", state=folder)
    yield made
    made.stop()
    subprocess.run(["umount", folder], check=True)
    subprocess.run(["rmdir", folder], check=True)


def test_a_machine_whose_disk_fills_up(small, tmp_path):
    muster = Muster(small, tmp_path)
    muster.configure(
        more="    user_data: |\n      #!/bin/sh\n      until [ -e /tmp/go ]; do sleep 0.1; done\n"
        "      head -c 200M /dev/zero > /var/tmp/big 2>/dev/null; true\n"
    )
    # Another process fills it during the first step; the second is to start on a full disk.
    muster.pipeline(
        "kind: pipeline\ntype: vm\nclone: {disable: true}\nsteps:\n- name: wait\n  commands:\n"
        "  - touch /tmp/go\n  - until [ $(df --output=avail /tmp | tail -n 1) -eq 0 ]; do sleep 0.1; done\n"
        "- name: after\n  commands: [echo after]\n"
    )
    done = muster.run("exec")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "muster: the machine's disk is full; output may be missing" in done.stdout
    assert (
        "E0433" in done.stdout and "No space left on device" in done.stdout and "larger disk" in done.stdout
    ), done.stdout
    gone(small)


def test_a_step_that_fills_the_disk(small, tmp_path):
    muster = Muster(small, tmp_path)
    muster.pipeline(
        "kind: pipeline\ntype: vm\nclone: {disable: true}\nsteps:\n- name: fill\n  commands:\n"
        "  - echo begin\n  - head -c 200M /dev/zero > /var/tmp/big || true\n  - exit 7\n"
    )
    done = muster.run("exec")
    assert (
        "begin" in done.stdout and "muster: the machine's disk is full; output may be missing" in done.stdout
    )
    assert done.returncode == 1 and "exit code 7" in done.stdout, done.stdout
    gone(small)


def test_a_machine_that_ec2_takes_back_during_a_step(tmp_path):
    simulator = Simulator("--no-throttling")
    try:
        muster = Muster(simulator, tmp_path)
        muster.pipeline(STEP.replace("echo hello", "echo hello, sleep 900"))
        running = muster.start("exec")
        assert any("│ hello" in line for line in running.stdout)
        made = simulator.ec2.describe_instances()["Reservations"][0]["Instances"][0]["InstanceId"]
        simulator.ask("interrupt", {"instance_id": made, "notice": "1s"})
        # Without looking at EC2 it would be two minutes until it gives the machine up.
        said, _ = running.communicate(timeout=100)
        assert running.returncode == 4 and "E0424" in said and "on_demand: only" in said, said
        gone(simulator)
    finally:
        simulator.close()


def test_a_run_that_nobody_knows(muster):
    done = muster.run("exec", "--resume", "run-000000000000")
    told(done, 2, "E0442", "there is no run run-000000000000", "No run waits|These wait")
    assert not (muster.state / "runs" / "run-000000000000").exists()


def test_a_template_that_says_spot_against_the_pool(muster):
    ec2 = muster.simulator.ec2
    name = "spotted-" + muster.folder.name
    ec2.create_launch_template(
        LaunchTemplateName=name,
        LaunchTemplateData={
            "ImageId": PLAIN,
            "InstanceType": "t3.large",
            "InstanceMarketOptions": {"MarketType": "spot"},
        },
    )
    (muster.project / "muster.yml").write_text(
        f"pools:\n  p:\n    launch_template: {{name: {name}}}\n    on_demand: only\n"
    )
    muster.pipeline(STEP)
    told(muster.run("exec"), 2, "E0102", "makes i-", "InstanceMarketOptions")
    gone(muster.simulator)


def test_options_take_one_value_and_no_empty_one(muster, tmp_path):
    (tmp_path / "secrets").write_text("TOKEN=x\n")
    (muster.project / "other.yml").write_text(STEP)
    done = muster.run("compile", "--secret-file", str(tmp_path / "secrets"), "--include", "a", "other.yml")
    assert done.returncode == 0, done.stderr
    for option in ("--resume", "--pool"):
        told(muster.run("exec", option, "", "other.yml"), 2, "E0101", "is empty", "muster help exec")
    # What a resumed run cannot heed is not ignored.
    for more in (
        ["other.yml"],
        ["--pool", "p"],
        ["--include", "a"],
        ["--event", "tag"],
        ["--config", "muster.yml"],
        ["--timeout", "1h"],
    ):
        done = muster.run("exec", "--resume", "run-000000000000", *more)
        told(
            done, 2, "E0101", f"{more[0] if more[0][0] == '-' else 'file'} would change it", "start a new run"
        )


def test_a_folder_in_the_place_of_a_file(muster):
    for words in (
        ["exec", "/etc"],
        ["compile", "/etc"],
        ["config", "check", "--config", "/etc"],
        ["exec", "--env-file", "/etc"],
    ):
        muster.pipeline(STEP)
        done = muster.run(*words)
        assert done.returncode == 2 and "is a folder (E0303)" in done.stderr, done.stderr


def test_what_is_sent_without_a_repository(muster):
    (muster.project / ".aws").mkdir()
    (muster.project / ".aws" / "credentials").write_text("hidden")
    (muster.project / "deep").mkdir()
    (muster.project / "deep" / ".env").write_text("hidden")
    (muster.project / "shown").write_text("shown")
    muster.pipeline(
        "kind: pipeline\ntype: vm\nsteps:\n- name: a\n  commands: [find . -type f -not -path './.git/*']\n"
    )
    done = muster.run("exec")
    assert done.returncode == 0 and "./shown" in done.stdout, done.stderr
    assert ".aws" not in done.stdout and ".env" not in done.stdout and "hidden files stay out" in done.stderr
    home = {**muster.environment, "HOME": str(muster.project)}
    told(muster.run("exec", environment=home), 2, "E0102", "is no git repository", "git init")
