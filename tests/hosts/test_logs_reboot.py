"""Logs over the reboot of a host, and over a front door that comes and goes, on a lab with a monitoring host."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator

import pytest

from components.frontdoor.caddyfile import FOLDER as DOOR
from components.logs import collector, store
from lab import front_door
from lab.cluster import Cluster, wait_for
from lab.lab import Lab
from stand_ins.builds import archives

pytestmark = [pytest.mark.root, pytest.mark.exhaustive]
AGENT = f"systemctl show -p ExecMainStartTimestampMonotonic {collector.UNIT}"
LINE = "$(date +'%F %T,%3N') INFO  org.apache.flink.Planted [] [main] - "


@pytest.fixture(scope="module")
def watched() -> Iterator[Cluster]:
    """A small cluster with a monitoring host."""
    lab = Lab("test-logs")
    lab.down()  # an earlier run may have been killed
    try:
        lab.up(workers=1, jobmanagers=1, zookeepers=0, monitoring=1)
        cluster = Cluster(lab, archives.ensure(), {"flink:workers": 1})
        cluster.stack.prepare()
        cluster.stack.up()
        cluster.wait_until_whole()
        yield cluster
    finally:
        lab.down()


def found(lab: Lab) -> list[str]:
    """What the store has of the lines below, in order."""
    url = f"{store.url('localhost', tls=False)}/select/logsql/query"
    text = lab.ssh("mon-0", f"curl -sf {url} --data-urlencode {shlex.quote('query=planted')}", check=False).stdout
    return sorted(json.loads(line)["_msg"] for line in text.splitlines())


def test_lines_of_before_a_reboot_arrive_after_it_though_the_store_was_away(watched: Cluster) -> None:
    """Those that wait in the queue, and those that the agent has not read yet, of files and of the journal."""
    lab = watched.lab
    lab.ssh("mon-0", f"sudo -n systemctl stop {store.UNIT}")
    log = "/var/log/flink/planted.log"
    lab.ssh("tm-0", f'echo "{LINE}planted file 1" | sudo -n tee -a {log}; logger -t sudo planted journal 1')
    lab.ssh("tm-0", f"sudo -n chown flink:flink {log}; sudo -n chmod 640 {log}")
    metrics = "curl -sf http://localhost:8888/metrics"

    def waits() -> bool:
        shown = lab.ssh("tm-0", metrics, check=False).stdout.splitlines()
        return any(line.startswith("otelcol_exporter_queue_size") and float(line.split()[-1]) > 0 for line in shown)

    wait_for("the agent's queue", 120, waits)
    before = lab.ssh("tm-0", AGENT).stdout
    lab.ssh("tm-0", f"sudo -n systemctl kill -s STOP {collector.UNIT}")
    lab.ssh("tm-0", f'echo "{LINE}planted file 2" | sudo -n tee -a {log}')
    lab.ssh("tm-0", "logger -t sudo planted journal 2; sudo -n journalctl --sync; sync")
    lab.reboot("tm-0")
    assert lab.ssh("tm-0", AGENT).stdout != before
    lab.ssh("mon-0", f"sudo -n systemctl start {store.UNIT}")
    expected = [f"planted {where} {number}" for where in ("file", "journal") for number in (1, 2)]
    wait_for("all lines in the store", 180, lambda: set(expected) <= set(found(lab)))


def agent(lab: Lab) -> dict[str, str]:
    """What systemd says of a JobManager's agent."""
    shown = lab.ssh("jm-0", f"systemctl show -p ActiveState,NRestarts,SupplementaryGroups {collector.UNIT}").stdout
    return dict(line.split("=", 1) for line in shown.splitlines())


def test_the_agent_is_in_the_group_of_a_front_door_only_while_there_is_one(watched: Cluster) -> None:
    """It is never started with a group that is not there, in whichever direction."""
    lab = watched.lab
    try:
        front_door.switch(lab, True)
        watched.stack.up()
        assert "flink-frontdoor" in agent(lab)["SupplementaryGroups"]
        watched.wait_until_whole()
    finally:
        front_door.switch(lab, False)
        watched.stack.up()
    found = agent(lab)
    assert (found["ActiveState"], found["NRestarts"]) == ("active", "0")
    assert "flink-frontdoor" not in found["SupplementaryGroups"]
    assert lab.ssh("jm-0", f"test -e {DOOR}", check=False).returncode == 1
    # Nobody takes it away from a process
    lab.ssh("jm-0", "getent group flink-frontdoor")
    watched.wait_until_whole()
