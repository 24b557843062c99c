"""Ends a JobManager that has lost its place in ZooKeeper to another one and does not learn of it.

One that is paused for longer than its session, with its machine for example, learns of that when it goes on. But
Flink's client of ZooKeeper may repeat a write on the very thread that would tell it: then it shows for minutes jobs
that wait for slots, at a front door, too. A timer runs this on each JobManager's host. A process ends only if it had a
place, and has none for `SECONDS` in which others have one: never while it starts, or while ZooKeeper does not answer.
"""

from __future__ import annotations

import json
import os
import signal
import time

from . import session
from .clock import Clock
from .daemon import Daemon, facts
from .output import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection

SEEN = "/run/flink-superseded/seen.json"
SECONDS = 30.0
"""One that can learn of it does so within seconds."""


class Watch:
    """What was seen of the daemon, in the file `path`: which of its processes had a place, and since when that has none
    (on the monotonic clock), or null.
    """

    def __init__(self, daemon: Daemon, path: str = SEEN, now: Callable[[], float] = time.monotonic) -> None:
        self._daemon, self._path, self._now = daemon, path, now

    def look(self, own: int, places: Collection[int]) -> None:
        """Compare the daemon's session with those that have a place, of which there are none if ZooKeeper does not
        answer; end the daemon if it is time.
        """
        process = self._daemon.process()
        had, lost = self._read()
        if process is None or had != process or not places:
            self._write(process if own in places else had, None)
        elif own in places or lost is None:
            self._write(process, None if own in places else self._now())
        elif self._now() - lost >= SECONDS:
            say(
                "flink-host",
                f"superseded: another JobManager leads, and process {process[0]} has had no place in ZooKeeper for"
                f" {SECONDS:.0f} s and has not learned of it; it was ended, and starts again as standby",
            )
            os.kill(process[0], signal.SIGKILL)

    def _read(self) -> tuple[list[int] | None, float | None]:
        try:
            with open(self._path) as file:
                had, lost = json.load(file)
        except (OSError, ValueError):
            return None, None
        return had, lost

    def _write(self, had: list[int] | None, lost: float | None) -> None:
        with open(self._path, "w") as file:
            json.dump([had, lost], file)


def watch() -> None:
    """Look once at the daemon of this host."""
    Watch(Daemon(facts(), Clock())).look(session.own(), session.places())
