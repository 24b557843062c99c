"""Another release of Flink, and back: the row of docs/changes.md that takes jobs along which another release has made.

The other rows: test_restarts.py.
"""

from dataclasses import replace

from drill.records import RecordsJob
from lab import archives, flights
from lab.archives import Archive
from lab.cluster import Cluster, wait_for
from lab.rest import Rest
from lab.stack import release


def change_release(cluster: Cluster, flink: Archive, job: RecordsJob) -> set[str]:
    """`up` to another release; the job runs again, from a checkpoint that it had before or a later one. What was
    restarted.
    """
    before, least = cluster.processes(), job.checkpoint() or 0
    cluster.overrides = release(cluster.lab, "flink", flink)
    cluster.stack.up()
    cluster.wait_until_whole()
    after = cluster.processes()
    assert {Rest([url]).get("/overview")["flink-version"] for url in cluster.urls} == {flink.version}
    wait_for("the job going on", 120, lambda: (job.restored_from() or 0) >= least and job.runs())
    return {name.split()[0] for name in before if before[name] != after.get(name)}


def test_jobs_go_on_with_another_release_of_flink_and_back(cluster: Cluster) -> None:
    earlier, present = archives.earlier_flink(), cluster.archives.flink
    daemons = {*cluster.hosts("jobmanager"), *cluster.hosts("taskmanager")}
    jobs = [RecordsJob.start(cluster, "made-by-the-present")]
    try:
        assert change_release(cluster, earlier, jobs[0]) == daemons, "and no ZooKeeper server"
        there = cluster.lab.ssh("tm-0", "ls -d /opt/flink-*").stdout.split()
        assert {f"/opt/flink-{earlier.version}", f"/opt/flink-{present.version}"} <= set(there), "side by side"
        jobs.append(RecordsJob.start(cluster, "made-by-the-earlier", inputs=replace(cluster.archives, flink=earlier)))
        assert change_release(cluster, present, jobs[1]) == daemons
        wait_for("the other job, too", 120, jobs[0].runs)
        jobs[0].hurry()
        for job in jobs:
            flights.wait(cluster.urls, job.job_id, 300)
            assert job.count().exact
    finally:
        for job in jobs:
            if not job.ended():
                job.cancel()
        cluster.overrides = {}
        cluster.stack.up()
    cluster.wait_until_whole()
