"""What fails, and what becomes of a job that runs meanwhile: it goes on from its last checkpoint, and counts every
flight once.
"""

import os
import time

import pytest
import yaml

from lab.cluster import Cluster, SlowJob, wait_for
from lab.paths import REPO

BUDGET = int(yaml.safe_load((REPO / "Pulumi.local.yaml").read_text())["config"]["flink:failoverSeconds"])
"""Seconds that a failover may take."""

BOUND = 3 * BUDGET
"""How long a test waits: this machine has two cores, seven hosts, and neighbours. The measured time is printed."""


def report(capfd: pytest.CaptureFixture[str], what: str, seconds: float) -> None:
    with capfd.disabled():
        print(f"\n    {what}: {seconds:.1f} s (budget {BUDGET} s, load {os.getloadavg()[0]:.1f})", flush=True)


@pytest.fixture(autouse=True)
def whole(cluster: Cluster):
    """Every test finds the cluster whole, and leaves it so."""
    cluster.wait_until_whole()
    yield
    cluster.wait_until_whole()


def test_the_standby_takes_over_when_the_leader_is_killed(cluster: Cluster, capfd: pytest.CaptureFixture[str]) -> None:
    job = SlowJob.start(cluster, "jobmanager-killed", 60)
    leader, checkpoint = cluster.leader(), job.checkpoint()
    assert checkpoint
    began = time.monotonic()
    cluster.lab.kill(leader, "flink-jobmanager")
    seconds = job.seconds_until_restored(began, checkpoint, BOUND)
    report(capfd, "kill -9 of the leading JobManager until the job runs again", seconds)
    assert cluster.leader() != leader
    job.finish()


def test_a_killed_taskmanager_comes_back_and_the_job_goes_on(
    cluster: Cluster, capfd: pytest.CaptureFixture[str]
) -> None:
    job = SlowJob.start(cluster, "taskmanager-killed", 60)
    details = cluster.rest.get(f"/jobs/{job.job_id}")
    vertex = details["vertices"][0]["id"]
    victim = cluster.rest.get(f"/jobs/{job.job_id}/vertices/{vertex}")["subtasks"][0]["taskmanager-id"]
    checkpoint = job.checkpoint()
    assert checkpoint
    began = time.monotonic()
    cluster.lab.kill(victim, "flink-taskmanager")
    seconds = job.seconds_until_restored(began, checkpoint, BOUND)
    report(capfd, "kill -9 of a TaskManager until the job runs again", seconds)
    job.finish()


def test_the_job_does_not_notice_that_a_zookeeper_host_stops(cluster: Cluster) -> None:
    job = SlowJob.start(cluster, "zookeeper-stopped", 40)
    leader = cluster.leader()
    try:
        cluster.lab.stop("zk-1")
        job.finish()
        assert job.restored_from() is None, "the job was restarted"
        assert cluster.leader() == leader
    finally:
        cluster.lab.start("zk-1")
    wait_for("zk-1 in the ensemble", 90, lambda: "Mode: " in zookeeper_mode(cluster, "zk-1"))


def zookeeper_mode(cluster: Cluster, name: str) -> str:
    ask = "exec 3<>/dev/tcp/localhost/2181; printf srvr >&3; cat <&3"
    return cluster.lab.ssh(name, ["timeout", "3", "bash", "-c", ask], check=False).stdout


def test_a_taskmanagers_host_reboots(cluster: Cluster, capfd: pytest.CaptureFixture[str]) -> None:
    job = SlowJob.start(cluster, "host-rebooted", 60)
    checkpoint = job.checkpoint()
    assert checkpoint
    details = cluster.rest.get(f"/jobs/{job.job_id}")
    vertex = details["vertices"][0]["id"]
    victim = cluster.rest.get(f"/jobs/{job.job_id}/vertices/{vertex}")["subtasks"][0]["taskmanager-id"]
    began = time.monotonic()
    cluster.lab.reboot(victim)
    seconds = job.seconds_until_restored(began, checkpoint, 2 * BOUND)
    report(capfd, "reboot of a TaskManager's host until the job runs again", seconds)
    cluster.wait_until_whole()
    rules = cluster.lab.ssh(victim, "sudo -n nft list table inet flink").stdout
    assert "policy drop" in rules, "the firewall is back as well"
    job.finish()
