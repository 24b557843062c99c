"""The context of a fault: a cluster, a counting job, and what to undo."""

import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from drill.records import RecordsJob
from lab.cluster import Cluster
from stand_ins.builds.archives import Archives

OUTAGE_SECONDS = 30.0
"""Seconds of an outage that ends by itself."""


@dataclass
class Scene:
    """One fault, from the set-up to the end."""

    cluster: Cluster
    undo: ExitStack
    """Actions that undo the fault, run in reverse order in any case."""
    compiled_for: Archives | None = None
    """What the job is compiled against, if that differs from what the cluster runs in the end."""
    expected: dict[str, Any] = field(default_factory=dict)
    """The settings that the fault applies, if the set-up has prepared different ones."""
    began: float = 0.0
    """When the fault happened, in seconds since 1970; 0 before."""
    ended: float | None = None
    """When the outage ended, in seconds since 1970."""
    notes: list[str] = field(default_factory=list)
    _job: RecordsJob | None = None

    @property
    def job(self) -> RecordsJob:
        """The job; there is none during the set-up."""
        assert self._job is not None
        return self._job

    @job.setter
    def job(self, job: RecordsJob) -> None:
        self._job = job

    def happens(self) -> None:
        """Note that the fault happens now."""
        self.began = time.time()

    def lasts(self, seconds: float = OUTAGE_SECONDS) -> None:
        """Wait until `seconds` after the beginning, because the measurement needs an outage of that length."""
        threading.Event().wait(max(0.0, self.began + seconds - time.time()))

    def is_over(self) -> None:
        """Note that the outage ends now."""
        self.ended = time.time()
