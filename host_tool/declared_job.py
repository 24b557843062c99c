"""Brings a declared job to its declared state: starts it, upgrades it with its state, suspends it, and goes back to
what ran before if the new one does not become stable (docs/decisions/0025-jobs.md).

A record on the storage says what runs, and what is under way: it is written before each step, so that a run that was
killed at any moment is continued by the next one. A job's id is made from the cluster's and the job's name and the
number of the attempt: Flink refuses a second job with the same id, so no attempt can run twice.
"""

from __future__ import annotations

import hashlib
import json

from .jobs import ENDED, OVERVIEW
from .output import Failure, differs, say
from .rest import NOT_FOUND, OK

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


LIVE = ("INITIALIZING", "CREATED", "RUNNING", "FAILING", "RESTARTING", "CANCELLING", "RECONCILING", "SUSPENDED")
UNKNOWN = "UNKNOWN"
"""No JobManager knows the job: it was never accepted, or it ended under an earlier leader."""

ANSWER_SECONDS = 120
"""Time for a JobManager to answer: a failover takes less."""
_HOW = {"savepoint": "savepoint", "last-state": "last-state", "stateless": "cancel"}
"""Upgrade mode → how the running job is stopped."""
LOOP = 3
"""So many failures before the first checkpoint are a loop."""
REQUEST_SECONDS = 30.0


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
    """What is known of the job, on the storage.

    `running` runs, or should; `before` ran before it and was stopped, until `starting` is stable; `stopping` is a stop
    with a savepoint under way; `state` is where the next attempt continues.
    """

    def __init__(self, text: str | None) -> None:
        found: dict[str, Any] = json.loads(text) if text else {}
        self.attempts: int = found.get("attempts", 0)
        self.running = _attempt(found.get("running"))
        self.before = _attempt(found.get("before"))
        self.starting = _attempt(found.get("starting"))
        self.stopping: dict[str, Any] | None = found.get("stopping")
        self.state: str = found.get("state", "")
        self.nonce: str = found.get("nonce", "")
        self.savepoints: list[dict[str, Any]] = found.get("savepoints", [])

    def text(self, mark: str) -> str:
        """For the storage, with the ids of the attempts: `ops gc` keeps the checkpoints of all jobs that it names."""
        parts = {name: each.json() if each else None for name, each in self._attempts().items()}
        ids = [f"{mark}{each.number:016x}" for each in self._attempts().values() if each]
        rest = {"attempts": self.attempts, "stopping": self.stopping, "state": self.state, "nonce": self.nonce}
        found = {"format": 1, **parts, "ids": ids, **rest, "savepoints": self.savepoints}
        return json.dumps(found, indent=1) + "\n"

    def _attempts(self) -> dict[str, Attempt | None]:
        return {"running": self.running, "before": self.before, "starting": self.starting}

    def jars(self) -> set[str]:
        """The checksums of the jars that may be needed again."""
        return {each.spec["jar"]["sha256"] for each in self._attempts().values() if each}


def _attempt(found: dict[str, Any] | None) -> Attempt | None:
    return Attempt(found) if found else None


def folder(values: dict[str, Any]) -> str:
    """Where a job's record and jars are on the storage; `values` as in `Job`."""
    return f"{values['storage']}/jobs/{values['cluster']}/{values['name']}"


class Unstable(Exception):
    """An attempt did not become stable; the message says why."""


class Job:
    """One declared job.

    `values`: host (this one's name), cluster (id), name, storage (URI), spec (jar: name and sha256, entryClass, args,
    parallelism, allowNonRestoredState, flinkConfig, restartNonce), upgradeMode, state (running or suspended),
    initialSavepoint, savepointNonce, stop (what becomes of it when it is no longer declared: savepoint, drain or
    cancel), seconds (within which it has to be stable).
    """

    def __init__(self, values: dict[str, Any], rest: JobManagers, store: Store, clock: Clock, submit: Submit) -> None:
        self._values = values
        self._rest, self._store, self._clock, self._submit = rest, store, clock, submit
        self._spec: dict[str, Any] = values["spec"]
        storage = values["storage"]
        self._folder = folder(values)
        self._savepoints = f"{storage}/savepoints/{values['cluster']}/{values['name']}"
        self._checkpoints = f"{storage}/checkpoints/{values['cluster']}"
        self._mark = hashlib.sha256(f"{values['cluster']}\0{values['name']}".encode()).hexdigest()[:16]
        self._record = Record(None)

    # What the tool's commands do

    def apply(self) -> dict[str, Any]:
        """Bring it to its declared state; returns what runs then. Raises Failure, and says what runs instead."""
        self._read()
        self._continue()
        if self._values["state"] == "suspended":
            self._suspend()
        else:
            self._run()
        self._forget_jars()
        return self._told()

    def remove(self) -> None:
        """Stop it, because it is no longer declared."""
        self._read()
        self._continue()
        self._suspend(self._values["stop"])
        self._forget_jars()

    def check(self) -> None:
        """Report how it differs from what is declared."""
        self._read()
        record, what = self._record, f"job {self._values['name']}"
        if record.starting or record.stopping:
            differs(what, "a change of it was interrupted: run up again")
            return
        if self._values["state"] == "suspended":
            if record.running:
                differs(what, "is running: expected it suspended")
            return
        if record.running is None:
            differs(what, "is not running")
            return
        status = self._status(record.running.number)
        if status != "RUNNING" and not self._is_over(record.running, status):
            differs(what, f"is {status}, with the id {self._id(record.running.number)}")
        elif record.running.spec != self._spec:
            differs(what, "runs with other settings than are declared")

    # Decisions

    def _run(self) -> None:
        record, running = self._record, self._record.running
        if running is None:
            state = "" if self._values["upgradeMode"] == "stateless" else record.state
            self._start(state if record.attempts else self._values["initialSavepoint"])
            return
        status = self._status(running.number)
        same = running.spec == self._spec
        if same and self._is_over(running, status):
            self._say("it has finished")
        elif same and status not in LIVE:
            state = self._newest(running)
            self._say(f"it is {status.lower()}: it starts again from {state or 'no state'}")
            record.running, record.state = None, state
            self._write()
            self._start(state)
        elif same:
            self._say(f"it is {status.lower()} as declared")
            self._take_savepoint(running, status)
        elif not self._rescales(running, status):
            self._upgrade(running, status)

    def _upgrade(self, running: Attempt, status: str) -> None:
        self._stop(running, status, _HOW[self._values["upgradeMode"]])
        self._start(self._record.state)

    def _suspend(self, how: str = "") -> None:
        running = self._record.running
        if running is None:
            self._say(f"it is suspended, with its state at {self._record.state or 'no savepoint'}")
            return
        how = how or _HOW[self._values["upgradeMode"]]
        self._stop(running, self._status(running.number), how)
        self._say(f"stopped; its state is {self._record.state or 'not kept'}")

    def _is_over(self, running: Attempt, status: str) -> bool:
        """Whether it has finished. A new leader does not know jobs that ended before; but one that failed or was
        cancelled has left a checkpoint, and without any it is never started again by itself: it may be a batch job.
        """
        return status == "FINISHED" or (status == UNKNOWN and self._newest(running) == running.restored)

    # Interrupted runs

    def _continue(self) -> None:
        """Complete what an interrupted run has begun, as far as nobody can be mistaken about it."""
        record = self._record
        if record.stopping:
            assert record.running is not None
            self._say("an earlier run was interrupted while it stopped the job; continuing it")
            self._stop(record.running, self._status(record.running.number), record.stopping["how"])
        if record.starting:
            starting, status = record.starting, self._status(record.starting.number)
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
        self._end(attempt.number)
        self._say(f"attempt {attempt.number} did not become stable: {why}")
        self._record.starting, self._record.state = None, self._newest(attempt)
        self._write()

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
            jar = before.spec["jar"]
            raise Failure(
                f"{failed}. What ran before it runs again ({jar['name']}, {jar['sha256'][:12]}), from"
                f" {self._record.running.restored or 'no state'}"  # type: ignore[union-attr]
            ) from None

    def _attempt(self, spec: dict[str, Any], state: str) -> None:
        record = self._record
        record.attempts = max(record.attempts, self._highest()) + 1
        attempt = record.starting = Attempt({"number": record.attempts, "spec": spec, "from": state})
        self._write()
        self._say(f"starting {spec['jar']['name']} from {state or 'no state'}, with the id {self._id(attempt.number)}")
        why = self._submit(self._id(attempt.number), spec, state, self._values["seconds"])
        # Its answer may be lost although the job was accepted
        if why and self._status(attempt.number) == UNKNOWN:
            self._give_up(attempt, why)
            raise Unstable(why)
        try:
            self._stable(attempt)
        except Unstable as reason:
            self._give_up(attempt, str(reason))
            raise

    def _stable(self, attempt: Attempt) -> None:
        """Wait until all tasks run and, if it checkpoints, a checkpoint has completed. Raises Unstable."""
        job, said = self._id(attempt.number), ""

        def decided() -> bool:
            nonlocal said
            found = self._rest.json(f"/jobs/{job}")
            if not found:
                return False
            if found["state"] in ENDED:
                return True
            states = {vertex["status"] for vertex in found["vertices"]}
            runs = found["state"] == "RUNNING" and bool(states) and states <= {"RUNNING", "FINISHED"}
            checkpoints = self._rest.json(f"/jobs/{job}/checkpoints")
            completed = checkpoints["counts"]["completed"] if checkpoints else 0
            if runs and (completed or not self._checkpoints_itself(job)):
                return True
            said = f"{found['state'].lower()}, {completed} checkpoints completed"
            return not completed and self._failures(job) >= LOOP

        in_time = self._clock.until(self._values["seconds"], decided)
        status = self._status(attempt.number)
        if status in ENDED[1:] or status == UNKNOWN:
            raise Unstable(self._reason(job) or f"it is {status.lower()}")
        if not in_time:
            why = self._reason(job)
            raise Unstable(f"after {self._values['seconds']} s it is {said}{f': {why}' if why else ''}")
        if self._failures(job) >= LOOP and status != "FINISHED" and not self._completed(job):
            raise Unstable(f"it fails again and again: {self._reason(job)}")
        record = self._record
        record.running, record.starting, record.before, record.state = attempt, None, None, ""
        self._write()
        self._say(f"{status.lower()}, and stable")

    # Stop

    def _stop(self, running: Attempt, status: str, how: str) -> None:
        """End the running job; `state` of the record is then where it stopped."""
        record = self._record
        if how in ("savepoint", "drain"):
            state = self._stop_with_savepoint(running, status, how)
        else:
            self._end(running.number)
            state = self._newest(running) if how == "last-state" else ""
        if state is None:
            self._say("it cannot take a savepoint now: its newest checkpoint is used")
            self._end(running.number)
            state = self._newest(running)
            if not state:
                # Of a job without any checkpoint nothing is lost by a start from the state that it had started from
                state = running.restored
        record.before, record.running, record.stopping, record.state = running, None, None, state
        self._write()

    def _stop_with_savepoint(self, running: Attempt, status: str, how: str) -> str | None:
        """The savepoint's path; None if the job cannot take one."""
        record, job = self._record, self._id(running.number)
        under_way = record.stopping
        if under_way:
            found = self._result(job, under_way)
            if found or self._status(running.number) not in LIVE:
                return found or self._written(under_way["directory"])
            status = self._status(running.number)
        if status != "RUNNING":
            return None
        number = (under_way["try"] if under_way else 0) + 1
        directory = f"{self._savepoints}/{running.number}-{number}"
        trigger = _trigger(directory)
        under_way = record.stopping = {"trigger": trigger, "directory": directory, "how": how, "try": number}
        self._write()
        self._say("stopping it with a savepoint")
        answer = self._rest.request(
            "POST",
            f"/jobs/{job}/stop",
            {"targetDirectory": directory, "drain": how == "drain", "triggerId": trigger},
            REQUEST_SECONDS,
        )
        if answer is not None and answer.status >= 400:
            self._say(f"it refuses: {innermost(answer.text)}")
        found = self._result(job, under_way)
        if found is None and self._status(running.number) not in LIVE:
            found = self._written(directory)
        if found:
            record.savepoints.append({"path": found, "why": "stop"})
        return found

    def _result(self, job: str, under_way: dict[str, Any]) -> str | None:
        """Wait for a savepoint that was triggered; None if it failed, or nobody knows of it any more."""
        answer: dict[str, Any] = {}
        unknown = 0

        def completed() -> bool:
            nonlocal answer, unknown
            found = self._rest.request("GET", f"/jobs/{job}/savepoints/{under_way['trigger']}")
            if found is None:
                return False
            if found.status == NOT_FOUND:
                unknown += 1
                return unknown > 5
            answer = json.loads(found.text) if found.status == OK else {}
            return bool(answer) and answer["status"]["id"] == "COMPLETED"

        self._clock.until(self._values["seconds"], completed)
        operation = answer.get("operation") or {}
        if "failure-cause" in operation:
            self._say(f"the savepoint failed: {innermost(str(operation['failure-cause'].get('stack-trace', '')))}")
        return operation.get("location")

    def _written(self, directory: str) -> str | None:
        """A complete savepoint in a folder that only one stop writes to."""
        for name in self._store.files(directory):
            folder, _, file = name.rpartition("/")
            if file == "_metadata":
                return f"{directory}/{folder}"
        return None

    def _end(self, number: int) -> None:
        """Cancel it, and wait until it has ended."""
        path, cancelled = f"/jobs/{self._id(number)}", False

        def ended() -> bool:
            nonlocal cancelled
            status = self._status(number)
            if status not in LIVE:
                return True
            if not cancelled:
                answer = self._rest.request("PATCH", f"{path}?mode=cancel")
                cancelled = answer is not None and answer.status < 500
            return False

        if not self._clock.until(max(self._values["seconds"], ANSWER_SECONDS), ended):
            raise Failure(f"job {self._values['name']}: {self._id(number)} does not end after it was cancelled")

    # State

    def _newest(self, attempt: Attempt) -> str:
        """The newest checkpoint that the attempt has left, or what it started from."""
        directory = f"{self._checkpoints}/{self._id(attempt.number)}"
        found = [
            (int(parts[0][4:]), f"{directory}/{parts[0]}")
            for name in self._store.files(directory)
            if len(parts := name.split("/")) == 2 and parts[1] == "_metadata" and parts[0].startswith("chk-")
        ]
        return max(found)[1] if found else attempt.restored

    def _take_savepoint(self, running: Attempt, status: str) -> None:
        nonce, record = self._values["savepointNonce"], self._record
        if nonce == record.nonce or status != "RUNNING":
            return
        job = self._id(running.number)
        directory = f"{self._savepoints}/{running.number}-{hashlib.sha256(nonce.encode()).hexdigest()[:8]}"
        trigger = _trigger(directory)
        body = {"target-directory": directory, "cancel-job": False, "triggerId": trigger}
        self._rest.request("POST", f"/jobs/{job}/savepoints", body, REQUEST_SECONDS)
        found = self._result(job, {"trigger": trigger}) or self._written(directory)
        if not found:
            raise Failure(f"job {self._values['name']}: the savepoint of savepointNonce {nonce} was not taken")
        record.nonce = nonce
        record.savepoints.append({"path": found, "why": f"savepointNonce {nonce}"})
        self._write()
        self._say(f"savepoint: {found}")

    def _rescales(self, running: Attempt, status: str) -> bool:
        """Change the parallelism alone of a running job, if its scheduler can."""
        old, new = dict(running.spec), dict(self._spec)
        parallelism, _ = new.pop("parallelism"), old.pop("parallelism")
        job = self._id(running.number)
        known = self._rest.json(f"/jobs/{job}/resource-requirements") if old == new and status == "RUNNING" else None
        if not known:
            return False
        body = {vertex: {"parallelism": {"lowerBound": 1, "upperBound": parallelism}} for vertex in known}
        answer = self._rest.request("PUT", f"/jobs/{job}/resource-requirements", body, REQUEST_SECONDS)
        if answer is None or answer.status != OK:
            return False

        def rescaled() -> bool:
            found = self._rest.json(f"/jobs/{job}")
            return bool(found) and found["state"] == "RUNNING" and self._parallelism(found) == parallelism

        if not self._clock.until(self._values["seconds"], rescaled):
            raise Failure(f"job {self._values['name']}: not at parallelism {parallelism}: are there enough slots?")
        running.spec = self._spec
        self._write()
        self._say(f"rescaled to {parallelism} while it runs")
        return True

    @staticmethod
    def _parallelism(found: dict[str, Any]) -> int:
        return max(int(vertex["parallelism"]) for vertex in found["vertices"])

    # Flink

    def _id(self, number: int) -> str:
        return f"{self._mark}{number:016x}"

    def _highest(self) -> int:
        """The highest number of an attempt that the cluster knows: without its record, too, no id is used twice."""
        overview = self._rest.json(OVERVIEW) or {"jobs": []}
        return max(
            (int(job["jid"][16:], 16) for job in overview["jobs"] if job["jid"].startswith(self._mark)), default=0
        )

    def _status(self, number: int) -> str:
        """The job's state; UNKNOWN only if a JobManager says so. Raises Failure if none answers."""
        status = ""

        def told() -> bool:
            nonlocal status
            answer = self._rest.request("GET", f"/jobs/{self._id(number)}")
            if answer is None or answer.status not in (OK, NOT_FOUND):
                return False
            status = json.loads(answer.text)["state"] if answer.status == OK else UNKNOWN
            return True

        if not self._clock.until(ANSWER_SECONDS, told):
            raise Failure(f"job {self._values['name']}: no JobManager answers within {ANSWER_SECONDS} s; run up again")
        return status

    def _checkpoints_itself(self, job: str) -> bool:
        """Whether the job has checkpoints that it takes by itself. In doubt it has."""
        answer = self._rest.request("GET", f"/jobs/{job}/checkpoints/config")
        if answer is None:
            return True
        if answer.status == NOT_FOUND:
            return False
        return answer.status != OK or 0 < json.loads(answer.text)["interval"] < 2**62

    def _completed(self, job: str) -> int:
        found = self._rest.json(f"/jobs/{job}/checkpoints")
        return int(found["counts"]["completed"]) if found else 0

    def _failures(self, job: str) -> int:
        found = self._rest.json(f"/jobs/{job}/exceptions")
        return len(found["exceptionHistory"]["entries"]) if found else 0

    def _reason(self, job: str) -> str:
        """The root of the last exception."""
        found = self._rest.json(f"/jobs/{job}/exceptions")
        entries = found["exceptionHistory"]["entries"] if found else []
        return innermost(entries[0]["stacktrace"]) if entries else ""

    # The record

    def _read(self) -> None:
        self._record = Record(self._store.read(f"{self._folder}/record.json"))

    def _write(self) -> None:
        self._store.write(f"{self._folder}/record.json", self._record.text(self._mark))

    def _forget_jars(self) -> None:
        needed = {f"{name}.jar" for name in self._record.jars()}
        for name in self._store.files(f"{self._folder}/jars"):
            if name not in needed and name != f"{self._spec['jar']['sha256']}.jar":
                self._store.delete(f"{self._folder}/jars/{name}")

    def _from(self) -> str:
        return self._record.state or "no state"

    def _told(self) -> dict[str, Any]:
        running, record = self._record.running, self._record
        if running is None:
            return {"state": "suspended", "from": record.state}
        return {"state": "running", "id": self._id(running.number), "from": running.restored}

    def _say(self, text: str) -> None:
        say(self._values["host"], f"job {self._values['name']}: {text}")


def _trigger(directory: str) -> str:
    """The id of a savepoint's trigger: that of each folder is another one, and the same after an interruption."""
    return hashlib.sha256(directory.encode()).hexdigest()[:32]


def innermost(trace: str) -> str:
    """The root cause in a Java stack trace, on a line: its last cause."""
    lines = [line.strip() for line in trace.replace("\\n", "\n").replace("\\t", " ").splitlines() if line.strip()]
    causes = [line[len("Caused by: ") :] for line in lines if line.startswith("Caused by: ")]
    return (causes[-1] if causes else lines[0] if lines else "no reason given")[:500]
