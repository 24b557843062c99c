"""Progress on the terminal: plain lines that are useful both in a CI log and interactively.

Every long task is a `step`: it prints a line when it begins, one every 30 seconds, and one with its duration
when it ends. Lines of parallel steps never mix, and nothing moves the cursor.
"""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

HEARTBEAT_SECONDS = 30.0
"""Seconds between the lines of a running step: often enough that it does not seem to hang."""

_RED, _GREEN, _DIM, _RESET = "\033[31m", "\033[32m", "\033[2m", "\033[0m"
_lock = threading.Lock()


def _write(stream: TextIO, topic: str, text: str, colour: str = "") -> None:
    """Write one or more complete lines at once; with color only on a terminal that supports it."""
    coloured = bool(colour) and stream.isatty() and "NO_COLOR" not in os.environ
    before, after = (colour, _RESET) if coloured else ("", "")
    lines = [f"{before}{topic + ':':<12}{after} {line}\n" for line in text.splitlines() or [""]]
    with _lock:
        stream.write("".join(lines))
        stream.flush()


def duration(seconds: float) -> str:
    """A readable duration: `0.4 s`, `12 s`, `3 min 05 s`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60:02d} s"


def say(topic: str, text: str) -> None:
    """Print `text`, with the topic in front of each line."""
    _write(sys.stdout, topic, text)


def fail(topic: str, text: str) -> None:
    """Print an error to stderr."""
    _write(sys.stderr, topic, text, _RED)


class Step:
    """A running step: the next heartbeat line shows `detail`, the last line `result`."""

    def __init__(self, topic: str, text: str) -> None:
        self.topic = topic
        self.text = text
        self.detail = ""
        self.result = "done"
        self.began = time.monotonic()
        self._over = threading.Event()

    def tell(self, detail: str) -> None:
        """Set the progress for the next heartbeat line, such as the last line of a program's output."""
        self.detail = detail.strip()[:80]

    def _heartbeat(self) -> None:
        while not self._over.wait(HEARTBEAT_SECONDS):
            detail = f" ({self.detail})" if self.detail else ""
            passed = duration(time.monotonic() - self.began)
            _write(sys.stdout, self.topic, f"still {self.text}{detail}, {passed} so far", _DIM)


@contextmanager
def step(topic: str, text: str) -> Iterator[Step]:
    """Print `text`, repeat it while the block runs, then print the duration, also if the block raises."""
    work = Step(topic, text)
    _write(sys.stdout, topic, f"{text} …")
    heartbeat = threading.Thread(target=work._heartbeat, name=f"heartbeat {topic}", daemon=True)
    heartbeat.start()
    try:
        yield work
    except BaseException as error:
        reason = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
        _write(sys.stdout, topic, f"{text}: {reason} after {duration(time.monotonic() - work.began)}", _RED)
        raise
    else:
        _write(sys.stdout, topic, f"{text}: {work.result}, {duration(time.monotonic() - work.began)}", _GREEN)
    finally:
        work._over.set()
        heartbeat.join()
