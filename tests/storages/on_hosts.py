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
from tests.measured import Measured
from tests.storages.servers import Storage

RECORDS = 200 * 1800
NONE_OF_S3 = {"storageEndpoint": "", "storageRegion": "", "storageAccessKey": "", "storagePathStyle": False}
"""What a lab declares for its own storage."""


@dataclass(frozen=True)
class Place:
    """A cluster and its storage."""

    lab: Lab
    cluster: Cluster
    storage: Storage

    @property
    def kind(self) -> str:
        """For people."""
        return self.storage.uri.partition(":")[0]

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
        return self.storage.inside.read(*parts).decode().splitlines()


def made(lab: Lab, storage: Storage, keys: Mapping[str, Any]) -> Place:
    """The storage's servers and hosts; `keys`: what the stack declares of the storage."""
    for server in storage.servers:
        lab.serve(server.name, server.argv, server.environment, server.problem)
    # Its plugin is not in the lab's own archive of Flink
    plugin = bool(storage.plugin)
    flink = stack.release(lab, "flink", archives.flink_with_storages()) if plugin else {}
    none_of_s3 = {f"flink:{key}": value for key, value in NONE_OF_S3.items()}
    overrides = {**none_of_s3, **flink, "flink:storageUri": storage.uri, "flink:keepState": False, **keys}
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


def lives(place: Place, measured: Measured = print) -> None:
    """All of it. `measured` is told how long it took, and how long the job stood still."""
    began = time.monotonic()
    job = started(place)
    code, output = ops("doctor", "--name", place.lab.name)
    assert code == 0, output
    survives(place, job, measured)
    job = restored(place, job)
    collects_garbage(place)
    ends(place, job)
    measured(f"state on {place.kind}: the whole story took {time.monotonic() - began:.0f} s")


def started(place: Place, checkpoints: str = "") -> RecordsJob:
    """The job, with state on the storage; with its checkpoints in another folder of it."""
    up(place)
    job = running(place)
    job.wait_for_checkpoints(1)
    found = place.below("")
    for folder in ("ha", f"{checkpoints}checkpoints/{place.lab.name}/{job.job_id}"):
        assert [name for name in found if name.startswith(f"{place.folder}/{folder}/")], f"{folder}: {found}"
    return job


def survives(place: Place, job: RecordsJob, measured: Measured) -> None:
    """The leader is killed, then a TaskManager."""
    for name, unit in ((place.cluster.leader(), "flink-jobmanager"), (job.taskmanager(), "flink-taskmanager")):
        # A later one than it runs from: otherwise what it does now would count
        least = wait_for("a checkpoint", 120, lambda: newest(job))
        since = time.monotonic()
        place.lab.kill(name, unit)
        try:
            took = job.seconds_until_restored(since, least, 240)
        except LabError:
            print(json.dumps(place.cluster.rest.get(f"/jobs/{job.job_id}/exceptions"), indent=1)[:4000])
            raise
        measured(f"state on {place.kind}, {unit} killed: the job runs again after {took:.1f} s")
    place.cluster.wait_until_whole()


def newest(job: RecordsJob) -> int | None:
    """Number of the last checkpoint; None while there is only the one that it has been restored from."""
    last = job.checkpoint() or 0
    return last if last > (job.restored_from() or 0) else None


def restored(place: Place, job: RecordsJob) -> RecordsJob:
    """It is stopped with a savepoint, and started from that."""
    up(place, restartNonce="again")
    found = running(place)
    assert found.job_id != job.job_id
    savepoint = place.cluster.rest.get(f"/jobs/{found.job_id}/checkpoints")["latest"]["restored"]["external_path"]
    assert savepoint.startswith(f"{place.storage.uri}/jobs/{place.lab.name}/counts/savepoints/"), savepoint
    return found


def ends(place: Place, job: RecordsJob) -> None:
    """Each record is there once, and `destroy` leaves nothing but those."""
    wait_for("a checkpoint", 120, lambda: newest(job))
    job.hurry()
    flights.wait(place.cluster.urls, job.job_id, 600)
    assert records.count(place.lines(), RECORDS).exact

    place.cluster.stack.destroy()
    # What jobs wrote is theirs
    assert [name for name in place.below("") if not name.startswith(f"{place.folder}/out/")] == []
    for host in place.lab.hosts:
        left = place.lab.ssh(host, "ls -d /opt/* /etc/flink 2>/dev/null", check=False).stdout
        assert left == "", f"{host.name}: {left}"


def collects_garbage(place: Place) -> None:
    """`gc` removes what a dead cluster left."""
    assert place.storage.inside
    left = {
        f"{place.folder}/ha/old/completedCheckpoint0123456789ab",
        f"{place.folder}/ha/old/blob/job_{'0' * 32}/blob_p-a-b",
    }
    place.storage.inside.plant(left, 9)
    code, output = ops("gc", "--yes", "--json", "--cluster", "old", "--name", place.lab.name)
    assert code == 0, output
    said = json.loads(output)
    assert [(entry["cluster"], entry["objects"]) for entry in said["garbage"]] == [("old", 2)]
    assert said["removed"], said
    assert not place.below("ha/old/")


def ops(*arguments: str) -> tuple[int, str]:
    """Exit code and output of one of the lab's commands."""
    with lab_command(*arguments) as process:
        output, _ = process.communicate(timeout=300)
        print(output)
        return process.returncode, output
