"""The Cloud ports' contract against ec2sim and against moto, and what a thousand machines cost in calls."""
import os
import re
import subprocess
import sys


from conftest import BIN, PATIENCE, Simulator, until


def run_contract(endpoint, cloud, image, keys, filter="*"):
    environment = {**os.environ, "AWS_ENDPOINT_URL": endpoint, "MUSTER_CLOUD": cloud, "MUSTER_CLOUD_IMAGE": image,
                   "AWS_ACCESS_KEY_ID": keys[0], "AWS_SECRET_ACCESS_KEY": keys[1]}
    done = subprocess.run([BIN / "cloud_contract", f"--gtest_filter=CloudContract.{filter}"], env=environment,
                          capture_output=True, text=True, timeout=180 * PATIENCE)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    return done.stdout


def keys_of(simulator):
    return simulator.variables["AWS_ACCESS_KEY_ID"], simulator.variables["AWS_SECRET_ACCESS_KEY"]


def test_ec2sim_keeps_the_contract():
    simulator = Simulator("--machines", "record", "--no-throttling", "--vcpu-quota", "4000")
    try:
        run_contract(simulator.variables["AWS_ENDPOINT_URL"], "ec2sim", "debian-12-amd64", keys_of(simulator),
                     filter="*:-*Thousand*")
    finally:
        simulator.close()


def test_a_thousand_machines_take_at_most_twelve_calls():
    simulator = Simulator("--machines", "record", "--vcpu-quota", "4000")
    try:
        run_contract(simulator.variables["AWS_ENDPOINT_URL"], "ec2sim", "debian-12-amd64", keys_of(simulator),
                     filter="*Thousand*")
        ledger = simulator.ledger()
        assert ledger["machines"] == 1000 and ledger["untagged"] == 0 and ledger["leaked"] == 0
        assert sum(ledger["calls"].values()) <= 12, ledger["calls"]
        assert ledger["errors"] == {}  # No bucket ran empty.
    finally:
        simulator.close()


def test_moto_keeps_the_contract_but_for_what_the_suite_names():
    server = subprocess.Popen([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        port = until(lambda: next((found.group(1) for line in server.stdout
                                   if (found := re.search(r"http://127.0.0.1:(\d+)", line))), None), what="moto")
        run_contract(f"http://127.0.0.1:{port}", "moto", "ubuntu/images/hvm-ssd/ubuntu-trusty-14.04-amd64-server-20170727", ("k", "s"))
    finally:
        server.terminate()
        server.wait(10 * PATIENCE)
        server.stdout.close()
