"""What counts as a difference between a host before the first `up` and after `destroy` (tests/hosts/snapshot.py)."""

import pytest

from tests.hosts import snapshot


@pytest.mark.parametrize("path", ["flink", "flink/jobmanager.log", "zookeeper", "zookeeper/zookeeper.log"])
def test_logs_of_daemons_that_are_left_are_a_difference(path: str) -> None:
    assert snapshot.differences(set(), {f"file f 644 flink:flink /var/log/{path}"}) != []


@pytest.mark.parametrize("path", ["journal/x/system.journal", "auth.log", "flinkless"])
def test_logs_of_the_system_are_none(path: str) -> None:
    assert snapshot.differences(set(), {f"file f 644 root:root /var/log/{path}"}) == []
