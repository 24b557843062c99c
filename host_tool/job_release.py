"""Declared jobs that another release of Flink cannot take over: they stop with savepoints before it starts, and the job
steps of the same `up` start them again from there (docs/jobs.md).
"""

from __future__ import annotations

import json

from .declared_job import Job
from .job_lock import locked, waits
from .job_record import Record, all_folders
from .job_watch import forget
from .output import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from .clock import Clock
    from .rest import JobManagers
    from .store import Store

CONFIG = "/etc/flink/config.yaml"
_KEY = "execution.checkpointing.dir:"
_HA = "high-availability.storageDir:"
_ENTROPY = "s3.entropy.key:"
"""What stands in that directory for a random name: what we look for, metadata, is without it."""
_SAVEPOINTS = "execution.checkpointing.savepoint-dir:"
_APART = "flink-host.storage:"
"""Of our own: where the storage is, if checkpoints or HA metadata are elsewhere (config_templates/config.yaml.j2)."""


_PLACES = (_KEY, _HA, _SAVEPOINTS, _APART)


def place(path: str = CONFIG) -> dict[str, str]:
    """The storage and the cluster's id, from Flink's configuration: each of its lines is a key and a value. What is not
    below the storage is there by its name, too, as in `Job`.
    """
    with open(path) as file:
        lines = file.readlines()

    def value(key: str) -> str:
        return "".join(line[len(key) :].strip().strip("'\"") for line in lines if line.startswith(key))

    checkpoints = value(_KEY).removesuffix(f"/{value(_ENTROPY)}")
    storage, is_ours, cluster = checkpoints.rpartition("/checkpoints/")
    if not is_ours:
        raise Failure(f"{path} does not say where checkpoints are: expected {_KEY} …/checkpoints/CLUSTER")
    apart = value(_APART)
    if not apart:
        return {"storage": storage, "cluster": cluster}
    ha = value(_HA)
    return {"storage": apart, "cluster": cluster, "checkpoints": checkpoints, **({"ha": ha} if ha else {})}


def moved(before: str, after: str) -> str:
    """Whether running jobs would lose what they need by a change of configuration (paths): from where to where the
    storage or HA metadata move, or which kind of storage is no longer known that has their checkpoints. Empty if not,
    or if there was no configuration, or that of another cluster.
    """
    try:
        old = place(before)
    except (OSError, Failure):
        return ""
    new = place(after)
    if old["cluster"] != new["cluster"]:
        return ""
    for here, there in ((old["storage"], new["storage"]), (_ha_of(old), _ha_of(new))):
        if here != there:
            return f"from {here} to {there}"
    checkpoints = old.get("checkpoints", old["storage"])
    with open(after) as file:
        known = {line.split()[1].partition("://")[0] for line in file if line.startswith(_PLACES)}
    return "" if checkpoints.partition("://")[0] in known else f"away from {checkpoints}, where checkpoints are"


def _ha_of(found: dict[str, str]) -> str:
    return found.get("ha") or f"{found['storage']}/ha"


class Declared:
    """The declared jobs of a cluster. `values`: host (this one's name), storage, cluster (id), seconds (within which a
    savepoint has to be complete).
    """

    def __init__(self, values: dict[str, Any], rest: JobManagers, store: Store, clock: Clock) -> None:
        self._values = values
        self._rest, self._store, self._clock = rest, store, clock

    def stop(self, jobs: Sequence[str], *, only_all: bool) -> list[str]:
        """Stop those of `jobs` (ids) that are declared, with savepoints; returns the ids of the others. With `only_all`
        it stops none if there are others. Raises Failure as `Job`.
        """
        known = self._names()
        others = [job for job in jobs if job not in known]
        if not (only_all and others):
            for name, record in sorted({known[job] for job in jobs if job in known}):
                self._stop(name, Record(record))
        return others

    def _names(self) -> dict[str, tuple[str, str]]:
        """Ids of attempts → the job's name, and its record."""
        found = {}
        folder = all_folders(self._values)
        for path in self._store.files(folder):
            name, _, file = path.partition("/")
            text = self._store.read(f"{folder}/{path}") if file == "record.json" else None
            if text:
                found.update(dict.fromkeys(json.loads(text)["ids"], (name, text)))
        return found

    def _stop(self, name: str, record: Record) -> None:
        attempt = record.running or record.starting
        if attempt is None:
            return
        values = {
            **self._values,
            "name": name,
            "spec": attempt.spec,
            "upgradeMode": "savepoint",
            "stop": "savepoint",
            "stableSeconds": 0,
        }
        with locked(values, self._store, self._clock, "up", waits(values)):
            forget(values, self._store)
            Job(values, self._rest, self._store, self._clock, _never).remove()


def _never(job: str, spec: dict[str, Any], restore: str, seconds: int) -> str:
    raise AssertionError("a job that stops is not submitted")
