"""The daemon against ec2sim and a CI server that keeps its own truth: pools, kill -9, lost stores, the three nets."""
import signal
import time

import pytest

from conftest import Simulator, until
from daemons import FAULTS, Daemon, add_jobs, all_ended, chaos, cut_off, judge, outlive_a_cut, shown, start_ci, submit_steps


def test_runs_submitted_pipelines_on_warm_machines(processes, tmp_path):
    daemon = Daemon(processes, tmp_path / "d").start()
    (daemon.folder / ".drone.yml").write_text(
        "kind: pipeline\ntype: vm\nname: default\nclone: {disable: true}\nsteps:\n"
        "- {name: one, commands: ['echo from the $GREETING machine'], environment: {GREETING: warm}}\n"
        "- {name: two, commands: ['exit 3'], depends_on: [one]}\n")
    try:
        until(lambda: "ready" in daemon.said(), what="the daemon")
        done = daemon.muster("submit", "--wait", "--include", "one")
        assert done.returncode == 0, done.stderr + daemon.said()
        job = done.stdout.split()[0]
        logs = list((daemon.state / "jobs" / job / "steps").iterdir())
        assert any("from the warm machine" in log.read_text() for log in logs)
        failed = daemon.muster("submit", "--wait", "--json")
        assert failed.returncode == 1 and '"muster.submit/1"' in failed.stdout
        assert daemon.muster("submit", "--label", "arm64").returncode == 2
        assert daemon.muster("backup", str(tmp_path / "copy.db")).returncode == 0
        assert (tmp_path / "copy.db").stat().st_size > 0
    finally:
        assert daemon.stop() == 0


def test_a_second_daemon_is_refused(processes, tmp_path):
    daemon = Daemon(processes, tmp_path / "d", idle=0).start()
    try:
        until(lambda: "ready" in daemon.said(), what="the daemon")
        second = daemon.muster("daemon")
        assert second.returncode == 3 and "E0601" in second.stderr
    finally:
        daemon.stop()


def test_reads_its_configuration_again_and_keeps_the_old_one(processes, tmp_path, ci):
    daemon = Daemon(processes, tmp_path / "d", ci, idle=0).start()
    try:
        until(lambda: "ready" in daemon.said(), what="the daemon")
        whole = (daemon.folder / "muster.yml").read_text()
        daemon.configure(whole.replace("max_instances: 20", "max_instances: many"))
        daemon.process.send_signal(signal.SIGHUP)
        until(lambda: "config_not_reloaded" in daemon.said(), what="the refusal")
        add_jobs(ci, 1, labels=["arm"])
        daemon.configure(whole.replace("labels: [linux, x64]", "labels: [arm]"))
        daemon.process.send_signal(signal.SIGHUP)
        until(lambda: all_ended(ci), 30, "the job of the new labels")
    finally:
        daemon.stop()
    judge(ci, processes)


def test_sizes_are_for_jobs_that_ask_for_them(processes, tmp_path, ci):
    ec2 = processes.ec2
    image = ec2.describe_images(Owners=["self"], Filters=[{"Name": "name", "Values": ["debian-12-amd64-process"]}])
    ec2.create_launch_template(LaunchTemplateName="own", LaunchTemplateData={
        "ImageId": image["Images"][0]["ImageId"], "InstanceType": "m5.large"})
    sizes = "    sizes: {small: t3.medium}\n"
    own = ("  own:\n    launch_template: {name: own}\n    labels: [own]\n    dead_man: 1m\n    boot_timeout: 45s\n"
           "    ssh: {port: 2222}\n")
    daemon = Daemon(processes, tmp_path / "d", ci, idle=0, order="price", more=sizes + own + sizes).start()
    try:
        for label, prefix in [("linux", "a"), ("own", "b")]:
            add_jobs(ci, 1, labels=[label], prefix=prefix)
            add_jobs(ci, 1, labels=[label, "size:small"], prefix=prefix + "-small")
        until(lambda: all_ended(ci), 30, "the jobs")
        kinds = {}
        for name, job in ci.truth.jobs.items():
            seen = ec2.describe_instances(InstanceIds=[job["instance"]])["Reservations"][0]["Instances"][0]
            kinds[name] = seen["InstanceType"]
        assert kinds == {"a00000": "t3.large", "a-small00000": "t3.medium", "b00000": "m5.large",
                         "b-small00000": "t3.medium"}
    finally:
        daemon.stop()
    judge(ci, processes)


def test_cancelled_jobs_end_and_their_machines_with_them(processes, tmp_path, ci):
    daemon = Daemon(processes, tmp_path / "d", ci, idle=0).start()
    try:
        add_jobs(ci, 2, takes=900)
        until(lambda: all(job["ran"] for job in ci.truth.jobs.values()), 30, "the jobs")
        with ci.truth.lock:
            for job in ci.truth.jobs.values():
                job.update(state="cancelled", ended_at=time.time())
            ci.truth.changed()
        until(lambda: processes.ledger()["alive"] == 0, 30, "the end of the machines")
    finally:
        daemon.stop()


@pytest.mark.parametrize("forgets", [0, 2])
def test_survives_kill_9(tmp_path, forgets):
    """A tenth of test_chaos.py, which kills a hundred times in a run of two thousand jobs."""
    flags = [flag for fault in FAULTS for flag in ("--fault", fault)]
    simulator = Simulator("--machines", "process", *flags, "--no-capacity", "*/t3.large/us-east-1a")
    server = start_ci(seed=5, lost=0.05, unavailable=0.05, repeated=0.05, news_lost=0.05)
    daemon = Daemon(simulator, tmp_path / "d", server, most=12, idle=0, reuse=5)
    try:
        add_jobs(server, 200)
        chaos(simulator, daemon, server, 10, seed=11 + forgets, forgets=forgets)
        judge(server, simulator)
        assert simulator.ledger()["leaked"] == 0
    finally:
        daemon.stop(signal.SIGKILL)
        server.shutdown()
        simulator.close()


def test_namespace_machines_report_to_the_ci_server(shared, tmp_path):
    vpc_side = None
    import fcntl, socket, struct  # noqa: E401
    probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    vpc_side = socket.inet_ntoa(fcntl.ioctl(probe.fileno(), 0x8915, struct.pack("256s", shared.link.encode()))[20:24])
    server = start_ci(address="0.0.0.0")
    daemon = Daemon(shared, tmp_path / "d", server, kind="namespace", most=10, idle=2)
    try:
        daemon.start()
        add_jobs(server, 20, address=vpc_side)
        until(lambda: all_ended(server), 90, "the end of all jobs")
        judge(server, shared)
        addresses = {job["ran"][0] for job in server.truth.jobs.values()}
        assert len(addresses) > 5
    finally:
        daemon.stop()
        server.shutdown()


def test_a_job_of_many_steps_outlives_a_cut(tmp_path):
    outlive_a_cut(tmp_path, 6)


def test_a_job_is_cancelled_whose_machine_a_new_daemon_cannot_reach(tmp_path):
    simulator = Simulator()
    daemon = Daemon(simulator, tmp_path / "d", kind="namespace", idle=0, dead_man="10m")
    try:
        daemon.start()
        until(lambda: "ready" in daemon.said(), what="the daemon")
        job = submit_steps(daemon, "- {name: long, commands: ['echo begins', 'sleep 900']}\n")
        until(lambda: "│ begins" in daemon.muster("logs", job).stdout, 30, "the step to run")
        with cut_off(daemon):
            daemon.stop(signal.SIGKILL)
            daemon.start()
            until(lambda: daemon.said().count("ready") == 2, what="the second daemon")
            assert daemon.muster("job", "cancel", job, "--reason", "wrong branch").returncode == 0
            until(lambda: shown(daemon, job)["state"] == "finished", 20, "the end of the job")
            assert shown(daemon, job)["outcome"] == "cancelled" and "wrong branch" in shown(daemon, job)["reason"]
            until(lambda: simulator.ledger()["alive"] == 0, 20, "the end of the machine")
    finally:
        daemon.stop(signal.SIGKILL)
        simulator.close()


def test_a_machine_that_is_used_again_is_clean(tmp_path):
    simulator = Simulator()
    daemon = Daemon(simulator, tmp_path / "d", kind="namespace", idle=0, most=1, reuse=5)
    try:
        daemon.start()
        until(lambda: "ready" in daemon.said(), what="the daemon")
        first = submit_steps(daemon, "- {name: leaves, commands: ['echo secret > kept', "
                                     "'setsid nohup sleep 777 > /dev/null 2>&1 &', 'sleep 0.2']}\n")
        second = submit_steps(daemon, "- {name: looks, commands: ['ls -d /tmp/muster-job-*', "
                                      "'if grep -lsz ^777$ /proc/[0-9]*/cmdline; then exit 1; fi']}\n")
        for job in (first, second):
            until(lambda: shown(daemon, job)["state"] == "finished", 40, "the end of both jobs")
            assert shown(daemon, job)["outcome"] == "passed", daemon.muster("logs", job).stdout
        assert shown(daemon, first)["instance"] == shown(daemon, second)["instance"]
        told = daemon.muster("logs", second).stdout
        assert second in told and first not in told
    finally:
        daemon.stop(signal.SIGKILL)
        simulator.close()


BOX = ("- {name: box, commands: ['until docker version > /dev/null 2>&1; do sleep 0.1; done', "
       "'mkdir -p /tmp/i/bin && cp /bin/busybox /tmp/i/bin/sh && tar -C /tmp/i -c . | docker import - demo/box:1']}\n")


def test_the_next_job_finds_no_container_of_the_one_before(tmp_path):
    simulator = Simulator()
    daemon = Daemon(simulator, tmp_path / "d", kind="namespace", idle=0, most=1, reuse=5)
    daemon.configure((daemon.folder / "muster.yml").read_text().replace("debian-12-amd64", "debian-12-amd64-docker"))
    try:
        daemon.start()
        until(lambda: "ready" in daemon.said(), what="the daemon")
        jobs = [submit_steps(daemon, BOX + "- {name: serve, image: demo/box:1, pull: if-not-exists, detach: true, "
                             "commands: ['sleep 600'], depends_on: [box], volumes: [{name: v, path: /v}]}\n"
                             "- {name: use, image: demo/box:1, pull: if-not-exists, commands: ['sleep 0.3'], "
                             "depends_on: [box], volumes: [{name: v, path: /v}]}\n"
                             "volumes: [{name: v, temp: {}}]\n"),
                submit_steps(daemon, "- {name: looks, commands: ['test -z \"$(docker ps -aq)$(docker volume ls -q)\"', "
                                     "'test $(docker network ls -q | wc -l) = 3']}\n")]
        for job in jobs:
            until(lambda: shown(daemon, job)["state"] == "finished", 60, "the end of both jobs")
            assert shown(daemon, job)["outcome"] == "passed", daemon.muster("logs", job).stdout
        assert shown(daemon, jobs[0])["instance"] == shown(daemon, jobs[1])["instance"]
    finally:
        daemon.stop(signal.SIGKILL)
        simulator.close()
