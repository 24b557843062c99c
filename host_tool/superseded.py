"""Ends a JobManager that has lost its place in ZooKeeper to another one and does not learn of it.

One that is paused for longer than its session, with its machine for example, learns of that when it goes on. But
Flink's client of ZooKeeper may repeat a write on the very thread that would tell it. Then it shows for minutes jobs
that wait for slots, at a front door, too.

A timer has this look on each JobManager's host. A process ends only if it had a place, and has none and the same
sessions for `SECONDS`, or as long as a session lasts, while others have one: never while it starts, or while ZooKeeper
does not answer.
"""

from __future__ import annotations

import json
import os
import signal
import time

from . import session
from .daemon import of_this_host
from .output import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Set

    from .daemon import Daemon

SEEN = "/run/flink-jobmanager/superseded.json"
"""Where the daemon writes, too, and systemd deletes it when that has ended. Who may write there may also end it."""
SECONDS = 30.0
"""One that can learn of it does so sooner, and has another session then."""


class Watch:
    """What was seen of the daemon, in the file `path`: which of its processes had a place; since when that has none, on
    the monotonic clock, or null; and with which sessions. `patience`: seconds without a place until it ends.
    """

    def __init__(
        self, daemon: Daemon, patience: float, path: str = SEEN, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._daemon, self._patience, self._path, self._now = daemon, patience, path, now

    def look(self, places: Set[int], own: Set[int]) -> None:
        """Compare the daemon's sessions with those that have a place, of which there are none if ZooKeeper does not
        answer; end the daemon if it is time.
        """
        process = self._daemon.process()
        had, lost, known = self._read()
        # The daemon only adds to its note: without what was there another JVM with Flink's configuration has written it
        if process is None or not own or not places or (had == process and not known <= own):
            self._write(had, None, known)
        elif own & places:
            self._write(process, None, own)
        elif had != process:
            self._write(None, None, ())
        elif lost is None or known != own:
            self._write(process, self._now(), own)
        elif self._now() - lost >= self._patience:
            os.kill(process[0], signal.SIGKILL)
            say(
                "flink-host",
                f"superseded: another JobManager has led for {self._patience:.0f} s, and process {process[0]}, which"
                " had lost its place in ZooKeeper, had no new one; it was ended, and starts again as standby",
            )

    def _read(self) -> tuple[list[int] | None, float | None, set[int]]:
        try:
            with open(self._path) as file:
                had, lost, known = json.load(file)
                return had, lost, set(known)
        except (OSError, ValueError, TypeError):
            return None, None, set()

    def _write(self, had: list[int] | None, lost: float | None, known: Iterable[int]) -> None:
        try:
            with open(f"{self._path}.new", "w") as file:
                json.dump([had, lost, sorted(known)], file)
            os.replace(f"{self._path}.new", self._path)
        except FileNotFoundError:
            pass  # the daemon has ended meanwhile, and its folder with it


def watch() -> None:
    """Look once at the daemon of this host."""
    daemon = of_this_host()
    if daemon.process() is None:
        return
    # In this order: what it has now may be newer than what ZooKeeper has told
    places = session.places()
    Watch(daemon, max(SECONDS, session.timeout_seconds())).look(places, session.own())
