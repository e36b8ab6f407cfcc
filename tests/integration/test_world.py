"""The world file: each of its keys, by the example of the docs."""

import subprocess
import time

import pytest

from conftest import BIN, PATIENCE, TOP, Simulator
from test_ec2 import code_of

EXAMPLE = "\n".join(
    line[2:]
    for line in (TOP / "docs" / "simulator.md")
    .read_text()
    .split("  ```yaml\n")[1]
    .split("  ```")[0]
    .splitlines()
)
FIRST, SECOND = ("AKIAEXAMPLEFIRST0001", "first"), ("AKIAEXAMPLESECOND002", "second")
IMAGE = "ami-0123456789abcdef0"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    file = tmp_path_factory.mktemp("world") / "world.yml"
    file.write_text(EXAMPLE)
    made = Simulator("--machines", "record", "--no-throttling", "--world", str(file))
    yield made
    made.close()


def client(world, service="ec2", keys=FIRST, region="eu-central-1"):
    return world.client(service, region_name=region, aws_access_key_id=keys[0], aws_secret_access_key=keys[1])


def launch(ec2, **more):
    request = {"ImageId": IMAGE, "InstanceType": "t3.nano", "MinCount": 1, "MaxCount": 1, **more}
    return ec2.run_instances(**request)["Instances"][0]


def test_accounts_see_their_own(world):
    assert (
        world.variables["AWS_ACCESS_KEY_ID"] == FIRST[0] and world.variables["AWS_REGION"] == "eu-central-1"
    )
    first, second = client(world), client(world, keys=SECOND)
    assert client(world, "sts").get_caller_identity()["Arn"] == "arn:aws:iam::111111111111:user/ops"
    assert client(world, "sts", SECOND).get_caller_identity()["Account"] == "222222222222"
    one = launch(first)["InstanceId"]
    assert code_of(second.describe_instances, InstanceIds=[one]) == "InvalidInstanceID.NotFound"
    assert (
        code_of(client(world, region="eu-west-1").describe_instances, InstanceIds=[one])
        == "InvalidInstanceID.NotFound"
    )
    assert code_of(client(world, keys=("AKIANOBODY", "x")).describe_instances) == "AuthFailure"
    first.terminate_instances(InstanceIds=[one])


def test_roles_and_profiles(world):
    sts = client(world, "sts")
    role = dict(RoleArn="arn:aws:iam::111111111111:role/builder", RoleSessionName="session")
    assert code_of(sts.assume_role, **role) == "AccessDenied"
    assert sts.assume_role(ExternalId="agreed", DurationSeconds=7200, **role)["Credentials"]["SessionToken"]
    assert code_of(sts.assume_role, ExternalId="agreed", DurationSeconds=7201, **role) == "ValidationError"
    ec2 = client(world)
    one = launch(ec2, IamInstanceProfile={"Name": "builder"})
    assert one["IamInstanceProfile"]["Arn"] == "arn:aws:iam::111111111111:instance-profile/builder"
    assert code_of(launch, ec2=ec2, IamInstanceProfile={"Name": "ci-runner"}) == "InvalidParameterValue"
    ec2.terminate_instances(InstanceIds=[one["InstanceId"]])


def test_regions_zones_and_networks(world):
    ec2 = client(world)
    assert {one["RegionName"] for one in ec2.describe_regions()["Regions"]} == {"eu-central-1", "eu-west-1"}
    assert [one["ZoneName"] for one in ec2.describe_availability_zones()["AvailabilityZones"]] == [
        "eu-central-1a",
        "eu-central-1b",
    ]
    subnets = {one["AvailabilityZone"]: one for one in ec2.describe_subnets()["Subnets"]}
    assert (
        subnets["eu-central-1a"]["MapPublicIpOnLaunch"]
        and not subnets["eu-central-1b"]["MapPublicIpOnLaunch"]
    )
    assert subnets["eu-central-1b"]["CidrBlock"].endswith(".32.0/20") and len(subnets) == 2
    other = client(world, region="eu-west-1")
    assert code_of(launch, ec2=other) == "VPCIdNotSpecified"
    assert len(other.describe_availability_zones()["AvailabilityZones"]) == 3
    assert code_of(client(world, region="us-east-1").describe_subnets) == "SignatureDoesNotMatch"


def test_images_and_their_aliases(world):
    ec2 = client(world)
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]
    assert (image["ImageId"], image["Name"]) == (IMAGE, "ci-image")
    assert image["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"] == 12
    named = client(world, "ssm").get_parameter(Name="/ci/image/latest")["Parameter"]["Value"]
    assert named == IMAGE
    one = launch(ec2, ImageId="resolve:ssm:/ci/image/latest")
    assert one["ImageId"] == IMAGE
    ec2.terminate_instances(InstanceIds=[one["InstanceId"]])


def test_durations(world):
    ec2 = client(world)
    started = time.monotonic()
    one = launch(ec2)["InstanceId"]
    state = lambda: ec2.describe_instances(InstanceIds=[one])["Reservations"][0]["Instances"][0]["State"][
        "Name"
    ]
    assert state() == "pending"
    while state() == "pending":
        time.sleep(0.05)
    assert time.monotonic() - started >= 5
    ec2.terminate_instances(InstanceIds=[one])
    assert state() in ("shutting-down", "terminated")


def test_quotas_refusals_and_full_offerings(world):
    ec2 = client(world)
    assert code_of(launch, ec2=ec2, InstanceType="m5.2xlarge", MinCount=2, MaxCount=2) == "VcpuLimitExceeded"
    spot = {"MarketType": "spot"}
    assert (
        code_of(launch, ec2=ec2, InstanceType="m5.2xlarge", InstanceMarketOptions=spot)
        == "MaxSpotInstanceCountExceeded"
    )
    assert code_of(ec2.create_vpc, CidrBlock="10.9.0.0/16") == "UnauthorizedOperation"
    assert (
        code_of(launch, ec2=ec2, InstanceType="c5.large", InstanceMarketOptions=spot)
        == "InsufficientInstanceCapacity"
    )


def test_stop_from_pending_is_refused_by_the_state(world):
    ec2 = client(world)
    one = launch(ec2)["InstanceId"]
    assert code_of(ec2.stop_instances, InstanceIds=[one]) == "IncorrectInstanceState"
    ec2.terminate_instances(InstanceIds=[one])


def test_an_order_of_keys_changes_nothing(tmp_path):
    file = tmp_path / "world.yml"
    file.write_text(
        "accounts: [{instance_profiles: [first], id: '111111111111', access_keys: [{secret: s, id: AKIAEXAMPLEFIRST0001}]}]\n"
    )
    simulator = Simulator("--machines", "record", "--world", str(file))
    try:
        simulator.launch(InstanceType="t3.nano", IamInstanceProfile={"Name": "first"})
    finally:
        simulator.close()


@pytest.mark.parametrize(
    "text,told",
    [
        ("acounts: []\n", "1:1  acounts: unknown key. Did you mean accounts?"),
        ("accounts: [{id: 12}]\n", '"12" is no account'),
        ("accounts: [{id: '111111111111', access_keys: [{id: A}]}]\n", "lacks its id or secret"),
        ("regions: [{zones: [a]}]\n", "name is missing"),
        ("regions: [{name: eu-west-1, subnets: [{zone: z, cidr: 10.0.0.0/20}]}]\n", '"z" is no zone'),
        (
            "regions: [{name: eu-west-1, subnets: [{zone: a, cidr: 10.0.0.0/8}]}]\n",
            '"10.0.0.0/8" is no network',
        ),
        ("images: [{id: x}]\n", '"x" is no image id'),
        ("images: [{id: ami-0123456789abcdef0, kind: vm}]\n", '"vm" is no kind'),
        ("durations: {pending: soon}\n", '"soon" is no distribution'),
        ("quotas: {vcpu: many}\n", '"many" is no whole number'),
        ("deny: [DescribeRegion]\n", "Did you mean DescribeRegions?"),
        ("no_capacity: [a/b]\n", '"a/b" is no offering'),
        ("a: [\n", "world.yml:"),
    ],
)
def test_mistakes_are_told_with_their_place(text, told, tmp_path):
    (tmp_path / "world.yml").write_text(text)
    done = subprocess.run(
        [
            BIN / "ec2sim",
            "--machines",
            "record",
            "--state",
            tmp_path / "state",
            "--world",
            tmp_path / "world.yml",
        ],
        capture_output=True,
        text=True,
        timeout=20 * PATIENCE,
    )
    assert done.returncode != 0 and not done.stdout and told in done.stderr, done.stderr
