"""The `pulumi` process. It is interrupted gently, so that Ctrl-C leaves a usable stack."""

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
"""Ctrl-C, and the signal that CI systems send to a cancelled job."""

ENVIRONMENT = {
    "PULUMI_AUTOMATION_API": "true",
    "PULUMI_SKIP_UPDATE_CHECK": "true",
    # The state records how a stack's secrets are encrypted. So any machine that reads it and has the passphrase or
    # the key can work on the stack, without the file of the machine that created it
    "PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER": "true",
}
"""Environment of every command."""


class EngineError(Exception):
    """There is no usable `pulumi`; the message states the reason."""


class Engine(auto.PulumiCommand):
    """`pulumi` in a separate session. We forward our signals to it and wait until it has ended.

    The Automation API's own class would exit at once. Without a reader for its output the engine would be killed in the
    middle of a step, and leave a lock and operations with an unknown result. After the first signal the engine begins
    no further step, waits for running ones (a plugin may cancel them) and writes the state; after a second one it does
    not wait.
    """

    def __init__(self, root: str | None = None, *, say: Told | None = None) -> None:
        """Use `pulumi` from the folder `bin` of `root`, or from PATH. Raises EngineError."""
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
        """Run a command with `stdin`. Raises auto.CommandError; subprocess.TimeoutExpired after `seconds`;
        KeyboardInterrupt if a signal ended it, or arrived before its start.
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
        """Forward signals to the process that is registered, including one that arrived before it existed."""
        processes: list[subprocess.Popen[str]] = []

        def told(number: int, frame: FrameType | None) -> None:
            self._say(
                "interrupted: pulumi begins no further step and saves its state; a second interrupt does not wait"
                if not self.interrupted
                else "interrupted again: pulumi ends at once; the result of running steps is unknown"
            )
            self.interrupted = True
            for process in processes:
                process.send_signal(signal.SIGINT)

        def started(process: "subprocess.Popen[str]") -> None:
            early = self.interrupted
            processes.append(process)
            if early:
                process.send_signal(signal.SIGINT)

        # Only the main thread may set handlers and receives signals: in other threads the caller handles them
        main = threading.current_thread() is threading.main_thread()
        before = {number: signal.signal(number, told) for number in SIGNALS} if main else {}
        try:
            yield started
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def stderr(error: auto.CommandError) -> str:
    """What a failed command has printed to stderr, without its exit code and stdout."""
    return str(error).rpartition("stderr: ")[2].strip()


@contextlib.contextmanager
def _bounded(process: "subprocess.Popen[str]", seconds: float | None) -> Iterator[None]:
    """Kill the process and its children after `seconds`. Raises subprocess.TimeoutExpired."""
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
        found.pop("PULUMI_CONFIG_PASSPHRASE", None)  # the user's setting would override it
    return found


def _read(process: "subprocess.Popen[str]", on_output: Told | None, on_error: Told | None) -> "list[_Reader]":
    streams = ((process.stdout, on_output), (process.stderr, on_error))
    return [_Reader(stream, told) for stream, told in streams if stream]


class _Reader(threading.Thread):
    """Reads a stream to the end."""

    def __init__(self, stream: IO[str], told: Told | None) -> None:
        super().__init__(daemon=True)
        self._stream = stream
        self._told = told
        self._lines: list[str] = []
        self.start()

    @property
    def text(self) -> str:
        """The text that was read."""
        return "\n".join(self._lines)

    def run(self) -> None:
        with self._stream:
            for line in self._stream:
                self._lines.append(line.rstrip())
                if self._told:
                    self._told(line.rstrip())
