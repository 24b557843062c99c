"""What the program declares of a cluster, as metrics."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.existing.hosts import _host
from components.flink.settings import ClusterSettings
from components.flink.topology import Members
from components.jobs.settings import JobSettings
from components.monitoring import declared
from tests.unit.program import SEVEN, host, load, write_inventory

Found = dict[str, Any]


@pytest.fixture
def cluster(tmp_path: Path) -> tuple[ClusterSettings, Members]:
    write_inventory(tmp_path, *[host(name) for name in SEVEN])
    found = load(tmp_path)
    return found.cluster, Members(tuple(_host(entry) for entry in found.site.hosts))


def _job(name: str, **more: Any) -> JobSettings:
    return JobSettings(name=name, **{"jar": "job.jar", **more})


def _metrics(cluster: tuple[ClusterSettings, Members], *jobs: JobSettings, **common: Any) -> Found:
    settings, members = cluster
    settings = replace(settings, jobs=jobs, common_config=common.get("common", {}))
    return {" ".join([name, *labels.values()]): value for name, value, labels in declared.metrics(settings, members)}


def test_hosts_are_counted_by_role(cluster) -> None:
    found = _metrics(cluster)
    hosts = {name: value for name, value in found.items() if name.startswith(declared.HOSTS)}
    assert hosts == {
        "flink_declared_hosts jobmanager": 2,
        "flink_declared_hosts taskmanager": 2,
        "flink_declared_hosts zookeeper": 3,
    }


def test_a_suspended_job_is_not_declared_to_run(cluster) -> None:
    found = _metrics(cluster, _job("counts", parallelism=3), _job("asleep", parallelism=5, state="suspended"))
    assert (found[declared.JOBS], found[declared.SLOTS]) == (1, 3)


def test_a_batch_job_may_end_but_needs_slots(cluster) -> None:
    found = _metrics(cluster, _job("nightly", parallelism=4, flink_config={"execution.runtime-mode": "batch"}))
    assert (found[declared.JOBS], found[declared.SLOTS]) == (0, 4)


def test_without_parallelism_a_job_has_the_default_of_the_cluster(cluster) -> None:
    assert _metrics(cluster, _job("counts"), common={"parallelism.default": 6})[declared.SLOTS] == 6
    assert _metrics(cluster, _job("counts"))[declared.SLOTS] == 1


def test_the_interval_of_a_job_whose_name_flink_shows(cluster) -> None:
    slow = {"execution.checkpointing.interval": "10 min"}
    found = _metrics(cluster, _job("late-flights", jar="", sql="late.sql", flink_config=slow))
    assert found[f"{declared.JOB_INTERVAL} late_flights"] == 600
    assert found[declared.INTERVAL] == 60


def test_the_interval_of_jars_is_the_longest_of_all(cluster) -> None:
    slow, fast = ({"execution.checkpointing.interval": text} for text in ("30 min", "10 s"))
    found = _metrics(cluster, _job("slow", flink_config=slow), _job("fast", flink_config=fast))
    assert found[declared.INTERVAL] == 1800
    assert not [name for name in found if name.startswith(declared.JOB_INTERVAL)]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("10 s", 10), ("500 ms", 0.5), ("2min", 120), ("1 h", 3600), ("3000", 3), ("5 minutes", 300), ("1 d", 86_400)],
)
def test_intervals_are_read_as_flink_reads_them(cluster, text: str, seconds: float) -> None:
    found = _metrics(cluster, common={"execution.checkpointing.interval": text})
    assert found[declared.INTERVAL] == seconds


@pytest.mark.parametrize("text", ["", "soon", "0", None])
def test_no_interval_is_the_default(cluster, text: object) -> None:
    assert _metrics(cluster, common={"execution.checkpointing.interval": text})[declared.INTERVAL] == 60


def test_the_file_has_a_rule_for_each_with_the_name_of_the_cluster(cluster) -> None:
    settings, members = cluster
    (group,) = yaml.safe_load(declared.text(settings, members))["groups"]
    assert [rule["record"] for rule in group["rules"]] == [name for name, _, _ in declared.metrics(settings, members)]
    assert {rule["labels"]["cluster"] for rule in group["rules"]} == {settings.cluster_id}
