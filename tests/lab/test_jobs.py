"""Declared jobs on a real cluster: one job that counts its records lives through every change and fault, and in the end
every record exists once. Tests that need another job declare it beside this one, and remove it.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from drill import records
from drill.records import RecordsJob
from lab import flights, jar
from lab.cluster import Cluster, wait_for
from lab.errors import LabError

# Brackets, so that the pattern does not match its own command line
KILL = "sudo -n pkill -KILL -f '[f]link-host job|[o]rg.apache.flink.client.cli' ; true"

RECORDS = 200 * 3600
"""More than the tests take."""


class Declared:
    """A job that counts its records, with what is declared of it."""

    def __init__(self, cluster: Cluster, name: str = "counts", parallelism: int = 2) -> None:
        self.cluster, self.name = cluster, name
        self.output = f"s3://{cluster.s3.bucket}/declared-{name}"
        self.settings: dict[str, Any] = {
            "jar": str(records.build_jar(cluster.archives)),
            "parallelism": parallelism,
            "args": [
                *("--output", self.output, "--records", str(RECORDS), "--records-per-second", "200"),
                *("--checkpoint-seconds", "1", "--hurry-file", f"{records.HURRY}-{name}"),
            ],
            "startTimeoutSeconds": 120,
            "upgradeMode": "savepoint",
        }
        flights.remove_result(cluster.s3, self.output)

    def up(self, **settings: Any) -> list[str]:
        """`up` with changed settings; what ran on hosts. The mode of an upgrade is for this time only."""
        ran = self.up_with({**self.settings, **settings})
        self.settings["upgradeMode"] = "savepoint"
        return ran

    def up_with(self, settings: dict[str, Any] | None) -> list[str]:
        declared = {**self.cluster.overrides.get("flink:jobs", {}), self.name: settings}
        self.cluster.overrides["flink:jobs"] = {name: job for name, job in declared.items() if job}
        ran = self.cluster.stack.up().changed()
        self.settings = settings or self.settings
        return ran

    def record(self) -> dict[str, Any]:
        """What the program knows of the job, on the storage."""
        key = f"{self.cluster.lab.name}/jobs/{self.cluster.lab.name}/{self.name}/record.json"
        body = self.cluster.s3.client().get_object(Bucket=self.cluster.s3.bucket, Key=key)["Body"].read()
        found: dict[str, Any] = json.loads(body)
        return found

    def running(self) -> list[dict[str, Any]]:
        """Its attempts that have not ended."""
        mark = hashlib.sha256(f"{self.cluster.lab.name}\0{self.name}".encode()).hexdigest()[:16]
        jobs = self.cluster.rest.get("/jobs/overview")["jobs"]
        return [job for job in jobs if job["state"] not in flights.ENDED and job["jid"].startswith(mark)]

    def only(self) -> RecordsJob:
        """The one job that runs."""
        (found,) = self.running()
        return RecordsJob(self.cluster, found["jid"], self.output, RECORDS, f"{records.HURRY}-{self.name}")

    def during(self, when: Callable[[dict[str, Any]], object], act: Callable[[], object], **settings: Any) -> str:
        """`up`, with `act` at the moment when the record shows something; the error of `up`, or nothing."""
        said: list[str] = []

        def change() -> None:
            try:
                self.up(**settings)
            except LabError as error:
                said.append(str(error))

        thread = threading.Thread(target=change)
        thread.start()
        try:
            wait_for("the moment", 300, lambda: when(self.record()))
            act()
        finally:
            thread.join()
        self.settings = {**self.settings, **settings}
        return "".join(said)


@pytest.fixture(scope="module")
def job(cluster: Cluster) -> Iterator[Declared]:
    made = Declared(cluster)
    for name in cluster.hosts("taskmanager"):
        cluster.lab.ssh(name, f"sudo -n rm -f {records.HURRY}-{made.name}")
    made.up()
    yield made
    try:
        it = made.only()
        it.hurry()
        flights.wait(cluster.urls, it.job_id, 600)
        assert it.count().exact
    finally:
        made.up_with(None)
        cluster.overrides = {}
        cluster.stack.up()


def test_nothing_runs_without_a_change(job: Declared) -> None:
    before = job.only().job_id
    assert job.up() == []
    assert job.only().job_id == before


@pytest.mark.parametrize("mode", ["savepoint", pytest.param("last-state", marks=pytest.mark.exhaustive)])
def test_a_change_continues_from_the_jobs_state(job: Declared, mode: str) -> None:
    before = job.only().job_id
    ran = job.up(upgradeMode=mode, restartNonce=f"change-{mode}")
    assert set(ran) == {"jm-0-job-counts", "job-counts-stop"}, "nothing of the watch"
    now = job.only()
    assert now.job_id != before
    restored = job.cluster.rest.get(f"/jobs/{now.job_id}/checkpoints")["latest"]["restored"]
    assert ("/savepoints/" in restored["external_path"]) == (mode == "savepoint")


def test_what_throws_goes_back_to_what_ran_before(job: Declared) -> None:
    job.up()  # the mode of an earlier upgrade may still be declared
    good = job.settings
    with pytest.raises(LabError, match=r"No data for required key 'output'.* What ran before it runs again") as error:
        job.up(args=["--records", "9"])
    assert "update failed" in str(error.value)
    assert job.only().runs()
    assert set(job.up_with(good)) <= {"job-counts-stop"}, "what runs is what was declared before"
    assert job.only().runs()


def choosy(cluster: Cluster) -> str:
    """The jar of a job that has no state of the records job."""
    return str(
        jar.build("choosy", Path(__file__).parent / "jobs" / "choosy" / "src", "choosy.ChoosyJob", cluster.archives)
    )


@pytest.mark.exhaustive  # what throws goes back the same way
def test_what_cannot_restore_goes_back_to_what_ran_before(job: Declared) -> None:
    job.up()
    good = job.settings
    with pytest.raises(LabError, match=r"annot map .*state.* What ran before it runs again"):
        job.up(jar=choosy(job.cluster), args=[])
    assert job.only().runs()
    job.up_with(good)


@pytest.mark.exhaustive
def test_what_hangs_goes_back_to_what_ran_before(job: Declared) -> None:
    good = job.settings
    with pytest.raises(LabError, match=r"after 20 s it is running, 0 checkpoints .* What ran before it runs again"):
        job.up(args=hanging(job), startTimeoutSeconds=20)
    assert job.only().runs()
    job.up_with(good)


def hanging(job: Declared) -> list[str]:
    """Arguments with which a task waits for hours, and no checkpoint completes."""
    args = [*job.settings["args"]]
    args[args.index("--records-per-second") + 1] = "0.0001"
    return args


@pytest.mark.exhaustive
@pytest.mark.parametrize("who", ["leader", "up"])
def test_a_kill_during_a_rollback(job: Declared, who: str) -> None:
    """While what ran before starts again, the leader dies, or `up`."""
    good, before = job.settings, job.record()["attempts"]
    leader = job.cluster.leader()
    kill = {
        "leader": lambda: job.cluster.lab.kill(leader, "flink-jobmanager"),
        "up": lambda: job.cluster.lab.ssh("jm-0", KILL),
    }[who]
    said = job.during(
        lambda record: record["starting"] and record["starting"]["number"] == before + 2,
        kill,
        args=hanging(job),
        startTimeoutSeconds=20,
    )
    assert "jm-0-job-counts" in said
    job.cluster.wait_until_whole()
    job.up_with(good)
    assert job.only().runs()


@pytest.mark.exhaustive
def test_a_suspended_job_continues_in_another_cluster_on_the_same_storage(job: Declared) -> None:
    job.up(state="suspended")
    state = job.record()["state"]
    job.cluster.stack.destroy()
    assert job.record()["state"] == state
    job.up(state="suspended")
    job.up(state="running")
    assert job.record()["running"]["from"] == state and job.only().runs()


@pytest.mark.exhaustive
def test_the_parallelism_of_an_adaptive_scheduler_goes_down_and_up_while_the_job_runs(job: Declared) -> None:
    key = "flink:flinkConfig"
    before = job.cluster.overrides.get(key)
    job.cluster.overrides[key] = {**(before or {}), "jobmanager": {"scheduler": "adaptive"}}
    try:
        job.up()
        now = job.only()
        for parallelism in (1, 2):
            job.up(parallelism=parallelism)
            assert job.only().job_id == now.job_id, "the same attempt"
            vertices = job.cluster.rest.get(f"/jobs/{now.job_id}")["vertices"]
            assert {vertex["parallelism"] for vertex in vertices} == {parallelism}
    finally:
        del job.cluster.overrides[key]
        job.up()
    assert job.only().runs()


@pytest.mark.exhaustive
def test_twenty_small_jobs_at_once(job: Declared) -> None:
    """They start at once, a second `up` does nothing, and they stop at once."""
    key = "flink:taskManagerSlots"
    small = {"jar": choosy(job.cluster), "parallelism": 1}
    before = job.cluster.overrides.get("flink:jobs", {})
    try:
        job.cluster.overrides |= {key: 12, "flink:jobs": {**before, **{f"small-{n}": small for n in range(20)}}}
        job.cluster.stack.up()
        jobs = job.cluster.rest.get("/jobs/overview")["jobs"]
        assert len([each for each in jobs if each["state"] == "RUNNING"]) == 20 + len(before)
        assert job.cluster.stack.up().changed() == []
    finally:
        job.cluster.overrides["flink:jobs"] = before
        job.cluster.stack.up()
        del job.cluster.overrides[key]
        job.cluster.stack.up()
    assert len(job.running()) == 1


def test_suspended_and_resumed(job: Declared) -> None:
    job.up(state="suspended")
    assert job.running() == []
    assert job.record()["state"].startswith("s3://")
    job.up(state="running")
    assert job.only().runs()


@pytest.mark.exhaustive  # a change of its arguments does
def test_another_parallelism_continues_from_the_state(job: Declared) -> None:
    job.up(parallelism=1)
    vertices = job.cluster.rest.get(f"/jobs/{job.only().job_id}")["vertices"]
    assert {vertex["parallelism"] for vertex in vertices} == {1}
    job.up(parallelism=2)


def test_the_leader_dies_while_the_job_stops(job: Declared) -> None:
    leader = job.cluster.leader()
    said = job.during(
        lambda record: record["stopping"],
        lambda: job.cluster.lab.kill(leader, "flink-jobmanager"),
        restartNonce="leader-dies-at-the-stop",
    )
    assert said == ""
    assert job.only().runs()
    job.cluster.wait_until_whole()


@pytest.mark.exhaustive  # it dies while the job stops
def test_the_leader_dies_while_the_job_starts(job: Declared) -> None:
    leader = job.cluster.leader()
    said = job.during(
        lambda record: record["starting"],
        lambda: job.cluster.lab.kill(leader, "flink-jobmanager"),
        restartNonce="leader-dies-at-the-start",
    )
    job.cluster.wait_until_whole()
    # Flink's client gives up if it reaches no leader: then what ran before runs again, and the next `up` changes it
    if said:
        assert "runs again" in said
        job.up()
    assert job.only().runs()


@pytest.mark.parametrize("moment", [pytest.param("stopping", marks=pytest.mark.exhaustive), "starting"])
def test_a_run_that_is_killed_is_completed_by_the_next(job: Declared, moment: str) -> None:
    said = job.during(
        lambda record: record[moment],
        lambda: job.cluster.lab.ssh("jm-0", KILL),
        restartNonce=f"killed-{moment}",
    )
    assert "jm-0-job-counts" in said
    job.up()
    assert job.only().runs()
    assert job.record()["starting"] is None and job.record()["stopping"] is None


def test_a_job_that_somebody_cancels_is_reported_and_repaired(job: Declared) -> None:
    from tests.lab.commands import finish

    job.only().cancel()
    code, found = finish(300, "doctor", "--name", job.cluster.lab.name)
    assert code == 1 and "job counts" in found and "CANCELED" in found
    job.cluster.overrides["flink:repair"] = True
    try:
        job.up()
    finally:
        job.cluster.overrides["flink:repair"] = False
        job.cluster.stack.up()
    assert job.only().runs()


def taken(job: Declared) -> list[dict[str, Any]]:
    """The savepoints that the storage knows of."""
    key = f"{job.cluster.lab.name}/jobs/{job.cluster.lab.name}/counts/savepoints.json"
    client = job.cluster.s3.client()
    try:
        body = client.get_object(Bucket=job.cluster.s3.bucket, Key=key)["Body"].read()
    except client.exceptions.NoSuchKey:
        return []  # none was taken yet
    found: list[dict[str, Any]] = json.loads(body)["taken"]
    return found


def journal(job: Declared, host: str, since: str) -> str:
    """What the watch on a host has said."""
    return job.cluster.lab.ssh(host, f"sudo -n journalctl -q -u flink-jobs -o cat --since=@{since}").stdout


def test_the_leaders_side_takes_savepoints_and_the_last_ones_stay(job: Declared) -> None:
    leader = job.cluster.leader()
    (standby,) = {*job.cluster.hosts("jobmanager")} - {leader}
    began = job.cluster.lab.ssh(standby, "date +%s").stdout.strip()
    job.up(savepoints={"every": "10 s", "keep": 2})

    def periodic() -> list[str]:
        return [it["path"] for it in taken(job) if it["kind"] == "periodic"]

    first = wait_for("a savepoint", 120, periodic)[0]
    wait_for("others instead of the first one", 180, lambda: first not in periodic() and len(periodic()) == 2)
    prefix = first.removeprefix(f"s3://{job.cluster.s3.bucket}/")

    def files() -> int:
        found = job.cluster.s3.client().list_objects_v2(Bucket=job.cluster.s3.bucket, Prefix=prefix)
        return int(found["KeyCount"])

    wait_for("the first one to be deleted", 60, lambda: files() == 0)
    assert f"deletes the savepoint {first}" in journal(job, leader, began)
    assert journal(job, standby, began) == ""


def test_a_person_takes_a_savepoint_and_one_that_cannot_be_restored_changes_nothing(job: Declared) -> None:
    from tests.lab.commands import finish

    name = job.cluster.lab.name
    job.up(savepoints={"keep": 2})
    code, found = finish(300, "savepoints", "--name", name, "take", "counts")
    path = found.split()[-1]
    assert code == 0 and path.startswith(f"s3://{job.cluster.s3.bucket}/")
    code, found = finish(300, "savepoints", "--name", name)
    assert code == 0 and "bytes  hand" in found and path in found
    # Flink's FileSink has completed files since then that this savepoint expects unfinished
    job.only().wait_for_checkpoints(5)
    code, found = finish(600, "savepoints", "--name", name, "restore", "counts", path, "--yes")
    assert code == 2 and "What ran before it runs again, from s3://" in found
    assert job.only().runs()
    assert path in {it["path"] for it in taken(job)}


def test_a_job_that_fails_for_good_starts_again_by_itself(job: Declared) -> None:
    job.up(flinkConfig={"restart-strategy.type": "none"})
    before = job.only().job_id
    for host in job.cluster.hosts("taskmanager"):
        job.cluster.lab.kill(host, "flink-taskmanager")
    wait_for("another attempt", 300, lambda: [it for it in job.running() if it["jid"] != before])
    wait_for("that it is stable", 300, lambda: job.record()["running"] and job.only().job_id != before)
    assert f"/checkpoints/{job.cluster.lab.name}/{before}/chk-" in job.record()["running"]["from"]
    assert job.only().runs()
    job.cluster.wait_until_whole()
    job.up(flinkConfig={})


@pytest.fixture(scope="module")
def second(job: Declared) -> Iterator[Declared]:
    """Another job beside the first one; it leaves slots for a third."""
    made = Declared(job.cluster, "second", parallelism=1)
    made.settings |= {"upgradeMode": "blue-green", "stableSeconds": 5}
    made.settings["args"] += ["--at-least-once", "true"]
    made.up()
    yield made
    made.up_with(None)


@pytest.mark.exhaustive  # tests/unit/host_tool/test_host_declared_job.py has each step of it
def test_blue_green_has_no_pause_and_what_both_wrote_is_the_same(second: Declared) -> None:
    """Each key's counts are of one history, so for a sink that replaces by key the result is exact."""
    before = second.only().job_id
    assert set(second.up(restartNonce="green", upgradeMode="blue-green")) == {"jm-0-job-second", "job-second-stop"}
    assert second.only().job_id != before
    second.only().wait_for_checkpoints(5)
    output = second.only()
    second.up(state="suspended", upgradeMode="blue-green")
    lines = [line.split(",") for line in output.lines()]
    counts = {(int(number), int(count)) for number, count, _ in lines}
    numbers = {number for number, _ in counts}
    assert numbers == set(range(max(numbers) + 1)), "no gap"
    assert len(counts) == len(numbers), "whoever wrote a record, it is the same"
    assert len(lines) > len(counts), "both wrote"
    assert records.gaps(sorted(int(time) / 1000 for _, _, time in lines)) == ()
    second.up(state="running", upgradeMode="blue-green")


@pytest.mark.exhaustive  # tests/unit/host_tool/test_host_declared_job.py has each step of it
def test_blue_green_that_fails_never_interrupts_what_runs(second: Declared) -> None:
    before, good = second.only(), {**second.settings, "upgradeMode": "blue-green"}
    with pytest.raises(LabError, match=r"No data for required key 'output'.* it was not interrupted"):
        second.up(args=["--records", "9"], upgradeMode="blue-green")
    assert second.only().job_id == before.job_id and before.runs()
    with pytest.raises(LabError, match=r"needs 4 free slots beside what runs, found 1: nothing was changed"):
        second.up_with({**good, "parallelism": 4})
    second.up_with(good)
    assert second.only().job_id == before.job_id and before.runs()
