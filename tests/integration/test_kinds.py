"""A whole life by boto3 on each kind of machine, and what each kind is inside."""

import itertools
import json
import os
import pathlib
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

import pytest

from conftest import BIN, PATIENCE, PLAIN, Simulator, until


def ssh(keys, simulator, kind, instance, command, check=True):
    """As the image's user, with the host key that the console shows."""
    known = keys.folder / "known_hosts"
    address = instance["PrivateIpAddress"]
    port = "2222" if kind == "process" else "22"
    name = f"[{address}]:{port}" if kind == "process" else address
    lines = [f"{name} {key}\n" for key in simulator.host_keys(instance["InstanceId"])]
    known.write_text("".join(lines))
    options = ["-p", port, "-i", str(keys.key), "-o", f"UserKnownHostsFile={known}"]
    options += ["-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes"]
    done = subprocess.run(
        ["ssh", *options, f"admin@{address}", command], capture_output=True, text=True, timeout=30 * PATIENCE
    )
    assert not check or done.returncode == 0, done.stderr
    return done if not check else done.stdout


@pytest.mark.parametrize("kind", ["record", "process", "namespace"])
def test_a_whole_life(kind, keys):
    simulator = Simulator("--machines", kind, "--no-throttling")
    try:
        ec2 = simulator.ec2
        ec2.import_key_pair(KeyName="me", PublicKeyMaterial=keys.public.encode())
        data = {
            "ImageId": PLAIN,
            "InstanceType": "t3.large",
            "KeyName": "me",
            "TagSpecifications": [
                {"ResourceType": "instance", "Tags": [{"Key": "from", "Value": "template"}]}
            ],
        }
        template = ec2.create_launch_template(LaunchTemplateName="life", LaunchTemplateData=data)
        made = ec2.create_fleet(
            Type="instant",
            LaunchTemplateConfigs=[
                {
                    "LaunchTemplateSpecification": {
                        "LaunchTemplateId": template["LaunchTemplate"]["LaunchTemplateId"],
                        "Version": "$Default",
                    },
                    "Overrides": [{"InstanceType": "t3.large"}, {"InstanceType": "m5.large"}],
                }
            ],
            TargetCapacitySpecification={
                "TotalTargetCapacity": 2,
                "DefaultTargetCapacityType": "on-demand",
            },
        )
        assert made["Errors"] == []
        ids = [one for group in made["Instances"] for one in group["InstanceIds"]]
        assert len(ids) == 2

        def shown():
            pages = ec2.describe_instances(InstanceIds=ids)["Reservations"]
            return [one for page in pages for one in page["Instances"]]

        def are(state):
            return all(one["State"]["Name"] == state for one in shown())

        until(lambda: are("running"), what="running")
        assert {"Key": "from", "Value": "template"} in shown()[0]["Tags"]
        ec2.create_tags(Resources=ids, Tags=[{"Key": "more", "Value": "ü"}])
        assert {"Key": "more", "Value": "ü"} in shown()[1]["Tags"]
        if kind != "record":
            works = lambda: ssh(keys, simulator, kind, shown()[0], "echo up", False).returncode == 0
            until(works, what="sshd")
            told = ssh(
                keys,
                simulator,
                kind,
                shown()[0],
                "E=${AWS_EC2_METADATA_SERVICE_ENDPOINT:-http://169.254.169.254}; "
                'T=$(curl -s -X PUT -H "X-aws-ec2-metadata-token-ttl-seconds: 60" $E/latest/api/token); '
                'curl -s -H "X-aws-ec2-metadata-token: $T" $E/latest/meta-data/instance-id; '
                "touch ~/mark; nohup sleep 1000 > /dev/null 2>&1 &",
            )
            assert told == shown()[0]["InstanceId"]
        ec2.stop_instances(InstanceIds=ids)
        until(lambda: are("stopped"), what="stopped")
        ec2.modify_instance_attribute(InstanceId=ids[0], InstanceType={"Value": "t3.xlarge"})
        ec2.start_instances(InstanceIds=ids)
        until(lambda: are("running"), what="running again")
        assert shown()[0]["InstanceType"] == "t3.xlarge"
        if kind != "record":
            until(works, what="sshd again")
            # The disk is the same, what ran there is not.
            text = ssh(
                keys, simulator, kind, shown()[0], "ls ~; pgrep -u $(id -u) -c sleep || true"
            )
            assert text.split() == ["mark", "0"]
            ssh(keys, simulator, kind, shown()[0], "sudo shutdown -h now", False)
            until(lambda: shown()[0]["State"]["Name"] == "stopped", what="the stop from inside")
            assert shown()[0]["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"
        ec2.terminate_instances(InstanceIds=ids)
        until(lambda: are("terminated"), what="terminated")
        verdict = simulator.ledger()
        assert verdict["alive"] == verdict["leaked"] == 0 and verdict["machines"] == 2, verdict
    finally:
        simulator.close()


def test_processes_need_no_root(tmp_path):
    """As nobody: the simulator, its machines and their clean-up."""
    tmp_path.chmod(0o777)
    for folder in itertools.takewhile(lambda one: one != pathlib.Path(tempfile.gettempdir()), tmp_path.parents):
        folder.chmod(folder.stat().st_mode | 0o011)
    state = tmp_path / "state"
    running = subprocess.Popen(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", BIN / "ec2sim"]
        + ["--machines", "process", "--state", state, "--no-throttling"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
    )
    try:
        variables = {}
        for line in running.stdout:
            name, value = line.strip().split("=", 1)
            variables[name] = value
            if name == "AWS_SECRET_ACCESS_KEY":
                break
        assert variables, running.stderr.read()
        project = tmp_path / "project"
        project.mkdir()
        (project / "muster.yml").write_text(
            "pools:\n  p:\n    image: debian-12-amd64\n    types: [t3.large]\n    ssh: {port: 2222}\n"
        )
        (project / ".drone.yml").write_text(
            "kind: pipeline\ntype: vm\nclone: {disable: true}\nsteps: [{name: a, commands: [id -un, echo here]}]\n"
        )
        done = subprocess.run(
            [BIN / "muster", "exec"],
            cwd=project,
            env={"PATH": os.environ["PATH"], "MUSTER_STATE": str(tmp_path / "m"), **variables},
            capture_output=True,
            text=True,
            timeout=60 * PATIENCE,
        )
        assert done.returncode == 0 and "here" in done.stdout, done.stdout + done.stderr
    finally:
        running.terminate()
        running.wait(20 * PATIENCE)


def test_a_reset_begins_anew_and_faults_are_counted():
    simulator = Simulator("--machines", "record", "--no-throttling")
    try:

        def admin(what, body=None):
            request = urllib.request.Request(
                simulator.variables["AWS_ENDPOINT_URL"] + "/_ec2sim/" + what,
                data=None if body is None else json.dumps(body).encode(),
            )
            with urllib.request.urlopen(request) as answer:
                return json.loads(answer.read())

        simulator.launch(count=3)
        admin("faults", {"throttle": 1, "actions": ["DescribeRegions"]})
        with pytest.raises(simulator.ec2.exceptions.ClientError) as caught:
            simulator.ec2.describe_regions()
        assert caught.value.response["Error"]["Code"] == "RequestLimitExceeded"
        admin("faults", {"throttle": 0})
        simulator.ec2.describe_regions()
        # Those of machines are counted like those of calls.
        admin(
            "faults",
            {
                "no_capacity": ["*/c5.large/*"],
                "invisible_for": "1s",
                "flap": 1,
                "hang": 1,
                "interrupt": 1,
            },
        )
        with pytest.raises(simulator.ec2.exceptions.ClientError):
            simulator.launch(InstanceType="c5.large")
        simulator.launch(InstanceMarketOptions={"MarketType": "spot"})
        simulator.ec2.describe_instances()
        lines = (simulator.state / "ledger.jsonl").read_text().splitlines()
        struck = {json.loads(line).get("fault") for line in lines}
        assert {"throttle", "no_capacity", "invisible_for", "flap", "hang", "interrupt"} <= struck
        for wrong in (
            {"actions": ["DescribeRegion"]},
            {"no_capacity": ["a/b"]},
            {"lots": 1},
            {"lost": 2},
        ):
            with pytest.raises(urllib.error.HTTPError) as refusal:
                admin("faults", wrong)
            assert refusal.value.code == 400
        simulator.ec2.create_key_pair(KeyName="gone")
        simulator.ec2.create_launch_template(
            LaunchTemplateName="gone", LaunchTemplateData={"ImageId": PLAIN}
        )
        admin("faults", {"lost": 0.5})
        admin("reset", {})
        assert simulator.ec2.describe_instances()["Reservations"] == []
        assert simulator.ec2.describe_key_pairs()["KeyPairs"] == []
        assert simulator.ec2.describe_launch_templates()["LaunchTemplates"] == []
        assert admin("faults")["lost"] == 0
    finally:
        simulator.close()


def test_replies_that_are_late_or_cut_and_boots_that_take_their_time():
    simulator = Simulator(
        "--machines",
        "record",
        "--no-throttling",
        "--boot-time",
        "5s-6s",
        "--fault",
        "late=1",
        "--fault",
        "late_by=500ms",
        "--fault",
        "actions=DescribeVpcs,DescribeSubnets",
    )
    try:
        started = time.monotonic()
        simulator.ec2.describe_vpcs()
        assert time.monotonic() - started >= 0.5
        request = urllib.request.Request(
            simulator.variables["AWS_ENDPOINT_URL"] + "/_ec2sim/faults",
            data=json.dumps({"late": 0, "cut": 1}).encode(),
        )
        urllib.request.urlopen(request).read()
        with pytest.raises(Exception) as caught:
            simulator.ec2.describe_subnets()
        assert (
            "Connection" in type(caught.value).__name__
            or "Parser" in type(caught.value).__name__
            or "Read" in type(caught.value).__name__
        )
        struck = [
            json.loads(line).get("fault")
            for line in (simulator.state / "ledger.jsonl").read_text().splitlines()
        ]
        assert {"late", "cut"} <= set(struck)
        started = time.monotonic()
        one = simulator.launch(InstanceType="t3.nano")[0]["InstanceId"]
        state = lambda: simulator.ec2.describe_instances(InstanceIds=[one])["Reservations"][0][
            "Instances"
        ][0]["State"]["Name"]
        assert state() == "pending"
        until(lambda: state() == "running", 10, "the boot")
        assert time.monotonic() - started >= 5
    finally:
        simulator.close()


@pytest.mark.parametrize("value", ["soon", "5", "lognormal:1s", "3s-1s"])
def test_a_boot_time_that_is_none(value, tmp_path):
    done = subprocess.run(
        [BIN / "ec2sim", "--machines", "record", "--state", tmp_path, "--boot-time", value],
        capture_output=True,
        text=True,
        timeout=20 * PATIENCE,
    )
    assert done.returncode != 0 and value in done.stderr, done.stderr
