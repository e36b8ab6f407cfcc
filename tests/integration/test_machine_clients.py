"""What other clients of EC2 do on the machines (ec2-clients.md 4)."""

import json
import subprocess
import time


from conftest import DOCKER, PATIENCE, PLAIN, Keys, until

CALL = (
    'role=$(curl -sH "X-aws-ec2-metadata-token: $token" http://169.254.169.254/latest/meta-data/iam/security-credentials/)\n'
    'keys=$(curl -sH "X-aws-ec2-metadata-token: $token" http://169.254.169.254/latest/meta-data/iam/security-credentials/$role)\n'
    'part() { echo "$keys" | sed -n \'s/.*"\'$1\'" *: *"\\([^"]*\\)".*/\\1/p\'; }\n'
    'call() { curl -s --aws-sigv4 "aws:amz:us-east-1:$1" -u "$(part AccessKeyId):$(part SecretAccessKey)" '
    '-H "X-Amz-Security-Token: $(part Token)" "$2" -d "$3"; }\n'
)


def launch(shared, keys, image=PLAIN, **more):
    instance = shared.launch(image, UserData=keys.user_data(), **more)[0]
    until(lambda: keys.run(shared, instance, "true", check=False).returncode == 0, 20, "SSH")
    return instance


def test_the_api_is_reached_from_inside_with_the_role_of_the_machine(shared, keys):
    instance = launch(shared, keys, IamInstanceProfile={"Name": "ci-runner"})
    script = (
        "token=$(curl -sX PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' http://169.254.169.254/latest/api/token)\n"
        + CALL
        + "call sts http://169.254.169.252/ 'Action=GetCallerIdentity&Version=2011-06-15'\n"
        + f"call ec2 http://aws.ec2.internal/ 'Action=DescribeInstances&Version=2016-11-15&InstanceId.1={instance['InstanceId']}'\n"
        + "curl -s -o /dev/null -w 'admin %{http_code}' http://169.254.169.252/_ec2sim/machines\n"
    )
    told = keys.run(shared, instance, script)
    assert f":assumed-role/ci-runner/{instance['InstanceId']}</Arn>" in told
    assert f"<instanceId>{instance['InstanceId']}</instanceId>" in told
    assert "admin 40" in told
    shared.ec2.terminate_instances(InstanceIds=[instance["InstanceId"]])


def test_a_key_is_let_in_for_a_minute(shared, keys, tmp_path):
    instance = launch(shared, keys)
    other = tmp_path / "other"
    other.mkdir()
    guest = Keys(other)
    assert guest.run(shared, instance, "true", check=False).returncode != 0
    connect = shared.client("ec2-instance-connect")
    sent = connect.send_ssh_public_key(
        InstanceId=instance["InstanceId"],
        InstanceOSUser="admin",
        SSHPublicKey=guest.public,
        AvailabilityZone=instance["Placement"]["AvailabilityZone"],
    )
    assert sent["Success"] is True
    assert guest.run(shared, instance, "whoami") == "admin\n"
    # sshd itself ends the minute.
    line = keys.run(shared, instance, "cat .ssh/authorized_keys2")
    expiry = time.strptime(line.split('"')[1], "%Y%m%d%H%M%SZ")
    left = time.mktime(expiry) - time.mktime(time.gmtime())
    assert 30 < left <= 60 and guest.public.rsplit(" ", 1)[0] in line
    keys.run(shared, instance, 'sed -i \'s/"[0-9]*Z"/"20200101000000Z"/\' .ssh/authorized_keys2')
    assert guest.run(shared, instance, "true", check=False).returncode != 0
    # A link that leads out of the machine is not followed.
    target = tmp_path / "outside"
    target.mkdir()
    keys.run(
        shared,
        instance,
        f"rm -r .ssh/authorized_keys2; mv .ssh .kept; mkdir -p {target}; ln -s {target} .ssh",
        check=False,
    )
    for user in ("admin", "nobody-here"):
        connect.send_ssh_public_key(
            InstanceId=instance["InstanceId"], InstanceOSUser=user, SSHPublicKey=guest.public
        )
    assert list(target.iterdir()) == []
    gone = shared.launch()[0]["InstanceId"]
    shared.ec2.terminate_instances(InstanceIds=[gone, instance["InstanceId"]])
    for name, wanted in [
        (gone, "EC2InstanceStateInvalidException"),
        ("i-00000000000000000", "EC2InstanceNotFoundException"),
    ]:
        try:
            connect.send_ssh_public_key(InstanceId=name, InstanceOSUser="admin", SSHPublicKey=guest.public)
            raise AssertionError("must be refused")
        except connect.exceptions.ClientError as error:
            assert error.response["Error"]["Code"] == wanted


def test_docker_is_provisioned_over_ssh_as_docker_machine_does(shared, keys, tmp_path):
    instance = launch(shared, keys, DOCKER)
    address = instance["PrivateIpAddress"]
    run = lambda command: keys.run(shared, instance, command)
    run("exit 0")
    assert "Debian" in run("cat /etc/os-release")
    run("sudo hostname runner-1 && echo runner-1 | sudo tee /etc/hostname")
    run(
        "if grep -xq 127.0.1.1.* /etc/hosts; then sudo sed -i 's/^127.0.1.1.*/127.0.1.1 runner-1/g' /etc/hosts; fi"
    )
    run("sudo apt-get update; sudo apt-get install -y curl")
    run("type docker && sudo docker version")
    assert run("sudo systemctl is-active docker") == "active\n"
    run("sudo systemctl -f stop docker")
    assert keys.run(shared, instance, "sudo docker version", check=False).returncode != 0
    assert keys.run(shared, instance, "sudo systemctl is-active docker", check=False).returncode == 3
    authority = tmp_path / "tls"
    authority.mkdir()

    def openssl(*words):
        subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=authority)

    openssl(
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        "ca-key.pem",
        "-out",
        "ca.pem",
        "-days",
        "2",
        "-subj",
        "/CN=ca",
    )
    for name in ("server", "client"):
        openssl(
            "req",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            f"{name}-key.pem",
            "-out",
            f"{name}.csr",
            "-subj",
            f"/CN={name}",
        )
        (authority / "more").write_text(
            f"subjectAltName=IP:{address}\nextendedKeyUsage=serverAuth,clientAuth\n"
        )
        openssl(
            "x509",
            "-req",
            "-in",
            f"{name}.csr",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca-key.pem",
            "-CAcreateserial",
            "-out",
            f"{name}.pem",
            "-days",
            "2",
            "-extfile",
            "more",
        )
    for name in ("ca", "server", "server-key"):
        text = (authority / f"{name}.pem").read_text()
        run(f"printf '%s' '{text}' | sudo tee /etc/docker/{name}.pem > /dev/null")
    unit = (
        "[Service]\nExecStart=\nExecStart=/usr/sbin/dockerd -H tcp://0.0.0.0:2376 -H unix:///var/run/docker.sock --storage-driver overlay2 "
        "--tlsverify --tlscacert /etc/docker/ca.pem --tlscert /etc/docker/server.pem --tlskey /etc/docker/server-key.pem "
        "--label provider=amazonec2 \nEnvironment=\n"
    )
    run("sudo mkdir -p /etc/systemd/system/docker.service.d")
    run(f"printf '%s' '{unit}' | sudo tee /etc/systemd/system/docker.service.d/10-machine.conf > /dev/null")
    run("sudo systemctl daemon-reload && sudo systemctl -f restart docker && sudo systemctl -f enable docker")
    assert "docker0" in run("ip link show docker0")
    assert ":2376" in run("ss -tln")
    info = subprocess.run(
        [
            "curl",
            "-s",
            "--cacert",
            authority / "ca.pem",
            "--cert",
            authority / "client.pem",
            "--key",
            authority / "client-key.pem",
            f"https://{address}:2376/info",
        ],
        capture_output=True,
        text=True,
    )
    assert json.loads(info.stdout)["Labels"] == ["provider=amazonec2"], info
    assert (
        subprocess.run(["curl", "-sk", f"https://{address}:2376/info"], capture_output=True).returncode != 0
    )
    assert keys.run(shared, instance, "sudo systemctl start nothing", check=False).returncode != 0
    shared.ec2.terminate_instances(InstanceIds=[instance["InstanceId"]])


def test_the_console_is_empty_at_first_and_no_error(shared):
    one = shared.launch()[0]["InstanceId"]
    assert shared.ec2.get_console_output(InstanceId=one).get("Output", "") == ""
    assert shared.host_keys(one)
    shared.ec2.terminate_instances(InstanceIds=[one])


def test_cloud_config_keys_that_other_clients_send(shared, keys):
    import gzip

    config = (
        "#cloud-config\n"
        "system_info:\n  default_user: {name: runner, home: /home/runner, shell: /bin/sh, groups: [adm], sudo: ['ALL=(ALL) NOPASSWD:ALL']}\n"
        "users: [default, {name: second, groups: 'adm', shell: /bin/bash}]\n"
        "package_update: false\npackage_upgrade: false\npackages: [curl]\n"
        "apt: {sources: {docker.list: {source: 'deb http://nowhere stable main', key: 'KEY TEXT'}}}\n"
        f"ssh_authorized_keys: ['{keys.public}']\n"
        "write_files:\n- {path: /etc/runner.env, content: aGVsbG8K, encoding: b64, owner: 'root:adm', permissions: '0640'}\n"
        "runcmd:\n- [sh, -c, 'echo ran > /tmp/ran']\n"
        f"# {'x' * 20000}\n"
    )
    packed = gzip.compress(config.encode())
    assert len(config) > 16384 > len(packed)
    instance = shared.launch(UserData=packed)[0]
    until(
        lambda: subprocess_run(keys, shared, instance, "test -e /tmp/ran").returncode == 0,
        20,
        "the boot's end",
    )
    told = subprocess_run(
        keys,
        shared,
        instance,
        "id -nG; sudo -n stat -c '%U:%G %a' /etc/runner.env; sudo cat /etc/runner.env; id -nG second; "
        "cat /etc/apt/sources.list.d/docker.list.list /etc/apt/sources.list.d/docker.list 2>/dev/null; pwd",
    ).stdout
    assert "adm" in told.splitlines()[0] and "root:adm 640" in told and "hello" in told
    assert "deb http://nowhere stable main" in told and told.rstrip().endswith("/home/runner")
    shared.ec2.terminate_instances(InstanceIds=[instance["InstanceId"]])


def subprocess_run(keys, shared, instance, command):
    """As the user of the cloud-config."""
    known = keys.folder / "known_hosts"
    address = instance["PrivateIpAddress"]
    known.write_text("".join(f"{address} {key}\n" for key in shared.host_keys(instance["InstanceId"])))
    return subprocess.run(
        [
            "ssh",
            "-i",
            keys.key,
            "-o",
            f"UserKnownHostsFile={known}",
            "-o",
            "StrictHostKeyChecking=yes",
            "-o",
            "BatchMode=yes",
            f"runner@{address}",
            command,
        ],
        capture_output=True,
        text=True,
        timeout=60 * PATIENCE,
    )
