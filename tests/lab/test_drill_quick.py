"""The drill's four quickest faults: a counting job continues from its last checkpoint, and every record exists once.

The others: `make drill`.
"""

import re
from dataclasses import replace

import pytest

from drill import faults, report, runner
from lab.cluster import Cluster
from tests.measured import Measured

# kill-taskmanager also covers a TaskManager that dies, and a reboot (test_faults.py) a host that disappears
MORE = {"stop-taskmanager-host"}
QUICK = [
    pytest.param(fault, id=fault.name, marks=[pytest.mark.exhaustive] if fault.name in MORE else [])
    for fault in faults.ALL
    if fault.quick
]

BOUND = 300
"""Seconds until the job runs again. `make drill`, on an idle machine, checks this time; here it is only printed."""


@pytest.mark.parametrize("fault", QUICK)
def test_nothing_is_lost_and_nothing_doubled(cluster: Cluster, fault: faults.Fault, measured: Measured) -> None:
    leader = cluster.leader()
    row = runner.run(cluster, replace(fault, bound=BOUND))
    measured(f"{row.title}: {report.summary(row)} (load {row.load:.1f})")
    assert not row.problem
    assert (row.lost, row.doubled, row.miscounted) == (0, 0, 0)
    if fault.name == "kill-jobmanager":
        assert cluster.leader() != leader, "the standby has taken over"
        said = cluster.lab.ssh(leader, "sudo -n journalctl -u flink-jobmanager -o cat | grep relinquish:").stdout
        assert re.search(r"relinquish: [1-9]\d* nodes of the process that has ended", said), (
            "nobody waits for its session to expire"
        )
    if fault.name == "kill-zookeeper":
        assert row.interruptions == 0, "the job does not notice"
        assert cluster.leader() == leader
