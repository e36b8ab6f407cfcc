"""muster exec on real machines: what it runs, and that it never leaves one behind."""
import json
import random
import re
import signal
import sqlite3
import subprocess
import time

import pytest

from conftest import BIN, PATIENCE, Muster, Simulator, until


def gone(simulator):
    until(lambda: simulator.ledger()["alive"] == 0, what="the machine's end")
    verdict = simulator.ledger()
    assert verdict["leaked"] == verdict["untagged"] == verdict["duplicated"] == 0, verdict


def lines_of(done, step):
    return [line.split("│ ", 1)[1] for line in done.stdout.splitlines() if re.match(rf"\s+{step}\s+│ ", line)]


def test_runs_steps_in_the_shell(muster):
    (muster.project / "tracked.txt").write_text("tracked\n")
    done = muster.steps("""
environment: {GREETING: "it's $HOME `id`"}
steps:
- name: env
  commands: ['echo "$GREETING" of $DRONE_STEP_NAME', cat tracked.txt, git log --format=%s -1]
  environment: {PATH: "/opt/bin:$PATH"}
- {name: input, commands: ["read x || echo no input", 'printf "a\\\\nb\\n"']}
""")
    assert done.returncode == 0, done.stdout + done.stderr
    out = lines_of(done, "env")
    assert "it's $HOME `id` of env" in out and "tracked" in out and "Uncommitted changes" in out
    assert "no input" in lines_of(done, "input")
    assert "passed in" in done.stdout
    gone(muster.simulator)


def test_stops_at_a_failing_step_and_says_so(muster):
    done = muster.steps("""
clone: {disable: true}
steps:
- {name: breaks, commands: [echo before, exit 7, echo after]}
- {name: never, commands: [echo never]}
- {name: cleanup, commands: [echo $DRONE_BUILD_STATUS $DRONE_FAILED_STEPS], when: {status: [failure]}}
- {name: always, commands: [echo always], when: {status: [failure, success]}}
""")
    assert done.returncode == 1
    assert "after" not in lines_of(done, "breaks") and not lines_of(done, "never")
    assert "failure breaks" in lines_of(done, "cleanup") and "always" in lines_of(done, "always")
    assert "breaks failed with exit code 7" in done.stdout and "failed in" in done.stdout
    gone(muster.simulator)


def test_ignores_skips_and_fails_fast(muster):
    done = muster.steps("""
clone: {disable: true}
steps:
- {name: flaky, commands: [exit 1], failure: ignore}
- {name: done, commands: [exit 78]}
- {name: rest, commands: [echo rest]}
""")
    assert done.returncode == 0 and "ignored" in done.stdout and not lines_of(done, "rest")
    done = muster.steps("""
clone: {disable: true}
steps:
- {name: start, commands: ["true"]}
- {name: slow, commands: [sleep 900], depends_on: [start]}
- {name: fast, commands: [exit 3], failure: fail-fast, depends_on: [start]}
""")
    assert done.returncode == 1 and "killed" in done.stdout


def test_runs_containers_services_and_volumes(muster):
    muster.configure(image="debian-12-amd64-docker")
    image = """
- name: image
  commands:
  - until docker version >/dev/null 2>&1; do sleep 0.1; done
  - mkdir -p /tmp/i/bin /tmp/i/tmp && cp /bin/busybox /tmp/i/bin/ && for n in sh cat echo nc id sleep ls pwd wget httpd touch; do ln -s busybox /tmp/i/bin/$n; done
  - tar -C /tmp/i -c . | docker import -c 'CMD ["/bin/echo", "own program"]' - demo/box:1
"""
    done = muster.steps(f"""
clone: {{disable: true}}
volumes: [{{name: data, temp: {{}}}}, {{name: fast, temp: {{medium: memory, size_limit: 1048576}}}}]
steps:{image}
- {{name: serve, image: demo/box:1, detach: true, commands: [echo hello > /tmp/index.html, httpd -f -p 80 -h /tmp]}}
- name: write
  image: demo/box:1
  volumes: [{{name: data, path: /data}}]
  environment: {{EMPTY: "", MULTI: "a b"}}
  commands: [echo shared > /data/file, 'echo "$MULTI" ${{DRONE_STEP_NAME}} $(pwd)', echo from container > made.txt]
- name: read
  image: demo/box:1
  volumes: [{{name: data, path: /data}}, {{name: fast, path: /fast}}]
  commands: [cat /data/file, touch /fast/x, cat made.txt, 'for i in 1 2 3 4 5; do wget -q -O - http://serve/ && break; sleep 1; done']
- {{name: own, image: demo/box:1}}
- {{name: host, commands: [cat made.txt]}}
- {{name: user, image: demo/box:1, user: "65534", working_dir: /tmp, commands: [id -u, pwd]}}
- {{name: code, image: demo/box:1, commands: [exit 9], failure: ignore}}
- {{name: entry, image: demo/box:1, entrypoint: [/bin/echo, from], command: [entrypoint]}}
""")
    assert done.returncode == 0, done.stdout + done.stderr
    assert lines_of(done, "read")[-4:].count("shared") <= 1 and "shared" in lines_of(done, "read")
    assert "hello" in lines_of(done, "read") and "from container" in lines_of(done, "read")
    assert "own program" in lines_of(done, "own") and "from container" in lines_of(done, "host")
    assert lines_of(done, "user")[-1] == "/tmp" and "65534" in lines_of(done, "user")
    assert "exit 9, ignored" in done.stdout and "from entrypoint" in lines_of(done, "entry")
    done = muster.steps("""
clone: {disable: true}
steps:
- {name: nothing, image: demo/none:1, pull: never, commands: ["true"]}
""", head="kind: pipeline\ntype: docker\n")
    assert done.returncode == 1 and "demo/none:1" in done.stdout and "E0434" in done.stdout, done.stdout
    done = muster.steps("""
clone: {disable: true}
services: [{name: db, image: "demo/none:1", pull: never}]
steps: [{name: a, commands: ["until docker version > /dev/null 2>&1; do sleep 0.1; done; sleep 5"]}]
""")
    assert done.returncode == 0 and "could not be started" in done.stdout and "E0434" in done.stdout, done.stdout
    gone(muster.simulator)


def test_takes_the_machine_from_the_instance_block(muster):
    (muster.project / "muster.yml").unlink()
    done = muster.steps("""
clone: {disable: true}
instance:
  image: debian-12-amd64
  name: my machine
  region: us-east-1
  size: m7i.large
  subnet: subnet-0a1b2c3d4e5f60702
  groups: [default]
  device: /dev/xvda
  private_ip: false
  volume_type: gp3
  volume_size: 40
  volume_iops: 4000
  iam_profile_arn: arn:aws:iam::123456789012:instance-profile/ci-runner
  userdata: |
    #!/bin/sh
    echo mine > /made
  tags: {team: ci}
steps:
- {name: look, commands: [id -un, "until test -e /made; do sleep 0.1; done; cat /made", sleep 1]}
""", head="kind: pipeline\ntype: aws\nname: adhoc\n")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "root" in lines_of(done, "look") and "mine" in lines_of(done, "look")
    ec2 = muster.simulator.ec2
    made = [i for r in ec2.describe_instances(Filters=[{"Name": "tag:team", "Values": ["ci"]},
                                                       {"Name": "tag:muster:pool", "Values": ["adhoc"]}])["Reservations"]
            for i in r["Instances"]][-1]
    assert made["InstanceType"] == "m7i.large" and made["Placement"]["AvailabilityZone"] == "us-east-1b"
    assert made["IamInstanceProfile"]["Arn"].endswith("/ci-runner")
    assert made["MetadataOptions"]["HttpPutResponseHopLimit"] == 1 and "InstanceLifecycle" not in made
    tags = {tag["Key"]: tag["Value"] for tag in made["Tags"]}
    assert tags["Name"] == "my machine" and tags["muster:intent"] == made["ClientToken"]


def test_what_the_pool_says_reaches_the_machine(muster):
    ec2 = muster.simulator.ec2
    ec2.create_key_pair(KeyName="own-" + muster.folder.name)
    muster.pipeline("kind: pipeline\ntype: vm\nclone: {disable: true}\nsteps:\n- name: a\n  commands: [sleep 2]\n")
    muster.configure(types="[m7i.large]", more=(
        f"    on_demand: only\n    max_instances: 1\n    private_ip: 10.{muster_octet(ec2)}.16.77\n"
        f"    subnets: [subnet-0a1b2c3d4e5f60701]\n    security_groups: [default]\n    key_name: own-{muster.folder.name}\n"
        "    iam_profile: ci-runner\n    monitoring: true\n    metadata_hop_limit: 3\n    name: the name\n    tags: {team: pool}\n"
        "    disk: {size: 41, type: gp3, iops: 4000, throughput: 300, encrypted: true}\n"))
    running = muster.start("exec")
    seen = until(lambda: [i for r in ec2.describe_instances(Filters=[{"Name": "tag:team", "Values": ["pool"]},
                                                                     {"Name": "instance-state-name", "Values": ["running"]}])["Reservations"]
                          for i in r["Instances"]])[0]
    volume = ec2.describe_volumes(VolumeIds=[seen["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]])["Volumes"][0]
    out, err = running.communicate(timeout=60 * PATIENCE)
    assert running.returncode == 0, err
    assert (volume["Size"], volume["VolumeType"], volume["Iops"], volume["Throughput"], volume["Encrypted"]) == (41, "gp3", 4000, 300, True)
    assert seen["Monitoring"]["State"] == "enabled" and seen["KeyName"] == "own-" + muster.folder.name
    assert seen["PrivateIpAddress"].endswith(".16.77") and seen["InstanceType"] == "m7i.large"
    assert seen["MetadataOptions"]["HttpPutResponseHopLimit"] == 3 and seen["MetadataOptions"]["HttpTokens"] == "required"
    assert {t["Key"]: t["Value"] for t in seen["Tags"]}["Name"] == "the name" and "InstanceLifecycle" not in seen


def muster_octet(ec2):
    return ec2.describe_subnets(SubnetIds=["subnet-0a1b2c3d4e5f60701"])["Subnets"][0]["CidrBlock"].split(".")[1]


def test_ends_the_machine_on_interrupt(muster):
    muster.pipeline("kind: pipeline\ntype: vm\nclone: {disable: true}\nsteps: [{name: long, commands: [sleep 300]}]\n")
    running = muster.start("exec")
    until(lambda: muster.simulator.ledger()["alive"] == 1)
    for line in running.stdout:
        if "sleep 300" in line:
            break
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=20 * PATIENCE)
    assert running.returncode == 130 and "interrupted" in err, (running.returncode, err)
    gone(muster.simulator)


def test_ends_the_run_that_takes_too_long(muster):
    done = muster.steps("clone: {disable: true}\nsteps: [{name: long, commands: [sleep 300]}]\n", "--timeout", "3s")
    assert done.returncode == 4 and "E0440" in done.stderr
    gone(muster.simulator)


def test_survives_a_cut_connection(muster):
    muster.pipeline("kind: pipeline\ntype: vm\nclone: {disable: true}\nsteps:\n- name: count\n  commands:\n"
                    "  - for i in $(seq 40); do echo line $i; echo $i >> /tmp/effect; sleep 0.1; done; wc -l < /tmp/effect\n")
    running = muster.start("exec")
    seen = []
    cuts = 0
    for line in running.stdout:
        seen.append(line)
        if re.search(r"line (10|20|30)$", line.strip()):
            address = re.search(r"10\.\d+\.\d+\.\d+", muster.simulator.ec2.describe_instances(Filters=[
                {"Name": "instance-state-name", "Values": ["running"]}])["Reservations"][0]["Instances"][0]["PrivateIpAddress"]).group()
            cuts += subprocess.run(["ss", "-K", "dst", address, "dport", "=", "22"], capture_output=True).returncode == 0
    assert running.wait() == 0, running.stderr.read()
    numbers = [int(m.group(1)) for m in (re.search(r"│ line (\d+)$", line.rstrip()) for line in seen) if m]
    assert numbers == list(range(1, 41)) and cuts == 3
    assert any(re.search(r"│ 40$", line.rstrip()) for line in seen)
    gone(muster.simulator)


def test_delivers_large_and_odd_output_whole(muster):
    done = muster.steps("clone: {disable: true}\nsteps:\n- name: big\n  commands:\n"
                        "  - seq 1 200000\n  - 'head -c 300000 /dev/zero | tr \"\\0\" x; echo'\n"
                        "  - printf 'no newline'\n")
    assert done.returncode == 0
    lines = lines_of(done, "big")
    numbers = [int(line) for line in lines if line.isdigit()]
    assert numbers == list(range(1, 200001))
    assert sum(line.count("x") for line in lines if set(line) == {"x"}) == 300000
    assert lines[-1] == "no newline"


def test_keeps_bytes_that_are_no_text(muster):
    muster.pipeline("kind: pipeline\ntype: vm\nclone: {disable: true}\nsteps:\n- name: odd\n  commands:\n  - |\n"
                    "    i=0; while [ $i -lt 20000 ]; do printf '\\000\\377\\300\\200\\r\\033[2J'; i=$((i + 1)); done\n"
                    "  - head -c 20000000 /dev/zero | tr '\\0' x\n")
    running = subprocess.Popen([BIN / "muster", "exec"], cwd=muster.project, env=muster.environment,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = running.communicate(timeout=120 * PATIENCE)
    assert running.returncode == 0, err
    log = next((muster.state / "runs").glob("*/steps/*odd*.log")).read_bytes()
    # The step's own bytes are all there and none is changed.
    assert b"\x00\xff\xc0\x80\r\x1b[2J" * 20000 in log and log.endswith(b"x" * 20_000_000)
    assert 20_000_000 <= out.count(b"x") < 20_001_000


def test_stops_when_another_machine_answers(tmp_path):
    simulator = Simulator("--deny", "TerminateInstances")
    try:
        muster = Muster(simulator, tmp_path)
        # The console will show a key that the machine's sshd does not have.
        muster.configure(more="    user_data: |\n      #cloud-config\n      bootcmd:\n      - rm -f /etc/ssh/ssh_host_*_key.pub"
                              " && ssh-keygen -q -t ed25519 -N '' -f /tmp/other && cp /tmp/other.pub /etc/ssh/ssh_host_ed25519_key.pub\n")
        done = muster.steps("clone: {disable: true}\nsteps: [{name: a, commands: [x]}]\n")
        assert done.returncode == 3 and "E0421" in done.stderr and "another machine answers" in done.stderr, done.stderr
        log = next((simulator.state / "machines").glob("*/upper/var/log/sshd.log"))
        until(lambda: "preauth" in log.read_text() or "closed" in log.read_text().lower())
        text = log.read_text()
        assert "admin" not in text and "user" not in text.replace("Userauth", "") and "publickey" not in text, text
    finally:
        simulator.close()


def test_nothing_is_left_after_a_kill_at_any_moment(tmp_path):
    simulator = Simulator("--no-throttling")
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    try:
        muster = Muster(simulator, tmp_path)
        muster.configure(dead_man="1m", boot_timeout="30s")
        muster.pipeline("kind: pipeline\ntype: vm\nsteps:\n- {name: a, commands: [sleep 0.5]}\n- {name: b, commands: [echo b]}\n")
        started = time.monotonic()
        assert muster.run("exec").returncode == 0
        whole = time.monotonic() - started
        for number in range(20):
            moment = whole * (number + chance.random()) / 20
            running = muster.start("exec")
            time.sleep(moment)
            running.kill()
            running.communicate()
            rows = []
            if (muster.state / "muster.db").exists():
                rows = sqlite3.connect(muster.state / "muster.db").execute("SELECT token FROM launch_intent").fetchall()
            tokens = {row[0] for row in rows}
            # Each machine that ever was has its intent on disk.
            for line in (simulator.state / "ledger.jsonl").read_text().splitlines():
                entry = json.loads(line)
                assert entry["kind"] != "machine" or entry["intent"] in tokens, f"seed {seed}, kill {number}"
        until(lambda: simulator.ledger()["alive"] == 0, seconds=100, what="the dead-man timers")
        verdict = simulator.ledger()
        assert verdict["leaked"] == verdict["untagged"] == verdict["duplicated"] == 0, (seed, verdict)
        assert verdict["machines"] >= 2
    finally:
        simulator.close()


def test_secrets_are_where_they_belong(muster):
    done = muster.steps("clone: {disable: true}\nsteps: [{name: a, commands: [sleep 1]}]\n", "--log", "debug")
    secret = (muster.state / "cluster.secret").read_text().strip()
    assert (muster.state / "cluster.secret").stat().st_mode & 0o777 == 0o600
    text = done.stdout + done.stderr
    store = b"".join(p.read_bytes() for p in muster.state.glob("muster.db*"))
    for value in (secret, muster.environment["AWS_SECRET_ACCESS_KEY"], "PRIVATE KEY"):
        assert value not in text and value.encode() not in store


def test_gives_containers_their_options(muster):
    """Each option as the engine has it, asked on the machine itself."""
    muster.configure(image="debian-12-amd64-docker")
    box = """
- name: image
  commands:
  - until docker version >/dev/null 2>&1; do sleep 0.1; done
  - mkdir -p /tmp/i/bin && cp /bin/busybox /tmp/i/bin/ && for n in sh cat echo env; do ln -s busybox /tmp/i/bin/$n; done
  - tar -C /tmp/i -c . | docker import - demo/box:1
"""
    look = "docker inspect --format '{{json .HostConfig}}' $(docker ps -aq --filter label=io.drone.step.name=all)"
    (muster.project / "secrets").write_text("TOKEN=hunter2secret\n")
    done = muster.steps(f"""
clone: {{disable: true}}
volumes: [{{name: srv, host: {{path: /srv}}}}]
steps:{box}
- name: all
  image: demo/box:1
  pull: never
  dns: [192.0.2.1]
  dns_search: [example.org]
  extra_hosts: ["other:192.0.2.2"]
  devices: [{{name: zero, path: /dev/other}}]
  port_bindings: {{"8081": "81"}}
  shm_size: 32MiB
  mem_limit: 64MiB
  memswap_limit: 128MiB
  volumes: [{{name: srv, path: /data}}]
  settings: {{some_list: [a, b], token: {{from_secret: TOKEN}}}}
  environment: {{SECRET: {{from_secret: TOKEN}}}}
  commands: ['echo "list $PLUGIN_SOME_LIST token $PLUGIN_TOKEN and $SECRET"', cat /etc/hosts]
- {{name: look, commands: [{json.dumps(look)}]}}
""".replace("devices: [{name: zero, path: /dev/other}]", "devices: [{name: /dev/zero, path: /dev/other}]"),
                        "--secret-file", "secrets")
    assert done.returncode == 0, done.stdout + done.stderr
    said = lines_of(done, "all")
    assert "list a,b token ****** and ******" in said and "hunter2secret" not in done.stdout + done.stderr, said
    host = json.loads(next(line for line in lines_of(done, "look") if line.startswith("{")))
    assert host["Dns"] == ["192.0.2.1"] and host["DnsSearch"] == ["example.org"]
    assert host["ExtraHosts"] == ["other:192.0.2.2"] and any("other" in line for line in said)
    assert host["ShmSize"] == 32 << 20
    # An engine whose kernel has no memory cgroup discards these two.
    assert (host["Memory"], host["MemorySwap"]) in [(64 << 20, 128 << 20), (0, -1)]
    assert host["PortBindings"]["81/tcp"][0]["HostPort"] == "8081"
    assert host["Privileged"] and any("/srv" in json.dumps(one) for one in host["Binds"] or host["Mounts"])
    assert [(one["PathOnHost"], one["PathInContainer"]) for one in host["Devices"]] == [("/dev/zero", "/dev/other")]


def test_untrusted_and_the_pool_forbid_privileged(muster):
    text = "kind: pipeline\ntype: vm\nclone: {disable: true}\nsteps: [{name: a, image: b, commands: [c]}]\n"
    muster.pipeline(text)
    assert '"privileged": true' in muster.run("compile").stdout
    assert '"privileged": true' not in muster.run("compile", "--untrusted").stdout
    muster.configure(more="    privileged: false\n")
    muster.pipeline(text + "services: [{name: db, image: b, privileged: true}]\n")
    done = muster.run("exec")
    assert done.returncode == 2 and "step db asks for privileged" in done.stderr, done.stderr


def test_takes_what_the_pool_does_not_say_from_a_launch_template(muster):
    ec2 = muster.simulator.ec2
    image = ec2.describe_images(Owners=["self"], Filters=[{"Name": "name", "Values": ["debian-12-amd64"]}])["Images"][0]
    name = "ci-" + muster.folder.name
    ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData={
        "ImageId": image["ImageId"], "InstanceType": "m5.large",
        "TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "of", "Value": "template"}]}]})
    ec2.create_launch_template_version(LaunchTemplateName=name, SourceVersion="1",
                                       LaunchTemplateData={"InstanceType": "c5.large"})
    muster.pipeline("kind: pipeline\ntype: vm\nsteps:\n- name: a\n  commands: [echo hello]\n")
    for version, more, kind in [("", "", "m5.large"), (", version: 2", "", "c5.large"),
                                (", version: $Latest", "    types: [t3.large]\n", "t3.large")]:
        (muster.project / "muster.yml").write_text(
            f"pools:\n  p:\n    launch_template: {{name: {name}{version}}}\n    dead_man: 10m\n    boot_timeout: 2m\n{more}")
        done = muster.run("exec")
        assert done.returncode == 0 and "hello" in done.stdout, done.stderr
        assert f"{kind} spot" in done.stderr and (more or f"· template {name} ·" in done.stderr)
    owned = ec2.describe_instances(Filters=[{"Name": "tag:muster:pool", "Values": ["p"]},
                                            {"Name": "tag:of", "Values": ["template"]}])["Reservations"]
    assert len(owned) >= 3


@pytest.mark.parametrize("template,text", [("{name: nowhere}", "with template name nowhere, does not exist"),
                                           ("{id: lt-0123456789abcdef0}", "with template ID lt-0123456789abcdef0")])
def test_an_unknown_launch_template_is_told(muster, template, text):
    muster.pipeline("kind: pipeline\ntype: vm\nsteps:\n- name: a\n  commands: [echo hello]\n")
    (muster.project / "muster.yml").write_text(f"pools:\n  p:\n    launch_template: {template}\n")
    done = muster.run("exec")
    assert done.returncode == 2 and text in done.stderr and "launch_template" in done.stderr.splitlines()[-1], done.stderr
