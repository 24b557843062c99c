"""Declared jobs on a real cluster: one job that counts its records lives through every change and fault, and in the end
every record exists once.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from drill import records
from drill.records import RecordsJob
from lab import flights
from lab.cluster import Cluster, wait_for
from lab.errors import LabError

RECORDS = 200 * 3600
"""More than the tests take."""


class Declared:
    """The job of all tests of this module: `counts`, with what is declared of it."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.output = f"s3://{cluster.s3.bucket}/declared-counts"
        self.settings: dict[str, Any] = {
            "jar": str(records.build_jar(cluster.archives)),
            "parallelism": 2,
            "args": [
                *("--output", self.output, "--records", str(RECORDS), "--records-per-second", "200"),
                *("--checkpoint-seconds", "1", "--hurry-file", records.HURRY),
            ],
            "startTimeoutSeconds": 120,
            "upgradeMode": "savepoint",
        }

    def up(self, **settings: Any) -> list[str]:
        """`up` with changed settings; what ran on hosts. The mode of an upgrade is for this time only."""
        ran = self.up_with({**self.settings, **settings})
        self.settings["upgradeMode"] = "savepoint"
        return ran

    def up_with(self, settings: dict[str, Any] | None) -> list[str]:
        self.cluster.overrides["flink:jobs"] = {"counts": settings} if settings else {}
        ran = self.cluster.stack.up().changed()
        self.settings = settings or self.settings
        return ran

    def record(self) -> dict[str, Any]:
        """What the program knows of the job, on the storage."""
        key = f"{self.cluster.lab.name}/jobs/{self.cluster.lab.name}/counts/record.json"
        body = self.cluster.s3.client().get_object(Bucket=self.cluster.s3.bucket, Key=key)["Body"].read()
        found: dict[str, Any] = json.loads(body)
        return found

    def running(self) -> list[dict[str, Any]]:
        """The jobs that have not ended."""
        return [job for job in self.cluster.rest.get("/jobs/overview")["jobs"] if job["state"] not in flights.ENDED]

    def only(self) -> RecordsJob:
        """The one job that runs."""
        (found,) = self.running()
        return RecordsJob(self.cluster, found["jid"], self.output, RECORDS)

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
    flights.remove_result(cluster.s3, made.output)
    for name in cluster.hosts("taskmanager"):
        cluster.lab.ssh(name, f"sudo -n rm -f {records.HURRY}")
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


@pytest.mark.parametrize("mode", ["savepoint", "last-state"])
def test_a_change_continues_from_the_jobs_state(job: Declared, mode: str) -> None:
    before = job.only().job_id
    ran = job.up(upgradeMode=mode, restartNonce=f"change-{mode}")
    assert set(ran) == {"jm-0-job-counts", "job-counts-stop"}
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


def test_suspended_and_resumed(job: Declared) -> None:
    job.up(state="suspended")
    assert job.running() == []
    assert job.record()["state"].startswith("s3://")
    job.up(state="running")
    assert job.only().runs()


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


@pytest.mark.parametrize("moment", ["stopping", "starting"])
def test_a_run_that_is_killed_is_completed_by_the_next(job: Declared, moment: str) -> None:
    # Brackets, so that the pattern does not match its own command line
    kill = "sudo -n pkill -KILL -f '[f]link-host job|[o]rg.apache.flink.client.cli' ; true"
    said = job.during(
        lambda record: record[moment],
        lambda: job.cluster.lab.ssh("jm-0", kill),
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
