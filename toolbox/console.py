"""Progress on the terminal: plain lines that are as useful in a CI log as in front of a person.

Every long piece of work is a `step`: a line when it begins, a line every 30 seconds while it lasts, a line
with the seconds that it took when it ends. Lines of steps that run side by side never mix, and nothing moves
a cursor.
"""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

HEARTBEAT_SECONDS = 30.0
"""How often a step that is still under way says so: often enough that nobody takes it for dead."""

_RED, _GREEN, _DIM, _RESET = "\033[31m", "\033[32m", "\033[2m", "\033[0m"
_lock = threading.Lock()


def _write(stream: TextIO, topic: str, text: str, colour: str = "") -> None:
    """Write one or more whole lines at once; colour only for a terminal that wants it."""
    coloured = bool(colour) and stream.isatty() and "NO_COLOR" not in os.environ
    before, after = (colour, _RESET) if coloured else ("", "")
    lines = [f"{before}{topic + ':':<12}{after} {line}\n" for line in text.splitlines() or [""]]
    with _lock:
        stream.write("".join(lines))
        stream.flush()


def duration(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3 min 05 s`: as long as it needs to be to be read."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60:02d} s"


def say(topic: str, text: str) -> None:
    """Print `text`, each line after the topic that it belongs to."""
    _write(sys.stdout, topic, text)


def fail(topic: str, text: str) -> None:
    """Print what went wrong to stderr."""
    _write(sys.stderr, topic, text, _RED)


class Step:
    """Work under way: `detail` is what the next heartbeat line adds, `result` what the last line says."""

    def __init__(self, topic: str, text: str) -> None:
        self.topic = topic
        self.text = text
        self.detail = ""
        self.result = "done"
        self.began = time.monotonic()
        self._over = threading.Event()

    def tell(self, detail: str) -> None:
        """Note how far the work is, for the next heartbeat line: the last line of a program's output, say."""
        self.detail = detail.strip()[:80]

    def _heartbeat(self) -> None:
        while not self._over.wait(HEARTBEAT_SECONDS):
            detail = f" ({self.detail})" if self.detail else ""
            passed = duration(time.monotonic() - self.began)
            _write(sys.stdout, self.topic, f"still {self.text}{detail}, {passed} so far", _DIM)


@contextmanager
def step(topic: str, text: str) -> Iterator[Step]:
    """Announce `text`, keep saying so while the block runs, then say how long it took, also if it raises."""
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
