"""What is known of a declared job, on the storage: its record, and the artifacts, savepoints and checkpoints that it
has left there (docs/decisions/0025-jobs.md).
"""

from __future__ import annotations

import hashlib
import json

from . import artifacts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .store import Store


class Attempt:
    """One submission: its number, what was submitted, and the state that it started from."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.number: int = values["number"]
        self.spec: dict[str, Any] = values["spec"]
        self.restored: str = values["from"]

    def json(self) -> dict[str, Any]:
        """For the record."""
        return {"number": self.number, "spec": self.spec, "from": self.restored}


class Record:
    """What is known of the job.

    `running` runs, or should; `before` ran before it and was stopped, until `starting` is stable; `stopping` is a stop
    with a savepoint under way; `state` is where the next attempt continues; `origin` is the initialSavepoint from which
    the job's state has come, and None until an attempt has had state of its own. If `starting` starts beside `running`,
    it becomes that when it is stable, and what ran until then is `leaving` until it has ended.
    """

    def __init__(self, text: str | None) -> None:
        found: dict[str, Any] = json.loads(text) if text else {}
        self.attempts: int = found.get("attempts", 0)
        self.running = _attempt(found.get("running"))
        self.before = _attempt(found.get("before"))
        self.starting = _attempt(found.get("starting"))
        self.leaving = _attempt(found.get("leaving"))
        self.stopping: dict[str, Any] | None = found.get("stopping")
        self.state: str = found.get("state", "")
        self.origin: str | None = found.get("origin", "" if self.attempts else None)
        self.nonce: str = found.get("nonce", "")
        self.savepoints: list[dict[str, Any]] = found.get("savepoints", [])

    def text(self, mark: str) -> str:
        """For the storage, with the ids of the attempts: `ops gc` keeps the checkpoints of all jobs that it names."""
        parts = {name: each.json() if each else None for name, each in self._attempts().items()}
        ids = [attempt_id(mark, each.number) for each in self.attempted()]
        rest = {"attempts": self.attempts, "stopping": self.stopping, "state": self.state, "nonce": self.nonce}
        rest["origin"] = self.origin
        found = {"format": 1, **parts, "ids": ids, **rest, "savepoints": self.savepoints}
        return json.dumps(found, indent=1) + "\n"

    def _attempts(self) -> dict[str, Attempt | None]:
        return {
            "running": self.running,
            "before": self.before,
            "starting": self.starting,
            "leaving": self.leaving,
        }

    def attempted(self) -> list[Attempt]:
        """The attempts that matter now."""
        return [each for each in self._attempts().values() if each]

    def artifacts(self) -> set[str]:
        """The names of the artifacts that may be needed again."""
        return {name for each in self.attempted() for name in artifacts.of(each.spec)}


def _attempt(found: dict[str, Any] | None) -> Attempt | None:
    return Attempt(found) if found else None


def folder(values: dict[str, Any]) -> str:
    """Where a job's record and artifacts are on the storage; `values` as in `Job`."""
    return f"{all_folders(values)}/{values['name']}"


def all_folders(values: dict[str, Any]) -> str:
    """Where those of all jobs of a cluster are: a folder for each name."""
    return f"{values['storage']}/jobs/{values['cluster']}"


def path(values: dict[str, Any], name: str) -> str:
    """A file beside a job's record."""
    return f"{folder(values)}/{name}"


def mark(values: dict[str, Any]) -> str:
    """The first half of the ids of a job's attempts: the number of the attempt follows."""
    return hashlib.sha256(f"{values['cluster']}\0{values['name']}".encode()).hexdigest()[:16]


def attempt_id(mark: str, number: int) -> str:
    """The id in Flink of an attempt of the job with this mark."""
    return f"{mark}{number:016x}"


class Kept:
    """A job's part of the storage; `values` as in `Job`. `read` comes first."""

    def __init__(self, values: dict[str, Any], store: Store) -> None:
        self._store = store
        self._mark = mark(values)
        self._folder = folder(values)
        self._savepoints = f"{self._folder}/savepoints"
        storage, cluster = values["storage"], values["cluster"]
        self._checkpoints = values.get("checkpoints") or f"{storage}/checkpoints/{cluster}"
        self._results = f"{values.get('ha') or f'{storage}/ha'}/job-result-store/{cluster}"
        self.record = Record(None)
        self.is_new = True
        """Whether the storage has no record of the job."""

    def read(self) -> None:
        """Read the record."""
        text = self._store.read(f"{self._folder}/record.json")
        self.record, self.is_new = Record(text), text is None

    def write(self) -> None:
        """Write the record."""
        self._store.write(f"{self._folder}/record.json", self.record.text(self._mark))

    def savepoints(self, attempt: Attempt, name: str) -> str:
        """The folder of one savepoint of an attempt."""
        return f"{self._savepoints}/{attempt.number}-{name}"

    def savepoint(self, directory: str) -> str | None:
        """The complete savepoint in a folder that only one request for a savepoint writes to."""
        for name in self._store.files(directory):
            folder, _, file = name.rpartition("/")
            if file == "_metadata":
                return f"{directory}/{folder}"
        return None

    def newest(self, attempt: Attempt) -> str:
        """The newest checkpoint that the attempt has left, or what it started from."""
        directory = f"{self._checkpoints}/{attempt_id(self._mark, attempt.number)}"
        found = [
            (int(parts[0][4:]), f"{directory}/{parts[0]}")
            for name in self._store.files(directory)
            if len(parts := name.split("/")) == 2 and parts[1] == "_metadata" and parts[0].startswith("chk-")
        ]
        return max(found)[1] if found else attempt.restored

    def has_incomplete_result(self, attempt: Attempt) -> bool:
        """Whether Flink has stored a result of the attempt with which it cannot start again.

        Flink 2.3 stores that of a job that fails before its JobMaster starts, for instance because its state does not
        fit, without an application id, and never removes it. At the next election each JobManager that leads then exits
        with "Application ID is missing in the recovered job result" (measured).
        """
        text = self._store.read(self._result(attempt))
        return text is not None and '"application-id"' not in text

    def forget_result(self, attempt: Attempt) -> None:
        """Delete the stored result of an attempt that has ended."""
        self._store.delete(self._result(attempt))

    def _result(self, attempt: Attempt) -> str:
        return f"{self._results}/{attempt_id(self._mark, attempt.number)}_DIRTY.json"

    def forget_artifacts(self, declared: dict[str, Any]) -> None:
        """Delete the artifacts that are not needed again; `declared` is what is declared of the job (its spec)."""
        needed = {*self.record.artifacts(), *artifacts.of(declared)}
        for name in self._store.files(f"{self._folder}/jars"):
            if name not in needed:
                self._store.delete(f"{self._folder}/jars/{name}")
