"""A cluster whose state is on another storage than S3, on a lab of its own: a job that counts its records lives through
what happens to clusters, and in the end each record exists once and nothing stays that should not.
"""

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from drill import records
from drill.records import RecordsJob
from lab import flights, stack
from lab.cluster import Cluster, wait_for
from lab.errors import LabError
from lab.lab import Lab
from stand_ins.builds import archives
from tests.lab.commands import lab_command
from tests.storages.servers import Storage

RECORDS = 200 * 1800
NONE_OF_S3 = {
    f"flink:{key}": value
    for key, value in {
        "storageEndpoint": "",
        "storageRegion": "",
        "storageAccessKey": "",
        "storagePathStyle": False,
    }.items()
}
"""What a lab declares for its own storage."""


@dataclass(frozen=True)
class Place:
    """A cluster and its storage."""

    lab: Lab
    cluster: Cluster
    storage: Storage

    @property
    def folder(self) -> str:
        """Of storageUri, within the storage."""
        return self.storage.uri.partition("://")[2].partition("/")[2]

    def below(self, path: str) -> list[str]:
        """Names of what is below a path of storageUri."""
        assert self.storage.inside
        return [name for name in self.storage.inside.names() if name.startswith(f"{self.folder}/{path}")]

    def lines(self) -> list[str]:
        """The committed records."""
        assert self.storage.inside
        parts = [name for name in self.below("out/") if name.rpartition("/")[2].startswith("part-")]
        return [line for name in parts for line in self.storage.inside.read(name).decode().splitlines()]


def made(lab: Lab, storage: Storage, keys: Mapping[str, Any]) -> Place:
    """The storage's servers and hosts; `keys`: what the stack declares of the storage."""
    for server in storage.servers:
        lab.serve(server.name, server.argv, server.environment, server.problem)
    flink = stack.release(lab, "flink", archives.flink_with_storages())
    overrides = {**NONE_OF_S3, **flink, "flink:storageUri": storage.uri, "flink:keepState": False, **keys}
    return Place(lab, Cluster(lab, archives.ensure(), overrides), storage)


def declared(place: Place, **settings: Any) -> dict[str, Any]:
    """The job, with other settings."""
    return {
        "jar": str(records.build_jar(place.cluster.archives)),
        "parallelism": 2,
        "args": [
            *("--output", f"{place.storage.uri}/out", "--records", str(RECORDS), "--records-per-second", "200"),
            *("--checkpoint-seconds", "2", "--hurry-file", records.HURRY),
        ],
        "startTimeoutSeconds": 180,
        "upgradeMode": "savepoint",
        **settings,
    }


def up(place: Place, **settings: Any) -> list[str]:
    """`up` with the job, and with other settings of it."""
    place.cluster.overrides["flink:jobs"] = {"counts": declared(place, **settings)}
    return place.cluster.stack.up().changed()


def running(place: Place) -> RecordsJob:
    """The job as it runs."""
    mark = hashlib.sha256(f"{place.lab.name}\0counts".encode()).hexdigest()[:16]
    found = place.cluster.rest.get("/jobs/overview")["jobs"]
    (job,) = [job for job in found if job["state"] not in flights.ENDED and job["jid"].startswith(mark)]
    return RecordsJob(place.cluster, job["jid"], f"{place.storage.uri}/out", RECORDS)


def lives(place: Place) -> None:
    """All of it."""
    lab, cluster = place.lab, place.cluster
    up(place)
    job = running(place)
    job.wait_for_checkpoints()
    assert place.below("ha/") and place.below(f"checkpoints/{lab.name}/{job.job_id}/")

    for name, unit in ((cluster.leader(), "flink-jobmanager"), (job.taskmanager(), "flink-taskmanager")):
        least, since = job.checkpoint() or 0, time.monotonic()
        lab.kill(name, unit)
        try:
            print(f"{unit} killed: runs again after {job.seconds_until_restored(since, least, 240):.1f} s")
        except LabError:
            print(json.dumps(cluster.rest.get(f"/jobs/{job.job_id}/exceptions"), indent=1)[:4000])
            raise
        cluster.wait_until_whole()

    up(place, restartNonce="again")
    job, before = running(place), job.job_id
    assert job.job_id != before
    restored = cluster.rest.get(f"/jobs/{job.job_id}/checkpoints")["latest"]["restored"]
    assert "/savepoints/" in restored["external_path"], restored
    assert up(place, restartNonce="again") == [], "nothing runs without a change"

    collects_garbage(place)

    wait_for("a checkpoint", 120, lambda: (job.checkpoint() or 0) > 0)
    job.hurry()
    flights.wait(cluster.urls, job.job_id, 600)
    assert records.count(place.lines(), RECORDS).exact

    cluster.stack.destroy()
    # What jobs wrote is theirs
    assert [name for name in place.below("") if not name.startswith(f"{place.folder}/out/")] == []


def collects_garbage(place: Place) -> None:
    """`gc` removes what a dead cluster left."""
    assert place.storage.inside
    left = {
        f"{place.folder}/ha/old/completedCheckpoint0123456789ab",
        f"{place.folder}/ha/old/blob/job_{'0' * 32}/blob_p-a-b",
    }
    for name in left:
        place.storage.inside.plant(name, 9)
    code, output = _ops("gc", "--dry-run", "--json", "--name", place.lab.name)
    assert code == 0, output
    assert [(entry["cluster"], entry["objects"]) for entry in json.loads(output)["garbage"]] == [("old", 2)]
    code, output = _ops("gc", "--yes", "--cluster", "old", "--name", place.lab.name)
    assert code == 0, output
    assert not place.below("ha/old/")


def _ops(*arguments: str) -> tuple[int, str]:
    with lab_command(*arguments) as process:
        output, _ = process.communicate(timeout=300)
        print(output)
        return process.returncode, output
