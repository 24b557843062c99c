"""Whether a cluster is complete, and the messages if it is not."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from host_tool.cluster import Cluster
from host_tool.ensemble import Ensemble
from host_tool.hosts import Hosts
from host_tool.output import Failure
from host_tool.results import Results
from tests.unit.host_tool.world import FakeClock, World, standing


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with standing(World(["jm-0", "jm-1"], ["tm-0", "tm-1"]), tmp_path, monkeypatch) as made:
        journal = tmp_path / "bin" / "journalctl"
        journal.write_text('#!/bin/sh\necho "the journal: $*"\n')
        journal.chmod(0o755)
        yield made


RESULT = "s3://bucket/ha/job-result-store/c/0a_DIRTY.json"


def cluster(world: World, *found: str, code: int = 0, **more: Any) -> Cluster:
    """A cluster; `found`: what our Java class says of stored results, each time."""
    values = {
        "host": "jm-0",
        "jobmanagers": world.jobmanagers,
        "taskmanagers": world.taskmanagers,
        "restPort": 8081,
        "slots": 4,
        "version": "2.3.0",
        "seconds": 30,
        **more,
    }

    def lines(*words: str) -> tuple[int, list[str]]:
        world.log.append(" ".join(words))
        if words[-1] == "remove" and not code:
            world.leader = "jm-0"
        return code, [*found]

    return Cluster(values, Hosts("flink", 15), world.clock, Results("jm-0", lines))


def test_a_complete_cluster_says_what_flink_says(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    overview = json.loads(cluster(world).apply())
    assert overview == {"taskmanagers": 2, "slots-total": 4, "flink-version": "2.3.0"}
    assert capfd.readouterr().err == "jm-0: cluster: Flink 2.3.0, 2 TaskManagers, 4 slots\n"
    cluster(world).check()
    assert capfd.readouterr().out == ""


def test_one_that_is_leaving_may_still_be_there(world: World) -> None:
    world.registered.add("tm-2")
    cluster(world).apply()


def test_a_taskmanager_that_never_comes_is_named_with_its_log(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    world.registered.discard("tm-1")
    began = world.clock.time
    with pytest.raises(Failure) as failure:
        cluster(world).apply()
    assert 30 <= world.clock.time - began < 31
    assert str(failure.value) == (
        "the cluster is not complete after 30 s: expected Flink 2.3.0 with 2 TaskManagers and 4 slots, and every"
        " JobManager answering; found Flink 2.3.0 with 1 and 2"
    )
    said = capfd.readouterr().err
    assert "the journal: -u flink-jobmanager" in said and "the log of tm-1" in said and "the log of tm-0" not in said
    cluster(world).check()
    assert capfd.readouterr().out.startswith("! cluster\texpected Flink 2.3.0 with 2 TaskManagers")


def test_it_may_come_late(world: World) -> None:
    world.registered.discard("tm-1")
    world.clock.after(20, lambda: world.registered.add("tm-1"))
    cluster(world).apply()


def test_a_host_that_cannot_be_asked_is_said(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    world.registered.discard("tm-1")
    world.daemons["tm-1"].reached = False
    with pytest.raises(Failure):
        cluster(world).apply()
    assert "tm-1: its log cannot be shown" in capfd.readouterr().err


def test_a_standby_that_does_not_answer_is_named(world: World) -> None:
    world.unavailable.add("jm-1")
    with pytest.raises(Failure, match=r"found Flink 2.3.0 with 2 and 4; no answer from JobManager jm-1"):
        cluster(world).apply()


def test_nobody_leads(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    world.leader = None
    cluster(world).check()
    assert "found no JobManager that answers for a leader" in capfd.readouterr().out


def test_another_release_is_not_the_expected_one(world: World) -> None:
    with pytest.raises(Failure, match=r"expected Flink 2\.2\.0 .* found Flink 2\.3\.0"):
        cluster(world, version="2.2.0").apply()


def ensemble(monkeypatch: pytest.MonkeyPatch, modes: dict[str, str], clock: FakeClock) -> Ensemble:
    monkeypatch.setattr("host_tool.zookeeper.mode", lambda server, port: modes[server])
    return Ensemble({"host": "zk-0", "servers": [*modes], "port": 2181, "seconds": 30}, clock)


def test_an_ensemble_is_complete_with_all_servers_and_one_leader(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    clock = FakeClock()
    modes = {"zk-0": "follower", "zk-1": "", "zk-2": "leader"}
    waiting = ensemble(monkeypatch, modes, clock)
    waiting.check()
    assert capfd.readouterr().out == (
        "! zookeeper\texpected 3 servers that serve, one of which leads; found zk-0 follower, zk-1 does not serve,"
        " zk-2 leader\n"
    )
    clock.after(8, lambda: modes.update({"zk-1": "follower"}))
    waiting.apply()
    assert capfd.readouterr().err == "zk-0: zookeeper: 3 servers serve, one leads\n"


def test_an_ensemble_that_is_not_complete_in_time_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = ensemble(monkeypatch, {"zk-0": "follower", "zk-1": "follower"}, FakeClock())
    with pytest.raises(Failure, match=r"not complete after 30 s: .* found zk-0 follower, zk-1 follower"):
        waiting.apply()


def test_results_that_flink_cannot_recover_are_reported_and_nothing_is_removed(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    cluster(world, f"incomplete\t{RESULT}").check()
    said = capfd.readouterr().out
    assert said.startswith(f"! {RESULT}\tthe result of a job that failed before it started")
    assert "at the next election every JobManager that leads exits" in said
    assert said.endswith("sudo /usr/local/lib/flink/flink-host leftovers results remove\n")
    cluster(world, f"stored\t{RESULT}").check()
    assert "cancel or restore that job first" in capfd.readouterr().out
    assert "remove" not in " ".join(world.log)


def test_a_storage_that_does_not_answer_is_said(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    cluster(world, code=1).check()
    assert capfd.readouterr() == (
        "",
        "jm-0: the storage or ZooKeeper does not say whether there are results that Flink cannot recover\n",
    )


def test_before_somebody_leads_nobody_asks_for_them(world: World) -> None:
    world.leader = None
    world.clock.after(20, lambda: setattr(world, "leader", "jm-0"))
    cluster(world).apply()
    assert not any("results" in entry for entry in world.log)


def test_without_a_leader_they_are_removed_and_a_jobmanager_can_lead(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    world.leader = None
    cluster(world, f"removed\t{RESULT}\t1").apply()
    assert f"jm-0: removed {RESULT}, the result of a job" in capfd.readouterr().err
    world.log.clear()
    cluster(world, f"removed\t{RESULT}\t1").apply()
    assert "remove" not in " ".join(world.log), "with a leader nobody asks"
