"""Brings a declared job to its declared state: starts it, upgrades it with its state, suspends it, and goes back to
what ran before if the new one does not become stable (docs/decisions/0025-jobs.md).

A record on the storage says what runs, and what is under way: it is written before each step, so that a run that was
killed at any moment is continued by the next one. A job's id is made from the cluster's and the job's name and the
number of the attempt: Flink refuses a second job with the same id, so no attempt can run twice.
"""

from __future__ import annotations

import hashlib

from . import artifacts
from .job_attempts import LIVE, UNKNOWN, Attempts, Unstable
from .job_record import Attempt, Kept, Record, folder
from .output import Failure, differs, say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from .clock import Clock
    from .rest import JobManagers
    from .store import Store

    class Submit(Protocol):
        """Submits a job with Flink's own client (submit.py)."""

        def __call__(self, job: str, spec: dict[str, Any], restore: str, seconds: int) -> str:
            """Why it was not accepted; empty if it was."""


RESULT_SECONDS = 10
"""Time for a JobManager to remove the stored result of a job that has ended, where it does."""
_MOVING = "(docs/storage.md, Moving)"
_HOW = {"savepoint": "savepoint", "blue-green": "savepoint", "last-state": "last-state", "stateless": "cancel"}
"""Upgrade mode → how the running job is stopped."""


class Job:
    """One declared job.

    `values`: host (this one's name), cluster (id), name, storage (URI), checkpoints and ha (folders, if they are not
    below storage), before (storage and cluster when this host changed it the last time, if it ever has), spec (jar:
    name and sha256, entryClass, args, parallelism, allowNonRestoredState, flinkConfig, restartNonce), upgradeMode,
    state (running or suspended), initialSavepoint, savepointNonce, stop (what becomes of it when it is no longer
    declared: savepoint, drain or cancel), seconds (within which it has to be stable), stableSeconds (how long it has to
    stay so beside the one that it replaces).
    """

    def __init__(self, values: dict[str, Any], rest: JobManagers, store: Store, clock: Clock, submit: Submit) -> None:
        self._values = values
        self._spec: dict[str, Any] = values["spec"]
        self._store, self._submit, self._clock = store, submit, clock
        self._attempts = Attempts(values, rest, clock)
        self._kept = Kept(values, store)

    @property
    def _record(self) -> Record:
        return self._kept.record

    # What the tool's commands do

    def apply(self) -> dict[str, Any]:
        """Bring it to its declared state; returns what runs then. Raises Failure, and says what runs instead."""
        self._kept.read()
        if self._kept.is_new:
            self._move()
        self._continue()
        if self._values["state"] == "suspended":
            self._suspend()
        else:
            self._run()
        self._kept.forget_artifacts(self._spec)
        return self._told()

    def remove(self) -> None:
        """Stop it, because it is no longer declared."""
        self._kept.read()
        self._continue()
        self._suspend(self._values["stop"])
        self._kept.forget_artifacts(self._spec)

    def check(self) -> None:
        """Report how it differs from what is declared."""
        self._kept.read()
        record, what = self._record, f"job {self._values['name']}"
        if record.starting or record.stopping or record.leaving:
            differs(what, "a change of it was interrupted: run up again")
            return
        if self._values["state"] == "suspended":
            if record.running:
                differs(what, "is running: expected it suspended")
            return
        if record.running is None:
            differs(what, "is not running")
            return
        number = record.running.number
        status = self._attempts.status(number)
        times = self._attempts.fails_again_and_again(number) if status in LIVE else 0
        if times:
            differs(what, f"has failed {times} times in 10 minutes, and restarts: {self._attempts.reason(number)}")
        elif status != "RUNNING" and not self._is_over(record.running, status):
            differs(what, f"is {status}, with the id {self._attempts.id(number)}")
        elif record.running.spec != self._spec:
            differs(what, "runs with other settings than are declared")

    # Decisions

    def _run(self) -> None:
        record, running = self._record, self._record.running
        if running is None:
            self._start(self._first_state() if record.origin is None else self._own_state())
            return
        status = self._attempts.status(running.number)
        same = running.spec == self._spec
        if same and self._is_over(running, status):
            self._say("it has finished")
        elif same and status not in LIVE:
            state = self._kept.newest(running)
            self._say(f"it is {status.lower()}: it starts again from {state or 'no state'}")
            record.running, record.state = None, state
            self._kept.write()
            self._start(state)
        elif same:
            self._say(f"it is {status.lower()} as declared")
            self._take_savepoint(running, status)
        elif self._values["upgradeMode"] == "blue-green" or not self._rescales(running, status):
            self._upgrade(running, status)

    def _first_state(self) -> str:
        """Where a job starts that has never had state. Raises Failure if that is not there."""
        uri: str = self._values["initialSavepoint"]
        if uri and "_metadata" not in self._store.files(uri.rstrip("/").removesuffix("/_metadata")):
            raise Failure(
                f"job {self._values['name']}: there is no complete savepoint or checkpoint at {uri}: expected a file"
                " _metadata there (initialSavepoint). Nothing was started"
            )
        return uri

    def _own_state(self) -> str:
        initial = self._values["initialSavepoint"]
        if initial not in ("", self._record.origin):
            self._say(f"it has state of its own: {initial} (initialSavepoint) is not used")
        return "" if self._values["upgradeMode"] == "stateless" else self._record.state

    def _upgrade(self, running: Attempt, status: str) -> None:
        if self._values["upgradeMode"] == "blue-green" and status == "RUNNING":
            self._replace(running)
            return
        self._stop(running, status, _HOW[self._values["upgradeMode"]])
        self._start(self._record.state)

    def _suspend(self, how: str = "") -> None:
        running = self._record.running
        if running is None:
            self._say(f"it is suspended, with its state at {self._record.state or 'no savepoint'}")
            return
        how = how or _HOW[self._values["upgradeMode"]]
        self._stop(running, self._attempts.status(running.number), how)
        self._say(f"stopped; its state is {self._record.state or 'not kept'}")

    def _is_over(self, running: Attempt, status: str) -> bool:
        """Whether it has finished. A new leader does not know jobs that ended before; but one that failed or was
        cancelled has left a checkpoint, and without any it is never started again by itself: it may be a batch job.
        """
        return status == "FINISHED" or (status == UNKNOWN and self._kept.newest(running) == running.restored)

    # Another storage

    def _move(self) -> None:
        """Take the record from where the storage was before; nothing if the job was never there. Raises Failure if the
        job would start without its state, or a second time.
        """
        name, storage = f"job {self._values['name']}", self._values["storage"]
        if live := self._attempts.live():
            raise Failure(
                f"{name}: attempt {live[-1]} runs, and {storage} has no record of it. Expected the storageUri with"
                f" which it started, and the job suspended before that changes {_MOVING}"
            )
        before = self._values.get("before") or {}
        if before.get("cluster") != self._values["cluster"] or before["storage"] == storage:
            return
        old = f"{folder({**self._values, **before})}/record.json"
        try:
            text = self._store.read(old)
        except Failure as why:
            stateless = self._values["upgradeMode"] == "stateless"
            if stateless or self._values["initialSavepoint"]:
                self._say(f"{old} cannot be read any more ({why}); it starts as declared")
                return
            raise Failure(
                f"{name} was at {before['storage']} before, which cannot be read from here ({why}): it would start"
                " from nothing. Expected a savepointsUri there until it runs, or the savepoint where it stopped as"
                f" initialSavepoint, or upgradeMode: stateless {_MOVING}"
            ) from None
        if text is None:
            return
        record = Record(text)
        if record.running or record.starting or record.leaving:
            raise Failure(
                f"{name}: {old} does not say that it is suspended: nothing was started. Expected storageUri as it was,"
                f" state: suspended and `up`, before storageUri changes {_MOVING}"
            )
        self._kept.record = record
        self._kept.write()
        self._say(f"its record was at {before['storage']}; it continues from {self._from()}")

    # Interrupted runs

    def _continue(self) -> None:
        """Complete what an interrupted run has begun, as far as nobody can be mistaken about it."""
        record = self._record
        self._end_leaving()
        if record.stopping:
            assert record.running is not None
            self._say("an earlier run was interrupted while it stopped the job; continuing it")
            self._stop(record.running, self._attempts.status(record.running.number), record.stopping["how"])
        if record.starting:
            starting = record.starting
            if self._kept.has_incomplete_result(starting):
                # With it there is no leader that could be asked
                self._forget_result(starting)
            status = self._attempts.status(starting.number)
            self._say(f"an earlier run was interrupted while it started the job, which is {status.lower()}")
            if status in LIVE or status == "FINISHED":
                try:
                    self._stable(starting)
                except Unstable as why:
                    self._give_up(starting, str(why))
            else:
                self._give_up(starting, status.lower())

    def _give_up(self, attempt: Attempt, why: str) -> None:
        """End an attempt that is not stable. What comes next continues from its newest state: no output twice."""
        self._attempts.end(attempt.number)
        self._forget_result(attempt)
        self._say(f"attempt {attempt.number} did not become stable: {why}")
        record, newest = self._record, self._kept.newest(attempt)
        record.starting = None
        if record.running is None:
            record.state = newest
            if record.origin is None and newest != attempt.restored:
                record.origin = attempt.restored
        self._kept.write()

    def _forget_result(self, attempt: Attempt) -> None:
        """Delete a stored result of an ended attempt with which no JobManager would start, if Flink does not."""
        if not self._clock.until(RESULT_SECONDS, lambda: not self._kept.has_incomplete_result(attempt)):
            self._kept.forget_result(attempt)
            self._say(f"attempt {attempt.number}: removed its stored result, which Flink could not recover")

    # Start

    def _start(self, state: str) -> None:
        """Start what is declared from `state`, and wait until it is stable; otherwise what ran before it."""
        before = self._record.before
        try:
            self._attempt(self._spec, state)
        except Unstable as why:
            failed = f"job {self._values['name']} did not become stable: {why}"
            if before is None:
                raise Failure(f"{failed}. Nothing of it runs; it would continue from {self._from()}") from None
            try:
                self._attempt(before.spec, self._record.state)
            except Unstable as again:
                raise Failure(
                    f"{failed}. What ran before it cannot be started either ({again}): nothing of it runs. It would"
                    f" continue from {self._from()}"
                ) from None
            program = artifacts.program(before.spec)
            raise Failure(
                f"{failed}. What ran before it runs again ({program['name']}, {program['sha256'][:12]}), from"
                f" {self._record.running.restored or 'no state'}"  # type: ignore[union-attr]
            ) from None

    def _number(self) -> int:
        """A new attempt's number."""
        record = self._record
        record.attempts = max(record.attempts, self._attempts.highest()) + 1
        return record.attempts

    def _attempt(self, spec: dict[str, Any], state: str, number: int = 0) -> None:
        attempt = Attempt({"number": number or self._number(), "spec": spec, "from": state})
        self._record.starting = attempt
        self._kept.write()
        job = self._attempts.id(attempt.number)
        self._say(f"starting {artifacts.program(spec)['name']} from {state or 'no state'}, with the id {job}")
        why = self._submit(job, spec, state, self._values["seconds"])
        # Its answer may be lost although the job was accepted
        if why and self._attempts.status(attempt.number) == UNKNOWN:
            self._give_up(attempt, why)
            raise Unstable(why)
        try:
            self._stable(attempt)
        except Unstable as reason:
            self._give_up(attempt, str(reason))
            raise

    def _stable(self, attempt: Attempt) -> None:
        """Wait until the attempt is stable: then it is what runs. Raises Unstable."""
        status = self._attempts.stable(attempt.number)
        record = self._record
        if record.running:
            self._attempts.holds(attempt.number, self._values["stableSeconds"])
        record.leaving = record.running
        record.running, record.starting, record.before, record.state = attempt, None, None, ""
        if record.origin is None:
            record.origin = attempt.restored
        self._kept.write()
        self._say(f"{status.lower()}, and stable")
        self._end_leaving()

    # Beside

    def _replace(self, running: Attempt) -> None:
        """Start what is declared beside what runs, from a savepoint of it; what runs ends when the new one is stable.

        While the record has `running` and `starting`, what runs is never ended.
        """
        name = f"job {self._values['name']}"
        needed, free = self._attempts.slots(running.number, self._spec["parallelism"])
        if free < needed:
            raise Failure(
                f"{name} needs {needed} free slots beside what runs, found {free}: nothing was changed."
                " Add TaskManagers or slots, or use upgradeMode savepoint"
            )
        number = self._number()
        self._kept.write()
        state = self._savepoint(running, f"beside-{number}", "upgrade")
        if not state:
            raise Failure(f"{name}: no savepoint was taken (reasons above): nothing was changed, and it continues")
        try:
            self._attempt(self._spec, state, number)
        except Unstable as why:
            status = self._attempts.status(running.number)
            now = "continues" if status in LIVE else f"is {status.lower()}"
            program = artifacts.program(running.spec)
            raise Failure(
                f"{name} did not become stable: {why}. What ran before it {now}: {program['name']},"
                f" {program['sha256'][:12]}; it was not interrupted"
            ) from None

    def _end_leaving(self) -> None:
        """End what ran until another attempt took over."""
        record = self._record
        if record.leaving:
            self._attempts.end(record.leaving.number)
            self._say(f"attempt {record.leaving.number}, which it replaces, has ended")
            record.leaving = None
            self._kept.write()

    # Stop

    def _stop(self, running: Attempt, status: str, how: str) -> None:
        """End the running job; `state` of the record is then where it stopped."""
        record = self._record
        if how in ("savepoint", "drain"):
            state = self._stop_with_savepoint(running, status, how)
        else:
            self._attempts.end(running.number)
            state = self._kept.newest(running) if how == "last-state" else ""
        if state is None:
            self._say("it cannot take a savepoint now: its newest checkpoint is used")
            self._attempts.end(running.number)
            state = self._kept.newest(running)
        record.before, record.running, record.stopping, record.state = running, None, None, state
        self._kept.write()

    def _stop_with_savepoint(self, running: Attempt, status: str, how: str) -> str | None:
        """The savepoint's path; None if the job cannot take one."""
        record = self._record
        under_way = record.stopping
        if under_way:
            found = self._attempts.savepoint(running.number, under_way["directory"])
            if found:
                return found
            status = self._attempts.status(running.number)
            if status not in LIVE:
                return self._kept.savepoint(under_way["directory"])
        if status != "RUNNING":
            return None
        number = (under_way["try"] if under_way else 0) + 1
        directory = self._kept.savepoints(running, str(number))
        record.stopping = {"directory": directory, "how": how, "try": number}
        self._kept.write()
        self._say("stopping it with a savepoint")
        self._attempts.stop(running.number, directory, drain=how == "drain")
        found = self._attempts.savepoint(running.number, directory)
        if found is None and self._attempts.status(running.number) not in LIVE:
            found = self._kept.savepoint(directory)
        if found:
            record.savepoints.append({"path": found, "why": "stop"})
        return found

    # While it runs

    def _take_savepoint(self, running: Attempt, status: str) -> None:
        nonce, record = self._values["savepointNonce"], self._record
        if nonce == record.nonce or status != "RUNNING":
            return
        found = self._savepoint(running, hashlib.sha256(nonce.encode()).hexdigest()[:8], f"savepointNonce {nonce}")
        if not found:
            raise Failure(f"job {self._values['name']}: the savepoint of savepointNonce {nonce} was not taken")
        record.nonce = nonce
        self._kept.write()
        self._say(f"savepoint: {found}")

    def _savepoint(self, running: Attempt, name: str, why: str) -> str | None:
        """Take a savepoint while the job continues; None if it was not taken. The record has it when it is written."""
        directory = self._kept.savepoints(running, name)
        self._attempts.take_savepoint(running.number, directory)
        found = self._attempts.savepoint(running.number, directory) or self._kept.savepoint(directory)
        if found:
            self._record.savepoints.append({"path": found, "why": why})
        return found

    def _rescales(self, running: Attempt, status: str) -> bool:
        """Change the parallelism alone of a running job, if its scheduler can."""
        parallelism = self._spec["parallelism"]
        if {**running.spec, "parallelism": parallelism} != self._spec or status != "RUNNING":
            return False
        if not self._attempts.rescales(running.number, parallelism):
            return False
        running.spec = self._spec
        self._kept.write()
        self._say(f"rescaled to {parallelism} while it runs")
        return True

    # What is said

    def _from(self) -> str:
        return self._record.state or "no state"

    def _told(self) -> dict[str, Any]:
        running, record = self._record.running, self._record
        if running is None:
            return {"state": "suspended", "from": record.state}
        return {"state": "running", "id": self._attempts.id(running.number), "from": running.restored}

    def _say(self, text: str) -> None:
        say(self._values["host"], f"job {self._values['name']}: {text}")
