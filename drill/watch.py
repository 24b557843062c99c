"""Polls a job to record when it did not run."""

import threading
import time
from dataclasses import dataclass
from typing import Any

from lab.cluster import Job
from lab.rest import RestError

LOOK_SECONDS = 0.2
"""Seconds between two requests. The REST API answers from a cache of `web.refresh-interval`, on a lab 0.5 s."""


@dataclass(frozen=True)
class Interruption:
    """A period in which the job did not run, until it ran again from a checkpoint; seconds since 1970."""

    began: float
    """When it was first found not running; a killed process stops working earlier."""
    ended: float
    checkpoint: int


class Watch:
    """Watches a job from `start` to `stop`, in a separate thread."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.interruptions: list[Interruption] = []
        self.state = "not seen yet"
        self._ran = time.time()
        self._running = False
        self._down: float | None = None
        self._latest: dict[str, Any] = {}
        self._rest = job.cluster.rest  # shared by all requests: it first asks the JobManager that answered last
        self._restored = self._restore(self._rest.get(f"/jobs/{job.job_id}/checkpoints")["latest"])
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"watch {job.job_id}", daemon=True)

    def start(self) -> None:
        """Start watching."""
        self._thread.start()

    def stop(self) -> None:
        """Stop watching."""
        self._over.set()
        self._thread.join(timeout=30)

    @staticmethod
    def _restore(latest: dict[str, Any]) -> tuple[int, int] | None:
        restored = latest["restored"]
        return (restored["restore_timestamp"], restored["id"]) if restored else None

    def _run(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            try:
                self._look()
            except RestError as error:
                self._note(False, f"no answer: {error}")

    def _look(self) -> None:
        path = f"/jobs/{self.job.job_id}"
        details = self._rest.get(path)
        states = {vertex["status"] for vertex in details["vertices"]}
        running = details["state"] == "RUNNING" and states <= {"RUNNING", "FINISHED"}
        if details["state"] == "FINISHED":  # its final state
            self._note(True, "FINISHED")
            return
        latest = self._rest.get(f"{path}/checkpoints")["latest"] if running else self._latest
        restored = self._restore(latest) if running else None
        if running and restored and restored != self._restored:
            self._restored = restored
            began = self._down if self._down is not None else self._ran
            self.interruptions.append(Interruption(began, max(began, self._runs_since(details)), restored[1]))
        self._latest = latest
        self._note(running, details["state"])

    def _runs_since(self, details: dict[str, Any]) -> float:
        """When the last of its tasks began to run: between two looks, on a busy machine seconds apart."""
        since = []
        for vertex in details["vertices"]:
            subtasks = self._rest.get(f"/jobs/{self.job.job_id}/vertices/{vertex['id']}")["subtasks"]
            durations = [task["status-duration"]["RUNNING"] for task in subtasks if task["status"] == "RUNNING"]
            since.append(time.time() - min(durations, default=0) / 1000)
        return max(since)

    def _note(self, running: bool, state: str) -> None:
        self._running, self.state = running, state
        if running:
            self._ran, self._down = time.time(), None
        elif self._down is None:
            self._down = time.time()

    def since(self, moment: float) -> list[Interruption]:
        """The interruptions that ended after `moment`."""
        return [each for each in self.interruptions if each.ended > moment]

    def has_settled(self, after: float, quiet: float) -> bool:
        """Whether it runs, has completed a checkpoint that began after `after`, and has run for `quiet` seconds."""
        completed = self._latest.get("completed")
        began = max([after, *(each.ended for each in self.interruptions)])
        return (
            self._running
            and bool(completed and completed["trigger_timestamp"] / 1000 > began)
            and time.time() - began >= quiet
        )
