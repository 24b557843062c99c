"""Bounded waits. Only this module reads the clock or sleeps, so that tests need not wait."""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

BETWEEN_LOOKS_SECONDS = 0.2


class Clock:
    """A monotonic clock, in seconds."""

    def now(self) -> float:
        """Seconds since some moment in the past."""
        return time.monotonic()

    def wall(self) -> float:
        """Seconds since 1970, for what is written down."""
        return time.time()

    def pause(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(seconds)

    def until(self, seconds: float, condition: Callable[[], bool]) -> bool:
        """Whether `condition` holds within the given seconds; 0 checks it once."""
        end = self.now() + seconds
        while not condition():
            if self.now() >= end:
                return False
            self.pause(BETWEEN_LOOKS_SECONDS)
        return True
