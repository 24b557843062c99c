"""A cluster whose state is on HDFS, on a lab of its own: refused by name at first, then a declared job lives through
what happens to clusters, and in the end each record exists once and nothing stays that should not.
"""

import hashlib
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
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

NAME = "test-hdfs"
RECORDS = 200 * 1800
BOUND = 240
"""Maximum seconds of a wait on a busy machine."""
pytestmark = pytest.mark.exhaustive  # a lab for ten minutes


@dataclass(frozen=True)
class Place:
    """A cluster, and what its HDFS has."""

    lab: Lab
    cluster: Cluster
    dfs: Hdfs

    @property
    def uri(self) -> str:
        """Of the storage."""
        return f"{self.dfs.uri}/flink/dev"

    def paths(self) -> list[str]:
        """Files and folders below it."""
        lines = self.dfs.shell("-ls", "-R", "/flink").splitlines()
        return [line.split()[-1] for line in lines if re.match(r"[d-]r", line)]

    def lines(self) -> list[str]:
        """The committed records."""
        return [line for line in self.dfs.shell("-cat", "/flink/out/part-*").splitlines() if re.match(r"\d+,", line)]

    def up(self, **settings: Any) -> list[str]:
        """`up` with the job, with these settings."""
        arguments = ["--output", f"{self.dfs.uri}/flink/out", "--records", str(RECORDS), "--records-per-second", "200"]
        self.cluster.overrides["flink:jobs"] = {
            "counts": {
                "jar": str(records.build_jar(self.cluster.archives)),
                "parallelism": 2,
                "args": [*arguments, "--checkpoint-seconds", "2", "--hurry-file", records.HURRY],
                "startTimeoutSeconds": 180,
                "upgradeMode": "savepoint",
                **settings,
            }
        }
        return self.cluster.stack.up().changed()

    def job(self) -> RecordsJob:
        """The job as it runs."""
        mark = hashlib.sha256(f"{self.lab.name}\0counts".encode()).hexdigest()[:16]
        found = self.cluster.rest.get("/jobs/overview")["jobs"]
        (job,) = [job for job in found if job["state"] not in flights.ENDED and job["jid"].startswith(mark)]
        return RecordsJob(self.cluster, job["jid"], f"{self.dfs.uri}/flink/out", RECORDS)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Hosts, and an HDFS without a folder for Flink."""
    lab = Lab(NAME)
    lab.down()  # an earlier run may have been killed
    try:
        lab.up(workers=2, monitoring=0)
        dfs = hdfs.at(lab.dir / "hdfs", lab.gateway)
        dfs.prepare()
        lab.serve("namenode", dfs.server("namenode"), dfs.environment, dfs.namenode_problem)
        lab.serve("datanode", dfs.server("datanode"), dfs.environment, dfs.problem)
        (tmp_path / "core-site.xml").write_text(dfs.client_site())
        overrides = {
            "flink:storageUri": f"{dfs.uri}/flink/dev",
            "flink:hadoopConf": str(tmp_path),
            "flink:keepState": False,
            **release(lab, "hadoop", hadoop_release.ensure()),
            # What a lab declares for its own storage
            **dict.fromkeys(("flink:storageEndpoint", "flink:storageRegion", "flink:storageAccessKey"), ""),
            "flink:storagePathStyle": False,
        }
        yield Place(lab, Cluster(lab, archives.ensure(), overrides), dfs)
    finally:
        lab.down()


def test_a_cluster_lives_on_hdfs(place: Place, measured: Measured) -> None:
    lab, cluster = place.lab, place.cluster
    with pytest.raises(LabError) as error:
        cluster.stack.up()
    said = str(error.value)
    # The first one ends the run
    assert re.search(rf"[jt]m-\d: cannot use the storage at {place.uri} \(storageUri\): cannot write: ", said), said
    assert "Permission denied: user=flink" in said and "expected a folder that belongs to flink" in said
    assert not lab.ssh("tm-0", "pgrep -u flink java", check=False).stdout, "Flink is not started"

    place.dfs.home("/flink", "flink")
    place.up()
    job = place.job()
    job.wait_for_checkpoints()
    assert _ops("doctor")[0] == 0

    for name, unit in ((cluster.leader(), "flink-jobmanager"), (job.taskmanager(), "flink-taskmanager")):
        least, since = job.checkpoint() or 0, time.monotonic()
        lab.kill(name, unit)
        measured(
            f"{unit} on HDFS killed: the job runs again after {job.seconds_until_restored(since, least, BOUND):.1f} s"
        )
        cluster.wait_until_whole()

    place.up(restartNonce="again")
    job, before = place.job(), job.job_id
    assert job.job_id != before
    restored = cluster.rest.get(f"/jobs/{job.job_id}/checkpoints")["latest"]["restored"]
    assert restored["external_path"].startswith(f"{place.uri}/jobs/{NAME}/counts/savepoints/"), restored
    assert place.up(restartNonce="again") == [], "nothing runs without a change"

    collects_garbage(place)

    wait_for("a checkpoint", 120, lambda: (job.checkpoint() or 0) > 0)
    job.hurry()
    flights.wait(cluster.urls, job.job_id, 600)
    assert records.count(place.lines(), RECORDS).exact

    cluster.stack.destroy()
    left = [path for path in place.paths() if not path.startswith("/flink/out")]
    # Folders exist by themselves on HDFS
    assert set(left) <= {
        "/flink/dev",
        *(f"/flink/dev/{name}" for name in ("checkpoints", "savepoints", "jobs", "history")),
    }
    assert not lab.ssh("tm-0", "ls -d /opt/hadoop* /etc/flink 2>/dev/null", check=False).stdout


def collects_garbage(place: Place) -> None:
    """`gc` removes what a dead cluster left."""
    for name in ("completedCheckpoint0123456789ab", f"blob/job_{'0' * 32}/blob_p-a1-b2"):
        path = f"/flink/dev/ha/old/{name}"
        place.dfs.shell("-mkdir", "-p", path.rpartition("/")[0])
        place.dfs.shell("-touchz", path)
        place.dfs.shell("-touch", "-t", "20260101:000000", path)
    place.dfs.shell("-chown", "-R", "flink", "/flink/dev/ha/old")
    code, output = _ops("gc", "--dry-run", "--json")
    assert code == 0, output
    assert [(entry["cluster"], entry["objects"]) for entry in json.loads(output)["garbage"]] == [("old", 2)]
    code, output = _ops("gc", "--yes", "--cluster", "old")
    assert code == 0, output
    assert not [path for path in place.paths() if path.startswith("/flink/dev/ha/old")]


def _ops(command: str, *arguments: str) -> tuple[int, str]:
    with lab_command(command, "--name", NAME, *arguments) as process:
        output, _ = process.communicate(timeout=300)
        print(output)
        return process.returncode, output
