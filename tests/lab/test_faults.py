"""Faults besides the drill's, during the flights job: it continues from its last checkpoint, and counts every flight
once.
"""

import os
import time

import pytest

from lab import stack
from lab.cluster import Cluster, SlowJob, wait_for
from tests.measured import Measured

BOUND = 300
"""Maximum seconds of a wait, for two cores with seven hosts and other programs. The measured time is printed."""


@pytest.fixture(autouse=True)
def whole(cluster: Cluster):
    """Every test finds the cluster complete, and leaves it so."""
    cluster.wait_until_whole()
    yield
    cluster.wait_until_whole()


@pytest.mark.exhaustive  # the drill kills its TaskManager
def test_a_taskmanagers_host_reboots(cluster: Cluster, measured: Measured) -> None:
    job = SlowJob.start(cluster, "host-rebooted", 60)
    checkpoint = job.checkpoint()
    assert checkpoint
    victim = job.taskmanager()
    began = time.monotonic()
    cluster.lab.reboot(victim)
    seconds = job.seconds_until_restored(began, checkpoint, BOUND)
    what = "reboot of a TaskManager's host until the job runs again"
    measured(f"{what}: {seconds:.1f} s (budget {stack.failover_seconds()} s, load {os.getloadavg()[0]:.1f})")
    cluster.wait_until_whole()
    rules = cluster.lab.ssh(victim, "sudo -n nft list table inet flink").stdout
    assert "policy drop" in rules, "the firewall is back as well"
    job.finish()


def test_a_jobmanager_that_has_lost_its_place_ends(cluster: Cluster, measured: Measured) -> None:
    """One that is paused for good, which is as one that goes on and does not learn that another one leads."""
    leader = cluster.leader()
    # The watch has to have seen its place
    cluster.lab.ssh(leader, "sudo -n systemctl start flink-superseded")
    daemon = f"{leader} flink-jobmanager.service"
    process = cluster.processes()[daemon]
    began = time.monotonic()
    cluster.lab.kill(leader, "flink-jobmanager", "STOP")
    wait_for("its end", BOUND, lambda: cluster.processes().get(daemon) not in (None, process))
    measured(f"a JobManager without a place was ended after {time.monotonic() - began:.1f} s")
    said = cluster.lab.ssh(leader, "sudo -n journalctl -u flink-superseded -o cat").stdout
    assert "superseded: another JobManager has led for 30 s" in said
    cluster.wait_until_whole()
    assert cluster.leader() != leader, "it is the standby"
