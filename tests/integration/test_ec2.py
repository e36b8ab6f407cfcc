"""EC2's behaviour through boto3, on machines of kind record: no root, no waiting."""

import base64
import json
import urllib.request

import botocore.exceptions
import pytest

from conftest import PLAIN, until

SUBNETS = [f"subnet-0a1b2c3d4e5f6070{n}" for n in (1, 2, 3)]
GROUP = "sg-0d15ea5e0d15ea5e1"


def code_of(call, **parameters):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**parameters)
    return caught.value.response["Error"]["Code"]


def run(ec2, **more):
    request = {"ImageId": PLAIN, "InstanceType": "t3.nano", "MinCount": 1, "MaxCount": 1, **more}
    return ec2.run_instances(**request)["Instances"]


def running(ec2, *ids):
    ec2.get_waiter("instance_running").wait(InstanceIds=ids, WaiterConfig={"Delay": 1})


def shown(ec2, one):
    return ec2.describe_instances(InstanceIds=[one])["Reservations"][0]["Instances"][0]


def found(ec2, name, *values):
    pages = ec2.get_paginator("describe_instances").paginate(
        Filters=[{"Name": name, "Values": list(values)}]
    )
    return {i["InstanceId"] for page in pages for r in page["Reservations"] for i in r["Instances"]}


def admin(record, what, body, method="POST"):
    request = urllib.request.Request(
        record.variables["AWS_ENDPOINT_URL"] + "/_ec2sim/" + what,
        data=json.dumps(body).encode(),
        method=method,
    )
    with urllib.request.urlopen(request) as answer:
        return json.loads(answer.read())


def test_every_filter_of_instances_matches_and_excludes(ec2):
    one = run(
        ec2,
        InstanceType="m5.large",
        ClientToken="filters",
        IamInstanceProfile={"Name": "ci-runner"},
        Monitoring={"Enabled": True},
        EbsOptimized=True,
        MetadataOptions={"HttpTokens": "required"},
        InstanceMarketOptions={"MarketType": "spot"},
        NetworkInterfaces=[
            {"DeviceIndex": 0, "SubnetId": SUBNETS[0], "AssociatePublicIpAddress": True}
        ],
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "a:b", "Value": ""}]}],
    )[0]["InstanceId"]
    running(ec2, one)
    at = shown(ec2, one)
    values = {
        "instance-id": one,
        "instance-state-name": "running",
        "instance-state-code": "16",
        "tag:a:b": "",
        "tag-key": "a:b",
        "client-token": "filters",
        "image-id": PLAIN,
        "instance-type": "m5.*",
        "instance-lifecycle": "spot",
        "spot-instance-request-id": at["SpotInstanceRequestId"],
        "availability-zone": "us-east-1a",
        "availability-zone-id": "use1-az1",
        "subnet-id": SUBNETS[0],
        "vpc-id": at["VpcId"],
        "launch-time": at["LaunchTime"].strftime("%Y-%m-%dT%H*"),
        "private-ip-address": at["PrivateIpAddress"],
        "ip-address": at["PublicIpAddress"],
        "iam-instance-profile.arn": at["IamInstanceProfile"]["Arn"],
        "hibernation-options.configured": "false",
        "instance.group-id": GROUP,
        "instance.group-name": "default",
        "network-interface.network-interface-id": at["NetworkInterfaces"][0]["NetworkInterfaceId"],
        "network-interface.subnet-id": SUBNETS[0],
        "network-interface.vpc-id": at["VpcId"],
        "metadata-options.http-tokens": "required",
        "architecture": "x86_64",
        "private-dns-name": at["PrivateDnsName"],
        "owner-id": "123456789012",
        "platform-details": "Linux/UNIX",
        "root-device-name": "/dev/xvda",
        "root-device-type": "ebs",
        "virtualization-type": "hvm",
        "tenancy": "default",
        "monitoring-state": "enabled",
        "ebs-optimized": "true",
        "launch-index": "0",
        "source-dest-check": "true",
        "block-device-mapping.volume-id": at["BlockDeviceMappings"][0]["Ebs"]["VolumeId"],
        "block-device-mapping.delete-on-termination": "true",
    }
    for name, value in values.items():
        assert one in found(ec2, name, "none", value), name
        assert not found(ec2, name, "none"), name
    ec2.terminate_instances(InstanceIds=[one])


def test_names_of_filters_split_at_the_first_colon_and_stars_can_be_escaped(ec2):
    tag = lambda value: [
        {"ResourceType": "instance", "Tags": [{"Key": "ghr:environment", "Value": value}]}
    ]
    star = run(ec2, TagSpecifications=tag("a*b"))[0]["InstanceId"]
    other = run(ec2, TagSpecifications=tag("axb"))[0]["InstanceId"]
    assert found(ec2, "tag:ghr:environment", "a*b") == {star, other}
    assert found(ec2, "tag:ghr:environment", "a\\*b") == {star}
    assert found(ec2, "tag:GHR:environment", "a*b") == set()
    ec2.terminate_instances(InstanceIds=[star, other])


@pytest.mark.parametrize(
    "listing",
    [
        "describe_instances",
        "describe_instance_status",
        "describe_tags",
        "describe_subnets",
        "describe_security_groups",
        "describe_security_group_rules",
        "describe_instance_types",
        "describe_instance_type_offerings",
        "describe_spot_instance_requests",
        "describe_spot_price_history",
        "describe_volumes",
        "describe_network_interfaces",
        "describe_images",
        "describe_vpcs",
        "describe_launch_templates",
        "describe_key_pairs",
        "describe_regions",
        "describe_availability_zones",
    ],
)
def test_no_listing_takes_a_filter_that_it_does_not_apply(ec2, listing):
    assert (
        code_of(getattr(ec2, listing), Filters=[{"Name": "no-such", "Values": ["x"]}])
        == "InvalidParameterValue"
    )


@pytest.mark.parametrize(
    "listing,smallest",
    [
        ("describe_instances", 5),
        ("describe_instance_types", 5),
        ("describe_instance_type_offerings", 5),
        ("describe_network_interfaces", 5),
        ("describe_volumes", 5),
        ("describe_spot_instance_requests", 5),
        ("describe_tags", 5),
        ("describe_images", 1),
        ("describe_spot_price_history", 1),
    ],
)
def test_pages_join_to_the_whole(ec2, listing, smallest):
    made = [
        run(
            ec2,
            InstanceMarketOptions={"MarketType": "spot"},
            TagSpecifications=[
                {"ResourceType": "instance", "Tags": [{"Key": "n", "Value": str(n)}]}
            ],
        )[0]["InstanceId"]
        for n in range(7)
    ]
    paginator = ec2.get_paginator(listing)
    key = paginator.result_keys[0].expression
    flat = lambda items: (
        [i["InstanceId"] for r in items for i in r["Instances"]] if key == "Reservations" else items
    )
    whole = flat(paginator.paginate().build_full_result()[key])
    pages = [
        flat(page[key]) for page in paginator.paginate(PaginationConfig={"PageSize": smallest})
    ]
    assert [one for page in pages for one in page] == whole
    assert all(len(page) <= smallest for page in pages)
    ec2.terminate_instances(InstanceIds=made)


def test_waiters(ec2):
    ec2.create_key_pair(KeyName="waiters")
    one = run(ec2, InstanceMarketOptions={"MarketType": "spot"})[0]
    gone = run(ec2)[0]["InstanceId"]
    ec2.terminate_instances(InstanceIds=[gone])
    quick = {"Delay": 1, "MaxAttempts": 5}
    for name, what in {
        "instance_exists": {"InstanceIds": [one["InstanceId"]]},
        "instance_running": {"InstanceIds": [one["InstanceId"]]},
        "instance_terminated": {"InstanceIds": [gone]},
        "key_pair_exists": {"KeyNames": ["waiters"]},
        "security_group_exists": {"GroupIds": [GROUP]},
        "vpc_exists": {"VpcIds": [one["VpcId"]]},
        "instance_status_ok": {"InstanceIds": [one["InstanceId"]]},
        "image_available": {"ImageIds": [PLAIN]},
        "subnet_available": {"SubnetIds": SUBNETS},
        "spot_instance_request_fulfilled": {
            "SpotInstanceRequestIds": [one["SpotInstanceRequestId"]]
        },
    }.items():
        ec2.get_waiter(name).wait(WaiterConfig=quick, **what)
    with pytest.raises(botocore.exceptions.WaiterError, match="terminal failure"):
        ec2.get_waiter("instance_running").wait(InstanceIds=[gone], WaiterConfig=quick)
    with pytest.raises(botocore.exceptions.WaiterError, match="Max attempts"):
        ec2.get_waiter("key_pair_exists").wait(
            KeyNames=["none"], WaiterConfig={"Delay": 1, "MaxAttempts": 2}
        )


def test_template_data_comes_back_as_given(ec2):
    data = {
        "ImageId": "ami-def456",
        "KeyName": "k",
        "UserData": "eA==",
        "EbsOptimized": True,
        "NetworkInterfaces": [
            {"DeviceIndex": 0, "Groups": ["sg-1", "sg-2"], "SubnetId": "subnet-1"}
        ],
        "BlockDeviceMappings": [
            {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 20, "VolumeType": "gp3"}}
        ],
        "TagSpecifications": [
            {
                "ResourceType": "instance",
                "Tags": [{"Key": f"k{n:02}", "Value": str(n)} for n in range(12)],
            }
        ],
    }
    ec2.create_launch_template(LaunchTemplateName="exact", LaunchTemplateData=data)
    versions = ec2.describe_launch_template_versions(LaunchTemplateName="exact")[
        "LaunchTemplateVersions"
    ]
    assert versions[0]["LaunchTemplateData"] == data
    alone = ec2.create_launch_template_version(
        LaunchTemplateName="exact", LaunchTemplateData={"KeyName": "x"}
    )
    assert alone["LaunchTemplateVersion"]["LaunchTemplateData"] == {"KeyName": "x"}
    assert code_of(ec2.describe_launch_template_versions, Versions=["1"]) == "InvalidParameterValue"
    assert (
        code_of(ec2.delete_launch_template, LaunchTemplateId="lt-x", LaunchTemplateName="exact")
        == "InvalidParameterCombination"
    )


def fleet(ec2, overrides, count=1, kind="on-demand", name="fleet", **more):
    config = {
        "LaunchTemplateSpecification": {"LaunchTemplateName": name, "Version": "$Latest"},
        "Overrides": overrides,
    }
    return ec2.create_fleet(
        **{
            "Type": "instant",
            "LaunchTemplateConfigs": [config],
            "TargetCapacitySpecification": {
                "TotalTargetCapacity": count,
                "DefaultTargetCapacityType": kind,
            },
            **more,
        }
    )


@pytest.fixture(scope="module")
def template(record):
    record.ec2.create_launch_template(
        LaunchTemplateName="fleet",
        LaunchTemplateData={
            "ImageId": PLAIN,
            "InstanceType": "t3.nano",
            "TagSpecifications": [
                {
                    "ResourceType": "instance",
                    "Tags": [
                        {"Key": "own", "Value": "template"},
                        {"Key": "both", "Value": "template"},
                    ],
                }
            ],
        },
    )


def test_a_fleet_goes_on_after_a_full_pool(record, ec2, template):
    admin(record, "faults", {"no_capacity": ["on-demand/c5.large/us-east-1a"]}, "PUT")
    made = fleet(
        ec2,
        [
            {
                "InstanceType": "c5.large",
                "SubnetId": SUBNETS[0],
                "AvailabilityZone": "us-east-1a",
                "Priority": 1,
            },
            {
                "InstanceType": "t3.small",
                "SubnetId": SUBNETS[1],
                "AvailabilityZone": "us-east-1b",
                "Priority": 2,
            },
        ],
        2,
        OnDemandOptions={"AllocationStrategy": "prioritized"},
    )
    admin(record, "faults", {"no_capacity": []}, "PUT")
    (failure,) = made["Errors"]
    assert (failure["ErrorCode"], failure["Lifecycle"]) == (
        "InsufficientInstanceCapacity",
        "on-demand",
    )
    assert (
        failure["LaunchTemplateAndOverrides"]["Overrides"]["SubnetId"] == SUBNETS[0]
        and failure["ErrorMessage"]
    )
    (group,) = made["Instances"]
    assert group["InstanceType"] == "t3.small" and len(group["InstanceIds"]) == 2
    assert group["LaunchTemplateAndOverrides"]["LaunchTemplateSpecification"]["Version"] == "1"
    tags = {tag["Key"]: tag["Value"] for tag in shown(ec2, group["InstanceIds"][0])["Tags"]}
    assert tags["own"] == "template" and tags["aws:ec2launchtemplate:version"] == "1"
    assert tags["aws:ec2:fleet-id"] == made["FleetId"]


def test_a_fleet_is_replayed_and_its_tags_win(ec2, template):
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "both", "Value": "fleet"}]}]
    again = [
        fleet(ec2, [{"SubnetId": SUBNETS[0]}], 2, ClientToken="fleet", TagSpecifications=tags)
        for _ in range(2)
    ]
    assert (
        again[0]["FleetId"] == again[1]["FleetId"]
        and again[0]["Instances"] == again[1]["Instances"]
    )
    with pytest.raises(botocore.exceptions.ClientError, match="IdempotentParameterMismatch"):
        fleet(ec2, [{"SubnetId": SUBNETS[0]}], 3, ClientToken="fleet", TagSpecifications=tags)
    shows = {
        t["Key"]: t["Value"] for t in shown(ec2, again[0]["Instances"][0]["InstanceIds"][0])["Tags"]
    }
    assert shows["both"] == "fleet" and shows["own"] == "template"


def test_weights_and_least_capacity(ec2, template):
    made = fleet(
        ec2, [{"InstanceType": "t3.large", "SubnetId": SUBNETS[0], "WeightedCapacity": 2}], 3
    )
    assert len(made["Instances"][0]["InstanceIds"]) == 2
    none = fleet(
        ec2,
        [{"InstanceType": "m5.2xlarge", "SubnetId": SUBNETS[0]}],
        200,
        OnDemandOptions={
            "MinTargetCapacity": 200,
            "SingleInstanceType": True,
            "SingleAvailabilityZone": True,
        },
    )
    assert none["Instances"] == [] and none["Errors"][0]["ErrorCode"] == "VcpuLimitExceeded"


def test_a_persistent_request_replaces_its_machine_until_it_is_cancelled(ec2):
    one = run(
        ec2,
        InstanceMarketOptions={
            "MarketType": "spot",
            "SpotOptions": {
                "SpotInstanceType": "persistent",
                "InstanceInterruptionBehavior": "stop",
            },
        },
    )[0]
    asked = one["SpotInstanceRequestId"]
    request = lambda: ec2.describe_spot_instance_requests(SpotInstanceRequestIds=[asked])[
        "SpotInstanceRequests"
    ][0]
    running(ec2, one["InstanceId"])
    ec2.stop_instances(InstanceIds=[one["InstanceId"]])
    until(lambda: shown(ec2, one["InstanceId"])["State"]["Name"] == "stopped")
    ec2.start_instances(InstanceIds=[one["InstanceId"]])
    running(ec2, one["InstanceId"])
    ec2.terminate_instances(InstanceIds=[one["InstanceId"]])
    second = request()["InstanceId"]
    assert second != one["InstanceId"] and request()["State"] == "active"
    running(ec2, second)
    ec2.cancel_spot_instance_requests(SpotInstanceRequestIds=[asked])
    assert request()["Status"]["Code"] == "request-canceled-and-instance-running"
    ec2.terminate_instances(InstanceIds=[second])
    until(
        lambda: not found(ec2, "spot-instance-request-id", asked)
        & found(ec2, "instance-state-name", "pending", "running")
    )
    assert request()["State"] == "cancelled"


def test_an_interrupted_machine_that_ec2_stopped_is_ec2s_to_start(record, ec2):
    one = run(
        ec2,
        InstanceMarketOptions={
            "MarketType": "spot",
            "SpotOptions": {
                "SpotInstanceType": "persistent",
                "InstanceInterruptionBehavior": "stop",
            },
        },
    )[0]["InstanceId"]
    running(ec2, one)
    admin(record, "interrupt", {"instance_id": one, "action": "stop", "notice": "1s"})
    until(lambda: shown(ec2, one)["State"]["Name"] == "stopped")
    assert shown(ec2, one)["StateReason"]["Code"] == "Server.SpotInstanceShutdown"
    assert code_of(ec2.start_instances, InstanceIds=[one]) == "IncorrectSpotRequestState"


def test_one_protected_machine_keeps_those_of_its_zone(ec2):
    place = lambda zone, **more: run(ec2, Placement={"AvailabilityZone": zone}, **more)[0][
        "InstanceId"
    ]
    beside, kept, elsewhere = (
        place("us-east-1a"),
        place("us-east-1a", DisableApiTermination=True),
        place("us-east-1b"),
    )
    assert (
        code_of(ec2.terminate_instances, InstanceIds=[beside, kept, elsewhere])
        == "OperationNotPermitted"
    )
    assert shown(ec2, beside)["State"]["Name"] in ("pending", "running")
    assert shown(ec2, elsewhere)["State"]["Name"] in ("shutting-down", "terminated")


def test_interfaces_and_volumes_can_outlive_their_machine(ec2):
    one = run(
        ec2,
        BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"DeleteOnTermination": False}}],
        NetworkInterfaces=[
            {"DeviceIndex": 0, "SubnetId": SUBNETS[0], "DeleteOnTermination": False}
        ],
    )[0]
    running(ec2, one["InstanceId"])
    volume = shown(ec2, one["InstanceId"])["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    interface = one["NetworkInterfaces"][0]["NetworkInterfaceId"]
    assert code_of(ec2.delete_volume, VolumeId=volume) == "VolumeInUse"
    assert (
        code_of(ec2.delete_network_interface, NetworkInterfaceId=interface)
        == "InvalidParameterValue"
    )
    ec2.terminate_instances(InstanceIds=[one["InstanceId"]])
    quick = {"Delay": 1, "MaxAttempts": 10}
    ec2.get_waiter("network_interface_available").wait(
        NetworkInterfaceIds=[interface], WaiterConfig=quick
    )
    ec2.get_waiter("volume_available").wait(VolumeIds=[volume], WaiterConfig=quick)
    ec2.delete_network_interface(NetworkInterfaceId=interface)
    ec2.delete_volume(VolumeId=volume)


def test_a_lost_answer_and_its_repetition_are_one_machine(record, ec2):
    admin(record, "faults", {"lost": 1, "actions": ["RunInstances"]}, "PUT")
    with pytest.raises(botocore.exceptions.HTTPClientError):
        run(ec2, ClientToken="lost")
    admin(record, "faults", {"lost": 0, "actions": ["*"]}, "PUT")
    assert {one["InstanceId"] for one in run(ec2, ClientToken="lost")} == found(
        ec2, "client-token", "lost"
    )


def test_both_spellings_of_an_attribute(ec2):
    one = run(ec2)[0]["InstanceId"]
    read = lambda: ec2.describe_instance_attribute(
        InstanceId=one, Attribute="disableApiTermination"
    )["DisableApiTermination"]["Value"]
    ec2.modify_instance_attribute(InstanceId=one, DisableApiTermination={"Value": True})
    assert read()
    ec2.modify_instance_attribute(InstanceId=one, Attribute="disableApiTermination", Value="false")
    assert not read()
    ec2.terminate_instances(InstanceIds=[one])


def test_key_fingerprints_are_those_of_ssh_keygen(ec2, tmp_path):
    import subprocess

    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True
    )
    made = ec2.import_key_pair(KeyName="fp", PublicKeyMaterial=(tmp_path / "key.pub").read_bytes())
    said = subprocess.run(
        ["ssh-keygen", "-lf", tmp_path / "key.pub"], capture_output=True, text=True
    ).stdout
    assert base64.b64decode(made["KeyFingerprint"]) == base64.b64decode(
        said.split()[1][len("SHA256:") :] + "="
    )


def test_groups_of_a_terminated_instance(record):
    one = run(record.ec2)[0]["InstanceId"]
    running(record.ec2, one)
    record.ec2.terminate_instances(InstanceIds=[one])
    record.ec2.get_waiter("instance_terminated").wait(InstanceIds=[one], WaiterConfig={"Delay": 1})
    assert (
        code_of(record.ec2.modify_instance_attribute, InstanceId=one, Groups=[GROUP])
        == "IncorrectInstanceState"
    )


def test_latest_after_the_latest_was_deleted(record):
    record.ec2.create_launch_template(
        LaunchTemplateName="latest-lost", LaunchTemplateData={"ImageId": PLAIN}
    )
    record.ec2.create_launch_template_version(
        LaunchTemplateName="latest-lost", LaunchTemplateData={"KeyName": "x"}
    )
    record.ec2.delete_launch_template_versions(LaunchTemplateName="latest-lost", Versions=["2"])
    shows = record.ec2.describe_launch_template_versions(
        LaunchTemplateName="latest-lost", Versions=["$Latest"]
    )["LaunchTemplateVersions"]
    assert [one["VersionNumber"] for one in shows] == [1]


def test_far_dates(record):
    record.ec2.describe_spot_price_history(EndTime="9999-12-31T23:59:59Z", MaxResults=5)


def test_source_version_keeps_whole_structures(record):
    data = {
        "ImageId": PLAIN,
        "TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "a", "Value": "b"}]}],
    }
    record.ec2.create_launch_template(LaunchTemplateName="src", LaunchTemplateData=data)
    made = record.ec2.create_launch_template_version(
        LaunchTemplateName="src", SourceVersion="1", LaunchTemplateData={"KeyName": "k"}
    )
    assert made["LaunchTemplateVersion"]["LaunchTemplateData"] == {**data, "KeyName": "k"}


def test_a_sweep_while_paging_sees_all(record):
    made = {
        one["InstanceId"]
        for one in run(
            record.ec2,
            MinCount=12,
            MaxCount=12,
            TagSpecifications=[
                {"ResourceType": "instance", "Tags": [{"Key": "sweep", "Value": "1"}]}
            ],
        )
    }
    running(record.ec2, *made)
    seen = set()
    for page in record.ec2.get_paginator("describe_instances").paginate(
        Filters=[
            {"Name": "instance-state-name", "Values": ["running"]},
            {"Name": "tag:sweep", "Values": ["1"]},
        ],
        PaginationConfig={"PageSize": 5},
    ):
        ids = [i["InstanceId"] for r in page["Reservations"] for i in r["Instances"]]
        seen.update(ids)
        record.ec2.terminate_instances(InstanceIds=ids)
    assert seen == made


def test_version_token_replay(record):
    record.ec2.create_launch_template(
        LaunchTemplateName="tok", LaunchTemplateData={"ImageId": PLAIN}
    )
    new = lambda token, key: record.ec2.create_launch_template_version(
        LaunchTemplateName="tok", ClientToken=token, LaunchTemplateData={"KeyName": key}
    )["LaunchTemplateVersion"]["VersionNumber"]
    assert [new("A", "a"), new("B", "b"), new("A", "a")] == [2, 3, 2]
