"""Another release of Flink, and back: the row of docs/changes.md in which jobs are handed over.

The other rows: test_restarts.py.
"""

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from drill.records import RecordsJob
from lab import flights, jar
from lab.cluster import Cluster, Job, wait_for
from lab.errors import LabError
from lab.rest import Rest
from lab.stack import release
from stand_ins.builds import archives
from stand_ins.builds.archives import Archive, Archives
from tests.lab import test_starts


def change_release(cluster: Cluster, flink: Archive, job: RecordsJob) -> set[str]:
    """`up` to another release; the job continues from its last checkpoint or a later one. Returns what restarted."""
    before, least = cluster.processes(), job.checkpoint() or 0
    cluster.overrides |= release(cluster.lab, "flink", flink)
    cluster.stack.up()
    cluster.wait_until_whole()
    after = cluster.processes()
    shown = [cluster.ask(name, "/overview") for name in cluster.hosts("jobmanager")]
    assert {each["flink-version"] for each in shown} == {flink.version}
    wait_for("the job going on", 300, lambda: (job.restored_from() or 0) >= least and job.runs())
    return {name.split()[0] for name in before if before[name] != after.get(name)}


def start(cluster: Cluster, name: str, inputs: Archives) -> Job:
    """A job of jobs/, compiled against `inputs`; it runs until it is cancelled."""
    main_class = f"{name}.{name.capitalize()}Job"
    file = jar.build(name, Path(__file__).parent / "jobs" / name / "src", main_class, inputs)
    job = Job(cluster, Rest(cluster.urls).run_jar(file, [], 1))
    wait_for(name, 300, job.runs)
    return job


def refuses_to_hand_over(cluster: Cluster, flink: Archive, inputs: Archives) -> None:
    """`up` to another release with a job that it cannot read: it names the job and the reason, and restarts nothing."""
    job = start(cluster, "choosy", inputs)
    try:
        before = cluster.processes()
        cluster.overrides |= release(cluster.lab, "flink", flink)
        with pytest.raises(LabError) as error:
            cluster.stack.up()
        said = " ".join(str(error.value).split())
        assert f"refused {job.job_id} choosy" in said
        assert f"made by {inputs.flink.version}" in said, said
        assert "nothing was restarted" in said
        assert cluster.processes() == before
        assert job.runs()
    finally:
        job.cancel()
        cluster.overrides |= release(cluster.lab, "flink", inputs.flink)


def declare_choosy(cluster: Cluster) -> None:
    """The same job, declared; it runs."""
    main_class = "choosy.ChoosyJob"
    file = jar.build("choosy", Path(__file__).parent / "jobs" / "choosy" / "src", main_class, cluster.archives)
    cluster.overrides["flink:jobs"] = {"choosy": {"jar": str(file), "parallelism": 1}}
    cluster.stack.up()


def choosy(cluster: Cluster) -> dict[str, Any]:
    """What the program knows of it."""
    key = f"{cluster.lab.name}/jobs/{cluster.lab.name}/choosy/record.json"
    found: dict[str, Any] = json.loads(cluster.s3.client().get_object(Bucket=cluster.s3.bucket, Key=key)["Body"].read())
    return found


def is_killed_after_the_declared_job_has_stopped(cluster: Cluster, flink: Archive) -> None:
    """`up` to another release, which ends there; the daemons have not been restarted, and no state is lost."""
    cluster.overrides |= release(cluster.lab, "flink", flink)
    said: list[LabError] = []

    def change() -> None:
        try:
            cluster.stack.up()
        except LabError as error:
            said.append(error)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        wait_for("its savepoint", 300, lambda: choosy(cluster)["state"])
        # The bracket, so that the pattern does not match its own command line
        cluster.lab.ssh("jm-0", "sudo -n pkill -KILL -f '[f]link-host rollout' ; true")
    finally:
        thread.join()
    assert said, "up was killed"


@pytest.mark.exhaustive  # ten minutes; a setting goes through the same rollout
def test_jobs_continue_with_another_release_of_flink_and_back(cluster: Cluster) -> None:
    earlier, present = archives.earlier_flink(), cluster.archives.flink
    daemons = {*cluster.hosts("jobmanager"), *cluster.hosts("taskmanager")}
    jobs = [RecordsJob.start(cluster, "made-by-the-present", parallelism=1)]
    try:
        cluster.lab.ssh("tm-0", "sudo -n bash -eu", input=test_starts.AT_ONCE)
        assert change_release(cluster, earlier, jobs[0]) == daemons, "and no ZooKeeper server"
        assert test_starts.mapped(cluster), "jobs stand still for less if the archive is there before"
        there = cluster.lab.ssh("tm-0", "ls -d /opt/flink-*").stdout.split()
        assert {f"/opt/flink-{earlier.version}", f"/opt/flink-{present.version}"} <= set(there), "in parallel"
        inputs = replace(cluster.archives, flink=earlier)
        refuses_to_hand_over(cluster, present, inputs)
        aligned = start(cluster, "aligned", inputs)
        jobs.append(RecordsJob.start(cluster, "made-by-the-earlier", parallelism=1, inputs=inputs))
        declare_choosy(cluster)
        is_killed_after_the_declared_job_has_stopped(cluster, present)
        stopped = choosy(cluster)["state"]
        assert change_release(cluster, present, jobs[1]) == daemons
        wait_for("the other jobs, too", 300, lambda: jobs[0].runs() and aligned.runs())
        started = choosy(cluster)["running"]
        assert started["from"] == stopped and "/savepoints/" in stopped
        assert Job(cluster, choosy(cluster)["ids"][0]).runs()
        aligned.cancel()
        jobs[0].hurry()
        for job in jobs:
            flights.wait(cluster.urls, job.job_id, 300)
            assert job.count().exact
    finally:
        for job in jobs:
            if not job.ended():
                job.cancel()
        cluster.lab.ssh("tm-0", "sudo -n bash -eu", input=test_starts.AS_USUAL)
        cluster.overrides = {}
        cluster.stack.up()
    cluster.wait_until_whole()
