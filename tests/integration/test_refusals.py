"""Every row of EC2's refusals that concerns the actions played, through a client that is not ours."""


import botocore.exceptions
import pytest

from conftest import ARM, PLAIN, Simulator

UNKNOWN_ID = "i-00000000000000000"
SUBNET = "subnet-0a1b2c3d4e5f60701"


@pytest.fixture(scope="module")
def full():
    made = Simulator(
        "--no-throttling",
        "--second-vpc",
        "--no-capacity",
        "on-demand/c5.large/us-east-1a",
        "--no-capacity",
        "spot/c5.large/*",
        "--vcpu-quota",
        "64",
        "--spot-quota",
        "4",
        "--deny",
        "CreateTags",
    )
    yield made
    made.close()


def refused(call, code, text=None, status=400, **parameters):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**parameters)
    error = caught.value.response
    assert error["Error"]["Code"] == code, error
    assert error["ResponseMetadata"]["HTTPStatusCode"] == status
    if text:
        assert text in error["Error"]["Message"], error["Error"]["Message"]


def launch(full, **parameters):
    def call(**more):
        request = {"ImageId": PLAIN, "InstanceType": "t3.large", "MinCount": 1, "MaxCount": 1, **more}
        return full.ec2.run_instances(**{key: value for key, value in request.items() if value is not None})

    return call, parameters


ROWS = [
    (dict(ImageId=None), "MissingParameter", "The request must contain the parameter ImageId", 400),
    (dict(BlockDeviceMappings=[{"DeviceName": "/dev/sdb", "Ebs": {"SnapshotId": "snap-x"}}]),
     "InvalidSnapshotID.Malformed", 'Invalid id: "snap-x" (expecting "snap-...")', 400),
    (dict(BlockDeviceMappings=[{"DeviceName": "/dev/sdb", "Ebs": {"SnapshotId": "snap-00000000000000000"}}]),
     "InvalidSnapshot.NotFound", "The snapshot 'snap-00000000000000000' does not exist.", 400),
    (dict(CapacityReservationSpecification={"CapacityReservationTarget": {"CapacityReservationId": "cr-0"}}),
     "InvalidCapacityReservationId.NotFound", "The capacity reservation ID 'cr-0' does not exist", 400),
    (dict(DryRun=True), "DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412),
    (dict(ImageId="ami-x"), "InvalidAMIID.Malformed", 'Invalid id: "ami-x" (expecting "ami-...")', 400),
    (
        dict(ImageId="ami-00000000000000000"),
        "InvalidAMIID.NotFound",
        "The image id '[ami-00000000000000000]' does not exist",
        400,
    ),
    (
        dict(SubnetId="subnet-00000000000000000"),
        "InvalidSubnetID.NotFound",
        "The subnet ID 'subnet-00000000000000000' does not exist",
        400,
    ),
    (
        dict(SecurityGroupIds=["sg-00000000000000000"]),
        "InvalidGroup.NotFound",
        "The security group 'sg-00000000000000000' does not exist",
        400,
    ),
    (dict(KeyName="k"), "InvalidKeyPair.NotFound", "The key pair 'k' does not exist", 400),
    (dict(InstanceType="x9.tiny"), "InvalidParameterValue", "Invalid value 'x9.tiny' for InstanceType.", 400),
    (
        dict(InstanceInitiatedShutdownBehavior="explode"),
        "InvalidParameterValue",
        "Invalid value 'explode'",
        400,
    ),
    (
        dict(ImageId=ARM),
        "InvalidParameterValue",
        "The architecture 'x86_64' of the specified instance type does not match the architecture 'arm64'",
        400,
    ),
    (
        dict(InstanceType="m8g.large", ImageId=ARM, Placement={"AvailabilityZone": "us-east-1c"}),
        "Unsupported",
        "is not supported in your requested Availability Zone (us-east-1c)",
        400,
    ),
    (dict(MinCount=0), "InvalidParameterValue", "Invalid value '0' for MinCount.", 400),
    (dict(MinCount=2, MaxCount=1), "InvalidParameterValue", None, 400),
    (
        dict(NetworkInterfaces=[{"DeviceIndex": 0}], SubnetId=SUBNET),
        "InvalidParameterCombination",
        "Network interfaces and an instance-level subnet ID may not be specified on the same request",
        400,
    ),
    (
        dict(NetworkInterfaces=[{"DeviceIndex": 0}], SecurityGroupIds=["sg-0d15ea5e0d15ea5e1"]),
        "InvalidParameterCombination",
        "instance-level security groups",
        400,
    ),
    (
        dict(NetworkInterfaces=[{"DeviceIndex": 0}], PrivateIpAddress="10.200.16.99"),
        "InvalidParameterCombination",
        "instance-level private IP address",
        400,
    ),
    (
        dict(SecurityGroups=["default"], SubnetId=SUBNET),
        "InvalidParameterCombination",
        "The parameter groupName cannot be used with the parameter subnet",
        400,
    ),
    (
        dict(SecurityGroupIds=["sg-0b0b0b0b0b0b0b0b2"], SubnetId=SUBNET),
        "InvalidParameter",
        "belong to different networks",
        400,
    ),
    (dict(UserData="x" * 16385), "InvalidParameterValue", "User data is limited to 16384 bytes", 400),
    (
        dict(IamInstanceProfile={"Name": "nobody"}),
        "InvalidParameterValue",
        "Value (nobody) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name",
        400,
    ),
    (
        dict(InstanceType="c5.large", Placement={"AvailabilityZone": "us-east-1a"}),
        "InsufficientInstanceCapacity",
        "We currently do not have sufficient c5.large capacity in the Availability Zone you requested (us-east-1a)",
        500,
    ),
    (
        dict(InstanceType="c5.large", InstanceMarketOptions={"MarketType": "spot"}),
        "InsufficientInstanceCapacity",
        "There is no Spot capacity available that matches your request.",
        500,
    ),
    (
        dict(InstanceType="m5.2xlarge", MinCount=9, MaxCount=9),
        "VcpuLimitExceeded",
        "You have requested more vCPU capacity than your current vCPU limit of 64 allows",
        400,
    ),
    (
        dict(InstanceType="m5.2xlarge", InstanceMarketOptions={"MarketType": "spot"}),
        "MaxSpotInstanceCountExceeded",
        "Max spot instance count exceeded",
        400,
    ),
    (
        dict(InstanceMarketOptions={"MarketType": "spot", "SpotOptions": {"MaxPrice": "0.001"}}),
        "SpotMaxPriceTooLow",
        "Your Spot request price of 0.001 is lower than the minimum required Spot request fulfillment price of",
        400,
    ),
    (dict(ClientToken="t" * 65), "InvalidParameterValue", None, 400),
    (
        dict(TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "aws:x", "Value": "y"}]}]),
        "InvalidParameterValue",
        "Tag keys starting with 'aws:' are reserved for internal use",
        400,
    ),
    (
        dict(
            TagSpecifications=[
                {"ResourceType": "instance", "Tags": [{"Key": f"k{i}", "Value": ""} for i in range(51)]}
            ]
        ),
        "TagLimitExceeded",
        "The maximum number of Tags for a resource has been reached.",
        400,
    ),
    (
        dict(TagSpecifications=[{"ResourceType": "instance", "Tags": []}]),
        "InvalidParameterValue",
        "Tag specification must have at least one tag",
        400,
    ),
    (
        dict(TagSpecifications=[{"ResourceType": "image", "Tags": [{"Key": "a", "Value": "b"}]}]),
        "InvalidParameterValue",
        "'image' is not a valid taggable resource type for this operation.",
        400,
    ),
    (
        dict(
            TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "a/b", "Value": ""}]}],
            MetadataOptions={"InstanceMetadataTags": "enabled"},
        ),
        "InvalidParameterValue",
        "'a/b' is not a valid tag key.",
        400,
    ),
    (
        dict(LaunchTemplate={"LaunchTemplateName": "none"}),
        "InvalidLaunchTemplateName.NotFoundException",
        "with template name none, does not exist",
        400,
    ),
    (dict(Placement={"Tenancy": "dedicated"}), "UnsupportedOperation", "Tenancy", 400),
]


@pytest.mark.parametrize("row", range(len(ROWS)))
def test_launches_that_ec2_refuses(full, row):
    parameters, code, text, status = ROWS[row]
    call, more = launch(full, **parameters)
    before = len(full.ledger()["calls"]) and full.ledger()["machines"]
    refused(call, code, text, status, **more)
    assert full.ledger()["machines"] == before


def templated(full, name, **data):
    data = {"ImageId": PLAIN, "InstanceType": "t3.nano", **data}
    return full.ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=data)["LaunchTemplate"]


# Action, parameters, code, text: what the rows say of others than RunInstances.
OTHERS = [
    (
        "describe_security_groups",
        dict(Filters=[{"Name": "group-id", "Values": ["g-1"]}]),
        "InvalidGroupId.Malformed",
        "g-1",
    ),
    ("delete_security_group", dict(GroupId="sg-x"), "InvalidGroupId.Malformed", 'Invalid id: "sg-x"'),
    (
        "delete_security_group",
        dict(GroupId="sg-00000000000000000"),
        "InvalidGroup.NotFound",
        "The security group 'sg-00000000000000000' does not exist",
    ),
    ("describe_volumes", dict(VolumeIds=["vol-x"]), "InvalidVolumeID.Malformed", 'Invalid id: "vol-x"'),
    (
        "describe_volumes",
        dict(VolumeIds=["vol-00000000000000000"]),
        "InvalidVolume.NotFound",
        "The volume 'vol-00000000000000000' does not exist.",
    ),
    (
        "describe_launch_templates",
        dict(LaunchTemplateIds=["lt-x"]),
        "InvalidLaunchTemplateId.Malformed",
        'Invalid id: "lt-x"',
    ),
    (
        "delete_launch_template",
        dict(LaunchTemplateId="lt-00000000000000000"),
        "InvalidLaunchTemplateId.NotFound",
        "The specified launch template, with template ID lt-00000000000000000, does not exist.",
    ),
    (
        "describe_launch_template_versions",
        dict(LaunchTemplateName="none"),
        "InvalidLaunchTemplateName.NotFoundException",
        "with template name none, does not exist",
    ),
    (
        "delete_launch_template",
        dict(LaunchTemplateName="abc", LaunchTemplateId="lt-00000000000000000"),
        "InvalidParameterCombination",
        None,
    ),
    (
        "describe_images",
        dict(ImageIds=["ami-00000000000000001", "ami-00000000000000002"]),
        "InvalidAMIID.NotFound",
        "The image ids '[ami-00000000000000001, ami-00000000000000002]' do not exist",
    ),
    (
        "describe_vpcs",
        dict(VpcIds=["vpc-00000000000000000"]),
        "InvalidVpcID.NotFound",
        "The vpc ID 'vpc-00000000000000000' does not exist",
    ),
    (
        "describe_network_interfaces",
        dict(NetworkInterfaceIds=["eni-00000000000000000"]),
        "InvalidNetworkInterfaceID.NotFound",
        "The network interface ID 'eni-00000000000000000' does not exist",
    ),
    (
        "describe_subnets",
        dict(SubnetIds=["subnet-00000000000000000"]),
        "InvalidSubnetID.NotFound",
        "The subnet ID 'subnet-00000000000000000' does not exist",
    ),
    (
        "describe_key_pairs",
        dict(KeyNames=["k"]),
        "InvalidKeyPair.NotFound",
        "The key pair 'k' does not exist",
    ),
    (
        "describe_spot_instance_requests",
        dict(SpotInstanceRequestIds=["sir-00000000"]),
        "InvalidSpotInstanceRequestID.NotFound",
        "sir-00000000",
    ),
    (
        "describe_instance_types",
        dict(InstanceTypes=["x9.tiny"]),
        "InvalidInstanceType",
        "The following supplied instance types do not exist: [x9.tiny]",
    ),
    (
        "import_key_pair",
        dict(KeyName="k", PublicKeyMaterial=b"rubbish"),
        "InvalidKey.Format",
        "Key is not in valid OpenSSH public key format",
    ),
    (
        "describe_instances",
        dict(MaxResults=1001),
        "InvalidParameterValue",
        "Value ( 1001 ) for parameter maxResults is invalid. Expecting a value less than or equal to 1000.",
    ),
    (
        "describe_images",
        dict(ImageIds=[PLAIN], MaxResults=5),
        "InvalidParameterCombination",
        "The parameter imageIdsSet cannot be used with the parameter maxResults",
    ),
    ("describe_subnets", dict(SubnetIds=[SUBNET], MaxResults=5), "InvalidParameterCombination", "SubnetIds"),
    (
        "create_security_group",
        dict(GroupName="g", Description="d", VpcId="vpc-00000000000000000"),
        "InvalidVpcID.NotFound",
        None,
    ),
    (
        "create_subnet",
        dict(VpcId="vpc-00000000000000000", CidrBlock="10.9.0.0/24"),
        "InvalidVpcID.NotFound",
        None,
    ),
    ("describe_instances", dict(InstanceIds=[UNKNOWN_ID], MaxResults=5), "InvalidParameterCombination", None),
    (
        "describe_instances",
        dict(InstanceIds=[UNKNOWN_ID], Filters=[{"Name": "colour", "Values": []}]),
        "InvalidParameterValue",
        None,
    ),
]


@pytest.mark.parametrize("row", range(len(OTHERS)))
def test_what_other_actions_refuse(full, row):
    action, parameters, code, text = OTHERS[row]
    refused(getattr(full.ec2, action), code, text, **parameters)


@pytest.mark.parametrize(
    "action", ["terminate_instances", "start_instances", "stop_instances", "reboot_instances"]
)
def test_a_dry_run_changes_nothing(full, action):
    instance = full.launch(InstanceType="t3.nano")[0]["InstanceId"]
    before = full.ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]["State"]
    refused(
        getattr(full.ec2, action),
        "DryRunOperation",
        "Request would have succeeded, but DryRun flag is set.",
        412,
        InstanceIds=[instance],
        DryRun=True,
    )
    after = full.ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]["State"]
    assert after["Name"] in (before["Name"], "running")
    full.ec2.terminate_instances(InstanceIds=[instance])


def test_values_that_cannot_be_read(full):
    for action, parameters, key, value, shown in [
        ("DescribeInstances", {}, "MaxResults", "many", "Invalid value 'many' for MaxResults."),
        ("DescribeInstances", {}, "DryRun", "perhaps", "Invalid value 'perhaps' for DryRun."),
        (
            "DescribeSpotPriceHistory",
            {},
            "StartTime",
            "yesterday",
            "Invalid value 'yesterday' for StartTime.",
        ),
    ]:

        def broken(params, **_):
            params["body"][key] = value

        full.ec2.meta.events.register(f"before-call.ec2.{action}", broken)
        method = {
            "DescribeInstances": full.ec2.describe_instances,
            "DescribeSpotPriceHistory": full.ec2.describe_spot_price_history,
        }[action]
        refused(method, "InvalidParameterValue", shown, **parameters)
        full.ec2.meta.events.unregister(f"before-call.ec2.{action}", broken)


def test_states_in_which_it_cannot_be():
    simulator = Simulator("--machines", "record", "--no-throttling")
    ec2 = simulator.ec2
    try:
        instance = simulator.launch(InstanceType="t3.nano")[0]["InstanceId"]
        ec2.get_waiter("instance_running").wait(InstanceIds=[instance], WaiterConfig={"Delay": 1})
        ec2.start_instances(InstanceIds=[instance])
        for change in (dict(InstanceType={"Value": "t3.micro"}), dict(UserData={"Value": b"#!/bin/sh\n"})):
            refused(
                ec2.modify_instance_attribute,
                "IncorrectInstanceState",
                f"The instance '{instance}' is not in the 'stopped' state.",
                InstanceId=instance,
                **change,
            )
        ec2.modify_instance_attribute(InstanceId=instance, DisableApiStop={"Value": True})
        refused(
            ec2.stop_instances,
            "OperationNotPermitted",
            f"The instance '{instance}' may not be stopped.",
            InstanceIds=[instance],
        )
        ec2.modify_instance_attribute(InstanceId=instance, DisableApiStop={"Value": False})
        spot = simulator.launch(InstanceType="t3.nano", InstanceMarketOptions={"MarketType": "spot"})[0][
            "InstanceId"
        ]
        ec2.get_waiter("instance_running").wait(InstanceIds=[spot], WaiterConfig={"Delay": 1})
        refused(
            ec2.stop_instances,
            "UnsupportedOperation",
            f"You can't stop the Spot Instance '{spot}' because it is "
            "associated with a one-time Spot Instance request.",
            InstanceIds=[spot],
        )
        ec2.stop_instances(InstanceIds=[instance])
        ec2.stop_instances(InstanceIds=[instance])
        ec2.get_waiter("instance_stopped").wait(InstanceIds=[instance], WaiterConfig={"Delay": 1})
        refused(
            ec2.modify_instance_attribute,
            "InvalidParameterValue",
            "User data is limited to 16384 bytes",
            InstanceId=instance,
            UserData={"Value": b"x" * 16385},
        )
        ec2.terminate_instances(InstanceIds=[instance, spot])
        refused(
            ec2.start_instances,
            "IncorrectInstanceState",
            f"The instance '{instance}' is not in a state from which it can be started.",
            InstanceIds=[instance],
        )
        refused(
            ec2.stop_instances,
            "IncorrectInstanceState",
            f"This instance '{instance}' is not in a state from which it can be stopped.",
            InstanceIds=[instance],
        )
    finally:
        simulator.close()


def test_names_and_rules_that_are_taken(full):
    ec2 = full.ec2
    ec2.create_key_pair(KeyName="taken")
    refused(ec2.create_key_pair, "InvalidKeyPair.Duplicate", "The keypair already exists", KeyName="taken")
    vpc = ec2.describe_vpcs(Filters=[{"Name": "isDefault", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    group = ec2.create_security_group(GroupName="taken", Description="d")["GroupId"]
    refused(
        ec2.create_security_group,
        "InvalidGroup.Duplicate",
        f"The security group 'taken' already exists for VPC '{vpc}'",
        GroupName="taken",
        Description="d",
    )
    rule = [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}]
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=rule)
    refused(
        ec2.authorize_security_group_ingress,
        "InvalidPermission.Duplicate",
        "the specified rule",
        GroupId=group,
        IpPermissions=rule,
    )
    instance = full.launch(SecurityGroupIds=[group], InstanceType="t3.nano")[0]["InstanceId"]
    refused(
        ec2.delete_security_group,
        "DependencyViolation",
        f"resource {group} has a dependent object",
        GroupId=group,
    )
    ec2.terminate_instances(InstanceIds=[instance])
    templated(full, "taken")
    refused(
        lambda: templated(full, "taken"),
        "InvalidLaunchTemplateName.AlreadyExistsException",
        "Launch template name already in use.",
    )
    template = templated(full, "one-version")["LaunchTemplateId"]
    refused(
        ec2.describe_launch_template_versions,
        "InvalidLaunchTemplateId.VersionNotFound",
        f"Could not find the specified version 9 for the launch template with ID {template}.",
        LaunchTemplateId=template,
        Versions=["9"],
    )


def test_an_image_that_was_there(full):
    copy = full.ec2.copy_image(Name="copy", SourceImageId=PLAIN, SourceRegion="us-east-1")["ImageId"]
    full.ec2.deregister_image(ImageId=copy)
    refused(
        full.launch, "InvalidAMIID.Unavailable", f"The image id '[{copy}]' is no longer available", image=copy
    )
    refused(
        full.ec2.copy_image,
        "InvalidAMIID.Unavailable",
        "no longer available",
        Name="again",
        SourceImageId=copy,
        SourceRegion="us-east-1",
    )


def test_tag_keys_that_metadata_cannot_show():
    simulator = Simulator("--machines", "record", "--no-throttling")
    ec2 = simulator.ec2
    try:
        on = simulator.launch(InstanceType="t3.nano", MetadataOptions={"InstanceMetadataTags": "enabled"})[0][
            "InstanceId"
        ]
        refused(
            ec2.create_tags,
            "InvalidParameterValue",
            "'a/b' is not a valid tag key.",
            Resources=[on],
            Tags=[{"Key": "a/b", "Value": ""}],
        )
        off = simulator.launch(InstanceType="t3.nano")[0]["InstanceId"]
        ec2.create_tags(Resources=[off], Tags=[{"Key": "a/b", "Value": ""}])
        refused(
            ec2.modify_instance_metadata_options,
            "InvalidParameterValue",
            "'a/b' is not a valid tag key.",
            InstanceId=off,
            InstanceMetadataTags="enabled",
        )
        for resource, code in [
            ("subnet-00000000000000000", "InvalidSubnetID.NotFound"),
            ("vol-x", "InvalidVolumeID.Malformed"),
            ("sg-00000000000000000", "InvalidGroup.NotFound"),
            ("vpc-00000000000000000", "InvalidVpcID.NotFound"),
            ("eni-00000000000000000", "InvalidNetworkInterfaceID.NotFound"),
            ("lt-00000000000000000", "InvalidLaunchTemplateId.NotFound"),
            ("ami-00000000000000000", "InvalidAMIID.NotFound"),
            ("i-x", "InvalidInstanceID.Malformed"),
        ]:
            refused(ec2.create_tags, code, Resources=[resource], Tags=[{"Key": "a", "Value": "b"}])
    finally:
        simulator.close()


def test_mixtures_that_ec2_does_not_offer(full):
    call, _ = launch(full)
    text = (
        "The requested configuration is currently not supported. Please check the documentation for supported "
        "configurations."
    )
    refused(call, "Unsupported", text, InstanceType="t3.nano", HibernationOptions={"Configured": True})
    refused(
        call,
        "InvalidParameterCombination",
        None,
        InstanceInitiatedShutdownBehavior="terminate",
        InstanceType="t3.nano",
        InstanceMarketOptions={
            "MarketType": "spot",
            "SpotOptions": {"SpotInstanceType": "persistent", "InstanceInterruptionBehavior": "stop"},
        },
    )


def test_instances_that_do_not_exist(full):
    refused(
        full.ec2.describe_instances, "InvalidInstanceID.Malformed", 'Invalid id: "i-x"', InstanceIds=["i-x"]
    )
    refused(
        full.ec2.describe_instances,
        "InvalidInstanceID.NotFound",
        f"The instance ID '{UNKNOWN_ID}' does not exist",
        InstanceIds=[UNKNOWN_ID],
    )
    other = "i-00000000000000001"
    refused(
        full.ec2.terminate_instances,
        "InvalidInstanceID.NotFound",
        f"The instance IDs '{UNKNOWN_ID}, {other}' do not exist",
        InstanceIds=[UNKNOWN_ID, other],
    )
    refused(
        full.ec2.terminate_instances, "InvalidParameterCombination", "No instances specified", InstanceIds=[]
    )
    refused(full.ec2.get_console_output, "InvalidInstanceID.NotFound", InstanceId=UNKNOWN_ID)


def test_filters(full):
    refused(
        full.ec2.describe_instances,
        "InvalidParameterValue",
        "The filter 'colour' is invalid",
        Filters=[{"Name": "colour", "Values": ["red"]}],
    )
    refused(
        full.ec2.describe_instances,
        "FilterLimitExceeded",
        Filters=[{"Name": "instance-id", "Values": [f"i-{n:017x}" for n in range(201)]}],
    )
    assert full.ec2.describe_instances(Filters=[{"Name": "tag:a:b", "Values": [""]}])["Reservations"] == []


def test_pages(full):
    refused(
        full.ec2.describe_instances,
        "InvalidParameterValue",
        "Value ( 4 ) for parameter maxResults is invalid. Expecting a value greater than or equal to 5.",
        MaxResults=4,
    )
    refused(
        full.ec2.describe_instances,
        "InvalidNextToken",
        "The token 'x' is invalid",
        MaxResults=5,
        NextToken="x",
    )
    ids = [full.launch(InstanceType="t3.nano")[0]["InstanceId"] for _ in range(7)]
    refused(
        full.ec2.describe_instances,
        "InvalidParameterCombination",
        "The parameter instancesSet cannot be used with the parameter maxResults",
        InstanceIds=ids[:1],
        MaxResults=5,
    )
    pages = list(full.ec2.get_paginator("describe_instances").paginate(PaginationConfig={"PageSize": 5}))
    seen = [i["InstanceId"] for page in pages for r in page["Reservations"] for i in r["Instances"]]
    assert len(pages) >= 2 and set(ids) <= set(seen) and len(seen) == len(set(seen))
    full.ec2.terminate_instances(InstanceIds=ids)


def test_addresses(full):
    address = full.launch(SubnetId=SUBNET, InstanceType="t3.nano")[0]["PrivateIpAddress"]
    call, more = launch(full, SubnetId=SUBNET, PrivateIpAddress=address)
    refused(call, "InvalidIPAddress.InUse", f"Address {address} is in use.", **more)
    tiny = dict(SubnetId="subnet-0b0b0b0b0b0b0b0b1", InstanceType="t3.nano")
    call, more = launch(full, MinCount=3, MaxCount=3, **tiny)
    refused(
        call, "InsufficientFreeAddressesInSubnet", "There are not enough free addresses in subnet", **more
    )


def test_client_tokens(full):
    call, _ = launch(full)
    first = call(ClientToken="token", InstanceType="t3.nano")["Instances"][0]["InstanceId"]
    assert call(ClientToken="token", InstanceType="t3.nano")["Instances"][0]["InstanceId"] == first
    refused(
        call,
        "IdempotentParameterMismatch",
        "Arguments on this idempotent request are inconsistent",
        ClientToken="token",
        InstanceType="t3.micro",
    )
    full.ec2.terminate_instances(InstanceIds=[first])
    refused(
        call,
        "IdempotentInstanceTerminated",
        "The client token you have provided is associated with a " "terminated instance.",
        ClientToken="token",
        InstanceType="t3.nano",
    )


def test_protection_and_permission(full):
    instance = full.launch(DisableApiTermination=True, InstanceType="t3.nano")[0]["InstanceId"]
    refused(
        full.ec2.terminate_instances,
        "OperationNotPermitted",
        f"The instance '{instance}' may not be terminated.",
        InstanceIds=[instance],
    )
    refused(
        full.ec2.create_tags,
        "UnauthorizedOperation",
        "not authorized to perform: ec2:CreateTags",
        403,
        Resources=[instance],
        Tags=[{"Key": "a", "Value": "b"}],
    )


def test_unknown_actions_and_parameters(full):
    refused(
        full.ec2.describe_bundle_tasks,
        "InvalidAction",
        "The action DescribeBundleTasks is not valid for this web service.",
    )

    def surprise(request, **_):
        request.data = (
            dict(request.data, Surprise="1")
            if isinstance(request.data, dict)
            else request.data + b"&Surprise=1"
        )

    full.ec2.meta.events.register("before-sign.ec2.DescribeSubnets", surprise)
    refused(full.ec2.describe_subnets, "UnknownParameter", "The parameter Surprise is not recognized")
    full.ec2.meta.events.unregister("before-sign.ec2.DescribeSubnets", surprise)

    def broken(params, **_):
        params["body"]["UserData"] = "not base64!"

    full.ec2.meta.events.register("before-call.ec2.RunInstances", broken)
    call, _ = launch(full)
    refused(call, "InvalidUserData.Malformed", "Invalid BASE64 encoding of user data.")
    full.ec2.meta.events.unregister("before-call.ec2.RunInstances", broken)


def test_empty_values_that_count_as_absent(full):
    def emptied(params, **_):
        params["body"].update(
            {"IamInstanceProfile.Name": "", "Placement.AvailabilityZone": "", "SubnetId": "", "UserData": ""}
        )

    full.ec2.meta.events.register("before-call.ec2.RunInstances", emptied)
    call, _ = launch(full)
    made = call(
        InstanceType="t3.nano",
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "empty", "Value": ""}]}],
    )["Instances"][0]
    full.ec2.meta.events.unregister("before-call.ec2.RunInstances", emptied)
    assert made["Tags"] == [{"Key": "empty", "Value": ""}]
    full.ec2.terminate_instances(InstanceIds=[made["InstanceId"]])


def test_signatures(full):
    import boto3

    def client(**more):
        settings = dict(
            endpoint_url=full.variables["AWS_ENDPOINT_URL"],
            region_name="us-east-1",
            aws_access_key_id=full.variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=full.variables["AWS_SECRET_ACCESS_KEY"],
        )
        return boto3.client("ec2", **{**settings, **more})

    refused(client(aws_secret_access_key="wrong").describe_subnets, "SignatureDoesNotMatch", status=403)
    refused(client(aws_access_key_id="AKIANOBODY").describe_subnets, "AuthFailure", status=401)
    refused(client(region_name="eu-west-1").describe_subnets, "SignatureDoesNotMatch", status=403)


def test_buckets_and_a_missing_default_vpc():
    simulator = Simulator("--no-default-vpc")
    try:
        call, _ = launch(simulator)
        refused(call, "VPCIdNotSpecified", "No default VPC for this user")
        refused(
            simulator.ec2.create_security_group,
            "VPCIdNotSpecified",
            "No default VPC for this user",
            GroupName="g",
            Description="d",
        )
        with pytest.raises(botocore.exceptions.ClientError) as caught:
            for _ in range(1000):
                simulator.ec2.describe_subnets()
        error = caught.value.response
        assert error["Error"] == {"Code": "RequestLimitExceeded", "Message": "Request limit exceeded."}
        assert error["ResponseMetadata"]["HTTPStatusCode"] == 503
    finally:
        simulator.close()
