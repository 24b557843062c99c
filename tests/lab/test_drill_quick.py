"""The drill's four quickest faults: a job that counts goes on from its last checkpoint, and every record is there once.

The others: `make drill`.
"""

import pytest

from drill import faults, report, runner
from lab.cluster import Cluster

QUICK = [fault for fault in faults.ALL if fault.quick]


@pytest.mark.parametrize("fault", QUICK, ids=lambda fault: fault.name)
def test_nothing_is_lost_and_nothing_doubled(
    cluster: Cluster, fault: faults.Fault, capfd: pytest.CaptureFixture[str]
) -> None:
    leader = cluster.leader()
    row = runner.run(cluster, fault)
    with capfd.disabled():
        print(f"\n    {row.title}: {report.summary(row)} (load {row.load:.1f})", flush=True)
    assert not row.problem
    assert (row.lost, row.doubled, row.miscounted) == (0, 0, 0)
    if fault.name == "kill-jobmanager":
        assert cluster.leader() != leader, "the standby has taken over"
    if fault.name == "kill-zookeeper":
        assert row.interruptions == 0, "the job does not notice"
        assert cluster.leader() == leader
