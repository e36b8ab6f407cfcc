"""A whole life by AWS's own clients, unmodified."""
import json
import os
import subprocess

import pytest

from conftest import PATIENCE, PLAIN, TOP, Simulator, until
from test_kinds import ssh


def aws(shared, *words):
    environment = {**os.environ, **shared.variables}
    done = subprocess.run([TOP / "build/venv/bin/aws", "ec2", "--output", "json", *words], env=environment,
                          capture_output=True, text=True, timeout=120 * PATIENCE)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if done.stdout.strip() else None


def test_the_command_line(shared, keys, tmp_path):
    images = aws(shared, "describe-images", "--owners", "self", "--filters", "Name=name,Values=debian-12-amd64",
                 "Name=architecture,Values=x86_64")["Images"]
    assert len(images) == 1 and images[0]["State"] == "available"
    (tmp_path / "data").write_text(keys.user_data("runcmd: [[touch, /ran]]\n"))
    made = aws(shared, "run-instances", "--image-id", images[0]["ImageId"], "--instance-type", "t3.large", "--count", "2",
               "--user-data", f"file://{tmp_path}/data", "--tag-specifications",
               "ResourceType=instance,Tags=[{Key=team,Value=ci}]")["Instances"]
    ids = [one["InstanceId"] for one in made]
    aws(shared, "wait", "instance-running", "--instance-ids", *ids)
    found = aws(shared, "describe-instances", "--filters", "Name=tag:team,Values=ci", "Name=instance-state-name,Values=running")
    assert {i["InstanceId"] for r in found["Reservations"] for i in r["Instances"]} == set(ids)
    console = aws(shared, "get-console-output", "--latest", "--instance-id", ids[0])["Output"]
    assert console is not None
    for one in made:
        assert keys.run(shared, one, "until test -e /ran; do sleep 0.1; done; id -un") == "admin\n"
    aws(shared, "create-tags", "--resources", *ids, "--tags", "Key=more,Value=tags")
    aws(shared, "terminate-instances", "--instance-ids", *ids)
    aws(shared, "wait", "instance-terminated", "--instance-ids", *ids)


def test_boto3(shared, keys):
    image = shared.ec2.describe_images(Owners=["self"], Filters=[{"Name": "name", "Values": ["debian-*-arm64"]}])["Images"][0]
    assert image["Architecture"] == "arm64" and image["RootDeviceType"] == "ebs"
    made = shared.launch(count=2, UserData=keys.user_data(), TagSpecifications=[
        {"ResourceType": kind, "Tags": [{"Key": "k", "Value": "v"}]} for kind in ("instance", "volume")])
    ids = [one["InstanceId"] for one in made]
    shared.ec2.get_waiter("instance_running").wait(InstanceIds=ids)
    seen = shared.ec2.describe_instances(InstanceIds=ids)["Reservations"][0]["Instances"]
    for one in seen:
        assert one["BlockDeviceMappings"][0]["DeviceName"] == "/dev/xvda"
        assert one["NetworkInterfaces"][0]["PrivateIpAddress"] == one["PrivateIpAddress"]
        assert one["MetadataOptions"]["HttpTokens"] == "required"
        assert keys.run(shared, one, "echo up") == "up\n"
    shared.ec2.terminate_instances(InstanceIds=ids)
    shared.ec2.get_waiter("instance_terminated").wait(InstanceIds=ids)
    assert shared.ec2.describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["true"]}])["Subnets"][0]["VpcId"]
    assert shared.ec2.describe_security_groups(GroupNames=["default"])["SecurityGroups"][0]["IpPermissions"]


@pytest.mark.parametrize("kind", ["record", "process", "namespace"])
def test_a_whole_life_by_the_command_line(kind, keys, tmp_path):
    simulator = Simulator("--machines", kind, "--no-throttling")
    try:
        ask = lambda *words: aws(simulator, *words)
        (tmp_path / "me.pub").write_text(keys.public)
        ask("import-key-pair", "--key-name", "me", "--public-key-material", f"fileb://{tmp_path}/me.pub")
        ask("create-launch-template", "--launch-template-name", "life", "--launch-template-data",
            json.dumps({"ImageId": PLAIN, "InstanceType": "t3.large", "KeyName": "me"}))
        (tmp_path / "configs").write_text(json.dumps([{
            "LaunchTemplateSpecification": {"LaunchTemplateName": "life", "Version": "$Latest"},
            "Overrides": [{"InstanceType": "t3.large"}]}]))
        fleet = ask("create-fleet", "--type", "instant", "--launch-template-configs", f"file://{tmp_path}/configs",
                    "--target-capacity-specification", "TotalTargetCapacity=1,DefaultTargetCapacityType=on-demand",
                    "--tag-specifications", "ResourceType=instance,Tags=[{Key=team,Value=ci}]")
        one = fleet["Instances"][0]["InstanceIds"][0]
        ask("wait", "instance-running", "--instance-ids", one)
        ask("create-tags", "--resources", one, "--tags", "Key=more,Value=tags")
        shown = ask("describe-instances", "--instance-ids", one)["Reservations"][0]["Instances"][0]
        assert {"team": "ci", "more": "tags"}.items() <= {t["Key"]: t["Value"] for t in shown["Tags"]}.items()
        assert shown["KeyName"] == "me"
        if kind != "record":
            until(lambda: ssh(keys, simulator, kind, shown, "true", check=False).returncode == 0, 20, "SSH")
            assert ssh(keys, simulator, kind, shown, "id -un; echo kept > kept").strip() == "admin"
        ask("stop-instances", "--instance-ids", one)
        ask("wait", "instance-stopped", "--instance-ids", one)
        ask("modify-instance-attribute", "--instance-id", one, "--instance-type", "Value=m5.large")
        ask("start-instances", "--instance-ids", one)
        ask("wait", "instance-running", "--instance-ids", one)
        shown = ask("describe-instances", "--instance-ids", one)["Reservations"][0]["Instances"][0]
        assert shown["InstanceType"] == "m5.large"
        if kind != "record":
            until(lambda: ssh(keys, simulator, kind, shown, "cat kept", check=False).stdout == "kept\n", 20, "the disk")
        ask("terminate-instances", "--instance-ids", one)
        ask("wait", "instance-terminated", "--instance-ids", one)
        ask("delete-launch-template", "--launch-template-name", "life")
        ask("delete-key-pair", "--key-name", "me")
        assert simulator.ledger()["alive"] == 0
    finally:
        simulator.close()
