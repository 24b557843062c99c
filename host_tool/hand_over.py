"""Hands jobs over to another release of Flink: a Java process (HandOver.java) that lives as long as its user, so that
its JVM has started when the JobManagers stop.
"""

from __future__ import annotations

import contextlib
import sys
import threading

from .java import Conversation
from .output import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

ANSWER_SECONDS = 240.0
"""For an answer. JobManagers that wait for it start after 10 minutes by themselves (launch.sh)."""


class HandOver:
    """The jobs that the cluster keeps. `start` starts the process, at the first question."""

    def __init__(self, start: Callable[[], subprocess.Popen[str]], seconds: float = ANSWER_SECONDS) -> None:
        self._java, self._seconds = Conversation(start), seconds

    def check(self) -> list[str] | None:
        """The ids of the jobs that the release refuses, which may be running. None if that is unknown."""
        return self._ask("check")

    def carry(self) -> list[str] | None:
        """Hand over all, while no JobManager runs. Returns the ids of those that are refused: then none was handed
        over. None if it failed.
        """
        return self._ask("carry")

    def close(self) -> None:
        """End the process."""
        self._java.close()

    def _ask(self, what: str) -> list[str] | None:
        has_waited = self._java.has_begun
        try:
            return self._answer(what)
        except EOFError:
            self.close()
        # One that has waited may have ended long ago, for a reason that is none any more
        return self._ask(what) if has_waited else None

    def _answer(self, what: str) -> list[str] | None:
        """The answer of the process, which is None also if it comes too late. What it says is shown. Raises EOFError
        if it has ended.
        """
        refused: list[str] = []
        is_late = threading.Event()

        def end() -> None:
            is_late.set()
            self._java.terminate()

        late = threading.Timer(self._seconds, end)
        late.start()
        try:
            for line in self._java.ask(what):
                word, *fields = line.rstrip("\n").split("\t")
                if word in ("end", "failed"):
                    return refused if word == "end" else None
                with contextlib.suppress(OSError):  # nobody looks any more: this goes on
                    sys.stderr.write(line)
                if word == "refused":
                    refused.append(fields[0])
        finally:
            late.cancel()
        if not is_late.is_set():
            raise EOFError
        say("flink-host", f"handing over jobs: no answer within {self._seconds:.0f} s")
        self.close()
        return None
