"""Hands jobs over to another release of Flink: a Java process (HandOver.java) that lives as long as its user, so that
its JVM has started when the JobManagers stop.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable


class HandOver:
    """The jobs that the cluster keeps. `start` starts the process, at the first question."""

    def __init__(self, start: Callable[[], subprocess.Popen[str]]) -> None:
        self._start = start
        self._process: subprocess.Popen[str] | None = None

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
        process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            process.stdin.close()
            process.wait()

    def _ask(self, what: str) -> list[str] | None:
        process = self._process = self._process or self._start()
        assert process.stdin is not None and process.stdout is not None
        refused: list[str] = []
        try:
            process.stdin.write(f"{what}\n")
            process.stdin.flush()
            for line in process.stdout:
                word, *fields = line.rstrip("\n").split("\t")
                if word == "end":
                    return refused
                if word == "failed":
                    return None
                sys.stderr.write(line)
                if word == "refused":
                    refused.append(fields[0])
        except OSError:  # it has ended; the reason is above
            pass
        self.close()
        return None
