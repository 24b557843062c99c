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

ENVIRONMENT = {
    "PULUMI_AUTOMATION_API": "true",
    "PULUMI_SKIP_UPDATE_CHECK": "true",
    # What a stack's secrets are encrypted with is in its state: any machine that reads it, and has the passphrase or
    # the key, can continue with the stack, without the file of the machine that made it
    "PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER": "true",
}
"""Of every command."""


class EngineError(Exception):
    """There is no `pulumi` that can be used; the message says why."""


class Engine(auto.PulumiCommand):
    """`pulumi` in a session of its own. A signal for us goes on to it, and we wait until it has ended.

    The Automation API's own would leave at once: with nobody to read what it prints the engine is killed in the middle
    of a step, and leaves a lock and operations of which nobody knows how they ended. Told once, the engine begins
    no further step, waits for those under way (a plugin may break them off) and keeps the state; told twice, it does
    not wait.
    """

    def __init__(self, root: str | None = None, *, say: Told | None = None) -> None:
        """The `pulumi` in the folder `bin` of `root`, or that on PATH. Raises EngineError."""
        try:
            super().__init__(root)
        except FileNotFoundError:
            raise EngineError("there is no pulumi on PATH") from None
        except subprocess.CalledProcessError as error:
            raise EngineError(f"`pulumi version` failed with {error.returncode}") from None
        except auto.InvalidVersionError as error:
            raise EngineError(f"the pulumi on PATH cannot be used: {error}") from None
        self.interrupted = False
        self._say = say or (lambda text: None)

    def run(
        self,
        args: list[str],
        cwd: str,
        additional_env: Mapping[str, str],
        on_output: Told | None = None,
        on_error: Told | None = None,
        *,
        stdin: str = "",
        seconds: float | None = None,
    ) -> auto.CommandResult:
        """Run a command, which gets `stdin`. Raises auto.CommandError; subprocess.TimeoutExpired after so many seconds;
        KeyboardInterrupt if a signal ended it, or came before its start.
        """
        if self.interrupted:
            raise KeyboardInterrupt
        with self._forwarding() as started:
            process = subprocess.Popen(
                [self.command, "--non-interactive", *args],
                cwd=cwd,
                env=_environment(additional_env),
                stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                start_new_session=True,
            )
            started(process)
            with _bounded(process, seconds):
                readers = _read(process, on_output, on_error)
                if process.stdin:
                    with contextlib.suppress(BrokenPipeError), process.stdin:
                        process.stdin.write(stdin)
                for reader in readers:
                    reader.join()
                code = process.wait()
        result = auto.CommandResult(stdout=readers[0].text, stderr=readers[1].text, code=code)
        if code and self.interrupted:
            raise KeyboardInterrupt
        if code:
            raise create_command_error(result)
        return result

    @contextlib.contextmanager
    def _forwarding(self) -> Iterator[Callable[["subprocess.Popen[str]"], None]]:
        """Hand signals on to the process that is told of, also one that came before that was there."""
        processes: list[subprocess.Popen[str]] = []

        def told(number: int, frame: FrameType | None) -> None:
            self._say(
                "interrupted: pulumi begins no further step and keeps what it knows; once more, and it will not wait"
                if not self.interrupted
                else "interrupted again: pulumi ends at once; what it was doing is of unknown outcome"
            )
            self.interrupted = True
            for process in processes:
                process.send_signal(signal.SIGINT)

        def started(process: "subprocess.Popen[str]") -> None:
            early = self.interrupted
            processes.append(process)
            if early:
                process.send_signal(signal.SIGINT)

        # Only a main thread may, and is told: in any other one the caller decides
        main = threading.current_thread() is threading.main_thread()
        before = {number: signal.signal(number, told) for number in SIGNALS} if main else {}
        try:
            yield started
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def stderr(error: auto.CommandError) -> str:
    """What a command that failed has printed there, without its exit code and what it printed elsewhere."""
    return str(error).rpartition("stderr: ")[2].strip()


@contextlib.contextmanager
def _bounded(process: "subprocess.Popen[str]", seconds: float | None) -> Iterator[None]:
    """Kill the process, with what it has started, after so many seconds. Raises subprocess.TimeoutExpired."""
    late = threading.Event()

    def kill() -> None:
        late.set()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    timer = threading.Timer(seconds, kill) if seconds is not None else None
    if timer:
        timer.start()
    try:
        yield
    finally:
        if timer:
            timer.cancel()
    if late.is_set():
        raise subprocess.TimeoutExpired(process.args, seconds or 0)


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    found = {**os.environ, **more, **ENVIRONMENT}
    if "PULUMI_CONFIG_PASSPHRASE_FILE" in more and "PULUMI_CONFIG_PASSPHRASE" not in more:
        found.pop("PULUMI_CONFIG_PASSPHRASE", None)  # the user's would win over it
    return found


def _read(process: "subprocess.Popen[str]", on_output: Told | None, on_error: Told | None) -> "list[_Reader]":
    streams = ((process.stdout, on_output), (process.stderr, on_error))
    return [_Reader(stream, told) for stream, told in streams if stream]


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
