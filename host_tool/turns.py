"""Turns on this host: how many processes at once do something that is expensive."""

from __future__ import annotations

import contextlib
import fcntl
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .clock import Clock

TURNS = "/run/lock/flink-jobs"
CLIENTS = 4
"""JVMs of Flink's client at once: each takes seconds of CPU, and up to half a GiB of memory."""


class Turns:
    """At most `most` processes at once. The locks' files are in `folder`; a process that ends gives its turn up."""

    def __init__(self, folder: str, most: int, clock: Clock) -> None:
        self._folder, self._most, self._clock = folder, most, clock

    @contextlib.contextmanager
    def one(self, seconds: float) -> Iterator[None]:
        """Wait for a turn; after `seconds` it begins without one, because slow is better than not at all."""
        os.makedirs(self._folder, exist_ok=True)
        locks = [os.open(f"{self._folder}/{n}", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC) for n in range(self._most)]
        try:
            self._clock.until(seconds, lambda: any(map(_taken, locks)))
            yield
        finally:
            for lock in locks:
                os.close(lock)


def _taken(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
