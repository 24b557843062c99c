"""Interrupted, removed or created again, `up` always results in the same cluster. On a separate lab, of which each test
creates what it needs and does not find.
"""

import os
import signal
from collections.abc import Iterator

import pytest

from lab.cluster import Cluster, SlowJob
from lab.lab import Lab
from stand_ins.builds import archives
from tests.lab.commands import finish, lab_command, traces

NAME = "test-converge"
UP = ("up", "--name", NAME, "--workers", "2")

LEFT = """
ls -d /opt/java* /opt/flink* /opt/zookeeper* /etc/flink* /etc/zookeeper* /var/lib/flink /var/lib/zookeeper 2>/dev/null
ls -d /opt/.fetch* /etc/flink-owner /usr/local/lib/flink /var/log/flink /run/flink* /run/zookeeper* 2>/dev/null
ls -d /etc/sysctl.d/*flink* /etc/cloud/cloud.cfg.d/*flink* /etc/systemd/journald*.d/*flink* 2>/dev/null
ls -d /etc/systemd/system/flink* /etc/systemd/system/zookeeper* 2>/dev/null
id flink 2>/dev/null
id zookeeper 2>/dev/null
grep -n flink /etc/hosts
sudo -n nft list tables | grep flink
pgrep -l java
true
"""
"""Prints what a host has of a cluster."""


@pytest.fixture(scope="module", autouse=True)
def nothing_stays() -> Iterator[None]:
    """The tests create the lab, and it is always removed."""
    Lab(NAME).down()  # an earlier run may have been killed
    try:
        yield
    finally:
        Lab(NAME).down()


def made() -> Cluster:
    """The cluster, created by `up` if it does not exist."""
    code, output = finish(900, *UP)
    assert code == 0, output
    cluster = Cluster(Lab(NAME), archives.ensure())
    cluster.wait_until_whole()
    return cluster


def interrupt(steps: int, number: signal.Signals) -> int:
    """`up`, which gets a signal when that number of steps is complete; returns its exit code."""
    done = 0
    with lab_command(*UP) as process:
        assert process.stdout
        for line in process.stdout:
            print(line, end="")
            done += line.startswith("pulumi:") and "created" in line
            if done == steps:
                break
        assert done == steps, "it ended before the signal"
        os.killpg(process.pid, number)
        print(process.communicate(timeout=300)[0])
        return process.returncode


def objects(cluster: Cluster, folder: str) -> list[str]:
    """Keys below a folder of storageUri, without those that only mark folders."""
    prefix = f"{cluster.lab.name}/{folder}/"
    pages = cluster.s3.client().get_paginator("list_objects_v2").paginate(Bucket=cluster.s3.bucket, Prefix=prefix)
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
    return [key for key in keys if not key.endswith("/")]


def test_an_interrupted_up_can_be_run_again() -> None:
    lab = Lab(NAME)
    if lab.exists():
        Cluster(lab, archives.ensure()).stack.destroy()
    assert interrupt(10, signal.SIGINT) == 130
    assert interrupt(12, signal.SIGKILL) == -signal.SIGKILL
    assert made().stack.up().changed() == []


def test_down_leaves_nothing_and_up_works_again() -> None:
    lab = made().lab
    assert traces(lab.id)
    code, _ = finish(300, "down", "--name", NAME)
    assert code == 0
    assert traces(lab.id) == []
    assert not lab.dir.exists()
    made()


def test_destroy_leaves_state_and_nothing_else_and_no_dead_host_blocks_it() -> None:
    """The running job leaves high-availability metadata, which is removed, and checkpoints, which stay."""
    cluster = made()
    SlowJob.start(cluster, "destroyed", 600)
    assert objects(cluster, "ha")
    cluster.lab.stop("tm-1")
    try:
        steps = cluster.stack.destroy()
        told = [line for line in steps.warnings if "NOT CLEANED" in line]
        assert len(told) == 1 and "tm-1: it is unreachable" in told[0]
        for host in cluster.lab.hosts:
            if host.name != "tm-1":
                left = cluster.lab.ssh(host, LEFT).stdout
                assert left == "", f"{host.name}: {left}"
        assert objects(cluster, "ha") == []
        assert objects(cluster, "checkpoints")
    finally:
        cluster.lab.start("tm-1")
