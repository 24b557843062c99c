"""The watch over declared jobs: starts again what has failed for good or is lost to the cluster, and takes savepoints.

A timer runs it on each JobManager's host; only the leader's acts, and only while nobody else changes the job
(job_lock.py). What it knows is in `watch.json` beside the job's record. Every `up` forgets it, except how an attempt
ended: what somebody cancelled stays cancelled.
"""

from __future__ import annotations

import json
import os

from .declared_job import Job
from .job_attempts import LIVE, UNKNOWN, Unstable
from .job_lock import Busy, locked
from .job_record import Attempt, mark, path
from .job_savepoints import FAR_SECONDS, Savepoints
from .jobs import OVERVIEW
from .output import Failure, differs, say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from typing import Any

    from .clock import Clock
    from .declared_job import Submit
    from .rest import JobManagers
    from .store import Store

FACTS = "/etc/flink/jobs.json"
SEEN = "/run/flink-jobs"
"""What was seen of each job the last time: as long as that and its settings stay, and nothing is due, nobody asks the
storage.
"""
AFTER_FAILURE_SECONDS = 60.0
AT_ONCE = 2
"""So many jobs are started, or looked for on the storage, at the same time: each is a JVM or two here."""


class Known:
    """What the watch knows of a job, on the storage.

    `ended`: number and status of an attempt that has finished or was cancelled; `down`: the attempt to start again;
    `starts`: when that was tried, in seconds since 1970; `why` it is necessary; `gave_up`: whether the watch has.
    """

    def __init__(self, text: str | None) -> None:
        found: dict[str, Any] = json.loads(text) if text else {}
        self.ended: dict[str, Any] | None = found.get("ended")
        self.down: dict[str, Any] | None = found.get("down")
        self.starts: list[float] = found.get("starts", [])
        self.why: str = found.get("why", "")
        self.gave_up: bool = found.get("gaveUp", False)

    def text(self) -> str:
        """For the storage."""
        found = {"ended": self.ended, "down": self.down, "starts": self.starts, "why": self.why}
        return json.dumps({"format": 1, **found, "gaveUp": self.gave_up}, indent=1) + "\n"

    def forget(self) -> None:
        """Somebody else has decided about the job."""
        self.down, self.starts, self.why, self.gave_up = None, [], "", False


def declared() -> list[dict[str, Any]]:
    """The declared jobs of this host's cluster, each with the values of `Watch`."""
    try:
        with open(FACTS) as file:
            found: list[dict[str, Any]] = json.load(file)["jobs"]
    except FileNotFoundError:
        return []
    return found


def known(values: dict[str, Any], store: Store) -> Known:
    """What the watch knows of a job; `values` as in `Job`."""
    return Known(store.read(path(values, "watch.json")))


def forget(values: dict[str, Any], store: Store) -> None:
    """For `up` and for people, who hold the job's lock: the watch leaves the job to them."""
    found = known(values, store)
    if found.down or found.starts or found.gave_up:
        found.forget()
        store.write(path(values, "watch.json"), found.text())


def check(values: dict[str, Any], store: Store) -> None:
    """Report that the watch no longer starts the job, or that it is doing so."""
    found, what = known(values, store), f"job {values['name']}"
    if found.gave_up:
        differs(what, f"is no longer started again by itself, after {len(found.starts)} starts: {found.why}")
    elif found.down:
        differs(what, f"is being started again by itself, until now {len(found.starts)} times: {found.why}")


class Watch(Job):
    """One job. `values` as in `Job`, with `restarts` (attempts; within, in seconds), and as in `Savepoints`. `missing`
    is the number of an attempt that no JobManager knew the last time.
    """

    def __init__(
        self, values: dict[str, Any], rest: JobManagers, store: Store, clock: Clock, submit: Submit, missing: int = 0
    ) -> None:
        # What it starts again is what ran, by the record
        super().__init__({"spec": {}, **values}, rest, store, clock, submit)
        self._savepoints = Savepoints(values, store, clock, self._kept, self._attempts)
        self._known = Known(None)
        self.missing = missing

    def step(self) -> float:
        """Do what is due; returns when to look again, in seconds since 1970. The job's lock is held."""
        self._kept.read()
        self._known = known(self._values, self._store)
        later = self._heal()
        running = self._record.running
        status = self._attempts.status(running.number) if running else ""
        return min(later, self._savepoints.step(running, status))

    def _heal(self) -> float:
        record, it = self._record, self._known
        far = self._clock.wall() + FAR_SECONDS
        self._end_leaving()
        if record.stopping or (record.starting and not it.down):
            return far  # an `up` was interrupted: only the next one knows what is declared
        if record.starting:
            self._continue()
        running = record.running
        if running is None:
            return self._start_again(Attempt(it.down)) if it.down else far
        status = self._attempts.status(running.number)
        if status in LIVE:
            self.missing = 0
            if it.down or it.gave_up:
                it.down, it.gave_up = None, False
                self._remember()
            return far
        if it.ended and it.ended["number"] == running.number:
            return far
        if status in ("CANCELED", "FINISHED"):
            it.ended = {"number": running.number, "status": status}
            self._remember()
            if status == "CANCELED":
                self._say("somebody cancelled it: `up` with `repair: true` starts it again, and nothing else does")
            return far
        if self._is_over(running, status):
            return far
        if status == UNKNOWN and self.missing != running.number:
            self.missing = running.number  # a leader that has just been elected may not have all jobs yet
            return self._clock.wall()
        return self._start_again(running)

    def _start_again(self, attempt: Attempt) -> float:
        """Start it from its newest state, unless that was tried too often, or too recently."""
        record, it, limits = self._record, self._known, self._values["restarts"]
        now = self._clock.wall()
        if not limits["attempts"] or it.gave_up or self._values["state"] != "running":
            return now + FAR_SECONDS
        if it.starts and now - it.starts[-1] >= limits["within"]:
            it.starts = []
        if record.running:
            it.why = self._attempts.reason(attempt.number) or "no JobManager knows it"
        if len(it.starts) >= limits["attempts"]:
            it.gave_up = True
            self._remember()
            self._say(f"it was started {len(it.starts)} times, and has failed again: it stays down. {it.why}")
            return now + FAR_SECONDS
        # Twice as long each time, and all of them together as long as `within`
        wait = limits["within"] / 2 ** (limits["attempts"] - len(it.starts)) if it.starts else 0.0
        if it.starts and now < it.starts[-1] + wait:
            return float(it.starts[-1] + wait)
        it.starts, it.down = [*it.starts, now], attempt.json()
        self._remember()
        if record.running:
            state = self._kept.newest(attempt)
            record.before, record.running, record.state = attempt, None, state
            self._kept.write()
        self._say(f"it has failed, or is lost: {it.why}. Start {len(it.starts)} of {limits['attempts']}")
        try:
            self._attempt(attempt.spec, record.state)
        except Unstable as why:
            it.why = str(why)
        else:
            it.down = None
        self._remember()
        return now

    def _remember(self) -> None:
        self._store.write(path(self._values, "watch.json"), self._known.text())


class Seen:
    """What a host's watch saw of a job the last time, in a file of its own that ends with the host's uptime."""

    def __init__(self, name: str, folder: str = SEEN) -> None:
        self._path = f"{folder}/{name}.json"
        try:
            with open(self._path) as file:
                found = json.load(file)
        except (OSError, ValueError):
            found = {}
        self.jobs: list[list[str]] = found.get("jobs", [])
        self.next: float = found.get("next", 0.0)
        self.missing: int = found.get("missing", 0)
        self.values: dict[str, Any] = found.get("values", {})

    def write(self, jobs: list[list[str]], values: dict[str, Any], later: float, missing: int) -> None:
        """Remember it."""
        os.makedirs(os.path.dirname(self._path), exist_ok=True)
        with open(f"{self._path}.new", "w") as file:
            json.dump({"jobs": jobs, "values": values, "next": later, "missing": missing}, file)
        os.rename(f"{self._path}.new", self._path)


def look(
    values: dict[str, Any],
    rest: JobManagers,
    clock: Clock,
    tools: Callable[[], AbstractContextManager[tuple[Store, Submit]]],
    seen: Seen,
) -> None:
    """Look at a job, and do what is due. `tools` opens the storage, which costs a JVM."""
    overview = rest.json(OVERVIEW)
    if overview is None:
        return
    own = mark(values)
    jobs = sorted(
        [job["jid"], "LIVE" if job["state"] in LIVE else job["state"]]
        for job in overview["jobs"]
        if job["jid"].startswith(own)
    )
    if jobs == seen.jobs and values == seen.values and clock.wall() < seen.next:
        return
    with tools() as (store, submit):
        watch = Watch(values, rest, store, clock, submit, seen.missing)
        try:
            with locked(values, store, clock, "the watch", 0):
                later = watch.step()
        except Busy:
            return
        except Failure as error:
            say(values["host"], str(error))
            later = clock.wall() + AFTER_FAILURE_SECONDS
    seen.write(jobs, values, later, watch.missing)
