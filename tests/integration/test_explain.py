"""`muster explain` names the one true cause, whatever keeps a job from running; set up from outside."""

import json
import re
import signal
import time

import pytest

from conftest import Simulator, until
from daemons import Daemon, add_jobs, start_ci


class Place:
    """A simulator, a CI server and a daemon, as a situation wants them."""

    def __init__(self, folder, flags=(), change=lambda text: text, more="", starts=True, **daemon):
        self.simulator = Simulator("--machines", daemon.get("kind", "process"), *flags)
        self.ci = start_ci()
        self.daemon = Daemon(self.simulator, folder / "d", self.ci, idle=0, **{"most": 4, **daemon})
        text = (self.daemon.folder / "muster.yml").read_text()
        self.daemon.configure(change(text) + more)
        if starts:
            self.start()

    def start(self):
        self.daemon.start()
        until(lambda: "ready" in self.daemon.said(), what="the daemon")

    def jobs(self, count=1, **more):
        add_jobs(self.ci, count, **more)

    def explain(self, job="j00000"):
        done = self.daemon.muster("explain", job, "--json")
        if done.returncode != 0:
            return {"cause": "", "headline": done.stderr, "change": ""}
        return json.loads(done.stdout)["explanation"]

    def expect(self, cause, words, job="j00000", seconds=20):
        """The cause comes, its first line says it, and the text for people is the same."""
        last = {}

        def is_said():
            last.update(self.explain(job))
            return last["cause"] == cause and re.search(words, last["headline"])

        try:
            until(is_said, seconds, "the cause")
        except AssertionError:
            raise AssertionError(f"wanted {cause} ({words}), and it says {last}\n{self.daemon.said()[-2000:]}") from None
        first = self.daemon.muster("explain", job).stdout.splitlines()[0]
        assert re.search(words, first), first
        return last

    def running(self, job):
        until(lambda: self.ci.truth.jobs[job]["ran"], 20, f"{job} to run")
        return self.ci.truth.jobs[job]["instance"]

    def close(self):
        self.daemon.stop(signal.SIGKILL)
        self.ci.shutdown()
        self.simulator.close()


@pytest.fixture
def place(tmp_path):
    made = []

    def make(*arguments, **more):
        made.append(Place(tmp_path, *arguments, **more))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_no_pool_has_the_labels(place):
    here = place()
    here.jobs(labels=["linux", "gpu"])
    said = here.expect("no-pool", r"\[gpu,linux\].*pool plain is nearest and lacks \[gpu\]")
    assert "muster config reload" in said["change"]


def test_pool_limit_and_another_cause_at_once(place):
    here = place(most=1)
    here.jobs(2, takes=60)
    here.jobs(1, labels=["none"], prefix="x")
    here.running("j00000")
    said = here.expect("pool-limit", "pool plain has 1 instances, and max_instances is 1", "j00001")
    assert "pools.plain.max_instances" in said["change"] and said["queue"].startswith("1st of 1")
    here.expect("no-pool", "none", "x00000")
    here.expect("running", r"running on i-[0-9a-f]{17}")


def test_growth_limit(place):
    here = place(["--fault", "hang=1"], change=lambda text: text.replace("    order:", "    growth_limit: 1\n    order:"))
    here.jobs(2)
    here.expect("growth-limit", "growth_limit is 1", "j00001")


@pytest.mark.parametrize("limits, cause, words", [
    ("{labels: {linux: 1}}", "label-limit", "limits.labels.linux is 1"),
    ("{repository_jobs: 1}", "repository-limit", "limits.repository_jobs is 1"),
    ("{instances: 1}", "cluster-limit", "limits.instances is 1"),
    ("{vcpus: 2}", "vcpu-limit", "limits.vcpus is 2"),
])
def test_limits(place, limits, cause, words):
    here = place(more=f"limits: {limits}\n")
    here.jobs(1, takes=60)
    here.running("j00000")
    here.jobs(1, prefix="k")
    said = here.expect(cause, words, "k00000")
    assert "raise" in said["change"]


def test_money_of_the_day(place):
    here = place(more='limits: {usd_per_day: "0.001"}\nprices: {t3.large: "0.0832", m5.large: "0.096"}\n')
    here.jobs()
    said = here.expect("budget", "waiting for money.*usd_per_day is 0.001")
    assert "a new day begins" in said["next"] and said["next_at"]


def test_fair_share(place):
    here = place(most=2)
    here.jobs(2, takes=60, repository="a/x")
    here.running("j00000"), here.running("j00001")
    here.jobs(1, prefix="k", repository="a/x")
    here.jobs(1, prefix="l", repository="b/y")
    here.expect("fair-share", "a has 2 jobs running, b has 0 and goes first", "k00000")
    here.expect("pool-limit", "max_instances is 2", "l00000")


@pytest.mark.parametrize("order, cause", [("pause", "paused"), ("drain", "draining")])
def test_stopped_pools(place, order, cause):
    here = place()
    here.daemon.muster("pool", order, "plain", "--reason", "new image")
    here.jobs()
    said = here.expect(cause, 'by .*: "new image"')
    assert said["change"] == "muster pool resume plain"


@pytest.mark.parametrize("flags, change, cause, words", [
    (["--no-capacity", "*/*/*"], None, "capacity", "has no room .*InsufficientInstanceCapacity"),
    (["--vcpu-quota", "0"], "on_demand: only", "quota", "beyond the account's quota .*VcpuLimitExceeded"),
    (["--spot-quota", "0"], "on_demand: never", "quota", "beyond the account's quota .*MaxSpotInstanceCountExceeded"),
    (["--fault", "throttle=1", "--fault", "actions=RunInstances"], None, "throttled", "RequestLimitExceeded"),
    (["--deny", "RunInstances"], None, "launch-error", "UnauthorizedOperation"),
])
def test_the_cloud_refuses(place, flags, change, cause, words):
    here = place(flags, change=lambda text: text.replace("    order:", f"    {change}\n    order:") if change else text)
    here.jobs()
    said = here.expect(cause, words, seconds=30)
    assert said["next"] or said["change"]


def test_the_image_is_gone(place):
    here = place(change=lambda text: re.sub("image: .*", "image: no-such-image", text))
    here.jobs()
    here.expect("launch-error", "no image|image .*no-such-image", seconds=30)


def test_the_machine_does_not_boot(place):
    here = place(["--fault", "hang=1"])
    here.jobs()
    said = here.expect("booting", r"waiting for a machine to come up.*i-[0-9a-f]{17} of pool plain")
    assert "it is given up" in said["next"]


def test_the_machine_shows_no_host_keys(place):
    here = place(["--withhold-console"])
    here.jobs()
    here.expect("booting", "no host keys on the console")


def test_ssh_is_refused(place):
    here = place(change=lambda text: text.replace("port: 2222", "port: 2223"))
    here.jobs()
    here.expect("booting", "refused|no answer|nothing answers|cannot connect|not connect")


def test_the_user_may_not_log_in(place):
    here = place(change=lambda text: text.replace("ssh: {port: 2222}", "ssh: {port: 2222, user: nobody-there}"))
    here.jobs()
    here.expect("booting", "refused muster's key for user nobody-there", seconds=40)


def test_a_machine_that_ends_under_its_job_loses_it(place):
    here = place()
    here.jobs(takes=60)
    here.simulator.ec2.terminate_instances(InstanceIds=[here.running("j00000")])
    here.expect("machine-lost", "lost at .*(its instance ended|instance has ended|machine)", seconds=60)


def test_the_time_limit(place):
    here = place()
    here.jobs(takes=60, time_max=1)
    here.expect("time-limit", "took longer than 1")


def test_steps_that_fail_are_cancelled_or_pass(place):
    here = place()
    here.jobs(1)
    with here.ci.truth.lock:
        here.ci.truth.jobs["j00000"]["script"] += "; exit 7"
    here.expect("failed", "failed at ")
    here.jobs(1, takes=60, prefix="k")
    here.running("k00000")
    with here.ci.truth.lock:
        here.ci.truth.jobs["k00000"].update(state="cancelled", ended_at=time.time())
        here.ci.truth.changed()
    here.expect("cancelled", "cancelled at .*its CI server has ended it", "k00000")
    here.jobs(1, prefix="l")
    here.expect("passed", "passed at ", "l00000")


def test_after_kill_9_it_says_the_same(place):
    here = place(most=1)
    here.jobs(2, takes=60)
    here.running("j00000")
    here.daemon.stop(signal.SIGKILL)
    here.daemon.start()
    until(lambda: here.daemon.said().count("ready") == 2, what="the second daemon")
    here.expect("pool-limit", "max_instances is 1", "j00001")


def test_out_of_schedule(place):
    night = '    schedule:\n      night: {when: "* * * * *", timezone: Europe/Berlin, max_instances: 0}\n'
    here = place(change=lambda text: text.replace("    order:", night + "    order:"))
    here.jobs()
    said = here.expect("schedule", "closed by its schedule.*pool plain has 0 instances, and its schedule night allows 0")
    assert "pools.plain.schedule.night.max_instances" in said["change"]
    assert "24 hours" in said["next"]


def test_the_subnet_is_full(place, tmp_path):
    world = tmp_path / "world.yml"
    world.write_text("regions:\n- name: us-east-1\n  subnets:\n  - {zone: a, cidr: 10.0.0.0/28}\n")
    here = place(["--world", str(world)])
    subnet = here.simulator.ec2.describe_subnets()["Subnets"][0]
    free = subnet["AvailableIpAddressCount"]
    here.simulator.ec2.run_instances(ImageId="ami-0deb12a64d0000002", InstanceType="t3.small", MinCount=free,
                                     MaxCount=free, SubnetId=subnet["SubnetId"])
    here.jobs()
    here.expect("capacity", "InsufficientFreeAddressesInSubnet", seconds=30)


def test_the_credentials_have_expired(place, tmp_path):
    """As with AWS SSO: what hands them out says that somebody has to log in again."""
    here = place(change=lambda text: "aws_profile: sso\n" + text, starts=False)
    keys = here.simulator.variables
    script = tmp_path / "credentials"
    script.write_text("#!/bin/sh\n[ -e %s ] && { echo 'The SSO session has expired' >&2; exit 1; }\n"
                      "printf '{\"Version\": 1, \"AccessKeyId\": \"%s\", \"SecretAccessKey\": \"%s\", "
                      "\"Expiration\": \"%%s\"}' $(date -u -d '+2 seconds' +%%Y-%%m-%%dT%%H:%%M:%%SZ)\n"
                      % (tmp_path / "expired", keys["AWS_ACCESS_KEY_ID"], keys["AWS_SECRET_ACCESS_KEY"]))
    script.chmod(0o700)
    (tmp_path / "aws").write_text(f"[profile sso]\ncredential_process = {script}\nregion = us-east-1\n")
    environment = here.daemon.environment
    environment.update(AWS_CONFIG_FILE=str(tmp_path / "aws"))
    del environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"]
    here.start()
    (tmp_path / "expired").touch()
    time.sleep(2)
    here.jobs()
    said = here.expect("launch-error", "The SSO session has expired", seconds=40)
    assert said["change"]


def test_the_bootstrap_fails(place):
    here = place(change=lambda text: text.replace("    order:", "    user_data: \"#!/bin/sh\\nrm -f /etc/sudoers.d/*\"\n    order:"),
                 kind="namespace")
    here.jobs()
    said = here.expect("circuit-open", "machines of its pool do not come up.*needs password-less sudo", seconds=60)
    assert "pools.plain" in said["change"]


def test_a_machine_that_shut_itself_down_lost_its_job(place):
    """As its dead-man timer does it (Nets.* prove that one); a job's timer has ten minutes, so here a step says it."""
    here = place()
    here.jobs(takes=60)
    with here.ci.truth.lock:
        here.ci.truth.jobs["j00000"]["script"] = (
            here.ci.truth.jobs["j00000"]["script"].split("&&")[0] + "&& sleep 3 && shutdown -h now; sleep 60")
    here.running("j00000")
    here.daemon.stop(signal.SIGKILL)
    until(lambda: here.simulator.ledger()["alive"] == 0, 30, "the machine's own end")
    here.daemon.start()
    said = here.expect("machine-shut-down", "InstanceInitiatedShutdown", seconds=60)
    assert "dead_man" in said["change"]
