"""Engines that a test's own process runs, to be killed."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.polling import polled


def running() -> list[int]:
    """Their processes."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            comm, fields = stat.read_text().split("(", 1)[1].rsplit(")", 1)
        except OSError:
            continue  # it has ended meanwhile
        if comm == "pulumi" and int(fields.split()[1]) == os.getpid():
            found.append(int(stat.parent.name))
    return found


def kill() -> bool:
    """`kill -9`; whether there was one."""
    found = running()
    for engine in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(engine, signal.SIGKILL)
    return bool(found)


@contextlib.contextmanager
def killed_after(file: Path, writes: int) -> Iterator[threading.Event]:
    """Kill the engine of the block when the state was written so often. The event is set if it was killed."""
    happened, seen, last = threading.Event(), 0, 0

    def written() -> int:
        return file.stat().st_mtime_ns if file.exists() else 0

    def watch() -> bool:
        nonlocal seen, last
        now = written()
        seen, last = seen + (now != last), now
        if seen >= writes and kill():
            happened.set()
        return happened.is_set()

    last = written()
    with polled(watch, 0.005):
        yield happened
