"""What a fault works on: a cluster, a job that counts, and a way to undo."""

import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from drill.records import RecordsJob
from lab.cluster import Cluster
from stand_ins.builds.archives import Archives

OUTAGE_SECONDS = 30.0
"""How long what comes back by itself is away, as the issue has it."""


@dataclass
class Scene:
    """One fault, from the set-up to the end."""

    cluster: Cluster
    undo: ExitStack
    """What is left to be undone, in the order of its adding backwards; it is, whatever happens."""
    compiled_for: Archives | None = None
    """What the job is compiled against, if that is not what the cluster runs in the end."""
    expected: dict[str, Any] = field(default_factory=dict)
    """The settings that the fault is to bring about, if it is a change from what the set-up has made."""
    began: float = 0.0
    """When the fault happened, in seconds since 1970; 0 before."""
    ended: float | None = None
    """When what was away for a while was there again."""
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
        """Let it be so until `seconds` after its beginning: an outage of a given length is what is measured."""
        threading.Event().wait(max(0.0, self.began + seconds - time.time()))

    def is_over(self) -> None:
        """Note that what was away is there again now."""
        self.ended = time.time()
