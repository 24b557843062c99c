"""What people do with the savepoints of a declared job, by `python -m ops savepoints`."""

from __future__ import annotations

from .declared_job import Job
from .job_attempts import Unstable
from .job_lock import locked, waits
from .job_savepoints import HAND, Savepoints
from .job_watch import forget
from .output import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .clock import Clock
    from .declared_job import Submit
    from .rest import JobManagers
    from .store import Store

BETWEEN_LOOKS_SECONDS = 1.0


class Person(Job):
    """A declared job, for a person at the command line; `values` as in `Watch`."""

    def __init__(self, values: dict[str, Any], rest: JobManagers, store: Store, clock: Clock, submit: Submit) -> None:
        # What it starts is what ran, by the record
        super().__init__({"spec": {}, **values}, rest, store, clock, submit)
        self._savepoints = Savepoints(values, store, clock, self._kept, self._attempts)

    def _locked(self, what: str) -> Any:
        return locked(self._values, self._store, self._clock, what, waits(self._values))

    def listed(self) -> dict[str, Any]:
        """What runs, where the next start continues, and all savepoints."""
        self._kept.read()
        found = self._savepoints.listed()
        running, record = self._record.running, self._record
        status = self._attempts.status(running.number) if running else "SUSPENDED" if record.attempts else "NEW"
        newest = self._kept.newest(running) if running and status != "FINISHED" else record.state
        return {"job": self._values["name"], "status": status, "newest": newest, "savepoints": found}

    def take(self) -> dict[str, Any]:
        """Take a savepoint of the running job, and wait for it; returns it. Others may change the job meanwhile."""
        seconds, directory = self._values["seconds"], ""
        end = self._clock.now() + seconds
        while True:
            with self._locked("a savepoint"):
                self._kept.read()
                self._savepoints.read()
                self._savepoints.settle()
                for it in self._savepoints.taken:
                    if directory and it["path"].startswith(f"{directory}/"):
                        return dict(it)
                pending = self._savepoints.pending
                if directory and (pending is None or pending["directory"] != directory):
                    raise Failure(f"job {self._values['name']}: the savepoint was not taken; the job's log says why")
                if not directory and pending is None:
                    directory = self._savepoints.begin(self._runs(), HAND)
            if self._clock.now() > end:
                raise Failure(
                    f"job {self._values['name']}: no savepoint after {seconds} s; if it completes later it is listed"
                )
            self._clock.pause(BETWEEN_LOOKS_SECONDS)

    def _runs(self) -> Any:
        running = self._record.running
        status = self._attempts.status(running.number) if running else "not running"
        if status != "RUNNING":
            raise Failure(
                f"job {self._values['name']} is {status.lower()}: expected it running, to take a savepoint of it"
            )
        return running

    def restore(self, state: str) -> dict[str, Any]:
        """Start it from an earlier savepoint, with the settings that ran last; what runs then. It stops with a
        savepoint first, from which it continues if it cannot start from the earlier one.
        """
        with self._locked("a restore"):
            self._kept.read()
            self._end_leaving()
            record, name = self._record, self._values["name"]
            if record.starting or record.stopping:
                raise Failure(f"job {name}: a change of it was interrupted: run up again first")
            if "_metadata" not in self._store.files(state):
                raise Failure(f"{state} is no complete savepoint: expected a path with a file _metadata in it")
            last = record.running or record.before
            if last is None:
                raise Failure(f"job {name} has not run here yet: expected initialSavepoint of its settings instead")
            forget(self._values, self._store)
            running = record.running
            if running is not None:
                self._stop(running, self._attempts.status(running.number), "savepoint")
            newest = record.state
            if self._values["state"] == "suspended":
                record.state = state
                self._kept.write()
                return self._told()
            self._say(f"its newest state is {newest or 'none'}")
            try:
                self._attempt(last.spec, state)
            except Unstable as why:
                raise Failure(f"job {name} did not become stable: {why}. {self._back(running, newest)}") from None
            return self._told()

    def _back(self, running: Any, newest: str) -> str:
        """Start what ran before, from its newest state; returns what runs then."""
        self._record.state = newest
        self._kept.write()
        if running is None:
            return f"Nothing of it runs; it would continue from {self._from()}"
        try:
            self._attempt(running.spec, newest)
        except Unstable as again:
            return f"What ran before it cannot be started either ({again}): it would continue from {self._from()}"
        return f"What ran before it runs again, from {newest or 'no state'}"
