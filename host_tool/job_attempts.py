"""A declared job's attempts, as Flink's REST API knows them: what they are doing, and how they end."""

from __future__ import annotations

import hashlib
import json

from .job_record import attempt_id, mark
from .jobs import ENDED, OVERVIEW
from .output import Failure, say
from .python_trace import root
from .rest import NOT_FOUND, OK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .clock import Clock
    from .rest import JobManagers

LIVE = ("INITIALIZING", "CREATED", "RUNNING", "FAILING", "RESTARTING", "CANCELLING", "RECONCILING", "SUSPENDED")
UNKNOWN = "UNKNOWN"
"""No JobManager knows the job: it was never accepted, or it ended under an earlier leader."""

ANSWER_SECONDS = 120
"""Time for a JobManager to answer: a failover takes less."""
LOOP = 3
"""So many failures before the first checkpoint, or within LATELY_SECONDS and before the next one, are a loop."""
LATELY_SECONDS = 600.0
REQUEST_SECONDS = 30.0


class Unstable(Exception):
    """An attempt did not become stable; the message says why."""


class Attempts:
    """The attempts, by their numbers; `values` as in `Job`."""

    def __init__(self, values: dict[str, Any], rest: JobManagers, clock: Clock) -> None:
        self._host, self._name, self._seconds = values["host"], values["name"], values["seconds"]
        self._mark = mark(values)
        self._rest, self._clock = rest, clock

    def id(self, number: int) -> str:
        """Its id in Flink."""
        return attempt_id(self._mark, number)

    def highest(self) -> int:
        """The highest number of an attempt that the cluster knows: without its record, too, no id is used twice."""
        overview = self._rest.json(OVERVIEW) or {"jobs": []}
        return max(
            (int(job["jid"][16:], 16) for job in overview["jobs"] if job["jid"].startswith(self._mark)), default=0
        )

    def live(self) -> list[int]:
        """The numbers of those that have not ended, as far as the cluster knows; without their record, too."""
        overview = self._rest.json(OVERVIEW) or {"jobs": []}
        known = [job for job in overview["jobs"] if job["jid"].startswith(self._mark)]
        return sorted(int(job["jid"][16:], 16) for job in known if job["state"] not in ENDED)

    def status(self, number: int) -> str:
        """Its state; UNKNOWN only if a JobManager says so. Raises Failure if none answers."""
        status = ""

        def told() -> bool:
            nonlocal status
            answer = self._rest.request("GET", f"/jobs/{self.id(number)}")
            if answer is None or answer.status not in (OK, NOT_FOUND):
                return False
            status = json.loads(answer.text)["state"] if answer.status == OK else UNKNOWN
            return True

        if not self._clock.until(ANSWER_SECONDS, told):
            raise Failure(f"job {self._name}: no JobManager answers within {ANSWER_SECONDS} s; run up again")
        return status

    def stable(self, number: int) -> str:
        """Wait until all tasks run and, if it checkpoints, a checkpoint has completed; returns its state. Raises
        Unstable.
        """
        job, said = self.id(number), ""

        def decided() -> bool:
            nonlocal said
            found = self._rest.json(f"/jobs/{job}")
            if not found:
                return False
            if found["state"] in ENDED:
                return True
            states = {vertex["status"] for vertex in found["vertices"]}
            runs = found["state"] == "RUNNING" and bool(states) and states <= {"RUNNING", "FINISHED"}
            completed = self._completed(job)
            if runs and (completed or not self._checkpoints_itself(job)):
                return True
            said = f"{found['state'].lower()}, {completed} checkpoints completed"
            return not completed and self._failures(job) >= LOOP

        in_time = self._clock.until(self._seconds, decided)
        status = self.status(number)
        if status in ENDED[1:] or status == UNKNOWN:
            raise Unstable(self.reason(number) or f"it is {status.lower()}")
        if not in_time:
            why = self.reason(number)
            raise Unstable(f"after {self._seconds} s it is {said}{f': {why}' if why else ''}")
        if self._failures(job) >= LOOP and status != "FINISHED" and not self._completed(job):
            raise Unstable(f"it fails again and again: {self.reason(number)}")
        return status

    def holds(self, number: int, seconds: int) -> None:
        """Wait while it stays stable for so long. Raises Unstable if it fails meanwhile."""
        job = self.id(number)
        before, began = self._failures(job), self._clock.now()

        def over() -> bool:
            nonlocal began
            found = self._rest.json(f"/jobs/{job}")
            if found and (found["state"] in ENDED or self._failures(job) > before):
                return True
            if not found or found["state"] != "RUNNING":
                # A JobManager has failed, not the job
                began = self._clock.now()
            return self._clock.now() - began >= seconds

        in_time = self._clock.until(seconds + self._seconds, over)
        status = self.status(number)
        if not in_time or status in ENDED[1:] or status == UNKNOWN or self._failures(job) > before:
            raise Unstable(self.reason(number) or f"it is {status.lower()}")

    def slots(self, number: int, parallelism: int) -> tuple[int, int]:
        """How many slots another attempt needs beside this one, and how many are free."""
        overview = self._rest.json("/overview") or {}
        found = self._rest.json(f"/jobs/{self.id(number)}")
        return parallelism or (_parallelism(found) if found else 1), int(overview.get("slots-available", 0))

    def end(self, number: int) -> None:
        """Cancel it, and wait until it has ended."""
        path, cancelled = f"/jobs/{self.id(number)}", False

        def ended() -> bool:
            nonlocal cancelled
            status = self.status(number)
            if status not in LIVE:
                return True
            if not cancelled:
                answer = self._rest.request("PATCH", f"{path}?mode=cancel")
                cancelled = answer is not None and answer.status < 500
            return False

        if not self._clock.until(max(self._seconds, ANSWER_SECONDS), ended):
            raise Failure(f"job {self._name}: {self.id(number)} does not end after it was cancelled")

    # Savepoints

    def stop(self, number: int, directory: str, *, drain: bool) -> None:
        """Trigger a stop with a savepoint in a folder that nothing else writes to."""
        self._ask(number, "stop", directory, {"targetDirectory": directory, "drain": drain})

    def take_savepoint(self, number: int, directory: str) -> None:
        """Trigger a savepoint in a folder that nothing else writes to; the job continues."""
        self._ask(number, "savepoints", directory, {"target-directory": directory, "cancel-job": False})

    def _ask(self, number: int, what: str, directory: str, body: dict[str, Any]) -> None:
        body["triggerId"] = _trigger(directory)
        answer = self._rest.request("POST", f"/jobs/{self.id(number)}/{what}", body, REQUEST_SECONDS)
        if answer is not None and answer.status >= 400:
            self._say(f"it refuses: {innermost(answer.text)}")

    def savepoint_is_over(self, number: int, directory: str) -> bool:
        """Whether a savepoint that was triggered has ended. A new leader does not know what an earlier one has
        triggered: that has ended, too.
        """
        answer = self._rest.request("GET", self._triggered(number, directory))
        if answer is None or answer.status not in (OK, NOT_FOUND):
            return False
        return answer.status == NOT_FOUND or json.loads(answer.text)["status"]["id"] == "COMPLETED"

    def _triggered(self, number: int, directory: str) -> str:
        return f"/jobs/{self.id(number)}/savepoints/{_trigger(directory)}"

    def savepoint(self, number: int, directory: str) -> str | None:
        """Wait for a savepoint that was triggered: its path; None if it failed, or nobody knows of it any more."""
        answer: dict[str, Any] = {}
        unknown = 0

        def completed() -> bool:
            nonlocal answer, unknown
            found = self._rest.request("GET", self._triggered(number, directory))
            if found is None:
                return False
            if found.status == NOT_FOUND:
                unknown += 1
                return unknown > 5
            answer = json.loads(found.text) if found.status == OK else {}
            return bool(answer) and answer["status"]["id"] == "COMPLETED"

        self._clock.until(self._seconds, completed)
        operation = answer.get("operation") or {}
        if "failure-cause" in operation:
            self._say(f"the savepoint failed: {innermost(str(operation['failure-cause'].get('stack-trace', '')))}")
        return operation.get("location")

    # Rescaling

    def rescales(self, number: int, parallelism: int) -> bool:
        """Rescale it while it runs; False if its scheduler cannot. Raises Failure if there are not enough slots."""
        path = f"/jobs/{self.id(number)}/resource-requirements"
        known = self._rest.json(path)
        if not known:
            return False
        body = {vertex: {"parallelism": {"lowerBound": 1, "upperBound": parallelism}} for vertex in known}
        answer = self._rest.request("PUT", path, body, REQUEST_SECONDS)
        if answer is None or answer.status != OK:
            return False

        def rescaled() -> bool:
            found = self._rest.json(f"/jobs/{self.id(number)}")
            return bool(found) and found["state"] == "RUNNING" and _parallelism(found) == parallelism

        if not self._clock.until(self._seconds, rescaled):
            raise Failure(f"job {self._name}: not at parallelism {parallelism}: are there enough slots?")
        return True

    # Questions

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

    def fails_again_and_again(self, number: int) -> int:
        """How often it has failed in the last LATELY_SECONDS, if that is a loop; else 0."""
        found = self._rest.json(f"/jobs/{self.id(number)}/exceptions")
        since = (self._clock.wall() - LATELY_SECONDS) * 1000
        times = [entry["timestamp"] for entry in found["exceptionHistory"]["entries"]] if found else []
        lately = [time for time in times if time >= since]
        if len(lately) < LOOP:
            return 0
        latest = (self._rest.json(f"/jobs/{self.id(number)}/checkpoints") or {}).get("latest") or {}
        completed = (latest.get("completed") or {}).get("latest_ack_timestamp", 0)
        return len(lately) if completed < max(lately) else 0

    def reason(self, number: int) -> str:
        """The root of its last exception."""
        found = self._rest.json(f"/jobs/{self.id(number)}/exceptions")
        entries = found["exceptionHistory"]["entries"] if found else []
        return innermost(entries[0]["stacktrace"]) if entries else ""

    def _say(self, text: str) -> None:
        say(self._host, f"job {self._name}: {text}")


def _parallelism(found: dict[str, Any]) -> int:
    return max(int(vertex["parallelism"]) for vertex in found["vertices"])


def _trigger(directory: str) -> str:
    """The id of a savepoint's trigger: that of each folder is another one, and the same after an interruption."""
    return hashlib.sha256(directory.encode()).hexdigest()[:32]


def innermost(trace: str) -> str:
    """The root cause in a stack trace of Java, Python or both, on a line: the last cause."""
    python = root(trace.replace("\\n", "\n").replace("\\t", "\t"))
    if python:
        return python[:500].rstrip(".")
    lines = [line.strip() for line in trace.replace("\\n", "\n").replace("\\t", " ").splitlines() if line.strip()]
    causes = [line[len("Caused by: ") :] for line in lines if line.startswith("Caused by: ")]
    return (causes[-1] if causes else lines[0] if lines else "no reason given")[:500].rstrip(".")
