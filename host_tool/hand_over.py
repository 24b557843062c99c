"""Hands jobs over to another release of Flink: a Java process (HandOver.java) that lives as long as its user, so that
its JVM has started when the JobManagers stop.
"""

from __future__ import annotations

import sys

from .output import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

ANSWER_SECONDS = 240.0
"""For an answer. JobManagers that wait for it start after 10 minutes by themselves (launch.sh)."""
END_SECONDS = 10.0


class HandOver:
    """The jobs that the cluster keeps. `start` starts the process, at the first question."""

    def __init__(self, start: Callable[[], subprocess.Popen[str]], seconds: float = ANSWER_SECONDS) -> None:
        self._start, self._seconds = start, seconds
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
        import contextlib
        import subprocess

        process, self._process = self._process, None
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):  # what was not sent is of no use any more
                pipe and pipe.close()
        # It is runuser's: that ends what it runs, if it is asked to
        for end in (process.terminate, process.kill):
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                end()
        process.wait()

    def _ask(self, what: str) -> list[str] | None:
        has_waited = self._process is not None
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
        import contextlib
        import threading

        process = self._process = self._process or self._start()
        assert process.stdin is not None and process.stdout is not None
        refused: list[str] = []
        is_late = threading.Event()

        def end() -> None:
            is_late.set()
            process.terminate()

        late = threading.Timer(self._seconds, end)
        late.start()
        try:
            with contextlib.suppress(OSError):  # it has ended
                process.stdin.write(f"{what}\n")
                process.stdin.flush()
            for line in process.stdout:
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
