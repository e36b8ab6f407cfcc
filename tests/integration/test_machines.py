"""What only a real machine passes, looked at from inside."""
import os
import pathlib
import signal
import subprocess
import time

import botocore.config
import botocore.exceptions
import pytest

from conftest import BIN, DOCKER, IMAGE_ROOT, PLAIN, Simulator, until


def test_has_an_identity_of_its_own(shared, keys):
    first, second = shared.launch(count=2, UserData=keys.user_data())
    script = "hostname; cat /proc/sys/kernel/hostname; readlink /proc/self/ns/net; ip -4 -o addr show eth0; ps -p 1 -o args="
    seen = [keys.run(shared, machine, script) for machine in (first, second)]
    for machine, text in zip((first, second), seen):
        name = "ip-" + machine["PrivateIpAddress"].replace(".", "-")
        assert text.splitlines()[0] == name and machine["PrivateIpAddress"] in text
        assert "ec2sim-init" in text
    assert seen[0].splitlines()[2] != seen[1].splitlines()[2] != os.readlink("/proc/self/ns/net")
    # A second machine answers at its address, by its name too.
    name = "ip-" + second["PrivateIpAddress"].replace(".", "-")
    banner = keys.run(shared, first, f"bash -c 'exec 3<>/dev/tcp/{name}/22; head -c 7 <&3'")
    assert banner == "SSH-2.0"


@pytest.mark.parametrize("image_root", ["/", IMAGE_ROOT])
def test_shows_nothing_of_the_host(image_root, keys):
    """The host's own root is what the demo uses, so what must be hidden there counts most."""
    simulator = Simulator(image_root=image_root)
    marker = subprocess.Popen(["sleep", "4711"])
    secrets = [pathlib.Path(folder) / f"ec2sim-test-secret-{os.getpid()}" for folder in (pathlib.Path.home(), "/tmp", "/var/tmp")]
    for secret in secrets:
        secret.write_text("host")
    host_keys = subprocess.run("cat /etc/ssh/ssh_host_*_key.pub", shell=True, capture_output=True, text=True).stdout
    try:
        machine = simulator.launch(UserData=keys.user_data())[0]
        text = keys.run(simulator, machine, "ps axww; sudo ls -A /root /home /tmp /var/tmp; sudo cat /etc/shadow; "
                                            "sudo sh -c 'cat /etc/ssh/ssh_host_*_key.pub'; "
                                            f"sudo ls -A {simulator.state} 2>/dev/null; echo end")
        assert "4711" not in text and "ec2sim-test-secret" not in text
        assert "ledger.jsonl" not in text
        for key in host_keys.split("\n"):
            assert not key or key not in text
        hashes = [line.split(":")[1] for line in text.splitlines() if line.count(":") == 8]
        assert hashes and set(hashes) == {"*"}
        assert len([line for line in text.splitlines() if line.strip()[:1].isdigit()]) < 20
    finally:
        marker.kill()
        marker.wait()
        for secret in secrets:
            secret.unlink(missing_ok=True)
        simulator.close()


def test_changes_nothing_outside(shared, keys):
    def fingerprint():
        return subprocess.run(
            ["sh", "-c", f"cd {IMAGE_ROOT} && find usr/bin etc var -xdev -printf '%p %s %T@ %m\\n' | sort | sha256sum"],
            capture_output=True, text=True).stdout
    before = fingerprint()
    machine = shared.launch(UserData=keys.user_data())[0]
    keys.run(shared, machine, "sudo sh -c 'rm -rf /usr/share/doc /usr/bin/git; echo x > /usr/bin/new; echo y >> /etc/passwd; "
                              "rm /etc/debian_version; echo z > /var/new; date -s 2001-01-01' ; test ! -e /usr/bin/git", check=False)
    assert keys.run(shared, machine, "cat /usr/bin/new /var/new") == "x\nz\n"
    assert fingerprint() == before
    assert time.time() > 1_700_000_000


def test_runs_user_data_as_cloud_init_would(shared, keys):
    machine = shared.launch(UserData=keys.user_data(
        "bootcmd:\n- echo boot >> /order\nwrite_files:\n- path: /etc/made\n  content: aGVsbG8=\n  encoding: b64\n"
        "  permissions: '0600'\n  owner: root:root\nruncmd:\n- [sh, -c, 'echo run >> /order; id -u > /who']\n"
        "packages: [x]\nswap: {size: 1}\n"))[0]
    until(lambda: "finished" in shared.ec2.get_console_output(
        InstanceId=machine["InstanceId"], Latest=True).get("Output", ""))
    text = keys.run(shared, machine, "cat /order /who; sudo cat /etc/made; sudo stat -c %a /etc/made; "
                                     "sudo cat /var/log/cloud-init-output.log")
    assert text.startswith("boot\nrun\n0\nhello600\n"), text
    assert "cannot install x" in text and 'cloud-config key "swap" is not supported yet' in text, text


def test_runs_scripts_and_multipart_user_data(shared, keys):
    parts = (f'Content-Type: multipart/mixed; boundary="X"\nMIME-Version: 1.0\n\n--X\n'
             f'Content-Type: text/cloud-config; charset="us-ascii"\n\n{keys.user_data()}\n--X\n'
             f'Content-Type: text/x-shellscript; charset="us-ascii"\n\n#!/bin/bash\necho script $BASH_VERSION > /made\n--X--\n')
    machine = shared.launch(UserData=parts)[0]
    until(lambda: keys.run(shared, machine, "cat /made", check=False).stdout.startswith("script 5"))


def test_metadata_wants_a_token(shared, keys):
    machine = shared.launch(UserData=keys.user_data(), IamInstanceProfile={"Name": "ci-runner"}, TagSpecifications=[
        {"ResourceType": "instance", "Tags": [{"Key": "team", "Value": "ci"}]}],
        MetadataOptions={"InstanceMetadataTags": "enabled", "HttpTokens": "required"})[0]
    base = "http://169.254.169.254/latest"
    text = keys.run(shared, machine, f"""
        code() {{ curl -s -m 3 -o /dev/null -w '%{{http_code}}\\n' "$@"; }}
        code {base}/meta-data/
        code -X PUT {base}/api/token
        code -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 99999' {base}/api/token
        code -X PUT -H 'X-Forwarded-For: x' -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' {base}/api/token
        T=$(curl -s -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' {base}/api/token)
        get() {{ curl -s -m 3 -H "X-aws-ec2-metadata-token: $T" "$@"; echo; }}
        code -H "X-aws-ec2-metadata-token: wrong" {base}/meta-data/
        get {base}/meta-data/instance-id
        get {base}/meta-data/tags/instance/team
        get http://169.254.169.254/2021-03-23/meta-data/placement/region
        get {base}/meta-data/iam/security-credentials/
        get {base}/dynamic/instance-identity/document | grep -c accountId
        code -H "X-aws-ec2-metadata-token: $T" {base}/meta-data/spot/instance-action
        get {base}/user-data | head -1""")
    assert text.split() == ["401", "400", "400", "403", "401", machine["InstanceId"], "ci", "us-east-1", "ci-runner",
                            "1", "404", "#cloud-config"], text


def test_hop_limit_keeps_containers_from_metadata(shared, keys):
    build = ("until sudo docker version >/dev/null 2>&1; do sleep 0.1; done; "
             "mkdir -p w/bin && cp /bin/busybox w/bin/ && ln -sf busybox w/bin/wget && ln -sf busybox w/bin/sh && "
             "tar -C w -c . | sudo docker import - t >/dev/null; ")
    ask = ("sudo docker run --rm {} t sh -c 'printf \"PUT /latest/api/token HTTP/1.0\\r\\nX-aws-ec2-metadata-token-ttl-seconds: "
           "60\\r\\n\\r\\n\" | timeout 3 busybox nc 169.254.169.254 80 | busybox tail -n 1 | busybox head -c 5'; echo")
    one, two = (shared.launch(DOCKER, UserData=keys.user_data(), MetadataOptions={"HttpPutResponseHopLimit": hops})[0]
                for hops in (1, 2))
    assert keys.run(shared, one, build + ask.format("") + ";" + ask.format("--network host")).split() == ["AQAEA"]
    assert keys.run(shared, two, build + ask.format("")).split() == ["AQAEA"]


def test_power_off_from_inside_ends_it(shared, keys):
    machine = shared.launch(UserData=keys.user_data(), InstanceInitiatedShutdownBehavior="terminate")[0]
    keys.run(shared, machine, "sudo shutdown -h +30; sudo shutdown -c; sudo shutdown -h now", check=False)
    def ended():
        seen = shared.ec2.describe_instances(InstanceIds=[machine["InstanceId"]])["Reservations"][0]["Instances"][0]
        return seen["State"]["Name"] == "terminated" and seen
    assert until(ended)["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"


def test_the_machine_reaches_nothing_of_the_outside(shared, keys):
    machine = shared.launch(UserData=keys.user_data())[0]
    done = keys.run(shared, machine, "curl -s -m 5 http://192.0.2.1/; echo $?; getent hosts example.org; echo $?")
    assert done.split() in (["7", "2"], ["28", "2"]), done


def links():
    return subprocess.run(["ip", "-br", "link"], capture_output=True, text=True).stdout


def test_everything_is_gone_when_it_stops(keys):
    simulator = Simulator()
    machine = simulator.launch(DOCKER, UserData=keys.user_data())[0]
    keys.run(simulator, machine, "true")
    assert simulator.link in links()
    simulator.stop()
    until(lambda: simulator.link not in links())
    assert not list((simulator.state / "machines").iterdir())
    assert str(simulator.state) not in pathlib.Path("/proc/mounts").read_text()
    # Nobody ended that machine but the simulator itself.
    assert simulator.ledger()["leaked"] == 1
    simulator.close()


def test_everything_is_gone_at_the_next_start_after_a_kill(keys):
    simulator = Simulator()
    machine = simulator.launch(UserData=keys.user_data())[0]
    keys.run(simulator, machine, "true")
    simulator.stop(signal.SIGKILL)
    processes = lambda: subprocess.run(["pgrep", "-f", f"ec2sim-init {simulator.state}"], capture_output=True).stdout
    until(lambda: not processes())
    simulator.start()
    assert not list((simulator.state / "machines").iterdir())
    assert simulator.launch()[0]["State"]["Name"] == "pending"
    simulator.close()


@pytest.mark.parametrize("kind", ["process", "namespace"])
def test_machines_hold_no_connection_of_the_simulator(kind):
    """A connection that is closed without an answer ends at once, although machines were started meanwhile."""
    simulator = Simulator("--machines", kind, "--fault", "lost=0.7")
    once = simulator.client("ec2", config=botocore.config.Config(retries={"total_max_attempts": 1}, read_timeout=20))
    image = "ami-0deb12a64d0000002" if kind == "process" else PLAIN
    for _ in range(4):
        try:
            once.run_instances(ImageId=image, MinCount=1, MaxCount=1, InstanceType="t3.large")
        except (botocore.exceptions.ConnectionClosedError, botocore.exceptions.HTTPClientError) as error:
            assert not isinstance(error, botocore.exceptions.ReadTimeoutError), error
    simulator.close()


def test_refuses_a_second_simulator_in_the_same_folder(shared):
    done = subprocess.run([BIN / "ec2sim", "--state", shared.state], capture_output=True, text=True)
    assert done.returncode == 2 and "another ec2sim uses" in done.stderr
