"""A whole life by AWS's own clients, unmodified."""
import json
import os
import subprocess

from conftest import TOP, until


def aws(shared, *words):
    environment = {**os.environ, **shared.variables}
    done = subprocess.run([TOP / "build/venv/bin/aws", "ec2", "--output", "json", *words], env=environment,
                          capture_output=True, text=True, timeout=120)
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
