"""How a command ended, and its error texts, worded as in the official plugin."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field

from stand_ins.plugin.provider import OperationError


class CommandError(OperationError):
    """A command or its connection failed; the user reads this text."""


@dataclass
class Output:
    """The output of a command: each stream, and both in the order of arrival (for error messages only)."""

    stdout: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)
    both: bytearray = field(default_factory=bytearray)

    def add(self, data: bytes, from_stderr: bool) -> None:
        """Add some output."""
        (self.stderr if from_stderr else self.stdout).extend(data)
        self.both.extend(data)

    def properties(self) -> dict[str, str]:
        """`stdout` and `stderr` as properties, each without one trailing newline."""
        streams = {"stdout": self.stdout, "stderr": self.stderr}
        return {name: _text(data).removesuffix("\n") for name, data in streams.items()}

    def error(self, cause: str, command: str) -> CommandError:
        """The error for a command that failed. It shows command and output: neither may contain a secret."""
        return CommandError(f"{cause}: running {quote(command)}:\n{_text(self.both)}")


def _text(data: bytearray) -> str:
    return data.decode("utf-8", "replace")


def remote_exit(status: int) -> str:
    """The text for a remote command that exited with this status."""
    return f"Process exited with status {status}"


def remote_signal(name: str, message: str) -> str:
    """The text for a remote command that a signal ended, by the signal's name without `SIG`."""
    number = getattr(signal, f"SIG{name}", 0)
    return f"{remote_exit(128 + number)} from signal {name}" + (f". Reason was: {message}" if message else "")


def local_exit(status: int) -> str:
    """The text for a local command that ended with this status (negative: by that signal)."""
    return f"exit status {status}" if status >= 0 else f"signal: {_signal_text(-status)}"


def _signal_text(number: int) -> str:
    return (signal.strsignal(number) or f"signal {number}").lower()


_ESCAPES = {"\a": r"\a", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\v": r"\v"}
_ESCAPES |= {"\\": r"\\", '"': r"\""}


def quote(text: str) -> str:
    """A string as Go's `%q` formats it."""
    return '"' + "".join(_ESCAPES.get(char) or _quote_char(char) for char in text) + '"'


def _quote_char(char: str) -> str:
    if char.isprintable():
        return char
    code = ord(char)
    return rf"\x{code:02x}" if code < 0x80 else rf"\u{code:04x}" if code < 0x10000 else rf"\U{code:08x}"
