"""What other clients of EC2 rely on (ec2-clients.md 4), and the actions no other test calls, by boto3 on records."""

import urllib.error
import urllib.request

import botocore.config
import botocore.exceptions
import pytest

from conftest import PLAIN, until
from test_ec2 import code_of, run, running, shown

GROUP = "sg-0d15ea5e0d15ea5e1"


def changed(ec2, action, change):
    """Has `change` alter the form of the next calls of the action."""
    name = f"before-call.ec2.{action}"

    def alter(params, **_):
        change(params["body"])

    ec2.meta.events.register(name, alter)
    return lambda: ec2.meta.events.unregister(name, alter)


def test_networks_from_making_to_deletion(ec2):
    vpc = ec2.create_vpc(
        CidrBlock="10.77.0.0/16",
        TagSpecifications=[{"ResourceType": "vpc", "Tags": [{"Key": "a", "Value": "b"}]}],
    )["Vpc"]
    assert vpc["CidrBlock"] == "10.77.0.0/16" and vpc["Tags"] == [{"Key": "a", "Value": "b"}]
    subnet = ec2.create_subnet(VpcId=vpc["VpcId"], CidrBlock="10.77.1.0/24", AvailabilityZone="us-east-1b")[
        "Subnet"
    ]
    assert subnet["AvailableIpAddressCount"] == 251 and subnet["AvailabilityZone"] == "us-east-1b"
    group = ec2.create_security_group(GroupName="inner", Description="d", VpcId=vpc["VpcId"])["GroupId"]
    made = run(ec2, SubnetId=subnet["SubnetId"], SecurityGroupIds=[group])[0]
    assert made["VpcId"] == vpc["VpcId"] and made["PrivateIpAddress"].startswith("10.77.1.")
    assert code_of(ec2.delete_subnet, SubnetId=subnet["SubnetId"]) == "DependencyViolation"
    assert code_of(ec2.delete_vpc, VpcId=vpc["VpcId"]) == "DependencyViolation"
    ec2.terminate_instances(InstanceIds=[made["InstanceId"]])
    ec2.get_waiter("instance_terminated").wait(InstanceIds=[made["InstanceId"]], WaiterConfig={"Delay": 1})
    ec2.delete_security_group(GroupId=group)
    ec2.delete_subnet(SubnetId=subnet["SubnetId"])
    ec2.delete_vpc(VpcId=vpc["VpcId"])
    assert code_of(ec2.describe_vpcs, VpcIds=[vpc["VpcId"]]) == "InvalidVpcID.NotFound"


def test_rules_of_a_group(ec2):
    group = ec2.create_security_group(GroupName="rules", Description="d")["GroupId"]
    ssh = {
        "IpProtocol": "tcp",
        "FromPort": 22,
        "ToPort": 22,
        "IpRanges": [{"CidrIp": "10.0.0.0/8", "Description": "in"}],
    }
    by_name = ec2.authorize_security_group_ingress(GroupName="rules", IpPermissions=[ssh])
    assert by_name["SecurityGroupRules"][0]["GroupId"] == group
    ec2.authorize_security_group_egress(
        GroupId=group,
        IpPermissions=[
            {"IpProtocol": "udp", "FromPort": 53, "ToPort": 53, "IpRanges": [{"CidrIp": "10.0.0.2/32"}]}
        ],
    )
    ec2.authorize_security_group_ingress(
        GroupId=group,
        IpPermissions=[{"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group}]}],
    )
    told = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]
    assert {rule["IpProtocol"] for rule in told["IpPermissions"]} == {"tcp", "-1"}
    assert {rule["IpProtocol"] for rule in told["IpPermissionsEgress"]} == {"udp", "-1"}
    rules = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group]}])[
        "SecurityGroupRules"
    ]
    assert len(rules) == 4 and all(rule["SecurityGroupRuleId"].startswith("sgr-") for rule in rules)
    ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[ssh])
    outwards = [rule["SecurityGroupRuleId"] for rule in rules if rule["IsEgress"]]
    ec2.revoke_security_group_egress(GroupId=group, SecurityGroupRuleIds=outwards)
    told = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]
    assert told["IpPermissionsEgress"] == [] and len(told["IpPermissions"]) == 1
    ec2.delete_security_group(GroupId=group)
    assert code_of(ec2.describe_security_groups, GroupIds=[group]) == "InvalidGroup.NotFound"


def test_a_spot_request_of_its_own(ec2):
    asked = ec2.request_spot_instances(
        SpotPrice="0.05",
        Type="persistent",
        LaunchSpecification={"ImageId": PLAIN, "InstanceType": "t3.nano"},
        TagSpecifications=[{"ResourceType": "spot-instances-request", "Tags": [{"Key": "a", "Value": "b"}]}],
    )["SpotInstanceRequests"][0]
    assert asked["Type"] == "persistent" and asked["Tags"] == [{"Key": "a", "Value": "b"}]
    told = until(
        lambda: [
            one
            for one in ec2.describe_spot_instance_requests(
                SpotInstanceRequestIds=[asked["SpotInstanceRequestId"]]
            )["SpotInstanceRequests"]
            if one["State"] == "active"
        ]
    )[0]
    assert told["Status"]["Code"] == "fulfilled" and told["InstanceId"].startswith("i-")
    ec2.cancel_spot_instance_requests(SpotInstanceRequestIds=[asked["SpotInstanceRequestId"]])
    ec2.terminate_instances(InstanceIds=[told["InstanceId"]])


def test_images_and_templates_take_their_tags_with_them(ec2):
    image = ec2.copy_image(Name="tagged copy", SourceImageId=PLAIN, SourceRegion="us-east-1")["ImageId"]
    template = ec2.create_launch_template(LaunchTemplateName="tagged", LaunchTemplateData={"ImageId": PLAIN})[
        "LaunchTemplate"
    ]["LaunchTemplateId"]
    key = ec2.create_key_pair(KeyName="tagged")["KeyPairId"]
    ec2.create_tags(
        Resources=[image, template, key], Tags=[{"Key": "sweep", "Value": "1"}, {"Key": "kept", "Value": ""}]
    )
    ec2.delete_tags(Resources=[image, template, key], Tags=[{"Key": "kept"}])

    def swept():
        return {
            one["ResourceId"]
            for one in ec2.describe_tags(Filters=[{"Name": "key", "Values": ["sweep", "kept"]}])["Tags"]
        }

    assert swept() == {image, template, key}
    ec2.deregister_image(ImageId=image)
    ec2.delete_launch_template(LaunchTemplateId=template)
    ec2.delete_key_pair(KeyName="tagged")
    ec2.delete_key_pair(KeyName="tagged")  # An unknown one is no error.
    assert swept() == set()


def test_the_default_version_of_a_template(ec2):
    ec2.create_launch_template(
        LaunchTemplateName="versions", LaunchTemplateData={"ImageId": PLAIN, "InstanceType": "t3.nano"}
    )
    ec2.create_launch_template_version(
        LaunchTemplateName="versions", SourceVersion="1", LaunchTemplateData={"InstanceType": "t3.micro"}
    )
    by_template = dict(MinCount=1, MaxCount=1)
    first = ec2.run_instances(LaunchTemplate={"LaunchTemplateName": "versions"}, **by_template)["Instances"][
        0
    ]
    ec2.modify_launch_template(LaunchTemplateName="versions", DefaultVersion="2")
    second = ec2.run_instances(LaunchTemplate={"LaunchTemplateName": "versions"}, **by_template)["Instances"][
        0
    ]
    assert (first["InstanceType"], second["InstanceType"]) == ("t3.nano", "t3.micro")
    tags = {tag["Key"]: tag["Value"] for tag in second["Tags"]}
    assert tags["aws:ec2launchtemplate:version"] == "2" and tags["aws:ec2launchtemplate:id"].startswith("lt-")
    ec2.terminate_instances(InstanceIds=[first["InstanceId"], second["InstanceId"]])


def test_metadata_options_and_reboot(ec2):
    one = run(ec2)[0]["InstanceId"]
    running(ec2, one)
    ec2.modify_instance_metadata_options(
        InstanceId=one, HttpTokens="required", HttpPutResponseHopLimit=3, InstanceMetadataTags="enabled"
    )
    options = shown(ec2, one)["MetadataOptions"]
    assert (options["HttpTokens"], options["HttpPutResponseHopLimit"], options["InstanceMetadataTags"]) == (
        "required",
        3,
        "enabled",
    )
    ec2.reboot_instances(InstanceIds=[one])
    assert shown(ec2, one)["State"]["Name"] == "running"
    ec2.terminate_instances(InstanceIds=[one])


def test_fleets_are_deleted_with_their_machines(ec2):
    ec2.create_launch_template(
        LaunchTemplateName="for-fleets",
        LaunchTemplateData={
            "ImageId": PLAIN,
            "InstanceType": "t3.nano",
            "IamInstanceProfile": {"Arn": "arn:aws:iam::000000000000:instance-profile/none"},
        },
    )
    made = ec2.create_fleet(
        Type="instant",
        LaunchTemplateConfigs=[
            {
                "LaunchTemplateSpecification": {"LaunchTemplateName": "for-fleets", "Version": "$Latest"},
                "Overrides": [],
            }
        ],
        TargetCapacitySpecification={"TotalTargetCapacity": 1, "DefaultTargetCapacityType": "on-demand"},
    )
    # The profile of the template does not exist: an error of its own, with the template's name.
    assert (
        made["Errors"][0]["ErrorCode"] == "InvalidParameterValue"
        and "IAM Instance Profile" in made["Errors"][0]["ErrorMessage"]
    )
    assert (
        made["Errors"][0]["LaunchTemplateAndOverrides"]["LaunchTemplateSpecification"]["LaunchTemplateName"]
        == "for-fleets"
    )
    ec2.create_launch_template_version(
        LaunchTemplateName="for-fleets", LaunchTemplateData={"ImageId": PLAIN, "InstanceType": "t3.nano"}
    )
    made = ec2.create_fleet(
        Type="instant",
        LaunchTemplateConfigs=[
            {
                "LaunchTemplateSpecification": {"LaunchTemplateName": "for-fleets", "Version": "$Latest"},
                "Overrides": [],
            }
        ],
        TargetCapacitySpecification={"TotalTargetCapacity": 2, "DefaultTargetCapacityType": "on-demand"},
    )
    ids = [one for group in made["Instances"] for one in group["InstanceIds"]]
    assert (
        len(ids) == 2
        and made["Instances"][0]["LaunchTemplateAndOverrides"]["LaunchTemplateSpecification"]["Version"]
        == "2"
    )
    gone = ec2.delete_fleets(FleetIds=[made["FleetId"]], TerminateInstances=True)
    assert gone["SuccessfulFleetDeletions"][0]["FleetId"] == made["FleetId"]
    ec2.get_waiter("instance_terminated").wait(InstanceIds=ids, WaiterConfig={"Delay": 1})


def test_placement_scores_and_the_account(ec2):
    scores = ec2.get_spot_placement_scores(
        InstanceTypes=["t3.nano", "m5.large"], TargetCapacity=4, SingleAvailabilityZone=True
    )
    assert scores["SpotPlacementScores"] and all(
        1 <= one["Score"] <= 10 for one in scores["SpotPlacementScores"]
    )
    account = {
        one["AttributeName"]: one["AttributeValues"][0]["AttributeValue"]
        for one in ec2.describe_account_attributes()["AccountAttributes"]
    }
    assert (
        account["default-vpc"]
        == ec2.describe_vpcs(Filters=[{"Name": "isDefault", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    )


# What other clients break on, by the numbers of ec2-clients.md 4.


def test_1_empty_values_count_as_absent(ec2):
    undo = changed(ec2, "CreateSecurityGroup", lambda body: body.update(VpcId=""))
    group = ec2.create_security_group(GroupName="empty vpc", Description="d")["GroupId"]
    undo()
    ec2.delete_security_group(GroupId=group)
    undo = changed(
        ec2,
        "RequestSpotInstances",
        lambda body: body.update(
            {
                "LaunchSpecification.IamInstanceProfile.Name": "",
                "LaunchSpecification.SubnetId": "",
                "LaunchSpecification.Placement.AvailabilityZone": "",
                "LaunchSpecification.UserData": "",
            }
        ),
    )
    asked = ec2.request_spot_instances(LaunchSpecification={"ImageId": PLAIN, "InstanceType": "t3.nano"})
    undo()
    assert asked["SpotInstanceRequests"][0]["SpotInstanceRequestId"]
    undo = changed(
        ec2,
        "CreateLaunchTemplate",
        lambda body: body.update(
            {"LaunchTemplateData.UserData": "", "LaunchTemplateData.IamInstanceProfile.Name": ""}
        ),
    )
    ec2.create_launch_template(
        LaunchTemplateName="empty", LaunchTemplateData={"ImageId": PLAIN, "InstanceType": "t3.nano"}
    )
    undo()
    data = ec2.describe_launch_template_versions(LaunchTemplateName="empty")["LaunchTemplateVersions"][0][
        "LaunchTemplateData"
    ]
    assert "UserData" not in data and "IamInstanceProfile" not in data


def test_4_ids_and_filters_are_both_conditions(ec2):
    one, two = run(ec2, MinCount=2, MaxCount=2, SecurityGroupIds=[GROUP])
    ec2.create_tags(Resources=[one["InstanceId"]], Tags=[{"Key": "ghr:environment", "Value": "x"}])
    told = ec2.describe_instances(
        InstanceIds=[one["InstanceId"], two["InstanceId"]],
        Filters=[{"Name": "tag:ghr:environment", "Values": ["x"]}],
    )
    assert [i["InstanceId"] for r in told["Reservations"] for i in r["Instances"]] == [one["InstanceId"]]
    zones = ec2.describe_subnets(Filters=[{"Name": "availabilityZone", "Values": ["us-east-1b"]}])["Subnets"]
    assert zones and all(subnet["AvailabilityZone"] == "us-east-1b" for subnet in zones)
    ec2.terminate_instances(InstanceIds=[one["InstanceId"], two["InstanceId"]])


def test_6_images_by_parameter(record, ec2):
    ssm = record.client("ssm")
    ssm.put_parameter(Name="/ci/image", Value=PLAIN, Type="String")
    ec2.create_launch_template(
        LaunchTemplateName="by-parameter",
        LaunchTemplateData={"ImageId": "resolve:ssm:/ci/image", "InstanceType": "t3.nano"},
    )
    versions = dict(LaunchTemplateName="by-parameter", Versions=["$Latest"])
    plain = ec2.describe_launch_template_versions(**versions)["LaunchTemplateVersions"][0][
        "LaunchTemplateData"
    ]
    resolved = ec2.describe_launch_template_versions(ResolveAlias=True, **versions)["LaunchTemplateVersions"][
        0
    ]["LaunchTemplateData"]
    assert (plain["ImageId"], resolved["ImageId"]) == ("resolve:ssm:/ci/image", PLAIN)
    made = ec2.run_instances(LaunchTemplate={"LaunchTemplateName": "by-parameter"}, MinCount=1, MaxCount=1)[
        "Instances"
    ][0]
    assert made["ImageId"] == PLAIN
    ec2.terminate_instances(InstanceIds=[made["InstanceId"]])
    new = ec2.create_launch_template_version(
        LaunchTemplateName="by-parameter",
        LaunchTemplateData={"ImageId": "resolve:ssm:/ci/image"},
        ResolveAlias=True,
    )["LaunchTemplateVersion"]
    assert new["LaunchTemplateData"]["ImageId"] == PLAIN
    ssm.delete_parameter(Name="/ci/image")
    assert (
        code_of(
            ec2.run_instances, LaunchTemplate={"LaunchTemplateName": "by-parameter"}, MinCount=1, MaxCount=1
        )
        == "InvalidParameterValue"
    )


def test_6_parameters_of_the_store(record):
    ssm = record.client("ssm")
    for name, kind, value in [
        ("/app/a", "String", "1"),
        ("/app/b/c", "StringList", "x,y"),
        ("/app/s", "SecureString", "hidden"),
    ]:
        assert ssm.put_parameter(Name=name, Value=value, Type=kind)["Version"] == 1
    assert code_of(ssm.put_parameter, Name="/app/a", Value="2", Type="String") == "ParameterAlreadyExists"
    assert ssm.put_parameter(Name="/app/a", Value="2", Type="String", Overwrite=True)["Version"] == 2
    assert ssm.get_parameter(Name="/app/a")["Parameter"]["Value"] == "2"
    assert ssm.get_parameter(Name="/app/a:1")["Parameter"]["Value"] == "1"
    assert ssm.get_parameter(Name="/app/s")["Parameter"]["Value"] != "hidden"
    assert ssm.get_parameter(Name="/app/s", WithDecryption=True)["Parameter"]["Value"] == "hidden"
    several = ssm.get_parameters(Names=["/app/a", "/app/none"])
    assert [one["Name"] for one in several["Parameters"]] == ["/app/a"] and several["InvalidParameters"] == [
        "/app/none"
    ]
    flat = ssm.get_parameters_by_path(Path="/app")["Parameters"]
    deep = ssm.get_parameters_by_path(Path="/app", Recursive=True)["Parameters"]
    assert {one["Name"] for one in flat} == {"/app/a", "/app/s"} and {one["Name"] for one in deep} == {
        "/app/a",
        "/app/b/c",
        "/app/s",
    }
    assert ssm.delete_parameters(Names=["/app/a", "/app/b/c", "/app/s"])["DeletedParameters"]
    assert code_of(ssm.get_parameter, Name="/app/a") == "ParameterNotFound"
    public = ssm.get_parameters_by_path(Path="/aws/service", Recursive=True)["Parameters"]
    assert public and all(one["Value"].startswith("ami-") for one in public)


def test_sts_tells_who_asks_and_lends_roles(record):
    sts = record.client("sts")
    me = sts.get_caller_identity()
    assert me["Account"].isdigit() and me["Arn"].endswith(":user/muster")
    role = sts.assume_role(
        RoleArn=f"arn:aws:iam::{me['Account']}:role/ci-runner", RoleSessionName="session", DurationSeconds=900
    )
    lent = role["Credentials"]
    as_role = record.client(
        "sts",
        aws_access_key_id=lent["AccessKeyId"],
        aws_secret_access_key=lent["SecretAccessKey"],
        aws_session_token=lent["SessionToken"],
    )
    assert as_role.get_caller_identity()["Arn"].endswith(":assumed-role/ci-runner/session")
    assert (
        code_of(sts.assume_role, RoleArn="no ARN, and long enough", RoleSessionName="session")
        == "AccessDenied"
    )
    without_token = record.client("sts", aws_access_key_id=lent["AccessKeyId"], aws_secret_access_key=lent["SecretAccessKey"]
    )
    assert code_of(without_token.get_caller_identity) == "InvalidClientTokenId"


def test_7_fields_without_which_clients_stop(ec2):
    one = run(ec2)[0]
    assert (
        one["State"]["Name"] and one["Placement"]["AvailabilityZone"] and one["InstanceId"] and one["VpcId"]
    )
    group = ec2.describe_security_groups(GroupIds=[GROUP])["SecurityGroups"][0]
    assert (
        group["GroupName"] and group["GroupId"] and all(rule["IpProtocol"] for rule in group["IpPermissions"])
    )
    assert all(
        s["VpcId"] and s["SubnetId"] and s["AvailabilityZone"] for s in ec2.describe_subnets()["Subnets"]
    )
    image = ec2.describe_images(ImageIds=[PLAIN])["Images"][0]
    assert image["RootDeviceName"] and image["RootDeviceType"] == "ebs"
    ec2.terminate_instances(InstanceIds=[one["InstanceId"]])


def test_9_every_error_can_be_read(record, ec2):
    endpoint = record.variables["AWS_ENDPOINT_URL"]
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(endpoint + "/nowhere/at/all")
    assert "xml" in caught.value.headers["Content-Type"] and b"<Code>" in caught.value.read()
    import json

    def fault(faults):
        request = urllib.request.Request(
            endpoint + "/_ec2sim/faults", data=json.dumps(faults).encode(), method="POST"
        )
        urllib.request.urlopen(request).read()

    fault({"internal_error": 1, "actions": ["DescribeInstances", "GetParameter"]})
    try:
        assert code_of(ec2.describe_instances) == "InternalError"
        assert code_of(record.client("ssm").get_parameter, Name="/x") == "InternalServerError"
    finally:
        fault({"internal_error": 0})


def test_10_nothing_is_paged_that_was_not_asked_to_be(ec2):
    ids = [one["InstanceId"] for one in run(ec2, MinCount=60, MaxCount=60)]
    told = ec2.describe_instances()
    assert "NextToken" not in told
    assert set(ids) <= {i["InstanceId"] for r in told["Reservations"] for i in r["Instances"]}
    ec2.terminate_instances(InstanceIds=ids)


def test_11_a_token_is_never_needed(ec2):
    undo = [
        changed(ec2, action, lambda body: body.pop("ClientToken", None))
        for action in ("RunInstances", "CreateFleet", "CreateLaunchTemplate")
    ]
    one = run(ec2)[0]["InstanceId"]
    ec2.create_launch_template(
        LaunchTemplateName="tokenless", LaunchTemplateData={"ImageId": PLAIN, "InstanceType": "t3.nano"}
    )
    made = ec2.create_fleet(
        Type="instant",
        LaunchTemplateConfigs=[
            {"LaunchTemplateSpecification": {"LaunchTemplateName": "tokenless", "Version": "1"}}
        ],
        TargetCapacitySpecification={"TotalTargetCapacity": 1, "DefaultTargetCapacityType": "on-demand"},
    )
    for each in undo:
        each()
    ec2.terminate_instances(InstanceIds=[one, made["Instances"][0]["InstanceIds"][0]])


def test_13_what_is_easy_to_get_wrong(ec2):
    undo = changed(ec2, "RunInstances", lambda body: body.pop("InstanceType", None))
    one = run(ec2)[0]
    undo()
    assert one["InstanceType"] == "m1.small"
    ec2.terminate_instances(InstanceIds=[one["InstanceId"]])
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        ec2.describe_launch_template_versions(Versions=["1"])
    error = caught.value.response["Error"]
    assert error["Code"] == "InvalidParameterValue"
    assert error["Message"].startswith(
        "If you don't specify a launch template ID or name, the only supported values"
    )


def test_interfaces_given_by_id(ec2):
    one = run(ec2)[0]
    interface = one["NetworkInterfaces"][0]["NetworkInterfaceId"]
    given = lambda id: [{"DeviceIndex": 0, "NetworkInterfaceId": id}]
    assert code_of(run, ec2=ec2, NetworkInterfaces=given(interface)) == "InvalidNetworkInterface.InUse"
    assert (
        code_of(run, ec2=ec2, NetworkInterfaces=given("eni-00000000000000000"))
        == "InvalidNetworkInterfaceID.NotFound"
    )
    ec2.terminate_instances(InstanceIds=[one["InstanceId"]])


def test_8_hibernation_waits_for_its_agent(ec2):
    one = run(
        ec2,
        InstanceType="m5.large",
        HibernationOptions={"Configured": True},
        BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"Encrypted": True, "VolumeSize": 20}}],
    )[0]["InstanceId"]
    running(ec2, one)
    assert code_of(ec2.stop_instances, InstanceIds=[one], Hibernate=True) == "UnsupportedOperation"
    until(lambda: stops(ec2, one), 10, "the agent")
    ec2.get_waiter("instance_stopped").wait(InstanceIds=[one], WaiterConfig={"Delay": 1})
    ec2.terminate_instances(InstanceIds=[one])


def stops(ec2, one):
    try:
        return ec2.stop_instances(InstanceIds=[one], Hibernate=True)
    except botocore.exceptions.ClientError as error:
        assert error.response["Error"]["Code"] == "UnsupportedOperation"
        return None


def test_13_ids_in_template_data_are_not_looked_at(ec2):
    data = {
        "ImageId": "ami-def456",
        "CapacityReservationSpecification": {"CapacityReservationTarget": {"CapacityReservationId": "cr-1"}},
        "NetworkInterfaces": [{"DeviceIndex": 0, "NetworkInterfaceId": "eni-1"}],
    }
    ec2.create_launch_template(LaunchTemplateName="unchecked", LaunchTemplateData=data)
    versions = ec2.describe_launch_template_versions(LaunchTemplateName="unchecked")["LaunchTemplateVersions"]
    assert versions[0]["LaunchTemplateData"] == data


def test_6_images_by_the_arn_of_a_parameter(record, ec2):
    ssm = record.client("ssm")
    ssm.put_parameter(Name="/ci/by-arn", Value=PLAIN, Type="String")
    arn = ssm.get_parameter(Name="/ci/by-arn")["Parameter"]["ARN"]
    one = run(ec2, ImageId=f"resolve:ssm:{arn}")[0]
    assert one["ImageId"] == PLAIN
    ec2.terminate_instances(InstanceIds=[one["InstanceId"]])
