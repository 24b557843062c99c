"""Savepoints that a declared job takes while it runs, and how long they stay, with those of its stops.

`savepoints.json` beside the job's record has what was taken, what is under way, and what is to be deleted. It is
written before each step, so that a run that was killed is continued by the next one: nothing is lost, and nothing stays
that nobody knows of. Whoever changes it has the job's lock (job_lock.py).
"""

from __future__ import annotations

import json

from .job_attempts import LIVE
from .job_record import path
from .output import Failure, say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .clock import Clock
    from .job_attempts import Attempts
    from .job_record import Attempt, Kept
    from .store import Store

FAR_SECONDS = 3600.0
"""Nothing is expected to happen: look again after this time."""
RETRY_SECONDS = 300
"""Until the next savepoint after one that failed, or sooner if they are taken more often."""
LATE_SECONDS = 900
"""TaskManagers may still write files of a savepoint that has failed: its folder is deleted again after this time."""
PERIODIC, STOP, HAND = "periodic", "stop", "hand"
"""Why a savepoint was taken. What somebody asked for, with `take` or a nonce, stays until somebody deletes it."""


class Savepoints:
    """The savepoints of a job; `values` as in `Job`, and `savepoints` (every and maxAge in seconds, keep; or nothing)
    and `references` (paths that the configuration names). `kept` has read the record.
    """

    def __init__(self, values: dict[str, Any], store: Store, clock: Clock, kept: Kept, attempts: Attempts) -> None:
        self._values, self._store, self._clock = values, store, clock
        self._kept, self._attempts = kept, attempts
        self._settings: dict[str, int] | None = values.get("savepoints")
        self._file = path(values, "savepoints.json")
        self._folder = path(values, "savepoints/")
        self.taken: list[dict[str, Any]] = []
        self.pending: dict[str, Any] | None = None
        self._garbage: list[dict[str, Any]] = []
        self._tried = 0.0
        self._writes = True

    def read(self) -> None:
        """Read the file."""
        found = json.loads(self._store.read(self._file) or "{}")
        self.taken, self.pending = found.get("taken", []), found.get("pending")
        self._garbage, self._tried = found.get("garbage", []), found.get("tried", 0.0)

    def _write(self) -> None:
        found = {"taken": self.taken, "pending": self.pending, "garbage": self._garbage, "tried": self._tried}
        self._store.write(self._file, json.dumps({"format": 1, **found}, indent=1) + "\n")

    def step(self, running: Attempt | None, status: str) -> float:
        """Do what is due, without waiting for Flink; returns when to look again, in seconds since 1970."""
        self.read()
        self.settle()
        self._adopt()
        self._thin()
        self._sweep()
        due, now = self._due(), self._clock.wall()
        if running is not None and status == "RUNNING" and self.pending is None and due <= now:
            self.begin(running, PERIODIC)
        return self._next(running, status)

    # One savepoint

    def begin(self, running: Attempt, kind: str) -> str:
        """Trigger a savepoint of the running job; returns the folder that only this one writes to."""
        now = self._clock.wall()
        directory = self._kept.savepoints(running, f"{kind}-{int(now)}")
        self.pending = {"directory": directory, "number": running.number, "at": now, "kind": kind}
        self._tried = now
        self._write()
        self._attempts.take_savepoint(running.number, directory)
        return directory

    def settle(self) -> None:
        """Note what became of the savepoint that is under way, if that is known."""
        pending = self.pending
        if pending is None or not self._attempts.savepoint_is_over(pending["number"], pending["directory"]):
            return
        found = self._kept.savepoint(pending["directory"])
        self.pending = None
        if found:
            self.taken.append(self._entry(found, pending["at"], pending["kind"]))
            self._say(f"savepoint: {found}")
        else:
            self._garbage.append({"directory": pending["directory"], "at": self._clock.wall()})
            self._say(f"the savepoint in {pending['directory']} did not complete")
        self._write()

    def _entry(self, found: str, at: float, kind: str, why: str = "") -> dict[str, Any]:
        return {"path": found, "at": at, "kind": kind, "why": why or kind, "bytes": self._store.size(found)}

    def _adopt(self) -> None:
        """Take over what `up` has noted in the record, at stops and for a nonce, and what else is in the job's folder:
        what is not complete, and is written to by nobody, goes.
        """
        record = self._kept.record
        folders = self._folders()
        noted = {_folder(it["path"]): it for it in record.savepoints}
        known = [_folder(it["path"]) for it in self.taken] + [it["directory"] for it in self._garbage]
        known += [it["directory"] for it in (self.pending, record.stopping) if it]
        now, changed = self._clock.wall(), bool(noted)
        for directory, (found, at) in folders.items():
            if directory in known:
                continue
            if found:
                why = noted[directory]["why"] if directory in noted else ""
                self.taken.append(self._entry(found, at, HAND if why.startswith("savepointNonce") else STOP, why))
            elif now - at > LATE_SECONDS:
                self._garbage.append({"directory": directory, "at": now})
            else:
                continue
            changed = True
        for directory in noted.keys() - folders.keys() - {*known}:
            # An earlier version had them in another place: they are listed, and nothing deletes them
            it = noted[directory]
            millis = self._store.files(it["path"]).get("_metadata")
            if millis is not None:
                self.taken.append(self._entry(it["path"], millis / 1000, HAND, it["why"]))
        if not self._writes:
            return
        if changed:
            self._write()
        if noted:
            record.savepoints = []
            self._kept.write()

    def _folders(self) -> dict[str, tuple[str, float]]:
        """The folders of savepoints: the complete savepoint in it, and when a file was last written."""
        found: dict[str, tuple[str, float]] = {}
        for name, millis in self._store.files(self._folder.rstrip("/")).items():
            directory = self._folder + name.partition("/")[0]
            before, at = found.get(directory, ("", 0.0))
            complete = self._folder + name.rpartition("/")[0] if name.endswith("/_metadata") else before
            found[directory] = (complete, max(at, millis / 1000))
        return found

    # How long they stay

    def _thin(self) -> None:
        """Choose what is deleted: what exceeds `keep` or `maxAge`, is not needed, and is not the last one."""
        if not self._settings or not self.taken:
            return
        now, keep, age = self._clock.wall(), self._settings["keep"], self._settings["maxAge"]
        self.taken.sort(key=lambda it: it["at"])
        kinds = (PERIODIC, STOP)
        own = [it for it in self.taken[:-1] if it["kind"] in kinds and it["path"].startswith(self._folder)]
        # The last one is one of those that stay
        many = own[: max(0, len(own) + (self.taken[-1]["kind"] in kinds) - keep)]
        old = [it for it in own if age and now - it["at"] > age]
        going = [it for it in own if (it in many or it in old) and not self.is_needed(it["path"])]
        if not going:
            return
        self.taken = [it for it in self.taken if it not in going]
        self._garbage += [{"directory": _folder(it["path"]), "at": now} for it in going]
        self._write()
        for it in going:
            self._say(f"deletes the savepoint {it['path']}")

    def is_needed(self, savepoint: str) -> bool:
        """Whether a job started from it, or may start from it."""
        record = self._kept.record
        attempts = [each.restored for each in record.attempted()]
        stopping = [record.stopping["directory"]] if record.stopping else []
        references = [*attempts, *stopping, record.state, *self._values.get("references", ())]
        own = _place(savepoint)
        return any(own == (it := _place(one)) or own.startswith(f"{it}/") for one in references if one)

    def _sweep(self) -> None:
        """Delete what was chosen, and what savepoints that failed have left."""
        left = []
        for it in self._garbage:
            if not it["directory"].startswith(self._folder):
                raise Failure(f"{it['directory']} is not below {self._folder}: it is not deleted")
            self._store.delete(it["directory"])
            if self._clock.wall() < it["at"] + LATE_SECONDS or self._store.files(it["directory"]):
                left.append(it)
        if left != self._garbage:
            self._garbage = left
            self._write()

    # When

    def _due(self) -> float:
        every = self._settings["every"] if self._settings else 0
        if not every:
            return float("inf")
        last: float = max((it["at"] for it in self.taken), default=0.0)
        return max(last + every, self._tried + min(every, RETRY_SECONDS))

    def _next(self, running: Attempt | None, status: str) -> float:
        now = self._clock.wall()
        times: list[float] = [now + FAR_SECONDS, *(it["at"] + LATE_SECONDS for it in self._garbage)]
        if self.pending:
            times.append(now)
        elif running is not None and status in LIVE:
            times.append(self._due())
        return min(times)

    # For people

    def listed(self) -> list[dict[str, Any]]:
        """All that are known, the newest last; nothing is changed. `needed` tells those that are never deleted now."""
        self.read()
        self._writes = False
        self._adopt()
        found = sorted(self.taken, key=lambda it: float(it["at"]))
        return [{**it, "needed": self.is_needed(it["path"])} for it in found]

    def _say(self, text: str) -> None:
        say(self._values["host"], f"job {self._values['name']}: {text}")


def _folder(savepoint: str) -> str:
    """The folder of one request for a savepoint."""
    return savepoint.rpartition("/")[0]


def _place(uri: str) -> str:
    """A path, however its scheme is written."""
    return uri.partition("://")[2].rstrip("/")
