"""Interrupted, taken away, made again: it always ends in the same cluster. Last of its folder, since it takes the
cluster apart.
"""

import os
import signal
import subprocess

from lab.cluster import Cluster
from lab.lab import Lab
from tests.lab.commands import run_lab, traces

LEFT = """
ls -d /opt/java* /opt/flink* /opt/zookeeper* /etc/flink* /etc/zookeeper* /var/lib/flink /var/lib/zookeeper 2>/dev/null
ls -d /etc/systemd/system/flink* /etc/systemd/system/zookeeper* /usr/local/lib/flink/* 2>/dev/null
id flink 2>/dev/null
id zookeeper 2>/dev/null
grep -n flink /etc/hosts
sudo -n nft list tables | grep flink
pgrep -l java
true
"""
"""Prints what of a cluster is on a host."""


def finish(process: "subprocess.Popen[str]", seconds: float) -> tuple[int, str]:
    output, _ = process.communicate(timeout=seconds)
    print(output)
    return process.returncode, output


def interrupt(cluster: Cluster, steps: int, number: signal.Signals) -> int:
    """`up`, sent a signal when that many steps are done; its exit code."""
    process = run_lab("up", "--name", cluster.lab.name)
    assert process.stdout
    done = 0
    try:
        for line in process.stdout:
            print(line, end="")
            done += line.startswith("pulumi:") and "created" in line
            if done == steps:
                break
        assert done == steps, "it ended before"
        os.killpg(process.pid, number)
        return finish(process, 120)[0]
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_destroy_takes_everything_off_the_hosts(cluster: Cluster) -> None:
    cluster.stack.destroy()
    for host in cluster.lab.hosts:
        left = cluster.lab.ssh(host, LEFT).stdout
        assert left == "", f"{host.name}: {left}"


def test_an_interrupted_up_can_be_run_again(cluster: Cluster) -> None:
    assert interrupt(cluster, 10, signal.SIGINT) == 130
    assert interrupt(cluster, 12, signal.SIGKILL) == -signal.SIGKILL
    code, output = finish(run_lab("up", "--name", cluster.lab.name), 600)
    assert code == 0, output
    cluster.wait_until_whole()
    assert cluster.stack.up().changed() == []


def test_down_leaves_nothing_and_up_works_again(cluster: Cluster) -> None:
    lab_id = cluster.lab.id
    assert traces(lab_id)
    code, _ = finish(run_lab("down", "--name", cluster.lab.name), 120)
    assert code == 0
    assert traces(lab_id) == []
    assert not cluster.lab.dir.exists()
    code, output = finish(run_lab("up", "--name", cluster.lab.name), 900)
    assert code == 0, output
    cluster.lab = Lab(cluster.lab.name)
    cluster.wait_until_whole()
