"""A cluster moves from S3 to HDFS as docs/storage.md (Moving) says, on a lab of its own."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from drill import records
from drill.records import RecordsJob
from lab import flights, hdfs
from lab.cluster import Cluster, wait_for
from lab.errors import LabError
from lab.hdfs import Hdfs
from lab.lab import Lab
from lab.stack import release
from stand_ins.builds import archives, hadoop_release
from tests.lab.commands import lab_command
from tests.measured import Measured
from tests.storages.on_hosts import NONE_OF_S3

NAME = "test-moving"
RECORDS = 200 * 1800
BOUND = 240
"""Maximum seconds of a wait on a busy machine."""
pytestmark = pytest.mark.exhaustive  # a lab for ten minutes


@dataclass
class Moving:
    """A cluster, and an HDFS that it does not know at first. The job's output is there from the beginning."""

    lab: Lab
    dfs: Hdfs
    conf: Path
    state: str = "running"
    places: dict[str, Any] = field(default_factory=dict)

    @property
    def old(self) -> str:
        """A place on S3."""
        return f"s3://{self.lab.s3.bucket}/{self.lab.name}"

    @property
    def new(self) -> str:
        """A place on HDFS."""
        return f"{self.dfs.uri}/flink/dev"

    @property
    def cluster(self) -> Cluster:
        """As it is declared now."""
        arguments = ["--output", f"{self.dfs.uri}/flink/out", "--records", str(RECORDS), "--records-per-second", "200"]
        job = {
            "jar": str(records.build_jar(archives.ensure())),
            "parallelism": 2,
            "args": [*arguments, "--checkpoint-seconds", "2", "--hurry-file", records.HURRY],
            "startTimeoutSeconds": 180,
        }
        declared = {
            **{f"flink:{key}": value for key, value in self.places.items()},
            **release(self.lab, "hadoop", hadoop_release.ensure()),
            "flink:hadoopConf": str(self.conf),
            "flink:jobs": {"counts": {**job, "state": self.state}},
            "flink:keepState": False,
        }
        return Cluster(self.lab, archives.ensure(), declared)

    def up(self, state: str, **places: Any) -> None:
        """`up` with these keys of the configuration."""
        self.state, self.places = state, places
        self.cluster.stack.up()

    def job(self) -> RecordsJob:
        """The only one that runs."""
        cluster = self.cluster
        mark = hashlib.sha256(f"{self.lab.name}\0counts".encode()).hexdigest()[:16]
        found = cluster.rest.get("/jobs/overview")["jobs"]
        (job,) = [job for job in found if job["state"] not in flights.ENDED]
        assert job["jid"].startswith(mark)
        return RecordsJob(cluster, job["jid"], f"{self.dfs.uri}/flink/out", RECORDS)

    def pids(self) -> dict[str, str]:
        """The daemons' processes."""
        shown = "systemctl show -p MainPID --value flink-jobmanager flink-taskmanager"
        return {host: self.lab.ssh(host, shown).stdout for host in ("jm-0", "jm-1", "tm-0", "tm-1")}

    def held(self, uri: str) -> tuple[int, str]:
        """What `gc --at` says."""
        with lab_command("gc", "--name", NAME, "--at", uri, "--json") as process:
            output, _ = process.communicate(timeout=300)
            print(output)
            return process.returncode, output


@pytest.fixture
def moving(tmp_path: Path) -> Iterator[Moving]:
    lab = Lab(NAME)
    lab.down()  # an earlier run may have been killed
    try:
        lab.up(workers=2, monitoring=0)
        dfs = hdfs.at(lab.dir / "hdfs", lab.gateway)
        dfs.prepare()
        lab.serve("namenode", dfs.server("namenode"), dfs.environment, dfs.namenode_problem)
        lab.serve("datanode", dfs.server("datanode"), dfs.environment, dfs.problem)
        dfs.home("/flink", "flink")
        (tmp_path / "core-site.xml").write_text(dfs.client_site())
        yield Moving(lab, dfs, tmp_path)
    finally:
        lab.down()


def test_a_cluster_moves_from_s3_to_hdfs(moving: Moving, measured: Measured) -> None:
    # 1. Both storages on the hosts
    both = {"storageUri": moving.old, "savepointsUri": moving.new}
    moving.up("running", **both)
    job = moving.job()
    job.wait_for_checkpoints()
    pids, first = moving.pids(), job.job_id

    with pytest.raises(LabError) as error:
        moving.up("running", storageUri=moving.new, savepointsUri=moving.old)
    said = str(error.value)
    assert re.search(rf"the state moves from {moving.old} to {moving.new}, and 1 jobs run, which need what is th", said)
    assert moving.pids() == pids and moving.job().job_id == first, "nothing was restarted"

    # 2. Suspend
    began = time.monotonic()
    moving.up("suspended", **both)
    assert moving.pids() == pids

    # 3. Move
    moving.up("running", storageUri=moving.new, savepointsUri=moving.old)
    measured(f"from suspending to running on the other storage: {time.monotonic() - began:.0f} s")
    job = moving.job()
    restored = job.cluster.rest.get(f"/jobs/{job.job_id}/checkpoints")["latest"]["restored"]["external_path"]
    assert restored.startswith(f"{moving.old}/jobs/{NAME}/counts/savepoints/1-"), restored
    assert job.job_id != first and (job.checkpoint() or 0) > 0

    # 4. What the old place still holds
    code, output = moving.held(moving.old)
    found = json.loads(output)
    folders = {it["path"]: it["files"] for it in found["folders"]}
    assert code == 0 and found["needed"] == {}
    # Flink itself has removed the rest of a job that has ended
    assert folders[f"jobs/{NAME}"] > 1 and set(folders) <= {f"{name}/{NAME}" for name in ("ha", "jobs", "checkpoints")}

    # 5. Leave the old one
    moving.up("running", storageUri=moving.new, **NONE_OF_S3)
    assert moving.job().job_id == job.job_id, "it has continued"
    assert "AWS_" not in moving.lab.ssh("tm-0", "sudo cat /etc/flink/credentials.env").stdout
    job = moving.job()
    least, since = job.checkpoint() or 0, time.monotonic()
    moving.lab.kill(job.cluster.leader(), "flink-jobmanager")
    job.seconds_until_restored(since, least, BOUND)
    job.cluster.wait_until_whole()
    wait_for("a checkpoint", 120, lambda: (job.checkpoint() or 0) > least)

    job.hurry()
    flights.wait(job.cluster.urls, job.job_id, 600)
    lines = [line for line in moving.dfs.shell("-cat", "/flink/out/part-*").splitlines() if re.match(r"\d+,", line)]
    assert records.count(lines, RECORDS).exact
    job.cluster.stack.destroy()
