"""The `pulumi` that does the work: ended gently, so that Ctrl-C leaves a stack that can be used."""

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import IO

from pulumi import automation as auto
from pulumi.automation.errors import create_command_error

Told = Callable[[str], object]

SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""Ctrl-C, and what CI systems send to a job that is cancelled."""


class Engine(auto.PulumiCommand):
    """`pulumi` in a session of its own. A signal for us goes on to it, and we wait until it has ended.

    The Automation API's own would leave at once: with nobody to read what it prints the engine is killed in the middle
    of a step, and leaves a lock and operations of which nobody knows how they ended. Told once, the engine begins
    no further step, waits for those under way (a plugin may break them off) and keeps the state; told twice, it does
    not wait.
    """

    def __init__(self, root: str | None = None, *, say: Told | None = None) -> None:
        super().__init__(root)
        self.interrupted = False
        self._say = say or (lambda text: None)

    def run(
        self,
        args: list[str],
        cwd: str,
        additional_env: Mapping[str, str],
        on_output: Told | None = None,
        on_error: Told | None = None,
    ) -> auto.CommandResult:
        """Run a command. Raises auto.CommandError, and KeyboardInterrupt instead of a start after a signal."""
        if self.interrupted:
            raise KeyboardInterrupt
        process = subprocess.Popen(
            [self.command, "--non-interactive", *args],
            cwd=cwd,
            env={**os.environ, **additional_env, "PULUMI_AUTOMATION_API": "true"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            start_new_session=True,
        )
        with self._forwarding(process):
            streams = ((process.stdout, on_output), (process.stderr, on_error))
            readers = [_Reader(stream, told) for stream, told in streams if stream]
            for reader in readers:
                reader.join()
            code = process.wait()
        result = auto.CommandResult(stdout=readers[0].text, stderr=readers[1].text, code=code)
        if code:
            raise create_command_error(result)
        return result

    @contextlib.contextmanager
    def _forwarding(self, process: "subprocess.Popen[str]") -> Iterator[None]:
        # Only a main thread may, and is told: in any other one the caller decides
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def told(number: int, frame: FrameType | None) -> None:
            self._say(
                "interrupted: pulumi begins no further step and keeps what it knows; once more, and it will not wait"
                if not self.interrupted
                else "interrupted again: pulumi ends at once; what it was doing is of unknown outcome"
            )
            self.interrupted = True
            process.send_signal(signal.SIGINT)

        before = {number: signal.signal(number, told) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def stderr(error: auto.CommandError) -> str:
    """What a command that failed has printed there, without its exit code and what it printed elsewhere."""
    return str(error).rpartition("stderr: ")[2].strip()


class _Reader(threading.Thread):
    """Reads a stream to its end."""

    def __init__(self, stream: IO[str], told: Told | None) -> None:
        super().__init__(daemon=True)
        self._stream = stream
        self._told = told
        self._lines: list[str] = []
        self.start()

    @property
    def text(self) -> str:
        """What was read."""
        return "\n".join(self._lines)

    def run(self) -> None:
        with self._stream:
            for line in self._stream:
                self._lines.append(line.rstrip())
                if self._told:
                    self._told(line.rstrip())
